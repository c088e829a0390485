"""Arguments, checked: each error names one, says what it got and what would do."""

import warnings
from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
import torch

from lightning_shap.isolation.modes import module_of


class ArgumentError(ValueError):
    """An argument's value will not do.

    Args:
        argument: Its name; several names joined by ``", "`` where they contradict one another.
        problem: What was given and what would do.

    Attributes:
        argument: As given.
    """

    def __init__(self, argument: str, problem: str) -> None:
        super().__init__(f"{argument}: {problem}")
        self.argument = argument
        self._problem = problem

    def __reduce__(self) -> tuple[Any, ...]:  # errors travel between processes
        return type(self), (self.argument, self._problem)


class ArgumentTypeError(ArgumentError, TypeError):
    """An argument is of the wrong kind."""


class AtMost(int):
    """So many, or all of them where there are fewer."""


class Found(list[Any]):
    """Labels or names that nobody gave: data knows them, and they may be those of another task."""


def checked_count(
    name: str, value: Any, *, least: int, most: int | None = None, why: str = ""
) -> int:
    """A whole number of at least ``least`` and at most ``most``."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise ArgumentTypeError(name, f"got {_shown(value)}; give a whole number")
    if value < least:
        reason = f" ({why})" if why else ""
        raise ArgumentError(name, f"got {value}; give at least {least}{reason}")
    if most is not None and value > most:
        raise ArgumentError(name, f"got {_shown(value)}; give at most {most}")
    return int(value)


def checked_choice(name: str, value: Any, choices: Sequence[Any]) -> None:
    """One of a few values."""
    if value not in choices:
        raise ValueError(f"{name}: unknown {value!r}; give one of {', '.join(map(repr, choices))}")


def checked_grid(grid: Any, method: str) -> tuple[int, int] | None:
    """Rows and columns of patches, which only the kernel method has."""
    if grid is None:
        return None
    if method != "kernel":
        raise ValueError(f"grid: {method!r} has none; give it with method='kernel' only")
    sides = (grid, grid) if isinstance(grid, (int, np.integer)) else grid
    if not isinstance(sides, (tuple, list)) or len(sides) != 2:
        raise ValueError(f"grid: got {grid!r}; give patches a side, or (rows, columns)")
    rows, columns = (checked_count("grid", side, least=1) for side in sides)
    return rows, columns


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
    """Something that can be called, and is ready to be."""
    if not callable(model):
        raise TypeError(
            f"model: got {type(model).__name__}; give an nn.Module, a LightningModule or a "
            "function from images (N, C, H, W) to outputs (N, K)"
        )
    if is_unfinished(model):
        raise ValueError(
            "model: has layers that take their sizes and first weights from the first batch they "
            "see; call it once before it is explained"
        )


def is_unfinished(model: Any) -> bool:
    """Whether a first call would still initialise lazy layers, which is for the host to do."""
    module = module_of(model)
    tensors = () if module is None else chain(module.parameters(), module.buffers())
    return any(torch.nn.parameter.is_lazy(tensor) for tensor in tensors)


def checked_labels(labels: Any, images: int) -> np.ndarray | None:
    """The true classes as int (N,), negative where unknown, None where there are none."""
    if labels is None:
        return None
    indices = _indices("labels", labels)
    if indices.shape != (images,):
        raise ValueError(
            f"labels: have shape {indices.shape}; give one class for each of {images} images"
        )
    return indices


def known_labels(labels: np.ndarray | None, given: Any, classes: int) -> np.ndarray | None:
    """The labels (N,), -1 where unknown: negative, or found and none of the model's classes."""
    if labels is None:
        return None
    among = max(classes, 2)  # of a binary model with one output they are 0 or 1
    if not isinstance(given, Found):
        _check_classes("labels", labels[labels >= 0], among)
    return np.where((labels >= 0) & (labels < among), labels, -1)


def checked_targets(
    targets: Any, topk: Any, labels: np.ndarray | None, outputs: np.ndarray
) -> np.ndarray:
    """The classes to explain, int (N, K'), from one of three ways to ask for them.

    Args:
        targets: One class, (K',) for all images, (N, K') for each, or None.
        topk: How many of the highest outputs, or None.
        labels: The true classes, which come before the highest others; -1 where unknown.
        outputs: (N, K), the outputs of the full images.
    """
    images, classes = outputs.shape
    if topk is not None:
        checked_count("topk", topk, least=1)
        if topk > classes and not isinstance(topk, AtMost):
            raise ValueError(f"topk: got {topk}, but the model has {classes} classes")
        ranked = outputs.copy()
        if labels is not None and classes > 1:
            rows = np.flatnonzero(labels >= 0)
            ranked[rows, labels[rows]] = np.inf
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
            warnings.warn(
                f"class_names: the data set knows {len(names)}, the model has {classes} outputs; "
                "they are left out",
                stacklevel=2,
            )
            return checked_class_names(None, classes)
        raise ValueError(f"class_names: got {len(names)} names for a model of {classes} classes")
    return np.array(names)


def _shown(value: Any) -> str:
    """A value as it was given, if it is not too long for a message."""
    try:
        text = repr(value)
    except Exception:  # whatever the values of others do when they are shown
        return f"a {type(value).__name__}"
    return " ".join(text.split()) if len(text) <= 80 else f"a {type(value).__name__}"


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
