"""The host: what an explanation borrows from its process is given back, whatever ends it.

An interrupt may come at any line, in the middle of giving back too. So whatever changes the host
notes first how to undo it, and the outermost call runs all notes, twice: an interrupt in the first
round finds the second one still to come. One thread explains at a time, as random generators,
classes and the compiler's stance are the process's.
"""

import logging
import sys
import threading
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import torch

from lightning_shap.isolation.random_states import states_kept

Result = TypeVar("Result")
PutBack = Callable[[], object]

_log = logging.getLogger(__name__)
_turn = threading.RLock()
_notes: list[list[PutBack]] = []  # of the calls that are under way, the outermost first


def undisturbed(work: Callable[[], Result]) -> Result:
    """Runs some work; random states, and whatever is noted, are as before when it ends.

    So are whether gradients are recorded, and whether autocast keeps the weights that it casts.
    """
    with _turn:
        notes: list[PutBack] = []
        depth = len(_notes)
        try:
            try:
                notes += [
                    states_kept(),
                    _switches(),
                    lambda: _notes.__delitem__(slice(depth, None)),
                ]
                _notes.append(notes)
                return work()
            finally:
                _run_all(notes)
        finally:
            _run_all(notes)


def note(put_back: PutBack) -> None:
    """Notes how to undo a change of the host that is about to be made.

    Args:
        put_back: Undoes it in whole or in part; may run more than once, and before it.
    """
    _notes[-1].append(put_back)


def run_as_written() -> None:
    """Makes whatever is compiled run as it is written, from now on.

    Other batch sizes and modes would otherwise make the compiler trace it again, with dynamic
    shapes from then on, and push the training's own graphs out of its cache.
    """
    if "torch._dynamo" in sys.modules:  # else nothing is compiled, and importing it takes a second
        note(_stance_kept())
        torch.compiler.set_stance("force_eager")


def lend_to_classes(attributes: Mapping[type, Mapping[str, Any]]) -> None:
    """Gives users' classes copies of what their attributes hold, from now on.

    No copy of an object has a class of its own. A class is as it was once the work is over, with
    the very things that it had before.

    Args:
        attributes: By class and name.
    """
    for kind, copies in attributes.items():
        note(_class_kept(kind))
        for name, value in copies.items():
            if vars(kind).get(name) is not value:
                type.__setattr__(kind, name, value)


def _class_kept(kind: type) -> PutBack:
    before = {name: value for name, value in vars(kind).items() if _may_be_set(name)}

    def put_back() -> None:
        after = {name: value for name, value in vars(kind).items() if _may_be_set(name)}
        for name in after.keys() - before.keys():
            type.__delattr__(kind, name)
        for name, value in before.items():
            if name not in after or after[name] is not value:
                type.__setattr__(kind, name, value)

    return put_back


def _may_be_set(name: str) -> bool:
    return not name.startswith("__")


def _stance_kept() -> PutBack:
    """Returns what sets the compiler's stance as it is now; torch has no public name for that.

    Without the private one, the stance that nearly all trainings have is put back.
    """
    frames = sys.modules.get("torch._dynamo.eval_frame")
    stance, give_back = (getattr(frames, name, None) for name in ("_stance", "_set_stance"))
    if stance is None or give_back is None:
        return lambda: torch.compiler.set_stance("default")
    return lambda: give_back(stance)


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
