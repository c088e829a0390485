"""Which coalitions to evaluate: the ones that tell most about the Shapley values.

Coalitions come in pairs with their complements, which tell the odd part of a game, all that Shapley
values are made of, from the even part. The first pairs are orthogonal: with the pair of the full
and the empty coalition they determine every main effect, each by all of them, and no interaction of
two patches disturbs it. Further ones are picked one by one from a random pool, each the one that
lowers the summed posterior variance of the Shapley values most under a typical prior. That prior is
fixed beforehand, so a design depends on grid, budget and seed alone and serves every model, image,
output and epoch.

Where there are too few for an orthogonal block, and not many more pairs than players either, single
coalitions in twice as many directions are worth more. Sources: Plackett & Burman, "The design of
optimum multifactorial experiments" (Biometrika 33, 1946) for orthogonal designs; Covert & Lee,
"Improving KernelSHAP" (AISTATS 2021) for pairs; Krause et al., "Near-optimal sensor placements in
Gaussian processes" (JMLR 9, 2008) for greedy designs.
"""

from functools import lru_cache

import numpy as np
from scipy.linalg import hadamard

from lightning_shap.methods.kernel.prior import NAMES, PatchKernel, shapley_of_noise

POOL_PER_PAIR = 4
SMALLEST_POOL, LARGEST_POOL = 200, 3000
SINGLES_POOL = 1000
MOST_RECTANGLES = 500
TYPICAL = {
    "own": -1.2,
    "main_length": 0.0,
    "odd": -0.7,
    "degree": 0.7,
    "odd_length": -0.6,
    "triples": 0.0,
    "noise": -4.0,
    "even": 0.5,
}
ROUGH = TYPICAL | {"odd": 0.0}  # what is left out of a coarse fit counts for more


@lru_cache(maxsize=16)
def coalition_pairs(grid: tuple[int, int], pairs: int, seed: int) -> np.ndarray:
    """One coalition of each of the ``pairs`` pairs, as +-1 (pairs, n); the other is its negative.

    No pair comes twice, and none is the pair of the full and the empty coalition. The pairs come in
    the order in which they were picked, so that a beginning of them is a good design too.
    """
    players = grid[0] * grid[1]
    rng = np.random.default_rng(seed)
    known = np.ones((1, players))
    if pairs >= orthogonal_pairs(players):
        known = np.vstack([known, _orthogonal(players, rng)])
    size = min(max(SMALLEST_POOL, POOL_PER_PAIR * pairs), max(pairs, LARGEST_POOL))
    taken = {row.tobytes() for row in known}
    pool = np.array([row for row in _pool(players, size, rng) if row.tobytes() not in taken])
    rest = min(pairs - len(known) + 1, len(pool))
    chosen = known[1:]
    if rest:
        chosen = np.vstack([chosen, _greedy(PatchKernel(grid), TYPICAL, known, pool, rest)])
    chosen.setflags(write=False)
    return chosen


@lru_cache(maxsize=16)
def single_coalitions(grid: tuple[int, int], count: int, seed: int) -> np.ndarray:
    """``count`` coalitions as +-1 (count, n), most of them without their complements."""
    players = grid[0] * grid[1]
    rng = np.random.default_rng(seed)
    pool = np.vstack([_pool(players, SINGLES_POOL, rng), _rectangles(grid, rng)])
    pool = np.unique(np.vstack([pool, -pool]), axis=0)
    ends = np.stack([np.ones(players), -np.ones(players)])
    chosen = _greedy(PatchKernel(grid, even=True), ROUGH, ends, pool, min(count, len(pool)))
    chosen.setflags(write=False)
    return chosen


def orthogonal_pairs(players: int) -> int:
    """How many pairs, with that of the full and the empty coalition, are an orthogonal design."""
    return (1 << (players - 1).bit_length()) - 1


