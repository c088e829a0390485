"""Image files: pictures as Pillow reads them, and arrays for any number of channels."""

import logging
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from PIL import Image, UnidentifiedImageError

if TYPE_CHECKING:
    import torch

Picture: TypeAlias = "Image.Image | np.ndarray | torch.Tensor"
"""A picture, an array (H, W, C), or a tensor that was prepared already."""

# The formats torchvision's and timm's image folders take, and arrays.
SUFFIXES = {".jpg", ".jpeg", ".png", ".ppm", ".pgm", ".bmp", ".tif", ".tiff", ".webp", ".npy"}
# Formats that such files may have in truth. To read others, such as EPS, Pillow runs programs.
FORMATS = {"AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "MPO", "PNG", "PPM", "TIFF", "WEBP"}
PICTURE = "explanation.png"
MOST_PIXELS = 2**27  # a small file can unpack to a thousand times its size


def is_image(path: Path) -> bool:
    """Returns True for a file that is an image by its name, unless this package wrote it."""
    ours = path.name == PICTURE or path.name.startswith(".")
    return path.suffix.lower() in SUFFIXES and not ours and os.path.isfile(path)


def open_image(files: Sequence[Path], index: int) -> Picture:
    """Opens one of some files: a picture, or an array (H, W, C) of any number of channels.

    Raises:
        ValueError: If it is no image, or larger than any should be. A damaged file makes the
            libraries that decode it raise anything else, too.
    """
    path = files[index]
    if path.suffix.lower() == ".npy":
        return _open_array(path)
    try:
        with Image.open(path) as picture:
            if picture.format not in FORMATS:
                raise ValueError(f"is {picture.format} in truth; give {', '.join(sorted(FORMATS))}")
            _check_pixels(*picture.size)
            picture.load()
            return picture
    except UnidentifiedImageError:
        if path.suffix.lower() not in (".tif", ".tiff"):
            raise
        return _open_tiff(path)


def _open_array(path: Path) -> np.ndarray:
    # Mapped and not read: the size that it states is checked first.
    array: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    _check_array(array.shape, array.dtype)
    return np.array(array)


def _open_tiff(path: Path) -> np.ndarray:
    """Reads a TIFF of more channels than Pillow knows."""
    try:
        import tifffile
    except ImportError as error:
        raise ValueError("is a TIFF that Pillow does not read; install tifffile") from error
    tifffile.logger().setLevel(logging.CRITICAL)  # its errors are one sentence
    with tifffile.TiffFile(path) as file:
        series = file.series[0]
        _check_array(series.shape, series.dtype)
        array: np.ndarray = series.asarray()
    # Planes come first or last; no image has more channels than rows.
    return (
        np.moveaxis(array, 0, -1) if array.ndim == 3 and array.shape[0] < array.shape[2] else array
    )


def _check_array(shape: Sequence[int], dtype: Any) -> None:
    if len(shape) not in (2, 3) or getattr(dtype, "kind", None) not in ("u", "i", "f"):
        raise ValueError(f"has shape {tuple(shape)} of {dtype}; give numbers (H, W, C)")
    _check_pixels(*shape)


def _check_pixels(*sides: int) -> None:
    if 0 in sides:
        raise ValueError(f"has no pixels, shape {sides}")
    if math.prod(sides) > MOST_PIXELS:
        raise ValueError(
            f"may be a decompression bomb: it states {math.prod(sides) / 1e6:.0f} million numbers, "
            f"and {MOST_PIXELS / 1e6:.0f} are allowed"
        )
