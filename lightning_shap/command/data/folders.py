"""Data sets: a folder, an image or a name to labelled images, and the samples drawn from them.

Written out and not left to torchvision's image folder: that has no splits, ends a run at the first
image that cannot be read, and walks in circles where a folder links back to one that holds it.
"""

import os
import random
import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice, zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lightning_shap.classes import Classes
from lightning_shap.command.data.files import SUFFIXES, Picture, is_image, open_image
from lightning_shap.command.data.image_set import SPLITS, ImageSet
from lightning_shap.command.text import readable, short
from lightning_shap.command.untrusted import blaming, existing, reason
from lightning_shap.errors import ArgumentError


@dataclass(frozen=True)
class PreparedImages:
    """Images as the model takes them.

    Attributes:
        images: Float tensor (N, C, H, W).
        indices: Their numbers in the data set.
        skipped: The names of those that could not be read, and why.
    """

    images: torch.Tensor
    indices: list[int]
    skipped: dict[str, str]


def find_images(dataset: str | Path) -> ImageSet:
    """The images that a path, or a Hugging Face data set's name, stands for.

    Args:
        dataset: A folder of class folders, also below ``test/``, ``val/`` or ``train/`` (the first
            of these that is there), a flat folder of images, one image or a data set's name.

    Raises:
        ArgumentError: If there is no such folder, or no image in it.
    """
    if re.fullmatch(r"[\w.-]{1,96}(/[\w.-]{1,96})?", str(dataset)) and not Path(dataset).exists():
        from lightning_shap.command.data.hub import find_named

        return find_named(str(dataset))
    root = existing("dataset", str(dataset), "give a folder of images")
    with blaming("dataset", f"{readable(repr(str(root)))} cannot be read"):
        return _of_files([root]) if root.is_file() else _of_folder(root)


def listed_images(files: Sequence[str], labels: np.ndarray | None) -> ImageSet:
    """Certain files in their order, and their classes, negative where unknown."""
    return replace(_of_files([Path(file) for file in files]), labels=labels)


def _of_folder(root: Path) -> ImageSet:
    splits = _splits(root)
    home = splits[0] if splits else root
    # A split may lack a class: the numbers come from all of them.
    classes = sorted({folder.name for split in splits or [root] for folder in _folders(split)})
    by_class = [list(_images_below(home / name)) for name in classes]
    if not any(by_class):
        files = sorted(path for path in home.iterdir() if is_image(path))
        if not files:
            raise ArgumentError(
                "dataset",
                f"{readable(repr(str(root)))} holds no images; give a folder of images or of class "
                f"folders with images ({', '.join(sorted(SUFFIXES))})",
            )
        return _of_files(files)
    labels = np.repeat(np.arange(len(classes)), [len(files) for files in by_class])
    files = [path for folder in by_class for path in folder]
    return replace(
        _of_files(files), labels=labels, class_names=[readable(name) for name in classes]
    )


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


def drawn(images: ImageSet, seed: int) -> list[int]:
    """All images in a random order that takes the classes in turn."""
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
    """Read images in an order until there are as many as wanted, past those that cannot be read."""

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
        warnings.simplefilter("ignore")  # of decoders, about what they make of damaged files
        while batch := list(islice(queue, wanted - len(tensors))):
            for index, outcome in zip(batch, pool.map(read, batch), strict=True):
                if isinstance(outcome, str):
                    skipped[images.names[index]] = outcome
                else:
                    tensors.append(outcome)
                    indices.append(index)
    return PreparedImages(torch.stack(tensors) if tensors else torch.empty(0), indices, skipped)


def check_any(indices: Sequence[Any], skipped: Mapping[str, str]) -> None:
    """Make sure that some images could be read.

    Raises:
        ArgumentError: If none could.
    """
    if not indices:
        name, why = next(iter(skipped.items()))
        raise ArgumentError(
            "dataset",
            f"none of {len(skipped)} images can be read (the first, {readable(name)}: {why})",
        )


def _of_files(files: Sequence[Path]) -> ImageSet:
    return ImageSet([str(path) for path in files], partial(open_image, list(files)))


def _splits(root: Path) -> list[Path]:
    """The folders that part a data set for training and testing, the best one to explain first."""
    folders = {folder.name for folder in _folders(root)}
    splits = [root / name for name in SPLITS if name in folders]
    # A class may be called "train": a split holds folders, or has only splits beside it.
    parted = [split for split in splits if next(_folders(split), None) is not None]
    if len(splits) == len(folders):
        parted = parted or [split for split in splits if any(map(is_image, split.iterdir()))]
    return parted


def _folders(root: Path) -> Iterator[Path]:
    if root.is_dir():
        yield from (p for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))


def _images_below(folder: Path) -> Iterator[Path]:
    """Images at any depth in a fixed order, each once.

    Links to folders are followed, as torchvision does, but never back to one that holds them.
    """
    seen = {_identity(place) for place in folder.resolve().parents}
    waiting = [folder]
    while waiting:
        place = waiting.pop()
        try:
            identity, names = _identity(place), sorted(os.listdir(place))
        except OSError:  # as torchvision does, what may not be read counts as empty
            continue
        if identity in seen:
            continue
        seen.add(identity)
        found = [place / name for name in names]
        yield from filter(is_image, found)
        waiting += [path for path in reversed(found) if os.path.isdir(path)]


def _identity(place: Path) -> tuple[int, int]:
    """What a folder is, by whatever path it was reached."""
    status = os.stat(place)
    return status.st_dev, status.st_ino
