"""Photographs: the images of a grid, drawn once for all its pictures."""

from functools import cached_property
from typing import Literal, Unpack

import numpy as np
from PIL import Image

from lightning_shap.pictures import pixels
from lightning_shap.pictures.pixels import Look

Ground = Literal["photograph", "muted", "faint"]


class Photographs:
    """Images as people know them, and as they lie under their maps.

    Args:
        data: (N, H, W, C), as the model receives them.
        look: How they are shown; see :func:`lightning_shap.plot`.

    Attributes:
        size: Width and height of a cell.
        cells: The photographs, at that size at most.
        notes: What a viewer must know of them.
    """

    def __init__(self, data: np.ndarray, **look: Unpack[Look]) -> None:
        height, width = data.shape[1:3]
        self.size = pixels.cell_size(height, width)
        drawn = pixels.drawn_size(height, width)
        photographs, self.notes = pixels.photographs(data, **look)
        self.cells = [pixels.reduce_photograph(photograph, drawn) for photograph in photographs]

    @cached_property
    def faint(self) -> list[Image.Image]:
        """Returns what opaque colours are laid over, of the same size."""
        return pixels.draw_underlays(self.cells)

    @cached_property
    def muted(self) -> list[Image.Image]:
        """Returns what colours are laid on that let a photograph through, of the same size."""
        return [pixels.mute(cell) for cell in self.cells]

    def under(self, ground: Ground) -> list[Image.Image]:
        """Returns what a style is drawn on."""
        if ground == "photograph":
            return self.cells
        return self.faint if ground == "faint" else self.muted


class Album:
    """Keeps the photographs of the images that were drawn last.

    Give one to every :func:`lightning_shap.plot` of the same images, as a callback's are in every
    epoch, and they are drawn once.
    """

    def __init__(self) -> None:
        self._data: np.ndarray | None = None
        self._look = ""
        self._photographs: Photographs | None = None

    def photographs(self, data: np.ndarray, **look: Unpack[Look]) -> Photographs:
        """Returns :class:`Photographs`, drawn anew if anything differs from the last time."""
        same = repr(look) == self._look and self._data is not None and _equal(data, self._data)
        if self._photographs is None or not same:
            self._photographs = Photographs(data, **look)
        # Of equal images the latest are kept, which their explanation holds on to as well.
        self._data, self._look = data, repr(look)
        return self._photographs


def _equal(one: np.ndarray, other: np.ndarray) -> bool:
    """Returns whether two batches hold the same images, compared one at a time: they are large."""
    if one.shape != other.shape:
        return False
    places = [
        (array.ctypes.data, array.strides, array.dtype.str, array.shape) for array in (one, other)
    ]
    return places[0] == places[1] or all(map(np.array_equal, one, other))
