"""Metrics of place: attribution within masks, at the border, in a corner, on a few pixels."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from lightning_shap.analysis.metrics.cells import any_maps, cells_of, count_within, mask_boxes
from lightning_shap.analysis.metrics.mean_of_maps import MeanOfMaps
from lightning_shap.engine.incoming import bring_to_host
from lightning_shap.errors import ArgumentError, check_choice
from lightning_shap.explanation.maps import Maps

Corner = Literal["top left", "top right", "bottom left", "bottom right"]
CORNERS: tuple[Corner, ...] = ("top left", "top right", "bottom left", "bottom right")


class AttributionShare(MeanOfMaps):
    """The share of the magnitude of attributions that lies in given boxes or masks.

    Args:
        kwargs: See ``torchmetrics.Metric``.

    Example:
        >>> import torch
        >>> from lightning_shap import AttributionShare
        >>> attributions = torch.ones(1, 4, 4)
        >>> attributions[0, 0] = -3.0
        >>> metric = AttributionShare()
        >>> metric.update(attributions, boxes=[(0, 0, 4, 2)])  # left, top, right, bottom
        >>> metric.compute()
        tensor(0.6667)
    """

    higher_is_better = None

    def update(
        self, explanation: Any, masks: Any = None, boxes: Sequence[Any] | None = None
    ) -> None:
        """Takes in some maps and the places of each image.

        Args:
            explanation: What :func:`lightning_shap.explain` returned, a slice of it, any
                ``shap.Explanation`` of images, or attributions (N, H, W) or (N, C, H, W).
            masks: Booleans (N, H, W), or (H, W) for all images.
            boxes: For each image one box or several, (left, top, right, bottom) in pixels, the
                right and bottom edges excluded.

        Raises:
            ValueError: If not exactly one of both was given, or their shapes do not fit.
        """
        maps = any_maps(explanation)
        count, height, width = maps.source.shape[:3]
        if (masks is None) == (boxes is None):
            raise ArgumentError("masks, boxes", "give one of them")
        if boxes is not None:
            if len(boxes) != count:
                raise ArgumentError("boxes", f"are of {len(boxes)} images; give {count}")
            inside = mask_boxes(boxes, height, width)
        else:
            inside = np.asarray(bring_to_host(masks))
            if inside.shape not in ((height, width), (count, height, width)):
                raise ArgumentError(
                    "masks", f"have shape {inside.shape}; give {(count, height, width)}"
                )
            inside = np.broadcast_to(inside.astype(bool), (count, height, width))
        self._add(measure_shares(maps, inside))


class _PlaceShare(MeanOfMaps):
    """The share in a place that is the same in all images."""

    higher_is_better = None

    def _inside(self, height: int, width: int) -> np.ndarray:
        raise NotImplementedError

    def _measure(self, maps: Maps) -> np.ndarray:
        count, height, width = maps.source.shape[:3]
        inside = np.broadcast_to(self._inside(height, width), (count, height, width))
        return measure_shares(maps, inside)


class BorderShare(_PlaceShare):
    """The share of the magnitude of attributions along the border, which is rarely the object.

    Args:
        width: Of the border, as a share of each side, rounded to whole pixels. An even map has
            about 1 - (1 - 2 * width)**2 there, 0.44 with the usual eighth.
        kwargs: See ``torchmetrics.Metric``.

    Example:
        >>> import torch
        >>> from lightning_shap import BorderShare
        >>> metric = BorderShare()
        >>> metric.update(torch.ones(1, 8, 8))
        >>> metric.compute()
        tensor(0.4375)
    """

    def __init__(self, width: float = 1 / 8, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.width = _check_share("width", width, most=0.5)

    def _inside(self, height: int, width: int) -> np.ndarray:
        return border_mask(height, width, self.width)


class CornerShare(_PlaceShare):
    """The share of the magnitude of attributions in one corner, where marks and dates are.

    Args:
        corner: ``"top left"``, ``"top right"``, ``"bottom left"`` or ``"bottom right"``.
        side: Of the corner, as a share of each side; an even map has its square there.
        kwargs: See ``torchmetrics.Metric``.

    Example:
        >>> import torch
        >>> from lightning_shap import CornerShare
        >>> metric = CornerShare("bottom right")
        >>> metric.update(torch.ones(1, 8, 8))
        >>> metric.compute()
        tensor(0.0625)
    """

    def __init__(self, corner: Corner = "top left", side: float = 1 / 4, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_choice("corner", corner, CORNERS)
        self.corner = corner
        self.side = _check_share("side", side, most=1)

    def _inside(self, height: int, width: int) -> np.ndarray:
        return corner_mask(height, width, self.corner, self.side)


class TopShare(MeanOfMaps):
    """The share of the magnitude of attributions on the strongest pixels: 1 where they have all.

    Args:
        part: Of the pixels, the usual tenth of which has a tenth in an even map.
        kwargs: See ``torchmetrics.Metric``.

    Example:
        >>> import torch
        >>> from lightning_shap import TopShare
        >>> attributions = torch.ones(1, 10, 10)
        >>> attributions[0, 0] = -11.0
        >>> metric = TopShare()
        >>> metric.update(attributions)
        >>> metric.compute()
        tensor(0.5500)
    """

    higher_is_better = None

    def __init__(self, part: float = 0.1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.part = _check_share("part", part, most=1)

    def _measure(self, maps: Maps) -> np.ndarray:
        numbers = []
        for image in range(maps.source.shape[0]):
            cells = cells_of(maps, image)
            magnitude = np.abs(cells.values)
            order = np.argsort(-magnitude, kind="stable")
            sizes = cells.sizes[order]
            room = self.part * sizes.sum()
            # The cell at the edge counts with those of its pixels that still belong to the top.
            taken = np.clip(room - (np.cumsum(sizes) - sizes), 0, sizes)
            numbers.append(_share(magnitude[order] @ taken, magnitude @ cells.sizes))
        return np.array(numbers)


class AttributionEntropy(MeanOfMaps):
    """Measures how evenly attributions are spread: 1 over all pixels, 0 on a single one.

    Args:
        kwargs: See ``torchmetrics.Metric``.

    Example:
        >>> import torch
        >>> from lightning_shap import AttributionEntropy
        >>> attributions = torch.zeros(1, 4, 4)
        >>> attributions[0, 0] = 1.0
        >>> metric = AttributionEntropy()
        >>> metric.update(attributions)
        >>> metric.compute()
        tensor(0.5000)
    """

    higher_is_better = None

    def _measure(self, maps: Maps) -> np.ndarray:
        numbers = []
        for image in range(maps.source.shape[0]):
            cells = cells_of(maps, image)
            magnitude = np.abs(cells.values)
            share = _share(magnitude, magnitude @ cells.sizes)
            terms = share * np.log(np.where(share > 0, share, 1)) * cells.sizes
            numbers.append(-terms.sum() / np.log(max(2, cells.sizes.sum())))
        return np.array(numbers)


def measure_shares(maps: Maps, inside: np.ndarray) -> np.ndarray:
    """Returns the share of the magnitude of first maps within masks (N, H, W), float64 (N,).

    NaN where a map is zero.
    """
    numbers = []
    for image, mask in enumerate(inside):
        cells = cells_of(maps, image)
        magnitude = np.abs(cells.values)
        within = magnitude @ count_within(maps, image, mask)
        numbers.append(_share(within, magnitude @ cells.sizes))
    return np.array(numbers)


def border_mask(height: int, width: int, share: float = 1 / 8) -> np.ndarray:
    """Returns bool (H, W), the border, of at least a pixel's width."""
    down, across = (max(1, round(share * side)) for side in (height, width))
    mask = np.ones((height, width), dtype=bool)
    mask[down : height - down, across : width - across] = False
    return mask


def corner_mask(height: int, width: int, corner: Corner, share: float = 1 / 4) -> np.ndarray:
    """Returns bool (H, W), a corner, of at least a pixel."""
    down, across = (max(1, round(share * side)) for side in (height, width))
    rows = slice(None, down) if corner.startswith("top") else slice(height - down, None)
    columns = slice(None, across) if corner.endswith("left") else slice(width - across, None)
    mask = np.zeros((height, width), dtype=bool)
    mask[rows, columns] = True
    return mask


def _share(part: Any, whole: float) -> Any:
    """Returns a part of a whole, or several, as shares of it; NaN of nothing."""
    return part / whole if whole > 0 else np.nan * part


def _check_share(argument: str, value: float, *, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= most:
        raise ArgumentError(argument, f"got {value!r}; give a share above 0, at most {most}")
    return float(value)
