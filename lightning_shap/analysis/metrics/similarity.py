"""Similarity of two explanations of the same images, and what noise alone would leave of it.

Source: Adebayo and others, "Sanity Checks for Saliency Maps", 2018 (an untrained network as the
control).
"""

from typing import Any

import numpy as np
import torch

from lightning_shap.analysis.metrics.cells import Cells, any_maps, common_cells
from lightning_shap.analysis.metrics.mean_of_maps import MeanOfMaps
from lightning_shap.engine.methods.registry import METHODS
from lightning_shap.errors import ArgumentError
from lightning_shap.explanation.maps import Maps

DRAWS = 32  # of the errors, for a noise floor
ONE_SIDED = 1.645  # standard deviations below which one of twenty lies


class Similarity(MeanOfMaps):
    """Takes the cosine between the maps of two explanations of the same images.

    It is ``sum(a * b) / sqrt(sum(a * a) * sum(b * b))`` over the pixels of two maps ``a`` and
    ``b``: 1 where they differ by their size alone, 0 where they have nothing in common, and -1
    where one is the reverse of the other.

    An image's first map is compared with that of the same class, by its number where both
    explanations know it; an image is left out where only one of them explained that class. Where
    both have standard errors of what was drawn by chance, as those of ``"kernel"``, ``floor`` says
    how alike two explanations of one and the same map would be: what lies above it may be no change
    at all. It is meant for the mean of all maps, of which noise alone brings one of twenty below.

    Args:
        seed: Of the noise floor.
        kwargs: See ``torchmetrics.Metric``.

    Example:
        >>> import torch
        >>> from lightning_shap import Similarity
        >>> before, after = torch.zeros(2, 1, 4, 4)
        >>> before[0, 0] = 1.0
        >>> after[0, :2] = 3.0
        >>> metric = Similarity()
        >>> metric.update(after, other=before)
        >>> metric.compute()  # the square root of one half
        tensor(0.7071)
    """

    higher_is_better = None

    floor_total: torch.Tensor
    floor_variance: torch.Tensor
    floored: torch.Tensor

    def __init__(self, seed: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.seed = seed
        self.add_state("floor_total", torch.tensor(0.0), "sum")
        self.add_state("floor_variance", torch.tensor(0.0), "sum")
        self.add_state("floored", torch.tensor(0), "sum")

    def update(self, explanation: Any, other: Any) -> None:  # type: ignore[override]
        """Compares two explanations of the same images.

        Args:
            explanation: What :func:`lightning_shap.explain` returned, a slice of it, any
                ``shap.Explanation`` of images, or attributions (N, H, W) or (N, C, H, W).
            other: Another of the same images, such as that of an earlier epoch.

        Raises:
            ValueError: If they are none, or not of as many images of the same size.
        """
        maps, others = any_maps(explanation), any_maps(other)
        if maps.source.shape[:3] != others.source.shape[:3]:
            raise ArgumentError(
                "other",
                f"is of images {others.source.shape[:3]}, not {maps.source.shape[:3]} as the "
                "explanation; give one of the same images",
            )
        by_chance = errs_by_chance(maps) and errs_by_chance(others)
        numbers = np.full(maps.source.shape[0], np.nan)
        for image in range(len(numbers)):
            output = _find_same(maps, others, image)
            if output is None:
                continue
            here, there = common_cells(maps, others, image, output)
            numbers[image] = _cosine(here.values, there.values, here.sizes)
            found = self._draw_noise(here, there, image) if by_chance else None
            if found is not None:
                self.floor_total = self.floor_total + float(found.mean())
                self.floor_variance = self.floor_variance + float(found.var())
                self.floored = self.floored + 1
        self._add(numbers)

    @property
    def floor(self) -> torch.Tensor:
        """Returns how alike explanations are that differ by their errors alone, NaN if unknown.

        Of this process alone.
        """
        return (self.floor_total - ONE_SIDED * self.floor_variance.sqrt()) / self.floored

    def _draw_noise(self, here: Cells, there: Cells, image: int) -> np.ndarray | None:
        """Returns similarities (DRAWS,) of a map to itself, each time with errors of its own."""
        if here.std is None or there.std is None:
            return None
        squares = [
            float((cells**2 * here.sizes).sum()) for cells in (here.values, there.values, here.std)
        ]
        if 0 in squares[:2]:
            return None
        # What was found is larger than what there is, by its own errors.
        truth = here.values * max(0.0, 1 - squares[2] / squares[0]) ** 0.5
        random = np.random.default_rng([self.seed, image, 0])
        scale = (squares[0] / squares[1]) ** 0.5
        one = truth + here.std * _draw_errors(random, here.regions)
        two = truth + scale * there.std * _draw_errors(random, there.regions)
        return _cosine(one, two, here.sizes)


def errs_by_chance(maps: Maps) -> bool:
    """Tells whether another explanation of the same model would err otherwise, if maps err at all.

    So do those of other libraries.
    """
    method = None if maps.record is None else METHODS.get(maps.record.method)
    return method is None or method.errs_by_chance


def _draw_errors(random: np.random.Generator, regions: np.ndarray) -> np.ndarray:
    """Draws standard normal errors (DRAWS, M); cells of one region share theirs."""
    return random.standard_normal((DRAWS, int(regions.max()) + 1))[:, regions]


def _find_same(maps: Maps, others: Maps, image: int) -> int | None:
    """Returns which output of the other explanation is of an image's first class, if any is."""
    if maps.indexes is None or others.indexes is None:
        return 0
    there = others.indexes[image].tolist()
    first = maps.indexes[image, 0]
    return there.index(first) if first in there else None


def _cosine(one: np.ndarray, other: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Returns the cosine of maps (..., M): 1 of two that are zero, 0 of one that is."""
    product, first, second = (
        (a * b * sizes).sum(axis=-1) for a, b in ((one, other), (one, one), (other, other))
    )
    length = np.sqrt(first * second)
    both = (first == 0) & (second == 0)
    return np.where(length > 0, product / np.where(length > 0, length, 1), both.astype(float))
