"""``explanation.json``: what an archive says of each image, for people and scripts."""

import json
import math
import platform
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np

from lightning_shap.explanation.archive import ArchiveBlocks, open_archive
from lightning_shap.explanation.record import Record
from lightning_shap.explanation.verdicts import Verdict, Verdicts

PREDICTIONS = 5  # of the highest classes; the archive has them all
PACKAGES = ("lightning-shap", "torch", "timm", "shap", "numpy", "pillow")


def write_json(archive: Path, path: Path, region: Sequence[float] | None = None) -> dict[str, Any]:
    """Writes what an ``explanation.npz`` says, an image a line, so that lines can be searched.

    Args:
        archive: Of the explanation.
        path: Where to.
        region: A box, of which each image says what it contributes to each explained output.

    Returns:
        What is said of all images, with their number as ``count``, and which are ``right``.
    """
    with open_archive(archive) as stored:
        record, more = stored.record, stored.about["more"]
        files, explained = stored.read("files"), stored.read("output_indexes")
    verdicts = record.judge()
    about = {
        **more,
        "accuracy": measure_accuracy(record),
        "evaluations": int(record.evaluations.sum()),
        "seconds": record.seconds,
        "model_seconds": record.model_seconds,
        "versions": _list_versions(),
    }
    places = repeat({}) if region is None else _describe_places(archive, region)
    with path.open("wb") as file:
        file.write(encode_json(about, indent=2).removesuffix(b"\n}") + b',\n  "images": [')
        for row, (name, place) in enumerate(zip(files, places, strict=False)):
            image = _describe_image(record, verdicts, row, explained[row])
            line = encode_json({"file": str(name), **image, **place})
            file.write((b",\n    " if row else b"\n    ") + line)
        file.write(b"\n  ]\n}\n")
    return {**about, "count": len(files), "right": verdicts.right}


def encode_json(content: dict[str, Any], indent: int | None = None) -> bytes:
    """Returns JSON that any reader of it takes, whatever is in names."""
    text = json.dumps(content, ensure_ascii=False, indent=indent, allow_nan=False)
    # A name that is not UTF-8 becomes an escape of JSON's own, which reads as the same name.
    return text.encode("utf-8", "backslashreplace")


def measure_accuracy(record: Record) -> float | None:
    """Returns the share of images that are classified rightly, None if that is not known."""
    known = [right for right in record.judge().right if right is not None]
    return sum(known) / len(known) if known else None


def _describe_image(
    record: Record, verdicts: Verdicts, row: int, explained: np.ndarray
) -> dict[str, Any]:
    verdict = verdicts[row]
    return {
        **_describe_truth(record, verdict, row),
        "verdict": verdict.words,
        "right": verdict.right,
        "predictions": [
            _describe_output(record, row, index)
            for index in _choose_outputs(record, row, explained)
        ],
        "explained": explained.tolist(),
        "additivity_gap": record.additivity_gap[row].tolist(),
        "evaluations": int(record.evaluations[row]),
        "regions": int(record.regions[row]),
        # Images share the model's batches; each has its part of the whole.
        "seconds": record.seconds * float(record.evaluations[row] / record.evaluations.sum()),
    }


def _describe_places(path: Path, region: Sequence[float]) -> Iterator[dict[str, Any]]:
    """Yields what a box contributes, with a number for each explained output of an image."""
    for block in ArchiveBlocks(path):
        found = block.region(region)
        for row in range(len(found.value)):
            parts = vars(found.pick(row)).items()
            yield {"region": {name: _list_finite(part) for name, part in parts}}


def _list_finite(numbers: np.ndarray | None) -> list[float | None] | None:
    """Returns numbers as JSON has them, which knows none that are not finite."""
    if numbers is None:
        return None
    return [one if math.isfinite(one) else None for one in numbers.tolist()]


def _describe_truth(record: Record, verdict: Verdict, row: int) -> dict[str, Any]:
    """Returns the true class or the list of them, or the true values."""
    if record.classes.values:
        return {"values": None if record.labels is None else record.labels[row].tolist()}
    numbers, names = [one.number for one in verdict.true], [one.name for one in verdict.true]
    if record.labels is not None and record.labels.ndim == 2:
        return {"label": numbers, "class": names}
    return {"label": next(iter(numbers), None), "class": next(iter(names), None)}


def _choose_outputs(record: Record, row: int, explained: np.ndarray) -> list[int]:
    """Returns the highest outputs, of values the first, and those that are explained."""
    outputs = record.outputs[row]
    ranked = np.arange(len(outputs))
    if not record.classes.values:
        ranked = np.argsort(-outputs, kind="stable")
    return list(dict.fromkeys([*ranked[:PREDICTIONS].tolist(), *explained.tolist()]))


def _describe_output(record: Record, row: int, index: int) -> dict[str, Any]:
    name = str(record.class_names[record.classes.find(np.array(index))])
    output = {"index": index, "output": float(record.outputs[row, index])}
    if record.classes.values:
        return {**output, "name": name}
    known = record.probabilities
    probability = None if known is None else float(known[row, index])
    return {**output, "class": name, "probability": probability}


def _list_versions() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:  # run from a checkout
            continue
    return versions
