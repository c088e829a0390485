"""Models, images and other tensors as they come in: read, checked, and refused in one sentence."""

from collections.abc import Iterable
from itertools import chain
from typing import Any

import numpy as np
import torch

from lightning_shap.errors import ArgumentError, ArgumentTypeError, blame, show
from lightning_shap.isolation.modes import module_of

CHANNELS = (1, 3, 4)  # of what a last axis of so many is the channels, see `check_layout`

NO_IMAGES = (
    "no images (N, C, H, W): videos, volumes, waveforms, tables and lists for detection are none; "
    "explain a module that takes a frame, a slice or a spectrogram in their place, or give "
    "images[:, None] where the axis of channels is missing"
)


def strip_class(tensor: torch.Tensor) -> torch.Tensor:
    """Returns a tensor without the class that a library gave it: its numbers, in the same memory.

    The methods of MONAI's ``MetaTensor``, torchvision's ``tv_tensors`` or fastai's ``TensorImage``
    have signatures and results of their own. This is the one door: whatever is given, images,
    labels, masks, backgrounds, batches or targets, comes through here.
    """
    if type(tensor) is torch.Tensor:
        return tensor
    return torch.Tensor.as_subclass(tensor, torch.Tensor)


def bring_to_host(given: Any) -> Any:
    """Returns a tensor plain, without its graph and on the host; all else as it is."""
    return strip_class(given).detach().cpu() if isinstance(given, torch.Tensor) else given


def say_no_images(batch: Any, tensors: Iterable[torch.Tensor]) -> str:
    """Returns in one sentence what a batch holds in place of float images, and what would do."""
    numbers = [tensor for tensor in tensors if tensor.ndim > 1]
    whole = next((tensor for tensor in numbers if tensor.ndim == 4), None)
    if whole is not None:
        return (
            f"found images of {whole.dtype} {tuple(whole.shape)}, and parts of images are blended "
            "as floats; give samples=(images.float(), labels) where the model scales them itself, "
            "samples=(images / 255, labels) where the training step does, or make them floats in "
            "on_after_batch_transfer"
        )
    if not numbers:
        return (
            f"found no images in a batch of {type(batch).__name__}; give samples=(images, labels)"
        )
    largest = max(numbers, key=torch.Tensor.numel)
    return f"found {tuple(largest.shape)} in the batch, {NO_IMAGES}"


def read_images(images: Any) -> torch.Tensor:
    """Returns images as a plain tensor (N, C, H, W), which is finite, of floats and not empty."""
    if not isinstance(images, torch.Tensor):
        raise ArgumentTypeError(
            "images", f"got {type(images).__name__}; give a float tensor (N, C, H, W)"
        )
    images = strip_class(images)
    _check_stored("images", images)
    if images.ndim != 4:
        raise ArgumentError("images", f"have shape {tuple(images.shape)}, {NO_IMAGES}")
    if 0 in images.shape:
        raise ArgumentError("images", f"are empty, shape {tuple(images.shape)}; give at least one")
    if not images.is_floating_point():
        raise ArgumentTypeError(
            "images",
            f"are {images.dtype}; give floats, scaled as the model takes them "
            "(for most: images / 255, then normalised)",
        )
    if not all_finite(images):
        raise ArgumentError("images", "hold NaN or infinite pixels; give finite ones")
    return images.detach()


def read_backgrounds(backgrounds: Any, images: torch.Tensor) -> torch.Tensor | None:
    """Returns the images (B, C, H, W) to start from; None for what the masker paints."""
    if backgrounds is None:
        return None
    if isinstance(backgrounds, str) and backgrounds == "samples":
        if len(images) < 2:
            raise ArgumentError(
                "backgrounds", "'samples' of one image are itself; give two images or more"
            )
        return images
    if not isinstance(backgrounds, torch.Tensor):
        raise ArgumentTypeError(
            "backgrounds",
            f"got {show(backgrounds)}; give 'samples', a tensor (B, C, H, W), or None for what "
            "the masker paints",
        )
    backgrounds = strip_class(backgrounds)
    if backgrounds.ndim != 4 or backgrounds.shape[1:] != images.shape[1:] or not len(backgrounds):
        raise ArgumentError(
            "backgrounds",
            f"have shape {tuple(backgrounds.shape)}; give some images (B, C, H, W) with "
            f"(C, H, W) = {tuple(images.shape[1:])}",
        )
    _check_stored("backgrounds", backgrounds)
    if not all_finite(backgrounds):
        raise ArgumentError("backgrounds", "hold NaN or infinite pixels; give finite ones")
    return backgrounds.detach()


def read_array(name: str, given: Any) -> np.ndarray:
    """Returns an argument as an array, whatever held its numbers."""
    if isinstance(given, torch.Tensor):
        _check_stored(name, strip_class(given))
        given = bring_to_host(given)
        given = given.float() if given.dtype == torch.bfloat16 else given
    with blame(name, f"got {show(given)}, which is no array of numbers"):
        try:
            return np.asarray(given)
        except ValueError:
            raise ArgumentError(name, f"got rows of different lengths, {show(given)}") from None


def _check_stored(name: str, tensor: torch.Tensor) -> None:
    """Refuses a tensor whose numbers are not there, one after the other."""
    if tensor.layout != torch.strided or tensor.is_meta or tensor.is_quantized:
        kind = "meta" if tensor.is_meta else "quantized" if tensor.is_quantized else tensor.layout
        raise ArgumentTypeError(name, f"got a {kind} tensor; give a dense one with its numbers")


def all_finite(pixels: torch.Tensor) -> bool:
    """Returns whether there is no NaN and no infinity among some pixels.

    It looks at their extremes: torch's own ``isfinite`` makes two arrays of their size.
    """
    return bool(torch.stack(torch.aminmax(pixels.detach())).isfinite().all())


def check_model(model: Any) -> None:
    """Refuses what cannot be called, or is not ready to be."""
    if isinstance(model, type):
        raise ArgumentTypeError("model", f"got the class {model.__name__}; give one of its objects")
    if not callable(model):
        raise ArgumentTypeError(
            "model",
            f"got {type(model).__name__}; give an nn.Module, a LightningModule or a "
            "function from images (N, C, H, W) to outputs (N, K)",
        )
    if is_unfinished(model):
        raise ArgumentError(
            "model",
            "has layers that take their sizes and first weights from the first batch they "
            "see; call it once before it is explained",
        )


def is_unfinished(model: Any) -> bool:
    """Returns whether a first call would still initialise lazy layers, which the host has to do."""
    module = module_of(model)
    tensors = () if module is None else chain(module.parameters(), module.buffers())
    return any(torch.nn.parameter.is_lazy(tensor) for tensor in tensors)


def check_layout(images: torch.Tensor, model: Any) -> None:
    """Refuses images whose channels come last.

    These are images whose last axis has 1, 3 or 4 places, as many as the model's first convolution
    takes, and whose first has others.
    """
    _, first, _, last = images.shape
    module = module_of(model)
    parts = () if module is None else module.modules()
    takes = next((part.in_channels for part in parts if isinstance(part, torch.nn.Conv2d)), None)
    if last in CHANNELS and takes == last != first:
        raise ArgumentError(
            "images",
            f"have shape {tuple(images.shape)}, with the channels last; give (N, C, H, W), "
            "as in images.permute(0, 3, 1, 2), and to a model that takes the channels last "
            "torch.nn.Sequential(torchvision.ops.Permute([0, 2, 3, 1]), model); in a training, "
            "samples=(images.permute(0, 3, 1, 2), labels) and module= the part that takes these",
        )
