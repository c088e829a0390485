"""Signals: what a handler of the host's does in mid-explanation is not the explanation's."""

from itertools import pairwise
from traceback import walk_tb
from types import FrameType
from typing import Any


def came_from_explanation(error: BaseException | None) -> bool:
    """Returns whether an error is the explanation's own.

    It is not if a handler of the host's, such as one for a deadline, raised it while the
    explanation happened to be running. Python calls a handler with the signal's number and the
    frame that it interrupts, which no other call is given, so the traceback shows it.

    Args:
        error: As caught, with its traceback; those that it was raised from count too, as a model
            may catch one and raise its own instead.
    """
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        frames = (frame for frame, _ in walk_tb(error.__traceback__))
        if any(_was_given(frame, above) for above, frame in pairwise(frames)):
            return False
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return True


def _was_given(frame: FrameType, above: FrameType) -> bool:
    given: list[Any] = []
    for held in frame.f_locals.values():
        given += held if type(held) is tuple else (held,)
    return any(isinstance(number, int) and at is above for number, at in pairwise(given))
