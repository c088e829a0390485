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
    """

    found: Regions | np.ndarray
    regions: np.ndarray
    base: np.ndarray | None = None
    grid: tuple[int, int] | None = None

    @property
    def values(self) -> np.ndarray:
        """The values of all pixels, (N, H, W, C, K')."""
        return self.found.dense() if isinstance(self.found, Regions) else self.found

    @property
    def error_std(self) -> np.ndarray | None:
        """Their standard errors, where the method knows them."""
        return self.found.dense_std() if isinstance(self.found, Regions) else None

    @property
    def clear(self) -> np.ndarray | None:
        """The share of regions more than two standard errors from zero, float64 (N, K').

        None where the method knows no errors.
        """
        if not isinstance(self.found, Regions) or self.found.error_std is None:
            return None
        clear = np.abs(self.found.values) > 2 * self.found.error_std
        return clear.sum(axis=1) / (self.found.sizes > 0).sum(axis=1, keepdims=True)

    @property
    def relative_error(self) -> np.ndarray | None:
        """The regions' median standard error relative to the largest value, float64 (N, K').

        0 where all values are zero; None where the method knows no errors.
        """
        if not isinstance(self.found, Regions) or self.found.error_std is None:
            return None
        there = self.found.sizes[:, :, None] > 0
        largest = np.abs(self.found.values).max(axis=1)
        median = np.nanmedian(np.where(there, self.found.error_std, np.nan), axis=1)
        return np.where(largest > 0, median / np.where(largest > 0, largest, 1), 0.0)

    @property
    def totals(self) -> np.ndarray:
        """float64 (N, K'), the sum of each map."""
        if isinstance(self.found, Regions):
            return self.found.values.sum(axis=1)
        # One image at a time: NumPy may add up in double precision by way of a copy.
        return np.stack([image.sum((0, 1, 2), dtype=np.float64) for image in self.found])
