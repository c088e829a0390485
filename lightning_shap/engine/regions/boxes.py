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
        paint = _fill if device.type == "cpu" else _multiply
        return paint(rows, self.whole, 1 if shared else depth, device)


def _fill(
    rows: Sequence[tuple[Box, ...]], whole: Box, depth: int, device: torch.device
) -> torch.Tensor:
    """Fills masks on the host, box by box: a row has two or three, and filling one is quick."""
    masks = np.zeros((len(rows), depth, whole.bottom, whole.right), dtype=bool)
    for mask, boxes in zip(masks, rows, strict=True):
        for top, bottom, left, right, first, last in boxes:
            mask[first:last, top:bottom, left:right] = True
    return torch.from_numpy(masks).to(device)


def _multiply(
    rows: Sequence[tuple[Box, ...]], whole: Box, depth: int, device: torch.device
) -> torch.Tensor:
    """Multiplies masks on an accelerator, all boxes at once: only their edges travel there.

    A box is an outer product of its rows, columns and channels, and disjoint boxes add up: one
    small product paints a whole batch, however its boxes lie.
    """
    most = max(1, *(len(boxes) for boxes in rows))
    edges = np.zeros((len(rows), most, 6), dtype=np.int64)
    for row, boxes in zip(edges, rows, strict=True):
        row[: len(boxes)] = np.reshape(boxes, (-1, 6))
    on_device = torch.from_numpy(edges).to(device)
    down = _mark_inside(on_device[..., 0:2], whole.bottom)
    across = _mark_inside(on_device[..., 2:4], whole.right)
    if depth == 1:
        return torch.einsum("rbh,rbw->rhw", down, across)[:, None] > 0.5
    through = _mark_inside(on_device[..., 4:6], depth)
    return torch.einsum("rbc,rbh,rbw->rchw", through, down, across) > 0.5


def _mark_inside(edges: torch.Tensor, length: int) -> torch.Tensor:
    """Returns 1 between edges (R, B, 2) and 0 elsewhere, (R, B, length)."""
    position = torch.arange(length, device=edges.device)
    return ((position >= edges[..., :1]) & (position < edges[..., 1:])).float()
