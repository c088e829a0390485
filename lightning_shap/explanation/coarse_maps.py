"""Maps in few bytes: regions as they are, and maps of pixels summed up over cells."""

import numpy as np

from lightning_shap.explanation.maps import Maps
from lightning_shap.explanation.regions import Regions

PERCENTILE = 99.5  # small regions, of a reflection or an eye, may have values many times as dense
MOST_CELLS = 64  # a side: finer maps, of every pixel, are summed up over square cells


def lay_out(maps: Maps) -> tuple[Regions, int]:
    """Returns the regions of maps, or cells of pixels where every pixel is a region of its own.

    Args:
        maps: Those of the explanation.

    Returns:
        The regions, and the side of a cell in pixels, 0 where there are none.
    """
    source = maps.source
    if isinstance(source, Regions) and source.values.shape[1] <= MOST_CELLS**2:
        return source, 0
    images, height, width, channels = maps.images.shape
    side = -(-max(height, width) // MOST_CELLS)
    rows, columns = (np.arange(0, length, side) for length in (height, width))
    numbers = (np.arange(height) // side)[:, None] * len(columns) + np.arange(width) // side
    values = []
    for image in range(images):
        sums = np.add.reduceat(np.add.reduceat(maps.get(image), rows, axis=1), columns, axis=2)
        values.append(sums.reshape(len(sums), -1).T)
    labels = np.broadcast_to(shrink(numbers), (images, height, width))
    return Regions.even(labels, np.stack(values), channels), side


def find_limit(regions: Regions) -> float:
    """Returns the value of a pixel at which colours are full; see :func:`common_limit`."""
    density = np.abs(regions.per_map).ravel()
    weights = np.broadcast_to(regions.sizes[:, :, None], regions.values.shape).ravel()
    order = np.argsort(density)
    below = np.cumsum(weights[order])
    place = int(np.searchsorted(below, PERCENTILE / 100 * below[-1]))
    return float(density[order[min(place, len(order) - 1)]] or density.max())


def shrink(labels: np.ndarray) -> np.ndarray:
    """Returns region numbers in as few bytes as hold them."""
    return labels.astype(np.min_scalar_type(int(labels.max(initial=0))))
