"""Half of a budget: what an explanation would have said of its regions with half the evaluations.

Where a method knows no standard errors, this shows how much of a map is the budget's and not the
model's. It is no error: what half of the evaluations moved, all of them may move again.
"""

from dataclasses import dataclass

import numpy as np

from lightning_shap.explanation.explanation import ImageExplanation
from lightning_shap.explanation.maps import read_maps
from lightning_shap.explanation.regions import Regions


@dataclass(frozen=True)
class HalfBudget:
    """Holds what half of the evaluations say, for N images of up to R regions and K' outputs.

    Attributes:
        values: float64 (N, R, K'), what then lies in each region.
        steady: int (N, K'), how many regions change by less than half of their value.
        alike: float64 (N, K'), the cosine of both maps.
    """

    values: np.ndarray
    steady: np.ndarray
    alike: np.ndarray


def compare_half(regions: Regions, half: ImageExplanation) -> HalfBudget:
    """Returns what half of the evaluations say of regions.

    Args:
        regions: Of the whole budget.
        half: The same images and outputs, from half of it.
    """
    others, values, alike = read_maps(half), [], []
    for image, labels in enumerate(regions.labels):
        maps, small = regions.map(image), others.get(image)
        sums = [np.bincount(labels.ravel(), one.ravel(), regions.values.shape[1]) for one in small]
        values.append(np.stack(sums, axis=1))
        lengths = [np.linalg.norm(one, axis=(1, 2)) for one in (maps, small)]
        alike.append((maps * small).sum(axis=(1, 2)) / np.maximum(lengths[0] * lengths[1], 1e-300))
    found, there = np.stack(values), regions.sizes > 0
    moved = 2 * np.abs(regions.values - found) > np.abs(regions.values)
    steady = (there[:, :, None] & ~moved).sum(axis=1)
    return HalfBudget(found, steady, np.stack(alike))
