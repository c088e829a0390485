"""Owen values over a tree of regions: SHAP's PartitionExplainer, number for number over boxes.

Either an image is halved along its longer side, again and again, channels last, which is SHAP's
tree; or the tree is the picture's own, whose regions follow what is in it. Standard errors are of
what more evaluations would change (:mod:`.spread_errors`): not of how Shapley values differ.

Source: `shap.PartitionExplainer`; Owen, "Values of games with a priori unions", 1977.
"""

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import numpy as np

from lightning_shap.engine.game import CoalitionGame, Coalitions
from lightning_shap.engine.methods.attribution import Attribution
from lightning_shap.engine.methods.descent import Descent
from lightning_shap.engine.methods.spread_errors import find_errors
from lightning_shap.engine.regions.boxes import Box, BoxCoalitions, BoxTree
from lightning_shap.engine.regions.image_tree import ImageTree
from lightning_shap.engine.regions.masks import send
from lightning_shap.engine.regions.nodes import NodeCoalitions
from lightning_shap.explanation.regions import Regions, join_regions

SHAPS_ROWS = 10  # of a round


def partition_values(
    game: CoalitionGame,
    targets: np.ndarray,
    base: np.ndarray,
    full: np.ndarray,
    *,
    max_evals: int,
    regions: Sequence[ImageTree] | None = None,
    seed: int = 0,
    rows_per_round: int | None = None,
    leading: int | None = None,
) -> Attribution:
    """Returns the Owen values of every pixel.

    Args:
        game: The coalition game of N images.
        targets: int (N, K'), the outputs to explain.
        base: float64 (N, K'), these outputs with everything absent.
        full: float64 (N, K'), these outputs with everything present.
        max_evals: Rows an image may cost, ``base`` and ``full`` included.
        regions: The tree of each image; None for SHAP's boxes.
        seed: Not used, since nothing here is random.
        rows_per_round: Rows that an image asks for before it looks at the results; None for 10 of
            boxes, as SHAP's ``batch_size``, and 20 of trees, which find as much in half of the
            rounds. The rounds of all images share model calls.
        leading: How many of the outputs lead the descents; None for all, as in SHAP.
    """
    count, channels, height, width = game.images.shape
    whole = Box(0, height, 0, width, 0, channels)
    trees: Sequence[Any] = [BoxTree(whole)] * count if regions is None else regions
    if rows_per_round is None:
        rows_per_round = SHAPS_ROWS if regions is None else 2 * SHAPS_ROWS
    descents: list[Descent[Any]] = [
        Descent(tree, *ends, max_rows=max_evals - 2, rows_per_round=rows_per_round, leading=leading)
        for tree, *ends in zip(trees, base, full, strict=True)
    ]
    if regions is not None:
        places = send(np.stack([tree.places for tree in regions]), game.images.device)
    asked = _ask_all(descents)
    while asked:
        counts = [len(coalitions) for coalitions in asked.values()]
        images = np.repeat([*asked], counts)
        rows = [coalition for coalitions in asked.values() for coalition in coalitions]
        coalitions: Coalitions = (
            BoxCoalitions(rows, whole)
            if regions is None
            else NodeCoalitions(rows, images, regions, places)
        )
        outputs = game.play(images, coalitions)
        outputs = np.take_along_axis(outputs, targets[images], axis=1)
        for image, answers in zip(asked, np.split(outputs, np.cumsum(counts)[:-1]), strict=True):
            descents[image].answer(answers)
        asked = _ask_all(descents)
    found = [
        _collect_boxes(descent, tree)
        if regions is None
        else _collect_nodes(descent, tree, channels)
        for descent, tree in zip(descents, trees, strict=True)
    ]
    return Attribution(join_regions(found), np.array([descent.regions for descent in descents]))


def _ask_all(descents: Sequence[Descent[Any]]) -> dict[int, list[tuple[Any, ...]]]:
    """Returns the coalitions to evaluate next, by the numbers of the images whose walk goes on."""
    asked = {image: descent.ask() for image, descent in enumerate(descents)}
    return {image: coalitions for image, coalitions in asked.items() if coalitions}


def _collect_boxes(descent: Descent[Box], tree: BoxTree) -> Regions:
    """Returns the regions of one image that was cut into boxes."""
    # The leaves of one pixel's channels, which follow one another, are one region.
    whole = tree.root
    rectangles = [
        (edges, [*same]) for edges, same in groupby(descent.leaves(), lambda leaf: leaf[0][:4])
    ]
    depth = whole.last if any(len(same) > 1 for _, same in rectangles) else 1
    labels = np.empty((1, whole.bottom, whole.right), dtype=np.int32)
    per_pixel = np.empty((1, len(rectangles), depth, len(rectangles[0][1][0][1])))
    for number, ((top, bottom, left, right), same) in enumerate(rectangles):
        labels[0, top:bottom, left:right] = number
        for box, value in same:
            per_pixel[0, number, box.first : box.last] = value
    parts = [same[0][0]._replace(first=whole.first, last=whole.last) for _, same in rectangles]
    return _join_errors(labels, per_pixel, whole.last, descent, tree, parts)


def _collect_nodes(descent: Descent[int], tree: ImageTree, channels: int) -> Regions:
    """Returns the regions of one image that was cut along its own tree."""
    nodes, values = zip(*descent.leaves(), strict=True)
    per_pixel = np.array(values)[None, :, None] / channels
    return _join_errors(tree.labels(nodes)[None], per_pixel, channels, descent, tree, nodes)


def _join_errors(
    labels: np.ndarray,
    per_pixel: np.ndarray,
    channels: int,
    descent: Descent[Any],
    tree: Any,
    parts: Sequence[Any],
) -> Regions:
    """Returns the regions of one image, which are nodes of a tree, with their standard errors."""
    std, triangle = find_errors(descent, tree, parts, per_pixel.shape[-1])
    found = Regions.even(labels, std[None], channels)
    return Regions(labels, per_pixel, channels, found.per_pixel, triangle)
