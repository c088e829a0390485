"""Loads Hugging Face data sets by name, where the ``datasets`` package is installed."""

from typing import Any

import numpy as np

from lightning_shap.command.data.image_set import SPLITS, ImageSet
from lightning_shap.command.untrusted import blame
from lightning_shap.errors import ArgumentError


def find_named(name: str) -> ImageSet:
    """Returns the images of a named data set, of its test split where it has one.

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
    with blame(
        "dataset",
        f"there is no folder {name!r}, and as a Hugging Face data set it does not load",
    ):
        splits = datasets.load_dataset(name)
    order = {split: place for place, split in enumerate(SPLITS)}
    rows = splits[min(splits, key=lambda split: order.get(split, len(order)))]
    pictures, classes = _find_column(rows, "Image"), _find_column(rows, "ClassLabel")
    if pictures is None:
        raise ArgumentError(
            "dataset", f"{name!r} has no column of images, but {list(rows.features)}"
        )
    names = [f"{name}[{index}]" for index in range(len(rows))]
    images = ImageSet(names, lambda index: rows[index][pictures])
    if classes is None:
        return images
    labels = np.asarray(rows[classes], dtype=np.int64)
    known = None if (labels < 0).any() else labels  # a test split may keep its labels back
    class_names = [str(label) for label in rows.features[classes].names]
    return ImageSet(names, images.open, known, class_names)


def _find_column(rows: Any, kind: str) -> str | None:
    """Returns the first column of a kind of feature."""
    features = rows.features.items()
    return next((name for name, feature in features if type(feature).__name__ == kind), None)
