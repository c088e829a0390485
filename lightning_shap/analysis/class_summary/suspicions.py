"""Suspicions: places that decide more than they should, tested against chance.

The test is described in :mod:`lightning_shap.analysis.class_summary`.

Attribution is a hint and a swap the experiment. So where a place is swapped as well, its
attribution surprises as much as the geometric mean of both; where it is not, more is needed.
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
from lightning_shap.analysis.class_summary.places import Place, Shares

LEVEL = 0.05
# Measured in examples/benchmarks/shortcuts.py, on networks with nothing planted.
LEAST = 0.15
LEAST_UNSWAPPED = 0.25
PERMUTATIONS = 999


@dataclass(frozen=True)
class Suspicion:
    """A place that decides more than it should.

    Attributes:
        label: The class, None for all of them together.
        place: Where, and how its share was measured.
        share: Of what decides about the class, the mean over its images.
        others: The share in the images of other classes, None for all classes together.
        mirror: The largest share of the places that mirror it, None where it mirrors itself.
        surprise: The relative entropy of the share to what is natural, in nats; with what swaps
            say of the same place.
        p: How often chance gives an excess as large at any place in any class.
        images: How many there are of the class.
        known: How many of them say something of the place.
    """

    label: int | None
    place: Place
    share: float
    others: float | None
    mirror: float | None
    surprise: float
    p: float
    images: int
    known: int


@dataclass(frozen=True)
class Compared:
    """Images in groups: those of each tested class, and all of them as the last.

    Attributes:
        shares: Of N images, in an order that theirs is of no effect on.
        named: int (G - 1,), the classes.
        members: bool (G, N).
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
    def of(cls, shares: Shares, labels: np.ndarray) -> "Compared":
        """Returns the groups of images with such labels, int (N,)."""
        order = np.lexsort([*shares.values.T[::-1], labels])
        labels, shares = labels[order], Shares(shares.places, shares.values[order])
        named = find_tested(labels)
        members = np.vstack([labels == named[:, None], np.ones((1, len(labels)), bool)])
        known = stack_known(shares.values)
        groups = compare_groups(known, members)
        natural = _find_natural(shares, groups.means, groups.others)
        return cls(shares, named, members, known, groups, natural)

    def draw(self, seed: int) -> np.ndarray:
        """Returns the largest differences anywhere where there are none, (PERMUTATIONS,)."""
        random = np.random.default_rng(seed)
        drawn = (_draw(self.shares, self.known, self.members, random) for _ in range(PERMUTATIONS))
        return np.fromiter(drawn, np.float64)


def find_suspicions(shares: Shares, labels: np.ndarray, *, seed: int = 0) -> list[Suspicion]:
    """Returns suspicious places, the worst first; of those that overlap in a class the worst.

    What most classes look at is not named in each of them, and what one class looks at more is not
    named in all: the others swap with its images, and so its places decide some of them, too. What
    has no place, such as fine detail, comes last: where a place stands out as well, it says more.

    The order of the images is of no effect.

    Args:
        shares: Of N images.
        labels: int (N,), the class of each image, -1 where unknown, which is no class to name.
        seed: Of the permutations.
    """
    compared = Compared.of(shares, labels)
    shares, groups, natural = compared.shares, compared.groups, compared.natural
    surprise = measure_surprise(groups.means, natural)
    if len(compared.named):  # what all classes look at, most of them must
        most = measure_surprise(_find_most(groups.means), natural[-1])
        surprise[-1] = np.minimum(surprise[-1], most)
    surprise, least = _confirm(surprise, shares.places)
    surprising = ~np.isnan(surprise) & (surprise >= least)
    if not surprising.any():
        return []
    as_they_are = np.zeros(len(labels), int)
    differences = _compare(shares, compared.known, compared.members, as_they_are)
    largest = compared.draw(seed)
    mirrors = mirror_means(shares, groups.means)
    found = []
    for row, column in np.argwhere(surprising).tolist():
        p = (1 + int((largest >= differences[row, column]).sum())) / (1 + PERMUTATIONS)
        if p > LEVEL:
            continue
        whole = row == len(compared.named)
        found.append(
            Suspicion(
                None if whole else int(compared.named[row]),
                shares.places[column],
                _clip(groups.means[row, column]),
                None if whole else _clip(groups.others[row, column]),
                None if shares.symmetric[column] else _clip(mirrors[row, column]),
                float(surprise[row, column]),
                p,
                int(compared.members[row].sum()),
                int(groups.counts[row, column]),
            )
        )
    found.sort(key=lambda one: (not one.place.cells.any(), -one.surprise))
    return _take_apart(found)


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


