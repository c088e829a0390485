"""Suspicions: places that carry more attribution than they should, tested against chance.

A place is suspicious in a class if it carries more than it does in other classes, than the places
that mirror it and than its area: at least ``FACTOR`` times the odds of the highest of these, and
``LEAST_EXCESS`` of all attribution more. Less is natural, since objects differ.

That it is no matter of chance is tested at all places in all classes together. Classes are dealt
out to the images anew and images mirrored at random; the largest difference anywhere, in standard
errors, reaches the one that is named in ``LEVEL`` of all cases at most. So where classes do not
differ, and no side of the images does, anything is named in at most so many runs.

It is a reason to look and no verdict: an object that is always in the same place looks the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lightning_shap.survey.places import Place, mirrored, places, shares_of

LEVEL = 0.05
# Measured in examples/benchmarks/shortcuts.py, on networks with nothing planted.
FACTOR = 3.0  # of the odds that are natural
LEAST_EXCESS = 0.1
PERMUTATIONS = 999
LEAST_IMAGES = 5  # of a class, and of all others


@dataclass(frozen=True)
class Suspicion:
    """A place that carries more attribution than it should.

    Attributes:
        label: The class, None for all of them together.
        place: Where.
        share: Of the class's attribution, the mean over its images.
        others: The share in the images of other classes, None for all classes together.
        mirror: The largest share of the places that mirror it, None where it mirrors itself.
        p: How often chance gives an excess as large at any place in any class.
        images: How many were seen of the class.
    """

    label: int | None
    place: Place
    share: float
    others: float | None
    mirror: float | None
    p: float
    images: int


def suspicions(cells: np.ndarray, labels: np.ndarray, *, seed: int = 0) -> list[Suspicion]:
    """The suspicious places, the worst first; of those that overlap in a class, the worst alone.

    What most classes look at comes first, and is then not said of each of them.

    The order of the images is of no effect.

    Args:
        cells: float64 (N, GRID, GRID), as :func:`lightning_shap.survey.places.on_grid`.
        labels: int (N,), the class of each image, -1 where unknown, which is no class to name.
        seed: Of the permutations.
    """
    if len(cells) < LEAST_IMAGES:
        return []
    order = np.lexsort([*cells.reshape(len(cells), -1).T[::-1], labels])
    cells, labels = cells[order], labels[order]
    shares, groups = shares_of(cells), _Groups.of(labels)
    random = np.random.default_rng(seed)
    means, expected = _means(shares, groups.members)[0], _expected(shares, groups.members)
    excess = means - expected
    large = (_odds(means) >= FACTOR * _odds(expected)) & (excess >= LEAST_EXCESS)
    if len(groups.labels):  # what all classes look at, most of them must
        most = np.quantile(means[:-1], 1 / 4, axis=0, method="lower")
        large[-1] &= _odds(most) >= FACTOR * _odds(expected[-1])
    if not large.any():
        return []
    differences = _differences(shares, shares, groups.members)
    largest = np.array([_by_chance(shares, groups.members, random) for _ in range(PERMUTATIONS)])
    found = []
    for row, column in np.argwhere(large).tolist():
        p = (1 + int((largest >= differences[row, column]).sum())) / (1 + PERMUTATIONS)
        if p <= LEVEL:
            of_one = row < len(groups.labels)
            found.append((of_one, -float(excess[row, column]), row, column, p))
    found.sort()
    return _apart([_suspicion(shares, groups, row, place, p) for *_, row, place, p in found])


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


def _means(shares: np.ndarray, members: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of the mean, (G, P), of each group at each place."""
    counts = members.sum(axis=1, keepdims=True).astype(np.float64)
    weights = members.astype(np.float64)
    means = weights @ shares / np.maximum(counts, 1)
    spread = weights @ shares**2 / np.maximum(counts, 1) - means**2
    return means, np.maximum(spread, 0) / np.maximum(counts - 1, 1)


def _expected(shares: np.ndarray, members: np.ndarray) -> np.ndarray:
    """What is natural at each place in each group, (G, P), the last of which is everything."""
    means, others = _means(shares, members)[0], _means(shares, ~members)[0]
    others[-1] = 0
    area = np.array([place.expected for place in places()])
    expected: np.ndarray = np.maximum(np.maximum(others, _mirrors(means)), area)
    return expected


def _mirrors(means: np.ndarray) -> np.ndarray:
    """The largest mean, (G, P), of the other places that each place is mirrored to, else 0."""
    same = np.arange(means.shape[1])
    largest: np.ndarray = np.max(
        [np.where(flip == same, 0, means[:, flip]) for flip in mirrored()], axis=0
    )
    return largest


def _differences(shares: np.ndarray, turned: np.ndarray, members: np.ndarray) -> np.ndarray:
    """Each class's mean less that of the others, all images' less the mirrored, in standard errors.

    Args:
        shares: (N, P).
        turned: The same of the images as all of them are to be seen.
        members: (G, N).
    """
    means, variance = _means(shares, members)
    others, of_others = _means(shares, ~members)
    whole, of_whole = _means(turned, members[-1:])
    means[-1], variance[-1] = whole[0], of_whole[0]
    # A place that mirrors itself has nothing to be compared with where there are no other classes.
    alone = (mirrored() == np.arange(len(places()))).all(axis=0)
    others[-1] = np.where(alone, whole[0], _mirrors(whole)[0])
    of_others[-1] = 0
    differences: np.ndarray = (means - others) / (np.sqrt(variance + of_others) + 1e-9)
    return differences


def _by_chance(shares: np.ndarray, members: np.ndarray, random: np.random.Generator) -> float:
    """The largest difference anywhere, where there is none but by chance."""
    order = random.permutation(len(shares))
    ways = np.vstack([np.arange(len(places())), mirrored()])
    turned = np.take_along_axis(shares, ways[random.integers(len(ways), size=len(shares))], axis=1)
    return float(_differences(shares, turned, members[:, order]).max())


def _odds(shares: np.ndarray) -> np.ndarray:
    odds: np.ndarray = shares / np.maximum(1 - shares, 1e-12)
    return odds


def _suspicion(shares: np.ndarray, groups: _Groups, row: int, column: int, p: float) -> Suspicion:
    inside = groups.members[row]
    everything = row == len(groups.labels)
    means = shares[inside].mean(axis=0)
    mirrors = [int(flip[column]) for flip in mirrored() if flip[column] != column]
    return Suspicion(
        None if everything else int(groups.labels[row]),
        places()[column],
        float(means[column]),
        None if everything else float(shares[~inside, column].mean()),
        float(means[mirrors].max()) if mirrors else None,
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
