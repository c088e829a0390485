"""The walk down a tree of regions, the most promising first: SHAP's PartitionExplainer.

A node of the tree is worth what its region adds to the output, once with its surroundings absent
and once with them present, at every level above it. The descent spends its evaluations where the
output changes most and spreads what a node was found worth evenly over its pixels.

Source: `shap.PartitionExplainer`; Owen, "Values of games with a priori unions", 1977.
"""

import heapq
from collections import defaultdict
from collections.abc import Iterator
from itertools import count
from operator import itemgetter
from typing import Generic, NamedTuple, Protocol, TypeVar

import numpy as np

Region = TypeVar("Region")


class RegionTree(Protocol[Region]):
    """A binary tree whose root is the whole image and whose every node is a region of it."""

    @property
    def root(self) -> Region:
        """The whole image."""

    def halve(self, region: Region) -> tuple[Region, Region] | None:
        """Returns the two regions that make up one; None if it cannot be cut."""

    def size(self, region: Region) -> int:
        """Returns over how many parts a region's worth is spread: pixels, or pixels x channels."""


class Node(NamedTuple, Generic[Region]):
    """A region in one context: what was present around it and the outputs without and with it."""

    region: Region
    present: tuple[Region, ...]
    without: np.ndarray
    with_: np.ndarray
    weight: float


class Look(NamedTuple):
    """What a region and its first half added to the outputs in one context of some weight."""

    weight: float
    gain: np.ndarray
    first: np.ndarray


class Descent(Generic[Region]):
    """One image's walk down the tree, the most promising nodes first.

    Args:
        tree: Of the image's regions.
        base: float64 (K',), the outputs with everything absent.
        full: float64 (K',), those with everything present.
        max_rows: Rows that the walk may cost, without these two.
        rows_per_round: Rows to ask for before looking at the results.
        leading: How many of the outputs, the first ones, decide what is promising; None for all, as
            in shap. The maps of these are then the same whichever others stand beside them.

    Attributes:
        looks: What was seen of each region that was opened, in each context in which it was.
        unopened: Once the walk ended, the weight of the contexts in which a region was not.
    """

    def __init__(
        self,
        tree: RegionTree[Region],
        base: np.ndarray,
        full: np.ndarray,
        *,
        max_rows: int,
        rows_per_round: int,
        leading: int | None = None,
    ) -> None:
        self.rows_left = max_rows
        self._tree = tree
        self._leading = leading
        self.rows_per_round = rows_per_round
        self._worth: dict[Region, np.ndarray] = defaultdict(lambda: np.zeros_like(base))
        self.looks: dict[Region, list[Look]] = defaultdict(list)
        self.unopened: dict[Region, float] = defaultdict(float)
        self._asked: list[tuple[Node[Region], Region, Region]] = []
        self._ages = count()  # equal nodes are visited in the order they were found
        self._queue = [(0.0, next(self._ages), Node(tree.root, (), base, full, 1.0))]

    def ask(self) -> list[tuple[Region, ...]]:
        """Returns the coalitions to evaluate next, two for each node; none when the walk ends."""
        coalitions: list[tuple[Region, ...]] = []
        while (
            self._queue
            and len(coalitions) < self.rows_per_round
            and len(coalitions) + 2 <= self.rows_left  # shap itself would spend one too many
        ):
            node = heapq.heappop(self._queue)[-1]
            halves = self._tree.halve(node.region)
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
        changes = np.abs(np.stack([*gains, with_ - only_first], axis=1))
        changes = changes[..., : self._leading].max(axis=2)
        of_first = (gains[0] + gains[2]) / 2
        for (node, first, second), pair, change, gain in zip(
            self._asked, pairs, changes.tolist(), of_first, strict=True
        ):
            self.looks[node.region].append(Look(node.weight, node.with_ - node.without, gain))
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

    def leaves(self) -> list[tuple[Region, np.ndarray]]:
        """Returns the regions found, leaves of the tree that was opened, and their pixels' values.

        A pixel's value, through one channel, is its share of each node around it, added up in the
        order in which the nodes were settled.
        """
        for _, _, node in self._queue:
            self._settle(node)
        self._queue.clear()
        shares = {
            region: (number, worth / self._tree.size(region))
            for number, (region, worth) in enumerate(self._worth.items())
        }
        return [*self._leaves(self._tree.root, [], shares)]

    def _leaves(
        self,
        region: Region,
        above: list[tuple[int, np.ndarray]],
        shares: dict[Region, tuple[int, np.ndarray]],
    ) -> Iterator[tuple[Region, np.ndarray]]:
        around = [*above, shares[region]] if region in shares else above
        if region not in self.looks:
            value = np.zeros_like(around[0][1])
            for _, share in sorted(around, key=itemgetter(0)):
                value += share
            yield region, value
            return
        for half in self._tree.halve(region) or ():
            yield from self._leaves(half, around, shares)

    @property
    def regions(self) -> int:
        """The number of regions that the walk separated: the leaves of the tree it opened."""
        return len(self.looks) + 1

    def _settle(self, node: Node[Region]) -> None:
        self._worth[node.region] += (node.with_ - node.without) * node.weight
        self.unopened[node.region] += node.weight
