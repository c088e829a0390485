"""Finds the images that a checkpoint knows, where no data set is given."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lightning_shap.command.data.files import is_image
from lightning_shap.command.data.folders import ImageSet, find_images
from lightning_shap.command.model.description import Description
from lightning_shap.command.untrusted import find_path
from lightning_shap.errors import ArgumentError


@dataclass(frozen=True)
class Source:
    """A source of images.

    Attributes:
        images: All of them.
        name: In words.
        chosen: They are all meant, in their order.
        notes: Sentences about them for the user.
    """

    images: ImageSet
    name: str
    chosen: bool = False
    notes: Sequence[str] = ()


def find_training_images(description: Description, chosen: bool) -> Source:
    """Finds the images of a training: the very ones that it explained, or all of its folder.

    Args:
        description: That of the checkpoint.
        chosen: Those that were explained will do.

    Raises:
        ArgumentError: If the checkpoint says neither, or they are no longer there.
    """
    files, labels = description.files or [], description.labels
    there = [number for number, file in enumerate(files) if is_image(Path(file))]
    if chosen and there:
        known = None
        if labels is not None and len(labels) == len(files):
            known = np.array([labels[number] for number in there], np.int64)
        images = ImageSet([files[number] for number in there], known)
        gone = len(files) - len(there)
        return Source(
            images,
            "the samples of the training",
            chosen=True,
            notes=[f"{gone} of the {len(files)} samples of the training are gone"] if gone else [],
        )
    if description.dataset is None:
        raise ArgumentError("dataset", "the checkpoint names no images; give --dataset")
    find_path("dataset", description.dataset, "the checkpoint names it; give --dataset")
    return Source(find_images(description.dataset), description.dataset)
