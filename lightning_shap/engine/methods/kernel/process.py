"""Shapley values by Gaussian-process regression over coalitions of patches, with error bars.

The posterior mean of the game has Shapley values Q C^-1 g, with C the prior covariance of the
evaluated coalitions and Q that of the Shapley values with them (:mod:`.prior`). All outputs share
C; each has its own scale, which drops out of the mean. The hyper-parameters maximise the marginal
likelihood of all outputs times a broad prior. Of coalitions in pairs with their complements, the
odd and the even part of the game are apart: two problems of half the size, of which the odd one
has the values and both have a say in the hyper-parameters. Source: Rasmussen & Williams, "Gaussian
Processes for Machine Learning" (2006), chapters 2 and 5; Chau et al., "Explaining the uncertain:
stochastic Shapley values for Gaussian process models" (NeurIPS 2023).
"""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import lapack
from scipy.optimize import OptimizeResult, minimize
from scipy.special import stdtrit

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
MOST_SEARCHED = 200  # coalitions that hyper-parameters are searched with
STEPS, TOLERANCE = 40, 0.1  # of a search, which ends where a step or a slope gains less
START = -1.0  # of both lengths, in spreads: where a search begins with long ones, all players are
# alike, what tells them apart is taken for noise, and there it may end
DRAWS = 3  # other settings of the hyper-parameters that the error bars allow for
POINTS = 200  # coalitions over which the variance of the values is averaged


@dataclass(frozen=True)
class Part:
    """What is known of a game at some coalitions: itself, or its odd or its even part.

    Attributes:
        g: float64 (m, K), what is known.
        odd: Whether it holds the odd part.
        even: Whether it holds the even part.
        exact: How many of the first coalitions are known without noise.
    """

    g: np.ndarray
    odd: bool = True
    even: bool = False
    exact: int = 1

    def covariance(self, odd: np.ndarray, even: np.ndarray) -> np.ndarray:
        """Returns the covariance of what is known, without noise, from those of both parts."""
        if self.odd and self.even:
            return odd + even
        return odd if self.odd else even

    def noise(self, terms: Terms, count: int) -> np.ndarray:
        """Returns the variances (count,) of the noise, which each part has of its own."""
        noise = np.full(count, (self.odd + self.even) * terms.noise)
        noise[: self.exact] = EXACT
        return noise


