"""Arguments, checked: each error names one, says what it got and what would do."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch


class AtMost(int):
    """So many, or all of them where there are fewer."""


class Found(list[str]):
    """Names that nobody gave: a data set knows them, and they may be those of another task."""


def checked_count(name: str, value: Any, *, least: int, why: str = "") -> int:
    """A whole number of at least ``least``."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{name}: got {value!r}; give a whole number")
    if value < least:
        reason = f" ({why})" if why else ""
        raise ValueError(f"{name}: got {value}; give at least {least}{reason}")
    return int(value)


def checked_images(images: Any) -> torch.Tensor:
    """A finite float tensor (N, C, H, W) with something in it."""
    if not isinstance(images, torch.Tensor):
        raise TypeError(f"images: got {type(images).__name__}; give a float tensor (N, C, H, W)")
    if images.ndim != 4:
        raise ValueError(
            f"images: have shape {tuple(images.shape)}; give (N, C, H, W), one image as image[None]"
        )
    if 0 in images.shape:
        raise ValueError(f"images: are empty, shape {tuple(images.shape)}; give at least one")
    if not images.is_floating_point():
        raise TypeError(
            f"images: are {images.dtype}; give floats, scaled as the model takes them "
            "(for most: images / 255, then normalised)"
        )
    if not images.isfinite().all():
        raise ValueError("images: hold NaN or infinite pixels; give finite ones")
    return images.detach()


def checked_model(model: Any) -> None:
    """Something that can be called."""
    if not callable(model):
        raise TypeError(
            f"model: got {type(model).__name__}; give an nn.Module, a LightningModule or a "
            "function from images (N, C, H, W) to outputs (N, K)"
        )


def checked_labels(labels: Any, images: int) -> np.ndarray | None:
    """The true classes as int (N,), None where there are none."""
    if labels is None:
        return None
    indices = _indices("labels", labels)
    if indices.shape != (images,):
        raise ValueError(
            f"labels: have shape {indices.shape}; give one class for each of {images} images"
        )
    return indices


def checked_targets(
    targets: Any, topk: Any, labels: np.ndarray | None, outputs: np.ndarray
) -> np.ndarray:
    """The classes to explain, int (N, K'), from one of three ways to ask for them.

    Args:
        targets: One class, (K',) for all images, (N, K') for each, or None.
        topk: How many of the highest outputs, or None.
        labels: The true classes, which come before the highest others.
        outputs: (N, K), the outputs of the full images.
    """
    images, classes = outputs.shape
    if labels is not None:  # of a binary model with one output they are 0 or 1
        _check_classes("labels", labels, max(classes, 2))
    if topk is not None:
        checked_count("topk", topk, least=1)
        if topk > classes and not isinstance(topk, AtMost):
            raise ValueError(f"topk: got {topk}, but the model has {classes} classes")
        ranked = outputs.copy()
        if labels is not None and classes > 1:
            ranked[np.arange(images), labels] = np.inf
        # Stable, so that equal outputs keep the order of their classes.
        return np.argsort(-ranked, axis=1, kind="stable")[:, :topk]
    if targets is None:
        return np.tile(np.arange(classes), (images, 1))
    chosen = np.atleast_1d(_indices("targets", targets))
    if chosen.size == 0 or chosen.ndim > 2 or (chosen.ndim == 2 and len(chosen) != images):
        raise ValueError(
            f"targets: have shape {chosen.shape}; give (K',) class indices for all images "
            f"or ({images}, K') for each"
        )
    _check_classes("targets", chosen, classes)
    return np.tile(chosen, (images, 1)) if chosen.ndim == 1 else chosen


def checked_class_names(class_names: Sequence[str] | None, classes: int) -> np.ndarray:
    """One name a class (K,); two for a single output, which speaks of the second."""
    if class_names is None:
        return np.array([f"class {index}" for index in range(max(classes, 2))])
    if isinstance(class_names, str):
        raise TypeError(f"class_names: got the string {class_names!r}; give a list of names")
    names = [str(name) for name in class_names]
    if classes == 1 and len(names) == 1:
        names = [f"not {names[0]}", *names]
    if len(names) != max(classes, 2):
        if isinstance(class_names, Found):
            return checked_class_names(None, classes)
        raise ValueError(f"class_names: got {len(names)} names for a model of {classes} classes")
    return np.array(names)


def _indices(name: str, given: Any) -> np.ndarray:
    try:
        array = np.asarray(given.detach().cpu() if isinstance(given, torch.Tensor) else given)
    except ValueError:
        raise ValueError(f"{name}: got rows of different lengths, {given!r}") from None
    if array.size and array.dtype.kind not in "iu":
        raise TypeError(f"{name}: got {array.dtype} values; give whole class indices")
    return array.astype(np.int64)


def _check_classes(name: str, indices: np.ndarray, classes: int) -> None:
    outside = indices[(indices < 0) | (indices >= classes)]
    if outside.size:
        raise ValueError(
            f"{name}: hold {outside[0]}, but the model has {classes} classes, 0 to {classes - 1}"
        )
