"""Finds the images of a data set: a folder, an image or a name.

Written out and not left to torchvision's image folder: that has no splits, ends a run at the first
image that cannot be read, and walks in circles where a folder links back to one that holds it.
"""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from lightning_shap.command.data.files import SUFFIXES, is_image, open_image
from lightning_shap.command.data.image_set import SPLITS, ImageSet
from lightning_shap.command.untrusted import blame, clean, find_path
from lightning_shap.errors import ArgumentError


def find_images(dataset: str | Path) -> ImageSet:
    """Returns the images that a path, or a Hugging Face data set's name, stands for.

    Args:
        dataset: A folder of class folders, also below ``test/``, ``val/`` or ``train/`` (the first
            of these that is there), a flat folder of images, one image or a data set's name.

    Raises:
        ArgumentError: If there is no such folder, or no image in it.
    """
    if re.fullmatch(r"[\w.-]{1,96}(/[\w.-]{1,96})?", str(dataset)) and not Path(dataset).exists():
        from lightning_shap.command.data.hub import find_named

        return find_named(str(dataset))
    root = find_path("dataset", str(dataset), "give a folder of images")
    with blame("dataset", f"{clean(repr(str(root)))} cannot be read"):
        return _list_files([root]) if root.is_file() else _list_folder(root)


def list_images(files: Sequence[str], labels: np.ndarray | None) -> ImageSet:
    """Returns certain files in their order, and their classes, negative where unknown."""
    return replace(_list_files([Path(file) for file in files]), labels=labels)


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
        return _list_files(files)
    labels = np.repeat(np.arange(len(classes)), [len(files) for files in by_class])
    files = [path for folder in by_class for path in folder]
    return replace(
        _list_files(files),
        labels=labels,
        class_names=[clean(name) for name in classes],
        are_sorted=True,
    )


def _list_files(files: Sequence[Path]) -> ImageSet:
    return ImageSet([str(path) for path in files], partial(open_image, list(files)))


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
    """Yields images at any depth in a fixed order, each once.

    Links to folders are followed, as torchvision does, but never back to one that holds them.
    """
    seen = {_identify(place) for place in folder.resolve().parents}
    waiting = [folder]
    while waiting:
        place = waiting.pop()
        try:
            identity, names = _identify(place), sorted(os.listdir(place))
        except OSError:  # as torchvision does, what may not be read counts as empty
            continue
        if identity in seen:
            continue
        seen.add(identity)
        found = [place / name for name in names]
        yield from filter(is_image, found)
        inner = [path for path in reversed(found) if not path.name.startswith(".")]
        waiting += filter(os.path.isdir, inner)


def _identify(place: Path) -> tuple[int, int]:
    """Returns what a folder is, by whatever path it was reached."""
    status = os.stat(place)
    return status.st_dev, status.st_ino
