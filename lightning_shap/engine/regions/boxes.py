"""Rectangles of pixels, and coalitions made of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple

import numpy as np
import torch

from lightning_shap.engine.regions.masks import send


class Box(NamedTuple):
    """A block of pixels and channels, half-open as Python's ranges are."""

    top: int
    bottom: int
    left: int
    right: int
    first: int
    last: int

    @property
    def size(self) -> int:
        """Pixels times channels."""
        return (self.bottom - self.top) * (self.right - self.left) * (self.last - self.first)

    def halve(self) -> tuple["Box", "Box"] | None:
        """Returns the box cut across its longer side, channels last; None if one value is left.

        Of an odd length the first half gets the larger part: SHAP numbers its pixels from the
        last to the first, which turns its own "smaller half first" around.
        """
        height, width, depth = (
            self.bottom - self.top,
            self.right - self.left,
            self.last - self.first,
        )
        if height >= width and height > 1:
            cut = self.bottom - height // 2
            return self._replace(bottom=cut), self._replace(top=cut)
        if width > 1:
            cut = self.right - width // 2
            return self._replace(right=cut), self._replace(left=cut)
        if depth > 1:
            cut = self.last - depth // 2
            return self._replace(last=cut), self._replace(first=cut)
        return None


@dataclass(frozen=True)
class BoxTree:
    """The tree of SHAP's PartitionExplainer: boxes, halved down to single values.

    Attributes:
        root: The whole image.
    """

    root: Box

    def halve(self, box: Box) -> tuple[Box, Box] | None:
        """Returns the two halves of a box; None if it cannot be cut."""
        return box.halve()

    def size(self, box: Box) -> int:
        """Returns the pixels times channels of a box."""
        return box.size


class BoxCoalitions:
    """Coalitions given as disjoint boxes, whose masks are painted batch by batch.

    Args:
        coalitions: The boxes present in each coalition.
        whole: The box of the whole image.
    """

    def __init__(self, coalitions: Sequence[tuple[Box, ...]], whole: Box) -> None:
        counts = np.array([len(boxes) for boxes in coalitions])
        edges = np.fromiter(chain.from_iterable(chain.from_iterable(coalitions)), dtype=np.int64)
        boxes = edges.reshape(-1, 3, 2)
        most = counts.max(initial=1)
        padded = np.zeros((len(counts), most, 3, 2), dtype=np.int64)  # with boxes of nothing
        padded[np.arange(most) < counts[:, None]] = boxes
        self.edges = padded
        # Channels are split only below single pixels, so almost always one mask serves them all.
        depth = whole.last - whole.first
        shared = bool((boxes[:, 2, 1] - boxes[:, 2, 0] == depth).all())
        self.sides = (whole.bottom, whole.right, 1 if shared else depth)

    def __len__(self) -> int:
        return len(self.edges)

    def masks(self, start: int, stop: int, device: torch.device) -> torch.Tensor:
        """Paints the masks, as :class:`lightning_shap.engine.game.Coalitions` says."""
        edges = send(self.edges[start:stop], device)
        inside = []  # of each side, which of its pixels each box has: (R, boxes, pixels)
        for number, pixels in enumerate(self.sides):
            place = torch.arange(pixels, device=device)
            first, last = edges[:, :, number].unsqueeze(-1).unbind(-2)
            inside.append(((place >= first) & (place < last)).float())
        down, across, through = inside
        # A pixel is in one box at most, so that sums over boxes are ones and zeros.
        rows = (through.unsqueeze(-1) * down.unsqueeze(-2)).flatten(2)
        return (rows.mT @ across).unflatten(1, (-1, self.sides[0]))
