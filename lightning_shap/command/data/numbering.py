"""Which class is which output: class folders have their own order, and so has a model."""

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from lightning_shap.classes import Classes
from lightning_shap.command.data.image_set import ImageSet
from lightning_shap.command.text import short
from lightning_shap.errors import ArgumentError


def numbered_as(
    images: ImageSet, classes: int, class_names: Sequence[str] | None = None
) -> ImageSet:
    """The images with their classes numbered as the model numbers its outputs.

    Args:
        images: Whose class folders are numbered in the order of their names.
        classes: The model's outputs; one output speaks for the second of two classes.
        class_names: In the order of the outputs, where that is known. Folders of these names get
            their places in it.

    Raises:
        ArgumentError: If classes and outputs disagree.
    """
    expected = Classes(classes).count
    folders, labels = images.class_names, images.labels
    if class_names is not None:
        names = Classes(classes).named(class_names).tolist()
        if folders is None or labels is None:
            return replace(images, class_names=names)
        if set(folders) <= set(names):
            places = np.array([names.index(folder) for folder in folders])
            return replace(images, labels=places[labels], class_names=names)
        if len(folders) == expected:
            return replace(images, class_names=names)
    if folders is not None and len(folders) != expected:
        raise ArgumentError(
            "dataset",
            f"has {len(folders)} classes ({short(folders, 6)}), but the model has {classes} "
            "outputs; give the data it was trained on, or all its --class_names in order",
        )
    return images


def known_classes(images: ImageSet, classes: int) -> ImageSet:
    """The images, those of classes that the model does not have with no class."""
    if images.labels is None:
        return images
    among = (images.labels >= 0) & (images.labels < Classes(classes).count)
    return replace(images, labels=np.where(among, images.labels, -1))


def numbering_note(class_names: Sequence[str]) -> str | None:
    """What to say where libraries disagree on the numbers of class folders."""

    def natural(name: str) -> list[str | int]:
        return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]

    if sorted(class_names, key=natural) == list(class_names):
        return None
    return (
        f"class folders are numbered in the order of text ({', '.join(class_names[:4])}, …), as "
        "torchvision does; if training counted otherwise, give --class_names in its order"
    )
