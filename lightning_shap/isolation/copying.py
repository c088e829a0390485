"""A copy of a model, which its forward passes may change as they like.

``copy.deepcopy`` does most of it, and leaves out what matters here: closures would go on writing to
the original and weak references pointing to it, and one lock, open file or tensor in the middle of
a graph refuses the whole. So all that it would come to is looked at first, and for each thing that
needs care a twin is put down in its memo: empty at first, as things may hold one another, and
filled when all are there.
"""

import copy
import copyreg
import itertools
import weakref
from collections.abc import Callable, Iterable
from functools import partial
from types import BuiltinMethodType, CellType, FunctionType, MethodType
from typing import Any, Generic, TypeVar

import numpy as np
import torch

from lightning_shap.isolation.modes import outside_inference
from lightning_shap.isolation.reach import (
    PROXIES,
    Reached,
    added_to_script,
    compiled_from,
    is_atom,
    is_empty,
    is_local,
    names_of,
    quietly,
    reached_from,
    target_of,
    wrapped_in,
)
from lightning_shap.isolation.stand_ins import LOCKS, Uncopied, Unwrapped, counting_on, is_uncopied
from lightning_shap.isolation.tensors import tensor_twins

Fill = Callable[[], object]
Module = TypeVar("Module", bound=torch.nn.Module)


class CopyError(ValueError):
    """What would come out is no copy."""


