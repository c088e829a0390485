"""What hangs on a model: all that a deep copy of it would come to, and closures besides."""

import functools
import random
import re
import sys
import warnings
import weakref
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from types import BuiltinMethodType, CellType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
import torch

# Nobody can change these.
ATOMS = frozenset(
    {
        *(type(None), type(...), type(NotImplemented), bool, int, float, complex, str, bytes),
        *(range, CodeType, ModuleType, re.Pattern, torch.device, torch.dtype, torch.layout),
        *(torch.memory_format, torch.finfo, torch.iinfo),
    }
)
CONTAINERS = frozenset({list, tuple, set, frozenset})
EMPTY = frozenset({dict, list, tuple, set, OrderedDict})
PROXIES = weakref.ProxyTypes

# On these hangs a whole run, and none of it is the model's. By name, as Lightning has two packages.
OF_THE_RUN = frozenset(
    {"Trainer", "Fabric", "Strategy", "Logger", "Dataset", "DataLoader", "Sampler", "ProcessGroup"}
)
# Modules that call another one, which they keep by this name: on other ranks too, or compiled.
WRAPPERS = {"DistributedDataParallel": "module", "OptimizedModule": "_orig_mod"}
STREAMS = frozenset({"Stream", "Event"})  # of an accelerator: used in a call, not changed by it

# What holds more is no model, and would take seconds to look at.
MOST_THINGS = 200_000
MOST_KINDS = 10_000  # whose properties are remembered


@dataclass(frozen=True, slots=True)
class Reached:
    """A thing, and how it says that it is to be copied.

    Attributes:
        thing: Whatever is not an atom.
        shared: It is the run's or the process's, and no copy has its own.
        reduced: What its ``__reduce_ex__`` returns; None for what is copied in another way.
        problem: What it raised instead.
    """

    thing: Any
    shared: bool = False
    reduced: tuple[Any, ...] | None = None
    problem: Exception | None = None


def reached_from(root: object) -> list[Reached]:
    """All that a deep copy of an object would come to, each thing once, parts before wholes.

    Raises:
        ValueError: If it is more than any model holds.
    """
    reached = list(_walk([root]))
    if len(reached) >= MOST_THINGS:
        raise ValueError(f"{type(root).__name__} holds more than {MOST_THINGS:,} things")
    return reached


def all_reached_from(*roots: object) -> Iterator[Reached]:
    """All that hangs on some objects, or as much of it as can be looked at in a second.

    That is also what is no part of a copy: empty containers, which may be filled, and what an
    object leaves out when it is copied, or copies in its own way.
    """
    return _walk(list(roots), whole=True)


def kinds_reached_from(*roots: object) -> set[type]:
    """The classes of all that hangs on some objects."""
    return {type(reached.thing) for reached in all_reached_from(*roots) if not reached.shared}


def _walk(waiting: list[object], *, whole: bool = False) -> Iterator[Reached]:
    seen: dict[int, object] = {}  # which keeps them, so that no number is given twice
    everybodys = {id(one) for one in _everybodys()}
    while waiting:
        thing = waiting.pop()
        if type(thing) is Reached:  # and all its parts have been
            yield thing
            continue
        if is_atom(thing) or id(thing) in seen or len(seen) >= MOST_THINGS:
            continue
        seen[id(thing)] = thing
        if id(thing) in everybodys or is_of_the_run(thing):
            yield Reached(thing, shared=True)
            continue
        reached = _looked_at(thing)
        waiting.append(reached)
        parts = [*_parts(reached), *names_of(thing).values()] if whole else _parts(reached)
        waiting.extend(part for part in reversed(parts) if whole or not is_empty(part))


def is_atom(thing: object) -> bool:
    """Whether nothing of a thing can change."""
    kind: Any = type(thing)
    if kind is tuple:  # of such a data set may hold a million
        return all(type(part) in ATOMS for part in thing)  # type: ignore[attr-defined]
    return kind in ATOMS or issubclass(kind, type)


def is_empty(thing: object) -> bool:
    """Whether a thing is a container with nothing in it, as most of a module's attributes are."""
    return type(thing) in EMPTY and not thing


def is_of_the_run(thing: Any) -> bool:
    """Whether a thing, or what it weakly points to, is the run's."""
    kind: Any = type(target_of(thing) if type(thing) in PROXIES else thing)
    return _is_kind_of_the_run(kind)


