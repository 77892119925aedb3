"""sys.stdout and sys.stderr: text streams whose lines go to the host's log."""

import io
import os
import sys


class Buffer(io.BufferedIOBase):
    """What programs find as `sys.stdout.buffer`."""

    mode = 'wb'

    def __init__(self, writer, fd, name):
        self.write = writer.write_bytes
        self.name = name
        self._fd = fd

    def writable(self):
        return True

    def fileno(self):
        return self._fd

    def close(self):
        """The log outlives whoever closes it."""


class Stream(io.TextIOBase):
    """A text stream without a buffer of its own: lines are put together per call, on the host's side."""

    encoding = 'utf-8'
    errors = 'backslashreplace'
    line_buffering = True
    write_through = True
    mode = 'w'

    def __init__(self, writer, fd, name):
        # An attribute of the instance, so that print() reaches the host without a Python frame.
        self.write = writer.write
        self.buffer = Buffer(writer, fd, name)
        self.name = name

    def writable(self):
        return True

    def fileno(self):
        return self.buffer.fileno()

    def reconfigure(self, **_):
        """Lines are UTF-8 and go out at once, whatever is asked for."""

    def detach(self):
        return self.buffer

    def close(self):
        """The log outlives whoever closes it."""


def install(stdout, stderr):
    sys.stdout = sys.__stdout__ = Stream(stdout, 1, '<stdout>')
    sys.stderr = sys.__stderr__ = Stream(stderr, 2, '<stderr>')
    os.register_at_fork(after_in_child=_after_fork)


def _after_fork():
    """A forked child has none of the threads that write the host's log."""
    for name, fd in ('stdout', 1), ('stderr', 2):
        stream = open(fd, 'w', buffering=1, encoding='utf-8', errors='backslashreplace', closefd=False)
        setattr(sys, name, stream)
        setattr(sys, f'__{name}__', stream)
