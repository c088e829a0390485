"""Players that do nothing: values that noise alone explains are taken back.

The process lets every player matter a little, and on a hundred players that do nothing a little is
much. So each value is taken for a draw from one of two groups, noise or what matters:

    N(0, r^2)  or  N(0, r^2 + t^2),    r = RESOLUTION std

The share of the first group and t are those of each output, found by expectation maximisation; a
prior of the share expects few players that do nothing, so that only many of them are believed.
A value keeps the probability that it matters, and what values lose goes to those that matter, in
proportion to their variance, as their sum is known.

Source: Efron, "Microarrays, empirical Bayes and the two-groups model" (Statistical Science 23,
2008).
"""

import numpy as np
from scipy.special import expit, logit

RESOLUTION = 0.6  # of a standard error, how far values of nothing are from zero
EXPECTED = 14  # players that matter, counted before any is seen
ROUNDS = 15
TINY = 1e-12


def take_back_noise(values: np.ndarray, std: np.ndarray) -> np.ndarray:
    """Returns values (n, K) with the same sums, near zero where noise explains them.

    Args:
        values: Shapley values (n, K).
        std: Their standard errors (n, K).
    """
    size = np.abs(values).max(0)
    size = np.where(size > 0, size, 1.0)
    square = (values / size) ** 2
    noise = (RESOLUTION * std / size) ** 2 + TINY
    certain = square / noise
    share, spread = np.full(len(size), 0.5), square.mean(0)
    for _ in range(ROUNDS):
        wide = noise + spread
        odds = np.log(wide / noise) - certain + square / wide
        matters = expit(odds / -2 - logit(share))
        counted = matters.sum(0)
        share = np.maximum(1 - (counted + EXPECTED) / (len(values) + EXPECTED), TINY)
        spread = np.maximum((matters * (square - noise)).sum(0) / (counted + TINY), TINY)
    kept = matters * values
    variance = matters * noise
    return kept + variance / variance.sum(0) * (values - kept).sum(0)
