"""Put back what calls change in classes, of which no copy of an object has its own."""

import functools
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from types import FunctionType
from typing import Any

from lightning_shap.isolation.interrupts import borrowed_together
from lightning_shap.isolation.module_state import what_restores
from lightning_shap.isolation.reach import MOST_KINDS, is_atom

# What these keep in their classes, such as a number for the next hook, no training depends on.
LIBRARIES = frozenset(
    {
        *sys.stdlib_module_names,
        *("lightning", "lightning_fabric", "lightning_shap", "lightning_utilities", "numpy"),
        *("pytorch_lightning", "timm", "torch", "torchmetrics", "torchvision", "transformers"),
    }
)
# These say what objects do, and are not written to.
BEHAVIOUR = (FunctionType, classmethod, staticmethod, property, functools.cached_property, type)

# A table of a class, such as the names of a thousand classes, is not looked at in depth.
LARGE = 2**20


@contextmanager
def classes_kept(kinds: Iterable[type]) -> Iterator[None]:
    """Put back the attributes of classes, and what hangs on them.

    Args:
        kinds: Classes; those that they inherit from are kept as well, those of libraries are not.
    """
    own = {base: None for kind in kinds for base in kind.__mro__ if _is_own(base)}
    with ExitStack() as stack:
        for kind in own:
            stack.enter_context(borrowed_together(kind, functools.partial(_kept, kind)))
        yield


def _kept(kind: type) -> Callable[[], object]:
    before = _names_of(kind)
    things = [value for value in before.values() if not is_atom(value)]
    restore = what_restores(*things, largest=LARGE) if things else None

    def put_back() -> None:
        after = _names_of(kind)
        for name in after.keys() - before.keys():
            type.__delattr__(kind, name)
        for name, value in before.items():
            if name not in after or after[name] is not value:
                type.__setattr__(kind, name, value)
        if restore is not None:
            restore()

    return put_back


@functools.lru_cache(MOST_KINDS)
def _is_own(kind: type) -> bool:
    return str(kind.__module__).partition(".")[0] not in LIBRARIES


def _names_of(kind: type) -> dict[str, Any]:
    return {
        name: value
        for name, value in vars(kind).items()
        if not name.startswith("__")
        and not isinstance(value, BEHAVIOUR)
        and not hasattr(type(value), "__set__")
    }
