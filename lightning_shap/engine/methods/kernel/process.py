"""Shapley values by Gaussian-process regression over coalitions of patches, with error bars.

The posterior mean of the game has Shapley values Q C^-1 g, with C the prior covariance of the
evaluated pairs and Q that of the Shapley values with them (:mod:`.prior`). All outputs share
C; each has its own scale, which drops out of the mean. The hyper-parameters maximise the marginal
likelihood of all outputs times a broad prior. Source: Rasmussen & Williams, "Gaussian Processes for
Machine Learning" (2006), chapters 2 and 5; Chau et al., "Explaining the uncertain: stochastic
Shapley values for Gaussian process models" (NeurIPS 2023).
"""

from typing import Any

import numpy as np
from scipy.linalg import cho_factor, cho_solve, lapack
from scipy.optimize import minimize

from lightning_shap.engine.methods.kernel.prior import (
    LENGTHS,
    NOISE,
    PatchKernel,
    Terms,
    shapley_of_noise,
    shapley_variance_of_noise,
)
from lightning_shap.engine.methods.kernel.smoothing import Layout

EXACT = 1e-8  # noise of the pair {full, empty}, whose weight is what makes the values add up
JITTER = 1e-9
MOST_PAIRS_SEARCHED = 500
STEPS, TOLERANCE = 40, 1e-5
START = -1.0  # of both lengths, in spreads: where a search begins with long ones, all players are
# alike, what tells them apart is taken for noise, and there it may end
DRAWS = (2, 12)  # other settings of the hyper-parameters that the error bars allow for:
PAIRS_DRAWN = 1000  # fewer of them when there are many coalitions
POINTS = 600  # coalitions over which the variance of the values is averaged


