"""Power: how large a share must be for the test to find it, with the images that there are.

A place of a group of images is imagined to decide more than it does: each share grows by as much,
so that their spread is the one that was observed. It is found where its mean would surprise
and differ enough from the others, by the very test of
:mod:`lightning_shap.analysis.class_summary.suspicions`. Of other images the mean would be
another one, as its standard error says; the share that is stated is found in :data:`CASES` of such
cases, over all corners and edges.
"""

from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from lightning_shap.analysis.class_summary.parts import EDGES, list_parts
from lightning_shap.analysis.class_summary.shares import Shares
from lightning_shap.analysis.class_summary.suspicions import (
    LEVEL,
    Compared,
    find_least,
    measure_surprise,
    mirror_means,
)
from lightning_shap.analysis.class_summary.swaps import choose_partners
from lightning_shap.analysis.metrics.where import CORNERS

CASES = 0.8  # of which what is stated would have been found
MARKED = {*(f"the {name} corner" for name in CORNERS), *(f"the {name} edge" for name in EDGES)}
SHARES = np.arange(1, 501) / 500

USUAL, SPREAD = 0.05, 0.12  # mean share of a corner or an edge, and its spread between swaps:
# of 17 clean networks in examples/benchmarks/shortcuts.py 14 have less


@dataclass(frozen=True)
class Power:
    """Says how large a share would have been found.

    Attributes:
        shares: The least share that is found, of each tested class by its number, or of all images
            together under None where no class is tested by itself; None where not even all of it.
    """

    shares: dict[int | None, float | None]

    @property
    def share(self) -> float | None:
        """Returns what is found in every class that can tell, None if none can."""
        return max((one for one in self.shares.values() if one is not None), default=None)

    @property
    def too_few(self) -> list[int | None]:
        """The classes whose images are too few to tell anything."""
        return [label for label, share in self.shares.items() if share is None]


def estimate_power(shares: Shares, *, seed: int = 0) -> Power:
    """Returns what would have been found where nothing was.

    Args:
        shares: Of N images.
        seed: Of the permutations.
    """
    compared = Compared.of(shares)
    columns = [number for number, part in enumerate(shares.parts) if part.name in MARKED]
    # Of two classes each decides by a swap what the other does: only both together can stand out.
    alone = not len(compared.named) or len(np.unique(shares.labels)) == 2
    rows = [len(compared.named)] if alone else [*range(len(compared.named))]
    bounds, errors = (one[np.ix_(rows, columns)] for one in _find_bounds(compared, seed))
    likely = norm.cdf((SHARES[:, None, None] - bounds) / errors)
    power = np.where(np.isnan(likely), 0, likely).mean(axis=2)  # (shares, G)
    found: dict[int | None, float | None] = {}
    for place, row in enumerate(rows):
        enough = power[:, place] >= CASES
        label = None if row == len(compared.named) else int(compared.named[row])
        found[label] = float(SHARES[enough.argmax()]) if enough.any() else None
    return Power(found)


def expect_power(labels: np.ndarray, *, seed: int = 0) -> Power:
    """Returns what can be found in images of which nothing is known but their classes.

    Shares are drawn as those of networks that learnt no shortcut are spread, and tested.

    Args:
        labels: int (N,), below 0 where unknown.
        seed: Of the draw and of the permutations.
    """
    random, parts = np.random.default_rng(seed), list_parts()
    values = random.normal(USUAL, SPREAD, size=(len(labels), len(parts)))
    rivals = labels[choose_partners(labels, len(labels), seed)]
    return estimate_power(Shares(parts, values, labels, rivals), seed=seed)


def is_hopeless(shares: Shares) -> bool:
    """Tells whether as many images again would hardly name anything.

    No part would surprise enough, were its mean a standard error larger than it is. To stop then
    takes alarms away and adds none, so that the level of the test holds.

    Args:
        shares: Of N images.
    """
    compared = Compared.of(shares)
    groups = compared.groups
    _, is_large = compared.judge(groups.means + np.sqrt(groups.variance))
    return not is_large.any()


def _find_bounds(compared: Compared, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the means from which on a place is named, and their standard errors, (G, P)."""
    groups, largest = compared.groups, np.sort(compared.draw(seed))
    critical = largest[-int(LEVEL * (1 + len(largest)))]
    others, variance = groups.others.copy(), groups.variance_of_others.copy()
    others[-1] = mirror_means(compared.shares, groups.means[-1:])[0]
    variance[-1] = 0
    significant = others + critical * np.sqrt(groups.variance + variance)
    least = find_least(compared.shares, len(compared.members))
    surprises = measure_surprise(SHARES[:, None, None], compared.natural) >= least
    surprising = np.where(surprises.any(axis=0), SHARES[surprises.argmax(axis=0)], np.inf)
    return np.maximum(significant, surprising), np.sqrt(groups.variance) + 1e-9
