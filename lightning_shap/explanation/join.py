"""Joining the shares of several processes, each of which explained some of the images."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from lightning_shap.explanation.explanation import ImageExplanation
from lightning_shap.explanation.record import PER_IMAGE
from lightning_shap.explanation.regions import join_regions


def interleave(shares: Sequence[ImageExplanation]) -> ImageExplanation:
    """Joins explanations of images that were dealt out in turn: 0, 2, 4, ... and 1, 3, 5, ..."""
    first, *others = shares
    if not others:
        return first
    places = [np.arange(len(share)) * len(shares) + turn for turn, share in enumerate(shares)]
    order = np.argsort(np.concatenate(places))

    def together(arrays: list[Any]) -> Any:
        return None if arrays[0] is None else np.concatenate(arrays)[order]

    records = [share.record for share in shares]
    record = replace(
        first.record,
        **{name: together([getattr(r, name) for r in records]) for name in PER_IMAGE},
        seconds=max(r.seconds for r in records),
        model_seconds=max(r.model_seconds for r in records),
    )
    regions = [share.regions for share in shares if share.regions is not None]
    by_pixel = len(regions) < len(shares)
    return ImageExplanation(
        together([share.values for share in shares])
        if by_pixel
        else join_regions(regions).pick(order, np.arange(first.shape[-1])),
        together([share.base_values for share in shares]),
        together([share.data for share in shares]),
        together([share.output_indexes for share in shares]),
        record,
    )
