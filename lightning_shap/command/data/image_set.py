"""The data set of a command: images that are not read yet, and their classes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from lightning_shap.command.data.files import Picture

SPLITS = ("test", "val", "valid", "validation", "train")


@dataclass(frozen=True)
class ImageSet:
    """Images that are not read yet.

    Attributes:
        names: The file of each, or its place in a named data set.
        open: From an image's number to the picture.
        labels: int (N,), the class of each, or None where the data set does not say.
        class_names: In the order of the labels.
        are_sorted: These are folders, in the order of their names for want of another.
    """

    names: list[str]
    open: "Callable[[int], Picture]"
    labels: np.ndarray | None = None
    class_names: list[str] | None = None
    are_sorted: bool = False
