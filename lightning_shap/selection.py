"""Selection: which rows of a data set to explain, the classes in turn."""

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any

import numpy as np
import torch

# Under which names data sets of torch, torchvision and scikit-learn keep the labels of all rows.
LABELS = ("targets", "labels", "_labels", "target", "label", "y")
# Lists of (file, label), as image folders keep them.
PAIRS = ("samples", "_samples", "imgs")


def spread(labels: np.ndarray | None, rows: Sequence[int], wanted: int) -> list[int]:
    """Some rows of a data set, evenly spread: over its classes in turn where labels are known.

    Nothing about it is random, so every run over the same data picks the same rows.

    Args:
        labels: int, the class of every row of the data set, negative where unknown; or None.
        rows: Those to pick from, ascending.
        wanted: How many; all of them where there are fewer.
    """
    available = np.asarray(rows, dtype=np.int64)
    if labels is None or not (labels[available] >= 0).any():
        evenly: list[int] = available[_even(len(available), wanted)].tolist()
        return evenly
    available = available[labels[available] >= 0]
    classes = np.unique(labels[available])
    classes = classes[_even(len(classes), wanted)]
    full, extra = divmod(wanted, len(classes))
    piles = []
    for place, label in enumerate(classes):
        pile = available[labels[available] == label]
        piles.append(pile[_even(len(pile), full + (place < extra))].tolist())
    picked = [row for turn in zip_longest(*piles) for row in turn if row is not None]
    if len(picked) < wanted:  # some classes have too few rows
        others = available[~np.isin(available, picked)]
        picked += others[_even(len(others), wanted - len(picked))].tolist()
    return picked


def labels_of(dataset: Any) -> np.ndarray | None:
    """The class of every row of a data set, as int (rows,), None where it does not say.

    Looked for where data sets keep them all, since reading every row may take hours: in attributes
    such as ``targets``, in ``samples`` of (file, label), in a ``TensorDataset``, in a column of
    classes of a Hugging Face data set; in what a ``Subset``, a ``ConcatDataset`` or another wrapper
    holds.
    """
    rows = _length(dataset)
    if rows is None:
        return None
    candidates = [getattr(dataset, name, None) for name in LABELS]
    candidates += [_seconds(getattr(dataset, name, None)) for name in PAIRS]
    candidates += list(reversed(getattr(dataset, "tensors", None) or ()))
    candidates.append(_class_column(dataset))
    for candidate in candidates:
        labels = _as_labels(candidate, rows)
        if labels is not None:
            return labels
    return _labels_inside(dataset, rows)


def _labels_inside(dataset: Any, rows: int) -> np.ndarray | None:
    parts = getattr(dataset, "datasets", None)
    if isinstance(parts, (list, tuple)) and parts:
        known = [labels for labels in map(labels_of, parts) if labels is not None]
        joined = np.concatenate(known) if len(known) == len(parts) else None
        return joined if joined is not None and len(joined) == rows else None
    inner = getattr(dataset, "dataset", getattr(dataset, "subset", None))
    labels = None if inner is None or inner is dataset else labels_of(inner)
    indices = getattr(dataset, "indices", None)
    if labels is not None and indices is not None and len(indices) == rows:
        picked: np.ndarray = labels[np.asarray(indices, dtype=np.int64)]
        return picked
    return labels if labels is not None and len(labels) == rows else None


def _class_column(dataset: Any) -> Any:
    """The column that a Hugging Face data set declares to hold classes."""
    features = getattr(dataset, "features", None)
    if not isinstance(features, Mapping):
        return None
    column = next((name for name, kind in features.items() if hasattr(kind, "names")), None)
    if column is None:
        return None
    # Without its format, which may be a transform of whole rows.
    plain = dataset.with_format(None) if hasattr(dataset, "with_format") else dataset
    return list(plain[column])


def _seconds(pairs: Any) -> list[Any] | None:
    if not isinstance(pairs, (list, tuple)) or not pairs:
        return None
    fit = all(isinstance(pair, (list, tuple)) and len(pair) == 2 for pair in pairs)
    return [label for _, label in pairs] if fit else None


def _as_labels(candidate: Any, rows: int) -> np.ndarray | None:
    """Whole numbers, one a row, or None."""
    if isinstance(candidate, torch.Tensor):
        candidate = candidate.detach().cpu().numpy()
    if not isinstance(candidate, (list, tuple, np.ndarray)) or len(candidate) != rows or not rows:
        return None
    try:
        labels = np.asarray(candidate)
    except ValueError:  # rows of different lengths
        return None
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1 or labels.dtype.kind not in "iub":
        return None
    labels = labels.astype(np.int64)
    numbers_rows = rows > 2 and bool((np.diff(labels) == 1).all())
    return None if numbers_rows else labels


def _length(dataset: Any) -> int | None:
    try:
        return len(dataset)
    except (TypeError, NotImplementedError):
        return None


def _even(available: int, wanted: int) -> np.ndarray:
    """Places of ``wanted`` of ``available`` things: the middles of as many equal stretches."""
    wanted = min(wanted, available)
    places: np.ndarray = ((np.arange(wanted) + 0.5) * available / max(wanted, 1)).astype(np.int64)
    return places
