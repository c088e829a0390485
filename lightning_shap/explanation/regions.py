"""Labelled regions: an explanation's values without its pixels, which are many and alike."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np


@dataclass(frozen=True)
class Regions:
    """Holds the region that each pixel lies in, and what each region adds to each output.

    For N images, of which K' outputs each are explained, this takes four bytes a pixel and a few
    numbers a region. Pixels are made of it for one image at a time, or for all as an explanation's
    ``values``, which take eight bytes for every pixel, channel and output.

    Attributes:
        labels: int32 (N, H, W), the region of each pixel, from 0 on within each image.
        per_pixel: float64 (N, R, C or 1, K'), what each pixel of a region adds through each
            channel, or through every one of them; zeros where an image has fewer than R regions.
        channels: Channels of the images, C.
        per_pixel_std: Standard errors of these, or None. The errors within a region are one error:
            over its pixels they add up and do not average out.
        error_triangle: float16 (N, R (R - 1) / 2), how the errors of regions correlate, above the
            diagonal row by row, as a mean over the outputs; or None.
    """

    labels: np.ndarray
    per_pixel: np.ndarray
    channels: int
    per_pixel_std: np.ndarray | None = None
    error_triangle: np.ndarray | None = None

    @classmethod
    def even(
        cls,
        labels: np.ndarray,
        values: np.ndarray,
        channels: int,
        error_std: np.ndarray | None = None,
        error_triangle: np.ndarray | None = None,
    ) -> "Regions":
        """Spreads the values of regions evenly over their pixels and channels.

        Args:
            labels: int32 (N, H, W).
            values: float64 (N, R, K'), what each region adds to each output.
            channels: Channels of the images.
            error_std: Standard errors of the values, or None.
            error_triangle: How these correlate, or None.
        """
        share = 1.0 * channels * _sizes(labels, values.shape[1])[:, :, None]
        share = np.maximum(share, 1)  # where an image has fewer regions
        per_pixel, std = (
            None if array is None else (array / share)[:, :, None] for array in (values, error_std)
        )
        assert per_pixel is not None
        return cls(labels, per_pixel, channels, std, error_triangle)

    @classmethod
    def separate(cls, values: np.ndarray, error_std: np.ndarray) -> "Regions":
        """Makes a region of each pixel.

        Args:
            values: float64 (N, H, W, C, K').
            error_std: Their standard errors.
        """
        images, height, width, channels, outputs = values.shape
        numbers = np.arange(height * width, dtype=np.int32).reshape(height, width)
        per_pixel, std = (a.reshape(images, -1, channels, outputs) for a in (values, error_std))
        return cls(np.broadcast_to(numbers, (images, height, width)), per_pixel, channels, std)

    @cached_property
    def sizes(self) -> np.ndarray:
        """Counts the pixels of each region, int (N, R)."""
        return _sizes(self.labels, self.per_pixel.shape[1])

    @cached_property
    def values(self) -> np.ndarray:
        """Returns what each region adds to each output, float64 (N, R, K')."""
        return self._whole(self.per_pixel)

    @cached_property
    def error_std(self) -> np.ndarray | None:
        """Returns the standard errors of the values, float64 (N, R, K'), None where unknown."""
        return None if self.per_pixel_std is None else self._whole(self.per_pixel_std)

    @property
    def per_map(self) -> np.ndarray:
        """Returns what each pixel of a region adds, all channels together, float64 (N, R, K')."""
        return self._over_channels(self.per_pixel)

    @property
    def shape(self) -> tuple[int, int, int, int, int]:
        """Returns the shape of the pixels' values, (N, H, W, C, K')."""
        images, height, width = self.labels.shape
        return images, height, width, self.channels, self.per_pixel.shape[-1]

    def map(self, image: int) -> np.ndarray:
        """Returns one image's attributions, summed over channels, float64 (K', H, W)."""
        sums = self._over_channels(self.per_pixel[image])
        return sums.T[:, self.labels[image]]

    def dense(self) -> np.ndarray:
        """Returns the value of every pixel, channel by channel, float64 (N, H, W, C, K')."""
        return self._dense(self.per_pixel)

    def dense_std(self) -> np.ndarray | None:
        """Returns the standard error of every pixel's value, None where unknown."""
        return None if self.per_pixel_std is None else self._dense(self.per_pixel_std)

    def pick(self, images: np.ndarray, outputs: np.ndarray) -> "Regions":
        """Returns the regions of some images with some outputs, by index."""
        everything = np.array_equal(images, np.arange(len(self.labels)))
        std, triangle = self.per_pixel_std, self.error_triangle
        return Regions(
            self.labels if everything else self.labels[images],
            self.per_pixel[images][..., outputs],
            self.channels,
            None if std is None else std[images][..., outputs],
            None if triangle is None else triangle[images],
        )

    def _whole(self, per_pixel: np.ndarray) -> np.ndarray:
        return self._over_channels(per_pixel) * self.sizes[:, :, None]

    def _over_channels(self, per_pixel: np.ndarray) -> np.ndarray:
        if per_pixel.shape[-2] == self.channels:
            return per_pixel.sum(axis=-2)
        return self.channels * per_pixel[..., 0, :]

    def _dense(self, per_pixel: np.ndarray) -> np.ndarray:
        images, regions, _, outputs = per_pixel.shape
        dense = np.empty(self.shape)
        by_channel = np.broadcast_to(per_pixel, (images, regions, self.channels, outputs))
        for pixels, image, values in zip(dense, self.labels, by_channel, strict=True):
            np.take(values, image, axis=0, out=pixels, mode="clip")  # a mode without a buffer
        return dense


def join_regions(parts: Sequence[Regions]) -> Regions:
    """Joins the regions of several batches of images."""
    std = [part.per_pixel_std for part in parts if part.per_pixel_std is not None]
    triangles = [part.error_triangle for part in parts if part.error_triangle is not None]
    known = len(triangles) == len(parts)
    return Regions(
        np.concatenate([part.labels for part in parts]),
        stack_values([part.per_pixel for part in parts]),
        parts[0].channels,
        stack_values(std) if std else None,
        stack_triangles(triangles) if known else None,
    )


def stack_values(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Joins what regions of several batches add, (N, R, C or 1, K'), whatever R each has.

    Images get zeros for regions that they lack, and each channel by itself where others have so.
    """
    most, channels = (max(part.shape[axis] for part in parts) for axis in (1, 2))
    padded = [np.pad(part, [(0, 0), (0, most - part.shape[1]), (0, 0), (0, 0)]) for part in parts]
    shapes = [(*part.shape[:2], channels, part.shape[3]) for part in padded]
    return np.concatenate(list(map(np.broadcast_to, padded, shapes)))


def stack_triangles(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Joins how errors of regions correlate, (N, R (R - 1) / 2), whatever R each has.

    Regions that images lack correlate with none.
    """
    most = max(part.shape[1] for part in parts)
    joined = np.zeros((sum(map(len, parts)), most), dtype=parts[0].dtype)
    _, last = np.triu_indices(_count_regions(most), 1)
    first = 0
    for part in parts:
        inside = last < _count_regions(part.shape[1])
        joined[first : first + len(part), inside] = part
        first += len(part)
    return joined


def _count_regions(pairs: int) -> int:
    """Returns of how many regions there are so many pairs."""
    return (1 + math.isqrt(1 + 8 * pairs)) // 2


def _sizes(labels: np.ndarray, regions: int) -> np.ndarray:
    return np.stack([np.bincount(image.ravel(), minlength=regions) for image in labels])
