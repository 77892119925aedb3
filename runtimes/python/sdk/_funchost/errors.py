"""Exceptions as text."""

OURS = '<funchost>'


class Stopped(BaseException):
    """Raised in a handler that nobody waits for any more: its deadline has passed or its client has gone.

    Not an `Exception`, so that a handler's ordinary error handling does not swallow it.
    """

    __module__ = 'funchost'


def describe(error):
    """Type, message and traceback of an exception, without frames of the host."""
    import traceback

    report = traceback.TracebackException(type(error), error, error.__traceback__)
    _without_ours(report, set())
    return _name(type(error)), _text(error), ''.join(report.format())


def _without_ours(report, seen):
    if report is None or id(report) in seen:
        return
    seen.add(id(report))
    report.stack[:] = [frame for frame in report.stack if not frame.filename.startswith(OURS)]
    _without_ours(report.__cause__, seen)
    _without_ours(report.__context__, seen)
    for part in getattr(report, 'exceptions', None) or ():
        _without_ours(part, seen)


def _name(kind):
    module = getattr(kind, '__module__', None)
    return kind.__qualname__ if module in ('builtins', '__main__', None) else f'{module}.{kind.__qualname__}'


def _text(error):
    try:
        return str(error)
    except Exception:
        return f'<{type(error).__name__} whose str() fails>'


def install(stray):
    """Has exceptions that end a thread reported to the host."""
    import threading

    def report(arguments):
        if arguments.exc_type is not SystemExit:
            error = arguments.exc_value
            stray(error if error is not None else arguments.exc_type())

    threading.excepthook = report
