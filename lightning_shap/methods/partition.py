"""Owen values over the tree of pixel rectangles: SHAP's PartitionExplainer, number for number.

An image is halved along its longer side, again and again, channels last. A node of that tree is
worth what its region adds to the output, once with its surroundings absent and once with them
present, at every level above it. The descent spends its evaluations where the output changes most
and spreads what a node was found worth evenly over its pixels.

Source: `shap.PartitionExplainer`; Owen, "Values of games with a priori unions", 1977.
"""

import heapq
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import count, groupby
from operator import itemgetter
from typing import NamedTuple

import numpy as np

from lightning_shap.game import CoalitionGame
from lightning_shap.methods.attribution import Attribution
from lightning_shap.regions.boxes import Box, BoxCoalitions
from lightning_shap.regions.labelled import Regions, joined


def partition_values(
    game: CoalitionGame,
    targets: np.ndarray,
    base: np.ndarray,
    full: np.ndarray,
    *,
    max_evals: int,
    seed: int = 0,
    rows_per_round: int = 10,
) -> Attribution:
    """Owen values of every pixel.

    Args:
        game: The coalition game of N images.
        targets: int (N, K'), the outputs to explain.
        base: float64 (N, K'), these outputs with everything absent.
        full: float64 (N, K'), these outputs with everything present.
        max_evals: Rows an image may cost, ``base`` and ``full`` included.
        seed: Of no use, since nothing here is random.
        rows_per_round: Rows that an image asks for before it looks at the results; 10 as
            SHAP's ``batch_size``. The rounds of all images share model calls.
    """
    _, channels, height, width = game.images.shape
    whole = Box(0, height, 0, width, 0, channels)
    descents = [
        Descent(whole, *ends, max_rows=max_evals - 2, rows_per_round=rows_per_round)
        for ends in zip(base, full, strict=True)
    ]
    asked = _asked(descents)
    while asked:
        counts = [len(coalitions) for coalitions in asked.values()]
        images = np.repeat([*asked], counts)
        rows = [coalition for coalitions in asked.values() for coalition in coalitions]
        outputs = game.play(images, BoxCoalitions(rows, whole))
        outputs = np.take_along_axis(outputs, targets[images], axis=1)
        for image, answers in zip(asked, np.split(outputs, np.cumsum(counts)[:-1]), strict=True):
            descents[image].answer(answers)
        asked = _asked(descents)
    return Attribution(
        joined([descent.found() for descent in descents]),
        np.array([descent.regions for descent in descents]),
    )


def _asked(descents: Sequence["Descent"]) -> dict[int, list[tuple[Box, ...]]]:
    """The coalitions to evaluate next, by the numbers of the images whose walk goes on."""
    asked = {image: descent.ask() for image, descent in enumerate(descents)}
    return {image: coalitions for image, coalitions in asked.items() if coalitions}


class Node(NamedTuple):
    """A region in one context: what was present around it and the outputs without and with it."""

    box: Box
    present: tuple[Box, ...]
    without: np.ndarray
    with_: np.ndarray
    weight: float


class Descent:
    """One image's walk down the tree, the most promising nodes first."""

    def __init__(
        self, whole: Box, base: np.ndarray, full: np.ndarray, *, max_rows: int, rows_per_round: int
    ) -> None:
        self.rows_left = max_rows
        self._whole = whole
        self.rows_per_round = rows_per_round
        self._worth: dict[Box, np.ndarray] = defaultdict(lambda: np.zeros_like(base))
        self._split: set[Box] = set()
        self._asked: list[tuple[Node, Box, Box]] = []
        self._ages = count()  # equal nodes are visited in the order they were found
        self._queue = [(0.0, next(self._ages), Node(whole, (), base, full, 1.0))]

    def ask(self) -> list[tuple[Box, ...]]:
        """The coalitions to evaluate next, two for each node; none when the walk has ended."""
        coalitions: list[tuple[Box, ...]] = []
        while (
            self._queue
            and len(coalitions) < self.rows_per_round
            and len(coalitions) + 2 <= self.rows_left  # shap itself would spend one too many
        ):
            node = heapq.heappop(self._queue)[-1]
            halves = node.box.halves()
            if halves is None:
                self._settle(node)
                continue
            self._asked.append((node, *halves))
            coalitions += [(*node.present, half) for half in halves]
        self.rows_left -= len(coalitions)
        return coalitions

    def answer(self, outputs: np.ndarray) -> None:
        """Takes the outputs (rows, K') of the coalitions asked for and opens the nodes' halves."""
        pairs = outputs.reshape(-1, 2, outputs.shape[1])
        without = np.array([node.without for node, _, _ in self._asked])
        with_ = np.array([node.with_ for node, _, _ in self._asked])
        only_first, only_second = pairs[:, 0], pairs[:, 1]
        gains = (only_first - without, only_second - without, with_ - only_second)
        changes = np.abs(np.stack([*gains, with_ - only_first], axis=1)).max(axis=2)
        for (node, first, second), pair, change in zip(
            self._asked, pairs, changes.tolist(), strict=True
        ):
            self._split.add(node.box)
            halves = (
                (first, node.present, node.without, pair[0]),
                (second, node.present, node.without, pair[1]),
                (first, (*node.present, second), pair[1], node.with_),
                (second, (*node.present, first), pair[0], node.with_),
            )
            weight = node.weight / 2
            for half, promise in zip(halves, change, strict=True):
                entry = (-promise * weight, next(self._ages), Node(*half, weight))
                heapq.heappush(self._queue, entry)
        self._asked.clear()

    def found(self) -> Regions:
        """The regions of this one image: the leaves of the tree that the walk opened."""
        for _, _, node in self._queue:
            self._settle(node)
        self._queue.clear()
        shares = {
            box: (number, worth / box.size)
            for number, (box, worth) in enumerate(self._worth.items())
        }
        # The leaves of one pixel's channels, which follow one another, are one region.
        leaves = self._leaves(self._whole, [], shares)
        rectangles = [(edges, [*same]) for edges, same in groupby(leaves, lambda leaf: leaf[0][:4])]
        channels = self._whole.last
        depth = channels if any(len(same) > 1 for _, same in rectangles) else 1
        labels = np.empty((1, self._whole.bottom, self._whole.right), dtype=np.int32)
        per_pixel = np.empty((1, len(rectangles), depth, len(rectangles[0][1][0][1])))
        for number, ((top, bottom, left, right), same) in enumerate(rectangles):
            labels[0, top:bottom, left:right] = number
            for box, value in same:
                per_pixel[0, number, box.first : box.last] = value
        return Regions(labels, per_pixel, channels)

    def _leaves(
        self,
        box: Box,
        above: list[tuple[int, np.ndarray]],
        shares: dict[Box, tuple[int, np.ndarray]],
    ) -> Iterator[tuple[Box, np.ndarray]]:
        """The leaves in a box, each with what one of its pixels is worth through one channel.

        That is its share of each node around it, added up in the order the nodes were settled.
        """
        around = [*above, shares[box]] if box in shares else above
        if box not in self._split:
            value = np.zeros_like(around[0][1])
            for _, share in sorted(around, key=itemgetter(0)):
                value += share
            yield box, value
            return
        for half in box.halves() or ():
            yield from self._leaves(half, around, shares)

    @property
    def regions(self) -> int:
        """How many regions the walk separated: the leaves of the tree it opened."""
        return len(self._split) + 1

    def _settle(self, node: Node) -> None:
        self._worth[node.box] += (node.with_ - node.without) * node.weight
