"""Draws the images that are explained from a data set, reads and prepares them."""

import random
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice, zip_longest
from typing import Any

import numpy as np
import torch

from lightning_shap.command.data.files import Picture
from lightning_shap.command.data.image_set import ImageSet
from lightning_shap.command.untrusted import clean, reason
from lightning_shap.errors import ArgumentError


@dataclass(frozen=True)
class PreparedImages:
    """Images as the model takes them.

    Attributes:
        images: Float tensor (N, C, H, W).
        indices: Their numbers in the data set.
        skipped: The names of those that could not be read, and why.
        partners: Float tensor (N, C, H, W), with which parts are swapped, where that is asked for.
    """

    images: torch.Tensor
    indices: list[int]
    skipped: dict[str, str]
    partners: torch.Tensor | None = None


def draw_order(images: ImageSet, seed: int) -> list[int]:
    """Returns all images in a random order that takes the classes in turn."""
    draw = random.Random(seed)
    labels = np.zeros(len(images.names), int) if images.labels is None else images.labels
    piles = [np.flatnonzero(labels == label).tolist() for label in np.unique(labels)]
    for pile in piles:
        draw.shuffle(pile)
    return [index for turn in zip_longest(*piles) for index in turn if index is not None]


def read_samples(
    images: ImageSet,
    order: Iterable[int],
    wanted: int,
    prepare: Callable[[Picture], torch.Tensor],
    *,
    threads: int = 0,
) -> PreparedImages:
    """Reads images in an order until there are as many as wanted; unreadable ones are skipped."""

    def read(index: int) -> torch.Tensor | str:
        try:
            return prepare(images.open(index))
        except Exception as error:  # the decoders of ten formats raise anything on damaged files
            return reason(error)

    tensors: list[torch.Tensor] = []
    indices: list[int] = []
    skipped: dict[str, str] = {}
    queue = iter(order)
    with warnings.catch_warnings(), ThreadPoolExecutor(max(1, threads)) as pool:
        warnings.simplefilter("ignore")  # of decoders, about damaged files
        while batch := list(islice(queue, wanted - len(tensors))):
            for index, outcome in zip(batch, pool.map(read, batch), strict=True):
                if isinstance(outcome, str):
                    skipped[images.names[index]] = outcome
                else:
                    tensors.append(outcome)
                    indices.append(index)
    return PreparedImages(torch.stack(tensors) if tensors else torch.empty(0), indices, skipped)


def check_any(indices: Sequence[Any], skipped: Mapping[str, str]) -> None:
    """Makes sure that some images could be read.

    Raises:
        ArgumentError: If none could.
    """
    if not indices:
        name, why = next(iter(skipped.items()))
        raise ArgumentError(
            "dataset",
            f"none of {len(skipped)} images can be read (the first, {clean(name)}: {why})",
        )
