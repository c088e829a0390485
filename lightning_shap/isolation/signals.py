"""Signals: what a user's handler does in mid-explanation is the user's, not the explanation's."""

import signal
from collections.abc import Iterable
from types import CodeType, FrameType, TracebackType
from typing import Any


def in_handler(frame: FrameType | None) -> bool:
    """Whether a frame was called, however indirectly, by a signal's handler."""
    handlers = _handler_codes()
    while frame is not None:
        if frame.f_code in handlers:
            return True
        frame = frame.f_back
    return False


def raised_in_handler(error: BaseException) -> bool:
    """Whether an error was raised by a signal's handler, in the middle of anything."""
    handlers = _handler_codes()
    return any(frame.f_code in handlers for frame in _frames(error.__traceback__))


def _handler_codes() -> set[CodeType]:
    """The code of every handler that is installed now: a function's, a method's or an object's."""
    codes = set()
    for number in signal.valid_signals():
        handler: Any = signal.getsignal(number)
        if not hasattr(handler, "__code__"):
            handler = type(handler).__dict__.get("__call__")
        code = getattr(handler, "__code__", None)
        if isinstance(code, CodeType):
            codes.add(code)
    return codes


def _frames(traceback: TracebackType | None) -> Iterable[FrameType]:
    while traceback is not None:
        yield traceback.tb_frame
        traceback = traceback.tb_next
