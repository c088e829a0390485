"""Random generators of whole libraries: seeded for what may draw from them, and put back.

An explanation draws from generators of its own. A model may draw from those that everybody shares,
such as one that drops out in evaluation too, and so may what prepares the data.
"""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch


def states_kept() -> Callable[[], object]:
    """Returns what puts back the states of Python's, NumPy's and torch's generators.

    An idle accelerator is not asked, as this would start it.
    """
    python, numpy = random.getstate(), np.random.get_state(legacy=False)
    cpu = torch.get_rng_state()
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
    mps = torch.mps.get_rng_state() if torch.backends.mps.is_available() else None

    def put_back() -> None:
        random.setstate(python)
        np.random.set_state(numpy)
        torch.set_rng_state(cpu)
        if cuda:
            torch.cuda.set_rng_state_all(cuda)
        if mps is not None:
            torch.mps.set_rng_state(mps)

    return put_back


def seed_all(seed: int) -> None:
    """Seeds Python's, NumPy's and torch's generators, those of accelerators too."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seeds all generators for a while, and puts their states back."""
    put_back = states_kept()
    try:
        seed_all(seed)
        yield
    finally:
        put_back()
