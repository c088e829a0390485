"""The attributions that every method returns."""

from dataclasses import dataclass

import numpy as np

from lightning_shap.explanation.regions import Regions


@dataclass(frozen=True)
class Attribution:
    """The attributions of a batch of images.

    Attributes:
        found: What each region adds, or where every pixel is a region of its own the values of all
            pixels, (N, H, W, C, K'). Over (H, W, C) they add up to full minus empty output.
        regions: int (N,), how many distinct regions the evaluations resolved.
        base: float64 (N, K'), the outputs that the values start from, where these are not the
            outputs of the empty images.
        grid: Patches down and across, where the regions are patches.
        clear: float64 (N, K'), the share of regions whose value is more than two standard errors
            from zero, where the method knows these.
        relative_error: float64 (N, K'), the regions' median standard error relative to the largest
            value, likewise.
    """

    found: Regions | np.ndarray
    regions: np.ndarray
    base: np.ndarray | None = None
    grid: tuple[int, int] | None = None
    clear: np.ndarray | None = None
    relative_error: np.ndarray | None = None

    @property
    def values(self) -> np.ndarray:
        """The values of all pixels, (N, H, W, C, K')."""
        return self.found.dense() if isinstance(self.found, Regions) else self.found

    @property
    def error_std(self) -> np.ndarray | None:
        """Their standard errors, where the method knows them."""
        return self.found.dense_std() if isinstance(self.found, Regions) else None

    @property
    def totals(self) -> np.ndarray:
        """float64 (N, K'), the sum of each map."""
        if isinstance(self.found, Regions):
            return self.found.values.sum(axis=1)
        # One image at a time: NumPy may add up in double precision by way of a copy.
        return np.stack([image.sum((0, 1, 2), dtype=np.float64) for image in self.found])
