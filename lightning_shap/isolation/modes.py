"""Modes of modules: whose they are, evaluation without gradients, what a copy does not log."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import chain
from typing import Any

import torch


def module_of(model: Callable[..., Any]) -> torch.nn.Module | None:
    """Returns the module behind a model: itself, a bound method's owner, None for a function."""
    if isinstance(model, torch.nn.Module):
        return model
    owner = getattr(model, "__self__", None)
    return owner if isinstance(owner, torch.nn.Module) else None


def unwrap(model: Callable[..., Any]) -> tuple[Callable[..., Any], AbstractContextManager[object]]:
    """Returns what Fabric has set up, and the precision in which it calls it; else the model.

    Fabric's wrapper refuses every backward pass that is not its own, and may wait for other ranks.
    """
    precision = getattr(getattr(model, "_strategy", None), "precision", None)
    inner = getattr(model, "module", None)
    if precision is None or not isinstance(inner, torch.nn.Module):
        return model, nullcontext()
    return inner, precision.forward_context()


@contextmanager
def evaluation_mode(model: Callable[..., Any], *, is_copy: bool = False) -> Iterator[None]:
    """Evaluates ``model`` without gradients; every sub-module gets its own mode back.

    A frozen batch norm that its owner keeps in evaluation mode inside a training
    module stays so: ``model.train()`` afterwards would thaw it. Autograd is switched
    off with ``no_grad`` and not with ``inference_mode``, whose tensors, once a module
    has cached one, would break the training step that meets it later.
    """
    module = module_of(model)
    parts = () if module is None else module.modules()
    modes = [(part, part.training) for part in parts if hasattr(part, "training")]
    cached = torch.is_autocast_cache_enabled()
    try:
        with torch.no_grad():
            _set_modes((part, False) for part, _ in modes)
            # A training step under the same autocast would find weights that were cast and kept
            # here: as they were then, and in some versions of torch without their gradient. Those
            # of a copy it does not know.
            torch.set_autocast_cache_enabled(cached and is_copy)
            yield
    finally:
        torch.set_autocast_cache_enabled(cached)
        _set_modes(modes)


def outside_inference() -> AbstractContextManager[object]:
    """Returns a context for tensors that are to know gradients, wherever they are made.

    Torch's switch lasts until its object is collected, so it is made only where it is needed.
    """
    return torch.inference_mode(False) if torch.is_inference_mode_enabled() else nullcontext()


def _set_modes(modes: Iterable[tuple[torch.nn.Module, bool]]) -> None:
    for module, training in modes:
        if module.training != training:  # a module's attributes are slow to set
            module.training = training


def move(twin: torch.nn.Module, device: torch.device) -> None:
    """Moves a copy of a module to a device, if it is on another."""
    home = next((one.device for one in chain(twin.parameters(), twin.buffers())), device)
    if home != device:
        twin.to(device)


def silence(twin: Any) -> None:
    """Keeps a copy of a LightningModule from logging: metrics are the training's."""
    for name in ("log", "log_dict"):
        object.__setattr__(twin, name, lambda *args, **kwargs: None)
