"""One call of a model: by position or by keyword, where it lives, and if the memory runs out."""

import inspect
from collections.abc import Callable
from itertools import chain
from typing import Any

import torch

from lightning_shap.isolation.modes import module_of

PIXELS = "pixel_values"  # what Hugging Face calls images


def call_model(model: Callable[..., Any], images: torch.Tensor) -> Any:
    """Returns what a model makes of images (N, C, H, W).

    They are given by position, or by keyword where its signature has a place for ``pixel_values``.
    """
    forward = model.forward if isinstance(model, torch.nn.Module) else model
    try:
        by_name = PIXELS in inspect.signature(forward).parameters
    except (TypeError, ValueError):  # compiled code has none
        by_name = False
    return model(**{PIXELS: images}) if by_name else model(images)


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
