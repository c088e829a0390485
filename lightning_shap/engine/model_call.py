"""Calls of a model: by position or by keyword, in the layout that is fast; and where it lives."""

import inspect
import re
from collections.abc import Callable
from itertools import chain
from typing import Any

import torch

from lightning_shap.engine.folding import NormFolder
from lightning_shap.isolation.isolated import is_copy
from lightning_shap.isolation.modes import module_of

PIXELS = "pixel_values"  # what Hugging Face calls images

# The largest tensor of a call on a CPU. Above glibc's 32 MiB, or 64 of what is free, operations
# begin with new pages: EfficientNet-Lite0 at 224 px took 31 ms a row by eight rows, whose largest
# tensor has 37 MiB, and 24 by four. Far below, a call's own cost counts.
FAST_BYTES = 20 * 2**20
UNSEEN_PIXELS = 8 * 224**2  # of the first call, which shows how large its tensors are
MANY_ROWS = 2**20  # as many as may be asked for

# Words of torch's errors about tensors laid out in another way than an operation expects.
STRIDES = re.compile(r"\bstrided?|\bcontiguous")


class ModelCall:
    """Calls a model with images (N, C, H, W).

    They are given by position, or by keyword where its signature has a place for ``pixel_values``.

    On a CPU the convolutions of a copy in single precision are kept channels-last, which is up to
    twice as fast and changes outputs by rounding alone: of 23 networks by 2e-7 of the largest in
    the median, and 3e-6 at most. A model that this layout breaks, as
    ``images.view(len(images), -1)`` does, gets its own back. Nothing is chosen by the clock, so
    that outputs are the same each time.

    Args:
        model: Whatever is called; laid out anew if it is a copy.
    """

    def __init__(self, model: Callable[..., Any]) -> None:
        self.model = model
        forward = model.forward if isinstance(model, torch.nn.Module) else model
        try:
            self._by_name = PIXELS in inspect.signature(forward).parameters
        except (TypeError, ValueError):  # compiled code has none
            self._by_name = False
        plain = is_copy(model) and not torch.is_autocast_enabled("cpu")
        self._laid_out = _list_convolutions(model) if plain else []
        _lay_out(self._laid_out, torch.channels_last)

    def __call__(self, images: torch.Tensor) -> Any:
        """Returns what the model makes of images."""
        try:
            return self._call(images)
        except RuntimeError as error:
            if not self._laid_out or not STRIDES.search(str(error)):
                raise
        _lay_out(self._laid_out, torch.contiguous_format)
        self._laid_out = []
        return self._call(images)

    def watch_norms(self, images: torch.Tensor) -> NormFolder:
        """Returns what watches a call with images for norms that the convolutions can take over."""
        return NormFolder(self.model, self._laid_out, images)

    def _call(self, images: torch.Tensor) -> Any:
        return self.model(**{PIXELS: images}) if self._by_name else self.model(images)


def _list_convolutions(model: Callable[..., Any]) -> list[torch.nn.Conv2d]:
    """Returns a model's convolutions whose own weights another layout makes faster."""
    module = module_of(model)
    parts = () if module is None else module.modules()
    convolutions = (part for part in parts if isinstance(part, torch.nn.Conv2d))
    own = [(part, dict(part.named_parameters(recurse=False))) for part in convolutions]
    return [part for part, tensors in own if "weight" in tensors and _is_fast(tensors["weight"])]


def _is_fast(kernel: torch.Tensor) -> bool:
    return kernel.device.type == "cpu" and kernel.dtype == torch.float32


def _lay_out(convolutions: list[torch.nn.Conv2d], layout: torch.memory_format) -> None:
    for part in convolutions:
        part.weight.data = part.weight.data.contiguous(memory_format=layout)


def choose_rows(images: torch.Tensor, largest: int | None = None) -> int:
    """Returns how many rows a call may have to be fast, on a CPU; as many as you like elsewhere.

    Args:
        images: (N, C, H, W), as the model gets them.
        largest: Bytes for each row of the largest tensor that a call makes, None if not yet known.
    """
    if images.device.type != "cpu":
        return MANY_ROWS
    if largest is None:
        return max(1, UNSEEN_PIXELS // images[0, 0].numel())
    return max(FAST_BYTES // max(1, largest), torch.get_num_threads())


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
