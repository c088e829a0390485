"""Random generators that belong to a module: what they are, and how they are put back."""

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

GENERATORS = (torch.Generator, np.random.Generator, np.random.RandomState, random.Random)


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
