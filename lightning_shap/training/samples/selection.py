"""Select which rows of a data set to explain, the classes in turn."""

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any

import numpy as np

from lightning_shap.training.samples.labels import (
    WhichLabels,
    find_labels,
    join_labels,
    number_classes,
)
from lightning_shap.training.samples.reading_process import read
from lightning_shap.training.samples.samples import view_samples

# Under which names data sets of torch, torchvision and scikit-learn keep the labels of all rows.
LABELS = ("targets", "labels", "_labels", "target", "label", "y")
GOLDEN = (5**0.5 - 1) / 2  # whose multiples come close to no fraction
# Lists of (file, label), as image folders keep them.
PAIRS = ("samples", "_samples", "imgs")

# Rows that are read for their labels alone, where a data set does not keep these: so many for each
# sample, and at most.
LOOKS, MOST_LOOKS, AT_ONCE = 8, 512, 64


def spread(labels: np.ndarray | None, rows: Sequence[int], wanted: int) -> list[int]:
    """Returns rows of a data set, evenly spread: over its classes in turn where labels are known.

    Nothing about it is random, so every run over the same data picks the same rows.

    Args:
        labels: int, the class of every row of the data set, negative where unknown; or None.
        rows: Those to pick from, ascending.
        wanted: How many; all of them where there are fewer.
    """
    available = np.asarray(rows, dtype=np.int64)
    if labels is None or not (labels[available] >= 0).any():
        anyhow: list[int] = available[_choose_uneven(len(available), wanted)].tolist()
        return anyhow
    available = available[labels[available] >= 0]
    classes = np.unique(labels[available])
    classes = classes[_choose_even(len(classes), wanted)]
    full, extra = divmod(wanted, len(classes))
    piles = []
    for place, label in enumerate(classes):
        pile = available[labels[available] == label]
        piles.append(pile[_choose_even(len(pile), full + (place < extra))].tolist())
    picked = [row for turn in zip_longest(*piles) for row in turn if row is not None]
    if len(picked) < wanted:  # some classes have too few rows
        others = available[~np.isin(available, picked)]
        picked += others[_choose_even(len(others), wanted - len(picked))].tolist()
    return picked


def find_all_labels(dataset: Any, which: WhichLabels = None) -> np.ndarray | None:
    """Returns the class of every row of a data set, int (rows,); None where it does not say.

    Looked for where data sets keep them all, since reading every row may take hours: in attributes
    such as ``targets``, in ``samples`` of (file, label), in a ``TensorDataset``, in a column of
    classes of a Hugging Face data set; in what a ``Subset``, a ``ConcatDataset`` or another wrapper
    holds. What may be labels there is judged as it is in a batch.

    Args:
        dataset: Whose rows have numbers.
        which: Labels that somebody named. A function needs batches, and finds none here.
    """
    rows = _count_rows(dataset)
    if rows is None or callable(which):
        return None
    labels = number_classes(find_labels(_find_parts(dataset, which), rows))
    if labels is None:
        return _find_inner_labels(dataset, rows, which)
    numbers_rows = rows > 2 and bool((np.diff(labels) == 1).all())
    return None if numbers_rows else labels


def look_up_labels(
    loader: Any, rows: Sequence[int], wanted: int, which: WhichLabels, seed: int
) -> np.ndarray | None:
    """Returns the classes of all rows, of which some are read; -1 for the others, None without any.

    Args:
        loader: Reads them.
        rows: Those to look at, ascending.
        wanted: How many samples there are to be.
        which: Labels that somebody named.
        seed: Of a transform that draws.
    """
    some = spread(None, rows, min(LOOKS * wanted, MOST_LOOKS))
    parts = []
    try:
        for start in range(0, len(some), AT_ONCE):
            batch = read(loader, loader.dataset, some[start : start + AT_ONCE], seed)
            labels = view_samples(batch, which).labels
            if labels is None:
                return None
            parts.append(labels)
    except Exception:  # the samples themselves will show what is wrong
        return None
    classes = number_classes(join_labels(parts))
    if classes is None:
        return None
    known = np.full(len(loader.dataset), -1)
    known[some] = classes
    return known


