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
    """

    values: np.ndarray
    regions: np.ndarray
    error_std: np.ndarray | None = None