class ModelCopy(Generic[Module]):
    """A copy of a module and of all that hangs on it, such as what its hooks write to.

    What is the run's or the process's stays shared: trainer, loggers, data sets, process groups,
    standard streams, and whatever belongs to a class or to a Python module.

    Args:
        module: The original, which is only read.

    Attributes:
        module: The copy.
        kinds: The classes of all that hangs on it.

    Raises:
        CopyError: If some of the copy would be the original's.
        Exception: Whatever the original's own code raises when it is to be copied.
    """

    def __init__(self, module: Module) -> None:
        self._memo: dict[int, Any] = {}
        self._tensors: list[torch.Tensor] = []
        with outside_inference(), torch.no_grad():
            reached = list(reached_from(module))
            self.kinds = {type(one.thing) for one in reached if not one.shared}
            fills = list(self._tensors_begun([one.thing for one in reached]))
            fills += [fill for one in reached for fill in self._begun(one)]
            for one in reached:
                self._pointed(one.thing)
            for fill in fills:
                fill()
            self.module: Module = self._twin(module)
            self._finish([one.thing for one in reached if isinstance(one.thing, torch.nn.Module)])
        self._check(reached)

    def release(self) -> None:
        """Gives the tensors' memory back now, as modules in a cycle would keep it for long."""
        for tensor in self._tensors:
            tensor.data = tensor.data.new_empty(0)

    def _begun(self, reached: Reached) -> Iterable[Fill]:
        """Puts down a twin for a thing that needs care; what fills it if it is empty yet."""
        thing = reached.thing
        kind: Any = type(thing)
        if reached.shared:
            self._memo[id(thing)] = thing
        elif kind is FunctionType:
            return self._function_begun(thing)
        elif kind is CellType:
            return self._cell_begun(thing)
        elif (wrapped := wrapped_in(thing)) is not None:
            return self._wrapper_begun(thing, wrapped)
        elif kind in LOCKS:
            self._memo[id(thing)] = LOCKS[kind]()
        elif kind is itertools.count:  # which says no from Python 3.14 on
            self._memo[id(thing)] = counting_on(thing)
        elif isinstance(thing, np.memmap):
            self._memo[id(thing)] = Uncopied(kind) if thing.flags.writeable else thing
        elif isinstance(thing, torch.nn.Module) and hasattr(kind, "__del__"):
            raise CopyError(f"{kind.__name__} has a __del__, which would run for a copy too")
        elif isinstance(thing, torch.nn.Module) and reached.problem is not None:
            raise reached.problem
        elif is_uncopied(kind) or reached.problem is not None:
            self._memo[id(thing)] = Uncopied(kind)
        elif _is_plain(reached):
            return self._object_begun(reached)
        return ()

    def _object_begun(self, reached: Reached) -> Iterable[Fill]:
        assert reached.reduced is not None
        make, arguments, state = (*reached.reduced, None)[:3]
        twin = self._memo[id(reached.thing)] = make(*arguments)
        set_state = getattr(type(twin), "__setstate__", None)

        def fill() -> None:
            if set_state is not None:
                set_state(twin, self._twins(state))
                return
            names, slots = state if isinstance(state, tuple) else (state, None)
            for name, value in {**(names or {}), **(slots or {})}.items():
                object.__setattr__(twin, name, self._twin(value))

        return () if state is None else (fill,)

    def _wrapper_begun(self, wrapper: torch.nn.Module, name: str) -> Iterable[Fill]:
        twin = self._memo[id(wrapper)] = Unwrapped(name)
        twin.training = wrapper.training
        yield lambda: setattr(twin, name, self._twin(getattr(wrapper, name)))

    def _function_begun(self, function: FunctionType) -> Iterable[Fill]:
        original = compiled_from(function)
        if original is not None:  # as it is written: compiling a copy again would take long
            cell = CellType()
            twin = self._memo[id(function)] = _calling(cell)
            yield lambda: setattr(cell, "cell_contents", self._twin(original))
            return
        if not is_local(function):
            return
        cells = function.__closure__ or ()
        for cell in cells:
            yield from self._cell_begun(cell)
        twin = self._memo[id(function)] = FunctionType(
            function.__code__,
            function.__globals__,
            function.__name__,
            closure=tuple(self._memo[id(cell)] for cell in cells),
        )
        twin.__qualname__ = function.__qualname__

        def fill() -> None:
            twin.__defaults__ = self._twin(function.__defaults__)
            twin.__kwdefaults__ = self._twin(function.__kwdefaults__)
            vars(twin).update(self._twins(vars(function)))

        yield fill

    def _cell_begun(self, cell: CellType) -> Iterable[Fill]:
        if id(cell) in self._memo:
            return
        twin = self._memo[id(cell)] = CellType()
        try:
            contents = cell.cell_contents
        except ValueError:  # it has none yet
            return
        yield lambda: setattr(twin, "cell_contents", self._twin(contents))

    def _tensors_begun(self, things: list[Any]) -> Iterable[Fill]:
        tensors = [
            thing
            for thing in things
            if isinstance(thing, torch.Tensor) and id(thing) not in self._memo
        ]
        for tensor, twin in zip(tensors, tensor_twins(tensors), strict=True):
            if twin is not None:
                self._tensors.append(twin)
                self._memo[id(tensor)] = twin
                if names := names_of(tensor):
                    yield partial(self._attributes_filled, twin, names)

    def _attributes_filled(self, twin: Any, names: dict[str, Any]) -> None:
        twin.__dict__.update(self._twins(names))

    def _pointed(self, thing: Any) -> None:
        """Puts down the twins of what only points to another thing."""
        kind = type(thing)
        if id(thing) in self._memo:
            return
        if kind is weakref.ref or kind in PROXIES:
            target = target_of(thing)
            if target is not None:
                # The memo keeps what a weak reference does not.
                self._memo[id(thing)] = kind_of_reference(kind)(self._twin(target))
        elif kind is BuiltinMethodType and not is_atom(thing.__self__):
            self._memo[id(thing)] = getattr(self._twin(thing.__self__), thing.__name__)
        elif kind.__module__ == "itertools":
            with quietly():
                self._twin(thing)
        elif kind is MethodType and id(thing.__func__) in self._memo:
            function = self._memo[id(thing.__func__)]
            self._memo[id(thing)] = MethodType(function, self._twin(thing.__self__))

    def _twin(self, thing: Any) -> Any:
        if is_atom(thing):
            return thing
        if id(thing) in self._memo:
            return self._memo[id(thing)]
        if is_empty(thing):
            twin = self._memo[id(thing)] = type(thing)()
            return twin
        return copy.deepcopy(thing, self._memo)

    def _twins(self, names: Any) -> Any:
        if type(names) is not dict:
            return self._twin(names)
        return {name: self._twin(value) for name, value in names.items()}

    def _finish(self, modules: list[torch.nn.Module]) -> None:
        """What the modules' own ways of being copied leave out."""
        for module in modules:
            twin = self._memo.get(id(module))
            if twin is None or twin is module:
                continue
            if "_trainer" in vars(module):  # Lightning's copies leave it behind
                vars(twin)["_trainer"] = vars(module)["_trainer"]
            if isinstance(module, torch.jit.ScriptModule):
                for name, value in added_to_script(module).items():
                    object.__setattr__(twin, name, self._twin(value))

    def _check(self, reached: list[Reached]) -> None:
        """A module's own way of being copied may hand out the original, or its weights."""
        originals = {id(one.thing): one.thing for one in reached}
        for path, part in self.module.named_modules():
            if id(part) in originals:
                raise CopyError(f"a copy of it holds its own {path or type(part).__name__!r}")
        ours = {id(tensor) for tensor in self._tensors}
        others = [
            (name, tensor)
            for name, tensor in (*self.module.named_parameters(), *self.module.named_buffers())
            if id(tensor) not in ours and tensor.layout is torch.strided and tensor.numel()
        ]
        if others:
            tensors = [one for one in originals.values() if isinstance(one, torch.Tensor)]
            places = {one.data_ptr() for one in tensors if one.layout is torch.strided}
            for name, tensor in others:
                if tensor.data_ptr() in places - {0}:
                    raise CopyError(f"a copy of it shares {name!r}")


def kind_of_reference(kind: type) -> Callable[[Any], Any]:
    """What makes a weak reference of the same kind."""
    return weakref.ref if kind is weakref.ref else weakref.proxy


def _is_plain(reached: Reached) -> bool:
    """Whether a thing is made with nothing, and filled afterwards.

    One with a hash of its own is not: it cannot be a key before it is filled.
    """
    kind = type(reached.thing)
    if reached.reduced is None or getattr(kind, "__hash__", None) is not object.__hash__:
        return False
    make, arguments, _, *items = (*reached.reduced, None, None, None)[:5]
    return make is copyreg.__newobj__ and arguments == (kind,) and items == [None, None]  # type: ignore[attr-defined]


def _calling(cell: CellType) -> FunctionType:
    def call(*args: Any, **kwargs: Any) -> Any:
        return cell.cell_contents(*args, **kwargs)

    return call  # type: ignore[return-value]
