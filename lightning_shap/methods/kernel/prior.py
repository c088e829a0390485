"""The prior of the Gaussian process: how the outputs of two coalitions of patches are related.

A coalition is a vector s in {-1, 1}^n. Shapley values depend on a game f only through its odd part
g(s) = (f(s) - f(-s)) / 2, for which the prior covariance is

    C(s, s') = s'A s' + a sinh(c s'B s') / sinh(c) + b sum_T w_T s_T s'_T + noise

The even part, which tells of the scale and the place of interactions, has

    e (cosh(c s'B s') - 1) / (cosh(c) - 1) + a constant + noise

- `A`: main effects, alike in neighbouring patches;
- `B`: interactions of every odd order between smoothed coalitions, as a network sees them;
- `T`: the triples of patches that touch one another, s_T being the product over the triple;
- noise: whatever is left, independent from coalition to coalition but still part of the game.

Both matrices and the triples carry one relevance per patch: a patch that matters interacts more.

Shapley values are linear in the game, so their covariance with g(s') is the Shapley value of
C(., s'). It is closed for each term: 2 A s' for main effects, a third of 2 s_T for a triple's
members, and for exp(s'u), a product over players, Owen's multilinear extension turns it into

    2 sinh(u_i) integral_0^1 prod_{j != i} (q exp(u_j) + (1 - q) exp(-u_j)) dq

which Gauss-Legendre quadrature gives to rounding. Source: Owen, "Multilinear extensions of games",
Management Science 18 (1972).
"""

from dataclasses import dataclass
from functools import cache, cached_property
from itertools import combinations

import numpy as np
from scipy.special import gammaln

MOST_NODES = 24  # exact to degree 47, and the integrand is close to a low power of exp(q)

# Logarithms: where the search for the hyper-parameters starts, and how far it is expected to go.
# Main effects have unit scale: the scale of the whole is each output's own.
# "own" is the part of a patch's main effect that its neighbours say nothing about.
NAMES = ("own", "main_length", "odd", "degree", "odd_length", "triples", "noise", "even")
CENTRES = np.array([-2.0, 0.0, -1.0, 0.7, -0.6, -3.5, -6.0, -1.0])
SPREADS = np.array([1.0, 0.6, 1.5, 0.7, 0.5, 1.5, 2.5, 1.5])
RELEVANCE_SPREAD = 0.7
# Where coalitions determine every main effect, neighbours have nothing to add to it: the centre and
# the spread of its own part then.
OWN, OWN_ALONE = NAMES.index("own"), (4.0, 0.5)
CONSTANT = 10.0  # prior variance of the even part's mean

_quadrature = cache(np.polynomial.legendre.leggauss)


@dataclass(frozen=True)
class Terms:
    """The parts of the prior at one setting of its hyper-parameters."""

    main: np.ndarray  # (n, n)
    own: np.ndarray  # (n, n), its part on the diagonal alone
    main_slope: np.ndarray  # by log length
    odd: np.ndarray  # (n, n), its entries add up to the degree c
    odd_slope: np.ndarray  # by log length
    odd_row: np.ndarray  # (n,), each row's share of the sum of all entries
    odd_scale: float  # a / sinh(c)
    degree: float
    triples: np.ndarray  # (T,)
    noise: float
    even_scale: float  # e / (cosh(c) - 1); 0 if the even part is left out


