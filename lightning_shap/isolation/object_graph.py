"""What hangs on an object, as Python's collector sees it: none of the object's own code runs."""

import functools
import gc
import sys
import weakref
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from types import FunctionType, MemberDescriptorType, MethodType
from typing import Any

import numpy as np
import torch

from lightning_shap.isolation.kinds import (
    DATA,
    MOST_KINDS,
    PROXIES,
    is_atom,
    is_own,
    is_shared_kind,
    shared_by_all,
)
from lightning_shap.isolation.stand_ins import is_uncopied

# What holds more is no model, and would take seconds to copy.
MOST_THINGS = 200_000
# These say what a module computes, and remember nothing of its calls.
CODE = (torch.fx.Graph,)
# Data of more things is not copied: a ``forward`` that uses it is refused.
SMALL = 10_000


class TooManyError(ValueError):
    """More hangs on an object than is looked at."""


class ObjectGraph:
    """All that hangs on an object, however deep, each thing once.

    It ends at what is shared on purpose and at what no copy can have. The classes of things belong
    to it where they are the user's, with what their attributes hold.

    Args:
        root: The object; a tuple of several.
        shared: The ids of things that are shared on purpose; by default those of everybody.
        into_classes: Look at what classes hold.
        into_data: Look at all that data sets and loaders hold.
        ends: Says of a thing that what it holds is not to be looked at.
        most: How many things it may be.

    Attributes:
        things: By their ids. The graph keeps them, so that none is given twice.
        large: The ids of the data among them that is too much to be copied.

    Raises:
        TooManyError: If there are more.
    """

    def __init__(
        self,
        root: object,
        *,
        shared: frozenset[int] | None = None,
        into_classes: bool = True,
        into_data: bool = False,
        ends: Callable[[Any], bool] = lambda thing: False,
        most: int = MOST_THINGS,
    ) -> None:
        self.shared = shared_by_all(root) if shared is None else shared
        self.into_classes = into_classes
        self.into_data = into_data
        self.root = root
        self.ends = ends
        self.things: dict[int, Any] = {}
        self.large: set[int] = set()
        waiting = [root]
        while waiting:
            thing = waiting.pop()
            if id(thing) in self.things or is_atom(thing):
                continue
            if len(self.things) >= most:
                raise TooManyError(f"{type(root).__name__} holds more than {most:,} things")
            self.things[id(thing)] = thing
            waiting += self.followed(thing)

    def is_shared(self, thing: object) -> bool:
        """Returns whether a thing is shared on purpose."""
        kind: Any = type(thing)
        return id(thing) in self.shared or is_shared_kind(kind)

    def path_to(self, wanted: object) -> str:
        """Returns by which names a thing is reached from the root, such as ``net.cache[0]``."""
        waiting, seen = deque([(self.root, "")]), {id(self.root)}
        while waiting:
            thing, path = waiting.popleft()
            if thing is wanted:
                return path.lstrip(".") or type(thing).__name__
            followed = self.followed(thing)
            named = _named(thing) if followed else []
            for name, part in [*named, *(("", part) for part in followed)]:
                if id(part) not in seen and not is_atom(part):
                    seen.add(id(part))
                    waiting.append((part, path + name))
        return type(wanted).__name__

    def followed(self, thing: Any) -> list[Any]:
        """Returns what hangs on a thing directly, nothing if the graph ends there."""
        kind: Any = type(thing)
        if issubclass(kind, type):
            return class_parts(thing) if self.into_classes and is_own(thing) else []
        if (
            self.is_shared(thing)
            or issubclass(kind, CODE)
            or is_uncopied(kind)
            or self.ends(thing)
            or self._is_large(thing)
        ):
            return []
        return parts_of(thing)

    def _is_large(self, thing: Any) -> bool:
        if self.into_data or not issubclass(type(thing), DATA):
            return False
        if id(thing) not in self.large:
            try:
                ObjectGraph(
                    thing, shared=self.shared, into_classes=False, into_data=True, most=SMALL
                )
            except TooManyError:
                self.large.add(id(thing))
        return id(thing) in self.large