class ShapleyProcess:
    """The posterior over a game's Shapley values.

    Args:
        layout: Where the players are.
        s: Coalitions as +-1 (m, n). Of the odd part alone, one of each pair, the full one first;
            of the whole game, the full and the empty one first.
        g: The game there, or its odd part (m, K).
        odd: Whether it is the odd part alone.
        seed: Of the random orders and settings that the error bars are averaged over.
    """

    def __init__(
        self,
        layout: Layout,
        s: np.ndarray,
        g: np.ndarray,
        *,
        odd: bool,
        seed: int = 0,
    ) -> None:
        self.kernel = PatchKernel(layout, even=not odd)
        self.parts = 1 if odd else 2  # each with its own noise, and as many coalitions known before
        self.s = s
        size = np.sqrt((g**2).mean(0))
        self.live = size > 0
        self.size = np.where(self.live, size, 1.0)
        self.g = g / self.size
        self.rng = np.random.default_rng(seed)

    def shapley_values(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Returns posterior mean and standard deviation of the Shapley values, and a correlation.

        They are those of the most probable hyper-parameters; deviation and correlation count as
        well how far other probable ones move the mean.

        Returns:
            (n, K) twice; then (n, n), of the values' errors, as a mean over the outputs.
        """
        best, *others = self._find_settings()
        mean, covariance, scale = self._find_posterior(best)
        variance = np.outer(np.maximum(covariance.diagonal(), 0), scale)
        moved = np.zeros((1, *mean.shape))
        if others:
            moved = np.array([self._solve(self.kernel.terms(theta))[0] for theta in others]) - mean
            variance += (moved**2).mean(0)
        weights = 1 / np.sqrt(np.where(variance > 0, variance, np.inf))
        sides = (moved * weights).transpose(1, 0, 2).reshape(len(mean), -1) / np.sqrt(len(moved))
        joint = covariance * ((weights * scale) @ weights.T) + sides @ sides.T
        certain = np.sqrt(np.maximum(joint.diagonal(), 1e-12))
        correlation = joint / np.outer(certain, certain)
        # The errors left out were made by relevances fitted with them, one for each player, and a
        # design is worst where the game is least like the prior that chose it.
        variance *= (1 + self.kernel.players / len(self.s)) ** 2
        return mean * self.size, np.sqrt(variance) * self.size, correlation

    def _solve(self, terms: Terms) -> tuple[np.ndarray, np.ndarray, np.ndarray, tuple[Any, bool]]:
        """Returns mean (n, K), weights (m, K), noise's share of covariance (n, m) and a factor."""
        covariance = self._add_noise(terms, self.kernel.covariance(terms, self.s, self.s))
        factor = cho_factor(covariance, lower=True, overwrite_a=True)
        weights = cho_solve(factor, self.g)
        noise = shapley_of_noise(self.s) * (self._list_noise(terms, len(self.s)) / self.parts)
        cross = self.kernel.shapley_covariance(terms, self.s) + noise
        return cross @ weights, weights, noise, factor

    def _find_posterior(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Returns mean (n, K), covariance (n, n) and its scale (K,) given the hyper-parameters.

        The scale of an output is what makes the errors of coalitions left out in turn as large as
        they are.
        """
        terms = self.kernel.terms(theta)
        mean, weights, noise, factor = self._solve(terms)
        solved = cho_solve(factor, (self.kernel.shapley_covariance(terms, self.s) + noise).T)
        inverse = lapack.dpotri(factor[0], lower=1)[0]
        left_out = (weights**2 / inverse.diagonal()[:, None]).mean(0)
        n = self.kernel.players
        alone = terms.noise * shapley_variance_of_noise(n) / (n - 1)
        covariance = self._average_covariance(terms, solved) - noise @ solved
        covariance += alone * (n * np.eye(n) - 1)  # what noise gives to some, others lose
        return mean, (covariance + covariance.T) / 2, left_out

    def _list_noise(self, terms: Terms, count: int) -> np.ndarray:
        noise = np.full(count, self.parts * terms.noise)
        noise[: self.parts] = EXACT
        return noise

    def _add_noise(self, terms: Terms, covariance: np.ndarray) -> np.ndarray:
        diagonal = np.einsum("ii->i", covariance)
        diagonal += self._list_noise(terms, len(covariance)) + JITTER * diagonal.mean()
        return covariance

    def _find_settings(self) -> list[np.ndarray]:
        """Returns the likeliest hyper-parameters, and others around them while pairs are few."""
        centres, spreads = self.kernel.centres, self.kernel.spreads
        if not self.live.any():
            return [centres]
        s = self.s[:MOST_PAIRS_SEARCHED]
        g = self.g[:MOST_PAIRS_SEARCHED, self.live]
        found = minimize(
            self._evaluate_loss,
            np.where(np.isin(np.arange(len(centres)), LENGTHS), START, 0.0),
            args=(s, g),
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": STEPS, "maxcor": 20, "ftol": TOLERANCE},
            bounds=[(-3, 3)] * len(centres),
        )
        draws = int(np.clip(PAIRS_DRAWN // len(self.s), *DRAWS))
        scales, axes = np.linalg.eigh(found.hess_inv.todense())
        moves = self.rng.standard_normal((draws, len(centres)))
        # The symmetric root, since axes of equal scales are any that rounding makes them.
        moves = (moves @ axes * np.sqrt(np.clip(scales, 0, 1))) @ axes.T
        moves = np.vstack([np.zeros_like(centres), moves])
        return list(centres + spreads * np.clip(found.x + moves, -3, 3))

    def _evaluate_loss(
        self, x: np.ndarray, s: np.ndarray, g: np.ndarray
    ) -> tuple[float, np.ndarray]:
        """Returns minus the logarithm of marginal likelihood times prior, and its gradient.

        The hyper-parameters come as deviations ``x`` in units of the prior's spreads.
        """
        kernel, (pairs, outputs) = self.kernel, g.shape
        terms = kernel.terms(kernel.centres + kernel.spreads * x)
        covariance, pullback = kernel.covariance_and_pullback(terms, s)
        factor, failed = lapack.dpotrf(self._add_noise(terms, covariance), lower=1)
        if failed:
            return 1e12, np.zeros_like(x)
        weights = lapack.dpotrs(factor, g, lower=1)[0]
        inverse = lapack.dpotri(factor, lower=1)[0]
        inverse = np.tril(inverse) + np.tril(inverse, -1).T
        scale = (g * weights).sum(0) / pairs
        loss = pairs / 2 * np.log(scale).sum() + outputs * np.log(factor.diagonal()).sum()
        slope = (outputs * inverse - (weights / scale) @ weights.T) / 2
        gradient = pullback(slope)
        gradient[NOISE] = self.parts * terms.noise * slope.diagonal()[self.parts :].sum()
        return loss + (x**2).sum() / 2, gradient * kernel.spreads + x

    def _average_covariance(self, terms: Terms, solved: np.ndarray) -> np.ndarray:
        """Returns the posterior covariance of the Shapley values (n, n) without the noise's share.

        Its rows are the Shapley values of s -> cov(values, g(s)) under the posterior: games whose
        marginal contributions are averaged over random orders.
        """
        n = self.kernel.players
        orders = self.rng.permuted(np.tile(np.arange(n), (max(4, POINTS // n), 1)), axis=1)
        place = orders.argsort(1)
        covariance = np.zeros((n, n))
        for start in range(0, orders.size, POINTS):
            order, step = np.divmod(np.arange(start, min(start + POINTS, orders.size)), n)
            players = orders[order, step]
            for sign, present in (
                (1, place[order] <= step[:, None]),
                (-1, place[order] < step[:, None]),
            ):
                points = np.where(present, 1.0, -1.0)
                found = self.kernel.shapley_covariance(terms, points).T
                found -= self.kernel.covariance(terms, points, self.s) @ solved
                covariance += sign / len(orders) * (np.eye(n)[:, players] @ found)
        return covariance
