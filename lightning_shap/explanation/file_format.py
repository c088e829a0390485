"""The format: an explanation as arrays and pictures by their names, and back.

One writer and one reader serve archives, the page and the history of a training. An archive keeps
all that an explanation says: its regions and what each of their pixels adds, in float64, or the
values of pixels where each is a region of its own; its record; and its images in eight bits, as one
PNG each. These are exact where no channel of an image has more than 256 different values, as those
that were read from 8-bit files have not; else ``data`` is within 1/510 of the channel's range. The
page has no images in it, and values in four or two bytes.

``about`` says in JSON what arrays cannot. What has a row for each image is one array; what has a
number for each pixel is an entry for each image, as ``region_map/7``.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from functools import cached_property
from importlib.metadata import version
from typing import Any

import numpy as np

from lightning_shap.explanation.coarse_maps import shrink
from lightning_shap.explanation.eight_bit_images import fit_photographs, from_levels, to_levels
from lightning_shap.explanation.explanation import ImageExplanation
from lightning_shap.explanation.npz import PICTURE, Container, Content, narrow, pack, widen
from lightning_shap.explanation.record import PER_IMAGE, Record
from lightning_shap.explanation.regions import Regions

FORMAT = 3
"""Version 1 held values of pixels and images in float32; 2 was what the page has now."""

ABOUT = "about"
OF_REGIONS = ("per_pixel", "per_pixel_std", "error_triangle")  # with a row for each image
ROWS = (*PER_IMAGE, *OF_REGIONS, "base_values", "output_indexes")
MANY_REGIONS = 1024  # above, the page has values in two bytes


def describe(record: Record, more: Any, **others: Any) -> np.ndarray:
    """Returns ``about``: what is known of an explanation that is no array.

    Args:
        record: Of the explanation.
        more: What somebody else keeps beside it, of what JSON can say.
        others: What the reader needs to know.
    """
    arrays = {*PER_IMAGE, "class_names"}
    plain = {f.name: getattr(record, f.name) for f in fields(record) if f.name not in arrays}
    about = {
        "format": FORMAT,
        "version": version("lightning-shap"),
        "record": plain,
        "more": more,
        "has_probabilities": record.probabilities is not None,
        **others,
    }
    return np.array(json.dumps(about, ensure_ascii=False))


def source_arrays(source: Regions | np.ndarray) -> dict[str, np.ndarray | None]:
    """Returns what maps are made of as arrays: regions, or the values of pixels."""
    if not isinstance(source, Regions):
        return {"values": source}
    return {
        "region_map": shrink(source.labels),
        **{name: getattr(source, name) for name in OF_REGIONS},
    }


def read_source(arrays: Mapping[str, np.ndarray], channels: int) -> Regions | np.ndarray:
    """Returns what :func:`source_arrays` was given.

    Raises:
        ValueError: If parts do not fit together.
    """
    if "values" in arrays:
        return arrays["values"]
    labels, per_pixel = arrays["region_map"], arrays["per_pixel"]
    if labels.ndim != 3 or per_pixel.ndim != 4 or len(labels) != len(per_pixel):
        raise ValueError("its region map and values do not fit together")
    if labels.min(initial=0) < 0 or labels.max(initial=0) >= per_pixel.shape[1]:
        raise ValueError("its region map names regions that have no values")
    triangle, regions = arrays.get("error_triangle"), per_pixel.shape[1]
    if triangle is not None and triangle.shape != (len(labels), regions * (regions - 1) // 2):
        raise ValueError(f"its error_triangle has shape {triangle.shape}")
    return Regions(labels, per_pixel, channels, arrays.get("per_pixel_std"), triangle)


def row_arrays(explanation: ImageExplanation) -> dict[str, np.ndarray | None]:
    """Returns what an archive keeps that has a row for each image."""
    record, regions = explanation.record, explanation.regions
    arrays = {
        "base_values": explanation.base_values,
        "output_indexes": explanation.output_indexes,
        **{name: getattr(regions, name, None) for name in OF_REGIONS},
        **{name: getattr(record, name) for name in PER_IMAGE},
    }
    return {name: None if array is None else narrow(array) for name, array in arrays.items()}


def image_contents(explanation: ImageExplanation) -> Iterator[dict[str, Content]]:
    """Yields what an archive keeps of the pixels of each image."""
    regions = explanation.regions
    for image, data in enumerate(explanation.data):
        picture, levels = to_levels(data)
        contents: dict[str, Content] = {"photograph": picture, "photograph_levels": levels}
        if regions is None:
            contents["values"] = narrow(explanation.values[image])
        else:
            contents["region_map"] = shrink(regions.labels[image])
        yield contents


def pack_for_page(
    explanation: ImageExplanation,
    regions: Regions,
    cell: int,
    more: Mapping[str, Any],
) -> bytes:
    """Packs an explanation in few bytes, without its images.

    Args:
        explanation: With the axes of its images and outputs.
        regions: Its regions.
        cell: Their side in pixels where values of pixels were summed up, else 0.
        more: What else to keep, of what JSON can say.
    """
    record, values, std = explanation.record, regions.values, regions.error_std
    many = values.shape[1] > MANY_REGIONS
    largest = np.abs(values).max(axis=1)
    scale = np.where(largest > 0, largest, 1) if many else np.ones_like(largest)
    region_map = shrink(regions.labels)
    is_shared = bool((region_map == region_map[:1]).all())  # as with patches
    arrays = {
        "region_values": (values / scale[:, None]).astype("f2" if many else "f4"),
        "value_scale": scale,
        "region_std": None if std is None else std.astype(np.float32),
        "error_triangle": regions.error_triangle,
        "region_map": region_map[:1] if is_shared else region_map,
        "base_values": explanation.base_values,
        "output_indexes": explanation.output_indexes.astype(np.int32),
        **{name: getattr(record, name) for name in PER_IMAGE},
        "outputs": record.outputs.astype(np.float32),
    }
    if record.output == "logit":
        arrays["probabilities"] = None  # a softmax, or a sigmoid, makes them of the outputs
    about = describe(record, more, cell=cell)
    return pack({**arrays, ABOUT: about})


def pack_samples(photographs: np.ndarray, class_names: np.ndarray, names: np.ndarray) -> bytes:
    """Packs what all explanations of the same images share.

    With the arrays of :func:`pack_for_page` they make up an archive that stands alone.

    Args:
        photographs: uint8 (N, h, w, 3), as people know them; they may be smaller than the images.
        class_names: str (C,).
        names: str (N,), what the images are called, as by their files.
    """
    grey = (photographs == photographs[..., :1]).all()
    photographs = photographs[..., :1] if grey else photographs
    return pack({"photographs": photographs, "class_names": class_names, "names": names})


class Stored:
    """Reads an explanation, or some of its images, from a container of any version.

    Args:
        container: In which it is.

    Attributes:
        names: Of all that the container holds.
        about: What it says in words.

    Raises:
        KeyError: If something is missing, here and below.
        ValueError: If parts do not fit together, or a newer version wrote it, likewise.
    """

    def __init__(self, container: Container) -> None:
        self._container, self.names = container, container.names
        self.about: dict[str, Any] = json.loads(str(self.read(ABOUT)))
        if self.about["format"] > FORMAT:
            raise ValueError(f"it was written by version {self.about['version']}, which is newer")

    def read(self, name: str) -> np.ndarray:
        """Returns an array."""
        array = self._container.read(name)
        if array is None:
            raise KeyError(name)
        return array

    @cached_property
    def record(self) -> Record:
        """Returns the record of all images."""
        known: dict[str, Any] = dict(self.about["record"])
        known["grid"] = None if known["grid"] is None else tuple(known["grid"])
        known |= {name: self._rows.get(name) for name in PER_IMAGE}
        names = self._container.read("class_names")
        record = Record(**known, class_names=np.array([]) if names is None else names)
        if names is None:
            record = replace(record, class_names=record.classes.name(None))
        if self.about.get("has_probabilities") and record.probabilities is None:
            record = replace(record, probabilities=record.derive_probabilities())
        return record

    @cached_property
    def _rows(self) -> dict[str, np.ndarray]:
        """Reads the arrays that have a row for each image, numbers in the kinds that they had."""
        arrays = self.row_arrays().items()
        rows = {name: widen(array) for name, array in arrays if array is not None}
        return {**rows, "output_indexes": rows["output_indexes"].astype(np.int64)}

    def __len__(self) -> int:
        return len(self._rows["output_indexes"])

    def row_arrays(self) -> dict[str, np.ndarray | None]:
        """Returns what :func:`row_arrays` gave, as it was written."""
        return {name: self._container.read(name) for name in ROWS}

    def image_contents(self) -> Iterator[dict[str, Content]]:
        """Yields what :func:`image_contents` gave, as it was written."""
        levels = self.read("photograph_levels")
        for image in range(len(self)):
            pixels = [name for name in ("values", "region_map") if f"{name}/{image}" in self.names]
            yield {
                "photograph": self._container.read_bytes(f"photograph/{image}{PICTURE}"),
                "photograph_levels": levels[image],
                **{name: self.read(f"{name}/{image}") for name in pixels},
            }

    def explanation(self, images: range) -> ImageExplanation:
        """Returns an explanation of some images in a row."""
        numbers, rows = np.arange(images.start, images.stop), slice(images.start, images.stop)
        source, outputs = self._source(images), np.arange(self._rows["output_indexes"].shape[1])
        return ImageExplanation(
            source,
            self._rows["base_values"][rows],
            self._data(images, source.shape[:4]),
            self._rows["output_indexes"][rows],
            self.record.pick(numbers, outputs),
        )

    def _source(self, images: range) -> Regions | np.ndarray:
        if self._has("values"):
            values = widen(self._pixels("values", images))
            if not self._has("error_std"):  # which versions before 3 kept for each pixel
                return values
            return Regions.separate(values, widen(self._pixels("error_std", images)))
        arrays = {"region_map": self._pixels("region_map", images).astype(np.int32)}
        if "per_pixel" in self._rows:
            rows = {name: self._rows.get(name) for name in OF_REGIONS}
            some = slice(images.start, images.stop)
            arrays |= {name: array[some] for name, array in rows.items() if array is not None}
            return read_source(arrays, self.about["channels"])
        values = self.read("region_values") * self.read("value_scale")[:, None, :]
        std = self._container.read("region_std")
        triangle = self._rows.get("error_triangle")
        triangle = None if triangle is None else triangle[images.start : images.stop]
        read_source({**arrays, "per_pixel": values[:, :, None]}, 3)
        std = None if std is None else widen(std)
        return Regions.even(arrays["region_map"], values, 3, std, triangle)

    def _data(self, images: range, shape: tuple[int, ...]) -> np.ndarray:
        if self._has("data"):
            return self._pixels("data", images)
        photographs = self._container.read("photographs")
        if photographs is not None:
            return fit_photographs(photographs, shape)
        levels = self._container.read("photograph_levels")
        if levels is None:
            return np.full(shape, 0.5, dtype=np.float32)
        pictures = [self._container.read_picture(f"photograph/{i}{PICTURE}") for i in images]
        of_images = zip(pictures, levels[images.start : images.stop], strict=True)
        return np.stack([from_levels(*one, shape[1:]) for one in of_images])

    def _has(self, name: str) -> bool:
        return bool({name, f"{name}/0"} & self.names)

    def _pixels(self, name: str, images: range) -> np.ndarray:
        """Stacks what is kept of the pixels of some images."""
        if name not in self.names:
            return np.stack([self.read(f"{name}/{image}") for image in images])
        array = self.read(name)
        count = len(self)
        if name == "region_map" and len(array) == 1:  # of all images
            array = np.repeat(array, count, axis=0)
        if len(array) != count:
            raise ValueError(f"its {name} is of {len(array)} images, not {count}")
        return array[images.start : images.stop]
