"""Leave the host as it was: modes, autograd, random states, logs, compiled graphs.

An explanation runs inside somebody else's training. Each context manager here
borrows one thing from the host and puts it back exactly, also after an error.
"""

import random
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Any

import numpy as np
import torch


def module_of(model: Callable[..., Any]) -> torch.nn.Module | None:
    """The module behind a model: itself, a bound method's owner, or None for a function."""
    if isinstance(model, torch.nn.Module):
        return model
    owner = getattr(model, "__self__", None)
    return owner if isinstance(owner, torch.nn.Module) else None


@contextmanager
def evaluation_mode(model: Callable[..., Any]) -> Iterator[None]:
    """Evaluate ``model`` without gradients; every sub-module gets its own mode back.

    A frozen batch norm that its owner keeps in evaluation mode inside a training
    module stays so: ``model.train()`` afterwards would thaw it. Autograd is switched
    off with ``no_grad`` and not with ``inference_mode``, whose tensors, once a module
    has cached one, would break the training step that meets it later.
    """
    module = module_of(model)
    modes = [] if module is None else [(m, m.training) for m in module.modules()]
    cached = torch.is_autocast_cache_enabled()
    _set_modes((m, False) for m, _ in modes)
    # A training step under the same autocast would find weights that were cast and kept here: as
    # they were then, and in some versions of torch without their gradient.
    torch.set_autocast_cache_enabled(False)
    try:
        with torch.no_grad():
            yield
    finally:
        torch.set_autocast_cache_enabled(cached)
        _set_modes(modes)


def _set_modes(modes: Iterable[tuple[torch.nn.Module, bool]]) -> None:
    for module, training in modes:
        if module.training != training:  # a module's attributes are slow to set
            module.training = training


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed Python, NumPy and torch on every device in use, then put their states back."""
    python, numpy, cpu = random.getstate(), np.random.get_state(), torch.get_rng_state()
    # Asking an idle accelerator for its state would start it, so only running ones are asked.
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else None
    mps = torch.mps.get_rng_state() if torch.backends.mps.is_available() else None
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.default_generator.manual_seed(seed)
    if cuda is not None:
        torch.cuda.manual_seed_all(seed)
    if mps is not None:
        torch.mps.manual_seed(seed)
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
        torch.set_rng_state(cpu)
        if cuda is not None:
            torch.cuda.set_rng_state_all(cuda)
        if mps is not None:
            torch.mps.set_rng_state(mps)


@contextmanager
def eager() -> Iterator[None]:
    """Run whatever is compiled as it is written.

    Other batch sizes and modes would otherwise make the compiler trace it again, with dynamic
    shapes from then on, and push the training's own graphs out of its cache.
    """
    if "torch._dynamo" not in sys.modules:  # nothing is compiled, and importing it takes a second
        yield
        return
    with torch.compiler.set_stance("force_eager"):
        yield


@contextmanager
def unlogged(pl_module: Any) -> Iterator[None]:
    """Ignore what a LightningModule logs when it is called: metrics are the training's."""
    names = [name for name in ("log", "log_dict") if name not in vars(pl_module)]
    for name in names:
        object.__setattr__(pl_module, name, lambda *args, **kwargs: None)
    try:
        yield
    finally:
        for name in names:
            object.__delattr__(pl_module, name)


@contextmanager
def visiting(module: torch.nn.Module, device: torch.device) -> Iterator[None]:
    """Move a module to a device for a while."""
    tensors = chain(module.parameters(), module.buffers())
    home = next((tensor.device for tensor in tensors), device)
    if home == device:
        yield
        return
    try:
        module.to(device)
        yield
    finally:
        module.to(home)
