"""Averages for a picture of groups, gathered from explained images that come some at a time."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lightning_shap.analysis.class_summary.groups import Group
from lightning_shap.explanation.maps import read_maps

if TYPE_CHECKING:
    from lightning_shap.explanation.explanation import ImageExplanation


@dataclass(frozen=True)
class Shown:
    """Means over groups, and single images.

    Maps are shares of the magnitude of an image's map.

    Attributes:
        means: float64 (G, H, W), the mean of each group's first maps.
        contrasts: float64 (G, H, W), the mean of what speaks for the first class rather than the
            second, None where there is no second.
        images: float64 (G, H, W, C), the mean of the images.
        map_of: float64 (H, W), the first map of single images, by their numbers.
        image_of: (H, W, C), these images.
    """

    means: np.ndarray
    contrasts: np.ndarray | None
    images: np.ndarray
    map_of: dict[int, np.ndarray]
    image_of: dict[int, np.ndarray]


def gathered(explanations: Iterable["ImageExplanation"], groups: Sequence[Group]) -> Shown:
    """Returns what some groups show, of explanations that are gone through once.

    Args:
        explanations: Of all images in their order.
        groups: At least one.
    """
    within: dict[int, list[int]] = {}
    for number, group in enumerate(groups):
        for row in group.rows.tolist():
            within.setdefault(row, []).append(number)
    examples = {row for group in groups for row in (*group.typical, *group.strange)}
    sums: list[np.ndarray] = []
    map_of, image_of, first = {}, {}, 0
    for explanation in explanations:
        maps = read_maps(explanation)
        for place, image in enumerate(maps.images):
            row = first + place
            if row not in within:
                continue
            of_image = maps.get(place)
            own = as_shares(of_image[0])
            rest = [] if len(of_image) < 2 else [as_shares(of_image[0] - of_image[1])]
            added = [own, image, *rest]
            sums = sums or [np.zeros((len(groups), *np.shape(one))) for one in added]
            for number in within[row]:
                for total, one in zip(sums, added, strict=True):
                    total[number] += one
            if row in examples:
                map_of[row], image_of[row] = own, np.array(image)
        first += len(maps.images)
    counts = np.array([len(group.rows) for group in groups], dtype=np.float64)
    means, images, *contrasts = [
        total / counts.reshape(-1, *[1] * (total.ndim - 1)) for total in sums
    ]
    return Shown(means, contrasts[0] if contrasts else None, images, map_of, image_of)


def as_shares(one: np.ndarray) -> np.ndarray:
    """Returns a map (H, W) as shares of its magnitude, zeros where it has none."""
    return one / (np.abs(one).sum() or 1)
