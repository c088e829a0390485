"""Rankings of pixels by their attributions, and the coalitions that follow one step by step."""

import zlib
from typing import Any

import numpy as np
import torch

from lightning_shap.analysis.metrics.cells import any_maps
from lightning_shap.engine.incoming import bring_to_host, read_images
from lightning_shap.errors import ArgumentError


class Rankings:
    """Coalitions of the first pixels of a ranking, or of all but these.

    The rankings move to the device once; masks are comparisons there, batch by batch.

    Args:
        ranks: int (M, H, W), each pixel's place in each ranking, from 0.
        rankings: int (R,), the ranking that each coalition follows.
        counts: int (R,), how many pixels come first in it.
        removes: These pixels are absent and the others present, instead of the reverse.
    """

    def __init__(
        self, ranks: np.ndarray, rankings: np.ndarray, counts: np.ndarray, *, removes: bool
    ) -> None:
        self.ranks = torch.from_numpy(ranks.astype(np.int32))
        self.rankings = torch.from_numpy(rankings)
        self.counts = torch.from_numpy(counts.astype(np.int32))
        self.removes = removes

    def __len__(self) -> int:
        return len(self.counts)

    def masks(self, start: int, stop: int, device: torch.device) -> torch.Tensor:
        """Returns masks; see :class:`lightning_shap.engine.game.Coalitions`."""
        self.ranks = self.ranks.to(device)
        ranks = self.ranks[self.rankings[start:stop].to(device)]
        first = ranks < self.counts[start:stop, None, None].to(device)
        return (~first if self.removes else first)[:, None]


def rank_pixels(attributions: np.ndarray) -> np.ndarray:
    """Returns each pixel's place (H, W) from the highest attribution down; ties as one reads."""
    order = np.argsort(-attributions, axis=None, kind="stable")
    ranks = np.empty(order.size, dtype=np.int32)
    ranks[order] = np.arange(order.size)
    return ranks.reshape(attributions.shape)


def rank_at_random(attributions: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Returns the ranks of a map with the same regions of equal attribution, in random order.

    A blocky map uncovers whole objects at once, and so may any blocky map: only one of the same
    blocks is a fair comparison. Of attributions that are all different it is a random order of the
    pixels.
    """
    _, first, region = np.unique(attributions, return_index=True, return_inverse=True)
    # Regions are numbered in reading order and not by value: as long as they stay where they are,
    # from one epoch to the next, the random map stays the same.
    number = np.empty(len(first), dtype=np.int64)
    number[np.argsort(first)] = np.arange(len(first))
    priority = random.permutation(len(first))
    return rank_pixels(priority[number[region]].reshape(attributions.shape))


def rank_all(maps: np.ndarray, images: torch.Tensor, random_maps: int, seed: int) -> np.ndarray:
    """Returns the pixels' ranks in maps (N, H, W) and in random ones, (N, M, H, W)."""
    ranks = np.empty((len(maps), 1 + random_maps, *maps.shape[1:]), dtype=np.int32)
    for image, row in enumerate(images.detach().float().cpu().numpy()):
        # An image has random orders of its own, the same in any batch, process and epoch.
        own = zlib.crc32(row.tobytes())
        ranks[image, 0] = rank_pixels(maps[image])
        for turn in range(random_maps):
            random = np.random.default_rng([seed, own, turn])
            ranks[image, 1 + turn] = rank_at_random(maps[image], random)
    return ranks


def read_inputs(
    explanation: Any, images: torch.Tensor | None, targets: Any
) -> tuple[np.ndarray, torch.Tensor, np.ndarray]:
    """Returns first maps (N, H, W), images (N, C, H, W) and the maps' classes (N,).

    Args:
        explanation: What ``explain`` returned or a slice of it, another ``shap.Explanation`` of
            images, or attributions (N, H, W) or (N, C, H, W).
        images: (N, C, H, W), else those of the explanation.
        targets: Classes (N,) or (N, K'), else those of the explanation.

    Raises:
        ArgumentError: If shapes do not fit, or attributions are not finite.
    """
    is_plain = not hasattr(explanation, "base_values")
    if is_plain and (images is None or targets is None):
        raise ArgumentError(
            "images, targets",
            "are needed with plain attributions; give both, or what explain returned",
        )
    known = any_maps(explanation)
    maps = np.stack([known.get(image)[0] for image in range(known.source.shape[0])])
    if images is None:
        # torch warns of arrays that cannot be written to, as a callback's samples are.
        readable = known.images if known.images.flags.writeable else known.images.copy()
        images = torch.from_numpy(np.moveaxis(readable, -1, 1))
    if targets is None:
        targets = np.zeros(len(maps), int) if known.indexes is None else known.indexes
    images = read_images(images)
    if maps.shape != (len(images), *images.shape[2:]):
        raise ArgumentError(
            "explanation",
            f"has {len(maps)} maps of {maps.shape[1:]} pixels for images of shape "
            f"{tuple(images.shape)}; give a map of the same pixels for each image",
        )
    classes = np.asarray(bring_to_host(targets))
    classes = classes[:, None] if classes.ndim == 1 else classes
    if classes.ndim != 2 or len(classes) != len(maps) or classes.dtype.kind not in "iu":
        raise ArgumentError(
            "targets",
            f"have shape {classes.shape} and type {classes.dtype}; give a whole class "
            f"index for each of {len(maps)} maps",
        )
    return maps, images, classes[:, 0]
