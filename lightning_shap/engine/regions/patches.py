"""The players of the patch game: a grid of patches that tiles the image, and coalitions of them."""

import math

import numpy as np
import torch

from lightning_shap.errors import ArgumentError

EVALUATIONS_PER_PATCH = 4
LARGEST_SIDE = 14


class PatchGrid:
    """An image cut into ``rows`` x ``columns`` patches whose sides differ by a pixel at most.

    Args:
        grid: Patches down and across.
        size: Height and width of the image.
    """

    def __init__(self, grid: tuple[int, int], size: tuple[int, int]) -> None:
        for patches, pixels, side in zip(grid, size, ("rows", "columns"), strict=True):
            if not 1 <= patches <= pixels:
                raise ArgumentError(
                    "grid",
                    f"asks for {patches} {side} of patches on an image of {size[0]} x {size[1]} "
                    f"pixels; give between 1 and {pixels} {side}",
                )
        self.grid = grid
        self.size = size
        down, across = (np.arange(p) * g // p for g, p in zip(grid, size, strict=True))
        self.labels: np.ndarray = down[:, None] * grid[1] + across[None, :]
        self.pixels: np.ndarray = np.bincount(self.labels.ravel(), minlength=grid[0] * grid[1])

    @property
    def players(self) -> int:
        """How many patches there are."""
        return self.grid[0] * self.grid[1]


class PatchCoalitions:
    """Coalitions of patches; their masks are looked up on the device, batch by batch.

    Args:
        present: bool (R, n), which patches each coalition holds.
        patches: The grid they belong to.
    """

    def __init__(self, present: np.ndarray, patches: PatchGrid) -> None:
        self.present = torch.from_numpy(present)
        self.labels = torch.from_numpy(patches.labels)

    def __len__(self) -> int:
        return len(self.present)

    def masks(self, start: int, stop: int, device: torch.device) -> torch.Tensor:
        """See :class:`lightning_shap.engine.game.Coalitions`."""
        self.labels = self.labels.to(device)
        return self.present[start:stop].to(device)[:, self.labels][:, None]


def choose_grid(max_evals: int, size: tuple[int, int]) -> tuple[int, int]:
    """A grid that the budget can resolve: four evaluations a patch, patches near square.

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
