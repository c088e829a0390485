"""Judges the scale of arrays and deep scans by their values, since no format bounds them."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from PIL import Image

from lightning_shap.command.data.files import Picture
from lightning_shap.command.data.image_set import ImageSet

LOOKED_AT = 16  # images, by which all of a data set are judged alike
DEEP = ("I", "F", "I;16", "I;16B")  # Pillow's modes of more than eight bits
ALWAYS_BYTES = (".jpg", ".jpeg", ".bmp", ".webp")
BYTE, WORD = 255, 65535


@dataclass(frozen=True)
class Scale:
    """The divisor of pixels that are not bytes.

    Attributes:
        divisor: The number.
        most: No pixel of the images looked at could be larger, None where any could.
        guess: The judgement in words, None where there was nothing to judge.
    """

    divisor: float = 1.0
    most: float | None = None
    guess: str | None = None

    def apply(self, array: np.ndarray) -> np.ndarray:
        """Returns float32 pixels; bytes from 0 to 1.

        Raises:
            ValueError: If the image has other values than those that were judged.
        """
        if array.dtype == np.uint8:
            return array.astype(np.float32) / BYTE
        if self.most is not None and not (array.min() >= 0 and array.max() <= self.most):
            raise ValueError(
                f"has pixels from {array.min():g} to {array.max():g}, others from 0 to {self.most}"
            )
        return array.astype(np.float32) / np.float32(self.divisor)


def judge_scale(images: ImageSet, numbers: Sequence[int]) -> Scale:
    """Returns the scale of a data set's pixels, by the values of some images.

    Whole numbers from 0 to 255, or to 65535, become 0 to 1. All others are taken as they are:
    measurements such as Hounsfield units, and floats.

    Args:
        images: The data set.
        numbers: Of its images, in the order in which they are looked at.
    """
    low, high, whole = np.inf, -np.inf, True
    maybe = (n for n in numbers if not images.names[n].lower().endswith(ALWAYS_BYTES))
    for number in islice(maybe, LOOKED_AT):
        try:
            array = read_deep(images.open(number))
        except Exception:  # the error is told when it is read
            continue
        if array is None or array.dtype == np.uint8 or not array.size:
            continue
        low, high = min(low, float(array.min())), max(high, float(array.max()))
        whole &= array.dtype.kind in "ui"
    if not np.isfinite([low, high]).all() or (not whole and low >= 0 and high <= 1):
        return Scale()
    if whole and low >= 0 and high <= WORD:
        top = BYTE if high <= BYTE else WORD
        return Scale(top, top, f"whole numbers from {low:g} to {high:g}, divided by {top}")
    return Scale(guess=f"taken as they are, from {low:g} to {high:g}")


def read_deep(picture: Picture) -> np.ndarray | None:
    """Returns an array, or a picture of more than eight bits as one; None for all others."""
    if isinstance(picture, Image.Image) and picture.mode in DEEP:
        return np.asarray(picture)
    return picture if isinstance(picture, np.ndarray) else None
