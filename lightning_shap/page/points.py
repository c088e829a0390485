"""Many images: what the page needs of all of them at once; the rest it has some at a time."""

import base64
from typing import TYPE_CHECKING, Any

import numpy as np

from lightning_shap.explanation.npz import pack
from lightning_shap.explanation.record import Record

if TYPE_CHECKING:
    from lightning_shap.explanation.verdicts import Verdicts

WHOLE = 64  # images at most that come as one
PIECE = 32  # images that come together, of more


def cut(images: int) -> list[range]:
    """Returns which images come together."""
    if images <= WHOLE:
        return [range(images)]
    return [range(start, min(start + PIECE, images)) for start in range(0, images, PIECE)]


def pack_points(record: Record, explained: np.ndarray, places: np.ndarray | None) -> str:
    """Returns what images are chosen and drawn as points by, as text.

    Args:
        record: Of the explanation.
        explained: int (N, K'), the classes that have maps.
        places: float64 (N, 2), where each lies, or None.
    """
    verdicts = record.judge()
    nobody = np.zeros_like(verdicts.true)
    predicted = nobody if verdicts.predicted is None else verdicts.predicted
    right = np.array([2 if one is None else int(one) for one in verdicts.right], np.uint8)
    arrays: dict[str, Any] = {
        "explained": explained.astype(np.int32),
        "true": np.argwhere(verdicts.true).astype(np.int32),
        "predicted": np.argwhere(predicted).astype(np.int32),
        "right": right,
        "error": _measure_errors(verdicts, predicted).astype(np.float32),
        "places": None if places is None else places.astype(np.float16),
    }
    return base64.b64encode(pack(arrays)).decode("ascii")


def _measure_errors(verdicts: "Verdicts", predicted: np.ndarray) -> np.ndarray:
    """Returns by how much what is predicted is ahead of what is true, float64 (N,); NaN without."""
    known = verdicts.probabilities
    if known is None:
        return np.full(len(predicted), np.nan)
    best = [np.where(classes, known, -np.inf).max(axis=1) for classes in (predicted, verdicts.true)]
    with np.errstate(invalid="ignore"):
        return np.asarray(best[0] - best[1])
