"""Limits: the value at which colours are full, for one picture or for all of a run."""

import math

import numpy as np

from lightning_shap.errors import ArgumentError, ArgumentTypeError
from lightning_shap.explanation.coarse_maps import PERCENTILE


class RunningLimit:
    """One limit for the pictures of a run: the largest so far.

    Give one to every :func:`lightning_shap.plot` of a run, and equal values have equal colours from
    one picture to the next, but for those that widen it. It never shrinks: what pales has become
    weaker.

    Args:
        value: Where it begins, in the units of the legend; that of an earlier part of the run.
        widens: Whether further pictures widen it.

    Attributes:
        value: The limit so far.
    """

    def __init__(self, value: float = 0.0, *, widens: bool = True) -> None:
        self.value = value
        self.widens = widens

    @property
    def as_it_is(self) -> "RunningLimit":
        """This limit for pictures that do not widen it, such as those of single images."""
        return RunningLimit(self.value, widens=False)

    def widen(self, found: float) -> float:
        """Returns the limit, once a picture has asked for ``found``."""
        if self.widens:
            self.value = max(self.value, found)
        return self.value


Limit = float | RunningLimit | None


def common_limit(maps: np.ndarray) -> float:
    """Returns the limit of one picture: a high percentile, so that a few pixels do not rule."""
    magnitude = np.abs(maps)
    return float(np.percentile(magnitude, PERCENTILE) or magnitude.max())


def check_limit(limit: Limit) -> Limit:
    """Returns a positive number, a running limit or None."""
    if limit is None or isinstance(limit, RunningLimit):
        return limit
    if isinstance(limit, bool) or not isinstance(limit, (int, float, np.number)):
        raise ArgumentTypeError(
            "limit", f"got {type(limit).__name__}; give a number, a RunningLimit or None"
        )
    if not (math.isfinite(limit) and limit > 0):
        raise ArgumentError("limit", f"got {limit}; give a positive number, or None for a limit")
    return float(limit)


def choose_limit(limit: Limit, found: float) -> tuple[float, str]:
    """Returns the limit of a picture that would have ``found`` by itself, and how it came about."""
    if limit is None:
        return found, f"full colour at the {PERCENTILE}th percentile"
    if isinstance(limit, RunningLimit):
        return limit.widen(found), "one scale for the run, the widest so far"
    return limit, "full colour at a given limit"