@contextmanager
def quietly() -> Iterator[None]:
    """Python announces that the things of ``itertools`` will not be copied for ever."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


def wrapped_in(thing: Any) -> str | None:
    """The name by which a wrapper keeps the module that it calls; None for what is no wrapper."""
    if not isinstance(thing, torch.nn.Module):
        return None
    names = (WRAPPERS.get(kind.__name__) for kind in type(thing).__mro__)
    return next((name for name in names if name is not None), None)


@functools.lru_cache(MOST_KINDS)
def _is_kind_of_the_run(kind: type) -> bool:
    names = {one.__name__ for one in kind.__mro__}
    streams = STREAMS if kind.__module__.startswith("torch") else frozenset()
    return not names.isdisjoint(OF_THE_RUN | streams)


def _everybodys() -> tuple[Any, ...]:
    """The generators of whole libraries, and what the process writes to."""
    numpy = np.random.mtrand._rand
    return (
        *(torch.default_generator, *torch.cuda.default_generators),
        *(getattr(random, "_inst", None), numpy, numpy._bit_generator),
        *(sys.stdin, sys.stdout, sys.stderr),
    )


def target_of(reference: Any) -> Any:
    """What a weak reference or proxy points to; None if that is gone."""
    if type(reference) not in PROXIES:
        return reference()
    try:
        return reference.__repr__.__self__
    except ReferenceError:
        return None


def is_local(function: FunctionType) -> bool:
    """Whether a function was made while running and has something of its own to keep.

    Others belong to their module, as does what they write to.
    """
    if not (function.__closure__ or function.__defaults__ or function.__kwdefaults__):
        return False
    owner: Any = sys.modules.get(function.__module__ or "")
    for name in function.__qualname__.split("."):
        owner = getattr(owner, name, None)
    return owner is not function


def names_of(thing: Any) -> dict[str, Any]:
    """An object's own attributes, those in slots too; no code of its class runs."""
    try:
        names = dict(object.__getattribute__(thing, "__dict__"))
    except (AttributeError, TypeError):
        names = {}
    for kind in type(thing).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            slot = kind.__dict__.get(name)
            try:
                names[name] = slot.__get__(thing, kind)  # type: ignore[union-attr]
            except AttributeError:
                continue
    return names


def added_to_script(module: torch.jit.ScriptModule) -> dict[str, Any]:
    """What Python code has hung on a compiled module, of which the compiler knows nothing."""
    return {
        name: value
        for name, value in vars(module).items()
        if not name.startswith("_") and name != "forward"
    }


def _looked_at(thing: Any) -> Reached:
    kind: Any = type(thing)
    if isinstance(thing, (torch.Tensor, np.ndarray)) or _has_its_own_way(kind):
        return Reached(thing)
    if wrapped_in(thing) is not None:
        return Reached(thing)
    try:
        with quietly() if kind.__module__ == "itertools" else nullcontext():
            reduced = thing.__reduce_ex__(4)
    except Exception as error:  # it may say no in any way
        return Reached(thing, problem=error)
    return Reached(thing, reduced=reduced if isinstance(reduced, tuple) else None)


@functools.lru_cache(MOST_KINDS)
def _has_its_own_way(kind: type) -> bool:
    """Whether things of a kind are copied without being asked for what they are made of."""
    return (
        kind in CONTAINERS
        or kind in PROXIES
        or kind in (dict, CellType, FunctionType, MethodType, BuiltinMethodType, weakref.ref)
        or hasattr(kind, "__deepcopy__")
    )


def _parts(reached: Reached) -> list[Any]:
    """What hangs on a thing directly."""
    thing, kind = reached.thing, type(reached.thing)
    if kind is dict:
        return [*thing.keys(), *thing.values()]
    if kind in CONTAINERS:
        return list(thing)
    if isinstance(thing, torch.Tensor):
        return [names_of(thing)] if kind is not torch.Tensor else []
    if isinstance(thing, np.ndarray):
        return list(thing.flat) if thing.dtype.hasobject else []
    if kind is CellType:
        return _contents(thing)
    if kind is FunctionType:
        return _parts_of_function(thing)
    if kind is MethodType:
        own = getattr(type(thing.__self__), thing.__name__, None) is thing.__func__
        return [thing.__self__] if own else [thing.__self__, thing.__func__]
    if kind is BuiltinMethodType:
        return [thing.__self__]
    if kind is weakref.ref or kind in PROXIES:
        return [target_of(thing)]
    if reached.reduced is not None:
        _, arguments, state, *items = (*reached.reduced, None, None, None)[:5]
        parts = [*arguments, *(part for each in items if each is not None for part in each)]
        return [*parts, *_values_of(state)]
    wrapped = wrapped_in(thing)
    if wrapped is not None:
        return [getattr(thing, wrapped)]
    if isinstance(thing, torch.jit.ScriptModule):
        return [*added_to_script(thing).values()]
    if isinstance(thing, torch.nn.Module) or reached.problem is not None:
        return [*names_of(thing).values()]
    return []


def _values_of(state: Any) -> list[Any]:
    """A state's values: most hold nothing, and those are not worth looking at."""
    if not isinstance(state, Mapping):
        return [state]
    return [one for one in state.values() if type(one) not in ATOMS and not is_empty(one)]


def compiled_from(function: FunctionType) -> Any:
    """What ``torch.compile`` made a function from, None where it did not."""
    return vars(function).get("_torchdynamo_orig_callable")


def _parts_of_function(function: FunctionType) -> list[Any]:
    if compiled_from(function) is not None:
        return [compiled_from(function)]
    if not is_local(function):
        return []
    cells = function.__closure__ or ()
    defaults = (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values())
    return [*cells, *defaults, *vars(function).values()]


def _contents(cell: CellType) -> list[Any]:
    try:
        return [cell.cell_contents]
    except ValueError:  # it has none yet
        return []
