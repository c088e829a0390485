"""One call of a model: by position or by keyword, where it lives, and if the memory runs out."""

import inspect
from collections.abc import Callable
from itertools import chain
from typing import Any

import torch

from lightning_shap.isolation.modes import module_of

PIXELS = "pixel_values"  # what Hugging Face calls images


def call_model(model: Callable[..., Any], images: torch.Tensor) -> Any:
    """Returns what a model makes of images (N, C, H, W), called as its signature asks for.

    That is by position, unless it has a place for ``pixel_values``, as Hugging Face's models have,
    or takes nothing but keywords.
    """
    name = _find_keyword(model)
    return model(images) if name is None else model(**{name: images})


def _find_keyword(model: Callable[..., Any]) -> str | None:
    forward = model.forward if isinstance(model, torch.nn.Module) else model
    try:
        parameters = list(inspect.signature(forward).parameters.values())
    except (TypeError, ValueError):  # compiled code has none
        return None
    if any(parameter.name == PIXELS for parameter in parameters):
        return PIXELS
    if not parameters or any(p.kind not in (p.KEYWORD_ONLY, p.VAR_KEYWORD) for p in parameters):
        return None
    named = [p for p in parameters if p.kind is p.KEYWORD_ONLY]
    required_first = sorted(named, key=lambda p: p.default is not p.empty)
    return required_first[0].name if named else PIXELS


def find_home(model: Callable[..., Any]) -> torch.Tensor | None:
    """Returns a tensor of the device and dtype of a model, None if it does not say."""
    module = module_of(model)
    if module is None:
        return None
    tensors = chain(module.parameters(), module.buffers())
    return next((tensor for tensor in tensors if tensor.is_floating_point()), None)


def is_out_of_memory(error: Exception) -> bool:
    """Returns whether an error says that the memory ran out, whatever its class."""
    if isinstance(error, (MemoryError, torch.cuda.OutOfMemoryError)):
        return True
    words = ("out of memory", "can't allocate memory", "not enough memory")
    return any(word in str(error).lower() for word in words)
