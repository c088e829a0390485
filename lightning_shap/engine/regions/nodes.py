"""Coalitions of nodes of pictures' trees, which follow what is in them."""

from collections.abc import Sequence
from itertools import chain

import numpy as np
import torch

from lightning_shap.engine.regions.image_tree import ImageTree
from lightning_shap.engine.regions.masks import list_runs, look_up, send


class NodeCoalitions:
    """Coalitions given as disjoint nodes of trees, whose masks are painted batch by batch.

    Args:
        coalitions: The nodes present in each coalition.
        images: int (R,), which tree each coalition's nodes are of.
        trees: All of one shape.
        places: int64 (N, S), those of each tree's squares, on the device.
    """

    def __init__(
        self,
        coalitions: Sequence[tuple[int, ...]],
        images: np.ndarray,
        trees: Sequence[ImageTree],
        places: torch.Tensor,
    ) -> None:
        self.images, self.like, self.places = images, trees[0], places
        counts = [len(nodes) for nodes in coalitions]
        self.before = np.concatenate([[0], np.cumsum(counts)])
        nodes = np.fromiter(chain.from_iterable(coalitions), dtype=np.int64)
        rows = np.repeat(np.arange(len(coalitions)), counts)
        spans = [
            (trees[image].starts[nodes[part]], trees[image].stops[nodes[part]])
            for image, part in list_runs(images[rows])
        ]
        self.spans = np.vstack([rows, np.concatenate([np.empty((2, 0), int), *spans], axis=1)])

    def __len__(self) -> int:
        return len(self.images)

    def masks(self, start: int, stop: int, device: torch.device) -> torch.Tensor:
        """Paints the masks, as :class:`lightning_shap.engine.game.Coalitions` says."""
        spans = self.spans[:, self.before[start] : self.before[stop]]
        rows, starts, stops = send(spans, device)
        # In the order of the tree, where the squares of a node follow one another.
        shape = (stop - start, len(self.like.order) + 1)
        steps = torch.zeros(shape, dtype=torch.int8, device=device)
        steps[rows - start, starts] += 1
        steps[rows - start, stops] -= 1
        present = steps.cumsum(1, dtype=torch.int8)
        return self.like.enlarge(look_up(present, self.places, self.images[start:stop]))[:, None]
