"""Give back what was borrowed from the host, even if Ctrl-C comes at any line.

``with`` and ``finally`` are not enough. An interrupt may come when a context manager has changed
something and is not entered yet, or in the middle of putting it back. So whatever changes the host
notes first how to undo it, and the outermost call runs all notes that are left, twice: an
interrupt in the first round finds the second one still to come.
"""

import logging
import threading
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

import torch

Result = TypeVar("Result")
PutBack = Callable[[], object]

_log = logging.getLogger(__name__)
_together: dict[Hashable, tuple[set[object], PutBack]] = {}
_turn = threading.RLock()
_notes: ContextVar[list[PutBack] | None] = ContextVar("notes", default=None)


def undisturbed(work: Callable[[], Result]) -> Result:
    """Runs some work; whatever it has borrowed by :func:`borrowed` is back when it ends.

    The same goes for what belongs to this thread: whether gradients are recorded, and whether
    autocast keeps the weights that it casts.
    """
    outer, notes = _notes.get(), [_switches()]

    def put_back() -> None:
        _run_all(notes)
        _notes.set(outer)

    try:
        try:
            _notes.set(notes)
            return work()
        finally:
            put_back()
    finally:
        put_back()


@contextmanager
def borrowed(put_back: PutBack) -> Iterator[None]:
    """Around a change of the host: ``put_back`` undoes it, at the end of the block or later.

    Args:
        put_back: Undoes what the block does, in whole or in part; may run more than once.
    """
    notes = _notes.get()
    if notes is not None:
        notes.append(put_back)
    try:
        yield
    finally:
        put_back()
        if notes is not None and put_back in notes:
            notes.remove(put_back)


@contextmanager
def borrowed_together(
    what: Hashable, keep: Callable[[], PutBack], change: Callable[[], object] = lambda: None
) -> Iterator[None]:
    """The same of what belongs to the whole process: of several threads, the last puts it back.

    Args:
        what: Is borrowed, by any name.
        keep: Looks at how it is, and returns what makes it so again.
        change: Changes it.
    """
    mine = object()

    def put_back() -> None:
        with _turn:
            borrowers, give_back = _together.get(what, (set(), None))
            if borrowers == {mine} and give_back is not None:
                give_back()
                del _together[what]
            borrowers.discard(mine)

    with borrowed(put_back):
        with _turn:
            if what not in _together:
                _together[what] = (set(), keep())
            _together[what][0].add(mine)
            change()
        yield


def _switches() -> PutBack:
    gradients, cached = torch.is_grad_enabled(), torch.is_autocast_cache_enabled()

    def put_back() -> None:
        torch.set_grad_enabled(gradients)
        torch.set_autocast_cache_enabled(cached)

    return put_back


def _run_all(notes: list[PutBack]) -> None:
    while notes:
        try:
            notes[-1]()
        except Exception:
            # One thing that cannot be put back must not keep the others from it.
            _log.warning("something of the host's could not be put back", exc_info=True)
        notes.pop()
