"""What stands in a copy of a model for things that no copy can have, or should not."""

import ast
import functools
import io
import itertools
import multiprocessing.process
import queue
import subprocess
import threading
import types
from collections.abc import Callable
from typing import Any, NoReturn

import torch

from lightning_shap.errors import ArgumentError
from lightning_shap.isolation.kinds import MOST_KINDS, package_of

# Nobody else uses a copy, so that its locks are free.
LOCKS: dict[type, Callable[[], Any]] = {
    type(threading.Lock()): threading.Lock,
    type(threading.RLock()): threading.RLock,
}
# Others wait for these, or they for others: a copy would wait for ever.
WAITING = (
    threading.Thread,
    threading.Condition,
    threading.Event,
    threading.Semaphore,
    threading.Barrier,
    queue.Queue,
    queue.SimpleQueue,
    subprocess.Popen,
    multiprocessing.process.BaseProcess,
)
# These go on as they are used, and nothing sets them back.
RUNNING = (
    types.GeneratorType,
    types.CoroutineType,
    types.AsyncGeneratorType,
    io.RawIOBase,
    io.BufferedIOBase,
    io.TextIOBase,
    memoryview,
    torch.cuda.CUDAGraph,
)
# Modules that call another one, which they keep by this name: on other ranks too, or compiled.
WRAPPERS = {"DistributedDataParallel": "module", "OptimizedModule": "_orig_mod"}
IN_MEMORY = (io.BytesIO, io.StringIO)


@functools.lru_cache(MOST_KINDS)
def is_uncopied(kind: type) -> bool:
    """Whether a copy of a model goes without things of a kind."""
    # What its owner tidies up after must not be tidied up after a copy: files would be gone.
    tidies = hasattr(kind, "__del__") and not issubclass(kind, torch.nn.Module)
    return (tidies or issubclass(kind, WAITING + RUNNING)) and not issubclass(kind, IN_MEMORY)


def wrapped_in(module: torch.nn.Module) -> str | None:
    """Returns the name by which a wrapper keeps the module that it calls; None for no wrapper."""
    bases = [base for base in type(module).__mro__ if package_of(base) == "torch"]
    return next((WRAPPERS[base.__name__] for base in bases if base.__name__ in WRAPPERS), None)


class Uncopied:
    """Stands in a copy for what cannot be copied, and says so when a ``forward`` uses it.

    Most such things are never used by a ``forward``. Where one is, the original cannot be used in
    its place either: nothing would set it back.

    Args:
        kind: What it stands for.
    """

    def __init__(self, kind: type) -> None:
        self._kind = kind

    def _refuse(self, *args: Any, **kwargs: Any) -> NoReturn:
        kind = self._kind
        raise ArgumentError(
            "model",
            f"uses a {kind.__module__}.{kind.__qualname__}, which cannot be copied or set back, so "
            "an explanation would change it; leave it alone unless the module is training, or "
            "explain the part that needs none",
        )

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # asked for by Python itself, or by a debugger
            raise AttributeError(name)
        return self._refuse()

    def __iter__(self) -> "Uncopied":
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> "Uncopied":
        return self

    __call__ = __next__ = __enter__ = __exit__ = __len__ = __bool__ = __await__ = _refuse
    __getitem__ = __setitem__ = __delitem__ = __contains__ = __add__ = __iadd__ = _refuse


class Unwrapped(torch.nn.Module):
    """Stands in a copy for a wrapper that would compile it, or talk to other ranks when called.

    Args:
        name: By which it keeps the module that it calls.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the wrapped module gives."""
        return getattr(self, self._name)(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:  # some wrappers have what the wrapped module has
            return getattr(super().__getattr__(self._name), name)


def counting_on(counter: Any) -> Any:
    """An ``itertools.count`` that goes on where another is, which stays there."""
    try:
        return itertools.count(*ast.literal_eval(f"[{repr(counter)[6:-1]}]"))
    except (ValueError, SyntaxError):  # it does not count in plain numbers
        return Uncopied(itertools.count)
