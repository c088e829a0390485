"""Generators that a data set owns stand after a look as before, wherever they are held."""

import random
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.utils.data import ConcatDataset, Dataset, Subset

from lightning_shap.isolation.generators import MOST_THINGS, generators_kept

KINDS = {
    "torch": (lambda: torch.Generator().manual_seed(1), lambda g: torch.rand(1, generator=g)),
    "numpy": (lambda: np.random.default_rng(1), lambda g: g.integers(9, dtype=np.uint32)),
    "mersenne": (lambda: np.random.Generator(np.random.MT19937(1)), lambda g: g.random()),
    "legacy": (lambda: np.random.RandomState(1), lambda g: g.standard_normal()),
    "python": (lambda: random.Random(1), lambda g: g.gauss()),
}
NAMED = torch.Generator()


class Slots:
    __slots__ = ("generator",)

    def __init__(self, generator):
        self.generator = generator


class Transform:
    def __init__(self, generator):
        self.generator = generator

    def apply(self, image):
        return torch.rand(1, generator=self.generator)


class Noise(torch.nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function


def of_a_class(generator):
    return type("Shared", (), {"generator": generator})()


def in_a_cycle(generator):
    owner = SimpleNamespace(generator=generator)
    owner.items = [{"parent": owner}]
    return owner.items[0]


def deep_within(generator):
    class Files(Dataset):
        def __len__(self):
            return len(self.samples)

    files = Files()
    files.samples = [(str(n), n) for n in range(3 * MOST_THINGS)]
    noise = Noise(lambda image: torch.rand(1, generator=generator))
    files.transform = torch.nn.Sequential(torch.nn.Sequential(noise))
    split = files
    for _ in range(3):
        split = Subset(ConcatDataset([split]), [0, 1])
    return split


def by_its_name(generator):
    global NAMED
    NAMED = generator
    return lambda images: [torch.rand(1, generator=NAMED) for _ in images]


HOLDERS = {
    "itself": lambda generator: generator,
    "an attribute": Transform,
    "a slot": Slots,
    "a class": of_a_class,
    "a list in a dictionary": lambda generator: {"steps": [(0, generator)]},
    "a closure": lambda generator: lambda: generator,
    "a default": lambda generator: lambda image, g=generator: image,
    "a function that names it": by_its_name,
    "a partial": lambda generator: partial(torch.rand, generator=generator),
    "a method": lambda generator: Transform(generator).apply,
    "a cycle": in_a_cycle,
    "a data set of many files": deep_within,
}


def are_equal(one, other):
    return bool(np.all(np.asarray(one) == np.asarray(other)))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fails", [False, True])
def test_every_kind_of_generator_comes_back(kind, fails):
    make, draw = KINDS[kind]
    generator, twin = make(), make()
    draw(generator), draw(twin)  # some keep a half of what they drew
    expected = [draw(twin) for _ in range(5)]
    try:
        with generators_kept(SimpleNamespace(generator=generator)):
            draw(generator), draw(generator)
            if fails:
                raise KeyError
    except KeyError:
        assert fails
    assert are_equal([draw(generator) for _ in range(5)], expected)


@pytest.mark.parametrize("holder", HOLDERS)
def test_a_generator_is_found_wherever_it_is_held(holder):
    generator = torch.Generator().manual_seed(1)
    before = generator.get_state()
    with generators_kept(None, HOLDERS[holder](generator)):
        torch.rand(1, generator=generator)
        assert not torch.equal(generator.get_state(), before)
    assert torch.equal(generator.get_state(), before)


def test_looking_runs_no_code_of_the_owners_and_copies_nothing():
    class Delicate:
        def __init__(self):
            self.pixels = np.zeros((1000, 1000))
            self.system = random.SystemRandom()  # has no state

        def no(self, *args):
            raise AssertionError("was asked")

        __class__ = property(no)
        __getattribute__ = __len__ = __iter__ = __eq__ = __hash__ = __deepcopy__ = __reduce__ = no

    with generators_kept(Delicate()):
        pass