class PatchKernel:
    """The prior covariance over coalitions of a grid of patches.

    Args:
        grid: Patches down and across.
        even: Whether games have their even part too, or the odd part alone.
        determined: Whether the coalitions that will be seen determine every main effect.
    """

    def __init__(
        self, grid: tuple[int, int], *, even: bool = False, determined: bool = False
    ) -> None:
        self.even = even
        self.determined = determined
        self.players = grid[0] * grid[1]
        place = np.indices(grid).reshape(2, -1).T.astype(float)
        self.distances = ((place[:, None] - place[None]) ** 2).sum(-1)
        self.triples = _touching_triples(grid)
        self.members = np.zeros((len(self.triples), self.players))  # 1 where a triple has a patch
        np.put_along_axis(self.members, self.triples, 1.0, axis=1)

    @cached_property
    def centres(self) -> np.ndarray:
        """Where the search for the hyper-parameters starts."""
        centres = np.concatenate([CENTRES, np.zeros(self.players)])
        if self.determined:
            centres[OWN] = OWN_ALONE[0]
        return centres

    @cached_property
    def spreads(self) -> np.ndarray:
        """How far from there each of them is expected, as a standard deviation."""
        spreads = np.concatenate([SPREADS, np.full(self.players, RELEVANCE_SPREAD)])
        if self.determined:
            spreads[OWN] = OWN_ALONE[1]
        return spreads

    def terms(self, theta: np.ndarray) -> Terms:
        """The parts of the prior at the hyper-parameters `theta` (logarithms)."""
        own_share, main_length, odd, degree, odd_length, triples, noise, even = theta[: len(NAMES)]
        relevance = np.exp(theta[len(NAMES) :])
        root = np.sqrt(np.outer(relevance, relevance))

        a, a_slope = self._smoothing(main_length)
        scale = root / self.players
        own = np.exp(own_share) * np.diag(relevance) / self.players

        c = np.exp(degree)
        b, b_slope = self._smoothing(odd_length)
        b, b_slope = b * root, b_slope * root
        total = b.sum()
        weights = np.exp(self.members @ np.log(relevance))
        return Terms(
            main=scale * a + own,
            own=own,
            main_slope=scale * a_slope,
            odd=c * b / total,
            odd_slope=c * (b_slope - b * (b_slope.sum() / total)) / total,
            odd_row=b.sum(1) / total,
            odd_scale=np.exp(odd) / np.sinh(c),
            degree=c,
            triples=np.exp(triples) * weights / weights.sum() if len(weights) else weights,
            noise=np.exp(noise),
            even_scale=np.exp(even) / (np.cosh(c) - 1) if self.even else 0.0,
        )

    def _smoothing(self, log_length: float) -> tuple[np.ndarray, np.ndarray]:
        """A Gaussian of the distance, evened out at the border, and its slope by the log length."""
        decay = self.distances / np.exp(2 * log_length)
        kernel = np.exp(-decay / 2)
        slope = kernel * decay
        rows = kernel.sum(1)
        even = kernel / np.sqrt(np.outer(rows, rows))
        change = slope.sum(1) / rows
        return even, slope / np.sqrt(np.outer(rows, rows)) - even * (
            change[:, None] + change[None]
        ) / 2

    def products(self, s: np.ndarray) -> np.ndarray:
        """(R, n) coalitions to (R, T): the product of each triple's members."""
        first, second, third = self.triples.T
        return s[:, first] * s[:, second] * s[:, third]

    def covariance(
        self, terms: Terms, s: np.ndarray, other: np.ndarray, products: np.ndarray | None = None
    ) -> np.ndarray:
        """Prior covariance (R, R') of the game without its noise; ``products`` are the other's."""
        if products is None:
            products = self.products(other)
        result = s @ terms.main @ other.T
        exponent = s @ terms.odd @ other.T
        result += terms.odd_scale * np.sinh(exponent)
        if self.even:
            result += terms.even_scale * (np.cosh(exponent) - 1) + CONSTANT
        result += (self.products(s) * terms.triples) @ products.T
        return result

    def variances(self, terms: Terms, s: np.ndarray) -> np.ndarray:
        """Prior variances (R,) of the game without its noise: the diagonal of `covariance`."""
        exponent = ((s @ terms.odd) * s).sum(1)
        result = ((s @ terms.main) * s).sum(1) + terms.triples.sum()
        result += terms.odd_scale * np.sinh(exponent)
        if self.even:
            result += terms.even_scale * (np.cosh(exponent) - 1) + CONSTANT
        return result

    def gradient(self, terms: Terms, s: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """Derivative of sum(weight * C(s, s)) by every hyper-parameter but the noise (left 0)."""
        by_main = s.T @ weight @ s
        exponent = s @ terms.odd @ s.T
        sinh, cosh = np.sinh(exponent), np.cosh(exponent)
        by_sinh = weight * sinh * terms.odd_scale
        by_cosh = weight * (cosh - 1) * terms.even_scale
        by_odd = s.T @ (weight * (cosh * terms.odd_scale + sinh * terms.even_scale)) @ s
        products = self.products(s)
        by_triple = np.einsum("rt,rt->t", weight @ products, products) * terms.triples

        result = np.zeros(len(NAMES) + self.players)
        inner = (by_odd * terms.odd).sum()
        result[0] = (by_main * terms.own).sum()
        result[1] = (by_main * terms.main_slope).sum()
        result[2] = by_sinh.sum()
        result[3] = inner - result[2] * terms.degree / np.tanh(terms.degree)
        result[7] = by_cosh.sum()
        result[3] -= result[7] * terms.degree / np.tanh(terms.degree / 2)
        result[4] = (by_odd * terms.odd_slope).sum()
        result[5] = by_triple.sum()
        relevance = (by_main * terms.main).sum(1)
        relevance += (by_odd * terms.odd).sum(1) - inner * terms.odd_row
        if len(by_triple):
            share = terms.triples / terms.triples.sum()
            relevance += (by_triple - share * result[5]) @ self.members
        result[len(NAMES) :] = relevance
        return result

    def shapley_covariance(self, terms: Terms, s: np.ndarray) -> np.ndarray:
        """Prior covariance (n, R) of the Shapley values with the game, its noise left out."""
        result = 2 * terms.main @ s.T
        result += terms.odd_scale * _shapley_of_exponential(s @ terms.odd)
        return result + (2 / 3) * (self.products(s) * terms.triples @ self.members).T


def shapley_of_noise(s: np.ndarray) -> np.ndarray:
    """Shapley values (n, R) of the odd games that are 1 at s, -1 at -s and 0 elsewhere."""
    n = s.shape[1]
    present = s > 0
    size = present.sum(1, keepdims=True)
    holding = np.where(present, size, n - size)  # size of the one of {s, -s} that holds the player
    weight = 2 * np.exp(gammaln(holding) + gammaln(n - holding + 1) - gammaln(n + 1))
    return (s * weight).T


def shapley_variance_of_noise(n: int) -> float:
    """Prior variance of a Shapley value when every pair {s, -s} has its own unit noise."""
    k = np.arange(1, n + 1)
    choices = gammaln(n) - gammaln(k) - gammaln(n - k + 1)
    return float(4 / n**2 * np.exp(-choices).sum())


def _shapley_of_exponential(u: np.ndarray) -> np.ndarray:
    """Shapley values (n, R) of the games s -> sinh(s'u), one row of u (R, n) each."""
    nodes, weights = _quadrature(min(u.shape[1] // 2 + 1, MOST_NODES))
    cosh, sinh = np.cosh(u), np.sinh(u)
    result = np.zeros_like(u)
    for node, weight in zip(nodes, weights, strict=True):
        factors = cosh + node * sinh
        result += weight * factors.prod(1, keepdims=True) / factors
    return (result * sinh).T


def _touching_triples(grid: tuple[int, int]) -> np.ndarray:
    """Every three patches of a 2 x 2 block, as (T, 3) player numbers."""
    rows, columns = grid
    corners = np.arange(rows * columns).reshape(grid)[: rows - 1, : columns - 1].ravel()
    block = np.array([0, 1, columns, columns + 1])
    threes = np.array(list(combinations(block, 3)))
    return (corners[:, None, None] + threes).reshape(-1, 3)
