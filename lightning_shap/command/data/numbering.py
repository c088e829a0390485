"""Numbers class folders as a model numbers its outputs."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from timm.utils import natural_key

from lightning_shap.command.data.folders import ImageSet
from lightning_shap.command.data.reading import draw_order
from lightning_shap.command.untrusted import list_few
from lightning_shap.errors import ArgumentError
from lightning_shap.explanation.classes import Classes

ASKED = 32  # images by which the orders of folders are compared


def find_order(
    images: ImageSet,
    names: Sequence[str] | None,
    sorts_naturally: bool,
    predict: Callable[[Sequence[int]], tuple[Sequence[int], np.ndarray]],
) -> tuple[ImageSet, str | None]:
    """Returns class folders in the order of the library that trained, and what of that is a guess.

    torchvision sorts folders as text, timm naturally and without case. Where these differ and
    nothing says who trained, the model decides: the order in which it is right on more images.

    Args:
        images: Numbered as text sorts them.
        names: Of the model's outputs in their order, None where nobody knows them. Folders of these
            names need no order.
        sorts_naturally: timm trained.
        predict: From the numbers of some images to those that could be read and the model's
            classes of these.
    """
    folders, labels = images.class_names, images.labels
    if folders is None or labels is None or len(folders) < 2:
        return images, None
    if names is not None and set(folders) <= set(names):
        return images, None
    natural = sorted(folders, key=natural_key)
    places = np.array([natural.index(folder) for folder in folders])
    other = replace(images, labels=places[labels], class_names=natural)
    if sorts_naturally:
        return other, None
    if natural == folders:
        return images, f"that of the folders ({list_few(folders, 4)})"
    moved = places != np.arange(len(folders))
    read, predicted = predict(
        [number for number in draw_order(images, 0) if moved[labels[number]]][:ASKED]
    )
    as_text, as_timm = (int((predicted == those[read]).sum()) for those in (labels, places[labels]))
    is_natural = as_timm > as_text
    guess = (
        f"that of {'timm' if is_natural else 'torchvision'}; as torchvision sorts the folders "
        f"({list_few(folders, 4)}) the model is right on {as_text} of {len(read)} images, as timm "
        f"does ({list_few(natural, 4)}) on {as_timm}"
    )
    return other if is_natural else images, guess


def number_as(images: ImageSet, classes: int, class_names: Sequence[str] | None = None) -> ImageSet:
    """Returns the images with their classes numbered as the model numbers its outputs.

    Those of a class that the model does not have get none.

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
    if labels is not None:
        labels = np.where((labels >= 0) & (labels < expected), labels, -1)
    if class_names is not None:
        names = Classes(classes).name(class_names).tolist()
        if folders is not None and images.labels is not None and set(folders) <= set(names):
            places = np.array([names.index(folder) for folder in folders])
            return replace(images, labels=places[images.labels], class_names=names)
        if folders is None or len(folders) == expected:
            return replace(images, labels=labels, class_names=names)
    if folders is not None and len(folders) != expected:
        raise ArgumentError(
            "dataset",
            f"has {len(folders)} classes ({list_few(folders, 6)}), but the model has {classes} "
            "outputs; give the data it was trained on, or all its --class_names in order",
        )
    return replace(images, labels=labels)
