"""A snapshot: one explained moment of a training, kept as small as it can be."""

import io
import json
import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from lightning_shap.explanation.coarse_maps import MOST_CELLS, lay_out, shrink
from lightning_shap.explanation.file_format import read_source, source_arrays
from lightning_shap.explanation.maps import Maps, read_maps
from lightning_shap.explanation.npz import pack
from lightning_shap.explanation.phrases import Name, Phrase
from lightning_shap.explanation.regions import Regions

if TYPE_CHECKING:
    from lightning_shap.explanation.explanation import ImageExplanation

_OLDER = re.compile(r"(.*?)( ?[<>]?[\d.]+ ?%)?", re.DOTALL)  # a name, and its probability


@dataclass(frozen=True)
class Snapshot:
    """Keeps what is needed of an explanation until the end of a training.

    Of regions this takes a byte or two a pixel: 0.4 MB for eight samples of 224 pixels a side. Maps
    of single pixels are summed up over at most 64 x 64 cells, so that each is a region too.

    Attributes:
        title: Such as ``"epoch 3"``.
        is_control: It is of the untrained model.
        maps: Those of each sample's first class, the true one or the highest, without the images.
        verdicts: What the model makes of each sample, such as ``"cat 93.1 %"``.
        right: Whether that is true, None where nobody knows.
        predicted: Bool (N, C), the predicted classes, or None.
    """

    title: str
    is_control: bool
    maps: Maps
    verdicts: tuple[Phrase, ...]
    right: tuple[bool | None, ...]
    predicted: np.ndarray | None

    @classmethod
    def of(
        cls, explanation: "ImageExplanation", title: str, *, is_control: bool = False
    ) -> "Snapshot":
        """Returns the snapshot of an explanation."""
        verdicts = explanation.record.judge()
        return cls(
            title,
            is_control,
            pick_first_maps(explanation),
            tuple(verdict.prediction for verdict in verdicts),
            tuple(verdicts.right),
            verdicts.predicted,
        )

    @cached_property
    def packed(self) -> bytes:
        """Returns the whole snapshot for a checkpoint: an ``.npz`` file of some kilobytes."""
        about = {
            "title": self.title,
            "is_control": self.is_control,
            "verdicts": [_pack_words(verdict) for verdict in self.verdicts],
            "right": self.right,
            "channels": self.maps.source.shape[3],
        }
        arrays = {"predicted": self.predicted, "indexes": self.maps.indexes}
        arrays |= source_arrays(self.maps.source)
        return pack({**arrays, "about": np.array(json.dumps(about, ensure_ascii=False))})

    @classmethod
    def unpack(cls, content: bytes) -> "Snapshot":
        """Returns the snapshot that was packed.

        Raises:
            ValueError: If it is none.
            KeyError: If something of it is missing.
        """
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            arrays: dict[str, Any] = dict(archive)
        about = json.loads(str(arrays["about"]))
        if "labels" in arrays:  # as earlier versions called it
            arrays["region_map"] = arrays.pop("labels")
        source = read_source(arrays, about.get("channels", 1))
        maps = Maps(source, _no_images(source), arrays.get("indexes"))
        return cls(
            about["title"],
            about["is_control"],
            maps,
            tuple(map(_unpack_words, about["verdicts"])),
            tuple(about["right"]),
            arrays.get("predicted"),
        )


def pick_first_maps(explanation: "ImageExplanation") -> Maps:
    """Returns the maps that a snapshot keeps of an explanation, and by which it is compared."""
    maps = read_maps(explanation)
    source: Regions | np.ndarray
    if isinstance(maps.source, Regions):
        everything = np.arange(len(maps.source.labels))
        first = maps.source.pick(everything, np.array([0]))
        labels = shrink(first.labels)
        source = Regions(labels, first.per_pixel, first.channels, first.per_pixel_std)
    else:
        source = _cells(maps)
    indexes = None if maps.indexes is None else maps.indexes[:, :1]
    return Maps(source, _no_images(source), indexes)


def _no_images(source: Regions | np.ndarray) -> np.ndarray:
    """Returns images of a shape alone: they are the same in all snapshots."""
    return np.broadcast_to(0.0, source.shape[:-1])


def _cells(maps: Maps) -> Regions | np.ndarray:
    """Returns the first maps of pixels, float32, summed up over cells where there are very many."""
    summed = np.stack([maps.get(image)[:1] for image in range(len(maps.images))])
    pixels = np.moveaxis(summed, 1, -1)[:, :, :, None].astype(np.float32)
    if max(pixels.shape[1:3]) <= MOST_CELLS:
        return pixels
    cells, _ = lay_out(Maps(pixels, _no_images(pixels)))
    return Regions(cells.labels, cells.per_pixel.astype(np.float32), 1)


def _pack_words(phrase: Phrase) -> list[list[Any]]:
    """Returns the parts of a phrase as JSON has them, each with whether it is a name."""
    return [[part, isinstance(part, Name)] for part in phrase.parts]


def _unpack_words(packed: Any) -> Phrase:
    """Returns the phrase that was packed; one of an older checkpoint is plain text, "cat 93 %"."""
    if isinstance(packed, str):
        name, number = _OLDER.fullmatch(packed).groups("")  # type: ignore[union-attr]  # fits all
        return Phrase(Name(name), f":{number}" if number and name[-1:].isdigit() else number)
    return Phrase(*(Name(text) if is_name else str(text) for text, is_name in packed))
