"""Metrics of explanations, and those that are the mean over maps of one number a map."""

from typing import Any
from uuid import uuid4

import numpy as np
import torch
from torchmetrics import Metric

from lightning_shap.analysis.metrics.cells import any_maps
from lightning_shap.explanation.maps import Maps


class ExplanationMetric(Metric):
    """A metric of explanations, of the first map of each image: the true class, or the highest.

    Another class is measured with a slice, such as ``explanation[..., 1]``.

    Args:
        kwargs: See ``torchmetrics.Metric``.
    """

    is_differentiable = False
    full_state_update = False

    # A MetricCollection takes two metrics for one from then on if all their states are equal after
    # its first update, as shares are that are both zero, and insertion and deletion while a model
    # is constant. This one never is.
    identity: torch.Tensor
    maps: torch.Tensor

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_state("identity", torch.tensor(list(uuid4().bytes)), "max")
        self.add_state("maps", torch.tensor(0), "sum")

    def plot(self, val: Any = None, ax: Any = None) -> Any:
        """Draws what :meth:`compute` returned, or a list of such results, with matplotlib."""
        return self._plot(val, ax)


class MeanOfMaps(ExplanationMetric):
    """The mean over maps of one number a map; maps without one are left out.

    Args:
        kwargs: See ``torchmetrics.Metric``.
    """

    total: torch.Tensor

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_state("total", torch.tensor(0.0), "sum")

    def update(self, explanation: Any) -> None:
        """Takes in some maps.

        Args:
            explanation: What :func:`lightning_shap.explain` returned, a slice of it, any
                ``shap.Explanation`` of images, or attributions (N, H, W) or (N, C, H, W).

        Raises:
            ValueError: If it is none of these, or not finite.
        """
        self._add(self._measure(any_maps(explanation)))

    def compute(self) -> torch.Tensor:
        """Returns the mean over all maps, NaN where there was none."""
        return self.total / self.maps

    def _measure(self, maps: Maps) -> np.ndarray:
        """Returns a number for each image's first map, float64 (N,), NaN where there is none."""
        raise NotImplementedError

    def _add(self, numbers: np.ndarray) -> None:
        known = numbers[np.isfinite(numbers)]
        self.total = self.total + float(known.sum())
        self.maps = self.maps + known.size
