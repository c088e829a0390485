"""Kinds of things: which nobody can change, which are shared on purpose, which are the user's."""

import enum
import functools
import random
import re
import sys
import types
import weakref
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

MOST_KINDS = 10_000  # of which is remembered what they are

LIGHTNING = frozenset({"lightning", "lightning_fabric", "pytorch_lightning"})
# What these keep in their classes, such as a number for the next hook, no training depends on; and
# their own ways of being copied are to be trusted.
LIBRARIES = frozenset(
    {
        *sys.stdlib_module_names,
        *LIGHTNING,
        *("lightning_shap", "lightning_utilities", "numpy", "timm", "torch", "torchmetrics"),
        *("torchvision", "transformers"),
    }
)

# Nobody can change these.
ATOMS = frozenset(
    {
        *(type(None), type(...), type(NotImplemented), bool, int, float, complex, str, bytes),
        *(object, range, slice, types.CodeType, types.ModuleType, re.Pattern, np.dtype, np.ufunc),
        *(torch.device, torch.dtype, torch.layout, torch.memory_format, torch.finfo, torch.iinfo),
    }
)
PROXIES = weakref.ProxyTypes
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


def package_of(kind: type) -> str:
    """Returns the name of the package that defines a class."""
    return str(kind.__module__).partition(".")[0]


def owner_of(kind: type, name: str) -> type | None:
    """Returns the class that a class has an attribute from, None if it has none."""
    return next((base for base in kind.__mro__ if name in vars(base)), None)


@functools.lru_cache(MOST_KINDS)
def is_own(kind: type) -> bool:
    """Returns whether a class is the user's, or of a library that nothing is known of."""
    return package_of(kind) not in LIBRARIES


def is_atom(thing: object) -> bool:
    """Returns whether nothing of a thing can change."""
    kind: Any = type(thing)
    if kind is tuple:  # of such a data set may hold a million
        return all(type(part) in ATOMS for part in thing)  # type: ignore[attr-defined]
    return kind in ATOMS or _is_value(kind)


@functools.lru_cache(MOST_KINDS)
def _is_value(kind: type) -> bool:
    return issubclass(kind, (enum.Enum, np.generic, torch.Size))


@functools.lru_cache(MOST_KINDS)
def is_shared_kind(kind: type) -> bool:
    """Returns whether things of a class are shared on purpose.

    A user's subclass of a logger or strategy is not: it may remember what it likes. A trainer is.
    """
    bases = [kind] if is_own(kind) else kind.__mro__
    if any(base.__name__ == "Trainer" and package_of(base) in LIGHTNING for base in kind.__mro__):
        return True
    return any(package_of(base) in SHARED.get(base.__name__, ()) for base in bases)


def shared_by_all(root: object) -> frozenset[int]:
    """Returns the ids of what the process has one of, and of what the root's Trainer holds."""
    numpy = np.random.mtrand._rand
    shared: list[Any] = [
        *(torch.default_generator, *torch.cuda.default_generators),
        *(getattr(random, "_inst", None), numpy, numpy._bit_generator),
        *(sys.stdin, sys.stdout, sys.stderr),
    ]
    for each in root if isinstance(root, tuple) else (root,):
        trainer = getattr(each, "__dict__", {}).get("_trainer")
        for name in ("strategy", "loggers", "callbacks", "profiler"):
            held = getattr(trainer, name, None)
            shared += held if isinstance(held, Iterable) else [held]
    return frozenset(id(one) for one in shared if one is not None)
