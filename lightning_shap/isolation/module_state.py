"""What a module keeps from call to call, put back after calls that its owner never made.

Buffers that count, attributes that remember: an explanation calls the model hundreds of times, and
the training must not notice.
"""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from lightning_shap.isolation.generators import GENERATORS, putting_back
from lightning_shap.isolation.modes import module_of

# What every module has: parameters, sub-modules, hooks and its mode, none of which a call changes.
COMMON = frozenset(vars(torch.nn.Module()))

Restore = Callable[[], object]


@contextmanager
def state_kept(model: Callable[..., Any]) -> Iterator[None]:
    """Put back whatever the calls of a model change in it.

    That is every buffer and attribute of each sub-module, and what an attribute holds if it is a
    tensor, a random generator, a list, a dictionary, a set or a deque. What lies deeper, or
    elsewhere, stays changed.
    """
    module = module_of(model)
    owners = [] if module is None else list(module.modules())
    restores = [restore for owner in owners for restore in _restores_of(owner)]
    try:
        yield
    finally:
        for restore in restores:
            restore()


def _restores_of(owner: torch.nn.Module) -> Iterator[Restore]:
    # Dictionaries are written to directly: a module's attributes are slow to set, and may refuse.
    yield _names(owner._buffers, frozenset())
    yield _names(vars(owner), COMMON)
    kept = {name: value for name, value in vars(owner).items() if name not in COMMON}
    for value in (*owner._buffers.values(), *kept.values()):
        if isinstance(value, torch.Tensor):
            if not value.is_inference():  # which nobody can change
                yield _tensor(value)
        elif isinstance(value, GENERATORS):
            yield putting_back(value)
        elif isinstance(value, dict):
            yield _names(value, frozenset())
        elif isinstance(value, (list, deque)):
            yield _sequence(value)
        elif isinstance(value, set):
            yield _set(value)


def _names(names: dict[Any, Any], left_alone: frozenset[str]) -> Restore:
    before = {name: value for name, value in names.items() if name not in left_alone}

    def restore() -> None:
        for name in [name for name in names if name not in before and name not in left_alone]:
            del names[name]
        for name, value in before.items():
            if name not in names or names[name] is not value:
                names[name] = value

    return restore


def _tensor(tensor: torch.Tensor) -> Restore:
    version, before = tensor._version, tensor.detach().clone()

    def restore() -> None:
        if tensor._version != version:
            with torch.no_grad():
                tensor.copy_(before)

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
