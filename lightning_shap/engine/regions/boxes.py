"""Rectangles of pixels, and coalitions made of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch


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

    @property
    def slices(self) -> tuple[slice, slice, slice]:
        """The place of the box in an array (H, W, C)."""
        return (
            slice(self.top, self.bottom),
            slice(self.left, self.right),
            slice(self.first, self.last),
        )

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
        self.coalitions = coalitions
        self.whole = whole

    def __len__(self) -> int:
        return len(self.coalitions)

    def masks(self, start: int, stop: int, device: torch.device) -> torch.Tensor:
        """Paints the masks, as :class:`lightning_shap.engine.game.Coalitions` says."""
        rows = self.coalitions[start:stop]
        # Channels are split only below single pixels, so almost always one mask serves them all.
        depth = self.whole.last - self.whole.first
        shared = all(box.last - box.first == depth for boxes in rows for box in boxes)
        masks = np.zeros(
            (len(rows), 1 if shared else depth, self.whole.bottom, self.whole.right), bool
        )
        for mask, boxes in zip(masks, rows, strict=True):
            for top, bottom, left, right, first, last in boxes:
                mask[first:last, top:bottom, left:right] = True
        return torch.from_numpy(masks).to(device)
