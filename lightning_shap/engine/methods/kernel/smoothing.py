"""A Gaussian of the distance between players, which smooths coalitions."""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np


@dataclass(frozen=True)
class Places:
    """Places and sizes of players of any shape.

    Attributes:
        centres: float (n, 2), down and across, in units in which the image has an area of one.
        areas: float (n,), their shares of the image.
    """

    centres: np.ndarray
    areas: np.ndarray


Layout: TypeAlias = tuple[int, int] | Places
"""Patches down and across, or places."""


def players_of(layout: Layout) -> int:
    """Returns how many players there are."""
    return len(layout.areas) if isinstance(layout, Places) else layout[0] * layout[1]


class Smoothing:
    """A Gaussian of the distance between players, evened out at the border.

    On a grid it is never formed: it smooths along rows and then along columns.

    Args:
        layout: Where the players are.
        log_length: Logarithm of its length in quarters of the image's side.
    """

    def __init__(self, layout: Layout, log_length: float) -> None:
        self.layout = layout
        length = np.exp(log_length) / 4
        if isinstance(layout, Places):
            apart = ((layout.centres[:, None] - layout.centres) ** 2).sum(-1)
            self.whole, self.whole_slope = _evaluate_gaussian(apart / length**2)
            return
        length *= np.sqrt(layout[0] * layout[1])
        (self.down, self.down_slope), (self.across, self.across_slope) = (
            _evaluate_gaussian((np.arange(side)[:, None] - np.arange(side)) ** 2 / length**2)
            for side in layout
        )

    def __call__(self, s: np.ndarray) -> np.ndarray:
        """Returns smoothed coalitions (R, n)."""
        if isinstance(self.layout, Places):
            return s @ self.whole
        return self._smooth_along(s, self.layout, self.down, self.across)

    def slope(self, s: np.ndarray) -> np.ndarray:
        """Returns the derivative of smoothed coalitions by the log length, (R, n)."""
        if isinstance(self.layout, Places):
            return s @ self.whole_slope
        return self._smooth_along(
            s, self.layout, self.down_slope, self.across
        ) + self._smooth_along(s, self.layout, self.down, self.across_slope)

    def _smooth_along(
        self, s: np.ndarray, grid: tuple[int, int], down: np.ndarray, across: np.ndarray
    ) -> np.ndarray:
        return (down @ (s.reshape(-1, *grid) @ across)).reshape(s.shape)


def _evaluate_gaussian(decay: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the Gaussian of squared distances in lengths, and its slope by the log length.

    Divided by the roots of its row sums, so that a border does not weigh less than the middle.
    """
    kernel = np.exp(-decay / 2)
    slope = kernel * decay
    rows = kernel.sum(1)
    even = kernel / np.sqrt(np.outer(rows, rows))
    change = slope.sum(1) / rows
    return even, slope / np.sqrt(np.outer(rows, rows)) - even * (change[:, None] + change) / 2
