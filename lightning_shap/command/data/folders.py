"""Finds the images of a data set: a folder of class folders, a flat folder or one image.

Written out and not left to torchvision's image folder: that has no splits, and ends a run at the
first image that cannot be read.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lightning_shap.command.data.files import SUFFIXES, is_image
from lightning_shap.command.untrusted import blame, clean, find_path
from lightning_shap.errors import ArgumentError

SPLITS = ("test", "val", "valid", "validation", "train")


@dataclass(frozen=True)
class ImageSet:
    """Images that are not read yet.

    Attributes:
        names: The file of each.
        labels: int (N,), the class of each, negative where unknown; None where all are.
        class_names: In the order of the labels; None where there are no class folders.
    """

    names: list[str]
    labels: np.ndarray | None = None
    class_names: list[str] | None = None


def find_images(dataset: str | Path) -> ImageSet:
    """Returns the images that a path stands for.

    Args:
        dataset: A folder of class folders, also below ``test/``, ``val/`` or ``train/`` (the first
            of these that is there), a flat folder of images, or one image.

    Raises:
        ArgumentError: If there is no such folder, or no image in it.
    """
    root = find_path("dataset", str(dataset), "give a folder of images")
    with blame("dataset", f"{clean(repr(str(root)))} cannot be read"):
        return ImageSet([str(root)]) if root.is_file() else _list_folder(root)


def _list_folder(root: Path) -> ImageSet:
    splits = _find_splits(root)
    home = splits[0] if splits else root
    # A split may lack a class: the numbers come from all of them.
    classes = sorted({folder.name for split in splits or [root] for folder in _list_folders(split)})
    by_class = [list(_walk(home / name)) for name in classes]
    if not any(by_class):
        files = sorted(path for path in home.iterdir() if is_image(path))
        if not files:
            raise ArgumentError(
                "dataset",
                f"{clean(repr(str(root)))} holds no images; give a folder of images or of class "
                f"folders with images ({', '.join(sorted(SUFFIXES))})",
            )
        return ImageSet([str(path) for path in files])
    labels = np.repeat(np.arange(len(classes)), [len(files) for files in by_class])
    names = [str(path) for folder in by_class for path in folder]
    return ImageSet(names, labels, [clean(name) for name in classes])


def _find_splits(root: Path) -> list[Path]:
    """Returns the folders that part a data set, the best one to explain first."""
    folders = {folder.name for folder in _list_folders(root)}
    splits = [root / name for name in SPLITS if name in folders]
    # A class may be called "train": a split holds folders, or has only splits beside it.
    parted = [split for split in splits if next(_list_folders(split), None) is not None]
    if len(splits) == len(folders):
        parted = parted or [split for split in splits if any(map(is_image, split.iterdir()))]
    return parted


def _list_folders(root: Path) -> Iterator[Path]:
    if root.is_dir():
        yield from (p for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))


def _walk(folder: Path) -> Iterator[Path]:
    """Yields images at any depth in a fixed order; links to folders below it are not followed."""
    for place, inner, names in os.walk(folder):
        inner[:] = sorted(name for name in inner if not name.startswith("."))
        yield from filter(is_image, (Path(place, name) for name in sorted(names)))
