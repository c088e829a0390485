"""Rules for kinds that Python does not pickle, or not as a copy that is all its own.

Each says how a thing is made anew, in the form in which ``pickle`` wants it: what to call, with
what, and what the result is then filled with. The parts are taken to pieces by the same rules.
"""

import copy
import copyreg
import functools
import gc
import io
import sys
import threading
import weakref
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable
from contextlib import suppress
from types import CellType, FunctionType, MappingProxyType, MethodType, SimpleNamespace
from typing import Any

import numpy as np
import torch

from lightning_shap.isolation.kinds import (
    MOST_KINDS,
    defines,
    is_fixed_kind,
    is_its_attributes,
    is_own,
    is_uncopied,
    package_of,
    slots_of_kind,
)
from lightning_shap.isolation.signals import came_from_explanation
from lightning_shap.isolation.stand_ins import ADVICE, CopyError, Uncopied, Unwrapped

Recipe = tuple[Any, ...]

# Modules of torch's that call another one: on other ranks too, or compiled.
WRAPPERS = ("DistributedDataParallel", "OptimizedModule")


class Ready:
    """Goes into the copy as it is.

    Args:
        thing: Of the copy's own, or shared on purpose.
    """

    def __init__(self, thing: Any) -> None:
        self.thing = thing


def ready(thing: Any, **state: Any) -> Recipe:
    """Returns the recipe for what is there already, but for its state; see :func:`filled`."""
    return filled(_itself, Ready(thing), **state)


def filled(
    make: Callable[..., Any],
    *args: Any,
    names: dict[str, Any] | None = None,
    slots: dict[str, Any] | None = None,
    add: Callable[..., Any] | None = None,
    items: Iterable[tuple[Any, ...]] = (),
) -> Recipe:
    """Returns the recipe for what is made by a call and then filled, by no code of its class.

    Args:
        make: To be called.
        args: With these.
        names: Attributes for its dictionary.
        slots: Other attributes.
        add: Takes it and what an item has, for each item.
        items: What it contains.
    """
    if not (names or slots or add):
        return make, args
    return make, args, (names or {}, slots or {}, add, list(items)), None, None, _fill


def _fill(twin: Any, state: tuple[Any, ...]) -> None:
    names, slots, add, items = state
    if names:
        object.__getattribute__(twin, "__dict__").update(names)
    for name, value in slots.items():
        object.__setattr__(twin, name, value)
    for item in items:
        add(twin, *item)


def _itself(thing: Any) -> Any:
    return thing


def attributes_of(thing: Any) -> dict[str, Any]:
    """Returns an object's attributes, as :func:`filled` takes them. No code of its class runs."""
    kind: Any = type(thing)
    names: dict[str, Any] = {}
    slots: dict[str, Any] = {}
    with suppress(AttributeError, TypeError):
        names = dict(object.__getattribute__(thing, "__dict__"))
    for name, slot in slots_of_kind(kind).items():
        with suppress(AttributeError):  # nothing is in it yet
            slots[name] = slot.__get__(thing)
    return {"names": names, "slots": slots}


def state_of_class(kind: type) -> dict[str, Any]:
    """Returns the attributes of a class that say what its things are, and not what they do."""
    return {
        name: value
        for name, value in vars(kind).items()
        if not name.startswith("__")
        and not is_fixed_kind(type(value))  # type: ignore[arg-type]
        and not hasattr(type(value), "__set__")
        and (not hasattr(type(value), "__get__") or hasattr(value, "cache_parameters"))
    }


def is_local(function: FunctionType) -> bool:
    """Returns whether a function was made while running and has something of its own to keep.

    Others belong to their module, as does what they write to.
    """
    defaults = function.__defaults__ or function.__kwdefaults__
    if not (function.__closure__ or defaults or vars(function)):
        return False
    owner: Any = sys.modules.get(function.__module__ or "")
    for name in function.__qualname__.split("."):
        owner = getattr(owner, name, None)
    return owner is not function


def compiled_from(function: FunctionType) -> Any:
    """Returns what ``torch.compile`` made a function from, None where it did not."""
    return vars(function).get("_torchdynamo_orig_callable")


def _by_attributes(thing: Any) -> Recipe:
    """Returns the recipe for an object that is no more than its attributes."""
    kind = type(thing)
    if hasattr(kind, "__del__"):  # the end of a copy is nobody's
        kind = type(kind.__name__, (kind,), {"__del__": lambda self: None})
    return filled(object.__new__, kind, **attributes_of(thing))


def _container(thing: Any) -> Recipe:
    kind, state = type(thing), attributes_of(thing)
    for value in VALUES:
        if issubclass(kind, value):
            return filled(value.__new__, kind, *value.__getnewargs__(thing), **state)
    base = next(base for base in CONTAINERS if issubclass(kind, base))
    every, add = CONTAINERS[base]
    if base is defaultdict:
        state["slots"]["default_factory"] = thing.default_factory
    return filled(base.__new__, kind, **state, add=add, items=every(thing))


