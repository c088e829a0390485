"""Copies: of a model, or of what prepares its data, and of all that hangs on them.

A thing is taken to pieces and put together again by Python's own ``pickle``, in memory: what is
pickled cannot be the original's. What a class of the user's says of being copied or pickled is not
asked, so that none of the user's code runs: its things are their attributes, or a container's
items. There are rules for what ``pickle`` refuses (``rules``); what libraries define is pickled as
they say (``kinds`` lists those that are trusted). All that is left goes into the copy as a thing
that refuses to be used (``stand_ins``). So a copy shares with the original what is listed as shared
on purpose, and nothing else.
"""

import copy
import io
import os
import pickle
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any, Generic, TypeVar

import numpy as np
import torch

from lightning_shap.isolation.copy_rules import (
    Ready,
    attributes_of,
    is_local,
    ready,
    rule_for,
    state_of_class,
)
from lightning_shap.isolation.kinds import DATA, is_fixed_kind, is_own, is_shared_kind, shared_ones
from lightning_shap.isolation.modes import outside_inference
from lightning_shap.isolation.signals import came_from_explanation
from lightning_shap.isolation.stand_ins import ADVICE, CopyError, Uncopied

Root = TypeVar("Root")

# These are pickled by their values.
VALUES = frozenset({type(None), bool, int, float, str, bytes})


class Copy(Generic[Root]):
    """A copy of an object and of all that hangs on it, such as what a module's hooks write to.

    Args:
        original: Is only read; a tuple of several.
        with_data: Copy data sets and loaders too, however large.

    Attributes:
        root: The copy.
        of_classes: What a copy of each of the users' classes would have in its attributes.

    Raises:
        CopyError: If it cannot be taken to pieces or put together again.
        MemoryError: If there is no room for it.
    """

    def __init__(self, original: Root, *, with_data: bool = False) -> None:
        file = io.BytesIO()
        self._pieces = pieces = _Pieces(file, with_data=with_data)
        # Kept, as it keeps what the copy has weak references to.
        self._whole = pickle.Unpickler(file)
        self._whole.persistent_load = pieces.ready.__getitem__  # type: ignore[method-assign]
        try:
            with outside_inference(), torch.no_grad():
                pieces.take(original)
                file.seek(0)
                self.root: Root = self._whole.load()
                self.of_classes = {kind: self._whole.load() for kind in pieces.classes}
        except Exception as error:
            kept = (CopyError, MemoryError, torch.OutOfMemoryError)
            if isinstance(error, kept) or not came_from_explanation(error):
                raise
            kind, why = type(original).__name__, f"{type(error).__name__}: {error}"
            raise CopyError("model", f"{kind} cannot be copied ({why}){ADVICE}") from error

    def release(self) -> None:
        """Gives the tensors' memory back now, as modules in a cycle would keep it for long."""
        for twin in self._pieces.tensors:
            with suppress(RuntimeError):  # of kinds without a memory of their own
                twin.data = torch.empty(0, dtype=twin.dtype, device=twin.device)
        del self._pieces, self._whole


def look_at(root: object, see: Callable[[Any], None]) -> None:
    """Looks at all that hangs on an object, data sets too, by the rules by which it is copied.

    Args:
        root: The object; a tuple of several.
        see: Gets each thing that is neither a tuple nor shared on purpose, some of them repeatedly.
    """
    with open(os.devnull, "wb") as nowhere:
        _Pieces(nowhere, with_data=True, see=see).take(root)


class _Pieces(pickle.Pickler):
    """Takes things to pieces.

    Args:
        file: Gets them.
        with_data: Data sets and loaders too.
        see: Gets each thing; what only holds numbers is then not copied.

    Attributes:
        ready: What goes into the copy as it is.
        tensors: Those among them that are the copy's.
        classes: The user's, of things and of what these hold.
    """

    def __init__(
        self, file: Any, *, with_data: bool, see: Callable[[Any], None] | None = None
    ) -> None:
        super().__init__(file, protocol=4)
        self.ready: list[Any] = []
        self.tensors: list[torch.Tensor] = []
        self.classes: list[type] = []
        self._see = see
        self._known: set[type] = set()
        self._shared = shared_ones()
        self._uncopied = () if with_data else DATA
        self._memories: dict[int, Any] = {}
        self._hookless: dict[int, tuple[int, Any]] = {}

    def take(self, root: object) -> None:
        """Takes an object to pieces, and what the classes hold that belong to it."""
        self.dump(root)
        for kind in self.classes:  # which grow meanwhile
            self.dump(state_of_class(kind))

    def persistent_id(self, thing: Any) -> int | None:
        """Returns by which number a thing goes into the copy as it is; None if it does not."""
        kind = type(thing)
        if kind in VALUES:
            return None
        if kind is Ready:
            thing = thing.thing
        elif not self.is_left(thing):
            if kind is OrderedDict and self._see is None and not thing and not vars(thing):
                return self._number_empty(thing)
            if self._see is not None and kind is not tuple:
                self._see(thing)
            return None
        self.ready.append(thing)
        return len(self.ready) - 1

    def _number_empty(self, thing: Any) -> int:
        """Returns the number of an empty dictionary's twin; each module has ten, for its hooks.

        A recipe for each took a sixth of the time of a copy of four hundred modules.
        """
        number, _ = self._hookless.setdefault(id(thing), (len(self.ready), thing))
        if number == len(self.ready):
            self.ready.append(OrderedDict())
        return number

    def is_left(self, thing: Any) -> bool:
        """Returns whether a thing stays as it is: nobody can change it, or it is to be shared."""
        kind: Any = type(thing)
        if issubclass(kind, type):
            self._note(thing)
            return True
        if kind is FunctionType:
            return not is_local(thing)
        if kind is BuiltinFunctionType:
            return issubclass(type(thing.__self__), (type(None), type, ModuleType))
        return is_fixed_kind(kind) or is_shared_kind(kind) or id(thing) in self._shared

    def reducer_override(self, thing: Any) -> Any:
        """Returns how a thing is made anew."""
        kind: Any = type(thing)
        self._note(kind)
        if self._see is not None and issubclass(kind, (torch.Tensor, np.ndarray)):
            return ready(None)
        if issubclass(kind, torch.Tensor):
            return ready(self.twin_of(thing), **attributes_of(thing))
        return ready(Uncopied(kind)) if issubclass(kind, self._uncopied) else rule_for(kind)(thing)

    def twin_of(self, tensor: torch.Tensor) -> torch.Tensor:
        """Returns a tensor of the same values, strides and class, outside of any graph.

        Those that share memory get twins that share theirs, as the flat weights of an LSTM do: a
        deep copy of plain tensors keeps that, one of parameters does not.
        """
        with torch._C.DisableTorchFunctionSubclass():  # which is a user's code
            plain = tensor.detach()
            try:
                twin = copy.deepcopy(plain, self._memories)
            except RuntimeError:  # it is of a kind that is in no one memory
                twin = plain.clone()
            if type(twin) is not type(tensor):
                # Not ``as_subclass``, which makes a view: torch multiplies by views otherwise.
                twin = torch.Tensor._make_subclass(type(tensor), twin)
            twin.requires_grad_(tensor.requires_grad and tensor.is_leaf)
        self.tensors.append(twin)
        return twin

    def _note(self, kind: type) -> None:
        for base in () if kind in self._known else kind.__mro__:
            if is_own(base) and base not in self._known:
                self.classes.append(base)
            self._known.add(base)
