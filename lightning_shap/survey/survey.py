"""A survey: what explanations of many images say of each class, in numbers and in words."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from lightning_shap.errors import ArgumentError
from lightning_shap.maps import Maps, maps_of
from lightning_shap.survey.places import Shares, attributed, on_grid
from lightning_shap.survey.suspicions import LEVEL, Suspicion, suspicions
from lightning_shap.survey.swaps import PARTS, swapped

if TYPE_CHECKING:
    from lightning_shap.explanation import ImageExplanation

MOST_CLASSES = 8  # that are shown
MOST_PAIRS = 4  # of classes that are taken for one another
EXAMPLES = 2  # typical images, and as many strange ones


def check_comparable(output: Any, multi_label: bool) -> None:
    """Makes sure that a summary of classes has classes to compare.

    Raises:
        ArgumentError: If outputs are values, or images have several classes.
    """
    if output == "value" or multi_label:
        raise ArgumentError(
            "summary", "compares classes, and each image must have one; leave it out"
        )


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


class Survey:
    """What explanations of many images say together.

    Args:
        explanation: Of N images, the true class of each first and then, for contrasts, its highest
            other, as ``topk=2`` explains them. Images without a label count by their prediction.
        seed: Of the test against chance.

    Attributes:
        names: str (C,), of the classes.
        labels: int (N,), the class of each image, -1 for none.
        cells: float64 (N, GRID, GRID), see :func:`lightning_shap.survey.places.on_grid`.
        shares: What share of what decides about each image lies in each place.
        suspicions: Places that decide more than they should, the worst first.

    Raises:
        ArgumentError: If it does not explain classes.
    """

    def __init__(self, explanation: "ImageExplanation", *, seed: int = 0) -> None:
        record = getattr(explanation, "record", None)
        predicted = None if record is None else record.predicted
        if record is None or predicted is None or record.multi_label:
            raise ArgumentError(
                "explanation", "has no single predicted class an image; give one of a classifier"
            )
        self.explanation = explanation
        self.maps: Maps = maps_of(explanation)
        self.names: np.ndarray = record.class_names
        self._predicted: np.ndarray = predicted.argmax(axis=1)
        known = record.labels is not None and record.labels.ndim == 1
        self.labels: np.ndarray = record.labels if known else self._predicted
        self._right: list[bool | None] = record.right
        self.cells = on_grid(self.maps)
        self.shares = _shares(self.cells, record.swaps)
        self.suspicions: Sequence[Suspicion] = suspicions(self.shares, self.labels, seed=seed)

    @cached_property
    def classes(self) -> list[Group]:
        """The classes that are shown: suspicious ones, then those with the most mistakes."""
        groups = [self._group(label) for label in np.unique(self.labels[self.labels >= 0]).tolist()]
        suspects = [one.label for one in self.suspicions]
        groups.sort(
            key=lambda one: (
                suspects.index(one.label) if one.label in suspects else len(suspects),
                one.right - one.judged,
                one.label,
            )
        )
        return groups[:MOST_CLASSES]

    @cached_property
    def pairs(self) -> list[Group]:
        """Classes that are taken for others, the most frequent first."""
        wrong = [row for row, right in enumerate(self._right) if right is False]
        taken = np.stack([self.labels[wrong], self._predicted[wrong]], axis=1)
        found, counts = np.unique(taken, axis=0, return_counts=True)
        order = np.argsort(-counts, kind="stable")[:MOST_PAIRS]
        return [self._group(*found[one].tolist()) for one in order]

    def mean_map(self, group: Group) -> np.ndarray:
        """float64 (H, W): the mean of the true class's maps, each as shares of its magnitude."""
        return self._mean(group, lambda maps: maps[0])

    def contrast_map(self, group: Group) -> np.ndarray | None:
        """The same of what speaks for the true class rather than the highest other, or None."""
        if self.maps.source.shape[-1] < 2:
            return None
        return self._mean(group, lambda maps: maps[0] - maps[1])

    def map_of(self, row: int) -> np.ndarray:
        """float64 (H, W): the true class's map of one image, as shares of its magnitude."""
        return _as_shares(self.maps.of(row)[0])

    def mean_image(self, group: Group) -> np.ndarray:
        """(H, W, C): the mean of the images."""
        mean: np.ndarray = np.asarray(self.maps.images[group.rows]).mean(axis=0)
        return mean

    @property
    def lines(self) -> list[str]:
        """What was seen, what is suspicious, and what is taken for what, a line each."""
        judged = [one for one in self._right if one is not None]
        right = f", {sum(judged)} of {len(judged)} right" if judged else ""
        first = f"{len(self.labels)} images of {len(np.unique(self.labels))} classes{right}"
        found = [self._suspicion(one) for one in self.suspicions]
        nothing = (
            f"no place stands out (tested at {LEVEL:.0%} over all {len(self.shares.places)} places)"
        )
        pairs = [
            f"{self.names[one.label]} taken for {self.names[one.taken_for]}: "
            f"{len(one.rows)} image{'s' * (len(one.rows) != 1)}"
            for one in self.pairs
        ]
        hint = ["look at these places; an object that is always there looks the same"]
        return [first, *(found or [nothing]), *(hint if found else []), *pairs]

    @property
    def text(self) -> str:
        """The lines as one text."""
        return "\n".join(self.lines)

    @property
    def markdown(self) -> str:
        """The lines as a list."""
        return "\n".join(f"- {line}" for line in self.lines)

    @property
    def plain(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "lines": self.lines,
            "images": len(self.labels),
            "level": LEVEL,
            "suspicions": [
                {
                    "class": None if one.label is None else str(self.names[one.label]),
                    "place": one.place.name,
                    "measure": one.place.measure,
                    "share": one.share,
                    "area": one.place.area,
                    "others": one.others,
                    "mirror": one.mirror,
                    "surprise": one.surprise,
                    "p": one.p,
                    "images": one.images,
                }
                for one in self.suspicions
            ],
            "classes": [self._plain(one) for one in self.classes],
            "confused": [self._plain(one) for one in self.pairs],
        }

    def name(self, group: Group) -> str:
        """What a group is called."""
        name = str(self.names[group.label])
        return name if group.taken_for is None else f"{name} as {self.names[group.taken_for]}"

    def _plain(self, group: Group) -> dict[str, Any]:
        return {
            "class": str(self.names[group.label]),
            "taken_for": None if group.taken_for is None else str(self.names[group.taken_for]),
            "images": len(group.rows),
            "right": group.right,
            "typical": list(group.typical),
            "strange": list(group.strange),
        }

    def _suspicion(self, one: Suspicion) -> str:
        who = "all classes" if one.label is None else str(self.names[one.label])
        name = one.place.name
        if one.place.measure == "swap":
            said = f"swapped between images, {name} decides {one.share:.0%} of the class"
        else:
            verb = "carry" if name.startswith("row") else "carries"
            said = f"{name} {verb} {one.share:.0%} of the attribution on {one.place.area:.0%} of "
            said += "the area"
        others = "" if one.others is None else f", in other classes {one.others:.0%}"
        mirror = "" if one.mirror is None else f", opposite it at most {one.mirror:.0%}"
        tested = f"(p = {one.p:.3f} over all {len(self.shares.places)} places and all classes"
        return f"{who}: {said}{others}{mirror} {tested}, {one.images} images)"

    def _group(self, label: int, taken_for: int | None = None) -> Group:
        inside = self.labels == label
        if taken_for is not None:
            inside &= self._predicted == taken_for
            inside &= np.array([one is False for one in self._right])
        rows = np.flatnonzero(inside)
        judged = [self._right[row] for row in rows if self._right[row] is not None]
        order = rows[np.argsort(-_likeness(self.cells[rows]), kind="stable")].tolist()
        strange = order[EXAMPLES:][::-1][:EXAMPLES]
        typical = tuple(order[:EXAMPLES])
        return Group(
            label, taken_for, rows, sum(map(bool, judged)), len(judged), typical, tuple(strange)
        )

    def _mean(self, group: Group, picked: Any) -> np.ndarray:
        total = sum(_as_shares(picked(self.maps.of(row))) for row in group.rows.tolist())
        mean: np.ndarray = np.asarray(total) / len(group.rows)
        return mean


def _shares(cells: np.ndarray, swaps: np.ndarray | None) -> Shares:
    """Those of attribution, and those of swaps where there were some, with today's parts."""
    of_attribution = attributed(cells)
    if swaps is None or swaps.shape[1] != len(PARTS):
        return of_attribution
    return Shares.joined([of_attribution, swapped(swaps)])


def _as_shares(one: np.ndarray) -> np.ndarray:
    return one / (np.abs(one).sum() or 1)


def _likeness(cells: np.ndarray) -> np.ndarray:
    """The cosine of each image's cells (n, GRID, GRID) and the mean of all."""
    flat = cells.reshape(len(cells), -1)
    mean = flat.mean(axis=0)
    norms = np.linalg.norm(flat, axis=1) * np.linalg.norm(mean)
    likeness: np.ndarray = flat @ mean / np.maximum(norms, 1e-12)
    return likeness
