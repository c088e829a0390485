"""Signals: what a handler of the host's does in mid-explanation is not the explanation's."""

import signal
from collections.abc import Iterator
from itertools import pairwise
from types import CodeType, FrameType, FunctionType, MethodType, TracebackType
from typing import Any


def came_from_explanation(error: BaseException) -> bool:
    """Whether an error is the explanation's own.

    It is not if a handler of the host's, such as one for a deadline, raised it while the
    explanation happened to be running. Python calls a handler with the frame that it interrupts,
    which no other call is given, so the traceback shows it: a frame whose arguments hold the frame
    above it, or the code of a handler that is in place now.

    Args:
        error: As caught, with its traceback; those that it was raised from count too.
    """
    handlers = set(_handlers_in_place())
    return not any(_passes_a_handler(one.__traceback__, handlers) for one in _chain(error))


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error and those that it stands for: a model may catch one and raise its own instead."""
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        yield one
        one = one.__cause__ or (None if one.__suppress_context__ else one.__context__)


def _passes_a_handler(traceback: TracebackType | None, handlers: set[CodeType]) -> bool:
    above: FrameType | None = None
    while traceback is not None:
        frame = traceback.tb_frame
        if above is not None and (frame.f_code in handlers or _was_given(frame, above)):
            return True
        above, traceback = frame, traceback.tb_next
    return False


def _was_given(frame: FrameType, above: FrameType) -> bool:
    """Whether a call's arguments are a signal's: a number, and the frame that it interrupted."""
    code = frame.f_code
    count = code.co_argcount + code.co_kwonlyargcount + bool(code.co_flags & 0x04)  # and *args
    found = [frame.f_locals.get(name) for name in code.co_varnames[:count]]
    given = [item for one in found for item in (one if type(one) is tuple else (one,))]
    pairs = pairwise(given)
    return any(second is above and isinstance(first, int) for first, second in pairs)


def _handlers_in_place() -> Iterator[CodeType]:
    for number in signal.valid_signals():
        yield from _codes_of(signal.getsignal(number))


def _codes_of(handler: Any) -> Iterator[CodeType]:
    """The code that runs when a handler is called."""
    if isinstance(handler, MethodType):
        handler = handler.__func__
    elif not isinstance(handler, FunctionType):
        handler = getattr(type(handler), "__call__", None)  # noqa: B004 - for its code
    if isinstance(handler, FunctionType):
        yield handler.__code__
