"""Copies: of a model, or of what prepares its data, and of all that hangs on them.

``copy.deepcopy`` copies most kinds of things. Some it hands out as they are, such as closures and
what weak references point to, and one lock, open file or tensor in the middle of a graph refuses
the whole. There is one rule for each of these kinds, in :meth:`Copy._copied`, which holds at any
depth: the memo that ``deepcopy`` looks things up in asks for it. A user's module is copied by its
attributes, and not by code of its own. What comes out is audited.
"""

import copy
import copyreg
import functools
import gc
import itertools
import warnings
import weakref
from collections.abc import Callable
from contextlib import suppress
from types import BuiltinMethodType, CellType, FunctionType, MappingProxyType, MethodType
from typing import Any, Generic, TypeVar

import numpy as np
import torch

from lightning_shap.isolation.audit import CopyError, Unchanged, check_apart
from lightning_shap.isolation.kinds import MOST_KINDS, PROXIES, is_atom, is_own, owner_of
from lightning_shap.isolation.modes import outside_inference
from lightning_shap.isolation.object_graph import (
    ObjectGraph,
    TooManyError,
    added_to_script,
    class_attributes,
    compiled_from,
    is_local,
    names_of,
    target_of,
)
from lightning_shap.isolation.signals import came_from_explanation
from lightning_shap.isolation.stand_ins import (
    LOCKS,
    Uncopied,
    Unwrapped,
    counting_on,
    is_uncopied,
    wrapped_in,
)
from lightning_shap.isolation.tensors import tensor_twins

Root = TypeVar("Root")

WEAK_TABLES = (weakref.WeakKeyDictionary, weakref.WeakValueDictionary)
CACHED = type(functools.lru_cache(print))
BUILT_IN = frozenset({dict, list, tuple, set, frozenset})
# What a class has of its own whose things are not just their attributes.
WAYS = ("__new__", "__reduce__", "__reduce_ex__", "__getstate__", "__hash__")


