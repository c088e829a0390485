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
from lightning_shap.engine.methods.kernel.smoothing import Layout, Places, Smoothing, players_of

MOST_NODES = 24  # exact to degree 47, and the integrand is close to a low power of exp(q)

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
RELEVANCE_SPREAD = 0.7
AREA_POWER = 0.5  # what a player is expected to matter grows with its area by
CONSTANT = 10.0  # prior variance of the even part's mean

_quadrature = cache(np.polynomial.legendre.leggauss)


@dataclass(frozen=True)
class Terms:
    """The parts of the prior at one setting of its hyper-parameters."""

    relevance: np.ndarray  # (n,)
    own: float
    main: Smoothing
    sizes: Sizes
    odd: Smoothing
    total: float  # of all entries of B before it is scaled to one
    odd_scale: float  # a e / (sinh(c) - c)
    degree: float
    noise: float
    even_scale: float  # e / (cosh(c) - 1); 0 if the even part is left out

    @property
    def root(self) -> np.ndarray:
        """(n,), what a coalition is weighted with on either side of a smoothing."""
        return np.sqrt(self.relevance)


class PatchKernel:
    """The prior covariance over coalitions of players that have places in an image.

    Args:
        layout: Where the players are.
        even: Whether games have their even part too, or the odd part alone.
    """

    def __init__(self, layout: Layout, *, even: bool = False) -> None:
        self.layout = layout
        self.even = even
        self.players = players_of(layout)
        relevance = np.zeros(self.players)
        if isinstance(layout, Places):
            relevance = AREA_POWER * np.log(layout.areas * self.players)
        self.centres = np.concatenate([CENTRES, relevance])
        self.spreads = np.concatenate([SPREADS, np.full(self.players, RELEVANCE_SPREAD)])

    def terms(self, theta: np.ndarray) -> Terms:
        """Returns the parts of the prior at the hyper-parameters `theta` (logarithms)."""
        own, main_length, varying, size_length, odd, degree, odd_length, noise, even = theta[
            : len(PRIOR)
        ]
        relevance = np.exp(theta[len(PRIOR) :])
        root = np.sqrt(relevance)[None]
        c = np.exp(degree)
        smooth = Smoothing(self.layout, odd_length)
        return Terms(
            relevance=relevance,
            own=np.exp(own),
            main=Smoothing(self.layout, main_length),
            sizes=Sizes(self.players, varying, size_length),
            odd=smooth,
            total=float((smooth(root) * root).sum()),
            odd_scale=np.exp(odd + even) / (np.sinh(c) - c),
            degree=c,
            noise=np.exp(noise),
            even_scale=np.exp(even) / (np.cosh(c) - 1) if self.even else 0.0,
        )

    def main_side(self, terms: Terms, s: np.ndarray) -> np.ndarray:
        """Returns A s (R, n)."""
        smoothed = terms.main(s * terms.root) * terms.root
        return (smoothed + terms.own * terms.relevance * s) / self.players

    def odd_side(self, terms: Terms, s: np.ndarray) -> np.ndarray:
        """Returns c B s (R, n)."""
        return terms.odd(s * terms.root) * terms.root * (terms.degree / terms.total)

    def covariance(self, terms: Terms, s: np.ndarray, other: np.ndarray) -> np.ndarray:
        """Returns the prior covariance (R, R') of the game without its noise."""
        exponent = self.odd_side(terms, s) @ other.T
        result = self.main_side(terms, s) @ other.T
        result *= terms.sizes.weights[np.ix_(_count_present(s), _count_present(other))]
        result += self._sum_interactions(terms, exponent)
        return result

    def variances(self, terms: Terms, s: np.ndarray) -> np.ndarray:
        """Returns the prior variances (R,) without noise: the diagonal of `covariance`."""
        exponent = (self.odd_side(terms, s) * s).sum(1)
        weights = terms.sizes.weights.diagonal()[_count_present(s)]
        return weights * (self.main_side(terms, s) * s).sum(1) + self._sum_interactions(
            terms, exponent
        )

    def _sum_interactions(self, terms: Terms, exponent: np.ndarray) -> np.ndarray:
        up = np.exp(exponent)
        down = 1 / up
        result = (up - down - 2 * exponent) * (terms.odd_scale / 2)
        if self.even:
            result += (up + down) * (terms.even_scale / 2) + (CONSTANT - terms.even_scale)
        return result

    def covariance_and_pullback(
        self, terms: Terms, s: np.ndarray
    ) -> tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]:
        """Returns the `covariance` of coalitions (R, n) among themselves, and its derivatives.

        The latter turns a symmetric weight (R, R) into the derivative of sum(weight * covariance)
        by every hyper-parameter but the noise, which is left 0.
        """
        side = s * terms.root
        main, odd = terms.main(side), terms.odd(side)
        exponent = (odd * (terms.degree / terms.total)) @ side.T
        plain = (main @ side.T + (terms.own * terms.relevance * s) @ s.T) / self.players
        pair = np.ix_(_count_present(s), _count_present(s))
        likeness = terms.sizes.weights[pair]
        covariance = likeness * plain + self._sum_interactions(terms, exponent)

        def pullback(weight: np.ndarray) -> np.ndarray:
            weighted = weight * plain
            by_varying = float(np.vdot(weighted, terms.sizes.by_varying[pair]))
            by_size_length = float(np.vdot(weighted, terms.sizes.by_length[pair]))
            by_plain = weight * likeness
            up = np.exp(exponent)
            sinh, cosh_less = (up - 1 / up) / 2, (up + 1 / up) / 2 - 1
            c = terms.degree
            by_odd = terms.odd_scale * float(np.vdot(weight, sinh - exponent))
            by_even = terms.even_scale * float(np.vdot(weight, cosh_less))
            inner = weight * (cosh_less * terms.odd_scale + sinh * terms.even_scale)
            pulled, pulled_odd = by_plain @ side, inner @ side
            own = terms.own * terms.relevance * (s * (by_plain @ s)).sum(0)
            by_relevance = (main * pulled).sum(0)
            by_odd_relevance = (odd * pulled_odd).sum(0)
            by_degree = by_odd_relevance.sum() * c / terms.total
            root = terms.root[None]
            shrinks = terms.odd(root) * root / terms.total  # B is scaled to a sum of one
            widens = (terms.odd.slope(side) * pulled_odd).sum() * c
            widens -= by_degree * (terms.odd.slope(root) * root).sum()
            return np.concatenate(
                [
                    [
                        own.sum() / self.players,
                        (terms.main.slope(side) * pulled).sum() / self.players,
                        by_varying,
                        by_size_length,
                        by_odd,
                        by_degree
                        - by_odd * c * (np.cosh(c) - 1) / (np.sinh(c) - c)
                        - by_even * c / np.tanh(c / 2),
                        widens / terms.total,
                        0.0,
                        by_even + by_odd,
                    ],
                    (by_relevance + own) / self.players
                    + by_odd_relevance * (c / terms.total)
                    - by_degree * shrinks[0],
                ]
            )

        return covariance, pullback

    def shapley_covariance(self, terms: Terms, s: np.ndarray) -> np.ndarray:
        """Returns the prior covariance (n, R) of the Shapley values with the game without noise."""
        u = self.odd_side(terms, s)
        odd = _integrate_exponential(u) - 2 * u.T
        own, others = (part[_count_present(s)] for part in terms.sizes.shapley_values())
        main = self.main_side(terms, s).T
        return main * (own - others) + main.sum(0) * others + terms.odd_scale * odd


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


def _integrate_exponential(u: np.ndarray) -> np.ndarray:
    """Returns the Shapley values (n, R) of the games s -> sinh(s'u), one row of u (R, n) each."""
    nodes, weights = _quadrature(min(u.shape[1] // 2 + 1, MOST_NODES))
    cosh, sinh = np.cosh(u), np.sinh(u)
    result = np.zeros_like(u)
    for node, weight in zip(nodes, weights, strict=True):
        factors = cosh + node * sinh
        result += weight * factors.prod(1, keepdims=True) / factors
    return (result * sinh).T
