"""Turn a budget into coalitions, and their values into Shapley values with standard errors.

No model here: a game is a table of coalitions and their values, so that any game can be estimated.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import gammaln

from lightning_shap.engine.methods.kernel.design import (
    coalition_pairs,
    every_coalition,
)
from lightning_shap.engine.methods.kernel.process import ShapleyProcess
from lightning_shap.engine.methods.kernel.smoothing import Layout

MOST_WHOLE = 160  # coalitions; the odd part alone is as good beyond, and half the size
MOST_FEW = 400  # beyond, a game on as many rows costs more than its even part is worth
MOST_PAIRS = 2048  # beyond, factorisations cost more than they are worth


@dataclass(frozen=True)
class ShapleyEstimate:
    """Shapley values of a game's players.

    Attributes:
        values: float64 (n, K); they add up to full minus base.
        std: float64 (n, K), their standard errors; 0 where the values are exact.
    """

    values: np.ndarray
    std: np.ndarray

    @property
    def clear(self) -> np.ndarray:
        """(K,), the share of players whose value is more than two standard errors from zero."""
        return (np.abs(self.values) > 2 * self.std).mean(0)

    @property
    def relative_error(self) -> np.ndarray:
        """(K,), the median standard error relative to the largest value; 0 where all are zero."""
        largest = np.abs(self.values).max(0)
        return np.median(self.std, axis=0) / np.where(largest > 0, largest, 1.0)


def design(grid: tuple[int, int], max_evals: int, seed: int) -> np.ndarray:
    """Returns the coalitions, bool (R, n), that a budget of ``max_evals`` is best spent on.

    For budgets that are not :func:`few`. The empty and the full coalition are not among them, but
    count. If the budget covers every coalition, all of them come; else they come in pairs, a
    coalition and then its complement, 4096 at most.
    """
    players = grid[0] * grid[1]
    if _covers(max_evals, players):
        return every_coalition(players)[1:-1]
    pairs = min((max_evals - 2) // 2, MOST_PAIRS)
    present = coalition_pairs(grid, pairs, seed) > 0
    return np.stack([present, ~present], 1).reshape(-1, players)


def estimate(
    coalitions: np.ndarray,
    values: np.ndarray,
    base: np.ndarray,
    full: np.ndarray,
    layout: Layout,
) -> ShapleyEstimate:
    """Estimates Shapley values from the values of the coalitions that :func:`design` chose.

    Args:
        coalitions: bool (R, n), as :func:`design` returns them, or a :class:`.search.Search` that
            had few to spend.
        values: float64 (R, K), the game at them.
        base: (K,), the value of the empty coalition.
        full: (K,), the value of the full coalition.
        layout: Where the players are: patches down and across, or places.
    """
    rows, players = coalitions.shape
    if _covers(rows + 2, players):
        exact = _solve_exactly(np.vstack([base, values, full]), players)
        return ShapleyEstimate(_balance(exact, full - base), np.zeros_like(exact))
    everyone = np.ones((1, players), dtype=bool)
    odd = rows > MOST_WHOLE and not few(rows, players)
    if odd:
        present = np.vstack([everyone, coalitions[::2]])
        g = np.vstack([full - base, values[::2] - values[1::2]]) / 2
    else:
        present = np.vstack([everyone, ~everyone, coalitions])
        g = np.vstack([full, base, values]) - (full + base) / 2
    s = np.where(present, 1.0, -1.0)
    mean, std = ShapleyProcess(layout, s, g, odd=odd).shapley_values()
    return ShapleyEstimate(_balance(mean, full - base), std)


def few(rows: int, players: int) -> bool:
    """Returns whether coalitions are too few to be chosen before the game is seen."""
    return rows <= min(2 * players + 3, MOST_FEW) and not _covers(rows + 2, players)


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
