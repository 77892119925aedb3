"""Where a call's code is at this moment, for the log line of one that ran out of time."""

import sys

# `traceback` is imported where it is needed: it takes a tenth of the start, and few calls run out of time.

# As many frames as show where a deep recursion goes round.
MOST = 40


def of_thread(ident):
    """The stack of a thread, innermost frame last, from the function's own first frame on."""
    frame = sys._current_frames().get(ident)
    if frame is None:
        return None
    import traceback

    return written(traceback.StackSummary.extract(traceback.walk_stack(frame), limit=MOST, lookup_lines=False))


def of_task(task):
    """Where a task waits: the coroutine, what it awaits, what that awaits."""
    import traceback

    frames = []
    awaited = task.get_coro()
    while awaited is not None and len(frames) < MOST:
        frame = None
        for kind in 'cr', 'gi', 'ag':
            frame = frame or getattr(awaited, kind + '_frame', None)
        if frame is None:
            break
        frames.append((frame, frame.f_lineno))
        for name in 'cr_await', 'gi_yieldfrom', 'ag_await':
            following = getattr(awaited, name, None)
            if following is not None:
                break
        awaited = following
    frames.reverse()
    return written(traceback.StackSummary.extract(iter(frames), lookup_lines=False))


def written(summary):
    """As tracebacks are written. `summary` begins with the innermost frame; the host's own are left out."""
    import traceback

    frames = [frame for frame in reversed(summary) if not frame.filename.startswith('<funchost>')]
    return ''.join(traceback.StackSummary.from_list(frames).format()) or None
