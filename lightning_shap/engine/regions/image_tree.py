"""The partition tree of a picture: squares merged into regions, and these into larger ones.

Squares are the pixels, or as many pixels as leave no more than ``MOST_SQUARES`` of them: with four
times as many, maps of photographs at 224 px were no more faithful, and neither the time nor the
memory that a tree takes grows with the picture any more.

Neighbours are merged from single squares up to the whole picture, those first whose union is small,
of even colour and of short outline. Each merge is a node of a binary tree, so that its upper part
cuts the picture along its outlines and its leaves are the squares.

Merges that do not touch one another are made together: every pair of regions of which each is the
other's best neighbour. The colours and the area of a union only grow, so that such a pair rarely
finds a better partner later, and some forty rounds of array operations make the tree.

Sources: Salembier & Garrido, "Binary partition tree as an efficient representation for image
processing" (2000); Rashwan et al., "ShapBPT" (AAAI 2026) for what a union costs; reciprocal nearest
neighbours: Murtagh, "A survey of recent advances in hierarchical clustering algorithms" (1983).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256

import numpy as np
import torch

MOST_SQUARES = 128**2  # that a tree begins with
SMALLEST_RANGE = 0.02  # of colour, in standard deviations: what is as good as no difference


@dataclass(frozen=True)
class ImageTree:
    """A binary tree over the S squares of one picture.

    Nodes are numbers: the squares in reading order, then the unions in the order of their rounds,
    the whole picture last. Every node's squares follow one another in ``order``.

    Attributes:
        shape: Height and width of the picture, in pixels.
        side: That of a square, in pixels; the last row and column may be cut off by the border.
        order: int32 (S,), the squares, so that those of each node are together.
        starts: int32 (2 S - 1,), where in ``order`` each node's squares begin.
        stops: int32 (2 S - 1,), where they end.
        children: int32 (S - 1, 2), the parts of each union.
        costs: float64 (S - 1,), what each union cost: how unlike its parts are.
    """

    shape: tuple[int, int]
    side: int
    order: np.ndarray
    starts: np.ndarray
    stops: np.ndarray
    children: np.ndarray
    costs: np.ndarray

    @property
    def root(self) -> int:
        """The whole picture."""
        return len(self.starts) - 1

    def halve(self, node: int) -> tuple[int, int] | None:
        """Returns the two parts of a node; None if it is a single square."""
        union = node - len(self.order)
        if union < 0:
            return None
        first, second = self.children[union].tolist()
        return first, second

    def size(self, node: int) -> int:
        """Returns how many pixels a node has."""
        return int(self._pixels_before[self.stops[node]] - self._pixels_before[self.starts[node]])

    @cached_property
    def _pixels_before(self) -> np.ndarray:
        """int64 (S + 1,), how many pixels the first squares in ``order`` have together."""
        down, across = (
            np.minimum(self.side, length - np.arange(0, length, self.side)) for length in self.shape
        )
        pixels = np.outer(down, across).ravel()[self.order]
        return np.concatenate([[0], np.cumsum(pixels)])

    def squares(self, node: int) -> np.ndarray:
        """Returns the numbers, in reading order, of the squares in a node."""
        return self.order[self.starts[node] : self.stops[node]]

    def labels(self, nodes: Sequence[int]) -> np.ndarray:
        """Returns int32 (H, W), in which of some nodes, together the picture, each pixel is."""
        labels = np.empty(len(self.order), dtype=np.int32)
        for number, node in enumerate(nodes):
            labels[self.squares(node)] = number
        return self.enlarge(torch.from_numpy(labels)).numpy()

    def enlarge(self, squares: torch.Tensor) -> torch.Tensor:
        """Returns for each pixel (..., H, W) what is known of its square (..., S)."""
        height, width = self.shape
        rows = squares.unflatten(-1, (-(-height // self.side), -1))
        if self.side == 1:
            return rows
        lines = rows.repeat_interleave(self.side, dim=-1)[..., None, :]
        pixels = lines.expand(*lines.shape[:-2], self.side, -1).flatten(-3, -2)
        return pixels[..., :height, :width]

    @cached_property
    def places(self) -> np.ndarray:
        """int64 (S,), where in ``order`` each square is."""
        places = np.empty(len(self.order), dtype=np.int64)
        places[self.order] = np.arange(len(places))
        return places

    def segments(self, count: int) -> list[int]:
        """Returns the ``count`` nodes left when the dearest unions are undone, or all squares."""
        nodes = [self.root]
        unions = len(self.order)
        while len(nodes) < min(count, unions):
            dearest = max((n for n in nodes if n >= unions), key=lambda n: self.costs[n - unions])
            nodes.remove(dearest)
            nodes += self.children[dearest - unions].tolist()
        return nodes


class ImageTrees:
    """The trees of pictures, kept from one explanation to the next as long as they are the same."""

    def __init__(self) -> None:
        self._trees: dict[tuple[bytes, tuple[int, ...]], ImageTree] = {}

    def grow(self, images: torch.Tensor) -> list[ImageTree]:
        """Returns the tree of each image (N, C, H, W); only new images take time."""
        pictures = images.detach().float().cpu().numpy()
        keys = [
            (sha256(np.ascontiguousarray(image).data).digest(), image.shape) for image in pictures
        ]
        known = self._trees
        self._trees = {}
        for key, image in zip(keys, pictures, strict=True):
            if key not in self._trees:
                self._trees[key] = known[key] if key in known else grow_tree(image)
        return [self._trees[key] for key in keys]


def grow_tree(image: np.ndarray) -> ImageTree:
    """Returns the partition tree of a picture.

    Args:
        image: float (C, H, W). Channels count alike, and by how they vary: neither their scale nor
            their order, nor a channel given twice, changes the tree.
    """
    _, height, width = image.shape
    side = 1
    while -(-height // side) * -(-width // side) > MOST_SQUARES:
        side += 1
    if side > 1:  # a square that the border cuts off is the mean of what there is
        pixels = torch.from_numpy(np.require(image, requirements=["C", "W"]))
        image = torch.nn.functional.avg_pool2d(pixels, side, ceil_mode=True).numpy()
    merging = _Merging(_standardise(image), _list_neighbours(*image.shape[1:]))
    while merging.regions > 1:
        merging.merge_best_pairs()
    return merging.tree((height, width), side)


def _standardise(image: np.ndarray) -> np.ndarray:
    """Returns colours (C, S) whose squares, summed over channels, average to one."""
    colours = image.reshape(len(image), -1).astype(np.float64)
    colours -= colours.mean(axis=1, keepdims=True)
    scale = np.sqrt((colours**2).sum(axis=0).mean())
    return colours / (scale if scale > 0 else 1.0)


def _list_neighbours(height: int, width: int) -> np.ndarray:
    """Returns the pairs of squares (2, E) that share a side."""
    square = np.arange(height * width).reshape(height, width)
    across = np.stack([square[:, :-1].ravel(), square[:, 1:].ravel()])
    down = np.stack([square[:-1].ravel(), square[1:].ravel()])
    return np.concatenate([across, down], axis=1)


class _Merging:
    """Regions on their way from squares to the whole picture.

    Args:
        colours: (C, S), of each square.
        pairs: (2, E), which squares are neighbours.
    """

    def __init__(self, colours: np.ndarray, pairs: np.ndarray) -> None:
        squares = colours.shape[1]
        self.squares = squares
        self.pairs = pairs
        self.shared: np.ndarray = np.ones(pairs.shape[1])  # of the outlines of a pair
        self.node = np.arange(squares)
        self.area = np.ones(squares)
        self.outline = np.full(squares, 4.0)
        self.lowest, self.highest = colours, colours.copy()
        self.made: list[np.ndarray] = []  # a round's unions: their parts, (2, M)
        self.costs: list[np.ndarray] = []
        self.random = np.random.default_rng(0)

    @property
    def regions(self) -> int:
        """The number of regions."""
        return len(self.node)

    def merge_best_pairs(self) -> None:
        """Merges all pairs of regions of which each is the other's best neighbour."""
        first, second = self.pairs
        cost = self._cost_unions(first, second)
        # Ties are broken at random: in order, an even area would merge square by square.
        cost *= 1 + 1e-6 * self.random.random(len(cost))
        best = np.full(self.regions, np.inf)
        np.minimum.at(best, first, cost)
        np.minimum.at(best, second, cost)
        picked = np.flatnonzero((best.take(first) == cost) & (best.take(second) == cost))
        last = np.empty(self.regions, dtype=np.int64)  # should a tie be left, one pair a region
        last[first[picked]] = picked
        last[second[picked]] = picked
        picked = picked[(last[first[picked]] == picked) & (last[second[picked]] == picked)]
        self._merge(first[picked], second[picked], picked, cost[picked])

    def _cost_unions(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Returns what the union of each pair of neighbours costs."""
        unlike = np.full(len(first), SMALLEST_RANGE**2)
        for lowest, highest in zip(self.lowest, self.highest, strict=True):
            span = np.maximum(highest.take(first), highest.take(second))
            span -= np.minimum(lowest.take(first), lowest.take(second))
            unlike += np.square(span, out=span)
        area = self.area.take(first) + self.area.take(second)
        outline = self.outline.take(first) + self.outline.take(second) - 2 * self.shared
        return unlike * area * np.sqrt(outline)

    def _merge(
        self, kept: np.ndarray, gone: np.ndarray, picked: np.ndarray, cost: np.ndarray
    ) -> None:
        next_node = self.squares + sum(unions.shape[1] for unions in self.made)
        self.made.append(np.stack([self.node[kept], self.node[gone]]))
        self.costs.append(cost)
        self.node[kept] = next_node + np.arange(len(kept))
        self.area[kept] += self.area[gone]
        self.outline[kept] += self.outline[gone] - 2 * self.shared[picked]
        left = np.ones(self.regions, dtype=bool)
        left[gone] = False
        for lowest, highest in zip(self.lowest, self.highest, strict=True):
            lowest[kept] = np.minimum(lowest[kept], lowest[gone])
            highest[kept] = np.maximum(highest[kept], highest[gone])
        rest = np.flatnonzero(left)
        for name in ("node", "area", "outline", "lowest", "highest"):
            setattr(self, name, getattr(self, name).take(rest, axis=-1))

        number = np.cumsum(left) - 1  # of each region from now on
        number[gone] = number[kept]
        first, second = number.take(self.pairs)
        low, high = np.minimum(first, second), np.maximum(first, second)
        apart = low != high
        key, which = np.unique(low[apart] * self.regions + high[apart], return_inverse=True)
        self.shared = np.bincount(which, self.shared[apart], minlength=len(key))
        self.pairs = np.stack(np.divmod(key, self.regions))

    def tree(self, shape: tuple[int, int], side: int) -> ImageTree:
        """Returns the tree of all unions made."""
        squares = self.squares
        nodes = 2 * squares - 1
        stops = squares + np.cumsum([unions.shape[1] for unions in self.made], dtype=np.int64)
        rounds = [*zip([squares, *stops], stops, self.made, strict=False)]
        count = np.ones(nodes, dtype=np.int32)
        for start, stop, unions in rounds:
            count[start:stop] = count[unions].sum(axis=0)
        starts = np.zeros(nodes, dtype=np.int32)
        for start, stop, unions in reversed(rounds):  # parts begin where their union does
            starts[unions[0]] = starts[start:stop]
            starts[unions[1]] = starts[start:stop] + count[unions[0]]
        order = np.empty(squares, dtype=np.int32)
        order[starts[:squares]] = np.arange(squares)
        children = np.concatenate([np.empty((2, 0), dtype=np.int64), *self.made], axis=1).T
        costs = np.concatenate([np.empty(0), *self.costs])
        children = children.astype(np.int32)
        return ImageTree(shape, side, order, starts, starts + count, children, costs)