def parts_of(thing: Any) -> list[Any]:
    """Returns what hangs on a thing directly."""
    kind = type(thing)
    if kind is dict:
        return [*thing.keys(), *thing.values()]
    if kind is FunctionType:
        return parts_of_function(thing)
    if kind is MethodType:
        own = getattr(type(thing.__self__), thing.__name__, None) is thing.__func__
        return [thing.__self__] if own else [thing.__self__, thing.__func__]
    if kind in PROXIES or isinstance(thing, weakref.ref):
        return [target_of(thing)]
    if isinstance(thing, torch.Tensor):
        return [thing.grad if thing.is_leaf else None, *names_of(thing).values()]
    if isinstance(thing, np.ndarray):
        return list(thing.flat) if thing.dtype.hasobject else []
    if isinstance(thing, torch.jit.ScriptModule):
        inside = (thing.parameters(recurse=False), thing.buffers(recurse=False), thing.children())
        return [*added_to_script(thing).values(), *(one for some in inside for one in some)]
    return gc.get_referents(thing)


def class_parts(kind: type) -> list[Any]:
    """Returns what the attributes of a class hold, and its bases."""
    return [*class_attributes(kind).values(), *kind.__bases__]


def class_attributes(kind: type) -> dict[str, Any]:
    """Returns the attributes of a class that say what its things are, and not what they do."""
    return {
        name: value
        for name, value in vars(kind).items()
        if not name.startswith("__")
        and not hasattr(type(value), "__set__")
        and (not hasattr(type(value), "__get__") or hasattr(value, "cache_parameters"))
    }


def parts_of_function(function: FunctionType) -> list[Any]:
    """Returns what a function that was made while running keeps to itself."""
    if compiled_from(function) is not None:
        return [compiled_from(function)]
    if not is_local(function):
        return []
    defaults = (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values())
    return [*(function.__closure__ or ()), *defaults, *vars(function).values()]


def compiled_from(function: FunctionType) -> Any:
    """Returns what ``torch.compile`` made a function from, None where it did not."""
    return vars(function).get("_torchdynamo_orig_callable")


def is_local(function: FunctionType) -> bool:
    """Returns whether a function was made while running and has something of its own to keep.

    Others belong to their module, as does what they write to.
    """
    if not (function.__closure__ or function.__defaults__ or function.__kwdefaults__):
        return False
    owner: Any = sys.modules.get(function.__module__ or "")
    for name in function.__qualname__.split("."):
        owner = getattr(owner, name, None)
    return owner is not function


def target_of(reference: Any) -> Any:
    """Returns what a weak reference or proxy points to; None if that is gone."""
    if type(reference) not in PROXIES:
        return weakref.ref.__call__(reference)
    try:
        return reference.__repr__.__self__
    except ReferenceError:
        return None


def names_of(thing: Any) -> dict[str, Any]:
    """Returns an object's own attributes, those in slots too; no code of its class runs."""
    try:
        names = dict(object.__getattribute__(thing, "__dict__"))
    except (AttributeError, TypeError):
        names = {}
    kind: Any = type(thing)
    for name, slot in _slots_of(kind):
        with suppress(AttributeError):  # nothing is in it yet
            names[name] = slot.__get__(thing)
    return names


@functools.lru_cache(MOST_KINDS)
def _slots_of(kind: type) -> list[tuple[str, MemberDescriptorType]]:
    own = [base for base in kind.__mro__ if "__slots__" in vars(base)]
    slots = [item for base in own for item in vars(base).items()]
    return [(name, slot) for name, slot in slots if type(slot) is MemberDescriptorType]


def added_to_script(module: torch.jit.ScriptModule) -> dict[str, Any]:
    """Returns what Python code has hung on a compiled module: the compiler knows nothing of it."""
    return {
        name: value
        for name, value in vars(module).items()
        if not name.startswith("_") and name != "forward"
    }


def _named(thing: Any) -> list[tuple[str, Any]]:
    """Returns the parts of a thing that have names there, for a message."""
    if isinstance(thing, type):
        return [(f".{name}", part) for name, part in class_attributes(thing).items()]
    if isinstance(thing, dict):
        return [(f"[{key!r}]", part) for key, part in dict.items(thing)]
    if isinstance(thing, (list, tuple)):
        return [(f"[{place}]", part) for place, part in enumerate(thing)]
    names = names_of(thing)
    if isinstance(thing, torch.nn.Module):
        for own in ("_modules", "_parameters", "_buffers"):
            names |= names.get(own) or {}
    return [(f".{name}", part) for name, part in names.items()]
