"""Contrasts: why one class rather than another."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from lightning_shap.errors import ArgumentError, shown
from lightning_shap.explanation.classes import Classes

RUNNER_UP: Literal["runner-up"] = "runner-up"

Against = Literal["runner-up"] | int | Sequence[int] | np.ndarray | None
"""The highest other output of each image, one output for all of them, or (N,) one for each."""


def checked_against(against: Any) -> Against:
    """What can be asked for before the outputs are known."""
    if against is None:
        return None
    if isinstance(against, str) and against == RUNNER_UP:
        return RUNNER_UP
    numbers = None if isinstance(against, (str, bool)) else _numbers(against)
    if numbers is None or numbers.ndim > 1 or (numbers < 0).any():
        raise ArgumentError(
            "against", f"got {shown(against)}; give 'runner-up', the number of a class, or None"
        )
    return numbers if numbers.ndim else int(numbers)


def compared_with(
    against: Against, explained: np.ndarray, outputs: np.ndarray, classes: Classes
) -> np.ndarray | None:
    """The output that each image's explained one is compared with, int (N,).

    Args:
        against: As asked for. An image whose explained class is the very one it is to be compared
            with is compared with its runner-up.
        explained: int (N, K'), of which K' must be 1.
        outputs: (N, K), of the full images.
        classes: What the outputs stand for.

    Returns:
        None where nothing was asked for.

    Raises:
        ArgumentError: If there is no such output, or more than one is explained.
    """
    asked = checked_against(against)
    if asked is None:
        return None
    images, count = outputs.shape
    if explained.shape[1] != 1:
        raise ArgumentError(
            "against",
            f"compares one class of each image, and {explained.shape[1]} are explained; give "
            "topk=1, or one target",
        )
    if count < 2:
        raise ArgumentError("against", "the model has one output, and nothing to compare it with")
    others = np.where(np.arange(count) == explained, -np.inf, outputs)
    runner_up = others.argmax(axis=1)
    if isinstance(asked, str):
        if classes.values:
            raise ArgumentError("against", "values have no runner-up; give the number of one")
        return runner_up
    given = np.asarray(asked)
    if given.ndim and len(given) != images:
        raise ArgumentError("against", f"has {len(given)} classes for {images} images")
    if (given >= count).any():
        raise ArgumentError(
            "against", f"got {given.max()}, but the model has outputs 0 to {count - 1}"
        )
    return np.where(given == explained[:, 0], runner_up, given)


def _numbers(against: Any) -> np.ndarray | None:
    try:
        numbers = np.asarray(against)
    except (TypeError, ValueError):  # a tensor on another device, rows of different lengths
        return None
    return numbers.astype(np.int64) if numbers.dtype.kind in "iu" else None
