"""Put back what calls change in objects that are not copied.

The second best way for a model: what its owner changes in the meantime is put back as well, what
another thread appends is gone, and a running generator goes on. So it is for modules that will not
be copied or for whose copy there is no memory, and for what prepares the data, once in a fit.
"""

import logging
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import CellType, MemberDescriptorType
from typing import Any

import numpy as np
import torch

from lightning_shap.isolation.generators import GENERATORS, putting_back
from lightning_shap.isolation.interrupts import borrowed
from lightning_shap.isolation.reach import all_reached_from, names_of

Restore = Callable[[], object]

_log = logging.getLogger(__name__)


@contextmanager
def state_kept(*owners: object, largest: int | None = None) -> Iterator[None]:
    """Put back all that changes in some objects, and in whatever hangs on them, however deep.

    Args:
        owners: Such as a module.
        largest: See :func:`what_restores`.
    """
    with borrowed(what_restores(*owners, largest=largest)):
        yield


def what_restores(*owners: object, largest: int | None = None) -> Restore:
    """What makes some objects again as they are now, and whatever hangs on them.

    Values are compared, and those put back that differ: a version counter would miss what fused
    operations, ``.data`` and NumPy write. What fails to be put back is logged, and all else is put
    back none the less.

    Args:
        owners: The objects.
        largest: Leave tensors and arrays of more bytes alone, such as the whole of a data set.
    """
    restores: list[tuple[str, Restore]] = []
    for one in all_reached_from(*owners):
        kind, size = type(one.thing).__name__, getattr(one.thing, "nbytes", 0)
        if one.shared or (largest is not None and isinstance(size, int) and size > largest):
            continue
        with _going_on(f"a {kind} could not be kept"):
            restores += [(kind, restore) for restore in _restores_of(one.thing)]

    def put_back() -> None:
        for kind, restore in restores:
            with _going_on(f"a {kind} could not be put back"):
                restore()

    return put_back


@contextmanager
def _going_on(problem: str) -> Iterator[None]:
    """One thing that fails must not keep the others from being put back."""
    try:
        yield
    except Exception:
        _log.warning(problem, exc_info=True)


def _restores_of(thing: Any) -> Iterator[Restore]:
    if isinstance(thing, torch.Tensor):
        yield _tensor(thing)
    elif isinstance(thing, np.ndarray):
        yield _array(thing)
    elif isinstance(thing, GENERATORS):
        yield putting_back(thing)
    elif isinstance(thing, CellType):
        yield _cell(thing)
    elif isinstance(thing, bytearray):
        yield _bytes(thing)
    else:
        if isinstance(thing, dict):
            yield _dictionary(thing)
        elif isinstance(thing, (list, deque)):
            yield _sequence(thing)
        elif isinstance(thing, set):
            yield _set(thing)
        if names_of(thing):
            yield _attributes(thing)


def _attributes(owner: Any) -> Restore:
    before = names_of(owner)

    def restore() -> None:
        after = names_of(owner)
        # Straight into the dictionary: a module's attributes are slow to set, and may refuse.
        names = getattr(owner, "__dict__", {})
        for name in after.keys() - before.keys():
            names.pop(name, None)
        for name, value in before.items():
            if name in after and after[name] is value:
                continue
            if isinstance(getattr(type(owner), name, None), MemberDescriptorType):  # a slot
                object.__setattr__(owner, name, value)
            else:
                names[name] = value

    return restore


def _dictionary(owner: dict[Any, Any]) -> Restore:
    before = list(owner.items())
    kind = OrderedDict if isinstance(owner, OrderedDict) else dict

    def restore() -> None:
        after = list(owner.items())
        pairs = zip(after, before, strict=False)
        if len(after) != len(before) or any(a is not b or x is not y for (a, x), (b, y) in pairs):
            kind.clear(owner)  # so that their order comes back too
            for name, value in before:
                kind.__setitem__(owner, name, value)

    return restore


def _sequence(items: list[Any] | deque[Any]) -> Restore:
    before = list(items)

    def restore() -> None:
        if len(items) != len(before) or any(a is not b for a, b in zip(items, before, strict=True)):
            items.clear()
            items.extend(before)

    return restore


def _set(items: set[Any]) -> Restore:
    before = set(items)

    def restore() -> None:
        items.intersection_update(before)
        items.update(before)

    return restore


def _bytes(items: bytearray) -> Restore:
    before = bytes(items)

    def restore() -> None:
        items[:] = before

    return restore


def _cell(cell: CellType) -> Restore:
    try:
        before = [cell.cell_contents]
    except ValueError:  # it has none yet
        before = []

    def restore() -> None:
        if before:
            cell.cell_contents = before[0]
        else:
            del cell.cell_contents

    return restore


def _array(array: np.ndarray) -> Restore:
    before = array.copy()

    def restore() -> None:
        if array.shape != before.shape:
            array.resize(before.shape, refcheck=False)
        if array.dtype.hasobject or array.tobytes() != before.tobytes():
            array[...] = before

    return restore


def _tensor(tensor: torch.Tensor) -> Restore:
    before, trained, gradient = _kept(tensor), tensor.requires_grad, _gradient_of(tensor)
    gradient_before = None if gradient is None else _kept(gradient)

    def restore() -> None:
        with torch.no_grad():
            _put_values_back(tensor, before)
            if tensor.is_leaf and tensor.requires_grad != trained:
                tensor.requires_grad_(trained)
            if gradient is not None and gradient_before is not None:
                _put_values_back(gradient, gradient_before)
            if _gradient_of(tensor) is not gradient:
                tensor.grad = gradient

    return restore


def _gradient_of(tensor: torch.Tensor) -> torch.Tensor | None:
    return tensor.grad if tensor.is_leaf else None


def _kept(tensor: torch.Tensor) -> torch.Tensor:
    """A tensor's values; in another memory where its own is too short for them."""
    with torch.no_grad():
        try:
            return tensor.detach().clone()
        except torch.OutOfMemoryError:
            return tensor.detach().cpu()


def _put_values_back(tensor: torch.Tensor, before: torch.Tensor) -> None:
    if tensor.is_inference() and not torch.is_inference_mode_enabled():  # nobody could change it
        return
    if (
        tensor.shape != before.shape
        or tensor.dtype != before.dtype
        or tensor.device != before.device
    ):
        tensor.data = before
    elif not _are_same(tensor, before):
        # Not the tensor itself: a graph of the training's may hold it, and counts its versions.
        tensor.data.copy_(before)


def _are_same(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether two tensors have the same bits, as far as they can be looked at."""
    if one.layout is not torch.strided or one.is_quantized:
        return False
    bits = [part.detach().contiguous().view(-1).view(torch.uint8) for part in (one, other)]
    return torch.equal(*bits)
