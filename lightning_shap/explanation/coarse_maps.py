"""Maps in few bytes: regions as they are, and maps of pixels summed up over cells."""

from dataclasses import dataclass

import numpy as np

from lightning_shap.explanation.maps import Maps
from lightning_shap.explanation.regions import Regions

PERCENTILE = 99.5  # small regions, of a reflection or an eye, may have values many times as dense
MOST_CELLS = 64  # a side: finer maps, of every pixel, are summed up over square cells


@dataclass(frozen=True)
class Layout:
    """Holds regions in the form in which the page has them.

    Attributes:
        region_map: uint8, uint16 or int32 (N, H, W), the region of each pixel.
        values: float64 (N, R, K'), what each region adds, over all channels.
        error_std: float64 (N, R, K'), their standard errors, or None.
        cell: The side of a cell in pixels where values of pixels were summed up, else 0.
    """

    region_map: np.ndarray
    values: np.ndarray
    error_std: np.ndarray | None
    cell: int = 0

    @property
    def limit(self) -> float:
        """Returns the value of a pixel at which colours are full; see :func:`common_limit`."""
        regions = self.values.shape[1]
        sizes = np.stack([np.bincount(one.ravel(), minlength=regions) for one in self.region_map])
        weights = np.broadcast_to(sizes[:, :, None], self.values.shape).ravel()
        density = np.abs(self.values / np.maximum(sizes, 1)[:, :, None]).ravel()
        order = np.argsort(density)
        below = np.cumsum(weights[order])
        place = int(np.searchsorted(below, PERCENTILE / 100 * below[-1]))
        return float(density[order[min(place, len(order) - 1)]] or density.max())


def lay_out(maps: Maps) -> Layout:
    """Returns the regions of maps, or cells of pixels where every pixel is a region of its own.

    Args:
        maps: Those of the explanation.
    """
    source = maps.source
    if isinstance(source, Regions) and source.values.shape[1] <= MOST_CELLS**2:
        return Layout(shrink(source.labels), source.values, source.error_std)
    return _sum_cells(maps)


def _sum_cells(maps: Maps) -> Layout:
    height, width = maps.images.shape[1:3]
    side = -(-max(height, width) // MOST_CELLS)
    rows, columns = (np.arange(0, length, side) for length in (height, width))
    across = len(columns)
    numbers = (np.arange(height) // side)[:, None] * across + np.arange(width) // side
    region_map = np.broadcast_to(numbers, (len(maps.images), height, width))
    values = []
    for image in range(len(maps.images)):
        sums = np.add.reduceat(np.add.reduceat(maps.get(image), rows, axis=1), columns, axis=2)
        values.append(sums.reshape(len(sums), -1).T)
    return Layout(shrink(region_map), np.stack(values), None, side)


def shrink(labels: np.ndarray) -> np.ndarray:
    """Returns region numbers in as few bytes as hold them."""
    return labels.astype(np.min_scalar_type(int(labels.max(initial=0))))
