"""Places: what a box, a mask or a region of an image contributes, and how sure that is."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lightning_shap.errors import ArgumentError, show
from lightning_shap.explanation.maps import Maps
from lightning_shap.explanation.phrases import join, percent, write_with_error
from lightning_shap.explanation.regions import Regions

Place = Sequence[float] | np.ndarray
"""A box (left, top, right, bottom) or a point (x, y) in pixels, or booleans (H, W) or (N, H, W)."""


@dataclass(frozen=True)
class Contribution:
    """Says what a place contributes to each explained output, as arrays (N, K') or single numbers.

    Attributes:
        value: The sum of the values in it.
        error: The standard error of ``value``, None where the method knows none.
        of_change: ``value`` as a share of the change from base value to output.
        error_of_change: The standard error of ``of_change``, None likewise.
        of_magnitude: The share of the magnitude of all values that lies in it.
    """

    value: Any
    error: Any
    of_change: Any
    error_of_change: Any
    of_magnitude: Any

    @property
    def words(self) -> str:
        """Returns it in words, as ``"12.3 % ± 3.1 % of the change"``, if it is of one output."""
        if not np.isfinite(self.of_change):
            return "no share of the change, which is 0"
        error = None if self.error is None else 100 * self.error_of_change
        return f"{write_with_error(100 * self.of_change, error, ' %')} of the change"

    def pick(self, at: Any) -> "Contribution":
        """Returns that of some images and outputs, by what indexes arrays (N, K')."""
        return Contribution(*(None if part is None else part[at] for part in vars(self).values()))

    def __str__(self) -> str:
        if np.ndim(self.value):
            return repr(self)
        value = write_with_error(self.value, self.error)
        share = f"{percent(self.of_magnitude)} of the magnitude"
        return join(value, self.words, share * bool(np.isfinite(self.of_magnitude)))


def measure_place(maps: Maps, place: Place, change: np.ndarray) -> Contribution:
    """Returns what a place contributes to each output of some images.

    Errors of regions correlate, and over all regions there is none, since their values are known to
    add up to the output. So the weight that all regions have in a place is no part of the error.

    Args:
        maps: Of the images.
        place: The same for all images, or masks (N, H, W).
        change: (N, K'), what the values add up to.

    Raises:
        ArgumentError: If it is none, or holds no pixel.
    """
    inside = find_pixels(place, maps)
    if isinstance(maps.source, Regions):
        weights, values, error = _sum_regions(maps.source, inside)
    else:
        pixels = [maps.get(image).reshape(change.shape[1], -1).T for image in range(len(inside))]
        weights, values, error = inside.reshape(len(inside), -1), np.stack(pixels), None
    value = np.einsum("nr,nrk->nk", weights, values)
    magnitude = np.einsum("nr,nrk->nk", weights, np.abs(values))
    with np.errstate(divide="ignore", invalid="ignore"):
        return Contribution(
            value,
            error,
            value / change,
            None if error is None else error / np.abs(change),
            magnitude / maps.magnitudes,
        )


def find_pixels(place: Place, maps: Maps) -> np.ndarray:
    """Returns which pixels of each image belong to a place, bool (N, H, W).

    To a point belongs the region that it lies in.
    """
    images, height, width = maps.images.shape[:3]
    given = np.asarray(place)
    masks = np.zeros((images, height, width), dtype=bool)
    if given.shape in ((height, width), masks.shape) and np.isin(given, (0, 1)).all():
        masks[:] = given
    elif given.shape in ((4,), (2,)) and given.dtype.kind in "iuf" and np.isfinite(given).all():
        left, top, *corner = np.rint(given).astype(int).clip(0).tolist()
        right, bottom = corner or (left + 1, top + 1)
        masks[:, top:bottom, left:right] = True
        if not corner and isinstance(maps.source, Regions) and masks.any():
            labels = maps.source.labels
            masks = labels == labels[:, top, left, None, None]
    else:
        raise ArgumentError(
            "place",
            f"got {show(place)}; give a box (left, top, right, bottom) or a point (x, y) in "
            f"pixels, or booleans {(height, width)} or {masks.shape}",
        )
    if not masks.any(axis=(1, 2)).all():
        raise ArgumentError(
            "place", f"got {show(place)}, with no pixel of an image {width} wide, {height} high"
        )
    return masks


def _sum_regions(
    source: Regions, inside: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Returns how much of each region is inside (N, R), their values, and the sums' errors."""
    most, std = source.per_pixel.shape[1], source.error_std
    pairs = zip(source.labels, inside, strict=True)
    counts = np.stack([np.bincount(labels[mask], minlength=most) for labels, mask in pairs])
    weights = counts / np.maximum(source.sizes, 1)
    if std is None or source.error_triangle is None:
        return weights, source.values, None
    parts = (weights - weights.mean(axis=1, keepdims=True))[:, :, None] * std
    squares, above = (parts**2).sum(axis=1), np.zeros((most, most))
    for square, part, triangle in zip(squares, parts, source.error_triangle, strict=True):
        above[np.triu_indices(most, 1)] = triangle
        square += 2 * (part * (above @ part)).sum(axis=0)
    return weights, source.values, np.sqrt(np.maximum(squares, 0))
