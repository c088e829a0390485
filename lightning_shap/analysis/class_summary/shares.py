"""Shares: how much of what decides about each image lies in each part of it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from lightning_shap.analysis.class_summary.parts import Part, list_parts
from lightning_shap.analysis.class_summary.swaps import CARRIED, EXCHANGED

if TYPE_CHECKING:
    from lightning_shap.explanation.record import Record


@dataclass(frozen=True)
class Swaps:
    """Holds what was measured of N images by swaps.

    Attributes:
        names: Of P parts.
        decided: float64 (N, P), what each decides, in units of the output, NaN where unknown.
        wholes: float64 (N,), what all decides, likewise.
        taken: int (N, P, 3), what changed images are taken for.
        rivals: int (N,), what the images are taken for that each was swapped with.
    """

    names: Sequence[str]
    decided: np.ndarray
    wholes: np.ndarray
    taken: np.ndarray
    rivals: np.ndarray

    def share(self, labels: np.ndarray, predicted: np.ndarray) -> "Shares":
        """Returns what is tested as shares of what decides about each image, by its class.

        A part's share is half that of what the model puts out, which each image says something of,
        and half that of what it decides, which is what matters.

        Args:
            labels: int (N,), the class of each image.
            predicted: int (N,), what each is taken for.
        """
        tested = [part for part in list_parts() if part.name in self.names]
        columns = [self.names.index(part.name) for part in tested]
        shares = share_swaps(tested, self.decided[:, columns], self.wholes, labels, self.rivals)
        taken = self.taken[:, columns] == labels[:, None, None]
        as_they_are = (predicted == labels).astype(float) - (self.rivals == labels)
        decisions = as_they_are[:, None] + taken[..., CARRIED] - taken[..., EXCHANGED]
        return replace(shares, values=(shares.values + decisions / 2) / 2)


def join_swaps(records: Sequence["Record"], images: int) -> Swaps:
    """Returns the swaps of all images, of no part where not all records have the same."""
    names = records[0].swap_parts
    arrays = [(one.swaps, one.swapped, one.swap_classes, one.swap_rivals) for one in records]
    if names is None or any(array is None for one in arrays for array in one):
        nothing = np.full((images, 0), np.nan)
        unknown = np.full(images, -1)
        return Swaps((), nothing, nothing.sum(1), np.zeros((images, 0, 3), int), unknown)
    decided, wholes, taken, rivals = (
        np.concatenate([np.asarray(one) for one in found]) for found in zip(*arrays, strict=True)
    )
    return Swaps(names, decided, wholes, taken, rivals)


@dataclass(frozen=True)
class Shares:
    """Holds the share of what decides about each image that each part has.

    Attributes:
        parts: P of them.
        values: float64 (N, P), NaN where an image says nothing.
        labels: int (N,), the class of each image, -1 where unknown.
        rivals: int (N,), the class of the image with which it was swapped, likewise.
    """

    parts: tuple[Part, ...]
    values: np.ndarray
    labels: np.ndarray
    rivals: np.ndarray

    def pick(self, rows: np.ndarray) -> "Shares":
        """Returns the shares of some images."""
        return replace(
            self, values=self.values[rows], labels=self.labels[rows], rivals=self.rivals[rows]
        )

    @cached_property
    def of_place(self) -> np.ndarray:
        """Returns bool (P,), which parts are places, and not properties of the whole image."""
        return np.array([part.mask is not None for part in self.parts], bool)

    @cached_property
    def ways(self) -> np.ndarray:
        """Returns int (4, P): each part as it is, and mirrored across, down, and both."""
        cells = [part.cells for part in self.parts]
        numbers = {one.tobytes(): number for number, one in reversed([*enumerate(cells)])}
        found = np.tile(np.arange(len(cells)), (4, 1))
        for way, axes in enumerate(((1,), (0,), (0, 1)), start=1):
            for number, one in enumerate(cells):
                turned = np.flip(one, axes).tobytes()
                # What looks the same either way round is itself, whatever else looks like it.
                if turned != one.tobytes():
                    found[way, number] = numbers.get(turned, number)
        return found

    @cached_property
    def symmetric(self) -> np.ndarray:
        """Returns bool (P,), which parts are the same however the image is mirrored."""
        same: np.ndarray = (self.ways == self.ways[0]).all(axis=0)
        return same


def share_swaps(
    parts: Sequence[Part],
    decided: np.ndarray,
    wholes: np.ndarray,
    labels: np.ndarray,
    rivals: np.ndarray,
) -> Shares:
    """Returns the shares that parts decide.

    An image's is in units of the mean whole of its class, so that the mean of a class is the sum of
    its parts over that of its wholes.

    Args:
        parts: P of them.
        decided: (N, P), in units of the output, NaN where nothing is known.
        wholes: (N,), likewise.
        labels: int (N,), the class of each image.
        rivals: int (N,), the class of the image that it was swapped with.
    """
    numbers = np.unique(labels, return_inverse=True)[1].reshape(-1)
    known = ~np.isnan(wholes)
    totals = np.bincount(numbers, np.where(known, wholes, 0))
    means = totals / np.maximum(np.bincount(numbers, known), 1)
    shares = decided / np.where(known, means[numbers], 1)[:, None]
    return Shares(tuple(parts), shares, labels, rivals)
