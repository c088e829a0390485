"""Finds the images that a checkpoint knows, where no data set is given."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from lightning_shap.command.data.files import is_image
from lightning_shap.command.data.folders import find_images, list_images
from lightning_shap.command.data.image_set import ImageSet
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
        prepared: They are as the model received them in training.
        notes: Sentences about them for the user.
    """

    images: ImageSet
    name: str
    chosen: bool = False
    prepared: bool = False
    notes: Sequence[str] = ()

    def adopt_size(self, description: Description) -> Description:
        """Returns a description whose size is that of images that were prepared already."""
        image = self.images.open(0) if self.prepared else None
        if not isinstance(image, torch.Tensor):
            return description
        channels, height, width = image.shape
        return replace(description, channels=channels, size=(height, width))


def find_training_images(description: Description, chosen: bool) -> Source:
    """Finds the images of a training: the very ones that it explained, or all of its folder.

    Args:
        description: That of the checkpoint.
        chosen: Those that were explained will do.

    Raises:
        ArgumentError: If the checkpoint says neither, or they are no longer there.
    """
    if chosen and description.images is not None:
        names = [f"sample {number} of the training" for number in range(len(description.images))]
        labels = _choose_labels(description.labels, range(len(names)), len(names))
        images = ImageSet(names, description.images.__getitem__, labels)
        return Source(images, "the samples in the checkpoint", chosen=True, prepared=True)
    files = description.files or []
    there = [number for number, file in enumerate(files) if is_image(Path(file))]
    if chosen and there:
        gone = len(files) - len(there)
        return Source(
            list_images(
                [files[number] for number in there],
                _choose_labels(description.labels, there, len(files)),
            ),
            "the samples of the training",
            chosen=True,
            notes=[f"{gone} of the {len(files)} samples of the training are gone"] if gone else [],
        )
    if description.dataset is None:
        raise ArgumentError("dataset", "the checkpoint names no images; give --dataset")
    find_path("dataset", description.dataset, "the checkpoint names it; give --dataset")
    return Source(find_images(description.dataset), description.dataset)


def _choose_labels(
    labels: Sequence[int] | None, rows: Sequence[int], samples: int
) -> np.ndarray | None:
    """Returns the classes of some of the samples, None where they are not known."""
    if labels is None or len(labels) != samples:
        return None
    return np.asarray([labels[row] for row in rows], dtype=np.int64)
