"""What every method returns."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Attribution:
    """The attributions of a batch of images.

    Attributes:
        values: float64 (N, H, W, C, K'), adding up to full minus empty output over (H, W, C).
        regions: int (N,), how many distinct regions the evaluations resolved.
        error_std: Standard error of each value, where the method knows it.
        base: float64 (N, K'), the outputs that the values start from, where these are not the
            outputs of the empty images.
        grid: Patches down and across, where the regions are patches.
        clear: float64 (N, K'), the share of regions whose value is more than two standard errors
            from zero, where the method knows these.
        relative_error: float64 (N, K'), the regions' median standard error relative to the largest
            value, likewise.
    """

    values: np.ndarray
    regions: np.ndarray
    error_std: np.ndarray | None = None
    base: np.ndarray | None = None
    grid: tuple[int, int] | None = None
    clear: np.ndarray | None = None
    relative_error: np.ndarray | None = None
