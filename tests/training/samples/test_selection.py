"""Which rows are picked: evenly, the classes in turn, and always the same."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import ConcatDataset, Subset, TensorDataset

from lightning_shap.training.samples.samples import find_samples
from lightning_shap.training.samples.selection import find_all_labels, spread

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


def test_without_labels_each_stretch_of_rows_has_one():
    rows = spread(None, range(100), 4)
    assert [row // 25 for row in rows] == [0, 1, 2, 3]
    assert spread(None, range(10, 20, 5), 4) == [10, 15]


@pytest.mark.parametrize("classes", [2, 3, 4, 5, 8])
def test_without_labels_no_stride_meets_one_class_alone(classes):
    """Of labels that alternate, an even stride meets the same one again and again."""
    for wanted in (4, 6, 8):
        rows = np.array(spread(None, range(64), wanted))
        assert len({*(rows % classes)}) >= min(classes, wanted) / 2


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
        assert find_all_labels(dataset).tolist() == truth
        assert find_all_labels(Subset(dataset, [4, 0])).tolist() == [1, 3]
        assert find_all_labels(ConcatDataset([dataset, dataset])).tolist() == truth * 2
    assert find_all_labels(TensorDataset(plain, torch.tensor(truth))).tolist() == truth
    assert (
        find_all_labels(TensorDataset(plain, torch.tensor(truth), torch.arange(5))).tolist()
        == truth
    )
    assert find_all_labels(TensorDataset(plain)) is None


FORMS = {
    "a list": [1, 0, 1, 1, 0],
    "floats, as BCE needs them": torch.tensor([1.0, 0, 1, 1, 0]),
    "a column": torch.tensor([[1], [0], [1], [1], [0]]),
    "a column of floats": torch.tensor([[1.0], [0], [1], [1], [0]]),
    "one-hot": torch.eye(2)[[1, 0, 1, 1, 0]],
    "booleans": np.array([True, False, True, True, False]),
    "a table's column": type("Series", (), {"to_numpy": lambda self: np.array([1, 0, 1, 1, 0])})(),
}


@pytest.mark.parametrize("form", FORMS)
def test_rows_are_chosen_by_the_labels_that_are_read(form):
    """One rule finds labels, for the choice of rows and in the batches that are read."""
    kept = SimpleNamespace(targets=FORMS[form])
    dataset = type("Kept", (SimpleNamespace,), {"__len__": lambda self: 5})(**vars(kept))
    assert find_all_labels(dataset).tolist() == [1, 0, 1, 1, 0]
    if isinstance(FORMS[form], torch.Tensor):
        images, labels = torch.zeros(5, 1, 4, 4), FORMS[form]
        patients = torch.tensor([7, 7, 3, 9, 9])
        for columns in ((images, labels), (images, labels, patients), (labels, images)):
            assert find_all_labels(TensorDataset(*columns)).tolist() == [1, 0, 1, 1, 0]
            assert find_samples(columns).labels.tolist() == [1, 0, 1, 1, 0]


def test_labels_that_somebody_named_are_taken():
    images, kinds = torch.zeros(4, 1, 4, 4), torch.tensor([5, 3, 9, 5])
    sexes = torch.tensor([0, 1, 1, 0])
    data = TensorDataset(images, kinds, sexes)
    for which in (2, -1):
        assert find_all_labels(data, which).tolist() == sexes.tolist()
        assert find_samples((images, kinds, sexes), which).labels.tolist() == sexes.tolist()
    named = (images, {"species": kinds, "sex": sexes})
    assert find_samples(named, "sex").labels.tolist() == sexes.tolist()
    assert find_samples(named, lambda batch: batch[1]["sex"] + 1).labels.tolist() == [1, 2, 2, 1]
    kept = type("Kept", (SimpleNamespace,), {"__len__": lambda self: 4})(sex=sexes, y=kinds)
    assert find_all_labels(kept, "sex").tolist() == sexes.tolist()
    assert find_all_labels(Subset(kept, [1, 0]), "sex").tolist() == [1, 0]


@pytest.mark.parametrize("which", ["sax", 7, lambda batch: None])
def test_a_name_without_labels_is_refused_with_the_names_there_are(which):
    batch = (torch.zeros(4, 1, 4, 4), {"sex": torch.tensor([0, 1, 1, 0])})
    with pytest.raises(ValueError, match=r"labels: .*gives no labels of 4 images.*'sex'"):
        find_samples(batch, which)


def test_several_classes_are_spread_over_by_what_is_true_together():
    several = torch.tensor([[1, 1, 0], [0, 0, 0], [1, 1, 0], [0, 1, 1]]).float()
    found = find_all_labels(TensorDataset(torch.zeros(4, 1, 4, 4), several))
    assert found[0] == found[2]
    assert len({*found}) == 3


def test_no_labels_are_known_of_what_has_no_rows():
    assert find_all_labels(SimpleNamespace(targets=[3, 1, 2])) is None
