"""Which tensors of a batch are taken for its images and its labels."""

from collections import namedtuple
from dataclasses import dataclass

import pytest
import torch
from torch.nn.functional import one_hot

from lightning_shap.training.samples.samples import (
    Samples,
    find_samples,
    join_samples,
)

images = torch.rand(4, 3, 6, 6, generator=torch.Generator().manual_seed(0))
labels = torch.tensor([2, 0, 1, 1])
rows = torch.arange(10, 14)
shuffled_rows = torch.tensor([7, 3, 9, 1])
single = one_hot(labels, 3)

Named = namedtuple("Named", ["image", "index", "label"])


@dataclass
class Batch:
    row: torch.Tensor
    image: torch.Tensor
    target: torch.Tensor


@pytest.mark.parametrize(
    "batch",
    [
        (images, labels),
        [images, labels[:, None]],
        (images, labels.float()),
        (images, single),
        (images, single.float()),
        (images, one_hot(labels, 3) * 0.8 + one_hot(labels.flip(0), 3) * 0.2),
        (rows, images, labels),
        (shuffled_rows, images, labels),
        (images, rows, labels),
        (images, single, shuffled_rows),
        {"image": images, "index": shuffled_rows, "label": labels},
        {"image": images, "index": shuffled_rows, "label": single},
        {"image": images, "index": shuffled_rows, "categories": labels},
        {"image": images, "id": shuffled_rows, "cls": labels, "file": ["a", "b", "c", "d"]},
        {"image_id": shuffled_rows, "pixel_values": images, "y": labels},
        {"image_id": shuffled_rows, "image": images, "label_id": labels},
        {"target_image": torch.rand(4), "image": images, "target": labels},
        Named(images, shuffled_rows, labels),
        Batch(shuffled_rows, images, labels),
        ((images, {"weight": torch.ones(4) / 2}), {"label": labels}),
    ],
)
def test_labels_are_found_wherever_a_batch_keeps_them(batch):
    found = find_samples(batch)
    assert torch.equal(found.images, images)
    assert found.labels.tolist() == labels.tolist()


@pytest.mark.parametrize(
    "other",
    [
        torch.rand(4, 3, 6, 6),
        torch.tensor([1, 2, 3]),
        torch.tensor([[101, 7, 102], [101, 9, 102], [101, 8, 102], [101, 7, 102]]),  # words
        torch.tensor([0.2, torch.nan, 0.4, 0.6]),
    ],
)
def test_what_says_nothing_of_each_image_is_not_taken_for_labels(other):
    assert find_samples((images, other)).labels is None


several = torch.tensor([[1, 0, 1], [0, 1, 0], [1, 1, 1], [0, 0, 0]])


@pytest.mark.parametrize("batch", [(images, several), (images, several.float(), rows)])
def test_rows_of_zeros_and_ones_are_several_classes(batch):
    found = find_samples(batch).labels
    assert found.dtype == torch.bool
    assert found.int().tolist() == several.tolist()


def test_booleans_are_two_classes():
    found = find_samples((images, torch.tensor([True, False, False, True]))).labels
    assert (found.dtype, found.tolist()) == (torch.int64, [1, 0, 0, 1])


@pytest.mark.parametrize("form", [lambda ages: ages, lambda ages: ages[:, None]])
@pytest.mark.parametrize("other", ["id", "weight"])
def test_numbers_that_are_no_classes_are_kept_as_numbers(form, other):
    ages = torch.tensor([18.5, 70.0, 33.0, 41.0])
    found = find_samples({other: torch.rand(4), "image": images, "target": form(ages)})
    assert found.labels.is_floating_point()
    assert found.labels.tolist() == ages.tolist()
    assert not found.binary


def test_classes_come_before_other_numbers():
    weights = torch.tensor([0.5, 1.5, 1.0, 1.0])
    assert find_samples((images, weights, labels)).labels.tolist() == labels.tolist()


@pytest.mark.parametrize(
    ("found", "binary"),
    [
        (None, True),
        (torch.tensor([0, 1, -1]), True),
        (torch.tensor([0.0, 0.5, 1.0]), True),
        (torch.tensor([0, 2, 1]), False),
        (torch.tensor([0.0, -0.5, 1.0]), False),
    ],
)
def test_labels_beyond_zero_and_one_are_not_of_two_classes(found, binary):
    whole = Samples(images[:3], found)
    assert whole.binary == binary
    assert whole[:1].binary == binary, "each share knows it of the whole"
    assert join_samples([whole[:1], whole[1:]]).binary == binary


def test_batches_in_which_each_image_has_one_class_join_those_where_some_have_several():
    parts = [find_samples((images, rows)) for rows in (several, single)]
    assert join_samples(parts).labels.int().tolist() == [*several.tolist(), *single.tolist()]
    numbers = [torch.tensor([30.0, 40.0, 50.0, 60.0]), torch.tensor([30.5, 40.5, 50.5, 60.5])]
    whole, fractions = (find_samples((images, part)) for part in numbers)
    assert join_samples([whole, fractions]).labels.tolist() == torch.cat(numbers).tolist()
    assert join_samples([parts[0], fractions]).labels is None


@pytest.mark.parametrize("name", ["index", "image_id", "row_idx"])
def test_what_is_called_a_row_number_is_never_a_label(name):
    assert find_samples({"image": images, name: labels}).labels is None


def test_a_batch_without_float_images_is_refused_with_what_would_do():
    with pytest.raises(ValueError, match=r"torch.uint8 \(4, 3, 6, 6\).*give samples="):
        find_samples((images.byte(), labels))


def test_images_of_different_sizes_are_no_batch():
    with pytest.raises(ValueError, match=r"different sizes.*\(3, 6, 5\), \(3, 6, 6\)"):
        join_samples([Samples(images), Samples(images[..., :5])])
