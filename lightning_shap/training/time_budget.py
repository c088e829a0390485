"""Allow an explanation so many evaluations that training stays quick."""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from lightning_shap.errors import ArgumentError
from lightning_shap.explanation.phrases import number, whole_percent
from lightning_shap.training.messages import inform

# Fewer evaluations than this resolve too few regions to be worth a picture.
LEAST = 16
MUCH = 0.1  # of a training's time; explanations that take more say so
SLOW = 1.0  # seconds; an explanation that lasts longer says its cost while it is made

Seconds: TypeAlias = npt.NDArray[np.float64]
"""By the clock, and of the processors."""


class TimeBudget:
    """Cuts evaluations down to what the time allows, or the whole explanation, and says the cost.

    Evaluations are halved as often as needed, so that few different numbers of them occur. The
    first explanation has to be made to know what one costs, with the least evaluations. The
    training's time is counted from here on, by the clock and by what the processors did: beside
    other programs one of the two says less than the truth.

    Args:
        limit: ``"10%"`` of the time since training started, explanations included; a number of
            seconds for each explanation; None for no limit.

    Raises:
        ValueError: If the limit is none of these, or not above zero.
    """

    def __init__(self, limit: str | float | None) -> None:
        self.limit = limit
        self._share, self._seconds = _parse(limit)
        self._began = _read_clocks()
        self._spent = np.zeros(2)
        self._per_row = np.zeros(2)
        self._fixed: Seconds | None = None  # drawing, logging: what no evaluation saves
        self._ended = self._began  # the latest explanation
        self._lowered: list[int] = []  # the evaluations of explanations that had to have fewer
        self._asked = 0  # explanations
        self._said: set[str] = set()

    def allow(self, wanted: int, samples: int, title: str, *, needed: bool) -> int:
        """Returns :meth:`choose_evaluations`, and says so the first time they are too few."""
        allowed = self.choose_evaluations(wanted, samples, needed=needed)
        self._asked += 1
        if allowed < wanted:
            self._lowered.append(allowed)
            if len(self._lowered) == 1:
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
        if self.limit is None:
            return wanted
        if self._fixed is None:
            return least
        left = self._count_left() - self._fixed
        allowed = wanted
        while allowed > least and (allowed * samples * self._per_row > left).any():
            allowed = max(allowed // 2, least)
        affordable = (allowed * samples * self._per_row <= left).all()
        return allowed if affordable or needed else 0

    @contextmanager
    def spend(self, *, trains: bool = False) -> Iterator["Spending"]:
        """Counts the time of an explanation, whether it succeeds or not.

        Args:
            trains: There is a training behind it, of whose time it takes a share.
        """
        began = _read_clocks()
        trained = float((began - self._ended)[0]) if trains else None
        spending = Spending(lambda seconds, rows: self._say_cost(seconds, rows, trained))
        try:
            yield spending
        finally:
            taken = _read_clocks() - began
            self._spent += taken
            if spending.rows:
                self._ended = began + taken
                inside = taken * (spending.model_seconds / max(taken[0], 1e-9))
                self._per_row = inside / spending.rows
                self._fixed = taken - inside
                if trains:
                    spending.say(float(taken[0]), spending.rows)

    def conclude(self) -> None:
        """Says how many explanations the limit lowered or left out."""
        if self._lowered:
            share = self._spent / (_read_clocks() - self._began)
            inform(
                f"ShapCallback: time_budget={self.limit!r} lowered the evaluations of "
                f"{sum(map(bool, self._lowered))} explanations of {self._asked} and left out "
                f"{self._lowered.count(0)}; they took {whole_percent(share[0])} of the training"
            )

    def _say_cost(self, seconds: float, rows: int, trained: float | None) -> None:
        """Says once what an explanation costs, and once that it is much, where it is.

        Args:
            seconds: Of an explanation.
            rows: Of the model, in it.
            trained: Seconds of the training since the explanation before; None before the training.
        """
        words = ""
        if "cost" not in self._said:
            words = f"an explanation takes {rows:,} model rows, about {number(seconds, 2)} s"
        if trained is not None and "share" not in self._said:
            self._said.add("share")
            share = seconds / (seconds + trained)
            if share > MUCH and self.limit is None:
                words = words or f"an explanation takes about {number(seconds, 2)} s"
                words += (
                    f", {whole_percent(share)} of the training's time; "
                    f"time_budget='{MUCH:.0%}' keeps them to a tenth of it"
                )
        self._said.add("cost")
        if words:
            inform(f"ShapCallback: {words}")

    def _count_left(self) -> Seconds:
        if self._seconds is not None:
            return np.array([self._seconds, np.inf])
        assert self._share is not None
        elapsed = _read_clocks() - self._began
        # The explanation itself lengthens the time of which it may take its share.
        return (self._share * elapsed - self._spent) / (1 - self._share)


@dataclass
class Spending:
    """Holds what an explanation took of the model: rows, and seconds for them.

    Attributes:
        say: Says, once a fit, what so many seconds and rows of an explanation mean.
    """

    say: Callable[[float, int], None]
    rows: int = 0
    model_seconds: float = 0.0
    began: float = field(default_factory=lambda: time.perf_counter())

    def watch(self, done: int, total: int) -> None:
        """Says what the explanation will cost as soon as it proves to be a long one."""
        taken = time.perf_counter() - self.began
        if taken > SLOW and 0 < done < total:
            self.say(taken / done * total, total)


def _read_clocks() -> Seconds:
    """Returns the seconds of the clock, and those that the processors worked for this process."""
    return np.array([time.perf_counter(), time.process_time()])


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
