"""Designs: the coalitions from which most is learnt about the Shapley values.

They are picked one by one from a random pool, each the one that lowers the summed posterior
variance of the Shapley values most under the prior's centre. The pool holds coalitions as Shapley
values weigh them, of all sizes alike and any patches of a size: where patches hang together a
network's output says more, but of other coalitions than those that Shapley values average over.
The prior is fixed beforehand, so a design depends on grid, budget and seed alone and serves every
model, image, output and epoch.

Coalitions come in pairs with their complements, which show the odd part of a game, all that Shapley
values are made of, from the even part. Where they are hardly more than players and the game is
nearly additive, single coalitions in twice as many directions are worth more.

Sources: Covert & Lee, "Improving KernelSHAP" (AISTATS 2021) for pairs; Krause et al., "Near-optimal
sensor placements in Gaussian processes" (JMLR 9, 2008) for greedy designs.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from lightning_shap.engine.methods.descent import Descent
from lightning_shap.engine.methods.kernel.prior import PatchKernel, shapley_of_noise
from lightning_shap.engine.regions.boxes import Box, BoxTree

POOL_PER_PAIR = 4
SMALLEST_POOL, LARGEST_POOL = 800, 3000
MOST_PICKED = 1024  # pairs; beyond, picking takes minutes and most of the pool is taken anyway
LOOKS = 10  # coalitions of the first two rounds of a descent: two halves, and eight with quarters


@lru_cache(maxsize=16)
def coalition_pairs(grid: tuple[int, int], pairs: int, seed: int) -> np.ndarray:
    """Returns a coalition of each of ``pairs`` pairs, as +-1 (pairs, n); the other is its negative.

    No pair comes twice, and none is the pair of the full and the empty coalition. The pairs come in
    the order in which they were picked, so that a beginning of them is a good design too.
    """
    known = np.ones((1, grid[0] * grid[1]))
    pool = _draw_pool(grid, pairs, np.random.default_rng(seed))
    picked = _pick_greedily(PatchKernel(grid), known, pool, min(pairs, MOST_PICKED))
    if len(picked) < pairs:
        taken = {row.tobytes() for row in picked}
        rest = [row for row in pool if row.tobytes() not in taken]
        picked = np.vstack([picked, *rest])[:pairs]
    picked.setflags(write=False)
    return picked


@lru_cache(maxsize=16)
def single_coalitions(grid: tuple[int, int], count: int, seed: int) -> np.ndarray:
    """Returns coalitions as +-1 (count, n), each without its complement, for the odd part alone.

    They complete the :func:`first_looks` of a descent, of which none comes again.
    """
    known = np.vstack([np.ones((1, grid[0] * grid[1])), np.where(first_looks(grid), 1.0, -1.0)])
    pool = _draw_pool(grid, count, np.random.default_rng(seed))
    taken = {row.tobytes() for row in (*known, *-known)}
    pool = np.array([row for row in pool if row.tobytes() not in taken])
    chosen = _pick_greedily(PatchKernel(grid), known, pool, count)
    chosen.setflags(write=False)
    return chosen


def first_looks(grid: tuple[int, int]) -> np.ndarray:
    """Returns the first coalitions of a descent in any game, bool (R, n), :data:`LOOKS` at most.

    Halves, and quarters with the other half absent and present.
    """
    nothing = np.zeros(1)
    descent = Descent(tree_of(grid), nothing, nothing, max_rows=LOOKS, rows_per_round=LOOKS)
    looks = np.zeros((0, grid[0] * grid[1]), dtype=bool)
    while boxes := descent.ask():
        looks = np.vstack([looks, coalitions_of_boxes(grid, boxes)])
        descent.answer(np.zeros((len(boxes), 1)))
    return looks


def tree_of(grid: tuple[int, int]) -> BoxTree:
    """Returns the tree of a grid: halves of halves, down to single patches."""
    return BoxTree(Box(0, grid[0], 0, grid[1], 0, 1))


def coalitions_of_boxes(grid: tuple[int, int], rows: Sequence[tuple[Box, ...]]) -> np.ndarray:
    """Returns coalitions bool (R, n) of patches, each given as the boxes of patches it holds."""
    present = np.zeros((len(rows), *grid, 1), dtype=bool)
    for coalition, boxes in zip(present, rows, strict=True):
        for box in boxes:
            coalition[box.slices] = True
    return present.reshape(len(rows), grid[0] * grid[1])


def every_coalition(players: int) -> np.ndarray:
    """Returns all coalitions (2^n, n) as booleans; the empty one is first and the full one last."""
    return (np.arange(2**players)[:, None] >> np.arange(players) & 1).astype(bool)


def _draw_pool(grid: tuple[int, int], wanted: int, rng: np.random.Generator) -> np.ndarray:
    """Returns distinct pairs to pick from, (R, n), each as its coalition without the last player.

    Sizes are uniform, and so are the patches of a size.
    """
    count = min(max(SMALLEST_POOL, POOL_PER_PAIR * wanted), max(wanted, LARGEST_POOL))
    players = grid[0] * grid[1]
    if players <= 20 and 2 ** (players - 1) - 1 <= count:
        return np.where(every_coalition(players)[1 : 2 ** (players - 1)], 1.0, -1.0)
    pool = np.empty((0, players), dtype=bool)
    while len(pool) < count:
        ranks = rng.random((count, players)).argsort(1)
        present = ranks < rng.integers(1, players, (count, 1))
        pool = np.unique(np.vstack([pool, present ^ present[:, -1:]]), axis=0)
    return np.where(pool[rng.permutation(len(pool))[:count]], 1.0, -1.0)


def _pick_greedily(
    kernel: PatchKernel, known: np.ndarray, pool: np.ndarray, count: int
) -> np.ndarray:
    """Picks the pool's best ``count`` coalitions, best first, given some that are known.

    A pivoted Cholesky factorisation: after each pick the columns hold the posterior covariances.
    """
    count = min(count, len(pool))
    terms = kernel.terms(kernel.centres)
    s = np.vstack([known, pool])
    noise = terms.noise
    left = kernel.variances(terms, s) + noise
    values = kernel.shapley_covariance(terms, s) + terms.noise * shapley_of_noise(s)
    rows = np.empty((len(known) + count, len(s)))
    picked = list(range(len(known)))
    for step in range(len(rows)):
        if step >= len(known):
            gain = (values**2).sum(0) / left
            gain[picked] = -1.0
            picked.append(int(gain.argmax()))
        pick = picked[step]
        row = kernel.covariance(terms, s[pick : pick + 1], s)[0]
        row -= rows[:step, pick] @ rows[:step]
        row /= np.sqrt(left[pick])
        rows[step] = row
        values -= np.outer(values[:, pick] / np.sqrt(left[pick]), row)
        left = np.maximum(left - row**2, noise)
    return s[picked[len(known) :]]
