"""Find labels by one rule, in a batch and in a whole data set."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from lightning_shap.engine.incoming import strip_class
from lightning_shap.engine.truth import IGNORED
from lightning_shap.errors import ArgumentError, ArgumentTypeError, blame, show

WhichLabels = Callable[[Any], Any] | int | str | None
"""A function of a batch, a position in it or a name; None for what looks like labels."""

LABEL_STEMS, LABELS = ("label", "target", "class", "categor"), {"y", "cls"}
ROW_NUMBERS = {"index", "idx", "id", "ids", "indices"}


def read_which(labels: Any) -> WhichLabels:
    """Returns which labels of the data are meant.

    Raises:
        ArgumentTypeError: If it is no name, position or function.
    """
    kinds = str, int, np.integer
    fits = labels is None or callable(labels) or (isinstance(labels, kinds) and labels != "")
    if not fits or isinstance(labels, (bool, type)):
        raise ArgumentTypeError(
            "labels",
            f"got {show(labels)}; give a name, a position in the batch, or a function of it "
            "(true classes of your own go with the images, as samples=(images, labels))",
        )
    return int(labels) if isinstance(labels, np.integer) else labels


def find_labels(parts: Sequence[tuple[str, Any]], rows: int) -> torch.Tensor | None:
    """Returns the labels among some parts, of which all but the images are given.

    What is called labels comes first, then whole numbers, in the order of the parts. What counts
    the rows comes last, or never if it is called an index.

    Args:
        parts: Tensors, arrays or lists with their names, "" for none.
        rows: How many rows labels have.

    Returns:
        As :class:`lightning_shap.training.samples.samples.Samples` has them; None where there are
        none.
    """
    candidates = [
        (not _is_label(name), labels.is_floating_point(), _is_count(labels), labels)
        for name, values in parts
        if not _is_row_number(name) and (labels := make_labels(values, rows)) is not None
    ]
    best = min(candidates, key=lambda candidate: candidate[:3], default=None)
    return None if best is None else best[-1]


def pick_labels(
    batch: Any, parts: Sequence[tuple[str, Any]], rows: int, which: Callable[[Any], Any] | int | str
) -> torch.Tensor:
    """Returns the labels in a batch that somebody named.

    Args:
        batch: As it is.
        parts: Its tensors, with their names.
        rows: How many images it has.
        which: A function of the batch, a position in it or a name.

    Raises:
        ArgumentError: If there are none.
    """
    if callable(which):
        with blame("labels", "the function fails on a batch"):
            values = which(batch)
    elif isinstance(which, str):
        values = next((part for name, part in parts if name == which), None)
    else:
        items = list(batch.values()) if isinstance(batch, Mapping) else batch
        there = isinstance(items, (tuple, list)) and -len(items) <= which < len(items)
        values = items[which] if there else None
    labels = None if values is None else make_labels(values, rows)
    if labels is None:
        names = sorted({name for name, _ in parts if name})
        held = f"whose parts are {', '.join(map(repr, names))}" if names else "without names"
        raise ArgumentError(
            "labels", f"{show(which)} gives no labels of {rows} images in a batch {held}"
        )
    return labels


def make_labels(values: Any, rows: int) -> torch.Tensor | None:
    """Returns labels in the one form that ``Samples`` has.

    Whole numbers or booleans, (N,) or (N, 1), in any type, are classes, as are rows (N, K) of
    shares of one; rows of zeros and ones are several classes, and all else numbers.

    Args:
        values: A tensor, an array, a column of a table or a list.
        rows: How many there must be, N.

    Returns:
        int64 (N,), bool (N, K) or float64 (N,) or (N, K); None if they are no labels.
    """
    tensor = _as_tensor(values, rows)
    if tensor is None or tensor.ndim not in (1, 2) or len(tensor) != rows or tensor.is_complex():
        return None
    values = tensor.detach().cpu()
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    numbers = values.double()
    if not numbers.isfinite().all():
        return None
    whole = bool((numbers == numbers.round()).all())
    if values.ndim == 1 and whole:
        return values.long().clone()
    if values.ndim == 2 and numbers.numel():
        if numbers.min() >= 0 and torch.allclose(numbers.sum(1), numbers.new_ones(()), atol=1e-3):
            return numbers.argmax(1)
        if whole and numbers.min() >= 0 and numbers.max() <= 1:
            return numbers.bool()
    return numbers if values.is_floating_point() else None


def number_classes(labels: torch.Tensor | None) -> np.ndarray | None:
    """Returns an int (N,) for each label, of which equal ones are of one kind; None for numbers."""
    if labels is None or labels.is_floating_point():
        return None
    if labels.ndim == 1:
        return labels.numpy().astype(np.int64)
    kinds: np.ndarray = np.unique(labels.numpy(), axis=0, return_inverse=True)[1].reshape(-1)
    return kinds


def find_highest_class(labels: np.ndarray) -> int | None:
    """Returns the highest class number among labels (N,), None where all are unknown."""
    known = labels[labels != IGNORED]
    return int(known.max()) if len(known) else None


def join_labels(parts: Sequence[torch.Tensor]) -> torch.Tensor | None:
    """Returns the labels of several batches in one form, None if there is none."""
    several = next((part for part in parts if part.dtype == torch.bool), None)
    if several is not None:  # where each image happened to have one class, they look like numbers
        classes = torch.arange(several.shape[1])
        one = torch.int64
        parts = [part[:, None] == classes if part.dtype == one else part for part in parts]
    forms = {(part.dtype == torch.bool, part.shape[1:]) for part in parts}
    return torch.cat(list(parts)) if len(forms) == 1 else None


def _as_tensor(values: Any, rows: int) -> torch.Tensor | None:
    if isinstance(values, torch.Tensor):
        return strip_class(values)
    values = values.to_numpy() if hasattr(values, "to_numpy") else values  # a column of a table
    if not isinstance(values, (list, tuple, np.ndarray)) or len(values) != rows or not rows:
        return None
    try:
        array = np.asarray(values)
    except ValueError:  # rows of different lengths
        return None
    return torch.from_numpy(array.copy()) if array.dtype.kind in "biuf" else None


def _is_label(name: str) -> bool:
    return bool(_split_words(name) & LABELS) or any(stem in name.lower() for stem in LABEL_STEMS)


def _is_row_number(name: str) -> bool:
    return bool(_split_words(name) & ROW_NUMBERS) and not _is_label(name)


def _split_words(name: str) -> set[str]:
    return set(re.split(r"[^a-z]+", name.lower()))


def _is_count(labels: torch.Tensor) -> bool:
    return labels.ndim == 1 and len(labels) > 1 and bool((labels.diff() == 1).all())
