"""Which class is which output: class folders have their own order, and so has a model."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from timm.utils import natural_key

from lightning_shap.command.data.image_set import ImageSet
from lightning_shap.command.data.reading import drawn
from lightning_shap.command.text import short
from lightning_shap.errors import ArgumentError
from lightning_shap.explanation.classes import Classes

ASKED = 32  # images by which the orders of folders are compared


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


@dataclass(frozen=True)
class Order:
    """In which order class folders are numbered.

    Attributes:
        images: Numbered so.
        guess: What was assumed of it, and why; None where nothing was.
        note: What else to say of it.
    """

    images: ImageSet
    guess: str | None = None
    note: str | None = None


def ordered(
    images: ImageSet,
    names: Sequence[str] | None,
    sorts_naturally: bool,
    predict: Callable[[Sequence[int]], tuple[Sequence[int], np.ndarray]],
) -> Order:
    """Returns class folders in the order of the library that trained, or what is assumed of it.

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
        return Order(images, None if sorts_naturally else f"that of the folders ({_few(folders)})")
    places = np.array([natural.index(folder) for folder in folders])
    other = replace(images, labels=places[labels], class_names=natural)
    if sorts_naturally:
        return Order(other, note=f"class folders are numbered as timm does ({_few(natural)})")
    moved = places != np.arange(len(folders))
    asked = [number for number in drawn(images, 0) if moved[labels[number]]][:ASKED]
    read, predicted = predict(asked)
    as_text, as_timm = (
        int((predicted == places_of[labels[read]]).sum())
        for places_of in (np.arange(len(folders)), places)
    )
    rows = f"{len(read)} images whose numbers differ the model is right"
    if as_timm > as_text:
        return Order(
            other,
            f"natural, as timm's ({_few(natural)}): of {rows} on {as_timm} so, on {as_text} in the "
            "order of text, as torchvision's",
        )
    return Order(
        images,
        f"of text, as torchvision's ({_few(folders)}): of {rows} on {as_text} so, on {as_timm} in "
        "natural order, as timm's",
    )


def _few(names: Sequence[str]) -> str:
    return short(names, 4)
