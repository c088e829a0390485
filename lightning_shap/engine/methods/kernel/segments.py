"""An image's own segments as the players of a game that was designed for a grid of patches."""

import numpy as np
from scipy.optimize import linear_sum_assignment

from lightning_shap.engine.methods.kernel.smoothing import Places
from lightning_shap.engine.regions.image_tree import ImageTree


class Segments:
    """Makes as many segments of an image as a grid has patches, each for a patch near it.

    So coalitions that suit the grid suit the segments, and are chosen once for all images.

    Args:
        tree: Of the image.
        grid: Patches down and across.

    Attributes:
        labels: int32 (H, W), the segment of each pixel, by the number of its patch.
        places: Where they are.
    """

    def __init__(self, tree: ImageTree, grid: tuple[int, int]) -> None:
        players = grid[0] * grid[1]
        labels = tree.labels(tree.segments(players))
        height, width = labels.shape
        pixels = np.bincount(labels.ravel(), minlength=players)
        down, across = (
            np.bincount(labels.ravel(), (place + 0.5).ravel(), minlength=players) / pixels
            for place in np.indices(labels.shape)
        )
        rows, columns = np.divmod(np.arange(players), grid[1])
        far = (down[:, None] / height - (rows + 0.5) / grid[0]) ** 2
        far += (across[:, None] / width - (columns + 0.5) / grid[1]) ** 2
        _, patch = linear_sum_assignment(far)
        segment = np.argsort(patch)
        self.labels: np.ndarray = patch.astype(np.int32)[labels]
        self.places = Places(
            np.stack([down, across], axis=1)[segment] / np.sqrt(labels.size),
            pixels[segment] / labels.size,
        )
