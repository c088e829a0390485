"""Two classes: what swaps say that nothing can be held against.

An image swaps with one of another class. Of two classes each swaps with the other, and what a part
decides for the one it decides for the other: no class stands out. Nor do the images as a whole
where a part mirrors itself, such as a frame. It is stated all the same, as a fact and no suspicion.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lightning_shap.analysis.class_summary.means import LEAST_IMAGES
from lightning_shap.analysis.class_summary.places import STRONGEST, Place, Shares
from lightning_shap.analysis.class_summary.suspicions import (
    LEAST,
    Suspicion,
    measure_surprise,
)
from lightning_shap.analysis.class_summary.swaps import FINE_DETAIL, MASKS
from lightning_shap.analysis.metrics.where import CORNERS

HALF = 0.5  # is natural where there is no area to compare with


@dataclass(frozen=True)
class Fact:
    """States what a part decides of two classes, without a test.

    Attributes:
        place: The part.
        share: Of what decides.
        area: Of the image, None for fine detail, which has none.
        known: How many images say something.
    """

    place: Place
    share: float
    area: float | None
    known: int


def find_facts(
    shares: Shares, labels: np.ndarray, size: tuple[int, int], named: Sequence[Suspicion]
) -> list[Fact]:
    """Returns what parts that mirror themselves decide beyond their area, of two classes.

    Of parts that overlap, the one that surprises most; of those that a suspicion has named, none.

    Args:
        shares: Of N images.
        labels: int (N,), the class of each image.
        size: Height and width of the images.
        named: What is suspicious.
    """
    if len(np.unique(labels)) != 2:
        return []
    found = []
    for column in np.flatnonzero(shares.symmetric):
        place, known = shares.places[column], ~np.isnan(shares.values[:, column])
        if place.measure != "swap" or known.sum() < LEAST_IMAGES:
            continue
        share = float(np.clip(shares.values[known, column].mean(), 0, 1))
        area = _area(place, size)
        natural = max(place.natural, HALF if area is None else area)
        surprise = float(measure_surprise(np.array(share), np.array(natural)))
        if surprise >= LEAST:
            found.append((surprise, Fact(place, share, area, int(known.sum()))))
    found.sort(key=lambda one: (one[1].area is None, -one[0]))
    taken = [one.place.cells for one in named]
    kept = []
    for _, fact in found:
        if not any((fact.place.cells & cells).any() for cells in taken):
            kept.append(fact)
            taken.append(fact.place.cells)
    return kept


def _area(place: Place, size: tuple[int, int]) -> float | None:
    """Returns a part's share of the image, for the strongest corner twice that of a corner.

    Whichever is the strongest has more than its area by itself.
    """
    if place.name == FINE_DETAIL:
        return None
    name = f"the {CORNERS[0]} corner" if place.name == STRONGEST else place.name
    return float(MASKS[name](*size).mean()) * (2 if place.name == STRONGEST else 1)
