"""Numbers class folders as a model numbers its outputs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from timm.utils import natural_key

from lightning_shap.command.data.image_set import ImageSet
from lightning_shap.command.data.reading import draw_order
from lightning_shap.command.untrusted import list_few
from lightning_shap.errors import ArgumentError
from lightning_shap.explanation.classes import Classes

ASKED = 32  # images by which the orders of folders are compared


@dataclass(frozen=True)
class Order:
    """An order of class folders.

    Attributes:
        images: Numbered so.
        guess: The assumption that was made, and why; None where there was none.
        note: Another sentence for the user.
    """

    images: ImageSet
    guess: str | None = None
    note: str | None = None


def number_as(images: ImageSet, classes: int, class_names: Sequence[str] | None = None) -> ImageSet:
    """Returns the images with their classes numbered as the model numbers its outputs.

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
        names = Classes(classes).name(class_names).tolist()
        if folders is not None and labels is not None and set(folders) <= set(names):
            places = np.array([names.index(folder) for folder in folders])
            return replace(images, labels=places[labels], class_names=names)
        if folders is None or labels is None or len(folders) == expected:
            return replace(images, class_names=names)
    if folders is not None and len(folders) != expected:
        raise ArgumentError(
            "dataset",
            f"has {len(folders)} classes ({list_few(folders, 6)}), but the model has {classes} "
            "outputs; give the data it was trained on, or all its --class_names in order",
        )
    return images


def leave_out_unknown(images: ImageSet, classes: int) -> ImageSet:
    """Returns the images, with no class for those of a class that the model does not have."""
    if images.labels is None:
        return images
    among = (images.labels >= 0) & (images.labels < Classes(classes).count)
    return replace(images, labels=np.where(among, images.labels, -1))


def find_order(
    images: ImageSet,
    names: Sequence[str] | None,
    sorts_naturally: bool,
    predict: Callable[[Sequence[int]], tuple[Sequence[int], np.ndarray]],
) -> Order:
    """Returns class folders in the order of the library that trained, or the likeliest.

    torchvision sorts folders as text, timm naturally and without case. Where the orders differ and
    the file does not say who trained, the model is asked: the order in which it is right on more
    images is taken.

    Args:
        images: Numbered as text sorts them.
        names: Of the model's outputs in their order, None where nobody knows them. Folders of these
            names need no order.
        sorts_naturally: timm trained.
        predict: From the numbers of some images to those that could be read and the model's
            classes of these.
    """
    folders, labels = images.class_names, images.labels
    if not images.are_sorted or folders is None or labels is None or len(folders) < 2:
        return Order(images)
    if names is not None and set(folders) <= set(names):
        return Order(images)
    natural = sorted(folders, key=natural_key)
    if natural == folders:
        guess = f"that of the folders ({list_few(folders, 4)})"
        return Order(images, None if sorts_naturally else guess)
    places = np.array([natural.index(folder) for folder in folders])
    other = replace(images, labels=places[labels], class_names=natural)
    if sorts_naturally:
        note = f"class folders are numbered as timm does ({list_few(natural, 4)})"
        return Order(other, note=note)
    moved = places != np.arange(len(folders))
    asked = [number for number in draw_order(images, 0) if moved[labels[number]]][:ASKED]
    read, predicted = predict(asked)
    right_as_text = int((predicted == labels[read]).sum())
    right_as_timm = int((predicted == places[labels[read]]).sum())
    rows = f"of {len(read)} images whose numbers differ the model is right"
    if right_as_timm > right_as_text:
        return Order(
            other,
            f"natural, as timm's ({list_few(natural, 4)}): {rows} on {right_as_timm} so, on "
            f"{right_as_text} in the order of text, as torchvision's",
        )
    return Order(
        images,
        f"of text, as torchvision's ({list_few(folders, 4)}): {rows} on {right_as_text} so, on "
        f"{right_as_timm} in natural order, as timm's",
    )
