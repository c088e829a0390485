"""What comes in: plain tensors, whatever made them, and a sentence for what is no images."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch

LEAST_SIDE, MOST_ASPECT = 8, 4  # of what three axes show as pictures without an axis of channels

WRAPPED = "explain a module whose forward takes images (N, C, H, W)"
DETECTION = (
    "a list with an entry for each image, as for detection, which is not supported; "
    f"{WRAPPED} and returns scores (N, K), such as those of one object"
)


def plain(tensor: torch.Tensor) -> torch.Tensor:
    """Returns a tensor without the class that a library gave it: its numbers, in the same memory.

    The methods of MONAI's ``MetaTensor``, torchvision's ``tv_tensors`` or fastai's ``TensorImage``
    have signatures and results of their own. This is the one door: whatever is given, images,
    labels, masks, backgrounds, batches or targets, comes through here.
    """
    if type(tensor) is torch.Tensor:
        return tensor
    return torch.Tensor.as_subclass(tensor, torch.Tensor)


def plain_on_host(given: Any) -> Any:
    """Returns a tensor plain, without its graph and on the host; all else as it is."""
    return plain(given).detach().cpu() if isinstance(given, torch.Tensor) else given


def say_kind(shape: Iterable[int]) -> str:
    """Returns what a tensor of some shape may be that is no images, and what would do."""
    axes = [*shape]
    if len(axes) == 5:
        return (
            "seem to be videos or volumes, which are not supported; "
            f"{WRAPPED} and puts such a frame or slice in its place"
        )
    if len(axes) == 3:
        short, long = sorted(axes[1:])
        if short >= LEAST_SIDE and long <= MOST_ASPECT * short:
            return (
                "seem to be images without an axis of channels; "
                "give (N, 1, H, W), as in images[:, None], or one image as image[None]"
            )
    if len(axes) in (2, 3):
        return (
            "seem to be waveforms, series or rows of a table, which are not supported; "
            f"{WRAPPED}, such as spectrograms, or give samples=(images, labels) if it does"
        )
    return "are no images (N, C, H, W); give such"


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
    if _is_detection(batch):
        return f"found {DETECTION}"
    if not numbers:
        return (
            f"found no images in a batch of {type(batch).__name__}; give samples=(images, labels)"
        )
    largest = max(numbers, key=torch.Tensor.numel)
    return f"found {tuple(largest.shape)} in the batch, which {say_kind(largest.shape)}"


def _is_detection(batch: Any) -> bool:
    """Returns whether a batch has a list of its images, or of what is in each of them."""
    parts = batch.values() if isinstance(batch, Mapping) else batch
    if not isinstance(batch, (Mapping, list, tuple)):
        return False
    return any(
        isinstance(part, (list, tuple))
        and len(part) > 0
        and all(
            isinstance(item, Mapping) or (isinstance(item, torch.Tensor) and item.ndim == 3)
            for item in part
        )
        for part in [batch, *parts]
    )
