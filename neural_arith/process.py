"""The process around the command line: streams that may fail, and Ctrl-C before there is anything to keep.

Nothing here is slow to import: `leave_at_once` must be in force before the package loads PyTorch and Numba.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from typing import Any, TextIO

__all__ = ["Stream", "interrupts_raise", "leave_at_once", "streams"]

INTERRUPTED = 130
NOTHING_YET = "neural-arith: interrupted before there was a result"


class Stream:
    r"""A stream to print to that never raises: what cannot be printed is dropped and remembered.

    Characters that the encoding lacks are written as escapes, as in ``\xe9``.

    Args:
        stream: where text goes; None where it was closed before the process began.

    Attributes:
        trouble: why something was not printed as it is; empty if all was.
        gone: whether the reader of a pipe had enough, as with ``| head``.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self._silent = stream is None
        self.trouble = "it is closed" if stream is None else ""
        self.gone = False

    def write(self, text: str) -> int:
        """Print text, or drop it."""
        if self._stream is not None and not self._silent:
            try:
                self._stream.write(self._printable(text))
            except (OSError, ValueError) as error:
                self._fail(error)
        return len(text)

    def flush(self) -> None:
        """Send on what was printed."""
        if self._stream is not None and not self._silent:
            try:
                self._stream.flush()
            except (OSError, ValueError) as error:
                self._fail(error)

    def isatty(self) -> bool:
        """Whether a person may be looking."""
        return self._stream is not None and not self._silent and self._stream.isatty()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _printable(self, text: str) -> str:
        encoding = getattr(self._stream, "encoding", None) or "utf-8"
        try:
            text.encode(encoding)
        except UnicodeEncodeError:
            self.trouble = self.trouble or f"{encoding} lacks some of the characters, which are printed as escapes"
            return text.encode(encoding, "backslashreplace").decode(encoding)
        return text

    def _fail(self, error: Exception) -> None:
        self._silent, self.gone = True, isinstance(error, BrokenPipeError)
        self.trouble = (isinstance(error, OSError) and error.strerror) or str(error)
        with contextlib.suppress(OSError, ValueError, AttributeError):
            # what the stream still holds goes nowhere, else the interpreter complains of it when it ends
            nothing = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nothing, self._stream.fileno())  # pyright: ignore[reportOptionalMemberAccess]
            os.close(nothing)


@contextlib.contextmanager
def streams() -> Iterator[Stream]:
    """Put a `Stream` before standard output and one before standard error, and give the first."""
    before = sys.stdout, sys.stderr
    out, err = Stream(sys.stdout), Stream(sys.stderr)
    sys.stdout, sys.stderr = out, err  # pyright: ignore[reportAttributeAccessIssue]
    try:
        yield out
    finally:
        out.flush()
        err.flush()
        sys.stdout, sys.stderr = before


def hold_descriptors() -> None:
    """Open what was closed of the first three descriptors on nothing, so that no file that is written gets one."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one


def leave_at_once() -> None:
    """Let Ctrl-C end the process without a traceback until `interrupts_raise`: nothing would be lost.

    An exception would come out of the middle of an import, where some packages turn it into something else.
    """
    with contextlib.suppress(ValueError):  # not the main thread
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, _leave)


def interrupts_raise() -> None:
    """From now on Ctrl-C raises KeyboardInterrupt, as Python does by itself: there may be something to keep."""
    if signal.getsignal(signal.SIGINT) is _leave:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _leave(number: int, frame: object) -> None:
    with contextlib.suppress(OSError):
        os.write(2, f"{NOTHING_YET}\n".encode())
    os._exit(INTERRUPTED)