class Copy(Generic[Root]):
    """A copy of an object and of all that hangs on it, such as what a module's hooks write to.

    What is the run's or the process's stays shared: trainer, loggers, process groups, standard
    streams, functions of Python modules. What cannot be copied at all, such as an open file, is
    replaced by what refuses to be used.

    Args:
        original: Is only read; a tuple of several.
        with_data: Copy data sets and loaders too, however large.

    Attributes:
        root: The copy.
        of_classes: What a copy of each of the users' classes would have in its attributes.

    Raises:
        CopyError: If some of the copy would be the original's.
        MemoryError: If there is no room for it.
    """

    def __init__(self, original: Root, *, with_data: bool = False) -> None:
        try:
            self._graph = ObjectGraph(original, into_data=with_data)
        except TooManyError as error:
            raise CopyError(f"{error}, which is more than an explanation copies") from error
        self._left: set[int] = set()
        self._tensors: list[int] = []  # that have twins of our making
        self._alive: list[Any] = []  # so that no number in the memo is given twice
        self._memo = _Memo(self)
        things = list(self._graph.things.values())
        unchanged = Unchanged(self._graph)
        try:
            with outside_inference(), torch.no_grad():
                tensors = [one for one in things if issubclass(type(one), torch.Tensor)]
                for tensor, twin in zip(tensors, tensor_twins(tensors), strict=True):
                    if twin is not None:
                        self._memo[id(tensor)] = twin
                        self._tensors.append(id(tensor))
                for tensor in tensors:
                    self._complete(tensor)
                self.root: Root = self.twin(original)
                self.of_classes = {
                    kind: {name: self.twin(one) for name, one in class_attributes(kind).items()}
                    for kind in things
                    if issubclass(type(kind), type) and is_own(kind)
                }
        finally:
            unchanged.check()
        check_apart(self._graph, (self.root, self.of_classes))

    def release(self) -> None:
        """Gives the tensors' memory back now, as modules in a cycle would keep it for long."""
        for key in self._tensors:
            twin = self._memo[key]
            twin.data = twin.data.new_empty(0)
        self._memo.clear()
        self._alive.clear()
        self._graph.things.clear()

    def twin(self, thing: Any) -> Any:
        """Returns what the copy has in the place of a thing."""
        if is_atom(thing):
            return thing
        key, kind = id(thing), type(thing)
        if key in self._memo:
            return self._memo[key]
        if kind not in BUILT_IN:
            twin = self.made(key)
            return copy.deepcopy(thing, self._memo) if twin is None else twin
        self._alive.append(thing)
        if kind is dict:
            twin = self._memo[key] = {}
            twin.update({self.twin(name): self.twin(value) for name, value in thing.items()})
            return twin
        if kind is list:
            twin = self._memo[key] = []
            twin += [self.twin(part) for part in thing]
            return twin
        parts = kind(self.twin(part) for part in thing)
        return self._memo.setdefault(key, parts)  # a part may have led back to it

    def made(self, key: int) -> Any:
        """Returns the twin of a thing that ``deepcopy`` is not to copy; None if it is to."""
        thing = self._graph.things.get(key)
        if thing is None or key in self._left or type(thing) in BUILT_IN:
            return None
        return self._memo.setdefault(key, self._copied(thing))

    def _copied(self, thing: Any) -> Any:
        kind: Any = type(thing)
        if self._graph.is_shared(thing):
            return thing
        maker = _maker_of(kind)
        if maker is not None:
            return maker(self, thing)
        if id(thing) in self._graph.large or is_uncopied(kind):
            return Uncopied(kind)
        if issubclass(kind, torch.nn.Module):
            return self._module(thing)
        if _is_its_attributes(kind):
            return self._by_attributes(thing)
        return self._by_deepcopy(thing)

    def _by_deepcopy(self, thing: Any) -> Any:
        kind: Any = type(thing)
        self._left.add(id(thing))
        try:
            if kind.__module__ != "itertools":
                return copy.deepcopy(thing, self._memo)
            with warnings.catch_warnings():  # Python announces that it will not copy these for ever
                warnings.simplefilter("ignore", DeprecationWarning)
                return copy.deepcopy(thing, self._memo)
        except (CopyError, MemoryError, RecursionError, torch.OutOfMemoryError):
            raise
        except Exception as error:  # it may say no in any way
            if not came_from_explanation(error) or "during iteration" in str(error):
                raise
            if issubclass(kind, torch.Tensor) and type(twin := thing.detach().clone()) is kind:
                twin.__dict__.update(
                    {name: self.twin(one) for name, one in names_of(thing).items()}
                )
                return twin.requires_grad_(thing.requires_grad)
            if issubclass(kind, (torch.nn.Module, torch.Tensor)):
                path = self._graph.path_to(thing)
                raise CopyError(
                    f"{path} cannot be copied ({type(error).__name__}: {error})"
                ) from error
            return Uncopied(kind)

    def _by_attributes(self, thing: Any) -> Any:
        twin = self._memo[id(thing)] = object.__new__(type(thing))
        for name, value in names_of(thing).items():
            object.__setattr__(twin, name, self.twin(value))
        return twin

    def _module(self, module: Any) -> Any:
        kind = type(module)
        name = wrapped_in(module)
        if name is not None:
            twin = self._memo[id(module)] = Unwrapped(name)
            twin.training = module.training
            setattr(twin, name, self.twin(getattr(module, name)))
            return twin
        own = owner_of(kind, "__deepcopy__")
        if own is not None and not is_own(own):
            twin = self._by_deepcopy(module)
            if isinstance(module, torch.jit.ScriptModule):
                for name, value in added_to_script(module).items():
                    object.__setattr__(twin, name, self.twin(value))
            return twin
        if hasattr(kind, "__del__"):  # the end of a copy is nobody's
            kind = type(kind.__name__, (kind,), {"__del__": lambda self: None})
        twin = self._memo[id(module)] = object.__new__(kind)
        names = {name: self.twin(value) for name, value in names_of(module).items()}
        vars(twin).update(names)
        return twin

    def _complete(self, tensor: torch.Tensor) -> None:
        """Copies what hangs on a tensor, where this was not done together with it."""
        names = names_of(tensor) if id(tensor) in self._memo else {}
        if names:
            self._memo[id(tensor)].__dict__.update(
                {name: self.twin(value) for name, value in names.items()}
            )

    def function(self, function: FunctionType) -> Any:
        """Returns the twin of a function: itself where it belongs to a Python module."""
        original = compiled_from(function)
        if original is not None:  # as it is written: compiling a copy again would take long
            cell = CellType()
            twin = self._memo[id(function)] = _calling(cell)
            cell.cell_contents = self.twin(original)
            return twin
        if not is_local(function):
            return function
        cells = tuple(self.twin(cell) for cell in function.__closure__ or ())
        if id(function) in self._memo:  # it is in a cell of its own
            return self._memo[id(function)]
        twin = self._memo[id(function)] = FunctionType(
            function.__code__, function.__globals__, function.__name__, closure=cells
        )
        twin.__qualname__ = function.__qualname__
        twin.__defaults__ = self.twin(function.__defaults__)
        twin.__kwdefaults__ = self.twin(function.__kwdefaults__)
        vars(twin).update({name: self.twin(value) for name, value in vars(function).items()})
        return twin

    def cell(self, cell: CellType) -> CellType:
        """Returns the twin of what functions keep a variable in."""
        twin = self._memo[id(cell)] = CellType()
        with suppress(ValueError):  # it has no contents yet
            twin.cell_contents = self.twin(cell.cell_contents)
        return twin

    def reference(self, reference: Any) -> Any:
        """Returns a weak reference to the twin of what another one points to."""
        target = target_of(reference)
        # The memo keeps what a weak reference does not.
        return reference if target is None else type(reference)(self.twin(target))

    def proxy(self, proxy: Any) -> Any:
        """Returns a weak proxy of the twin of what another one stands for."""
        target = target_of(proxy)
        return proxy if target is None else weakref.proxy(self.twin(target))

    def table(self, table: Any) -> Any:
        """Returns a table of weak references to the twins of what another one points to."""
        twin = self._memo[id(table)] = type(table)()
        for key, value in table.items():
            twin[self.twin(key)] = self.twin(value)
        return twin

    def method(self, method: Any) -> Any:
        """Returns the same method of the twin of its owner."""
        return MethodType(self.twin(method.__func__), self.twin(method.__self__))

    def built_in_method(self, method: Any) -> Any:
        """Returns the same method, written in C, of the twin of its owner."""
        owner = method.__self__
        return method if is_atom(owner) else getattr(self.twin(owner), method.__name__, method)

    def array(self, array: Any) -> Any:
        """Returns what stands for an array in a file: itself, unless it can be written to."""
        return Uncopied(type(array)) if array.flags.writeable else array


