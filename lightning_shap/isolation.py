"""Leave the host as it was: module modes, autograd and random states.

An explanation runs inside somebody else's training. Each context manager here
borrows one thing from the host and puts it back exactly, also after an error.
"""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
    for m, _ in modes:
        m.training = False
    try:
        with torch.no_grad():
            yield
    finally:
        for m, training in modes:
            m.training = training


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
def eager(module: torch.nn.Module) -> Iterator[None]:
    """Run compiled parts of a module as written.

    Other batch sizes and modes would otherwise make the compiler trace them again, and push the
    training's own graphs out of its cache.
    """
    compiled = any(
        type(part).__name__ == "OptimizedModule" or part._compiled_call_impl is not None
        for part in module.modules()
    )
    compiled = compiled or getattr(module, "_compiler_ctx", None) is not None
    if not compiled:  # asking for a stance imports the compiler, which takes a second
        yield
        return
    with torch.compiler.set_stance("force_eager"):
        yield
