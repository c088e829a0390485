"""Findings: what explanations of many images show of each class, in numbers."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from lightning_shap.analysis.class_summary.data_alone import find_telling, read_features
from lightning_shap.analysis.class_summary.groups import (
    Group,
    Shown,
    gather,
    make_group,
    reduce_to_grid,
    tell_apart,
)
from lightning_shap.analysis.class_summary.means import find_tested
from lightning_shap.analysis.class_summary.parts import TINT
from lightning_shap.analysis.class_summary.power import Power, estimate_power
from lightning_shap.analysis.class_summary.proof import Proof, Rate, prove
from lightning_shap.analysis.class_summary.shares import Shares, Swaps, join_swaps
from lightning_shap.analysis.class_summary.suspicions import (
    Suspicion,
    find_suspicions,
    overlap,
)
from lightning_shap.errors import ArgumentError
from lightning_shap.explanation.maps import read_maps

if TYPE_CHECKING:
    from lightning_shap.explanation.explanation import ImageExplanation
    from lightning_shap.explanation.record import Record

MOST_CLASSES = 8  # that are shown
MOST_PAIRS = 4  # of classes that are taken for one another


class Findings:
    """Holds what explanations of many images show of each class.

    Args:
        explanations: Of N images in their order, some at a time; one that has them all, in a list,
            or those that :class:`lightning_shap.explanation.archive.ArchiveBlocks` reads. They are
            gone through once now, and once more for what a picture shows. Each explains the true
            class first and then, for contrasts, the highest other, as ``topk=2`` does. Images
            without a label count by their prediction.
        seed: Of the test against chance.
        watched: Names of swapped parts that are proved whatever is suspicious.

    Attributes:
        names: str (C,), of the classes; equal ones are numbered.
        labels: int (N,), the class of each image.
        right: Whether the prediction of each image is right, None where that is not known.
        method: By which they were explained.
        size: The shape of the images, (H, W, C).
        cells: float64 (N, GRID, GRID), see
            :func:`lightning_shap.analysis.class_summary.groups.reduce_to_grid`.
        shares: What share of what decides about each image lies in each place.
        suspicions: Parts that decide more than they should, the worst first.
        facts: Parts that decide more than their area of two classes, which nothing can test.
        withdrawn: Parts that would be suspicious, but of which too few decisions depend.
        watched: What depends on the parts that were to be watched, by their names and classes.

    Raises:
        ArgumentError: If they do not explain classes.
    """

    def __init__(
        self,
        explanations: Iterable["ImageExplanation"],
        *,
        seed: int = 0,
        watched: Sequence[str] = (),
    ) -> None:
        self._explanations = explanations
        self._seed = seed
        cells, labels, predicted, right, records = [], [], [], [], []
        features = []
        for explanation in explanations:
            record, of_images = read_judged(explanation)
            maps = read_maps(explanation)
            cells.append(reduce_to_grid(maps))
            features.append(read_features(maps.images))
            predicted.append(of_images)
            labels.append(_read_labels(record, of_images))
            right += record.judge().right
            records.append(record)
            self.size: tuple[int, ...] = maps.images.shape[1:]
        self.names: np.ndarray = tell_apart(record.class_names)
        self.method: str = record.method
        self.labels: np.ndarray = np.concatenate(labels)
        self.right: Sequence[bool | None] = right
        self.cells: np.ndarray = np.concatenate(cells)
        self._predicted: np.ndarray = np.concatenate(predicted)
        self._features: np.ndarray = np.concatenate(features)
        self.swaps: Swaps = join_swaps(records, len(self.labels))
        self.shares = self.swaps.share(self.labels, self._predicted)
        alarms = [
            replace(one, proof=self._prove(one.part.name, one.label))
            for one in find_suspicions(self.shares, seed=seed)
        ]
        held = [one for one in alarms if one.proof is not None and one.proof.holds]
        self.suspicions: Sequence[Suspicion] = [one for one in held if one.p is not None]
        self.facts: Sequence[Suspicion] = [one for one in held if one.p is None]
        self.withdrawn: Sequence[Suspicion] = [one for one in alarms if one not in held]
        self.watched: Mapping[str, Mapping[int | None, Proof]] = {
            name: {label: self._prove(name, label) for label in (None, *find_tested(self.labels))}
            for name in watched
            if name in self.swaps.names
        }

    @cached_property
    def classes(self) -> list[Group]:
        """The classes that are shown: suspicious ones, then those with the most mistakes."""
        suspects = [one.label for one in self.suspicions]
        groups = [self._group(label, None) for label in np.unique(self.labels).tolist()]
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
        taken = np.stack([self.labels, self._predicted], axis=1)[self._wrong]
        found, counts = np.unique(taken, axis=0, return_counts=True)
        order = np.argsort(-counts, kind="stable")[:MOST_PAIRS]
        return [self._group(*found[one].tolist()) for one in order]

    @property
    def confusion(self) -> list[tuple[int, int, int]]:
        """Counts images of a class that are taken for one, as (class, taken for, images)."""
        judged = np.array([one is not None for one in self.right])
        both = np.stack([self.labels, self._predicted], axis=1)[judged]
        pairs, counts = np.unique(both, axis=0, return_counts=True)
        return [(*pair, count) for pair, count in zip(pairs.tolist(), counts.tolist(), strict=True)]

    @cached_property
    def shown(self) -> Shown:
        """Returns what the classes and then the pairs show."""
        return gather(self._explanations, [*self.classes, *self.pairs])

    @cached_property
    def in_data(self) -> Sequence[Suspicion]:
        """Parts that tell one class better than others in the data alone, the worst first."""
        return find_telling(self._features, self.labels, seed=self._seed)

    def uses(self, found: Suspicion) -> bool:
        """Tells whether the model was found to need what the data has, or what overlaps with it."""
        return any(overlap(one, found) for one in (*self.suspicions, *self.facts))

    @cached_property
    def power(self) -> Power:
        """Returns what would have been found."""
        return estimate_power(self.shares, seed=self._seed)

    def name(self, group: Group) -> str:
        """Returns what a group is called."""
        name = str(self.names[group.label])
        return name if group.taken_for is None else f"{name} as {self.names[group.taken_for]}"

    @property
    def _wrong(self) -> np.ndarray:
        return np.array([one is False for one in self.right])

    def _prove(self, name: str, label: int | None) -> Proof:
        inside = np.full(len(self.labels), True) if label is None else self.labels == label
        column = self.swaps.names.index(name)
        proof = prove(
            inside, self.labels, self.swaps.rivals, self._predicted, self.swaps.taken[:, column]
        )
        return replace(proof, removed=Rate(0, 0)) if name == TINT else proof

    def _group(self, label: int, taken_for: int | None) -> Group:
        inside = self.labels == label
        if taken_for is not None:
            inside &= (self._predicted == taken_for) & self._wrong
        return make_group(np.flatnonzero(inside), label, taken_for, self.right, self.cells)


def read_shares(explanation: "ImageExplanation") -> Shares:
    """Returns what share of what decides about each image lies in each part, and tests nothing.

    Raises:
        ArgumentError: As :func:`read_judged`.
    """
    record, predicted = read_judged(explanation)
    swaps = join_swaps([record], len(predicted))
    return swaps.share(_read_labels(record, predicted), predicted)


def read_judged(explanation: "ImageExplanation") -> tuple["Record", np.ndarray]:
    """Returns the record of an explanation, and the class that each image is taken for, int (N,).

    Raises:
        ArgumentError: If it is none of classes, of which each image has one.
    """
    record = getattr(explanation, "record", None)
    predicted = None if record is None else record.judge().predicted
    if record is None or predicted is None or record.multi_label:
        raise ArgumentError(
            "explanation", "has no single predicted class an image; give one of a classifier"
        )
    if record.labels is not None and record.labels.ndim == 2:
        raise ArgumentError(
            "labels", "images may have several true classes, and a summary compares one of each"
        )
    return record, predicted.argmax(axis=1)


def _read_labels(record: "Record", predicted: np.ndarray) -> np.ndarray:
    """Returns the class of each image, int (N,), by its prediction where none is known."""
    if record.labels is None:
        return predicted
    return np.where(record.labels < 0, predicted, record.labels)
