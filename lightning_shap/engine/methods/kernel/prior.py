"""The prior of the Gaussian process: how the outputs of two coalitions of patches are related.

A coalition is a vector s in {-1, 1}^n. Shapley values depend on a game f only through its odd part
g(s) = (f(s) - f(-s)) / 2, for which the prior covariance is

    C(s, s') = s'A s' w + a e (sinh(x) - x) / (sinh(c) - c) + noise,    x = c s'B s'

The even part, which shows the scale and the place of interactions, has

    e (cosh(x) - 1) / (cosh(c) - 1) + a constant + noise

- `A`: main effects, alike in neighbouring patches;
- `w`: how alike main effects are in coalitions of the sizes of s and s'. A network that sees half
  of a picture cares for other patches than one that sees nearly all of it (:mod:`.sizes`);
- `B`: interactions of every order from two up between smoothed coalitions, as a network sees them;
- noise: whatever is left, independent from coalition to coalition but still part of the game.

Both matrices carry one relevance per patch: a patch that matters interacts more. A Gaussian of the
distance smooths in both (:mod:`.smoothing`).

Shapley values are linear in the game, so their covariance with g(s') is the Shapley value of
C(., s'). It is closed for each term: a sum over sizes for main effects, and for exp(s'u), a product
over players, Owen's multilinear extension turns it into

    2 sinh(u_i) integral_0^1 prod_{j != i} (q exp(u_j) + (1 - q) exp(-u_j)) dq

which Gauss-Legendre quadrature gives to rounding. Source: Owen, "Multilinear extensions of games",
Management Science 18 (1972).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.special import gammaln

from lightning_shap.engine.methods.kernel.sizes import Sizes
from lightning_shap.engine.methods.kernel.smoothing import Layout, find_places, smooth

NODES = 6  # and one for each two of the degree: values are exact to one part in 10^8

# Logarithms: where the search for the hyper-parameters starts, and how far it is expected to go.
# Main effects have unit scale: the scale of the whole is each output's own. Lengths are in quarters
# of the image's side. "own" is the part of a patch's main effect that its neighbours say nothing
# about. The centres are what suits ImageNet networks on photographs (examples/benchmarks).
# Lengths in sizes are those of :class:`.sizes.Sizes`.
PRIOR = {  # centre and spread
    "own": (-2.8, 1.0),
    "main_length": (0.0, 0.6),
    "varying": (-2.0, 2.0),
    "size_length": (-0.8, 0.6),
    "odd": (-0.7, 1.0),
    "degree": (0.6, 0.7),
    "odd_length": (-0.6, 0.5),
    "noise": (-4.2, 2.5),
    "even": (-1.0, 1.5),
}
OWN, NOISE = ([*PRIOR].index(name) for name in ("own", "noise"))
LENGTHS = [[*PRIOR].index(name) for name in ("main_length", "odd_length")]
CENTRES, SPREADS = np.array([*PRIOR.values()]).T
RELEVANCE_SPREAD = 1.0
AREA_POWER = 0.5  # what a player is expected to matter grows with its area by
CONSTANT = 10.0  # prior variance of the even part's mean

_quadrature = cache(np.polynomial.legendre.leggauss)


@dataclass(frozen=True)
class Terms:
    """The parts of the prior at one setting of its hyper-parameters."""

    main: np.ndarray  # A (n, n)
    sizes: Sizes
    odd: np.ndarray  # c B (n, n)
    odd_scale: float  # a e / (sinh(c) - c)
    degree: float
    noise: float
    even_scale: float  # e / (cosh(c) - 1)
    by_main_length: np.ndarray  # (n, n), the derivatives of A and of c B by the lengths
    by_odd_length: np.ndarray
    own: np.ndarray  # (n,), the part of A's diagonal that neighbours say nothing about


class PatchKernel:
    """The prior covariance over coalitions of players that have places in an image.

    Args:
        layout: Where the players are.
    """

    def __init__(self, layout: Layout) -> None:
        places = find_places(layout)
        self.distances = places.distances
        self.players = len(places.areas)
        relevance = AREA_POWER * np.log(places.areas * self.players)
        self.centres = np.concatenate([CENTRES, relevance])
        self.spreads = np.concatenate([SPREADS, np.full(self.players, RELEVANCE_SPREAD)])

    def terms(self, theta: np.ndarray) -> Terms:
        """Returns the parts of the prior at the hyper-parameters `theta` (logarithms)."""
        own, main_length, varying, size_length, odd, degree, odd_length, noise, even = theta[
            : len(PRIOR)
        ]
        relevance = np.exp(theta[len(PRIOR) :])
        root = np.sqrt(relevance)
        both = root[:, None] * root
        smoothed, slopes = smooth(self.distances, np.array([main_length, odd_length]))
        own_part = np.exp(own) / self.players * relevance
        shares = both / self.players
        main = smoothed[0] * shares
        np.einsum("ii->i", main)[:] += own_part
        c = np.exp(degree)
        b = smoothed[1] * both
        total = b.sum()  # B is scaled to a sum of one
        b *= c / total
        slope = slopes[1] * both
        return Terms(
            main=main,
            sizes=Sizes(self.players, varying, size_length),
            odd=b,
            odd_scale=np.exp(odd + even) / (np.sinh(c) - c),
            degree=c,
            noise=np.exp(noise),
            even_scale=np.exp(even) / (np.cosh(c) - 1),
            by_main_length=slopes[0] * shares,
            by_odd_length=slope * (c / total) - b * (slope.sum() / total),
            own=own_part,
        )

    def covariance(
        self, terms: Terms, s: np.ndarray, other: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns the prior covariances (R, R') of odd and even parts without their noise."""
        x = s @ terms.odd @ other.T
        main = s @ terms.main @ other.T
        main *= terms.sizes.weights[np.ix_(_count_present(s), _count_present(other))]
        odd, even, _ = _sum_interactions(terms, x)
        return main + odd, even

    def variances(self, terms: Terms, s: np.ndarray) -> np.ndarray:
        """Returns the prior variances (R,) of odd parts: the diagonal of `covariance`."""
        x = (s @ terms.odd * s).sum(1)
        weights = terms.sizes.weights.diagonal()[_count_present(s)]
        return weights * (s @ terms.main * s).sum(1) + _sum_interactions(terms, x)[0]

    def covariance_and_pullback(
        self, terms: Terms, s: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, Callable[[np.ndarray, np.ndarray], np.ndarray]]:
        """Returns the `covariance` of coalitions (R, n) among themselves, and its derivatives.

        The latter turns symmetric weights (R, R) of the odd and of the even part into the
        derivative of sum(weight * covariance) by every hyper-parameter but the noise, which is
        left 0.
        """
        x = s @ terms.odd @ s.T
        plain = s @ terms.main @ s.T
        present = _count_present(s)
        pair = present[:, None] * (self.players + 1) + present
        likeness = terms.sizes.weights.take(pair)
        odd, even, (sinh_less, cosh_less) = _sum_interactions(terms, x)

        def pullback(weight: np.ndarray, weight_even: np.ndarray) -> np.ndarray:
            c = terms.degree
            by_sizes = np.bincount(
                pair.ravel(), (weight * plain).ravel(), minlength=(self.players + 1) ** 2
            )
            by_odd = terms.odd_scale * float(np.vdot(weight, sinh_less))
            by_even = terms.even_scale * float(np.vdot(weight_even, cosh_less))
            inner = weight * cosh_less
            inner *= terms.odd_scale
            inner += weight_even * ((sinh_less + x) * terms.even_scale)
            of_main = s.T @ ((weight * likeness) @ s)
            of_odd = s.T @ (inner @ s)
            by_relevance = (of_odd * terms.odd).sum(1)
            by_degree = by_relevance.sum()
            by_relevance -= by_degree / c * terms.odd.sum(1)  # B is scaled to a sum of one
            by_relevance += (of_main * terms.main).sum(1)
            return np.concatenate(
                [
                    [
                        float(np.vdot(of_main.diagonal(), terms.own)),
                        float(np.vdot(of_main, terms.by_main_length)),
                        float(np.vdot(by_sizes, terms.sizes.by_varying)),
                        float(np.vdot(by_sizes, terms.sizes.by_length)),
                        by_odd,
                        by_degree
                        - by_odd * c * (np.cosh(c) - 1) / (np.sinh(c) - c)
                        - by_even * c / np.tanh(c / 2),
                        float(np.vdot(of_odd, terms.by_odd_length)),
                        0.0,
                        by_even + by_odd,
                    ],
                    by_relevance,
                ]
            )

        return likeness * plain + odd, even, pullback

    def shapley_covariance(self, terms: Terms, s: np.ndarray) -> np.ndarray:
        """Returns the prior covariance (n, R) of the Shapley values with the game without noise."""
        u = s @ terms.odd
        nodes = min(self.players // 2 + 1, NODES + int(np.ceil(terms.degree / 2)))
        odd = _integrate_exponential(u, nodes) - 2 * u.T
        own, others = (part[_count_present(s)] for part in terms.sizes.shapley_values())
        main = (s @ terms.main).T
        return main * (own - others) + main.sum(0) * others + terms.odd_scale * odd


def _sum_interactions(
    terms: Terms, x: np.ndarray
) -> tuple[np.ndarray, np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """Returns the covariances of interactions, odd and even, and sinh(x) - x and cosh(x) - 1."""
    up = np.exp(x)
    up /= 2
    down = 0.25 / up
    sinh_less = up - down
    sinh_less -= x
    cosh_less = up
    cosh_less += down
    cosh_less -= 1
    return (
        sinh_less * terms.odd_scale,
        cosh_less * terms.even_scale + CONSTANT,
        (sinh_less, cosh_less),
    )


def _count_present(s: np.ndarray) -> np.ndarray:
    """Returns int (R,), how many players are present in each coalition."""
    sizes: np.ndarray = (s > 0).sum(1)
    return sizes


def shapley_of_noise(s: np.ndarray) -> np.ndarray:
    """Returns the Shapley values (n, R) of the odd games of 1 at s, -1 at -s and 0 elsewhere."""
    n = s.shape[1]
    present = s > 0
    size = present.sum(1, keepdims=True)
    holding = np.where(present, size, n - size)  # size of the one of {s, -s} that holds the player
    weight = 2 * np.exp(gammaln(holding) + gammaln(n - holding + 1) - gammaln(n + 1))
    return (s * weight).T


def shapley_variance_of_noise(n: int) -> float:
    """Returns the variance of a Shapley value when every pair {s, -s} has its own unit noise."""
    k = np.arange(1, n + 1)
    choices = gammaln(n) - gammaln(k) - gammaln(n - k + 1)
    return float(4 / n**2 * np.exp(-choices).sum())


def _integrate_exponential(u: np.ndarray, nodes: int) -> np.ndarray:
    """Returns the Shapley values (n, R) of the games s -> sinh(s'u), one row of u (R, n) each."""
    cosh, sinh = np.cosh(u), np.sinh(u)
    result = np.zeros_like(u)
    for node, weight in zip(*_quadrature(nodes), strict=True):
        factors = node * sinh
        factors += cosh
        result += weight * factors.prod(1, keepdims=True) / factors
    return (result * sinh).T
