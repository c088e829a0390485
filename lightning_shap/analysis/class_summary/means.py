"""Means over some images of what is known of them, and how sure these are."""

from dataclasses import dataclass

import numpy as np

LEAST_IMAGES = 5  # that a mean is of, in a class and in all others


def find_tested(labels: np.ndarray) -> np.ndarray:
    """Returns the classes, int (G,), that have enough images and leave the others enough.

    Args:
        labels: int (N,), the class of each image, below 0 where unknown, which is no class.
    """
    numbers, counts = np.unique(labels, return_counts=True)
    enough = (counts >= LEAST_IMAGES) & (len(labels) - counts >= LEAST_IMAGES) & (numbers >= 0)
    found: np.ndarray = numbers[enough]
    return found


@dataclass(frozen=True)
class Groups:
    """Holds means of G groups of images at P parts, and of all images outside each.

    Attributes:
        counts: int (..., G, P), how many images of each group say something.
        means: float64 (..., G, P), NaN where they are too few.
        variance: Of the means, (..., G, P), likewise.
        others: The means over the images outside each group, (..., G, P), likewise.
        variance_of_others: Of these, (..., G, P), likewise.
    """

    counts: np.ndarray
    means: np.ndarray
    variance: np.ndarray
    others: np.ndarray
    variance_of_others: np.ndarray


def stack_known(values: np.ndarray) -> np.ndarray:
    """Returns values (N, P), their squares and whether there are any, side by side, (N, 3 P).

    So one product sums all three. Values are NaN where nothing is known.
    """
    known = ~np.isnan(values)
    filled = np.where(known, values, 0.0)
    return np.hstack([filled, filled**2, known])


def compare_groups(known: np.ndarray, members: np.ndarray) -> Groups:
    """Returns what is known, see :func:`stack_known`, of groups of images and outside them.

    Args:
        known: float64 (N, 3 P).
        members: float64 (..., G, N), 1 for what belongs to a group, else 0.
    """
    sums = members @ known
    counts, means, variance = _compute_moments(sums)
    _, others, variance_of_others = _compute_moments(known.sum(axis=0) - sums)
    return Groups(counts, means, variance, others, variance_of_others)


def turn_images(
    known: np.ndarray, ways: np.ndarray, chosen: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Returns means and their variances, (..., P), of all images, the places of each changed.

    Args:
        known: See :func:`stack_known`.
        ways: int (W, P), which place each becomes.
        chosen: int (..., N), the way of each image.
    """
    sums = np.zeros((*chosen.shape[:-1], 3, ways.shape[1]))
    for number, way in enumerate(ways):
        by_way = (chosen == number).astype(np.float64) @ known
        sums += by_way.reshape(sums.shape)[..., way]
    _, means, variance = _compute_moments(sums.reshape(*chosen.shape[:-1], -1))
    return means, variance


def _compute_moments(sums: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns counts, means and variances of the means, (..., P) each, of sums (..., 3 P)."""
    totals, squares, known = np.split(sums, 3, axis=-1)
    counts = np.rint(known).astype(int)
    most = np.maximum(counts, 2)
    means = totals / most
    variance = np.maximum(squares / most - means**2, 0) / (most - 1)
    few = counts < LEAST_IMAGES
    return counts, np.where(few, np.nan, means), np.where(few, np.nan, variance)
