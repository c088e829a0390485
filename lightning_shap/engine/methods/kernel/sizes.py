"""The likeness of main effects in coalitions of two sizes."""

from functools import lru_cache

import numpy as np


class Sizes:
    """The weight w(|s|, |s'|) of main effects in the prior, 1 where they are the same in all sizes.

    A part of the main effects, in proportion v to 1, varies with the share q of players that are
    present: as a Gaussian process of q, mirrored at a half, since with everyone exchanged for
    nobody the odd part of a game only changes its sign:

        w = (1 + v (k(q - q') + k(q + q' - 1)) / 2) / (1 + v),    k(x) = exp(-2 x^2 / length^2)

    Args:
        players: How many there are, n.
        log_varying: Logarithm of v.
        log_length: Logarithm of the length, in halves of the way from nobody to everyone.

    Attributes:
        weights: float64 (n + 1, n + 1), w for each two sizes.
        by_varying: Its derivative by ``log_varying``.
        by_length: Its derivative by ``log_length``.
    """

    def __init__(self, players: int, log_varying: float, log_length: float) -> None:
        apart = _square_distances(players) * np.exp(-2 * log_length)
        alike = np.exp(apart / -2)
        part = 1 / (1 + np.exp(-log_varying))
        mean = alike.mean(0)
        self.weights: np.ndarray = 1 - part + part * mean
        self.by_varying: np.ndarray = part * (1 - part) * (mean - 1)
        self.by_length: np.ndarray = part * (alike * apart).mean(0)

    def shapley_values(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns the Shapley values in the games s -> s_j w(|s|, k): of j, and of any other.

        Whoever joins a coalition without j changes the weight of -1, or with j that of 1. So j gets
        the mean of w(i, k) + w(i + 1, k) over all sizes i without it; what is left of the whole,
        w(n, k) + w(0, k), the others share.

        Returns:
            float64 (n + 1,) each.
        """
        w = self.weights
        own = (w[1:] + w[:-1]).mean(0)
        others = (w[0] + w[-1] - own) / max(1, len(w) - 2)
        return own, others


@lru_cache(maxsize=16)
def _square_distances(players: int) -> np.ndarray:
    """Returns the squares of q - q' and of q + q' - 1, in halves, (2, n + 1, n + 1)."""
    place = np.linspace(-1, 1, players + 1)
    apart: np.ndarray = np.stack([place[:, None] - place, place[:, None] + place]) ** 2
    apart.setflags(write=False)
    return apart
