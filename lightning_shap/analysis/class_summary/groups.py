"""Groups of images: those of a class, and those of one that are taken for another."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

EXAMPLES = 2  # typical images, and as many strange ones


@dataclass(frozen=True)
class Group:
    """Some images: those of a class, or those of one that are taken for another.

    Attributes:
        label: Their class.
        taken_for: The class that they are taken for, None for all images of the class.
        rows: The images, int (n,).
        right: How many of them are known to be classified rightly.
        judged: Of how many that is known.
        typical: Those whose maps are most like the mean of them all, the best first.
        strange: Those whose maps are least like it, the least first.
    """

    label: int
    taken_for: int | None
    rows: np.ndarray
    right: int
    judged: int
    typical: tuple[int, ...]
    strange: tuple[int, ...]


@dataclass(frozen=True)
class Judged:
    """Images, what is true of them and what they are taken for.

    Attributes:
        labels: int (N,), the class of each.
        predicted: int (N,), the class that it is taken for.
        right: Whether these are known to be the same or to differ, None where that is not known.
        cells: float64 (N, GRID, GRID), see
            :func:`lightning_shap.analysis.class_summary.places.on_grid`.
    """

    labels: np.ndarray
    predicted: np.ndarray
    right: Sequence[bool | None]
    cells: np.ndarray

    @property
    def classes(self) -> list[Group]:
        """All classes, by number."""
        return [self._group(label, None) for label in np.unique(self.labels).tolist()]

    def pairs(self, most: int) -> list[Group]:
        """Returns classes that are taken for others, the most frequent first, so many at most."""
        wrong = [row for row, right in enumerate(self.right) if right is False]
        taken = np.stack([self.labels[wrong], self.predicted[wrong]], axis=1)
        found, counts = np.unique(taken, axis=0, return_counts=True)
        order = np.argsort(-counts, kind="stable")[:most]
        return [self._group(*found[one].tolist()) for one in order]

    def _group(self, label: int, taken_for: int | None) -> Group:
        inside = self.labels == label
        if taken_for is not None:
            inside &= self.predicted == taken_for
            inside &= np.array([one is False for one in self.right])
        rows = np.flatnonzero(inside)
        judged = [one for row in rows.tolist() if (one := self.right[row]) is not None]
        order = rows[np.argsort(-_likeness(self.cells[rows]), kind="stable")].tolist()
        typical, strange = order[:EXAMPLES], order[EXAMPLES:][::-1][:EXAMPLES]
        return Group(
            label, taken_for, rows, sum(judged), len(judged), tuple(typical), tuple(strange)
        )


def _likeness(cells: np.ndarray) -> np.ndarray:
    """Returns the cosine of each image's cells (n, GRID, GRID) and the mean of all."""
    flat = cells.reshape(len(cells), -1)
    mean = flat.mean(axis=0)
    norms = np.linalg.norm(flat, axis=1) * np.linalg.norm(mean)
    likeness: np.ndarray = flat @ mean / np.maximum(norms, 1e-12)
    return likeness


def distinct(names: Iterable[str]) -> np.ndarray:
    """Returns names str (C,), no two the same: equal ones get the number of their class."""
    names = list(map(str, names))
    often = Counter(names)
    return np.array(
        [f"{name} ({number})" if often[name] > 1 else name for number, name in enumerate(names)]
    )
