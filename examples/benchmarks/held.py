"""All that a thing holds, at any depth, as plain values that can be compared."""

import array
import io
import itertools
import random
import types
import weakref
from collections import deque
from collections.abc import Callable
from multiprocessing.sharedctypes import SynchronizedBase
from typing import Any

import numpy as np
import torch

# What leads to the run itself, to names of files, to addresses.
LEFT = (
    *("_trainer", "trainer", "run", "owner", "parent", "data_kept"),
    *("_fabric", "file", "folder", "_lock"),
)
PLAIN = (int, float, complex, str, bytes, bool, type(None), torch.dtype, torch.device, torch.Size)
STATES: dict[Any, Callable[[Any], Any]] = {
    torch.Tensor: lambda tensor: plain_of(tensor).clone(),
    torch.Generator: lambda generator: generator.get_state(),
    np.random.Generator: lambda generator: generator.bit_generator.state,
    np.random.RandomState: lambda generator: generator.get_state(),
    random.Random: lambda generator: generator.getstate(),
    array.array: lambda numbers: [*numbers],
    itertools.count: repr,
    SynchronizedBase: lambda shared: shared.get_obj().value,  # wherever in memory it lies
    **dict.fromkeys((io.StringIO, io.BytesIO), lambda file: (file.getvalue(), file.tell())),
    **dict.fromkeys((set, frozenset), len),
    **dict.fromkeys((types.ModuleType, types.BuiltinFunctionType, weakref.ref), lambda _: None),
}


def plain_of(tensor: torch.Tensor) -> torch.Tensor:
    """Returns the numbers of a tensor of any kind."""
    plain = tensor.detach().as_subclass(torch.Tensor)
    return plain.int_repr() if plain.is_quantized else plain


def held(thing: Any, seen: dict[int, tuple[int, Any]]) -> Any:
    """Returns plain values of all that a thing holds, its class's attributes among them.

    Args:
        thing: Anything.
        seen: What was met so far, by its id, with its number.
    """
    if isinstance(thing, PLAIN):
        return thing
    if id(thing) in seen:
        return f"number {seen[id(thing)][0]}"
    seen[id(thing)] = len(seen), thing
    kind = type(thing)
    if hasattr(thing, "_torchdynamo_orig_callable") or "_dynamo" in kind.__module__:
        return "compiled"  # which is compiled as it goes
    state = next((STATES[base] for base in kind.__mro__ if base in STATES), None)
    if state is not None:
        return kind.__name__, state(thing)
    if isinstance(thing, types.FunctionType):
        cells = [cell.cell_contents for cell in thing.__closure__ or () if cell != types.CellType()]
        return [held(part, seen) for part in (*cells, *(thing.__defaults__ or ()))]
    if isinstance(thing, types.MethodType):
        return held(thing.__self__, seen)
    if isinstance(thing, dict):
        return [(str(key)[:40], held(value, seen)) for key, value in [*thing.items()]]
    if isinstance(thing, (list, tuple, deque)):
        return [held(part, seen) for part in thing]
    if isinstance(thing, np.ndarray):
        return held([*thing.flat], seen)
    names = {n: v for n, v in getattr(thing, "__dict__", {}).items() if n not in LEFT}
    for base in kind.__mro__:
        names |= {n: getattr(thing, n, None) for n in getattr(base, "__slots__", ())}
        if base.__module__.startswith("test_"):
            of_class = {n: v for n, v in vars(base).items() if not n.startswith("_")}
            names |= {f"class {n}": v for n, v in of_class.items() if not callable(v)}
    if kind.__module__.partition(".")[0] in ("pytorch_lightning", "lightning", "lightning_fabric"):
        names = {n: v for n, v in names.items() if n in ("dataset", "_hparams")}
    for name in [name for name in names if name.endswith("_hooks")]:  # their keys only ever grow
        names[name] = [*names[name].values()] if isinstance(names[name], dict) else names[name]
    return kind.__name__, [(name, held(value, seen)) for name, value in sorted(names.items())]
