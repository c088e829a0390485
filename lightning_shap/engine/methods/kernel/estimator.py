"""Shapley values of a grid of patches, or of an image's own segments, with error bars.

Coalitions are chosen by :mod:`.search`, evaluated for all images in shared batches, and
turned into Shapley values by :mod:`.estimate`.
"""

from collections.abc import Sequence

import numpy as np
from threadpoolctl import threadpool_limits

from lightning_shap.engine.game import CoalitionGame
from lightning_shap.engine.methods.attribution import Attribution
from lightning_shap.engine.methods.kernel.estimate import estimate
from lightning_shap.engine.methods.kernel.search import Search
from lightning_shap.engine.methods.kernel.segments import SegmentCoalitions, Segments
from lightning_shap.engine.regions.image_tree import ImageTree
from lightning_shap.engine.regions.patches import PatchCoalitions, PatchGrid, choose_grid
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
    """Shapley values of patches or segments, each spread evenly over its pixels and channels.

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
            evaluations a patch on the model's outputs as well.

    Returns:
        Attributions whose ``error_std`` is the standard error of a patch's value divided, as the
        value itself is, by the patch's pixels times channels: errors within a patch are one error,
        so over a patch they add up and do not average out.

    Raises:
        ValueError: If the grid has more patches than the image has pixels along a side.
    """
    count, channels, height, width = game.images.shape
    size = height, width
    patches = PatchGrid(grid or choose_grid(max_evals, size), size)
    segments = None if regions is None else [Segments(tree, patches.grid) for tree in regions]
    with _one_thread():
        searches = [
            Search(patches.grid, *ends, max_evals=max_evals, seed=seed)
            for ends in zip(base, full, strict=True)
        ]
    while len(rows := np.concatenate(turns := [search.ask() for search in searches])):
        counts = [len(asked) for asked in turns]
        images = np.repeat(np.arange(count), counts)
        outputs = game.play(
            images,
            PatchCoalitions(rows, patches)
            if segments is None
            else SegmentCoalitions(rows, images, segments),
        )
        outputs = np.take_along_axis(outputs, targets[images], axis=1)
        answers = np.split(outputs, np.cumsum(counts)[:-1])
        with _one_thread():
            for search, asked, answer in zip(searches, turns, answers, strict=True):
                search.answer(asked, answer)

    values = np.empty((count, patches.players, targets.shape[1]))
    error_std = np.empty_like(values)
    clear = np.empty(targets.shape)
    relative_error = np.empty(targets.shape)
    with _one_thread():
        for image in range(count):
            found = estimate(
                searches[image].coalitions,
                searches[image].values,
                base[image],
                full[image],
                patches.grid if segments is None else segments[image].places,
            )
            values[image], error_std[image] = found.values, found.std
            clear[image], relative_error[image] = found.clear, found.relative_error
    labels = (
        np.broadcast_to(patches.labels.astype(np.int32), (count, *size))
        if segments is None
        else np.stack([each.labels for each in segments])
    )
    return Attribution(
        Regions.even(labels, values, channels, error_std),
        np.full(count, patches.players),
        grid=patches.grid if segments is None else None,
        clear=clear,
        relative_error=relative_error,
    )


def _one_thread() -> threadpool_limits:
    """Matrices this small are solved several times as fast without waiting for other threads."""
    return threadpool_limits(limits=1, user_api="blas")
