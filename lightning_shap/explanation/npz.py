"""Containers: arrays and pictures by their names in one ``.npz`` file, as NumPy writes them."""

import io
import math
import zipfile
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

KINDS = "biufU"  # what arrays may hold: numbers and text, nothing that runs code
MARGIN = 2**16  # bytes of a picture that are none of pixels
PICTURE = ".png"  # how the names of pictures end

Content = np.ndarray | bytes  # bytes are those of a picture


def pack(contents: Mapping[str, Content | None]) -> bytes:
    """Returns the bytes of a container; the same for equal contents, as it has no date."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in contents.items():
            if content is not None:
                write(archive, name, content)
    return file.getvalue()


def write(archive: zipfile.ZipFile, name: str, content: Content) -> None:
    """Writes an array, or a picture under a name that ends in ``.png``."""
    if isinstance(content, bytes):
        archive.writestr(zipfile.ZipInfo(name), content)
        return
    file = io.BytesIO()
    np.lib.format.write_array(file, np.asarray(content, order="C"), allow_pickle=False)
    entry = zipfile.ZipInfo(f"{name}.npy")
    entry.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(entry, file.getvalue())


class Container:
    """Reads a container that may come from anywhere: nothing in it is run.

    Args:
        file: Open to read.

    Attributes:
        names: Of what it holds.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._archive = zipfile.ZipFile(file)
        self.names = {name.removesuffix(".npy") for name in self._archive.namelist()}

    def read(self, name: str) -> np.ndarray | None:
        """Returns an array, None where there is none of this name."""
        if name not in self.names:
            return None
        with self._archive.open(f"{name}.npy") as file:
            shape, dtype = _read_header(file)
            content = bytearray(file.read(math.prod(shape) * dtype.itemsize))
        array: np.ndarray = np.frombuffer(content, dtype).reshape(shape)
        return array

    def read_bytes(self, name: str) -> bytes:
        """Returns a picture as it is kept."""
        return self._archive.read(name)

    def read_picture(self, name: str) -> np.ndarray:
        """Returns a picture, uint8 (height, width) or (height, width, 3)."""
        with self._archive.open(name) as file, Image.open(file, formats=["PNG"]) as picture:
            return np.asarray(picture)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Returns the shapes of its arrays and pictures, by what these say of themselves."""
        shapes: dict[str, tuple[int, ...]] = {}
        for name in self.names:
            if name.endswith(PICTURE):
                with self._archive.open(name) as file, Image.open(file, formats=["PNG"]) as picture:
                    shapes[name] = (picture.height, picture.width, len(picture.getbands()))
                if self._archive.getinfo(name).file_size > 2 * math.prod(shapes[name]) + MARGIN:
                    raise ValueError(f"{name} is larger than its pixels need")
            else:
                with self._archive.open(f"{name}.npy") as file:
                    shape, dtype = _read_header(file)
                shapes[name] = (*shape, -(-dtype.itemsize // 8))  # in numbers of eight bytes
        return shapes


def narrow(array: np.ndarray) -> np.ndarray:
    """Returns numbers in four bytes where these hold them exactly."""
    if array.dtype != np.float64:
        return array
    with np.errstate(over="ignore"):
        half = array.astype(np.float32)
    return half if np.array_equal(half, array, equal_nan=True) else array


def widen(array: np.ndarray) -> np.ndarray:
    """Returns numbers in double precision, but those that are only ever kept in half."""
    return array.astype(np.float64) if array.dtype.char in "fd" else array


def _read_header(file: Any) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Returns the shape and kind of an array."""
    np.lib.format.read_magic(file)
    shape, in_columns, dtype = np.lib.format.read_array_header_1_0(file)
    if in_columns or dtype.kind not in KINDS:
        raise ValueError(f"it holds {dtype} in an order that was never written")
    return shape, dtype
