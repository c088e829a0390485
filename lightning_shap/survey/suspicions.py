"""Suspicions: places that decide more than they should, tested against chance.

A place is suspicious in a class if its share there is a surprise: its relative entropy to what is
natural, which is the share in other classes or, of attribution, the area, or in places that mirror
it, is at least ``LEAST`` nats. Less is natural, since objects differ.

Attribution is a hint and a swap the experiment. So where a place is swapped as well, its
attribution surprises as much as the geometric mean of both; where it is not, more is needed.

That it is no matter of chance is tested at all places in all classes together. Classes are dealt
out to the images anew and images mirrored at random; the largest difference anywhere, in standard
errors, reaches the one that is named in ``LEVEL`` of all cases at most. So where classes do not
differ, and no side of the images does, anything is named in at most so many runs.

It is a reason to look and no verdict: an object that is always in the same place looks the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lightning_shap.survey.places import Place, Shares

LEVEL = 0.05
# Measured in examples/benchmarks/shortcuts.py, on networks with nothing planted.
LEAST = 0.15
LEAST_UNSWAPPED = 0.25
PERMUTATIONS = 999
LEAST_IMAGES = 5  # of a class, and of all others


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
        images: How many were seen of the class.
    """

    label: int | None
    place: Place
    share: float
    others: float | None
    mirror: float | None
    surprise: float
    p: float
    images: int


def suspicions(shares: Shares, labels: np.ndarray, *, seed: int = 0) -> list[Suspicion]:
    """The suspicious places, the worst first; of those that overlap in a class, the worst alone.

    What most classes look at comes first, and is then not said of each of them. What has no place,
    such as fine detail, comes last: where a place stands out as well, it says more.

    The order of the images is of no effect.

    Args:
        shares: Of N images.
        labels: int (N,), the class of each image, -1 where unknown, which is no class to name.
        seed: Of the permutations.
    """
    if len(labels) < LEAST_IMAGES:
        return []
    order = np.lexsort([*shares.values.T[::-1], labels])
    labels = labels[order]
    shares = Shares(shares.places, _filled(shares.values[order]))
    groups = _Groups.of(labels)
    random = np.random.default_rng(seed)
    means, natural = _means(shares.values, groups.members)[0], _natural(shares, groups.members)
    surprise = _surprise(means, natural)
    if len(groups.labels):  # what all classes look at, most of them must
        most = np.quantile(means[:-1], 1 / 4, axis=0, method="lower")
        surprise[-1] = np.minimum(surprise[-1], _surprise(most, natural[-1]))
    surprise, least = _confirmed(surprise, shares.places)
    if not (surprise >= least).any():
        return []
    differences = _differences(shares, shares.values, groups.members)
    largest = np.array([_by_chance(shares, groups.members, random) for _ in range(PERMUTATIONS)])
    found = []
    for row, column in np.argwhere(surprise >= least).tolist():
        p = (1 + int((largest >= differences[row, column]).sum())) / (1 + PERMUTATIONS)
        if p <= LEVEL:
            found.append(_suspicion(shares, groups, row, column, surprise[row, column], p))
    found.sort(key=lambda one: (one.label is not None, not one.place.cells.any(), -one.surprise))
    return _apart(found)


@dataclass(frozen=True)
class _Groups:
    """Which images are of which class; the last group is all of them.

    Attributes:
        labels: int (G - 1,).
        members: bool (G, N).
    """

    labels: np.ndarray
    members: np.ndarray

    @classmethod
    def of(cls, labels: np.ndarray) -> "_Groups":
        numbers, counts = np.unique(labels, return_counts=True)
        enough = (counts >= LEAST_IMAGES) & (len(labels) - counts >= LEAST_IMAGES) & (numbers >= 0)
        numbers = numbers[enough]
        members = labels == numbers[:, None]
        return cls(numbers, np.vstack([members, np.ones((1, len(labels)), bool)]))


