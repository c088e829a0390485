"""Metrics of trust: errors of values, regions resolved, and what is missing."""

from typing import TYPE_CHECKING

import numpy as np

from lightning_shap.analysis.metrics.mean_of_maps import MeanOfMaps
from lightning_shap.errors import ArgumentError
from lightning_shap.explanation.maps import Maps

if TYPE_CHECKING:
    from lightning_shap.explanation.record import Record


class _OfRecord(MeanOfMaps):
    """A number that the record of an explanation knows."""

    def _measure(self, maps: Maps) -> np.ndarray:
        if maps.record is None:
            raise ArgumentError("explanation", "has no record; give what explain returned")
        known = self._read(maps.record, maps)
        return np.full(len(maps.images), np.nan) if known is None else known[:, 0]

    def _read(self, record: "Record", maps: Maps) -> np.ndarray | None:
        """Returns a number for each map, (N, K'), None where there is none."""
        raise NotImplementedError


class RelativeError(_OfRecord):
    """The median standard error of a region, relative to the largest value; NaN without errors.

    Args:
        kwargs: See ``torchmetrics.Metric``.

    Example:
        >>> import torch
        >>> from lightning_shap import RelativeError, explain
        >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 3))
        >>> metric = RelativeError()
        >>> metric.update(explain(model, torch.rand(2, 1, 8, 8), method="kernel", grid=2))
        >>> metric.compute()  # every coalition was evaluated
        tensor(0.)
    """

    higher_is_better = False

    def _read(self, record: "Record", maps: Maps) -> np.ndarray | None:
        return record.relative_error


class ClearShare(_OfRecord):
    """The share of regions whose value is more than two standard errors from zero.

    Args:
        kwargs: See ``torchmetrics.Metric``.

    Example:
        >>> import torch
        >>> from lightning_shap import ClearShare, explain
        >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 3))
        >>> metric = ClearShare()
        >>> metric.update(explain(model, torch.rand(2, 1, 8, 8), method="kernel", grid=2))
        >>> bool(0 <= metric.compute() <= 1)
        True
    """

    higher_is_better = True

    def _read(self, record: "Record", maps: Maps) -> np.ndarray | None:
        return record.clear


class ResolvedRegions(_OfRecord):
    """Counts the distinct regions of an image that the evaluations resolved.

    Args:
        kwargs: See ``torchmetrics.Metric``.

    Example:
        >>> import torch
        >>> from lightning_shap import ResolvedRegions, explain
        >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 3))
        >>> metric = ResolvedRegions()
        >>> metric.update(explain(model, torch.rand(2, 1, 8, 8), method="kernel", grid=2))
        >>> metric.compute()
        tensor(4.)
    """

    higher_is_better = True

    def _read(self, record: "Record", maps: Maps) -> np.ndarray | None:
        return record.regions[:, None].astype(float)


class MissingShare(_OfRecord):
    """The share of the change from base value to output that the values do not add up to.

    It is 0 by construction for "partition" and "kernel".

    Args:
        kwargs: See ``torchmetrics.Metric``.

    Example:
        >>> import torch
        >>> from lightning_shap import MissingShare, explain
        >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 3))
        >>> metric = MissingShare()
        >>> metric.update(explain(model, torch.rand(2, 1, 8, 8), method="gradient", max_evals=20))
        >>> bool(metric.compute() < 1e-3)  # the gradient of a linear model misses nothing
        True
    """

    higher_is_better = False

    def _read(self, record: "Record", maps: Maps) -> np.ndarray | None:
        if maps.indexes is None or maps.base is None:
            return None
        change = np.abs(record.sum_maps(maps.indexes) - maps.base)
        return np.where(change > 0, record.additivity_gap / np.where(change > 0, change, 1), 0.0)
