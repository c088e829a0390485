"""Suspicions: parts that decide more than they should, tested against chance.

The test is described in :mod:`lightning_shap.analysis.class_summary`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lightning_shap.analysis.class_summary.means import (
    Groups,
    compare_groups,
    find_tested,
    stack_known,
    turn_images,
)
from lightning_shap.analysis.class_summary.parts import Part
from lightning_shap.analysis.class_summary.proof import Proof
from lightning_shap.analysis.class_summary.shares import Shares

LEVEL = 0.01
# In nats of surprise, measured in examples/benchmarks/shortcuts.py, with nothing planted.
LEAST = 0.3  # of a place along the sides of the images of a class
LEAST_SHARED = 0.7  # of what classes differ in anyway: properties, and lines where objects are
NATURAL = 0.02  # shares are not known better
HALF = 0.5  # a property, which has no area, decides up to so much of what an image shows anyway
NEARLY = 0.8  # of the largest excess: the smallest part that has so much is named
PERMUTATIONS = 999
NUMBERS = 2**18  # that are permuted at once, which a cache holds


@dataclass(frozen=True)
class Suspicion:
    """A part that decides more than it should.

    Attributes:
        label: The class, None for all of them together.
        part: What decides.
        share: Of what decides about the class, the mean over its swaps.
        others: The share in swaps between other classes, None for all classes together.
        mirror: The largest share of the places that mirror it, None where it mirrors itself.
        surprise: The relative entropy of the share to what is natural, in nats.
        excess: By how much the share is more than what is natural.
        p: How often chance gives an excess as large of any part in any class; None where nothing
            tests it: each of two classes swaps with the other, and what decides one decides both.
        images: How many there are of the class.
        known: How many swaps say something of the part.
        proof: What becomes of decisions without the part, once that is known.
    """

    label: int | None
    part: Part
    share: float
    others: float | None
    mirror: float | None
    surprise: float
    excess: float
    p: float | None
    images: int
    known: int
    proof: Proof | None = None


@dataclass(frozen=True)
class Compared:
    """Swaps in groups: those with each tested class on either side, and all of them as the last.

    Each group is compared with the swaps that have nothing to do with its class. So a class is not
    accused of what another one has, with which it swaps.

    Attributes:
        shares: Of N images, in an order that theirs is of no effect on.
        named: int (G - 1,), the classes.
        members: float64 (G, N), 1 for the swaps of each group, else 0.
        known: Of the shares, see
            :func:`lightning_shap.analysis.class_summary.means.stack_known`.
        groups: What is known of each.
        natural: float64 (G, P), the share that is no surprise.
    """

    shares: Shares
    named: np.ndarray
    members: np.ndarray
    known: np.ndarray
    groups: Groups
    natural: np.ndarray

    @classmethod
    def of(cls, shares: Shares) -> "Compared":
        """Returns the groups of some images."""
        order = np.lexsort([*shares.values.T[::-1], shares.rivals, shares.labels])
        shares = shares.pick(order)
        named = find_tested(shares.labels)
        members = (shares.labels == named[:, None]) | (shares.rivals == named[:, None])
        members = np.vstack([members, np.ones((1, len(order)))])
        known = stack_known(shares.values)
        groups = compare_groups(known, members)
        return cls(shares, named, members, known, groups, _find_natural(shares, groups))

    def judge(self, means: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns the surprise of means (G, P), and bool (G, P), whether it is large enough."""
        surprise = measure_surprise(means, self.natural)
        if len(self.named):  # what all classes look at, most of them must
            most = measure_surprise(_find_most(means), self.natural[-1])
            surprise[-1] = np.minimum(surprise[-1], most)
        is_large = ~np.isnan(surprise) & (surprise >= find_least(self.shares, len(surprise)))
        return surprise, is_large & (self.shares.of_place | (means >= HALF))

    def draw(self, seed: int) -> np.ndarray:
        """Returns the largest differences anywhere where there are none, (PERMUTATIONS,)."""
        random = np.random.default_rng(seed)
        images, ways = len(self.shares.values), len(self.shares.ways)
        at_once = max(1, NUMBERS // max(1, self.members.size))
        largest = np.empty(PERMUTATIONS)
        for start in range(0, PERMUTATIONS, at_once):
            part = largest[start : start + at_once]
            drawn = [(random.permutation(images), random.integers(ways, size=images)) for _ in part]
            orders, flips = (np.array(some) for some in zip(*drawn, strict=True))
            differences = self.differ(orders, flips)
            part[:] = np.where(np.isnan(differences), -np.inf, differences).max(axis=(1, 2))
        return largest

    def differ(self, orders: np.ndarray, flips: np.ndarray) -> np.ndarray:
        """Returns each group's mean less the others', or the mirrored one, in standard errors.

        Of B arrangements at once, (B, G, P), NaN where too few images say anything.

        Args:
            orders: int (B, N), which image stands in for each.
            flips: int (B, N), how each is mirrored where all are seen together, 0 for not at all.
        """
        shares = self.shares
        groups = compare_groups(self.known, self.members[:, orders].swapaxes(0, 1))
        means, groups.variance[:, -1] = turn_images(self.known, shares.ways, flips)
        groups.means[:, -1] = means
        # A part that mirrors itself has nothing to be compared with where there are no others.
        groups.others[:, -1] = np.where(shares.symmetric, means, mirror_means(shares, means))
        groups.variance_of_others[:, -1] = 0
        errors = np.sqrt(groups.variance + groups.variance_of_others) + 1e-9
        differences: np.ndarray = (groups.means - groups.others) / errors
        return differences


def find_suspicions(shares: Shares, *, seed: int = 0) -> list[Suspicion]:
    """Returns suspicious parts, the worst first; of those that overlap in a class one.

    What one class has is not named in all: they swap with its images, and so its parts decide some
    of them, too.

    The order of the images is of no effect.

    Args:
        shares: Of N images. An unknown class is none to name.
        seed: Of the permutations.
    """
    compared = Compared.of(shares)
    shares, groups, natural = compared.shares, compared.groups, compared.natural
    surprise, surprising = compared.judge(groups.means)
    untested = np.zeros_like(surprising)
    untested[-1] = shares.symmetric
    if not surprising.any():
        return []
    as_they_are = np.arange(len(shares.labels))[None]
    differences = compared.differ(as_they_are, np.zeros_like(as_they_are))[0]
    largest = compared.draw(seed)
    mirrors = mirror_means(shares, groups.means)
    found = []
    for row, column in np.argwhere(surprising).tolist():
        p = (1 + int((largest >= differences[row, column]).sum())) / (1 + PERMUTATIONS)
        if p > LEVEL and not untested[row, column]:
            continue
        whole = row == len(compared.named)
        label = None if whole else int(compared.named[row])
        found.append(
            Suspicion(
                label,
                shares.parts[column],
                _clip(groups.means[row, column]),
                None if whole else _clip(groups.others[row, column]),
                None if shares.symmetric[column] else _clip(mirrors[row, column]),
                float(surprise[row, column]),
                float(groups.means[row, column] - natural[row, column]),
                None if untested[row, column] else p,
                len(shares.labels) if whole else int((shares.labels == label).sum()),
                int(groups.counts[row, column]),
            )
        )
    return take_apart(found)


def find_least(shares: Shares, groups: int) -> np.ndarray:
    """Returns the least surprise that matters of each part in each group, (G, P)."""
    least = np.full((groups, len(shares.parts)), LEAST)
    is_inner = np.array([part.is_inner for part in shares.parts], bool)
    least[:-1, ~shares.of_place | is_inner] = LEAST_SHARED
    least[-1, shares.of_place] = LEAST_SHARED
    return least


def measure_surprise(shares: np.ndarray, natural: np.ndarray) -> np.ndarray:
    """Returns the relative entropy of shares to natural ones, in nats, 0 where they are no more.

    NaN where either is not known.
    """
    shares, natural = (np.clip(one, 1e-9, 1 - 1e-9) for one in (shares, natural))
    inside = shares * np.log(shares / natural)
    outside = (1 - shares) * np.log((1 - shares) / (1 - natural))
    # Of shares that are all but the same, rounding leaves less than nothing.
    nats = np.where(shares > natural, np.maximum(inside + outside, 0), 0.0)
    return np.where(np.isnan(shares) | np.isnan(natural), np.nan, nats)


def mirror_means(shares: Shares, means: np.ndarray) -> np.ndarray:
    """Returns the largest mean, (G, P), of the other parts that each is mirrored to, else 0."""
    same = np.arange(means.shape[1])
    largest: np.ndarray = np.max(
        [np.where(flip == same, 0, means[:, flip]) for flip in shares.ways[1:]], axis=0
    )
    return largest


def take_apart(named: Sequence[Suspicion]) -> list[Suspicion]:
    """Returns of parts that overlap in one class the smallest with nearly the largest excess.

    So a frame is none of its edges, each of which decides less, and a mark in a corner is not the
    frame that it lies in. A property of the whole image overlaps with everything, and all classes
    together with each.
    """
    left = sorted(named, key=lambda one: -one.excess)
    kept: list[Suspicion] = []
    while left:
        first = left[0]
        rivals = [one for one in left if overlap(one, first)]
        near = [
            one
            for one in rivals
            if one.label == first.label and one.excess >= NEARLY * first.excess
        ]
        chosen = min(near, key=lambda one: (one.part.area, -one.excess))
        kept.append(chosen)
        left = [one for one in left if not (overlap(one, first) or overlap(one, chosen))]
    return kept


def overlap(one: Suspicion, other: Suspicion) -> bool:
    """Tells whether two suspicions may be of the same thing."""
    if one.label != other.label and None not in (one.label, other.label):
        return False
    whole = one.part.mask is None or other.part.mask is None
    return whole or bool((one.part.cells & other.part.cells).any())


def _clip(mean: float) -> float:
    return float(np.clip(mean, 0, 1))


def _find_most(means: np.ndarray) -> np.ndarray:
    """Returns what three quarters of the classes (G, P) have at least, (P,), NaN where unknown.

    The last group is everything, and no class.
    """
    ordered = np.sort(means[:-1], axis=0)  # NaN come last
    known = (~np.isnan(ordered)).sum(axis=0)
    place = np.maximum(known - 1, 0) // 4
    most: np.ndarray = np.take_along_axis(ordered, place[None], axis=0)[0]
    return np.where(known > 0, most, means[-1])


def _find_natural(shares: Shares, groups: Groups) -> np.ndarray:
    """Returns what is natural of each part in each group, (G, P), the last of them all."""
    others = groups.others.copy()
    # Of all together there are no others; then no part has more than its area for a reason. What
    # mirrors itself is told of two classes alone: of more, one of them must stand out by it. And
    # what lies inside is where objects are.
    areas = [HALF if part.mask is None else part.area for part in shares.parts]
    pair = len(np.unique(shares.labels)) == 2
    outer = np.array([not part.is_inner for part in shares.parts], bool)
    told = outer & (pair | ~shares.symmetric)
    others[-1] = np.where(told, areas, np.nan)
    mirrored = mirror_means(shares, groups.means)
    natural: np.ndarray = np.maximum(np.maximum(others, mirrored), NATURAL)
    return natural
