"""Hugging Face data sets by name, where the ``datasets`` package is installed."""

from typing import Any

import numpy as np

from lightning_shap.command.data.files import Picture
from lightning_shap.command.data.image_set import SPLITS, ImageSet
from lightning_shap.command.untrusted import blaming
from lightning_shap.errors import ArgumentError


def find_named(name: str) -> ImageSet:
    """The images of a named data set, of its test split where it has one.

    Raises:
        ArgumentError: If the package is missing, or knows no such data set, or it has no images.
    """
    try:
        import datasets
    except ImportError as error:
        raise ArgumentError(
            "dataset",
            f"there is no {name!r}; give a folder of images (for a Hugging Face data set of that "
            "name, first `pip install datasets`)",
        ) from error
    with blaming(
        "dataset",
        f"there is no folder {name!r}, and as a Hugging Face data set it does not load",
    ):
        splits = datasets.load_dataset(name)
    rows = splits[min(splits, key=_rank)]
    pictures = _column(rows, "Image")
    if pictures is None:
        raise ArgumentError(
            "dataset", f"{name!r} has no column of images, but {list(rows.features)}"
        )
    classes = _column(rows, "ClassLabel")
    labels = None if classes is None else np.asarray(rows[classes], dtype=np.int64)
    if labels is not None and (labels < 0).any():  # a test split that keeps its labels back
        labels = None

    def open_row(index: int) -> Picture:
        picture: Picture = rows[index][pictures]
        return picture

    return ImageSet(
        [f"{name}[{index}]" for index in range(len(rows))],
        open_row,
        labels,
        None if classes is None else [str(label) for label in rows.features[classes].names],
    )


def _rank(split: str) -> int:
    return SPLITS.index(split) if split in SPLITS else len(SPLITS)


def _column(rows: Any, kind: str) -> str | None:
    """The first column of a kind of feature."""
    features = rows.features.items()
    return next((name for name, feature in features if type(feature).__name__ == kind), None)
