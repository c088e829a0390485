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
Neither matrix is ever formed: a Gaussian of the distance smooths along rows and then along columns.

Shapley values are linear in the game, so their covariance with g(s') is the Shapley value of
C(., s'). It is closed for each term: 2 A s' for main effects, a third of 2 s_T for a triple's
members, and for exp(s'u), a product over players, Owen's multilinear extension turns it into

    2 sinh(u_i) integral_0^1 prod_{j != i} (q exp(u_j) + (1 - q) exp(-u_j)) dq

which Gauss-Legendre quadrature gives to rounding. Source: Owen, "Multilinear extensions of games",
Management Science 18 (1972).
"""

from dataclasses import dataclass
from functools import cache
from itertools import combinations

import numpy as np
from scipy.special import gammaln

MOST_NODES = 24  # exact to degree 47, and the integrand is close to a low power of exp(q)

# Logarithms: where the search for the hyper-parameters starts, and how far it is expected to go.
# Main effects have unit scale: the scale of the whole is each output's own. Lengths are in quarters
# of the image's side. "own" is the part of a patch's main effect that its neighbours say nothing
# about. The centres are what suits ImageNet networks on photographs (examples/benchmarks).
NAMES = ("own", "main_length", "odd", "degree", "odd_length", "triples", "noise", "even")
CENTRES = np.array([-2.8, 0.0, -0.3, 0.6, -0.6, -2.5, -5.5, -1.0])
SPREADS = np.array([1.0, 0.6, 1.0, 0.7, 0.5, 1.5, 2.5, 1.5])
RELEVANCE_SPREAD = 0.7
CONSTANT = 10.0  # prior variance of the even part's mean

_quadrature = cache(np.polynomial.legendre.leggauss)


class Smoothing:
    """A Gaussian of the distance between patches, evened out at the border.

    Args:
        grid: Patches down and across.
        log_length: Logarithm of its length in quarters of the image's side.
    """

    def __init__(self, grid: tuple[int, int], log_length: float) -> None:
        self.grid = grid
        length = np.exp(log_length) * np.sqrt(grid[0] * grid[1]) / 4
        self.down, self.down_slope = _gaussian(grid[0], length)
        self.across, self.across_slope = _gaussian(grid[1], length)

    def __call__(self, s: np.ndarray) -> np.ndarray:
        """Smoothed coalitions (R, n)."""
        return self._along(s, self.down, self.across)

    def slope(self, s: np.ndarray) -> np.ndarray:
        """Their derivative by the log length (R, n)."""
        return self._along(s, self.down_slope, self.across) + self._along(
            s, self.down, self.across_slope
        )

    def _along(self, s: np.ndarray, down: np.ndarray, across: np.ndarray) -> np.ndarray:
        return (down @ (s.reshape(-1, *self.grid) @ across)).reshape(s.shape)


@dataclass(frozen=True)
class Terms:
    """The parts of the prior at one setting of its hyper-parameters."""

    relevance: np.ndarray  # (n,)
    own: float
    main: Smoothing
    odd: Smoothing
    total: float  # of all entries of B before it is scaled to one
    odd_scale: float  # a / sinh(c)
    degree: float
    triples: np.ndarray  # (T,)
    noise: float
    even_scale: float  # e / (cosh(c) - 1); 0 if the even part is left out

    @property
    def root(self) -> np.ndarray:
        """(n,), what a coalition is weighted with on either side of a smoothing."""
        return np.sqrt(self.relevance)


class PatchKernel:
    """The prior covariance over coalitions of a grid of patches.

    Args:
        grid: Patches down and across.
        even: Whether games have their even part too, or the odd part alone.
    """

    def __init__(self, grid: tuple[int, int], *, even: bool = False) -> None:
        self.grid = grid
        self.even = even
        self.players = grid[0] * grid[1]
        self.triples = _touching_triples(grid)
        self.centres = np.concatenate([CENTRES, np.zeros(self.players)])
        self.spreads = np.concatenate([SPREADS, np.full(self.players, RELEVANCE_SPREAD)])

    def terms(self, theta: np.ndarray) -> Terms:
        """The parts of the prior at the hyper-parameters `theta` (logarithms)."""
        own, main_length, odd, degree, odd_length, triples, noise, even = theta[: len(NAMES)]
        relevance = np.exp(theta[len(NAMES) :])
        root = np.sqrt(relevance)[None]
        c = np.exp(degree)
        smooth = Smoothing(self.grid, odd_length)
        weights = relevance[self.triples].prod(1)
        return Terms(
            relevance=relevance,
            own=np.exp(own),
            main=Smoothing(self.grid, main_length),
            odd=smooth,
            total=float((smooth(root) * root).sum()),
            odd_scale=np.exp(odd + even) / np.sinh(c),
            degree=c,
            triples=np.exp(triples + even) * weights / weights.sum() if len(weights) else weights,
            noise=np.exp(noise),
            even_scale=np.exp(even) / (np.cosh(c) - 1) if self.even else 0.0,
        )

    def products(self, s: np.ndarray) -> np.ndarray:
        """(R, n) coalitions to (R, T): the product of each triple's members."""
        first, second, third = self.triples.T
        return s[:, first] * s[:, second] * s[:, third]

    def main_side(self, terms: Terms, s: np.ndarray) -> np.ndarray:
        """A s (R, n)."""
        smoothed = terms.main(s * terms.root) * terms.root
        return (smoothed + terms.own * terms.relevance * s) / self.players

    def odd_side(self, terms: Terms, s: np.ndarray) -> np.ndarray:
        """c B s (R, n)."""
        return terms.odd(s * terms.root) * terms.root * (terms.degree / terms.total)

    def covariance(
        self, terms: Terms, s: np.ndarray, other: np.ndarray, products: np.ndarray | None = None
    ) -> np.ndarray:
        """Prior covariance (R, R') of the game without its noise; ``products`` are the other's."""
        if products is None:
            products = self.products(other)
        result = self.main_side(terms, s) @ other.T
        result += self._interactions(terms, self.odd_side(terms, s) @ other.T)
        result += (self.products(s) * terms.triples) @ products.T
        return result

    def variances(self, terms: Terms, s: np.ndarray) -> np.ndarray:
        """Prior variances (R,) of the game without its noise: the diagonal of `covariance`."""
        result = (self.main_side(terms, s) * s).sum(1) + terms.triples.sum()
        return result + self._interactions(terms, (self.odd_side(terms, s) * s).sum(1))

    def _interactions(self, terms: Terms, exponent: np.ndarray) -> np.ndarray:
        up = np.exp(exponent)
        down = 1 / up
        result = (up - down) * (terms.odd_scale / 2)
        if self.even:
            result += (up + down) * (terms.even_scale / 2) + (CONSTANT - terms.even_scale)
        return result

    def gradient(self, terms: Terms, s: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """Derivative of sum(weight * C(s, s)) by every hyper-parameter but the noise (left 0).

        ``weight`` (R, R) is symmetric.
        """
        weighted = s * terms.root
        smooth = terms.main(weighted)
        heard = weight @ np.hstack([s, smooth])  # one product for both
        by_own = terms.own * terms.relevance * (s * heard[:, : self.players]).sum(0)
        by_main = (weighted * heard[:, self.players :]).sum(0)

        smooth = terms.odd(weighted) * (terms.degree / terms.total)
        up = np.exp(smooth @ weighted.T)
        sinh, cosh = (up - 1 / up) / 2, (up + 1 / up) / 2
        by_sinh = float((weight * sinh).sum()) * terms.odd_scale
        by_cosh = float((weight * (cosh - 1)).sum()) * terms.even_scale
        inward = weight * (cosh * terms.odd_scale + sinh * terms.even_scale)
        heard_odd = inward @ weighted
        by_odd = (smooth * heard_odd).sum(0)
        inner = float(by_odd.sum())
        products = self.products(s)
        by_triple = ((weight @ products) * products).sum(0) * terms.triples

        root = terms.root[None]
        spread = terms.odd(root)
        stretch = (terms.odd.slope(weighted) * heard_odd).sum() * terms.degree
        stretch -= inner * (terms.odd.slope(root) * root).sum()
        result = np.zeros(len(NAMES) + self.players)
        result[0] = by_own.sum() / self.players
        # W is symmetric, and so is the slope of the smoothing.
        result[1] = (terms.main.slope(weighted) * (weight @ weighted)).sum() / self.players
        result[2] = by_sinh
        result[3] = inner - by_sinh * terms.degree / np.tanh(terms.degree)
        result[3] -= by_cosh * terms.degree / np.tanh(terms.degree / 2)
        result[4] = stretch / terms.total
        result[5] = by_triple.sum()
        result[7] = by_cosh + by_sinh + by_triple.sum()
        relevance = (by_main + by_own) / self.players
        # By symmetry half of what either side's weighting does, twice.
        relevance += (weighted * (inward @ smooth)).sum(0)
        relevance -= inner * (spread * root)[0] / terms.total
        if len(by_triple):
            share = by_triple - terms.triples / terms.triples.sum() * result[5]
            relevance += np.bincount(
                self.triples.ravel(), np.repeat(share, 3), minlength=self.players
            )
        result[len(NAMES) :] = relevance
        return result

    def shapley_covariance(self, terms: Terms, s: np.ndarray) -> np.ndarray:
        """Prior covariance (n, R) of the Shapley values with the game, its noise left out."""
        result = 2 * self.main_side(terms, s).T
        result += terms.odd_scale * _shapley_of_exponential(self.odd_side(terms, s))
        shares = self.products(s) * terms.triples * (2 / 3)
        for members in self.triples.T:
            np.add.at(result, members, shares.T)
        return result


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


def _gaussian(count: int, length: float) -> tuple[np.ndarray, np.ndarray]:
    """Gaussian of the distance between places in a row, and its slope by the log length.

    Divided by the roots of its row sums, so that a border does not weigh less than the middle.
    """
    place = np.arange(count)
    decay = (place[:, None] - place) ** 2 / length**2
    kernel = np.exp(-decay / 2)
    slope = kernel * decay
    rows = kernel.sum(1)
    even = kernel / np.sqrt(np.outer(rows, rows))
    change = slope.sum(1) / rows
    return even, slope / np.sqrt(np.outer(rows, rows)) - even * (change[:, None] + change) / 2


def _touching_triples(grid: tuple[int, int]) -> np.ndarray:
    """Every three patches of a 2 x 2 block, as (T, 3) player numbers."""
    rows, columns = grid
    corners = np.arange(rows * columns).reshape(grid)[: rows - 1, : columns - 1].ravel()
    block = np.array([0, 1, columns, columns + 1])
    threes = np.array(list(combinations(block, 3)))
    return (corners[:, None, None] + threes).reshape(-1, 3)
