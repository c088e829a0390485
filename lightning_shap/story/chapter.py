"""A chapter: one explained moment of a training, kept as small as it can be."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lightning_shap.maps import Maps, maps_of
from lightning_shap.regions.labelled import Regions

if TYPE_CHECKING:
    from lightning_shap.explanation import ImageExplanation, Record


@dataclass(frozen=True)
class Chapter:
    """What is kept of an explanation until the end of a training.

    Of regions this takes a byte or two a pixel, else four: 0.4 or 1.6 MB for eight samples of 224
    pixels a side.

    Attributes:
        title: Such as ``"epoch 3"``.
        is_control: It is of the untrained model.
        maps: Those of each sample's first class, the true one or the highest, without the images.
        verdicts: What the model makes of each sample, such as ``"cat 93 %"``.
        right: Whether that is true, None where nobody knows.
        predicted: Bool (N, C), the predicted classes, or None.
    """

    title: str
    is_control: bool
    maps: Maps
    verdicts: tuple[str, ...]
    right: tuple[bool | None, ...]
    predicted: np.ndarray | None

    @classmethod
    def of(
        cls, explanation: "ImageExplanation", title: str, *, is_control: bool = False
    ) -> "Chapter":
        """The chapter of an explanation."""
        record = explanation.record
        verdicts = tuple(_verdict(record, image) for image in range(len(record.outputs)))
        return cls(
            title,
            is_control,
            _first_maps(explanation),
            verdicts,
            tuple(record.right),
            record.predicted,
        )


def _first_maps(explanation: "ImageExplanation") -> Maps:
    maps = maps_of(explanation)
    source: Regions | np.ndarray
    if isinstance(maps.source, Regions):
        everything = np.arange(len(maps.source.labels))
        first = maps.source.picked(everything, np.array([0]))
        labels = first.labels.astype(np.min_scalar_type(first.per_pixel.shape[1]))
        source = Regions(labels, first.per_pixel, first.channels, first.per_pixel_std)
    else:
        summed = np.stack([maps.of(image)[0] for image in range(len(maps.images))])
        source = summed.astype(np.float32)[..., None, None]
    images = np.broadcast_to(0.0, source.shape[:-1])  # they are the same in all chapters
    indexes = None if maps.indexes is None else maps.indexes[:, :1]
    return Maps(source, images, indexes, None, None, None)


def _verdict(record: "Record", image: int) -> str:
    """The predicted classes and how sure the model is of a single one, or its first value."""
    if record.predicted is None:
        return f"{record.outputs[image, 0]:.3g}"
    predicted = np.flatnonzero(record.predicted[image])
    names = ", ".join(str(record.class_names[one]) for one in predicted) or "no class"
    if record.probabilities is None or len(predicted) != 1:
        return names
    by_class = record.classes.probabilities(record.probabilities)
    return f"{names} {100 * by_class[image, predicted[0]]:.0f} %"
