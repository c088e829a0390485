"""The host: what an explanation borrows from its process is given back, whatever ends it.

An interrupt may come at any line, in the middle of giving back too. So whatever changes the host
notes first how to undo it, and each note runs twice: of an interrupted first time there is a
second. One thread explains at a time, as random generators, classes and the compiler's stance are
the process's.
"""

import random
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from typing import Any, Self, TypeVar

import numpy as np
import torch
from torch.utils import _python_dispatch as dispatch

Result = TypeVar("Result")
Note = Callable[[Callable[[], object]], None]

_turn = threading.RLock()


def undisturbed(work: Callable[[Note], Result]) -> Result:
    """Runs some work; random states, and whatever is noted, are as before when it ends.

    So are whether gradients are recorded, whether autocast keeps the weights that it casts, and
    what watches torch's operations.

    Args:
        work: Gets a function that is to be called with what undoes a change of the host, before
            the change is made. It may run twice, and without the change.
    """
    undo = ExitStack()

    def note(put_back: Callable[[], object]) -> None:
        undo.callback(put_back)
        undo.callback(put_back)

    with _turn:
        try:
            try:
                _keep_states(note)
                return work(note)
            finally:
                undo.close()
        finally:
            undo.close()


class Watching(dispatch.TorchDispatchMode):
    """Sees each operation of torch while it is entered, by ``__torch_dispatch__``.

    Torch enters and leaves a mode in several steps, of which an interrupt may skip the last: then
    nothing is compiled or traced in that process any more. This is one step each way, and
    :func:`undisturbed` leaves what an interrupt kept from leaving.
    """

    def __enter__(self) -> Self:
        dispatch._push_mode(self)
        return self

    def __exit__(self, *error: object) -> None:
        dispatch._pop_mode()


def _count_modes() -> int:
    return len(dispatch._get_current_dispatch_mode_stack())


def _leave_modes(before: int) -> None:
    while _count_modes() > before:
        dispatch._pop_mode()


def seed_all(seed: int) -> None:
    """Seeds Python's, NumPy's and torch's generators, those of accelerators too.

    An explanation draws from generators of its own. A model may draw from those that everybody
    shares, such as one that drops out in evaluation too, and so may what prepares the data.
    """
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def run_as_written(note: Note) -> None:
    """Makes whatever is compiled run as it is written, from now on.

    Other batch sizes and modes would otherwise make the compiler trace it again, with dynamic
    shapes from then on, and push the training's own graphs out of its cache.
    """
    frames = sys.modules.get("torch._dynamo.eval_frame")
    if frames is not None:  # else nothing is compiled, and importing it takes a second
        # There are no public names for that. Without the private ones, the stance that nearly all
        # trainings have is put back.
        give_back, stance = (getattr(frames, name, None) for name in ("_set_stance", "_stance"))
        default = partial(torch.compiler.set_stance, "default")
        note(partial(give_back, stance) if give_back and stance else default)
        torch.compiler.set_stance("force_eager")


def lend_to_classes(note: Note, attributes: Mapping[type, Mapping[str, Any]]) -> None:
    """Gives users' classes copies of what their attributes hold, from now on.

    No copy of an object has a class of its own. A class is as it was once the work is over, with
    the very things that it had before.

    Args:
        note: See :func:`undisturbed`.
        attributes: By class and name.
    """
    for kind, copies in attributes.items():
        note(partial(_put_back, kind, dict(vars(kind))))
        for name, value in copies.items():
            type.__setattr__(kind, name, value)


def _put_back(kind: type, before: dict[str, Any]) -> None:
    for name in {*before, *vars(kind)}:
        if name.startswith("__") or vars(kind).get(name, kind) is before.get(name, kind):
            continue
        if name in before:
            type.__setattr__(kind, name, before[name])
        else:
            type.__delattr__(kind, name)


def _keep_states(note: Note) -> None:
    states: list[tuple[Callable[[Any], object], Any]] = [
        (random.setstate, random.getstate()),
        (np.random.set_state, np.random.get_state(legacy=False)),
        (torch.set_rng_state, torch.get_rng_state()),
        (torch.set_grad_enabled, torch.is_grad_enabled()),
        (torch.set_autocast_cache_enabled, torch.is_autocast_cache_enabled()),
        (_leave_modes, _count_modes()),
    ]
    if torch.cuda.is_initialized():  # an idle accelerator is not asked, as this would start it
        states.append((torch.cuda.set_rng_state_all, torch.cuda.get_rng_state_all()))
    if torch.backends.mps.is_available():
        states.append((torch.mps.set_rng_state, torch.mps.get_rng_state()))
    for write, state in states:
        note(partial(write, state))
