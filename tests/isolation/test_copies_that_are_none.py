"""Kinds that a deep copy shares with its original: copied all the same, or refused by path."""

import array
import ctypes
import functools
import io
import itertools
import multiprocessing
import types
import weakref
from collections import UserDict

import pytest
import torch
from tiny_training import random_states, same
from torch.utils.data import Dataset, TensorDataset

from lightning_shap import explain
from lightning_shap.errors import ArgumentError
from lightning_shap.isolation.isolated import with_copy
from lightning_shap.isolation.stand_ins import CopyError

IMAGES = torch.rand(2, 1, 4, 4, generator=torch.Generator().manual_seed(0))


class Uses(torch.nn.Module):
    """Its outputs depend on what it holds, and on all its calls."""

    def __init__(self, thing, change):
        super().__init__()
        self.net = torch.nn.Linear(16, 3)
        self.thing, self.change = thing, change

    def forward(self, images):
        return self.net(images.flatten(1)) * (1 + 1e-2 * self.change(self, self.thing))


class Box:
    """Something to be remembered."""

    def __init__(self, calls=0):
        self.calls = calls

    def count(self):
        self.calls += 1
        return self.calls


class Sampler(torch.nn.Module):
    """Has the name of one of torch's classes, and remembers."""

    def __init__(self):
        super().__init__()
        self.calls = 0

    def count(self):
        self.calls += 1
        return self.calls


class Logger(Box):
    """Has the name of one of Lightning's."""


class Strategy(Box):
    """Has the name of one of Lightning's."""


class Bank(Dataset):
    """A memory bank."""

    def __init__(self):
        self.rows = [1.0]

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, row):
        return self.rows[row]


class Cycling:
    """Goes round in its class."""

    order = itertools.cycle(range(1000, 1500))
    seen, calls = [], 0


class Nested:
    """A namespace, in which there is another."""

    class Inner:
        """Counts."""

        rates, calls = [], 0


class Numbers(torch.Tensor):
    """A tensor of a kind of its own."""


class PopsItsCache(Box):
    """Empties a cache when it is asked for its state."""

    def __getstate__(self):
        self.__dict__.pop("cache", None)
        return dict(self.__dict__)


class CountsItsCopies(Box):
    """Counts how often it is copied."""

    def __deepcopy__(self, memo):
        self.calls += 1
        return type(self)(self.calls)


class Returned(Box):
    """Its copies are itself."""

    def __deepcopy__(self, memo):
        return self


class Named(Box):
    """Its copies are what a global name says."""

    def __reduce__(self):
        return "THE_ONE"


class Logs(Box):
    """Writes elsewhere when it is copied."""

    def __init__(self):
        super().__init__()
        self.log = []

    def __deepcopy__(self, memo):
        self.log.append(1)
        return type(self)()


THE_ONE = Named()
KEYS = [Box(), Box()]


def cycled(model, thing):
    Cycling.seen.append(1)
    Cycling.calls += 1
    return next(Cycling.order) % 7 + len(Cycling.seen) + type(thing).calls


def counted_inside(model, thing):
    thing.Inner.calls += 1
    thing.Inner.rates.append(1)
    return thing.Inner.calls + len(thing.Inner.rates)


def weak_values():
    box = Box()
    table = weakref.WeakValueDictionary({"box": box})
    table.kept = box
    return table


def by_proxy():
    return weakref.proxy(KEYS[0]), KEYS[0]


def weak_keys():
    return weakref.WeakKeyDictionary({KEYS[0]: [0]})


def looked_up(model, table):
    value = table.setdefault(next(iter(table.keys())), [])
    value.append(1)
    return len(value)


def added(model, numbers):
    with torch.no_grad():
        numbers.add_(1)
    return float(numbers.sum())


def cached_method(model, thing):
    if not hasattr(model, "get"):
        model.get = functools.lru_cache(maxsize=None)(lambda n: thing.count() + n)
    return model.get(thing.calls)


def cached():
    box = Box()

    @functools.lru_cache(maxsize=8)
    def get(number):
        return box.count() + number

    return types.SimpleNamespace(get=get, box=box)


def shown():
    inside = {"calls": 0}
    return types.SimpleNamespace(inside=inside, shown=types.MappingProxyType(inside))


def counted_and_shown(model, thing):
    thing.inside["calls"] += 1
    return thing.shown["calls"]


