"""Random generators of whole libraries: seeded for a model that draws from them, and put back.

An explanation draws from generators of its own. Only a model may draw from those that everybody
shares, such as one that drops out in evaluation too: its explanations would differ from time to
time if they were not seeded, and the training after them if they were not put back. They are left
alone for all other models, since another thread, such as one that prepares data, may be drawing
from them in the meantime.
"""

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch

from lightning_shap.isolation.drawing import drawn_by_this_thread, may_others_draw
from lightning_shap.isolation.interrupts import borrowed

Result = TypeVar("Result")
States = dict[str, Any]

# The generators are the process's: two models that draw take turns.
_turn = threading.RLock()


class Source(NamedTuple):
    """A generator of a whole library.

    Attributes:
        get: Its state.
        set: Gives it a state.
        seeded: The state that a seed gives it.
    """

    get: Callable[[], Any]
    set: Callable[[Any], object]
    seeded: Callable[[int], Any]


def sources() -> dict[str, Source]:
    """The generators there are. An idle accelerator is not asked, as this would start it."""
    found = {
        "python": Source(random.getstate, random.setstate, lambda s: random.Random(s).getstate()),
        "numpy": Source(
            lambda: np.random.get_state(legacy=False),
            np.random.set_state,
            lambda s: np.random.RandomState(s % 2**32).get_state(legacy=False),
        ),
        "cpu": Source(torch.get_rng_state, torch.set_rng_state, lambda s: _of_torch("cpu", s)),
    }
    if torch.cuda.is_initialized():
        found["cuda"] = Source(
            torch.cuda.get_rng_state_all,
            torch.cuda.set_rng_state_all,
            lambda s: [_of_torch(f"cuda:{i}", s) for i in range(torch.cuda.device_count())],
        )
    if torch.backends.mps.is_available():
        found["mps"] = Source(
            torch.mps.get_rng_state, torch.mps.set_rng_state, lambda s: _of_torch("mps", s)
        )
    return found


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed Python, NumPy and torch on every device in use, then put their states back."""
    with _turn, _swapped({name: one.seeded(seed) for name, one in sources().items()}):
        yield


class Draws:
    """Calls of a model, whose draws are the same each time and leave no trace.

    Nothing is seeded at first. If some calls move a generator, and it was not another thread, the
    generator is put back; these calls are made again, and all later ones are made, with the
    generator in a state of the model's own. So the first rows of a model that draws are played
    twice, and three times where other threads may draw as well.

    Args:
        seed: Seed of the states.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._own: States = {}  # of the generators that the model draws from
        self._others: set[str] = set()  # those that move because of another thread

    def call(self, work: Callable[[], Result]) -> Result:
        """Runs some work that calls the model. It may be run several times."""
        while True:
            known = self._own.keys() | self._others
            before = {name: one.get() for name, one in sources().items() if name not in known}
            others = may_others_draw()  # asked first, as one may end in the meantime
            with borrowed(partial(_put_back, before)):
                result = self._with_own(work)
                moved = _moved_since(before)
                drawn = moved
                if moved and others:
                    drawn = moved & drawn_by_this_thread(partial(self._with_own, work))
                for name in before.keys() - drawn:
                    del before[name]  # it is another thread's, and not to be put back
            if not drawn:
                self._others |= moved
                return result
            self._own |= {name: sources()[name].seeded(self.seed) for name in drawn}

    def _with_own(self, work: Callable[[], Result]) -> Result:
        if not self._own:
            return work()
        with _turn, _swapped(self._own):
            result = work()
            self._own = {name: sources()[name].get() for name in self._own}
        return result


@contextmanager
def _swapped(states: States) -> Iterator[None]:
    """Give generators some states for a while."""
    before = {name: sources()[name].get() for name in states}
    with borrowed(partial(_put_back, before)):
        _put_back(states)
        yield


def _put_back(states: States) -> None:
    for name in _moved_since(states):
        sources()[name].set(states[name])


def _moved_since(states: States) -> set[str]:
    """The generators that are not in these states."""
    there_are = sources()
    return {name for name, state in states.items() if not _same(there_are[name].get(), state)}


def _same(one: Any, other: Any) -> bool:
    """Whether two states are the same."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, np.ndarray):
        return np.array_equal(one, other)
    if isinstance(one, dict):
        return all(_same(value, other[name]) for name, value in one.items())
    if isinstance(one, list):
        return all(map(_same, one, other))
    return bool(one == other)


def _of_torch(device: str, seed: int) -> torch.Tensor:
    return torch.Generator(device).manual_seed(seed).get_state()
