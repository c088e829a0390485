"""Which rows are picked: evenly, the classes in turn, and always the same."""

from types import SimpleNamespace

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import ConcatDataset, Subset, TensorDataset

from lightning_shap.selection import labels_of, spread

labels = st.lists(st.integers(-1, 5), min_size=1, max_size=60).map(np.array)


@given(labels, st.integers(1, 70))
def test_as_many_different_rows_as_wanted_or_there_are(labels, wanted):
    rows = spread(labels, range(len(labels)), wanted)
    known = int((labels >= 0).sum()) or len(labels)
    assert len(rows) == len(set(rows)) == min(wanted, known)


@given(labels, st.integers(1, 70))
def test_no_class_has_two_rows_more_than_another_with_rows_left(labels, wanted):
    rows = spread(labels, range(len(labels)), wanted)
    classes = [c for c in np.unique(labels) if c >= 0]
    if not classes or wanted < len(classes):
        return
    picked = {c: int((labels[rows] == c).sum()) for c in classes}
    left = {c: int((labels == c).sum()) - picked[c] for c in classes}
    least = min((picked[c] for c in classes if left[c]), default=0)
    if wanted <= len(classes) * min((labels == c).sum() for c in classes):
        assert max(picked.values()) <= least + 1 or not any(left.values())


@given(labels, st.integers(1, 8))
def test_unknown_labels_are_picked_only_where_all_are_unknown(labels, wanted):
    rows = spread(labels, range(len(labels)), wanted)
    assert (labels[rows] >= 0).all() or (labels < 0).all()


def test_without_labels_rows_are_evenly_spaced():
    assert spread(None, range(100), 4) == [12, 37, 62, 87]
    assert spread(None, range(10, 20, 5), 4) == [10, 15]


def test_more_classes_than_samples_are_spread_over_too():
    labels = np.arange(100) % 50
    assert labels[spread(labels, range(100), 5)].tolist() == [5, 15, 25, 35, 45]


def test_labels_are_found_where_data_sets_keep_them():
    truth = [3, 1, 2, 0, 1]
    plain = torch.zeros(5, 1)
    kept = [
        SimpleNamespace(targets=truth),
        SimpleNamespace(labels=np.array(truth)),
        SimpleNamespace(_labels=torch.tensor(truth)),
        SimpleNamespace(samples=[(f"{row}.png", label) for row, label in enumerate(truth)]),
    ]
    for one in kept:
        dataset = type("Kept", (SimpleNamespace,), {"__len__": lambda self: 5})(**vars(one))
        assert labels_of(dataset).tolist() == truth
        assert labels_of(Subset(dataset, [4, 0])).tolist() == [1, 3]
        assert labels_of(ConcatDataset([dataset, dataset])).tolist() == truth * 2
    assert labels_of(TensorDataset(plain, torch.tensor(truth))).tolist() == truth
    assert labels_of(TensorDataset(plain, torch.tensor(truth), torch.arange(5))).tolist() == truth
    assert labels_of(TensorDataset(plain)) is None
    assert labels_of(SimpleNamespace(targets=truth)) is None
