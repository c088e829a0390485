"""The report: what an archive says of each image, for people and scripts, as JSON."""

import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from lightning_shap.archive import read, read_more, read_record
from lightning_shap.explanation import Record

PREDICTIONS = 5  # of the highest classes; the archive has them all
PACKAGES = ("lightning-shap", "torch", "timm", "shap", "numpy", "pillow")


def report(path: Path) -> dict[str, Any]:
    """A report of ``explanation.npz``: how it came about, then its images one by one."""
    record = read_record(path)
    files, explained = read(path, "files"), read(path, "output_indexes")
    return {
        **read_more(path),
        "accuracy": accuracy(record),
        "evaluations": int(record.evaluations.sum()),
        "seconds": record.seconds,
        "model_seconds": record.model_seconds,
        "versions": _versions(),
        "images": [
            {"file": str(file), **_image(record, row, explained[row])}
            for row, file in enumerate(files)
        ],
    }


def accuracy(record: Record) -> float | None:
    """The share of images whose true class is predicted, None where that is not known."""
    if record.labels is None or (record.probabilities is None and record.outputs.shape[1] == 1):
        return None
    known = record.labels >= 0
    return float((predictions(record) == record.labels)[known].mean()) if known.any() else None


def predictions(record: Record) -> np.ndarray:
    """The class predicted for each image; a single output speaks of the second of two."""
    if record.outputs.shape[1] == 1 and record.probabilities is not None:
        return (record.probabilities[:, 0] > 0.5).astype(np.int64)
    return record.outputs.argmax(axis=1)


def _image(record: Record, row: int, explained: np.ndarray) -> dict[str, Any]:
    outputs, names = record.outputs[row], record.class_names
    label = -1 if record.labels is None else int(record.labels[row])
    unspoken = len(names) - len(outputs)  # a single output speaks of the second of two classes
    highest = np.argsort(-outputs, kind="stable")[:PREDICTIONS]
    return {
        "label": None if label < 0 else label,
        "class": None if label < 0 else str(names[label]),
        "predictions": [
            {
                "index": index,
                "class": str(names[index + unspoken]),
                "output": float(outputs[index]),
                "probability": None
                if record.probabilities is None
                else float(record.probabilities[row, index]),
            }
            for index in dict.fromkeys([*highest.tolist(), *explained.tolist()])
        ],
        "explained": explained.tolist(),
        "additivity_gap": record.additivity_gap[row].tolist(),
        "evaluations": int(record.evaluations[row]),
        "regions": int(record.regions[row]),
        # Images share the model's batches; each has its part of the whole.
        "seconds": record.seconds * float(record.evaluations[row] / record.evaluations.sum()),
    }


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:  # run from a checkout
            continue
    return versions
