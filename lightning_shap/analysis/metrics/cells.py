"""Cells: the parts of an image in which a map has one value, so that pixels need not be made."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lightning_shap.engine.incoming import bring_to_host
from lightning_shap.errors import ArgumentError
from lightning_shap.explanation.maps import Maps, read_maps
from lightning_shap.explanation.regions import Regions


@dataclass(frozen=True)
class Cells:
    """A map of one image, by M cells.

    Attributes:
        values: float64 (M,), what each pixel of a cell adds, all channels together.
        sizes: int (M,), the pixels of each cell.
        regions: int (M,), the region that each cell lies in.
        std: float64 (M,), standard errors of the values, or None. Those of cells that share a
            region are one error.
    """

    values: np.ndarray
    sizes: np.ndarray
    regions: np.ndarray
    std: np.ndarray | None = None


def cells_of(maps: Maps, image: int) -> Cells:
    """Returns the cells of an image's first map: regions, or pixels with values of their own."""
    values, std, labels = _by_region(maps, image, 0)
    sizes = np.bincount(labels, minlength=len(values))
    return Cells(values, sizes, np.arange(len(sizes)), std)


def count_within(maps: Maps, image: int, inside: np.ndarray) -> np.ndarray:
    """Returns how many pixels of each cell of :func:`cells_of` lie inside, of bool (H, W)."""
    values, _, labels = _by_region(maps, image, 0)
    return np.bincount(labels[inside.ravel()], minlength=len(values))


def common_cells(one: Maps, other: Maps, image: int, output: int) -> tuple[Cells, Cells]:
    """Returns the cells in which neither an image's first map nor another's of it changes."""
    values, std, labels = _by_region(one, image, 0)
    others, other_std, other_labels = _by_region(other, image, output)
    pairs = labels.astype(np.int64) * len(others) + other_labels
    found, sizes = np.unique(pairs, return_counts=True)
    first, second = np.divmod(found, len(others))
    return (
        Cells(values[first], sizes, first, None if std is None else std[first]),
        Cells(others[second], sizes, second, None if other_std is None else other_std[second]),
    )


def any_maps(explanation: Any) -> Maps:
    """Returns the maps of an explanation, or of plain attributions.

    Args:
        explanation: What :func:`lightning_shap.explain` returned, a slice of it, any
            ``shap.Explanation`` of images, or attributions (N, H, W) or (N, C, H, W).

    Raises:
        ArgumentError: If it is none of these, or not finite.
    """
    if isinstance(explanation, Maps) or hasattr(explanation, "base_values"):
        return read_maps(explanation)
    values = np.asarray(bring_to_host(explanation), dtype=np.float64)
    if values.ndim not in (3, 4) or 0 in values.shape:
        raise ArgumentError(
            "explanation",
            f"has shape {values.shape}; give what explain returned, or attributions (N, H, W) or "
            "(N, C, H, W)",
        )
    if not np.isfinite(values).all():
        raise ArgumentError("explanation", "holds NaN or infinite attributions; give finite ones")
    plain = (values if values.ndim == 3 else values.sum(1))[..., None, None]
    return Maps(plain, np.broadcast_to(0.0, plain.shape[:-1]))


def mask_boxes(boxes: Sequence[Any], height: int, width: int) -> np.ndarray:
    """Returns bool (N, H, W), what lies in any of the boxes of each image.

    Args:
        boxes: For each image one box or several, (left, top, right, bottom) in pixels, the right
            and bottom edges excluded.
        height: Of the images.
        width: Likewise.
    """
    masks = np.zeros((len(boxes), height, width), dtype=bool)
    for mask, given in zip(masks, boxes, strict=True):
        of_image = np.asarray(bring_to_host(given), float)
        if of_image.size % 4 or not np.isfinite(of_image).all():
            raise ArgumentError(
                "boxes", f"got {of_image.tolist()}; give (left, top, right, bottom) for each box"
            )
        edges = np.rint(of_image.reshape(-1, 4)).astype(int).clip(0)
        for left, top, right, bottom in edges:
            mask[top:bottom, left:right] = True
    return masks


def _by_region(
    maps: Maps, image: int, output: int
) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
    """Returns values (R,), their standard errors or None, and each pixel's region (H * W,)."""
    source = maps.source
    if isinstance(source, Regions):
        std = source.error_std
        if std is not None:
            std = std[image, :, output] / np.maximum(source.sizes[image], 1)
        return source.per_map[image, :, output], std, source.labels[image].ravel()
    values = maps.get(image)[output].ravel()
    return values, None, np.arange(len(values))
