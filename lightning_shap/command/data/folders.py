"""Data sets: a folder, an image or a name to labelled images, and the samples drawn from them."""

import os
import random
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice, zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from lightning_shap.classes import Classes
from lightning_shap.command.data.files import SUFFIXES, Picture, is_image, open_image
from lightning_shap.command.data.image_set import SPLITS, ImageSet


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
        FileNotFoundError: If there is no such folder, or no image in it.
    """
    root = Path(dataset)
    if root.is_file():
        return _of_files([root])
    if not root.is_dir():
        from lightning_shap.command.data.hub import find_named

        return find_named(str(dataset))
    splits = _splits(root)
    home = splits[0] if splits else root
    # A split may lack a class: the numbers come from all of them.
    classes = sorted({folder.name for split in splits or [root] for folder in _folders(split)})
    by_class = [list(_images_below(home / name)) for name in classes]
    if not any(by_class):
        files = sorted(path for path in home.iterdir() if is_image(path))
        if not files:
            raise FileNotFoundError(
                f"dataset: {str(dataset)!r} holds no images; give a folder of images or of class "
                f"folders with images ({', '.join(sorted(SUFFIXES))})"
            )
        return _of_files(files)
    labels = np.repeat(np.arange(len(classes)), [len(files) for files in by_class])
    files = [path for folder in by_class for path in folder]
    return replace(_of_files(files), labels=labels, class_names=classes)


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
        ValueError: If classes and outputs disagree.
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
        shown = ", ".join(folders[:6]) + (", …" if len(folders) > 6 else "")
        raise ValueError(
            f"dataset: has {len(folders)} classes ({shown}), but the model has {classes} outputs; "
            "give the data it was trained on, or all its --class_names in order"
        )
    return images


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
    """Read images in an order until there are as many as wanted, past those that cannot be read.

    Raises:
        ValueError: If one is a decompression bomb.
    """

    def read(index: int) -> torch.Tensor | str:
        try:
            return prepare(images.open(index))
        except Image.DecompressionBombError as error:
            raise ValueError(
                f"dataset: {images.names[index]} may be a decompression bomb ({error}); "
                "shrink it or take it away"
            ) from error
        except (OSError, ValueError, SyntaxError, EOFError) as error:
            return str(error) or type(error).__name__

    tensors: list[torch.Tensor] = []
    indices: list[int] = []
    skipped: dict[str, str] = {}
    queue = iter(order)
    with ThreadPoolExecutor(max(1, threads)) as pool:
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
        ValueError: If none could.
    """
    if not indices:
        name, reason = next(iter(skipped.items()))
        raise ValueError(
            f"dataset: none of {len(skipped)} images can be read (the first, {name}: {reason})"
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
    """Images at any depth in a fixed order; links to folders are followed, as torchvision does."""
    for place, folders, files in os.walk(folder, followlinks=True):
        folders.sort()
        yield from (
            path for path in (Path(place, name) for name in sorted(files)) if is_image(path)
        )
