"""The compact form of an explanation: its regions and their values, without the pixels.

It is an ``.npz`` file of a few kilobytes, so that anything that reads NumPy's files can read it:
the page in a browser, and :func:`lightning_shap.load`. What all epochs of a run share, such as the
photographs, is a second one, which is written once. Their arrays have different names: those of
both together are one archive that stands alone.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from importlib.metadata import version
from typing import Any

import numpy as np

from lightning_shap.explanation.compressed import Layout, npz
from lightning_shap.explanation.explanation import ImageExplanation
from lightning_shap.explanation.record import PER_IMAGE, Record
from lightning_shap.explanation.regions import Regions

FORMAT = 2
"""Version 1 of archives holds values of pixels; this one adds those of regions."""

VALUES = "region_values"  # by which an archive of regions is known
MANY_REGIONS = 1024  # above, values are kept in two bytes
BYTES_PER_PIXEL = 16  # of what is made of it: a region's number, and three floats of an image


def pack(explanation: ImageExplanation, layout: Layout, more: Mapping[str, Any]) -> bytes:
    """The compact form of an explanation.

    Args:
        explanation: With the axes of its images and outputs.
        layout: Its regions.
        more: What else to keep, of what JSON can say.
    """
    record = explanation.record
    per_image = {name: getattr(record, name) for name in PER_IMAGE if name != "probabilities"}
    per_image["outputs"] = record.outputs.astype(np.float32)
    derived = record.probabilities is None or record.output == "logit"
    arrays = {
        **_values(layout),
        "region_map": _shared(layout.region_map),
        "base_values": explanation.base_values,
        "output_indexes": np.asarray(explanation.output_indexes, dtype=np.int32),
        **per_image,
        # Probabilities of logits are what a softmax, or a sigmoid, makes of them.
        "probabilities": None if derived else record.probabilities,
    }
    about = {
        "format": FORMAT,
        "version": version("lightning-shap"),
        "record": plain(record),
        "more": dict(more),
        "cell": layout.cell,
        "has_probabilities": record.probabilities is not None,
    }
    arrays["about"] = np.array(json.dumps(about, ensure_ascii=False))
    return npz(arrays)


def pack_samples(photographs: np.ndarray, class_names: np.ndarray, names: np.ndarray) -> bytes:
    """What all explanations of the same images share.

    Args:
        photographs: uint8 (N, h, w, 3), as people know them; they may be smaller than the images.
        class_names: str (C,).
        names: str (N,), what the images are called, as by their files.
    """
    grey = (photographs == photographs[..., :1]).all()
    return npz(
        {
            "photographs": photographs[..., :1] if grey else photographs,
            "class_names": class_names,
            "names": names,
        }
    )


def restored(
    read: Callable[[str], np.ndarray | None], about: Mapping[str, Any]
) -> ImageExplanation:
    """An explanation from its compact form.

    Its images are the photographs, in float32 from 0 to 1, and mid-grey where these are missing;
    its values are spread evenly over the pixels of a region.

    Args:
        read: An array by its name, None where there is none.
        about: What the archive says of itself.

    Raises:
        KeyError: If something is missing.
        ValueError: If parts do not fit together.
    """
    region_map = _found(read, "region_map").astype(np.int32)
    values = _found(read, VALUES) * _found(read, "value_scale")[:, None, :]
    if region_map.ndim != 3 or values.ndim != 3 or len(region_map) not in (1, len(values)):
        raise ValueError("its region map and values do not fit together")
    region_map = np.repeat(region_map, len(values) // len(region_map), axis=0)
    if region_map.min(initial=0) < 0 or region_map.max(initial=0) >= values.shape[1]:
        raise ValueError("its region map names regions that have no values")
    std = read("region_std")
    regions = Regions.even(region_map, values, 3, None if std is None else std.astype(np.float64))
    names = read("class_names")
    record = record_of(about, read, np.array([]) if names is None else names)
    record = replace(record, outputs=_found(read, "outputs").astype(np.float64))
    classes = record.classes
    if names is None:
        record = replace(record, class_names=classes.named(None))
    if about.get("has_probabilities") and record.probabilities is None:
        record = replace(record, probabilities=_of_logits(record))
    return ImageExplanation(
        regions,
        _found(read, "base_values"),
        _images(read("photographs"), region_map.shape),
        _found(read, "output_indexes").astype(np.int64),
        record,
    )


def plain(record: Record) -> dict[str, Any]:
    """What a record says without arrays."""
    arrays = {*PER_IMAGE, "class_names"}
    return {f.name: getattr(record, f.name) for f in fields(record) if f.name not in arrays}


def record_of(
    about: Mapping[str, Any], read: Callable[[str], np.ndarray | None], class_names: np.ndarray
) -> Record:
    """The record that :func:`plain` and the arrays of an archive make up.

    Args:
        about: What the archive says of itself.
        read: An array by its name, None where there is none.
        class_names: str (C,).
    """
    known: dict[str, Any] = dict(about["record"])
    known["grid"] = None if known["grid"] is None else tuple(known["grid"])
    known |= {name: read(name) for name in PER_IMAGE}
    return Record(**known, class_names=class_names)


def _values(layout: Layout) -> dict[str, np.ndarray | None]:
    """Values in four bytes; of very many regions in two, as shares of the largest of each map."""
    many = layout.values.shape[1] > MANY_REGIONS
    largest = np.abs(layout.values).max(axis=1)
    scale = np.where(largest > 0, largest, 1) if many else np.ones_like(largest)
    kept = (layout.values / scale[:, None, :]).astype(np.float16 if many else np.float32)
    std = layout.error_std
    return {
        VALUES: kept,
        "value_scale": scale,
        "region_std": None if std is None else std.astype(np.float32),
    }


def _shared(region_map: np.ndarray) -> np.ndarray:
    """The map of the first image alone, where all images have the same, as with patches."""
    return region_map[:1] if (region_map == region_map[:1]).all() else region_map


def _images(photographs: np.ndarray | None, shape: tuple[int, ...]) -> np.ndarray:
    images, height, width = shape
    if photographs is None:
        return np.full((images, height, width, 3), 0.5, dtype=np.float32)
    count, down, across, channels = photographs.shape
    if (count, channels in (1, 3)) != (images, True) or 0 in photographs.shape:
        raise ValueError(f"its photographs have shape {photographs.shape}")
    rows = np.arange(height) * down // height
    columns = np.arange(width) * across // width
    fitted = photographs[:, rows][:, :, columns] / np.float32(255)
    return np.ascontiguousarray(np.broadcast_to(fitted, (images, height, width, 3)))


def _found(read: Callable[[str], np.ndarray | None], name: str) -> np.ndarray:
    array = read(name)
    if array is None:
        raise KeyError(name)
    return array


def _of_logits(record: Record) -> np.ndarray:
    outputs = record.outputs
    if record.classes.independent:
        return 1 / (1 + np.exp(-outputs))
    powers = np.exp(outputs - outputs.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)
