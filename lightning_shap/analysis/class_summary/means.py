"""Means over some images of what is known of them, and how sure these are."""

from dataclasses import dataclass

import numpy as np

LEAST_IMAGES = 5  # that a mean is of, in a class and in all others


def tested_classes(labels: np.ndarray) -> np.ndarray:
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
    """Holds means of G groups of images at P places, and of all images but those of each.

    Attributes:
        counts: int (G, P), how many images of each group say something.
        means: float64 (G, P), NaN where they are too few.
        variance: Of the means, (G, P), likewise.
        others: The means over all other images, (G, P), likewise.
        variance_of_others: Of these, (G, P), likewise.
    """

    counts: np.ndarray
    means: np.ndarray
    variance: np.ndarray
    others: np.ndarray
    variance_of_others: np.ndarray


@dataclass(frozen=True)
class Known:
    """Values, their squares and whether there are any, side by side, so that one product sums all.

    Attributes:
        sides: float64 (N, 3 P).
    """

    sides: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray) -> "Known":
        """Returns what is known of values (N, P), NaN where nothing is."""
        known = ~np.isnan(values)
        filled = np.where(known, values, 0.0)
        return cls(np.hstack([filled, filled**2, known]))

    def groups(self, members: np.ndarray) -> Groups:
        """Returns what is known of groups of the images, bool (G, N)."""
        sums = members.astype(np.float64) @ self.sides
        counts, means, variance = _moments(sums)
        _, others, variance_of_others = _moments(self.sides.sum(axis=0) - sums)
        return Groups(counts, means, variance, others, variance_of_others)

    def turned(self, ways: np.ndarray, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns means and their variances, (P,), of all images, the places of each changed.

        Args:
            ways: int (W, P), which place each becomes.
            chosen: int (N,), the way of each image.
        """
        by_way = (chosen == np.arange(len(ways))[:, None]).astype(np.float64) @ self.sides
        sums = sum(
            one.reshape(3, -1)[:, way].ravel() for one, way in zip(by_way, ways, strict=True)
        )
        _, means, variance = _moments(np.asarray(sums)[None])
        return means[0], variance[0]


def _moments(sums: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Counts, means and variances of the means, (G, P) each, of sums (G, 3 P)."""
    totals, squares, known = np.split(sums, 3, axis=1)
    counts = np.rint(known).astype(int)
    most = np.maximum(counts, 2)
    means = totals / most
    variance = np.maximum(squares / most - means**2, 0) / (most - 1)
    few = counts < LEAST_IMAGES
    return counts, np.where(few, np.nan, means), np.where(few, np.nan, variance)
