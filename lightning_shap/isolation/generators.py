"""Random generators that belong to nobody but a data set or a model: found, and put back."""

import gc
import random
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from types import CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np
import torch

# A search ends here, so that a data set of a million file names costs no more than a small one.
# What is held nearest is found first, and a transform's generator is a few steps away.
MOST_THINGS = 10_000
MOST_HELD_BY_ONE = 1_000

GENERATORS = (torch.Generator, np.random.Generator, np.random.RandomState, random.Random)

# These lead nowhere: data, and modules, through which everything could be reached.
LEAVES = (str, bytes, int, float, complex, torch.Tensor, np.ndarray, ModuleType)


@contextmanager
def generators_kept(*owners: object) -> Iterator[None]:
    """Put back the states of the random generators that some objects own, however deep.

    Those of whole libraries are :func:`lightning_shap.isolation.modes.seeded`'s. Nothing is copied
    but the states, since data sets may be large, hold open files, and not be for copying.

    Args:
        owners: Such as a data set, or a function that makes batches.
    """
    put_back = [putting_back(one) for owner in owners for one in _generators_of(owner)]
    try:
        yield
    finally:
        for action in put_back:
            action()


def putting_back(generator: Any) -> Callable[[], object]:
    """What gives a generator the state back that it has now."""
    if isinstance(generator, torch.Generator):
        state: Any = generator.get_state()
        return lambda: generator.set_state(state)
    if isinstance(generator, np.random.Generator):
        bits = generator.bit_generator
        state = bits.state
        return lambda: setattr(bits, "state", state)
    if isinstance(generator, np.random.RandomState):
        state = generator.get_state(legacy=False)
        return lambda: generator.set_state(state)
    state = generator.getstate()
    return lambda: generator.setstate(state)


def _generators_of(owner: object) -> Iterator[Any]:
    """The generators that are held by an object, or by what it holds; nearest first.

    Classes come last, since through their methods and bases they lead to whole libraries.
    """
    seen: dict[int, object] = {}  # which keeps them, so that no number is given twice
    waiting, classes = deque([owner]), deque[object]()
    while (waiting or classes) and len(seen) < MOST_THINGS:
        thing = (waiting or classes).popleft()
        if id(thing) in seen:
            continue
        seen[id(thing)] = thing
        # The type itself is asked, as an object may do anything when asked for its class.
        if issubclass(type(thing), GENERATORS):
            if not issubclass(type(thing), random.SystemRandom):  # which has no state
                yield thing
        else:
            held = (one for one in _held_by(thing) if not issubclass(type(one), LEAVES))
            for one in islice(held, MOST_HELD_BY_ONE):
                (classes if issubclass(type(one), type) else waiting).append(one)


def _held_by(thing: object) -> list[Any]:
    """What an object refers to; attributes are not asked for, as this might run their code."""
    if type(thing) is not FunctionType:
        return gc.get_referents(thing)
    theirs = thing.__globals__  # all of its module's, of which it uses those that it names
    used = [theirs[name] for name in _names_in(thing.__code__) if name in theirs]
    return [thing.__closure__, thing.__defaults__, thing.__kwdefaults__, *used]


def _names_in(code: CodeType) -> Iterator[str]:
    """The global names that some code uses, those in its inner functions included."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names_in(constant)
