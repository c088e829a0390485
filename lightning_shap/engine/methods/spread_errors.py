"""Standard errors of a descent's values: how far an even spread is off.

A descent without an end gives every region its Owen value. One that ends has nodes that it never
opened, whose worth it spreads evenly over their pixels. How uneven they may be shows in those that
it did open, by how far one half's gain is from its even share:

    d = gain of the first half - its share of the pixels x gain of both

The halves of a region are taken to be off by the root mean square of its own d, one up and one
down, in all contexts in which the region was not opened, which are taken to be alike. A region that
was opened seldom may have a small d by chance: so :data:`PRIOR_LOOKS` more looks count as if they
had found what the whole descent did, relative to the gains.

The errors of different regions' halves are independent. Together they give each part of the map its
standard error, and each two of them a correlation; over the whole map they add up to nothing, as
its sum is known.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from lightning_shap.engine.methods.descent import Descent, Region, RegionTree

PRIOR_LOOKS = 3
MOST_CORRELATED = 512  # parts of a map; more have no correlations, which grow with their square


def find_errors(
    descent: Descent[Region], tree: RegionTree[Region], parts: Sequence[Region], outputs: int
) -> tuple[np.ndarray, np.ndarray | None]:
    """Returns the standard errors of what lies in each part of a map, and how they correlate.

    Args:
        descent: After :meth:`.Descent.leaves`.
        tree: That it went down.
        parts: All R of the map, as nodes of the tree in its order.
        outputs: How many outputs there are, K'.

    Returns:
        float64 (R, K'), and float16 (1, R (R - 1) / 2), as a mean over the outputs: correlations
        above the diagonal, row by row, or None.
    """
    pixels = np.concatenate([[0], np.cumsum([tree.size(part) for part in parts])])
    spans = _find_spans(tree, tree.root, {part: place for place, part in enumerate(parts)})
    seen = {region: _weigh(descent, tree, region) for region in descent.looks}
    squares, gains = np.sum([*seen.values(), np.zeros((2, outputs))], axis=0)
    usual = squares / np.where(gains > 0, gains, 1)
    errors = np.zeros((len(parts), len(spans), outputs)) if len(parts) <= MOST_CORRELATED else None
    variance = np.zeros((len(parts), outputs))
    for number, (region, *cuts) in enumerate(spans):
        looks, (square, gain) = len(descent.looks[region]), seen[region]
        square = (looks * square + PRIOR_LOOKS * usual * gain) / (looks + PRIOR_LOOKS)
        off = descent.unopened[region] * np.sqrt(square)
        for sign, first, last in zip((1, -1), cuts[:-1], cuts[1:], strict=True):
            share = np.diff(pixels[first : last + 1]) / (pixels[last] - pixels[first])
            error = sign * share[:, None] * off
            variance[first:last] += error**2
            if errors is not None:
                errors[first:last, number] = error
    std = np.sqrt(variance)
    if errors is None:
        return std, None
    errors /= np.where(std > 0, std, 1)[:, None]
    correlation = np.tensordot(errors, errors, ((1, 2), (1, 2))) / outputs
    return std, correlation[np.triu_indices(len(parts), 1)][None].astype(np.float16)


def _weigh(descent: Descent[Region], tree: RegionTree[Region], region: Region) -> np.ndarray:
    """Returns the mean squares (2, K') of d and of both halves' gains, over a region's contexts."""
    weights, gains, of_first = (np.array(each) for each in zip(*descent.looks[region], strict=True))
    first, _ = tree.halve(region) or (region, None)
    d = of_first - tree.size(first) / tree.size(region) * gains
    found: np.ndarray = np.einsum("c,ick->ik", weights / weights.sum(), np.stack([d, gains]) ** 2)
    return found


def _find_spans(
    tree: RegionTree[Region], region: Region, places: Mapping[Region, int]
) -> list[tuple[Region, int, int, int]]:
    """Returns the regions from one downwards that hold parts, after those within them.

    With each come the places of its first part and of the first in its second half, and its end.
    """
    halves = None if region in places else tree.halve(region)
    if halves is None:
        return []
    within = [_find_spans(tree, half, places) for half in halves]
    (first, middle), (_, last) = (
        found[-1][1::2] if found else (places[half], places[half] + 1)
        for found, half in zip(within, halves, strict=True)
    )
    return [*within[0], *within[1], (region, first, middle, last)]