def _uncopied(thing: Any) -> Recipe:
    return ready(Uncopied(type(thing)))


def _as_its_library_says(thing: Any) -> Any:
    kind = type(thing)
    try:
        if hasattr(kind, "__deepcopy__") and not issubclass(kind, np.ndarray):
            return ready(copy.deepcopy(thing))
        reduce = copyreg.dispatch_table.get(kind)
        return thing.__reduce_ex__(4) if reduce is None else reduce(thing)
    except (MemoryError, RecursionError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # it may say no in any way
        if not came_from_explanation(error):
            raise
        return _uncopied(thing)


def _module(module: torch.nn.Module) -> Recipe:
    """Takes a module to pieces by its attributes, whatever its class says."""
    bases = {base.__name__ for base in type(module).__mro__ if package_of(base) == "torch"}
    if "FSDPModule" in bases:
        raise CopyError("model", f"a {type(module).__name__} is spread over all ranks{ADVICE}")
    if not bases.isdisjoint(WRAPPERS):
        names = {"_modules": module._modules, "training": module.training}
        return filled(Unwrapped, names=names)
    if not isinstance(module, torch.jit.ScriptModule):
        return _by_attributes(module)
    if hasattr(module, "training"):
        # A deep copy would share the plans that TorchScript makes when a module is first called.
        twin = torch.jit.load(io.BytesIO(module.save_to_buffer()))
    else:  # frozen, as some that cannot be saved are: it no longer trains
        twin = copy.deepcopy(module)
    own = {*vars(twin), "forward"}  # the rest Python code has hung on it
    return ready(twin, slots={n: one for n, one in vars(module).items() if n not in own})


def _function(function: FunctionType) -> Recipe:
    original = compiled_from(function)
    if original is not None:  # as it is written: compiling a copy again would take long
        return _itself, (original,)
    names = ("__defaults__", "__kwdefaults__", "__qualname__", "__module__")
    return filled(
        FunctionType,
        *(function.__code__, Ready(function.__globals__), function.__name__, None),
        function.__closure__,
        names=vars(function),
        slots={name: getattr(function, name) for name in names},
    )


def _cell(cell: CellType) -> Recipe:
    with suppress(ValueError):  # it may have no contents yet
        return filled(CellType, slots={"cell_contents": cell.cell_contents})
    return CellType, ()


def _reference(reference: Any) -> Recipe:
    target = weakref.ref.__call__(reference)
    return ready(reference) if target is None else (type(reference), (target,))


# How to see all items of a container, and to add one.
CONTAINERS: dict[Any, tuple[Callable[[Any], Any], Callable[..., Any]]] = {
    OrderedDict: (OrderedDict.items, OrderedDict.__setitem__),
    defaultdict: (dict.items, dict.__setitem__),
    dict: (dict.items, dict.__setitem__),
    list: (lambda some: zip(list.__iter__(some), strict=True), list.append),
    set: (lambda some: zip(set.__iter__(some), strict=True), set.add),
    SimpleNamespace: (lambda some: (), setattr),
}
VALUES: tuple[Any, ...] = (tuple, str, bytes, int, float, complex)
RULES: dict[Any, Callable[[Any], Recipe]] = {
    FunctionType: _function,
    CellType: _cell,
    MethodType: lambda method: (MethodType, (method.__func__, method.__self__)),
    weakref.ref: _reference,
    **dict.fromkeys((weakref.WeakKeyDictionary, weakref.WeakValueDictionary), _uncopied),
    # Nobody else uses a copy, so that its locks are free.
    type(threading.Lock()): lambda lock: (threading.Lock, ()),
    type(threading.RLock()): lambda lock: (threading.RLock, ()),
    MappingProxyType: lambda shown: (MappingProxyType, (gc.get_referents(shown)[0],)),
    # An empty cache of the same function.
    type(functools.lru_cache(print)): lambda cached: (
        functools.lru_cache(**cached.cache_parameters()),
        (cached.__wrapped__,),
    ),
    # What stands for an array in a file: itself, unless it can be written to.
    np.memmap: lambda some: ready(Uncopied(np.memmap) if some.flags.writeable else some),
    torch.nn.Module: _module,
}


# By what a class says how its things are copied, and how they are made.
WAYS = ("__reduce__", "__reduce_ex__", "__getstate__", "__setstate__", "__deepcopy__")
MAKING = ("__new__", "__init__", "__getnewargs__", "__getnewargs_ex__")


@functools.lru_cache(MOST_KINDS)
def rule_for(kind: type) -> Callable[[Any], Recipe]:
    """Returns the rule for things of a class."""
    if is_uncopied(kind):
        return _uncopied
    for base in kind.__mro__:
        if base in RULES:
            return RULES[base]
    own = [base for base in kind.__mro__ if is_own(base)] if is_own(kind) else []
    if is_its_attributes(kind) and (own or not defines(WAYS, kind.__mro__)):
        return _by_attributes
    if own and issubclass(kind, (*VALUES, *CONTAINERS)):
        return _container
    return _uncopied if defines(WAYS + MAKING, own) else _as_its_library_says