def _find_natural(shares: Shares, means: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Returns what is natural at each place in each group, (G, P), the last of them all."""
    others = others.copy()
    # Of all together there are no others; then no place has more than its area for a reason.
    others[-1] = [place.area for place in shares.places]
    floor = np.array([place.natural for place in shares.places])
    natural: np.ndarray = np.maximum(np.maximum(others, mirror_means(shares, means)), floor)
    return natural


def _confirm(surprise: np.ndarray, places: Sequence[Place]) -> tuple[np.ndarray, np.ndarray]:
    """Returns surprises (G, P) that count what swaps say of the same places, and what is needed."""
    swaps = {place.name: column for column, place in enumerate(places) if place.measure == "swap"}
    found, least = surprise.copy(), np.full(surprise.shape, LEAST)
    for column, place in enumerate(places):
        if place.measure == "attribution":
            swap = surprise[:, swaps[place.name]] if place.name in swaps else np.nan
            known = ~np.isnan(swap)
            both = np.sqrt(surprise[:, column] * np.where(known, swap, 0))
            found[:, column] = np.where(known, both, surprise[:, column])
            least[:, column] = np.where(known, LEAST, LEAST_UNSWAPPED)
    return found, least


def mirror_means(shares: Shares, means: np.ndarray) -> np.ndarray:
    """Returns the largest mean, (G, P), of the other places that each is mirrored to, else 0."""
    same = np.arange(means.shape[1])
    largest: np.ndarray = np.max(
        [np.where(flip == same, 0, means[:, flip]) for flip in shares.ways[1:]], axis=0
    )
    return largest


def _compare(
    shares: Shares, known: np.ndarray, members: np.ndarray, flips: np.ndarray
) -> np.ndarray:
    """Returns each class's mean less the others', or their mirrored ones, in standard errors.

    NaN where too few images say anything.

    Args:
        shares: (N, P).
        known: Of these.
        members: bool (G, N), the last of all images.
        flips: int (N,), how each is mirrored where all are seen together, 0 for not at all.
    """
    groups = compare_groups(known, members)
    means, groups.variance[-1] = turn_images(known, shares.ways, flips)
    groups.means[-1] = means
    # A place that mirrors itself has nothing to be compared with where there are no other classes.
    groups.others[-1] = np.where(shares.symmetric, means, mirror_means(shares, means[None])[0])
    groups.variance_of_others[-1] = 0
    errors = np.sqrt(groups.variance + groups.variance_of_others) + 1e-9
    differences: np.ndarray = (groups.means - groups.others) / errors
    return differences


def _draw(
    shares: Shares, known: np.ndarray, members: np.ndarray, random: np.random.Generator
) -> float:
    """Returns the largest difference anywhere, where there is none but by chance."""
    images = len(shares.values)
    order, flips = random.permutation(images), random.integers(len(shares.ways), size=images)
    differences = _compare(shares, known, members[:, order], flips)
    return float(np.where(np.isnan(differences), -np.inf, differences).max())


def _take_apart(named: Sequence[Suspicion]) -> list[Suspicion]:
    """Returns the first of the places that overlap in one class; all classes are each of them."""
    kept: list[Suspicion] = []
    for one in named:
        rivals = [
            other for other in kept if one.label == other.label or None in (one.label, other.label)
        ]
        if not any((one.place.cells & other.place.cells).any() for other in rivals):
            kept.append(one)
    return kept