def _filled(values: np.ndarray) -> np.ndarray:
    """What an image does not say is what the others say on average, which changes nothing."""
    known = ~np.isnan(values)
    means = np.where(known, values, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    return np.where(known, values, means)


def _means(shares: np.ndarray, members: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of the mean, (G, P), of each group at each place."""
    counts = members.sum(axis=1, keepdims=True).astype(np.float64)
    weights = members.astype(np.float64)
    means = weights @ shares / np.maximum(counts, 1)
    spread = weights @ shares**2 / np.maximum(counts, 1) - means**2
    return means, np.maximum(spread, 0) / np.maximum(counts - 1, 1)


def _natural(shares: Shares, members: np.ndarray) -> np.ndarray:
    """What is natural at each place in each group, (G, P), the last of which is everything."""
    means, others = _means(shares.values, members)[0], _means(shares.values, ~members)[0]
    # Of all together there are no others; then no place has more than its area for a reason.
    others[-1] = [place.area for place in shares.places]
    floor = np.array([place.natural for place in shares.places])
    natural: np.ndarray = np.maximum(np.maximum(others, _mirrors(shares, means)), floor)
    return natural


def _surprise(shares: np.ndarray, natural: np.ndarray) -> np.ndarray:
    """The relative entropy of shares to natural ones, in nats, 0 where they are no more."""
    shares, natural = (np.clip(one, 1e-9, 1 - 1e-9) for one in (shares, natural))
    inside = shares * np.log(shares / natural)
    outside = (1 - shares) * np.log((1 - shares) / (1 - natural))
    return np.where(shares > natural, inside + outside, 0.0)


def _confirmed(surprise: np.ndarray, places: Sequence[Place]) -> tuple[np.ndarray, np.ndarray]:
    """Surprises (G, P) that count what swaps say of the same places, and what is needed (P,)."""
    swaps = {place.name: column for column, place in enumerate(places) if place.measure == "swap"}
    found, least = surprise.copy(), np.full(len(places), LEAST)
    for column, place in enumerate(places):
        if place.measure == "attribution":
            if place.name in swaps:
                found[:, column] = np.sqrt(surprise[:, column] * surprise[:, swaps[place.name]])
            else:
                least[column] = LEAST_UNSWAPPED
    return found, least


def _mirrors(shares: Shares, means: np.ndarray) -> np.ndarray:
    """The largest mean, (G, P), of the other places that each place is mirrored to, else 0."""
    same = np.arange(means.shape[1])
    largest: np.ndarray = np.max(
        [np.where(flip == same, 0, means[:, flip]) for flip in shares.mirrored], axis=0
    )
    return largest


def _differences(shares: Shares, turned: np.ndarray, members: np.ndarray) -> np.ndarray:
    """Each class's mean less that of the others, all images' less the mirrored, in standard errors.

    Args:
        shares: (N, P).
        turned: The same of the images as all of them are to be seen, (N, P).
        members: (G, N).
    """
    means, variance = _means(shares.values, members)
    others, of_others = _means(shares.values, ~members)
    whole, of_whole = _means(turned, members[-1:])
    means[-1], variance[-1] = whole[0], of_whole[0]
    # A place that mirrors itself has nothing to be compared with where there are no other classes.
    alone = (shares.mirrored == np.arange(len(shares.places))).all(axis=0)
    others[-1] = np.where(alone, whole[0], _mirrors(shares, whole)[0])
    of_others[-1] = 0
    differences: np.ndarray = (means - others) / (np.sqrt(variance + of_others) + 1e-9)
    return differences


def _by_chance(shares: Shares, members: np.ndarray, random: np.random.Generator) -> float:
    """The largest difference anywhere, where there is none but by chance."""
    images, places = shares.values.shape
    order = random.permutation(images)
    ways = np.vstack([np.arange(places), shares.mirrored])
    flips = ways[random.integers(len(ways), size=images)]
    turned = np.take_along_axis(shares.values, flips, axis=1)
    return float(_differences(shares, turned, members[:, order]).max())


def _suspicion(
    shares: Shares, groups: _Groups, row: int, column: int, surprise: float, p: float
) -> Suspicion:
    inside = groups.members[row]
    everything = row == len(groups.labels)
    means = shares.values[inside].mean(axis=0)
    mirrors = [int(flip[column]) for flip in shares.mirrored if flip[column] != column]
    return Suspicion(
        None if everything else int(groups.labels[row]),
        shares.places[column],
        float(means[column]),
        None if everything else float(shares.values[~inside, column].mean()),
        float(means[mirrors].max()) if mirrors else None,
        float(surprise),
        p,
        int(inside.sum()),
    )


def _apart(named: Sequence[Suspicion]) -> list[Suspicion]:
    """Of the places that overlap in one class, the first."""
    kept: list[Suspicion] = []
    for one in named:
        rivals = [other for other in kept if other.label in (one.label, None)]
        if not any((one.place.cells & other.place.cells).any() for other in rivals):
            kept.append(one)
    return kept
