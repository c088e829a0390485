"""Designs: the coalitions from which most is learnt about the Shapley values.

They are picked one by one from a random pool, each the one that lowers the summed posterior
variance of the Shapley values most under the prior's centre. The pool holds coalitions as Shapley
values weigh them, of all sizes alike and any patches of a size: where patches hang together a
network's output says more, but of other coalitions than those that Shapley values average over.
The prior is fixed beforehand, so a design depends on grid, budget and seed alone and serves every
model, image, output and epoch.

Coalitions come in pairs with their complements, which tell the odd part of a game, all that Shapley
values are made of, from the even part. Below two and a half evaluations a player pairs leave some
directions unseen, or badly seen. Where the even part hardly varies, a coalition says nearly all of
its pair, and complements wait until there are more coalitions than players. Either order only ever
appends: with more to spend the coalitions of less come again, so that more is not worse by chance.
Few are picked as if neighbours had less in common than they are expected to; else what sets them
apart is left for last, and in some networks that is most of it.

Sources: Covert & Lee, "Improving KernelSHAP" (AISTATS 2021) for pairs; Krause et al., "Near-optimal
sensor placements in Gaussian processes" (JMLR 9, 2008) for greedy designs.
"""

from functools import lru_cache

import numpy as np
from threadpoolctl import threadpool_limits

from lightning_shap.engine.methods.kernel.prior import OWN, PatchKernel, shapley_of_noise

POOL_PER_PAIR = 4
SMALLEST_POOL, LARGEST_POOL = 800, 3000
FIRST_PAIRS = 2  # which show how far the even part varies
NEARLY_ADDITIVE = 0.08  # of the odd part's square the even part's variance may be
DIRECTIONS = 1.25  # a player; hardly more than one leave some sum of players badly known
FEW_OWN = -2.0  # for the prior's "own": else few pairs leave what sets neighbours apart unseen
MOST_PICKED = 1024  # pairs; beyond, picking takes minutes and most of the pool is taken anyway


@lru_cache(maxsize=16)
def coalition_pairs(
    grid: tuple[int, int], pairs: int, seed: int, *, few: bool = False
) -> np.ndarray:
    """Returns a coalition of each of ``pairs`` pairs, as +-1 (pairs, n); the other is its negative.

    No pair comes twice, and none is the pair of the full and the empty coalition. The pairs come in
    the order in which they were picked, so that a beginning of them is a good design too. A
    ``few`` are picked for players that hang together less than the prior expects.
    """
    kernel = PatchKernel(grid)
    if few:
        kernel.centres[OWN] = FEW_OWN
    known = np.ones((1, grid[0] * grid[1]))
    pool = _draw_pool(grid, pairs, np.random.default_rng(seed))
    with threadpool_limits(limits=1, user_api="blas"):
        picked = _pick_greedily(kernel, known, pool, min(pairs, MOST_PICKED))
    if len(picked) < pairs:
        taken = {row.tobytes() for row in picked}
        rest = [row for row in pool if row.tobytes() not in taken]
        picked = np.vstack([picked, *rest])[:pairs]
    picked.setflags(write=False)
    return picked


def order_in_pairs(pairs: np.ndarray) -> np.ndarray:
    """Returns coalitions (2 P, n), each of the pairs (P, n) with its complement after it."""
    return np.stack([pairs, ~pairs], 1).reshape(-1, pairs.shape[1])


def count_directions(players: int) -> int:
    """Returns in how many directions a nearly additive game is looked at before any complement."""
    return int(DIRECTIONS * players)


def order_directions_first(pairs: np.ndarray, seed: int) -> np.ndarray:
    """Returns the same coalitions as :func:`order_in_pairs`, as suits a nearly additive game.

    After the first pairs comes one coalition of each other, by chance this or that, and then the
    complements of these.
    """
    flip = np.random.default_rng(seed).random((len(pairs), 1)) < 0.5
    signed = (pairs ^ flip)[FIRST_PAIRS:]
    return np.vstack([order_in_pairs(pairs[:FIRST_PAIRS]), signed, ~signed])


def is_nearly_additive(values: np.ndarray, base: np.ndarray, full: np.ndarray) -> bool:
    """Returns whether the even part of a game hardly varies beside its odd part, in every output.

    Args:
        values: float64 (2 P, K), the game at pairs as :func:`order_in_pairs` returns them.
        base: (K,), the value of the empty coalition.
        full: (K,), the value of the full coalition.
    """
    even = np.vstack([base + full, values[::2] + values[1::2]]) / 2
    odd = (values[::2] - values[1::2]) / 2
    return bool((even.var(0, ddof=1) <= NEARLY_ADDITIVE * (odd**2).mean(0)).all())


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
        row = kernel.covariance(terms, s[pick : pick + 1], s)[0][0]
        row -= rows[:step, pick] @ rows[:step]
        row /= np.sqrt(left[pick])
        rows[step] = row
        values -= np.outer(values[:, pick] / np.sqrt(left[pick]), row)
        left = np.maximum(left - row**2, noise)
    return s[picked[len(known) :]]
