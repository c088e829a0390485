"""Image files: pictures as Pillow reads them, and arrays for any number of channels."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

Picture = Image.Image | np.ndarray

# The formats torchvision's and timm's image folders take, and arrays.
SUFFIXES = {".jpg", ".jpeg", ".png", ".ppm", ".pgm", ".bmp", ".tif", ".tiff", ".webp", ".npy"}
PICTURE = "explanation.png"


def is_image(path: Path) -> bool:
    """Whether a file's name says that it is an image, and not what this package wrote."""
    ours = path.name == PICTURE or path.name.startswith(".")
    return path.suffix.lower() in SUFFIXES and not ours and path.is_file()


def open_image(files: Sequence[Path], index: int) -> Picture:
    """One of some files: a picture, or an array (H, W, C) of any number of channels.

    Raises:
        OSError: If it is damaged.
        ValueError: Likewise, or if an array is no image.
    """
    path = files[index]
    if path.suffix.lower() == ".npy":
        array: np.ndarray = np.load(path, allow_pickle=False)
        if array.ndim not in (2, 3) or array.dtype.kind not in "uif":
            raise ValueError(f"has shape {array.shape} of {array.dtype}; give numbers (H, W, C)")
        return array
    try:
        with Image.open(path) as picture:
            picture.load()
            return picture
    except UnidentifiedImageError:
        if path.suffix.lower() not in (".tif", ".tiff"):
            raise
        return _open_tiff(path)


def _open_tiff(path: Path) -> Picture:
    """A TIFF of more channels than Pillow knows."""
    try:
        import tifffile
    except ImportError as error:
        raise ValueError("is a TIFF that Pillow does not read; install tifffile") from error
    try:
        array: np.ndarray = tifffile.imread(path)
    except tifffile.TiffFileError as error:
        raise ValueError(str(error)) from error
    # Planes come first or last; no image has more channels than rows.
    return (
        np.moveaxis(array, 0, -1) if array.ndim == 3 and array.shape[0] < array.shape[2] else array
    )
