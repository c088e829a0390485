"""Targets: which outputs are explained, and with which others they are compared."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from lightning_shap.engine.incoming import read_array
from lightning_shap.errors import ArgumentError, ArgumentTypeError, show
from lightning_shap.explanation.classes import Classes

RUNNER_UP: Literal["runner-up"] = "runner-up"

Against = Literal["runner-up"] | int | Sequence[int] | np.ndarray | None
"""The highest other output of each image, one output for all of them, or (N,) one for each."""


def read_against(against: Any) -> Against:
    """Returns what outputs are to be compared with, as far as that is known before they are."""
    if against is None:
        return None
    if isinstance(against, str) and against == RUNNER_UP:
        return RUNNER_UP
    numbers = None if isinstance(against, (str, bool)) else _read_numbers(against)
    if numbers is None or numbers.ndim > 1 or (numbers < 0).any():
        raise ArgumentError(
            "against", f"got {show(against)}; give 'runner-up', the number of a class, or None"
        )
    return numbers if numbers.ndim else int(numbers)


def refuse_ranks_of_values(topk: int) -> ArgumentError:
    """Returns the error for ``topk`` of outputs that are values."""
    return ArgumentError("topk", f"got {topk}, but values have no highest one; give targets")


def choose_targets(
    targets: Any,
    topk: int | None,
    labels: np.ndarray | None,
    outputs: np.ndarray,
    classes: Classes,
    *,
    first: np.ndarray | None = None,
    fewer_will_do: bool = False,
) -> np.ndarray:
    """Returns the outputs to explain, int (N, K'), by one of three ways to ask for them.

    Args:
        targets: One output, (K',) for all images, (N, K') for each, or None.
        topk: How many of the highest outputs, or None.
        labels: What is true, as the record keeps it; true classes come before the highest others.
        outputs: (N, K), the outputs of the full images.
        classes: What they stand for.
        first: int (N, F), outputs that come before the highest others instead of the true classes.
        fewer_will_do: If there are not as many as ``topk``, all; of values, the first.
    """
    images, count = outputs.shape
    if topk is not None:
        if not fewer_will_do:
            if classes.values:
                raise refuse_ranks_of_values(topk)
            if topk > count:
                raise ArgumentError("topk", f"got {topk}, but the model has {count} classes")
        if classes.values:
            return np.tile(np.arange(count)[:topk], (images, 1))
        turns = np.ones_like(outputs)
        if first is not None:
            np.put_along_axis(turns, first, np.arange(-first.shape[1], 0), axis=1)
        elif labels is not None:
            turns -= classes.pick_outputs(classes.mark_true(labels))
        # Stable, so that equal outputs keep the order of their classes.
        return np.lexsort((-outputs, turns), axis=1)[:, :topk]
    if targets is None:
        return np.tile(np.arange(count), (images, 1))
    chosen = read_array("targets", targets)
    if chosen.size and chosen.dtype.kind not in "iu":
        raise ArgumentTypeError("targets", f"got {chosen.dtype} values; give whole class indices")
    chosen = np.atleast_1d(chosen.astype(np.int64))
    if chosen.size == 0 or chosen.ndim > 2 or (chosen.ndim == 2 and len(chosen) != images):
        raise ArgumentError(
            "targets",
            f"have shape {chosen.shape}; give (K',) class indices for all images "
            f"or ({images}, K') for each",
        )
    outside = chosen[(chosen < 0) | (chosen >= count)]
    if outside.size:
        noun = "values" if classes.values else "classes"
        raise ArgumentError(
            "targets", f"hold {outside[0]}, but the model has {count} {noun}, 0 to {count - 1}"
        )
    return np.tile(chosen, (images, 1)) if chosen.ndim == 1 else chosen


def choose_rivals(
    against: Against,
    explained: np.ndarray,
    outputs: np.ndarray,
    classes: Classes,
) -> np.ndarray | None:
    """Returns the output that each image's explained one is compared with, int (N,).

    Args:
        against: As :func:`read_against` returns it; None for no comparison. An image whose
            explained class is the very one it is to be compared with is compared with its
            runner-up.
        explained: int (N, K'), of which K' must be 1.
        outputs: (N, K), of the full images.
        classes: What the outputs stand for.

    Raises:
        ArgumentError: If there is no such output, or more than one is explained.
    """
    if against is None:
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
    if isinstance(against, str):
        if classes.values:
            raise ArgumentError("against", "values have no runner-up; give the number of one")
        return runner_up
    given = np.asarray(against)
    if given.ndim and len(given) != images:
        raise ArgumentError("against", f"has {len(given)} classes for {images} images")
    if (given >= count).any():
        raise ArgumentError(
            "against", f"got {given.max()}, but the model has outputs 0 to {count - 1}"
        )
    return np.where(given == explained[:, 0], runner_up, given)


def _read_numbers(against: Any) -> np.ndarray | None:
    try:
        numbers = np.asarray(against)
    except (TypeError, ValueError):  # a tensor on another device, rows of different lengths
        return None
    return numbers.astype(np.int64) if numbers.dtype.kind in "iu" else None
