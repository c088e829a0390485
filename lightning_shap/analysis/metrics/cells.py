"""Cells: the parts of an image in which a map has one value, so that pixels need not be made."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lightning_shap.engine.incoming import bring_to_host
from lightning_shap.errors import ArgumentError
from lightning_shap.explanation.maps import Maps, read_maps
from lightning_shap.explanation.regions import Regions

SPARSE = 4  # pairs of regions per pixel, from which on they are sorted and not counted


@dataclass(frozen=True)
class Cells:
    """The maps of one image, for K' outputs, by M cells.

    Attributes:
        values: float64 (K', M), what each pixel of a cell adds, all channels together.
        sizes: int (M,), the pixels of each cell.
        std: float64 (K', M), standard errors of the values, or None. Those of cells that share a
            region are one error.
        regions: int (M,), the region that each cell lies in.
    """

    values: np.ndarray
    sizes: np.ndarray
    regions: np.ndarray
    std: np.ndarray | None = None


def cells_of(maps: Maps, image: int) -> Cells:
    """Returns the cells of one image: its regions, or its pixels where each has its own value."""
    values, std, labels = _by_region(maps, image)
    sizes = np.bincount(labels, minlength=values.shape[1])
    return Cells(values, sizes, np.arange(len(sizes)), std)


def counts_within(maps: Maps, image: int, inside: np.ndarray) -> np.ndarray:
    """Returns how many pixels of each cell of :func:`cells_of` lie inside, of bool (H, W)."""
    values, _, labels = _by_region(maps, image)
    return np.bincount(labels[inside.ravel()], minlength=values.shape[1])


def common_cells(one: Maps, other: Maps, image: int) -> tuple[Cells, Cells]:
    """Returns the cells in which neither of two maps of the same image changes."""
    (values, std, labels), (others, other_std, other_labels) = (
        _by_region(maps, image) for maps in (one, other)
    )
    many = others.shape[1]
    pairs = labels.astype(np.int64) * many + other_labels
    if values.shape[1] * many <= SPARSE * pairs.size:
        counted = np.bincount(pairs)
        found = np.flatnonzero(counted)
        sizes = counted[found]
    else:
        found, sizes = np.unique(pairs, return_counts=True)
    first, second = np.divmod(found, many)
    return (
        Cells(values[:, first], sizes, first, None if std is None else std[:, first]),
        Cells(
            others[:, second], sizes, second, None if other_std is None else other_std[:, second]
        ),
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


def boxes_as_masks(boxes: Sequence[Any], height: int, width: int) -> np.ndarray:
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


def _by_region(maps: Maps, image: int) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
    """Returns values (K', R), their standard errors or None, and each pixel's region (H * W,)."""
    source = maps.source
    if isinstance(source, Regions):
        labels = source.labels[image].ravel()
        std = source.error_std
        if std is not None:
            std = std[image].T / np.maximum(source.sizes[image], 1)
        return source.per_map[image].T, std, labels
    values = maps.get(image).reshape(source.shape[-1], -1)
    return values, None, np.arange(values.shape[1])
