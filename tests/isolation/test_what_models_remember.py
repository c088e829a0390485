"""Whatever a model remembers of its calls, wherever it keeps it: explanations leave no trace."""

import array
import io
import itertools
import random
import weakref
from collections import Counter, OrderedDict, defaultdict, deque
from dataclasses import dataclass, field
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tiny_training import same
from torch.nn.functional import batch_norm, cross_entropy
from torchmetrics import MeanMetric, MetricCollection, SumMetric

from lightning_shap import explain


@dataclass
class Data:
    thing: object
    calls: int = 0
    seen: list = field(default_factory=list)


@dataclass(frozen=True)
class Frozen:
    thing: object


@dataclass(slots=True)
class Slots:
    thing: object


class Owner:
    def __init__(self, thing):
        self.thing = thing

    def get(self):
        return self.thing

    def __call__(self):
        return self.thing


def by_a_default(thing):
    def get(thing=thing):
        return thing

    return get


def by_two_closures(thing):
    """Of which the second rebinds what the first reads."""

    def get():
        return thing

    def put(other):
        nonlocal thing
        thing = other

    get.put = put
    return get


def grown(sequence):
    sequence.append(1.0)
    return len(sequence)


def counted(box):
    box.calls += 1
    return box.calls


def turned(order):
    order.move_to_end(next(iter(order)))
    return next(iter(order))


def through_numpy(tensor):
    tensor.numpy()[...] += 1
    return float(tensor)


def through_data(tensor):
    tensor.data.add_(1)
    return float(tensor)


def in_place(tensor):
    with torch.no_grad():
        tensor.add_(1)
    return float(tensor.sum())


def resized(tensor):
    tensor.resize_(len(tensor) + 1).fill_(1)
    return float(tensor.sum())


def array_added(values):
    values += 1
    return float(values[0])


def normed(layer):
    batch_norm(torch.rand(4, 2, generator=torch.Generator()), *layer.buffers(), training=True)
    return float(layer.mean.sum())


def metric_updated(metric):
    metric.update(1.5)
    return float(metric.compute())


def metrics_updated(metrics):
    metrics.update(1.5)
    return float(metrics["SumMetric"].compute())


def learnt(layer):
    with torch.no_grad():
        layer.weight.mul_(1.01)
    return float(layer.weight.detach().sum())


def built(layer):
    layer.add_module(f"part {len(layer)}", torch.nn.Identity())
    return len(layer)


def hooked(layer):
    layer.register_forward_hook(lambda *args: None)
    return len(layer._forward_hooks)


def thawed(layer):
    layer.weight.requires_grad_(not layer.weight.requires_grad)
    return float(layer.weight.requires_grad)


def running():
    layer = torch.nn.Module()
    layer.register_buffer("mean", torch.zeros(2))
    layer.register_buffer("variance", torch.ones(2))
    return layer


def in_a_cycle():
    box = SimpleNamespace(calls=0)
    box.self = [box]
    return box


def in_a_graph():
    return (torch.ones(1, requires_grad=True) * 1.0).detach_().mul_(1)


# What is remembered, and how a call changes it and depends on it.
THINGS = {
    "a list": (list, grown),
    "a deque": (lambda: deque(maxlen=40), grown),
    "an array of Python's": (lambda: array.array("d"), grown),
    "a bytearray": (bytearray, lambda b: (b.append(1), len(b))[1]),
    "a set": (set, lambda s: (s.add(len(s)), len(s))[1]),
    "a dictionary": (dict, lambda d: (d.update({len(d): 1}), len(d))[1]),
    "a dictionary of lists": (lambda: {"a": {"b": []}}, lambda d: grown(d["a"]["b"])),
    "a default dictionary": (lambda: defaultdict(list), lambda d: grown(d["a"])),
    "a counter": (Counter, lambda c: (c.update("a"), c["a"])[1]),
    "the order of an OrderedDict": (lambda: OrderedDict.fromkeys(range(50)), turned),
    "a namespace": (lambda: SimpleNamespace(calls=0), counted),
    "a data class": (lambda: Data(None), counted),
    "a list of a data class": (lambda: Data(None), lambda d: grown(d.seen)),
    "a slot": (lambda: Slots(0), lambda s: (setattr(s, "thing", s.thing + 1), s.thing)[1]),
    "a cycle": (in_a_cycle, lambda box: counted(box.self[0])),
    "a count": (itertools.count, next),
    "a count in steps": (lambda: itertools.count(0.5, 0.25), next),
    "a cycle of numbers": (lambda: itertools.cycle([1, 2, 3]), next),
    "an iterator": (lambda: iter(range(1000)), next),
    "a text file in memory": (io.StringIO, lambda f: (f.write("a"), f.tell())[1]),
    "a tensor": (lambda: torch.zeros(1), in_place),
    "a tensor through .data": (lambda: torch.zeros(1), through_data),
    "a tensor through NumPy": (lambda: torch.zeros(1), through_numpy),
    "a tensor's size": (lambda: torch.zeros(1), resized),
    "a tensor of whole numbers": (lambda: torch.zeros(1, dtype=torch.long), in_place),
    "an array": (lambda: np.zeros(2), array_added),
    "an array of things": (lambda: np.array([[], None], dtype=object), lambda a: grown(a[0])),
    "torch's generator": (
        lambda: torch.Generator().manual_seed(1),
        lambda g: float(torch.rand((), generator=g)),
    ),
    "NumPy's generator": (lambda: np.random.default_rng(1), lambda g: g.random()),
    "NumPy's old generator": (lambda: np.random.RandomState(1), lambda g: g.normal()),
    "Python's generator": (lambda: random.Random(1), lambda g: g.gauss()),
    "a method of a generator": (lambda: random.Random(1).random, lambda draw: draw()),
    "a method of a list": (lambda: [].append, lambda add: (add(1), len(add.__self__))[1]),
    "weights": (lambda: torch.nn.Linear(2, 2), learnt),
    "whether weights are trained": (lambda: torch.nn.Linear(2, 2), thawed),
    "running statistics": (running, normed),
    "a layer that grows": (torch.nn.Sequential, built),
    "hooks": (torch.nn.Identity, hooked),
    "a metric": (MeanMetric, metric_updated),
    "metrics": (lambda: MetricCollection([SumMetric(), MeanMetric()]), metrics_updated),
}