class ShapleyProcess:
    """The posterior over a game's Shapley values.

    Args:
        layout: Where the players are.
        s: Coalitions as +-1 (m, n), the full one first, and then the empty one if the game itself
            is known.
        parts: What is known at them; the first holds the odd part.
        seed: Of the random orders and settings that the error bars are averaged over.
    """

    def __init__(self, layout: Layout, s: np.ndarray, parts: list[Part], *, seed: int = 0) -> None:
        self.kernel = PatchKernel(layout)
        self.s = s
        self.parts = parts
        self.noise_values = shapley_of_noise(s)
        self.live = np.any([(part.g != 0).any(0) for part in parts], axis=0)
        self.rng = np.random.default_rng(seed)

    def shapley_values(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Returns posterior mean and standard deviation of the Shapley values, and a correlation.

        They are those of the most probable hyper-parameters. The deviation is such that 1.96 of it
        are a 95 % interval. So it counts what was fitted to the same values as well: how far other
        probable hyper-parameters move the mean; by Student's t, the scale of an output; and by
        1 + d / m, that d fitted hyper-parameters make the errors of m coalitions beside the full
        one look small (Akaike, "Fitting autoregressive models for prediction", Annals of the
        Institute of Statistical Mathematics 21, 1969).

        Returns:
            (n, K) twice; then (n, n), of the values' errors, as a mean over the outputs.
        """
        best, *others = self._find_settings()
        mean, covariance, scale = self._find_posterior(best)
        variance = np.outer(np.maximum(covariance.diagonal(), 0), scale)
        moved = np.zeros((1, *mean.shape))
        if others:
            moved = np.array([self._find_mean(theta) for theta in others]) - mean
            variance += (moved**2).mean(0)
        weights = 1 / np.sqrt(np.where(variance > 0, variance, np.inf))
        sides = (moved * weights).transpose(1, 0, 2).reshape(len(mean), -1) / np.sqrt(len(moved))
        joint = covariance * ((weights * scale) @ weights.T) + sides @ sides.T
        certain = np.sqrt(np.maximum(joint.diagonal(), 1e-12))
        correlation = joint / np.outer(certain, certain)
        drawn = max(1, len(self.s) - 1)
        wider = stdtrit(len(self.s) * len(self.parts), 0.975) / stdtrit(np.inf, 0.975)
        wider *= np.sqrt(1 + len(best) / drawn)
        return mean, wider * np.sqrt(variance), correlation

    def _solve(self, terms: Terms, part: Part) -> tuple[np.ndarray, np.ndarray]:
        """Returns the covariance's Cholesky factor and the weights (m, K) of what is known."""
        covariance = part.covariance(*self.kernel.covariance(terms, self.s, self.s))
        factor, _ = _factorise(covariance, part.noise(terms, len(self.s)))
        return factor, lapack.dpotrs(factor, part.g, lower=1)[0]

    def _relate_values(self, terms: Terms) -> tuple[np.ndarray, np.ndarray]:
        """Returns Q (n, m), the covariance of values with what is known, and its noise's share."""
        part = self.parts[0]
        noise = part.noise(terms, len(self.s)) / (part.odd + part.even)
        share = self.noise_values * noise
        return self.kernel.shapley_covariance(terms, self.s) + share, share

    def _find_mean(self, theta: np.ndarray) -> np.ndarray:
        """Returns the mean (n, K) of the Shapley values given the hyper-parameters."""
        terms = self.kernel.terms(theta)
        return self._relate_values(terms)[0] @ self._solve(terms, self.parts[0])[1]

    def _find_posterior(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Returns mean (n, K), covariance (n, n) and its scale (K,) given the hyper-parameters."""
        terms = self.kernel.terms(theta)
        cross, noise = self._relate_values(terms)
        factors, weights = zip(*(self._solve(terms, part) for part in self.parts), strict=True)
        squares = [
            (part.g * weight).sum(0) for part, weight in zip(self.parts, weights, strict=True)
        ]
        solved = lapack.dpotrs(factors[0], cross.T, lower=1)[0]
        n = self.kernel.players
        alone = terms.noise * shapley_variance_of_noise(n) / (n - 1)
        covariance = self._average_covariance(terms, solved) - noise @ solved
        covariance += alone * (n * np.eye(n) - 1)  # what noise gives to some, others lose
        scale = sum(squares) / (len(self.s) * len(squares))
        return cross @ weights[0], (covariance + covariance.T) / 2, scale

    def _find_settings(self) -> list[np.ndarray]:
        """Returns the likeliest hyper-parameters, and others around them."""
        centres, spreads = self.kernel.centres, self.kernel.spreads
        if not self.live.any():
            return [centres]
        last = np.inf

        def end_where_little_is_gained(intermediate_result: OptimizeResult) -> None:
            nonlocal last
            last, before = intermediate_result.fun, last
            if before - last < TOLERANCE:
                raise StopIteration

        found = minimize(
            self._evaluate_loss,
            np.where(np.isin(np.arange(len(centres)), LENGTHS), START, 0.0),
            args=(
                self.s[:MOST_SEARCHED],
                [part.g[:MOST_SEARCHED, self.live] for part in self.parts],
            ),
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": STEPS, "maxcor": 20, "gtol": TOLERANCE},
            bounds=[(-3, 3)] * len(centres),
            callback=end_where_little_is_gained,
        )
        scales, axes = np.linalg.eigh(found.hess_inv.todense())
        moves = self.rng.standard_normal((DRAWS, len(centres)))
        # The symmetric root, since axes of equal scales are any that rounding makes them.
        moves = (moves @ axes * np.sqrt(np.clip(scales, 0, 1))) @ axes.T
        moves = np.vstack([np.zeros_like(centres), moves])
        return list(centres + spreads * np.clip(found.x + moves, -3, 3))

    def _evaluate_loss(
        self, x: np.ndarray, s: np.ndarray, known: list[np.ndarray]
    ) -> tuple[float, np.ndarray]:
        """Returns minus the logarithm of marginal likelihood times prior, and its gradient.

        The hyper-parameters come as deviations ``x`` in units of the prior's spreads.
        """
        kernel, outputs = self.kernel, known[0].shape[1]
        terms = kernel.terms(kernel.centres + kernel.spreads * x)
        odd, even, pullback = kernel.covariance_and_pullback(terms, s)
        loss, square, solved = (x**2).sum() / 2, np.zeros(outputs), []
        for part, g in zip(self.parts, known, strict=True):
            noise = part.noise(terms, len(s))
            factor, failed = _factorise(part.covariance(odd, even), noise)
            if failed:
                return 1e12, np.zeros_like(x)
            weights = lapack.dpotrs(factor, g, lower=1)[0]
            loss += outputs * np.log(factor.diagonal()).sum()
            square += (g * weights).sum(0)
            solved.append((part, weights, factor))
        count = len(s) * len(solved)
        scale = square / count
        loss += count / 2 * np.log(scale).sum()
        slopes, by_noise = [np.zeros_like(odd), np.zeros_like(odd)], 0.0
        for part, weights, factor in solved:
            slope = lapack.dpotri(factor, lower=1)[0]
            slope += slope.T
            np.einsum("ii->i", slope)[:] /= 2
            slope *= outputs
            slope -= (weights / scale) @ weights.T
            slope /= 2
            by_noise += (part.odd + part.even) * slope.diagonal()[part.exact :].sum()
            for which, holds in enumerate((part.odd, part.even)):
                if holds:
                    slopes[which] = slope
        gradient = pullback(*slopes)
        gradient[NOISE] = by_noise * terms.noise
        return loss, gradient * kernel.spreads + x

    def _average_covariance(self, terms: Terms, solved: np.ndarray) -> np.ndarray:
        """Returns the posterior covariance of the Shapley values (n, n) without the noise's share.

        Its columns are the Shapley values of s -> cov(value, g(s)) under the posterior: games whose
        marginal contributions are averaged over random orders.
        """
        n = self.kernel.players
        orders = self.rng.permuted(np.tile(np.arange(n), (max(4, POINTS // n), 1)), axis=1)
        covariance = np.zeros((n, n))
        for some in np.array_split(orders, -(-orders.size // POINTS)):
            place = some.argsort(1)
            chain = np.where(place[:, None] < np.arange(n + 1)[:, None], 1.0, -1.0).reshape(-1, n)
            known = self.parts[0].covariance(*self.kernel.covariance(terms, chain, self.s))
            found = self.kernel.shapley_covariance(terms, chain) - solved.T @ known.T
            gains = np.diff(found.reshape(n, len(some), n + 1), axis=2)
            covariance += np.take_along_axis(gains, place[None], axis=2).sum(1)
        return covariance / len(orders)


def _factorise(covariance: np.ndarray, noise: np.ndarray) -> tuple[np.ndarray, int]:
    """Returns the Cholesky factor of a covariance and its noise, and whether that failed."""
    diagonal = np.einsum("ii->i", covariance)
    diagonal += noise + JITTER * diagonal.mean()
    factor, failed = lapack.dpotrf(covariance, lower=1, clean=1)
    return factor, failed
