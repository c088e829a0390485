"""Switches of a host: modes, autograd, autocast's cache, compiled graphs, logs, devices.

An explanation runs inside somebody else's training. Each context manager here borrows one thing
from the host and puts it back exactly, also after an error or an interrupt.
"""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import chain
from typing import Any

import torch

from lightning_shap.isolation.interrupts import borrowed, borrowed_together


def module_of(model: Callable[..., Any]) -> torch.nn.Module | None:
    """The module behind a model: itself, a bound method's owner, or None for a function."""
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
def evaluation_mode(model: Callable[..., Any]) -> Iterator[None]:
    """Evaluate ``model`` without gradients; every sub-module gets its own mode back.

    A frozen batch norm that its owner keeps in evaluation mode inside a training
    module stays so: ``model.train()`` afterwards would thaw it. Autograd is switched
    off with ``no_grad`` and not with ``inference_mode``, whose tensors, once a module
    has cached one, would break the training step that meets it later.
    """
    module = module_of(model)
    modes = [] if module is None else [(part, part.training) for part in module.modules()]
    cached = torch.is_autocast_cache_enabled()

    def put_back() -> None:
        torch.set_autocast_cache_enabled(cached)
        _set_modes(modes)

    with borrowed(put_back), torch.no_grad():
        _set_modes((part, False) for part, _ in modes)
        # A training step under the same autocast would find weights that were cast and kept here:
        # as they were then, and in some versions of torch without their gradient.
        torch.set_autocast_cache_enabled(False)
        yield


def outside_inference() -> AbstractContextManager[object]:
    """For tensors that are to know gradients, wherever they are made.

    Nothing is entered in vain: torch undoes this switch when it is forgotten, whenever that is.
    """
    return torch.inference_mode(False) if torch.is_inference_mode_enabled() else nullcontext()


def _set_modes(modes: Iterable[tuple[torch.nn.Module, bool]]) -> None:
    for module, training in modes:
        if module.training != training:  # a module's attributes are slow to set
            module.training = training


@contextmanager
def eager() -> Iterator[None]:
    """Run whatever is compiled as it is written.

    Other batch sizes and modes would otherwise make the compiler trace it again, with dynamic
    shapes from then on, and push the training's own graphs out of its cache. The stance is the
    process's: the last of several threads puts it back.
    """
    if "torch._dynamo" not in sys.modules:  # nothing is compiled, and importing it takes a second
        yield
        return
    with borrowed_together(
        "stance", _stance_kept, lambda: torch.compiler.set_stance("force_eager")
    ):
        yield


def _stance_kept() -> Callable[[], object]:
    """What sets the compiler's stance as it is now; torch has no public name for that.

    Without the private one, the stance that nearly all trainings have is put back.
    """
    frames = sys.modules.get("torch._dynamo.eval_frame")
    stance, give_back = (getattr(frames, name, None) for name in ("_stance", "_set_stance"))
    if stance is None or give_back is None:
        return lambda: torch.compiler.set_stance("default")
    return lambda: give_back(stance)


@contextmanager
def unlogged(pl_module: Any) -> Iterator[None]:
    """Ignore what a LightningModule logs when it is called: metrics are the training's."""
    names = [name for name in ("log", "log_dict") if name not in vars(pl_module)]

    def put_back() -> None:
        for name in names:
            vars(pl_module).pop(name, None)

    with borrowed(put_back):
        for name in names:
            object.__setattr__(pl_module, name, lambda *args, **kwargs: None)
        yield


@contextmanager
def visiting(module: torch.nn.Module, device: torch.device) -> Iterator[None]:
    """Move a module to a device for a while."""
    tensors = chain(module.parameters(), module.buffers())
    home = next((tensor.device for tensor in tensors), device)
    if home == device:
        yield
        return
    with borrowed(lambda: module.to(home)):
        module.to(device)
        yield