def every_coalition(players: int) -> np.ndarray:
    """All coalitions (2^n, n) as booleans; the empty one is first and the full one last."""
    return (np.arange(2**players)[:, None] >> np.arange(players) & 1).astype(bool)


def _orthogonal(players: int, rng: np.random.Generator) -> np.ndarray:
    """One coalition of each pair of an orthogonal design, as +-1, without the last player.

    The columns of a Hadamard matrix are orthogonal to one another, however many there are of them
    and in whatever order.
    """
    matrix = hadamard(orthogonal_pairs(players) + 1, dtype=float)[1:]
    rows = matrix[:, rng.permutation(len(matrix) + 1)[:players]]
    return rows * -rows[:, -1:]


def _pool(players: int, count: int, rng: np.random.Generator) -> np.ndarray:
    """Up to ``count`` distinct pairs; sizes half uniform and half as KernelSHAP weights them."""
    if players <= 12:
        half = every_coalition(players)[1 : 2 ** (players - 1)]
        half = half[rng.permutation(len(half))[:count]]
        return np.where(half, 1.0, -1.0)
    size = np.arange(1, players)
    kernel = 1 / (size * (players - size))
    chances = kernel / kernel.sum() / 2 + 0.5 / len(size)
    seen: set[bytes] = set()
    pool: list[np.ndarray] = []
    while len(pool) < count:
        present = np.zeros(players, dtype=bool)
        present[rng.permutation(players)[: rng.choice(size, p=chances)]] = True
        present ^= present[-1]  # of the pair, the one without the last player
        if present.tobytes() not in seen:
            seen.add(present.tobytes())
            pool.append(present)
    return np.where(np.array(pool), 1.0, -1.0)


def _rectangles(grid: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Pairs of a rectangle of patches and its surroundings: all, or as many as are enough.

    With few coalitions only coarse shapes can be resolved, and a network's output for
    half an image says more about them than its output for scattered patches.
    """
    rows, columns = (
        [(first, last) for first in range(side) for last in range(first + 1, side + 1)]
        for side in grid
    )
    present = np.zeros((len(rows), len(columns), *grid), dtype=bool)
    for i, (top, bottom) in enumerate(rows):
        for j, (left, right) in enumerate(columns):
            present[i, j, top:bottom, left:right] = True
    flat = present.reshape(-1, grid[0] * grid[1])
    flat ^= flat[:, -1:]
    flat = np.unique(flat[flat.any(1)], axis=0)
    return np.where(flat[rng.permutation(len(flat))[:MOST_RECTANGLES]], 1.0, -1.0)


def _greedy(
    kernel: PatchKernel, prior: dict[str, float], known: np.ndarray, pool: np.ndarray, count: int
) -> np.ndarray:
    """The pool's best ``count`` coalitions, best first, given some that are known.

    A pivoted Cholesky factorisation: after each pick the columns hold the posterior covariances.
    """
    theta = np.concatenate([[prior[name] for name in NAMES], np.zeros(kernel.players)])
    terms = kernel.terms(theta)
    noise = terms.noise * (2 if kernel.even else 1)  # the odd part's, and the even part's
    s = np.vstack([known, pool])
    products = kernel.products(s)
    left = kernel.variances(terms, s) + noise
    values = kernel.shapley_covariance(terms, s) + terms.noise * shapley_of_noise(s)
    rows = np.empty((count + len(known), len(s)))
    picked = list(range(len(known)))
    for step in range(len(rows)):
        if step >= len(known):
            gain = (values**2).sum(0) / left
            gain[picked] = -1.0
            picked.append(int(gain.argmax()))
        pick = picked[step]
        row = kernel.covariance(terms, s[pick : pick + 1], s, products)[0]
        row -= rows[:step, pick] @ rows[:step]
        row /= np.sqrt(left[pick])
        rows[step] = row
        values -= np.outer(values[:, pick] / np.sqrt(left[pick]), row)
        left = np.maximum(left - row**2, noise)
    return s[picked[len(known) :]]
