"""Places of many explanations on a plane: those whose maps are alike are near to one another."""

import numpy as np

from lightning_shap.explanation.regions import Regions

LEAST = 24  # images; fewer are seen at a glance
NOTHING = 1e-9  # of a share, which rounding leaves of none
CELLS = 8  # a side, over which a map is summed up


def place_maps(regions: Regions) -> np.ndarray | None:
    """Returns where each image's first map lies, by the two main axes of all of them.

    A map is what its 8 x 8 cells have of all its attribution, with their signs: where it looks, not
    how much. Of images that are all alike, or that are few, there is nothing to be seen.

    Args:
        regions: Of N images.

    Returns:
        float64 (N, 2), the largest of which is 1, or None.
    """
    images, height, width, _, _ = regions.shape
    if images < LEAST:
        return None
    rows, columns = (np.unique(np.arange(CELLS) * side // CELLS) for side in (height, width))
    summed = []
    for image in range(images):
        values = regions.map(image)[0]
        cells = np.add.reduceat(np.add.reduceat(values, rows, axis=0), columns, axis=1)
        summed.append(cells.ravel() / (np.abs(values).sum() or 1))
    found = np.stack(summed) - np.mean(summed, axis=0)
    _, axes = np.linalg.eigh(found.T @ found)
    axes = axes[:, :-3:-1]
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), [0, 1]])  # of either sign, one
    places = found @ axes
    most = np.abs(places).max()
    return places / most if most > NOTHING else None
