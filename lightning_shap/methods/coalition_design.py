"""Which coalitions to evaluate: the ones that tell most about the Shapley values.

Coalitions are picked one by one from a random pool, each the one that lowers the summed posterior
variance of the Shapley values most under a typical prior. The prior is fixed beforehand, so a
design depends on grid, budget and seed alone and serves every model, image, output and epoch.

Once there are more pairs than players, coalitions come in pairs with their complements, which tell
the odd part of a game, all that Shapley values are made of, from the even part. With fewer, single
coalitions in twice as many directions are worth more. Sources: Covert & Lee, "Improving KernelSHAP"
(AISTATS 2021) for pairs; Krause et al., "Near-optimal sensor placements in Gaussian processes"
(JMLR 9, 2008) for greedy designs.
"""

from functools import lru_cache

import numpy as np

from lightning_shap.methods.patch_kernel import NAMES, PatchKernel, shapley_of_noise

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
    pool = _pool(
        players, min(max(SMALLEST_POOL, POOL_PER_PAIR * pairs), max(pairs, LARGEST_POOL)), rng
    )
    ends = np.ones((1, players))
    return _greedy(PatchKernel(grid), TYPICAL, ends, pool, min(pairs, len(pool)))


@lru_cache(maxsize=16)
def single_coalitions(grid: tuple[int, int], count: int, seed: int) -> np.ndarray:
    """``count`` coalitions as +-1 (count, n), most of them without their complements."""
    players = grid[0] * grid[1]
    rng = np.random.default_rng(seed)
    pool = np.vstack([_pool(players, SINGLES_POOL, rng), _rectangles(grid, rng)])
    pool = np.unique(np.vstack([pool, -pool]), axis=0)
    ends = np.stack([np.ones(players), -np.ones(players)])
    return _greedy(PatchKernel(grid, even=True), ROUGH, ends, pool, min(count, len(pool)))


def every_coalition(players: int) -> np.ndarray:
    """All coalitions (2^n, n) as booleans; the empty one is first and the full one last."""
    return (np.arange(2**players)[:, None] >> np.arange(players) & 1).astype(bool)


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
    kernel: PatchKernel, prior: dict[str, float], ends: np.ndarray, pool: np.ndarray, count: int
) -> np.ndarray:
    """The pool's best ``count`` coalitions, best first, given that those at the ends are known.

    A pivoted Cholesky factorisation: after each pick the columns hold the posterior covariances.
    """
    theta = np.concatenate([[prior[name] for name in NAMES], np.zeros(kernel.players)])
    terms = kernel.terms(theta)
    noise = terms.noise * len(ends)  # of the odd part alone, or of an odd and an even part
    s = np.vstack([ends, pool])
    products = kernel.products(s)
    left = kernel.variances(terms, s) + noise
    values = kernel.shapley_covariance(terms, s) + terms.noise * shapley_of_noise(s)
    rows = np.empty((count + len(ends), len(s)))
    picked = list(range(len(ends)))
    for step in range(len(rows)):
        if step >= len(ends):
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
    chosen = s[picked[len(ends) :]]
    chosen.setflags(write=False)
    return chosen
