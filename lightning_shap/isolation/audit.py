"""The audit of a copy: nothing that can change is both its own and the original's."""

import array
import weakref
from collections import deque
from types import BuiltinFunctionType, CellType, FunctionType, MethodType, SimpleNamespace
from typing import Any

import numpy as np
import torch

from lightning_shap.errors import ArgumentError
from lightning_shap.isolation.kinds import (
    LIBRARIES,
    LIGHTNING,
    PROXIES,
    is_own,
    owner_of,
    package_of,
)
from lightning_shap.isolation.object_graph import MOST_THINGS, ObjectGraph, names_of

# These are what they hold, and that is looked at by itself.
FIXED = (
    *(type, tuple, frozenset, weakref.ref, *PROXIES),
    *(FunctionType, BuiltinFunctionType, MethodType),
)
# Of a library, and yet they can change. Its other things it hands out by itself instead of copies.
CHANGING = (
    *(list, dict, set, bytearray, deque, array.array, SimpleNamespace, CellType),
    *(np.ndarray, torch.Tensor, torch.nn.Module, torch.Generator),
)
WAYS = ("__deepcopy__", "__reduce__", "__reduce_ex__", "__getstate__")


class CopyError(ArgumentError):
    """There is no copy of a model that an explanation could call in its place.

    Args:
        problem: Why not.
    """

    def __init__(self, problem: str) -> None:
        super().__init__(
            "model",
            f"{problem}, so an explanation would change it; explain a part that does without, such "
            'as module="net" of a callback',
        )
        self.reason = problem

    def __reduce__(self) -> tuple[Any, ...]:  # errors travel between processes
        return type(self), (self.reason,)


def check_apart(original: ObjectGraph, twin: Any) -> None:
    """Refuses a copy that holds something of the original's.

    Args:
        original: All that hangs on it.
        twin: The copy.

    Raises:
        CopyError: It names the path to what both hold.
    """
    known = original.things

    def is_handed_out(thing: Any) -> bool:  # by a library, which says so that it cannot change
        if id(thing) not in known or issubclass(type(thing), FIXED):
            return False
        return not _can_change(original, thing)

    copied = ObjectGraph(
        twin,
        shared=original.shared,
        into_classes=False,
        into_data=original.into_data,
        ends=is_handed_out,
        most=2 * MOST_THINGS,  # stand-ins have parts of their own
    )
    for key in copied.things.keys() & known.keys():
        if _can_change(original, known[key]):
            raise CopyError(_culprit(original, known[key]))
    places = {_place_of(thing): thing for thing in original.things.values()}
    places.pop(None, None)
    for thing in copied.things.values():
        if (place := _place_of(thing)) in places:
            raise CopyError(_culprit(original, places[place]))


class Unchanged:
    """Compares an original with itself before it is copied.

    Only users' own ways of being copied can change it: ``__getstate__`` may empty a cache, and
    ``__deepcopy__`` may count. Attributes are put back, and whatever else has changed is refused.

    Args:
        graph: All that hangs on the original.
    """

    def __init__(self, graph: ObjectGraph) -> None:
        mine = [one for one in graph.things.values() if _has_ways_of_its_own(type(one))]
        self._attributes = [
            (vars(one), dict(vars(one))) for one in mine if hasattr(one, "__dict__")
        ]
        self._graph = graph
        self._before = _print_of(graph) if mine else {}

    def check(self) -> None:
        """Puts attributes back.

        Raises:
            CopyError: If the original has changed all the same.
        """
        for names, before in self._attributes:
            if list(map(id, names.values())) != list(map(id, before.values())):
                names.clear()
                names.update(before)
        if self._before and _print_of(self._graph) != self._before:
            raise CopyError("it changes while it is copied")


def _print_of(graph: ObjectGraph) -> dict[int, Any]:
    """Returns which parts each thing has, and how often each tensor was written to."""
    return {key: _parts_print(graph, thing) for key, thing in graph.things.items()}


def _parts_print(graph: ObjectGraph, thing: Any) -> Any:
    if issubclass(type(thing), torch.Tensor):
        return thing._version
    parts = list(map(id, graph.followed(thing)))
    if type(thing) in (dict, list, tuple):
        return parts
    # Attributes may be held by a dictionary or without one, as it pleases Python.
    names = [*map(id, names_of(thing).values())] if parts else []
    return {*parts, *names} - {id(getattr(thing, "__dict__", None))}


def _has_ways_of_its_own(kind: type) -> bool:
    if not is_own(kind) or issubclass(kind, (type, torch.nn.Module)):
        return False
    owners = (owner_of(kind, name) for name in WAYS)
    return any(owner is not None and is_own(owner) for owner in owners if owner is not object)


def _can_change(graph: ObjectGraph, thing: Any) -> bool:
    kind: Any = type(thing)
    if graph.is_shared(thing) or issubclass(kind, FIXED):
        return False
    if issubclass(kind, np.ndarray) and not thing.flags.writeable:
        return False
    trusted = package_of(kind) in LIBRARIES - LIGHTNING
    return not trusted or issubclass(kind, CHANGING)


def _culprit(graph: ObjectGraph, thing: Any) -> str:
    return f"a copy of it would share {graph.path_to(thing)} (a {type(thing).__name__}) with it"


def _place_of(thing: Any) -> int | None:
    """Returns where in memory the numbers of a tensor or array lie, None for anything else."""
    try:
        if issubclass(type(thing), torch.Tensor):
            return thing.untyped_storage().data_ptr() or None
        if issubclass(type(thing), np.ndarray):
            place: int = thing.__array_interface__["data"][0]
            return place if thing.nbytes and thing.flags.writeable else None
    except Exception:  # of kinds whose numbers lie in no one place
        return None
    return None
