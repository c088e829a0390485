"""The players of the patch game: a grid of patches that tiles the image, and coalitions of them."""

import math

import numpy as np
import torch

from lightning_shap.engine.regions.masks import look_up
from lightning_shap.errors import ArgumentError

EVALUATIONS_PER_PATCH = 4
LARGEST_SIDE = 14


def label_patches(grid: tuple[int, int], size: tuple[int, int]) -> np.ndarray:
    """Returns the patch of each pixel, int32 (H, W); their sides differ by a pixel at most.

    Args:
        grid: Patches down and across.
        size: Height and width of the image.

    Raises:
        ArgumentError: If there are more patches than pixels along a side.
    """
    for patches, pixels, side in zip(grid, size, ("rows", "columns"), strict=True):
        if not 1 <= patches <= pixels:
            raise ArgumentError(
                "grid",
                f"asks for {patches} {side} of patches on an image of {size[0]} x {size[1]} "
                f"pixels; give between 1 and {pixels} {side}",
            )
    down, across = (np.arange(p) * g // p for g, p in zip(grid, size, strict=True))
    labels: np.ndarray = down[:, None] * grid[1] + across[None, :]
    return labels.astype(np.int32)


class LabelledCoalitions:
    """Coalitions of patches or segments; their masks are looked up on the device, batch by batch.

    Args:
        present: bool (R, n), which players each coalition holds.
        labels: int (H, W), the player of each pixel, or (N, H, W) of each image.
        images: int (R,), which image each coalition is of; ignored where all have the same labels.
    """

    def __init__(
        self, present: np.ndarray, labels: np.ndarray, images: np.ndarray | None = None
    ) -> None:
        self.present = torch.from_numpy(present).view(torch.uint8)
        self.labels = torch.from_numpy(labels).long().reshape(-1, *labels.shape[-2:])
        if images is None or len(self.labels) == 1:
            images = np.zeros(len(present), dtype=np.int64)
        self.images = images

    def __len__(self) -> int:
        return len(self.present)

    def masks(self, start: int, stop: int, device: torch.device) -> torch.Tensor:
        """Looks up the masks, as :class:`lightning_shap.engine.game.Coalitions` says."""
        self.labels, self.present = self.labels.to(device), self.present.to(device)
        places = self.labels.flatten(1)
        found = look_up(self.present[start:stop], places, self.images[start:stop])
        return found.unflatten(1, self.labels.shape[1:])[:, None]


def choose_grid(max_evals: int, size: tuple[int, int]) -> tuple[int, int]:
    """Returns the grid that a budget resolves: four evaluations a patch, patches near square.

    On ImageNet networks and photographs insertion and deletion curves were best, or as good as the
    best, with as many (examples/benchmarks/grids.py).
    """
    players = max(1.0, max_evals / EVALUATIONS_PER_PATCH)
    height, width = size
    rows = round(math.sqrt(players * height / width))
    columns = round(math.sqrt(players * width / height))
    return (
        min(max(1, rows), LARGEST_SIDE, height),
        min(max(1, columns), LARGEST_SIDE, width),
    )
