"""The method "kernel": Gaussian-process regression over coalitions of patches or segments.

Coalitions are chosen by :mod:`.design`, evaluated for all images in shared batches, and
turned into Shapley values by :mod:`.estimate`.
"""

from collections.abc import Sequence

import numpy as np
from threadpoolctl import threadpool_limits

from lightning_shap.engine.game import CoalitionGame
from lightning_shap.engine.methods.attribution import Attribution
from lightning_shap.engine.methods.kernel.estimate import estimate, spend
from lightning_shap.engine.methods.kernel.segments import Segments
from lightning_shap.engine.methods.kernel.smoothing import Layout
from lightning_shap.engine.regions.image_tree import ImageTree
from lightning_shap.engine.regions.patches import LabelledCoalitions, choose_grid, label_patches
from lightning_shap.explanation.regions import Regions


def kernel_values(
    game: CoalitionGame,
    targets: np.ndarray,
    base: np.ndarray,
    full: np.ndarray,
    *,
    max_evals: int,
    grid: tuple[int, int] | None = None,
    regions: Sequence[ImageTree] | None = None,
    seed: int = 0,
) -> Attribution:
    """Estimates Shapley values of patches or segments, spread evenly over pixels and channels.

    Args:
        game: The coalition game of a batch of images.
        targets: int (N, K'), the explained outputs of each image.
        base: (N, K'), those outputs for the empty coalition.
        full: (N, K'), those outputs for the full coalition.
        max_evals: Model rows per image, the empty and the full coalition included.
        grid: Rows and columns of patches; None picks what the budget can resolve.
        regions: The tree of each image, of which as many segments as patches are the players; None
            for the patches.
        seed: Chooses the coalitions. They depend on seed, grid and budget; with less than two
            evaluations a patch also on whether the game is nearly additive.

    Returns:
        Attributions whose ``error_std`` is the standard error of a patch's value divided, as the
        value itself is, by the patch's pixels times channels: errors within a patch are one error,
        so over a patch they add up and do not average out.

    Raises:
        ValueError: If the grid has more patches than the image has pixels along a side.
    """
    count, channels, height, width = game.images.shape
    grid = grid or choose_grid(max_evals, (height, width))
    patches, players = label_patches(grid, (height, width)), grid[0] * grid[1]
    segments = [] if regions is None else [Segments(tree, grid) for tree in regions]
    labels = np.stack([each.labels for each in segments] or [patches] * count)
    layouts: list[Layout] = [each.places for each in segments] or [grid] * count

    def play(chosen: list[np.ndarray]) -> list[np.ndarray]:
        counts = [len(each) for each in chosen]
        images = np.repeat(np.arange(count), counts)
        outputs = game.play(
            images,
            LabelledCoalitions(np.concatenate(chosen), labels if segments else patches, images),
        )
        outputs = np.take_along_axis(outputs, targets[images], axis=1)
        return np.split(outputs, np.cumsum(counts)[:-1])

    spent = spend(grid, base, full, play, max_evals=max_evals, seed=seed)
    with threadpool_limits(limits=1, user_api="blas"):  # small matrices wait for other threads
        found = [
            estimate(coalitions, values, empty, whole, layout)
            for (coalitions, values), empty, whole, layout in zip(
                spent, base, full, layouts, strict=True
            )
        ]
    return Attribution(
        Regions.even(
            labels,
            np.stack([each.values for each in found]),
            channels,
            np.stack([each.std for each in found]),
            np.stack([each.correlation[np.triu_indices(players, 1)] for each in found]).astype(
                "f2"
            ),
        ),
        np.full(count, players),
        grid=None if segments else grid,
    )
