"""Allow an explanation so many evaluations that training stays quick."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from lightning_shap.errors import ArgumentError
from lightning_shap.training.messages import inform

# Fewer evaluations than this resolve too few regions to be worth a picture.
LEAST = 16


class TimeBudget:
    """Cuts evaluations down to what the time allows, or the whole explanation.

    Evaluations are halved as often as needed, so that few different numbers of them occur. The
    first explanation has to be made to know what one costs, with the least evaluations. The
    training's time is counted from here on.

    Args:
        limit: ``"10%"`` of the time since training started, explanations included; a number of
            seconds for each explanation; None for no limit.

    Raises:
        ValueError: If the limit is none of these, or not above zero.
    """

    def __init__(self, limit: str | float | None) -> None:
        self.limit = limit
        self._share, self._seconds = _parse(limit)
        self._began = time.perf_counter()
        self._spent = 0.0
        self._per_row = 0.0
        self._fixed: float | None = None  # drawing, logging: what no evaluation saves

    def allow(self, wanted: int, samples: int, title: str, *, needed: bool) -> int:
        """Returns :meth:`choose_evaluations`, and says so where they are fewer than wanted."""
        allowed = self.choose_evaluations(wanted, samples, needed=needed)
        if allowed < wanted:
            inform(
                f"ShapCallback: {allowed or 'no'} evaluations of {wanted} for {title!r}, "
                f"to keep to time_budget={self.limit!r}"
            )
        return allowed

    def choose_evaluations(self, wanted: int, samples: int, *, needed: bool = False) -> int:
        """Returns how many of the wanted evaluations a sample may take; 0 for none at all.

        Args:
            wanted: Evaluations without a budget.
            samples: How many samples share the time.
            needed: Rather the least than none.
        """
        least = min(LEAST, wanted)
        if self._share is None and self._seconds is None:
            return wanted
        if self._fixed is None:
            return least
        left = self._count_left() - self._fixed
        allowed = wanted
        while allowed > least and allowed * samples * self._per_row > left:
            allowed = max(allowed // 2, least)
        affordable = allowed * samples * self._per_row <= left
        return allowed if affordable or needed else 0

    @contextmanager
    def spend(self) -> Iterator["Spending"]:
        """Counts the time of an explanation, whether it succeeds or not."""
        spending = Spending()
        started = time.perf_counter()
        try:
            yield spending
        finally:
            seconds = time.perf_counter() - started
            self._spent += seconds
            if spending.rows:
                self._per_row = spending.model_seconds / spending.rows
                self._fixed = seconds - spending.model_seconds

    def _count_left(self) -> float:
        if self._seconds is not None:
            return self._seconds
        assert self._share is not None
        elapsed = time.perf_counter() - self._began
        # The explanation itself lengthens the time of which it may take its share.
        return (self._share * elapsed - self._spent) / (1 - self._share)


@dataclass
class Spending:
    """Holds what an explanation took of the model: rows, and seconds for them."""

    rows: int = 0
    model_seconds: float = 0.0


def _parse(limit: object) -> tuple[float | None, float | None]:
    """Returns a share of the time, or seconds."""
    if limit is None:
        return None, None
    if isinstance(limit, str):
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*%\s*", limit)
        if match is not None and 0 < float(match[1]) < 100:
            return float(match[1]) / 100, None
    elif isinstance(limit, (int, float)) and not isinstance(limit, bool) and limit > 0:
        return None, float(limit)
    raise ArgumentError(
        "time_budget",
        f"got {limit!r}; give a share of the time such as '10%', or the seconds that "
        "an explanation may take",
    )
