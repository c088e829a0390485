"""Similarity of two explanations of the same images, and what noise alone would leave of it.

Sources: Adebayo and others, "Sanity Checks for Saliency Maps", 2018 (an untrained network as the
control); Spearman's correlation, with ties at their mean rank.
"""

from typing import Any, Literal

import numpy as np
import torch

from lightning_shap.analysis.metrics.cells import Cells, any_maps, common_cells
from lightning_shap.analysis.metrics.mean_of_maps import MeanOfMaps
from lightning_shap.errors import ArgumentError, check_choice
from lightning_shap.explanation.maps import Maps

DRAWS = 32  # of the errors, for a noise floor
ONE_SIDED = 1.645  # standard deviations below which one of twenty lies


class Similarity(MeanOfMaps):
    """Takes the cosine between the maps of two explanations of the same images.

    It is ``sum(a * b) / sqrt(sum(a * a) * sum(b * b))`` over the pixels of two maps ``a`` and
    ``b``: 1 where they differ by their size alone, 0 where they have nothing in common, and -1
    where one is the reverse of the other.

    Of each image the same classes are compared, by their numbers where both explanations know
    them; what only one of them explained is left out. Where both have standard errors, ``floor``
    says how alike two explanations of one and the same map would be: what lies above it may be no
    change at all. It is meant for the mean of all maps, of which noise alone brings one in twenty
    below it.

    Args:
        kind: ``"cosine"`` of the angle between the maps, or ``"rank"`` for Spearman's correlation
            of their pixels.
        per_target: Average over all the explained classes of an image, instead of its first.
        seed: Of the noise floor.
        kwargs: See ``torchmetrics.Metric``.

    Raises:
        ValueError: If an argument's value will not do.

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

    def __init__(
        self,
        kind: Literal["cosine", "rank"] = "cosine",
        per_target: bool = False,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(per_target, **kwargs)
        check_choice("kind", kind, ("cosine", "rank"))
        self.kind = kind
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
        alike, floors = np.full((2, *_shape(maps)), np.nan)
        spread = np.zeros(_shape(maps))
        for image in range(len(alike)):
            here, there = common_cells(maps, others, image)
            for output, match in enumerate(_matches(maps, others, image)):
                if match is None or (output and not self.per_target):
                    continue
                alike[image, output] = self._similarity(
                    here.values[output], there.values[match], here.sizes
                )
                found = self._noisy(here, output, there, match, image)
                if found is not None:
                    floors[image, output], spread[image, output] = found.mean(), found.var()
        self._add(alike)
        known = np.isfinite(floors)
        self.floor_total = self.floor_total + float(floors[known].sum())
        self.floor_variance = self.floor_variance + float(spread[known].sum())
        self.floored = self.floored + int(known.sum())

    @property
    def floor(self) -> torch.Tensor:
        """Returns how alike explanations are that differ by their errors alone, NaN if unknown.

        Of this process alone.
        """
        return (self.floor_total - ONE_SIDED * self.floor_variance.sqrt()) / self.floored

    def _similarity(self, one: np.ndarray, other: np.ndarray, sizes: np.ndarray) -> np.ndarray:
        """Returns the similarity of maps (..., M) by cells."""
        if self.kind == "rank":
            one, other = (_centred_ranks(values, sizes) for values in (one, other))
        return _cosine(one, other, sizes)

    def _noisy(
        self, here: Cells, output: int, there: Cells, match: int, image: int
    ) -> np.ndarray | None:
        """Similarities (DRAWS,) of one map to itself, each time with errors of its own."""
        if here.std is None or there.std is None:
            return None
        map_, other = here.values[output], there.values[match]
        std, other_std = here.std[output], there.std[match]
        squares = [float((cells**2 * here.sizes).sum()) for cells in (map_, other, std)]
        if 0 in squares[:2]:
            return None
        # What was found is larger than what there is, by its own errors.
        truth = map_ * max(0.0, 1 - squares[2] / squares[0]) ** 0.5
        random = np.random.default_rng([self.seed, image, output])
        scale = (squares[0] / squares[1]) ** 0.5
        one = truth + std * _errors(random, here.regions)
        two = truth + scale * other_std * _errors(random, there.regions)
        return self._similarity(one, two, here.sizes)


def _errors(random: np.random.Generator, regions: np.ndarray) -> np.ndarray:
    """Draws standard normal errors (DRAWS, M); cells of one region share theirs."""
    return random.standard_normal((DRAWS, int(regions.max()) + 1))[:, regions]


def _shape(maps: Maps) -> tuple[int, int]:
    return maps.source.shape[0], maps.source.shape[-1]


def _matches(maps: Maps, others: Maps, image: int) -> list[int | None]:
    """Finds for each output of an image the same one of the other explanation."""
    if maps.indexes is None or others.indexes is None:
        count = others.source.shape[-1]
        return [output if output < count else None for output in range(maps.source.shape[-1])]
    there = others.indexes[image].tolist()
    return [there.index(one) if one in there else None for one in maps.indexes[image].tolist()]


def _cosine(one: np.ndarray, other: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Returns the cosine of maps (..., M): 1 of two that are zero, 0 of one that is."""
    product, first, second = (
        (a * b * sizes).sum(axis=-1) for a, b in ((one, other), (one, one), (other, other))
    )
    length = np.sqrt(first * second)
    both = (first == 0) & (second == 0)
    return np.where(length > 0, product / np.where(length > 0, length, 1), both.astype(float))


def _centred_ranks(values: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Returns the mean rank of each cell's pixels, less that of all; equal values share theirs."""
    flat = values.reshape(-1, values.shape[-1])
    ranks = np.empty(flat.shape)
    for row, of_row in zip(ranks, flat, strict=True):
        _, place = np.unique(of_row, return_inverse=True)
        pixels = np.bincount(place, weights=sizes)
        row[:] = (np.cumsum(pixels) - pixels / 2)[place]
    return (ranks - sizes.sum() / 2).reshape(values.shape)
