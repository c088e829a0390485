"""Maps: an explanation of images, or a slice of one, with every axis there and each one known."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from lightning_shap.errors import ArgumentError
from lightning_shap.explanation.regions import Regions

if TYPE_CHECKING:
    from lightning_shap.explanation.record import Record


@dataclass(frozen=True)
class Maps:
    """Holds the heat maps of N images, for K' outputs each.

    Attributes:
        source: What they are made of, one image at a time: regions, or values (N, H, W, C, K').
        images: (N, H, W, C).
        indexes: int (N, K'), which outputs were explained, None if that is not known.
        base: float64 (N, K'), the base values, or None.
        record: How they came about, None for an explanation that is not ours.
    """

    source: Regions | np.ndarray
    images: np.ndarray
    indexes: np.ndarray | None = None
    base: np.ndarray | None = None
    record: "Record | None" = None

    def get(self, image: int) -> np.ndarray:
        """Returns the maps of one image, attributions summed over channels, float64 (K', H, W)."""
        if isinstance(self.source, Regions):
            return self.source.map(image)
        return _sum_channels(self.source[image])

    def peak(self, images: Sequence[int]) -> float:
        """Returns the largest magnitude in some of the maps."""
        if isinstance(self.source, Regions):
            return float(np.abs(self.source.per_map[images]).max())
        return max(float(np.abs(self.get(image)).max()) for image in images)

    def find_doubtful(self, image: int) -> np.ndarray | None:
        """Finds the pixels in regions that are within two standard errors of 0, bool (K', H, W).

        None where there are no standard errors. Those within a region are one error: over its
        pixels and channels they add up, as the values do.
        """
        if not isinstance(self.source, Regions) or self.source.error_std is None:
            return None
        within = np.abs(self.source.values[image]) < 2 * self.source.error_std[image]
        return within.T[:, self.source.labels[image]]

    @cached_property
    def values(self) -> np.ndarray:
        """Returns the maps of all images, float64 (N, K', H, W)."""
        return np.stack([self.get(image) for image in range(len(self.images))])

    @cached_property
    def totals(self) -> np.ndarray:
        """Sums up each map, float64 (N, K')."""
        if isinstance(self.source, Regions):
            return self.source.values.sum(axis=1)
        return np.stack([values.sum(axis=(0, 1, 2), dtype=np.float64) for values in self.source])

    @cached_property
    def magnitudes(self) -> np.ndarray:
        """Sums up the magnitude of each map, float64 (N, K')."""
        if isinstance(self.source, Regions):
            return np.abs(self.source.values).sum(axis=1)
        images = range(len(self.images))
        return np.stack([np.abs(self.get(image)).sum(axis=(1, 2)) for image in images])


def read_maps(explanation: Any) -> Maps:
    """Returns the maps of what :func:`lightning_shap.explain` returned, or of any explanation.

    Args:
        explanation: One of ours or a slice of it; a ``shap.Explanation`` with values
            (N, H, W, C, K') or (N, H, W, C) and data (N, H, W, C); or maps.

    Raises:
        ArgumentError: If it is none, or its values or images are not finite.
    """
    if isinstance(explanation, Maps):
        return explanation
    explanation = getattr(explanation, "whole", explanation)
    images = np.asarray(explanation.data)
    source = getattr(explanation, "regions", None)
    if source is None:
        source = np.asarray(explanation.values)
        if source.shape == images.shape:
            source = source[..., None]  # a single output, or one that was picked
    if images.ndim != 4 or source.shape[:-1] != images.shape or 0 in source.shape:
        raise ArgumentError(
            "explanation",
            f"has values {np.shape(explanation.values)} and data {np.shape(explanation.data)}; "
            "give one of images, values (N, H, W, C, K') and data (N, H, W, C)",
        )
    values = source.per_pixel if isinstance(source, Regions) else source
    for name, arrays in (("values", values), ("data", images)):
        broken = [row for row, array in enumerate(arrays) if not np.isfinite(array).all()]
        if broken:
            raise ArgumentError(
                "explanation", f"its {name} hold NaN or infinities in images {broken}"
            )
    shape = len(images), source.shape[-1]
    indexes, base = (
        None if array is None else np.broadcast_to(array, shape)
        for array in (
            _add_axes(getattr(explanation, "output_indexes", None), shape),
            _add_axes(explanation.base_values, shape),
        )
    )
    record = getattr(explanation, "record", None)
    return Maps(source, images, indexes, base, record)


def _sum_channels(values: np.ndarray) -> np.ndarray:
    """Sums values (H, W, C, K') over channels, float64 (K', H, W).

    Channel by channel: NumPy takes five times as long to sum along an axis so short.
    """
    sums = values[:, :, 0].astype(np.float64)
    for channel in range(1, values.shape[2]):
        sums += values[:, :, channel]
    return sums.transpose(2, 0, 1)


def _add_axes(given: Any, shape: tuple[int, int]) -> np.ndarray | None:
    """Returns what is known of each map, (K',) where all images share it, else (N, K')."""
    if given is None:
        return None
    array = np.atleast_1d(given)
    return array if array.shape in (shape, shape[1:]) else array.reshape(shape)
