"""Draws the images that are explained from a data set, reads and prepares them."""

import random
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import numpy as np
import torch
from PIL import Image

from lightning_shap.command.data.files import open_image
from lightning_shap.command.data.folders import ImageSet
from lightning_shap.command.untrusted import clean, describe_error
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
    order: Sequence[int],
    prepare: Callable[[Image.Image], torch.Tensor],
    *,
    threads: int = 0,
) -> PreparedImages:
    """Reads some images by number; those that cannot be read are skipped."""

    def read(index: int) -> torch.Tensor | str:
        try:
            return prepare(open_image(images.names[index]))
        except Exception as error:  # the decoders of ten formats raise anything on damaged files
            return describe_error(error)

    with warnings.catch_warnings(), ThreadPoolExecutor(max(1, threads)) as pool:
        warnings.simplefilter("ignore")  # of decoders, about damaged files
        outcomes = dict(zip(order, pool.map(read, order), strict=True))
    tensors = {n: image for n, image in outcomes.items() if isinstance(image, torch.Tensor)}
    skipped = {images.names[n]: why for n, why in outcomes.items() if isinstance(why, str)}
    stacked = torch.stack([*tensors.values()]) if tensors else torch.empty(0)
    return PreparedImages(stacked, [*tensors], skipped)


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
