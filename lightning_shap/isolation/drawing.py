"""Find out which generators a piece of work draws from, where other threads may draw as well."""

import random
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode, _get_current_dispatch_mode

from lightning_shap.isolation.interrupts import borrowed
from lightning_shap.isolation.signals import came_from_explanation

OF_TORCH = frozenset({"cpu", "cuda", "mps"})
QUIET = frozenset({"_AsyncWriterThread", "TMonitor"})  # TensorBoard's and tqdm's, which never draw


def may_others_draw() -> bool:
    """Whether there is another thread that may draw random numbers."""
    this = threading.current_thread()
    return any(
        thread is not this and type(thread).__name__ not in QUIET
        for thread in threading.enumerate()
    )


def drawn_by_this_thread(work: Callable[[], object]) -> set[str]:
    """Runs some work, and gives the names of the generators that it draws from.

    Python's and torch's draws are seen as they happen, NumPy's if its functions are called by
    their names in ``numpy.random``. Work that cannot be watched counts as drawing from all.
    """
    drawn: set[str] = set()
    try:
        with _watching_python(drawn), _watching_numpy(drawn), _watching_torch(drawn):
            work()
    except Exception as error:
        if not came_from_explanation(error):
            raise
        # It has succeeded before, so watching does not agree with it.
        return {"python", "numpy", *OF_TORCH}
    return drawn


@contextmanager
def _watching_python(drawn: set[str]) -> Iterator[None]:
    """A profiler is its thread's own, and sees each call of the shared generator's methods."""
    shared, before = random.getstate.__self__, sys.getprofile()  # type: ignore[attr-defined]

    def seen(frame: Any, event: str, called: Any) -> None:
        if event == "c_call" and getattr(called, "__self__", None) is shared:
            drawn.add("python")

    with borrowed(lambda: sys.setprofile(before)):
        sys.setprofile(seen)
        yield


@contextmanager
def _watching_numpy(drawn: set[str]) -> Iterator[None]:
    """Its draws are seen by no profiler, so that its functions are wrapped for a while."""
    this, shared = threading.get_ident(), np.random.mtrand._rand
    functions = {
        name: function
        for name, function in vars(np.random).items()
        if getattr(function, "__self__", None) is shared
    }

    def noting(function: Callable[..., Any]) -> Callable[..., Any]:
        def noted(*args: Any, **kwargs: Any) -> Any:
            if threading.get_ident() == this:
                drawn.add("numpy")
            return function(*args, **kwargs)

        return noted

    with borrowed(lambda: vars(np.random).update(functions)):
        vars(np.random).update({name: noting(one) for name, one in functions.items()})
        yield


@contextmanager
def _watching_torch(drawn: set[str]) -> Iterator[None]:
    mode = _WatchingTorch(drawn)

    def put_back() -> None:
        if _get_current_dispatch_mode() is mode:
            mode.__exit__(None, None, None)

    with borrowed(put_back):
        mode.__enter__()
        yield


class _WatchingTorch(TorchDispatchMode):
    """A mode is its thread's own, and sees each operation, those of compiled code too."""

    def __init__(self, drawn: set[str]) -> None:
        super().__init__()
        self.drawn = drawn

    def __torch_dispatch__(
        self, operation: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        if torch.Tag.nondeterministic_seeded in operation.tags:
            self.drawn |= OF_TORCH
        return operation(*args, **(kwargs or {}))
