"""What the data has is told apart from what the model uses, without asking the model."""

import numpy as np
import pytest
import torch
from swap_noise import measure_swaps_among
from torchvision.transforms.functional import gaussian_blur

import lightning_shap
from lightning_shap.analysis.class_summary.data_alone import (
    MOST,
    find_telling,
    read_features,
    tell_classes,
)
from lightning_shap.analysis.class_summary.summary import ClassSummary
from lightning_shap.engine.question import Question

SIDE = 32


@pytest.fixture
def noise():
    random = torch.Generator().manual_seed(0)
    return torch.rand(80, 3, SIDE, SIDE, generator=random), torch.arange(80) % 4


def named(images, labels):
    features = read_features(images.movedim(1, -1).numpy())
    found = find_telling(features, labels.numpy())
    return [(one.label, one.part.name) for one in found]


def test_nothing_is_found_in_noise(noise):
    assert named(*noise) == []


def test_noise_whose_classes_are_of_any_size_tells_none():
    """Images of a class are guessed from one another: shares are alike within it by chance."""
    random = np.random.default_rng(0)
    found = []
    for seed in range(12):
        images, labels = random.random((60, 16, 16, 1)), random.integers(0, 3, 60)
        found.append(bool(find_telling(read_features(images), labels, seed=seed)))
    assert sum(found) <= 1  # shares that are dealt out alone name something in 3


def test_a_mark_is_found_where_it_is(noise):
    images, labels = noise
    images[labels == 2, :, -8:, :8] = 0.5  # as bright as all else, but even
    assert named(images, labels) == [(2, "the bottom left corner")]


def test_a_tint_and_a_blur_are_properties_and_no_places(noise):
    images, labels = noise
    images[labels == 1] *= torch.tensor([1.3, 1, 0.7])[:, None, None]
    images[labels == 3] = gaussian_blur(images[labels == 3], [9, 9], [1.5, 1.5])
    found = dict(named(images, labels))
    assert found[1] == "tint and brightness"
    assert found[3] in ("sharpness", "fine detail")


def test_it_is_said_whether_the_model_uses_it(noise):
    images, labels = noise
    images = images / 4
    images[labels == 0, :, :, 10:20] += 0.3
    images[labels == 1, :, :8, :8] = 1
    images[labels == 2, :, -8:, -8:] = 1

    class ReadsOneMark(torch.nn.Module):
        def forward(self, shown):
            mark = 4 * shown[:, :, :8, :8].mean((1, 2, 3))
            column = 4 * shown[:, :, :, 10:20].mean((1, 2, 3))
            return torch.stack([column, mark, 1 - mark, 0.9 - mark], dim=1)

    found = lightning_shap.explain(
        ReadsOneMark(), images, labels=labels, topk=2, max_evals=4, masker=0.0
    )
    measure_swaps_among(ReadsOneMark(), found, images, Question(masker=0.0))
    summary = ClassSummary([found])
    used = {(one["class"][-1], one["used"]) for one in summary.plain["in_data"]}
    assert {("1", True), ("2", False)} <= used
    assert ("2", True) not in used
    said = [line for line in summary.lines if line.startswith("the data has it: ")]
    assert any("tells class 1" in line and line.endswith("; the model uses it") for line in said)
    assert any(
        "tells class 2" in line and line.endswith("was not found to use it") for line in said
    )


def test_of_many_images_some_are_enough_and_unknown_ones_count_for_nothing():
    labels = np.arange(2 * MOST) % 3 - 1
    features = read_features(np.random.default_rng(0).random((2 * MOST, 4, 4, 1)))
    shares = tell_classes(features, labels)
    assert len(shares.labels) == MOST
    assert (shares.labels >= 0).all()
    assert np.nanmax(np.abs(shares.values)) <= 1