class _Memo(dict[int, Any]):
    """What ``deepcopy`` notes twins in, and asks for the twin of a thing before it copies it."""

    def __init__(self, owner: Copy[Any]) -> None:
        super().__init__()
        self.owner = weakref.ref(owner)

    def get(self, key: Any, default: Any = None) -> Any:
        """Returns the twin of the thing with an id, made now if there is a rule for it."""
        owner = self.owner()
        twin = self[key] if key in self or owner is None else owner.made(key)
        return default if twin is None else twin


MAKERS: dict[Any, Callable[[Copy[Any], Any], Any]] = {
    **{kind: lambda copied, lock: LOCKS[type(lock)]() for kind in LOCKS},
    **dict.fromkeys(PROXIES, Copy.proxy),
    **dict.fromkeys(WEAK_TABLES, Copy.table),
    FunctionType: Copy.function,
    CellType: Copy.cell,
    MethodType: Copy.method,
    BuiltinMethodType: Copy.built_in_method,
    weakref.ref: Copy.reference,
    weakref.WeakSet: lambda copied, table: weakref.WeakSet(map(copied.twin, table)),
    np.memmap: Copy.array,
    # The mapping that it shows; and an empty cache of the same function.
    MappingProxyType: lambda copied, shown: MappingProxyType(
        copied.twin(gc.get_referents(shown)[0])
    ),
    CACHED: lambda copied, cached: functools.lru_cache(**cached.cache_parameters())(
        copied.twin(cached.__wrapped__)
    ),
    itertools.count: lambda copied, counter: counting_on(counter),  # 3.14 copies none
}


@functools.lru_cache(MOST_KINDS)
def _maker_of(kind: type) -> Callable[[Copy[Any], Any], Any] | None:
    return next((MAKERS[base] for base in kind.__mro__ if base in MAKERS), None)


@functools.lru_cache(MOST_KINDS)
def _is_its_attributes(kind: type) -> bool:
    """Whether an object is made of nothing, has its attributes, and is equal to itself alone."""
    plain = all(getattr(kind, name) is getattr(object, name) for name in WAYS)
    special = hasattr(kind, "__deepcopy__") or hasattr(kind, "__setstate__")
    return plain and not special and kind not in copyreg.dispatch_table


def _calling(cell: CellType) -> FunctionType:
    def call(*args: Any, **kwargs: Any) -> Any:
        return cell.cell_contents(*args, **kwargs)

    return call  # type: ignore[return-value]
