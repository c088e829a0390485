"""Proof: what images are taken for once a part is exchanged, removed, or carried to other classes.

A suspicion says that a part decides more of the outputs than is natural. The proof is in decisions:
how many images of the class are still known with another image's part, how many without it (as the
masker shows it), and how many images of other classes are taken for the class with nothing but the
part of one of its images. Half of what the exchange loses and the part alone wins is the Shapley
value of the part in the game of :mod:`lightning_shap.analysis.class_summary.swaps`, played for
decisions. An alarm on which fewer than ``HOLDS`` of them depend is withdrawn.

Intervals are Wilson's, of 95 % (Wilson, "Probable inference, the law of succession, and statistical
inference", 1927).
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.stats import binomtest

from lightning_shap.analysis.class_summary.swaps import CARRIED, EXCHANGED, REMOVED

CONFIDENCE = 0.95
HOLDS = 0.25  # of decisions must depend on the part


@dataclass(frozen=True)
class Rate:
    """Counts how many of some images did something.

    Attributes:
        hits: That did.
        images: Of so many.
    """

    hits: int
    images: int

    @property
    def share(self) -> float:
        """The share that did, NaN of none."""
        return self.hits / self.images if self.images else float("nan")

    @cached_property
    def interval(self) -> tuple[float, float]:
        """Returns Wilson's interval of the share, of all shares where there is no image."""
        if not self.images:
            return 0.0, 1.0
        found = binomtest(self.hits, self.images).proportion_ci(CONFIDENCE, method="wilson")
        return float(found.low), float(found.high)

    @property
    def plain(self) -> dict[str, Any]:
        """The rate as JSON has it."""
        low, high = self.interval
        share = self.share if self.images else None
        return {"share": share, "low": low, "high": high, "images": self.images}


@dataclass(frozen=True)
class Proof:
    """Says what images of a class, or of all, are taken for with a part changed.

    Attributes:
        before: Images that are taken for what they are, as they are.
        exchanged: With the part of an image of another class.
        removed: Without the part: there is what the masker shows. Of no images where no masker
            takes the part away.
        carried: Images of other classes that are taken for the class with its part alone.
    """

    before: Rate
    exchanged: Rate
    removed: Rate
    carried: Rate

    @property
    def decided(self) -> float:
        """The share of decisions that depend on the part, NaN of no images."""
        return (self.before.share - self.exchanged.share + self.carried.share) / 2

    @property
    def holds(self) -> bool:
        """Tells whether enough decisions depend on the part to call it a shortcut."""
        return self.decided >= HOLDS

    @property
    def plain(self) -> dict[str, Any]:
        """The proof as JSON has it."""
        rates = {name: getattr(self, name).plain for name in RATES}
        decided = self.decided if self.before.images else None
        return {**rates, "decided": decided, "holds": self.holds}


RATES = ("before", "exchanged", "removed", "carried")


def prove(
    inside: np.ndarray,
    labels: np.ndarray,
    rivals: np.ndarray,
    predicted: np.ndarray,
    taken: np.ndarray,
) -> Proof:
    """Returns what becomes of some images when a part is changed.

    Args:
        inside: bool (N,), the images.
        labels: int (N,), the class of each.
        rivals: int (N,), the class of the image that each was swapped with, -1 of none.
        predicted: int (N,), what each is taken for.
        taken: int (N, 3), what it is taken for once it is changed, and its partner with its part;
            see :data:`lightning_shap.analysis.class_summary.swaps.CARRIED`.
    """
    swapped = inside & (rivals != labels) & (rivals >= 0)

    def count(found: np.ndarray, rows: np.ndarray) -> Rate:
        return Rate(int((found == labels)[rows].sum()), int(rows.sum()))

    return Proof(
        count(predicted, swapped),
        count(taken[:, EXCHANGED], swapped),
        count(taken[:, REMOVED], swapped),
        count(taken[:, CARRIED], swapped),
    )
