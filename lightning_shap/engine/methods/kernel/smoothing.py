"""Where players are in an image, and Gaussians of the distance between them."""

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

    @property
    def distances(self) -> np.ndarray:
        """(n, n), the squares of the distances between centres."""
        distances: np.ndarray = ((self.centres[:, None] - self.centres) ** 2).sum(-1)
        return distances


Layout: TypeAlias = tuple[int, int] | Places
"""Patches down and across, or places."""


def find_places(layout: Layout) -> Places:
    """Returns where players are; patches count as squares, whatever the image's shape."""
    if isinstance(layout, Places):
        return layout
    players = layout[0] * layout[1]
    centres = np.indices(layout).reshape(2, -1).T / np.sqrt(players)
    return Places(centres, np.full(players, 1 / players))


def smooth(distances: np.ndarray, log_lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns Gaussians of the distance between players, (L, n, n), and slopes by the log lengths.

    Divided by the roots of their row sums, so that a border does not weigh less than the middle.

    Args:
        distances: Squares of distances (n, n), see :class:`Places`.
        log_lengths: (L,), logarithms of the lengths in quarters of the image's side.
    """
    decay = distances * (16 * np.exp(-2 * log_lengths))[:, None, None]
    kernel = np.exp(decay / -2)
    slope = kernel * decay
    rows = kernel.sum(2)
    roots = 1 / np.sqrt(rows)
    both = roots[:, :, None] * roots[:, None]
    kernel *= both
    change = slope.sum(2) / rows / 2
    slope *= both
    slope -= kernel * (change[:, :, None] + change[:, None])
    return kernel, slope