def weakly(m, thing):
    m.net.kept = Owner(thing)
    m.it = weakref.ref(m.net.kept)


def parent_by_weak_reference(m, thing):
    m.thing = thing
    m.net.parent = weakref.ref(m)


def parent_in_a_list(m, thing):
    m.thing = thing
    m.net.parent = [m]


def unregistered(m, thing):
    layer = torch.nn.Identity()
    layer.thing = thing
    m.it = [layer]


def past_setattr(m, thing):
    layer = torch.nn.Identity()
    layer.thing = thing
    object.__setattr__(m, "it", layer)


# Where it is kept: how it is put there, and found again.
PLACES = {
    "an attribute": (lambda m, x: setattr(m, "it", x), lambda m: m.it),
    "an attribute of a part": (lambda m, x: setattr(m.net, "it", x), lambda m: m.net.it),
    "a list": (lambda m, x: setattr(m, "it", [0, [x]]), lambda m: m.it[1][0]),
    "a dictionary": (lambda m, x: setattr(m, "it", {"a": {1: x}}), lambda m: m.it["a"][1]),
    "a tuple": (lambda m, x: setattr(m, "it", ((x,),)), lambda m: m.it[0][0]),
    "a namespace": (
        lambda m, x: setattr(m, "it", SimpleNamespace(x=SimpleNamespace(y=x))),
        lambda m: m.it.x.y,
    ),
    "a data class": (lambda m, x: setattr(m, "it", Data([x])), lambda m: m.it.thing[0]),
    "a frozen data class": (lambda m, x: setattr(m, "it", Frozen(x)), lambda m: m.it.thing),
    "a slot": (lambda m, x: setattr(m, "it", Slots(x)), lambda m: m.it.thing),
    "an object": (lambda m, x: setattr(m, "it", Owner(x)), lambda m: m.it.thing),
    "an object that is called": (lambda m, x: setattr(m, "it", Owner(x)), lambda m: m.it()),
    "a bound method": (lambda m, x: setattr(m, "it", Owner(x).get), lambda m: m.it()),
    "a closure": (lambda m, x: setattr(m, "it", lambda: x), lambda m: m.it()),
    "two closures": (lambda m, x: setattr(m, "it", by_two_closures(x)), lambda m: m.it()),
    "a default": (lambda m, x: setattr(m, "it", by_a_default(x)), lambda m: m.it()),
    "a partial": (lambda m, x: setattr(m, "it", partial(lambda y: y, x)), lambda m: m.it()),
    "behind a weak reference": (weakly, lambda m: m.it().thing),
    "a parent known by a weak reference": (
        parent_by_weak_reference,
        lambda m: m.net.parent().thing,
    ),
    "a parent in a list": (parent_in_a_list, lambda m: m.net.parent[0].thing),
    "a module in a list": (unregistered, lambda m: m.it[0].thing),
    "a module past registration": (past_setattr, lambda m: m.it.thing),
}

EVERYWHERE = ("a list", "a tensor", "NumPy's generator", "a count")
TABLE = [("an attribute", thing) for thing in THINGS]
TABLE += [(place, thing) for place in PLACES for thing in EVERYWHERE if place != "an attribute"]


class Remembering(torch.nn.Module):
    """Its outputs depend on all its calls."""

    def __init__(self, place, thing):
        super().__init__()
        make, self.change = THINGS[thing]
        put, self.find = PLACES[place]
        self.net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 3))
        put(self, make())

    def forward(self, images):
        return self.net(images) * (1 + 1e-2 * self.change(self.find(self)))


def trained(module, explaining):
    """The weights and losses of a training, in which it is explained between and within steps."""
    generator = torch.Generator().manual_seed(2)
    images = torch.rand(4, 1, 4, 4, generator=generator)
    labels = torch.tensor([0, 1, 2, 0])
    optimizer = torch.optim.SGD(module.net.parameters(), lr=0.1)
    losses = []
    for _ in range(3):
        explaining(module, images[:2])
        loss = cross_entropy(module(images), labels)
        explaining(module, images[:2])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses, module.state_dict(), [p.requires_grad for p in module.parameters()]


def nothing(module, images):
    pass


def one(module, images):
    assert explain(module, images, max_evals=6, batch_size=2).record.isolation == "copy"


@pytest.mark.parametrize(("place", "thing"), TABLE)
def test_it_is_left_as_it_was(place, thing):
    def made():
        torch.manual_seed(0)
        return Remembering(place, thing)

    assert same(trained(made(), one), trained(made(), nothing))


class Stubborn(Remembering):
    """Says no to being copied, and is copied by its attributes."""

    def __deepcopy__(self, memo):
        raise NotImplementedError("there is only one of me")


@pytest.mark.parametrize("thing", ["a list", "a tensor", "NumPy's generator", "a count"])
def test_it_is_in_a_module_that_will_not_be_copied(thing):
    def made():
        torch.manual_seed(0)
        return Stubborn("an attribute", thing)

    assert same(trained(made(), one), trained(made(), nothing))
