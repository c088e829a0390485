"""Turn a budget into coalitions, and their values into Shapley values with standard errors.

No model here: a game is a table of coalitions and their values, so that any game can be estimated.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import gammaln

from lightning_shap.engine.methods.kernel.design import (
    FIRST_PAIRS,
    coalition_pairs,
    count_directions,
    every_coalition,
    is_nearly_additive,
    order_directions_first,
    order_in_pairs,
)
from lightning_shap.engine.methods.kernel.nulls import take_back_noise
from lightning_shap.engine.methods.kernel.process import Part, ShapleyProcess
from lightning_shap.engine.methods.kernel.smoothing import Layout

MOST_FEW = 400  # beyond, a game on as many rows costs more than its even part is worth
MOST_PAIRS = 2048  # beyond, factorisations cost more than they are worth


@dataclass(frozen=True)
class ShapleyEstimate:
    """Shapley values of a game's players.

    Attributes:
        values: float64 (n, K); they add up to full minus base.
        std: float64 (n, K), their standard errors; 0 where the values are exact.
        correlation: float64 (n, n), that of the errors, as a mean over the K games.
    """

    values: np.ndarray
    std: np.ndarray
    correlation: np.ndarray


def design(
    grid: tuple[int, int], max_evals: int, seed: int, *, nearly_additive: bool = False
) -> np.ndarray:
    """Returns the coalitions, bool (R, n), that a budget of ``max_evals`` is best spent on.

    The empty and the full coalition are not among them, but count. If the budget covers every
    coalition, all of them come; else they come in pairs, a coalition and then its complement, 4096
    at most. In a game that is nearly additive, few come in as many directions as they can; the
    first :data:`~.design.FIRST_PAIRS` pairs are the same.
    """
    players = grid[0] * grid[1]
    if _covers(max_evals, players):
        return every_coalition(players)[1:-1]
    rows = min(max_evals - 2, 2 * MOST_PAIRS)
    if not _few(rows, players):
        return order_in_pairs(coalition_pairs(grid, rows // 2, seed) > 0)
    most = min(count_directions(players), rows - FIRST_PAIRS)
    pairs = coalition_pairs(grid, most, seed, few=True) > 0
    if nearly_additive:
        return order_directions_first(pairs, seed)[:rows]
    return order_in_pairs(pairs)[: rows // 2 * 2]


def spend(
    grid: tuple[int, int],
    base: np.ndarray,
    full: np.ndarray,
    play: Callable[[list[np.ndarray]], list[np.ndarray]],
    *,
    max_evals: int,
    seed: int,
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Spends a budget on the games of some images: in two rounds, where little can be afforded.

    Args:
        grid: Patches down and across.
        base: (N, K), the value of each game's empty coalition.
        full: (N, K), the value of each game's full coalition.
        play: Takes coalitions, bool (R, n) for each game, and returns their values, (R, K) each.
        max_evals: Values of a game to spend, ``base`` and ``full`` included.
        seed: Chooses the coalitions.

    Returns:
        Coalitions and values of each game.
    """
    chosen = [design(grid, max_evals, seed)] * len(base)
    if not len(chosen[0]):
        return [(each, base[:0]) for each in chosen]
    if not _few(max_evals - 2, grid[0] * grid[1]):
        return list(zip(chosen, play(chosen), strict=True))
    first = play([each[: 2 * FIRST_PAIRS] for each in chosen])
    chosen = [
        design(grid, max_evals, seed, nearly_additive=is_nearly_additive(*seen))
        for seen in zip(first, base, full, strict=True)
    ]
    rest = play([each[2 * FIRST_PAIRS :] for each in chosen])
    values = [np.vstack(halves) for halves in zip(first, rest, strict=True)]
    return list(zip(chosen, values, strict=True))


def estimate(
    coalitions: np.ndarray,
    values: np.ndarray,
    base: np.ndarray,
    full: np.ndarray,
    layout: Layout,
) -> ShapleyEstimate:
    """Estimates Shapley values from the values of the coalitions that :func:`design` chose.

    Args:
        coalitions: bool (R, n), as :func:`design` returns them.
        values: float64 (R, K), the game at them.
        base: (K,), the value of the empty coalition.
        full: (K,), the value of the full coalition.
        layout: Where the players are: patches down and across, or places.
    """
    rows, players = coalitions.shape
    if _covers(rows + 2, players):
        exact = _solve_exactly(np.vstack([base, values, full]), players)
        return ShapleyEstimate(_balance(exact, full - base), 0 * exact, np.eye(players))
    full_game, middle = np.ones((1, players)), (full + base) / 2
    s = np.where(coalitions, 1.0, -1.0)
    if np.array_equal(coalitions[::2], ~coalitions[1::2]):
        s = np.vstack([full_game, s[::2]])
        one, other = np.vstack([full, values[::2]]), np.vstack([base, values[1::2]])
        odd, even = (one - other) / 2, (one + other) / 2 - middle
        parts = [Part(odd), Part(even, odd=False, even=True)]
    else:
        s = np.vstack([full_game, -full_game, s])
        parts = [Part(np.vstack([full, base, values]) - middle, even=True, exact=2)]
    mean, std, correlation = ShapleyProcess(layout, s, parts).shapley_values()
    values = take_back_noise(mean, std)
    return ShapleyEstimate(_balance(values, full - base), std, correlation)


def _few(rows: int, players: int) -> bool:
    """Returns whether coalitions are too few to see every direction in pairs."""
    most = min(2 * count_directions(players), MOST_FEW)
    return 2 * FIRST_PAIRS + 1 < rows < most and not _covers(rows + 2, players)


def _covers(evaluations: int, players: int) -> bool:
    """Returns whether so many evaluations are enough for every coalition."""
    return players <= 20 and evaluations >= 2**players


def _balance(values: np.ndarray, total: np.ndarray) -> np.ndarray:
    """Shares out what rounding lost or added, so that the values add up to ``total``."""
    return values + (total - values.sum(0)) / len(values)


def _solve_exactly(values: np.ndarray, players: int) -> np.ndarray:
    """Returns the Shapley values (n, K) of a whole game (2^n, K), see :func:`every_coalition`.

    phi_i = sum over S without i of |S|! (n - |S| - 1)! / n! (f(S with i) - f(S))
    (Shapley, "A value for n-person games", 1953).
    """
    present = every_coalition(players)
    size = np.arange(players)
    weight = np.exp(gammaln(size + 1) + gammaln(players - size) - gammaln(players + 1))
    result = np.empty((players, values.shape[1]))
    for player in range(players):
        without = np.flatnonzero(~present[:, player])
        gain = values[without + 2**player] - values[without]
        result[player] = weight[present[without].sum(1)] @ gain
    return result