def _find_parts(dataset: Any, which: int | str | None) -> list[tuple[str, Any]]:
    """Returns what may be the labels of all rows, with names."""
    tensors = list(getattr(dataset, "tensors", None) or ())
    if isinstance(which, int):
        return [("label", tensor) for tensor in tensors[which : which + 1 or None]]
    if isinstance(which, str):
        return [("label", getattr(dataset, which, None)), ("label", _read_column(dataset, which))]
    images = next((i for i, tensor in enumerate(tensors) if tensor.ndim == 4), 0)
    return [
        *((name, getattr(dataset, name, None)) for name in LABELS),
        *(("label", _take_seconds(getattr(dataset, name, None))) for name in PAIRS),
        *(("", tensor) for tensor in tensors[images + 1 :] + tensors[:images]),
        ("label", _find_class_column(dataset)),
    ]


def _find_inner_labels(dataset: Any, rows: int, which: WhichLabels) -> np.ndarray | None:
    parts = getattr(dataset, "datasets", None)
    if isinstance(parts, (list, tuple)) and parts:
        known = [found for part in parts if (found := find_all_labels(part, which)) is not None]
        join_samples = np.concatenate(known) if len(known) == len(parts) else None
        return join_samples if join_samples is not None and len(join_samples) == rows else None
    inner = getattr(dataset, "dataset", getattr(dataset, "subset", None))
    labels = None if inner is None or inner is dataset else find_all_labels(inner, which)
    indices = getattr(dataset, "indices", None)
    if labels is not None and indices is not None and len(indices) == rows:
        picked: np.ndarray = labels[np.asarray(indices, dtype=np.int64)]
        return picked
    return labels if labels is not None and len(labels) == rows else None


def _find_class_column(dataset: Any) -> Any:
    """Returns the column that a Hugging Face data set declares to hold classes."""
    features = getattr(dataset, "features", None)
    if not isinstance(features, Mapping):
        return None
    column = next((name for name, kind in features.items() if hasattr(kind, "names")), None)
    return None if column is None else _read_column(dataset, column)


def _read_column(dataset: Any, column: str) -> Any:
    """Returns a column of a Hugging Face data set."""
    features = getattr(dataset, "features", None)
    if not isinstance(features, Mapping) or column not in features:
        return None
    # Without its format, which may be a transform of whole rows.
    plain = dataset.with_format(None) if hasattr(dataset, "with_format") else dataset
    return list(plain[column])


def _take_seconds(pairs: Any) -> list[Any] | None:
    if not isinstance(pairs, (list, tuple)) or not pairs:
        return None
    fit = all(isinstance(pair, (list, tuple)) and len(pair) == 2 for pair in pairs)
    return [label for _, label in pairs] if fit else None


def _count_rows(dataset: Any) -> int | None:
    try:
        return len(dataset)
    except (TypeError, NotImplementedError):
        return None


def _choose_even(available: int, wanted: int) -> np.ndarray:
    """Returns places of ``wanted`` of ``available`` things: the middles of equal stretches."""
    return _choose_in_stretches(available, wanted, np.full(min(wanted, available), 0.5))


def _choose_uneven(available: int, wanted: int) -> np.ndarray:
    """Returns a place of each of as many stretches, in each of which it lies elsewhere.

    An even stride would meet the same class again and again where classes alternate.
    """
    turns = np.arange(1, min(wanted, available) + 1)
    return _choose_in_stretches(available, wanted, turns * GOLDEN % 1)


def _choose_in_stretches(available: int, wanted: int, shares: np.ndarray) -> np.ndarray:
    wanted = min(wanted, available)
    starts = np.arange(wanted) + shares
    places: np.ndarray = (starts * available / max(wanted, 1)).astype(np.int64)
    return places
