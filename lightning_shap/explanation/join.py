"""Joining explanations of some of the images each: of several processes, or one after another."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from lightning_shap.explanation.explanation import ImageExplanation
from lightning_shap.explanation.record import PER_IMAGE
from lightning_shap.explanation.regions import join_regions


def interleave(shares: Sequence[ImageExplanation]) -> ImageExplanation:
    """Joins explanations of images that were dealt out in turn: 0, 2, 4, ... and 1, 3, 5, ..."""
    places = [np.arange(len(share)) * len(shares) + turn for turn, share in enumerate(shares)]
    return _join(shares, np.argsort(np.concatenate(places)), max)


def append(shares: Sequence[ImageExplanation]) -> ImageExplanation:
    """Joins explanations of images that follow one another, made one after the other."""
    return _join(shares, np.arange(sum(map(len, shares))), sum)


def _join(
    shares: Sequence[ImageExplanation],
    order: np.ndarray,
    add: Callable[[Iterable[float]], float],
) -> ImageExplanation:
    """Returns one explanation of all images, in an order, and its time by what each took."""
    first, *others = shares
    if not others:
        return first

    def together(arrays: list[Any]) -> Any:
        return None if arrays[0] is None else np.concatenate(arrays)[order]

    records = [share.record for share in shares]
    record = replace(
        first.record,
        **{name: together([getattr(r, name) for r in records]) for name in PER_IMAGE},
        seconds=add(r.seconds for r in records),
        model_seconds=add(r.model_seconds for r in records),
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