# Make, change; each is copied, and the original is none the wiser.
COPIED = {
    "a class's cycle, list and number": (Cycling, cycled),
    "a namespace of nested classes": (lambda: Nested, counted_inside),
    "a module that is called Sampler": (Sampler, lambda m, t: t.count()),
    "an object that is called Logger": (Logger, lambda m, t: t.count()),
    "an object that is called Strategy": (Strategy, lambda m, t: t.count()),
    "a cache of calls, made in a call": (Box, cached_method),
    "a cache of calls": (cached, lambda m, t: t.get(t.box.calls % 3) + t.box.calls),
    "a view of a mapping": (shown, counted_and_shown),
    "a tensor of a user's kind": (lambda: torch.zeros(2).as_subclass(Numbers), added),
    "a shared tensor": (lambda: torch.zeros(2).share_memory_(), added),
    "an array": (lambda: array.array("d", [1]), lambda m, t: (t.append(1), len(t))[1]),
    "bytes in memory": (lambda: io.BytesIO(b"ab"), lambda m, t: (t.write(b"c"), t.tell())[1]),
    "a number of C": (
        lambda: ctypes.c_int(1),
        lambda m, t: (setattr(t, "value", t.value + 1), t.value)[1],
    ),
    "an iterator": (lambda: iter([1, 2, 3] * 99), lambda m, t: next(t)),
    "an iterator of zipped": (
        lambda: zip(range(99), range(99), strict=True),
        lambda m, t: sum(next(t)),
    ),
    "a dictionary of a user's kind": (
        lambda: UserDict(calls=0),
        lambda m, t: (t.update(calls=t["calls"] + 1), t["calls"])[1],
    ),
    "what empties a cache when it is copied": (PopsItsCache, lambda m, t: t.count()),
    "what counts its copies": (CountsItsCopies, lambda m, t: t.count()),
    "what returns itself when it is copied": (Returned, lambda m, t: t.count()),
    "what names a global": (Named, lambda m, t: t.count()),
    "it, deep down": (lambda: {"a": [Box(Returned())]}, lambda m, t: t["a"][0].calls.count()),
    "what writes when it is copied": (Logs, lambda m, t: (t.count(), t.calls + len(t.log))[1]),
    "a very long list": (
        lambda: [[number] for number in range(210_000)],
        lambda m, t: (t.append(t.pop()[:]), len(t))[1],
    ),
}


def snapshot(thing):
    """What can be seen of a thing."""
    return {
        "names": sorted(map(str, vars(thing))) if hasattr(thing, "__dict__") else [],
        "calls": getattr(thing, "calls", None),
        "of classes": (len(Cycling.seen), Cycling.calls, Nested.Inner.calls, Nested.Inner.rates),
    }


def outputs(name, *, explaining):
    """What a model returns between explanations, or without them."""
    make, change = COPIED[name]
    Cycling.order, Cycling.seen, Cycling.calls = itertools.cycle(range(1000, 1500)), [], 0
    Nested.Inner.rates, Nested.Inner.calls = [], 0
    torch.manual_seed(0)
    model = Uses(make(), change)
    if isinstance(model.thing, PopsItsCache):
        model.thing.cache = [1]
    seen = []
    for _ in range(3):
        if explaining:
            assert explain(model, IMAGES, max_evals=6, batch_size=2).record.isolation == "copy"
        seen.append((model(IMAGES).detach(), snapshot(model.thing), random_states()))
    return seen


@pytest.mark.filterwarnings("ignore:Pickle, copy, and deepcopy support will be removed")
@pytest.mark.parametrize("name", COPIED)
def test_it_is_copied_and_left_as_it_was(name):
    assert same(outputs(name, explaining=True), outputs(name, explaining=False))


def deep():
    chain = []
    for _ in range(100_000):
        chain = [chain]
    return chain


REFUSED = {
    "deeper than can be copied": (deep, "RecursionError"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_in_a_sentence_that_names_it(name):
    make, words = REFUSED[name]
    model = Uses(make(), lambda m, t: 1)
    with pytest.raises(CopyError, match=rf"model: .*{words}.*module=") as caught:
        explain(model, IMAGES, max_evals=4)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("make", "change"),
    [
        (weak_values, lambda m, t: t["box"].count()),
        (weak_keys, looked_up),
        (by_proxy, lambda m, t: t[0].count()),
    ],
)
def test_what_holds_others_weakly_is_refused_where_it_is_used(make, change):
    thing = make()
    assert explain(Uses(thing, lambda m, t: 1), IMAGES, max_evals=4).record.isolation == "copy"
    with pytest.raises(ArgumentError, match=r"model: uses a .*(Weak|weak|Proxy).*, which cannot"):
        explain(Uses(thing, change), IMAGES, max_evals=4)


@pytest.mark.filterwarnings("ignore:.*torch.ao.quantization is deprecated")
@pytest.mark.filterwarnings("ignore:.*quantize_per_tensor.* are deprecated")
@pytest.mark.filterwarnings("ignore:.*torch.jit.*is deprecated")
def test_quantised_layers_and_functions_of_torchscript_are_copied():
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 3))
    model = torch.ao.quantization.quantize_dynamic(model, {torch.nn.Linear})
    model[1].kept = torch.jit.script(torch.nn.functional.relu6)
    assert explain(model, IMAGES, max_evals=6).record.isolation == "copy"
    assert with_copy(model, lambda twin: torch.equal(twin(IMAGES), model(IMAGES)))


def test_a_value_of_several_processes_is_refused_where_it_is_used():
    shared = multiprocessing.get_context("spawn").Value("i", 3)

    def change(model, value):
        value.value += 1
        return value.value

    assert explain(Uses(shared, lambda m, t: 1), IMAGES, max_evals=4).record.isolation == "copy"
    with pytest.raises(ArgumentError, match=r"model: uses a .*Synchronized, which cannot"):
        explain(Uses(shared, change), IMAGES, max_evals=4)
    assert shared.value == 3


@pytest.mark.parametrize("make", [Bank, lambda: TensorDataset(torch.zeros(2))])
def test_a_data_set_is_not_copied_and_refused_where_it_is_used(make):
    bank = make()
    assert explain(Uses(bank, lambda m, t: 1), IMAGES, max_evals=4).record.isolation == "copy"
    with pytest.raises(ArgumentError, match=r"model: uses a .*(Bank|TensorDataset), which"):
        explain(Uses(bank, lambda m, t: len(t)), IMAGES, max_evals=4)
