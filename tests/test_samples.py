"""Which tensors of a batch are taken for its images and its labels, and how pixels are shown."""

from collections import namedtuple
from dataclasses import dataclass
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn.functional import one_hot

from lightning_shap.samples import (
    Samples,
    class_names_of,
    joined,
    normalisation_of,
    samples_in,
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
    found = samples_in(batch)
    assert torch.equal(found.images, images)
    assert found.labels.tolist() == labels.tolist()


@pytest.mark.parametrize(
    "other",
    [
        torch.tensor([[1, 0, 1], [0, 1, 0], [1, 1, 1], [0, 0, 0]]),  # several classes, or none
        torch.tensor([0.2, 0.9, 0.4, 0.6]),  # to be regressed on
        torch.rand(4, 5) + 1,
        torch.rand(4, 3, 6, 6),
        torch.tensor([1, 2, 3]),
    ],
)
def test_what_says_no_single_class_is_not_taken_for_labels(other):
    assert samples_in((images, other)).labels is None


@pytest.mark.parametrize("name", ["index", "image_id", "row_idx"])
def test_what_is_called_a_row_number_is_never_a_label(name):
    assert samples_in({"image": images, name: labels}).labels is None


def test_a_batch_without_float_images_is_refused_with_what_would_do():
    with pytest.raises(ValueError, match=r"torch.uint8 \(4, 3, 6, 6\).*give samples="):
        samples_in((images.byte(), labels))


def with_config(mean, std):
    module = nn.Identity()
    module.pretrained_cfg = {"mean": mean, "std": std}
    return module


def test_the_networks_own_statistics_are_used_only_where_they_lead_back_to_photographs():
    module = with_config((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    mean, std = (torch.tensor(side)[:, None, None] for side in module.pretrained_cfg.values())
    found = normalisation_of([], module, (images - mean) / std)
    assert found == (mean.flatten().tolist(), std.flatten().tolist())
    assert normalisation_of([], module, images * 2 - 1) is None
    assert normalisation_of([], module, images) is None


def test_images_of_different_sizes_are_no_batch():
    with pytest.raises(ValueError, match=r"different sizes.*\(3, 6, 5\), \(3, 6, 6\)"):
        joined([Samples(images), Samples(images[..., :5])])


@pytest.mark.parametrize("wrap", ["dataset", "subset"])
def test_class_names_are_found_behind_wrappers(wrap):
    inner = SimpleNamespace(classes=["a", "b"])
    assert class_names_of([SimpleNamespace(**{wrap: inner})]) == ["a", "b"]
