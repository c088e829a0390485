"""Kinds of things: which nobody can change, which are shared on purpose, which are the user's."""

import enum
import functools
import io
import random
import re
import sys
import types
import weakref
from collections.abc import Iterable

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

MOST_KINDS = 10_000  # of which is remembered what they are

LIGHTNING = frozenset({"lightning", "lightning_fabric", "pytorch_lightning"})
# What these keep in their classes, such as a number for the next hook, no training depends on; and
# their own ways of being copied are to be trusted.
LIBRARIES = LIGHTNING.union(
    sys.stdlib_module_names,
    ("lightning_shap", "lightning_utilities", "numpy", "timm", "torch", "torchmetrics"),
    ("torchvision", "transformers"),
)
# Nobody can change these.
ATOMS = {
    *(type(None), type(...), type(NotImplemented), bool, int, float, complex, str, bytes),
    *(object, range, slice, types.CodeType, types.ModuleType, re.Pattern, np.dtype, np.ufunc),
    *(torch.device, torch.dtype, torch.layout, torch.memory_format, torch.finfo, torch.iinfo),
}
# What these compute was settled when they were made: they remember nothing of their calls.
CODE = (enum.Enum, np.generic, torch.Size, torch.fx.Graph, torch.jit.ScriptFunction)
COMPILED = "cython_function_or_method"  # of NumPy's, among others
# What a run and its process have one of, by the library that defines it: a copy uses the same.
SHARED = {
    "Trainer": LIGHTNING,
    "Fabric": LIGHTNING,
    "Strategy": LIGHTNING,
    "Logger": LIGHTNING | {"logging"},
    "Callback": LIGHTNING,
    "ProcessGroup": frozenset({"torch"}),
    "Stream": frozenset({"torch"}),  # of an accelerator: used in a call, not changed by it
    "Event": frozenset({"torch"}),
}
# Of these there may be gigabytes, and hardly a ``forward`` uses them.
DATA = (Dataset, DataLoader, Sampler)
# What these define, others wait for, or it waits for others: a copy would wait for ever.
WAITING = {"asyncio", "concurrent", "multiprocessing", "queue", "socket", "subprocess", "threading"}
IN_MEMORY = (io.BytesIO, io.StringIO)


def package_of(kind: type) -> str:
    """Returns the name of the package that defines a class."""
    return str(kind.__module__).partition(".")[0]


@functools.lru_cache(MOST_KINDS)
def is_own(kind: type) -> bool:
    """Returns whether a class is the user's, or of a library that nothing is known of."""
    return package_of(kind) not in LIBRARIES


def defines(names: Iterable[str], bases: Iterable[type]) -> bool:
    """Returns whether one of some classes, ``object`` aside, has one of some methods."""
    return any(name in vars(base) for base in bases if base is not object for name in names)


@functools.lru_cache(MOST_KINDS)
def is_shared_kind(kind: type) -> bool:
    """Returns whether things of a class are shared on purpose.

    A user's subclass of a logger or strategy is not: it may remember what it likes. A trainer is.
    """
    bases = [kind] if is_own(kind) else kind.__mro__
    if any(base.__name__ == "Trainer" and package_of(base) in LIGHTNING for base in kind.__mro__):
        return True
    return any(package_of(base) in SHARED.get(base.__name__, ()) for base in bases)


@functools.lru_cache(MOST_KINDS)
def is_fixed_kind(kind: type) -> bool:
    """Returns whether nothing of a thing of a class can change."""
    return kind in ATOMS or issubclass(kind, CODE) or kind.__name__ == COMPILED


def is_uncopied(kind: type) -> bool:
    """Returns whether a copy of a model goes without things of a class."""
    if any(package_of(base) in WAITING for base in kind.__mro__) or kind in weakref.ProxyTypes:
        return True
    # What its owner tidies up after must not be tidied up after a copy: files would be gone.
    return hasattr(kind, "__del__") and not issubclass(kind, (torch.nn.Module, *IN_MEMORY))


def is_its_attributes(kind: type) -> bool:
    """Returns whether things of a class are no more than their attributes, nothing written in C."""
    try:
        object.__new__(kind)
    except TypeError:
        return False
    # A place for a dictionary and one for weak references.
    places = 2 + len(slots_of_kind(kind))
    return kind.__basicsize__ <= object.__basicsize__ + 8 * places


@functools.lru_cache(MOST_KINDS)
def slots_of_kind(kind: type) -> dict[str, types.MemberDescriptorType]:
    """Returns what a class keeps attributes in that are in no dictionary."""
    own = [base for base in kind.__mro__ if "__slots__" in vars(base)]
    slots = [item for base in own for item in vars(base).items()]
    return {name: slot for name, slot in slots if type(slot) is types.MemberDescriptorType}


def shared_ones() -> frozenset[int]:
    """Returns the ids of what the process has one of."""
    numpy = np.random.mtrand._rand
    generators = (torch.default_generator, *torch.cuda.default_generators, numpy)
    streams = (sys.stdin, sys.stdout, sys.stderr)
    python = getattr(random, "_inst", None)
    return frozenset(map(id, (*generators, numpy._bit_generator, python, *streams)))
