"""What many explanations say together, in words and in a picture."""

import json

import numpy as np
import pytest
import torch

import lightning_shap
from lightning_shap.errors import ArgumentError
from lightning_shap.pictures.classes import classes
from lightning_shap.survey.survey import Survey

SIDE = 16


class ReadsTheCorner(torch.nn.Module):
    """Class 1 is a mark in a corner; the others differ in their upper and lower half."""

    def forward(self, images):
        mark = images[:, :, :4, :4].mean((1, 2, 3))
        upper, lower = images[:, :, :8, 4:].mean((1, 2, 3)), images[:, :, 8:, 4:].mean((1, 2, 3))
        return torch.stack([upper - lower, 2 * mark, lower - upper], dim=1)


def marked(images=45, channels=1):
    random = torch.Generator().manual_seed(0)
    pixels = torch.rand(images, channels, SIDE, SIDE, generator=random) / 4
    labels = torch.arange(images) % 3
    pixels[labels == 0, :, :8, 4:] += 0.5
    pixels[labels == 2, :, 8:, 4:] += 0.5
    pixels[labels == 1, :, :4, :4] = 1
    return pixels, labels


@pytest.fixture(scope="module")
def survey():
    images, labels = marked()
    labels[-1] = 0  # which is a mark, and so a mistake
    found = lightning_shap.explain(
        ReadsTheCorner(),
        images,
        labels=labels,
        topk=2,
        max_evals=60,
        masker=0.0,
        class_names=["sky", "cat", "grass"],
    )
    return Survey([found])


def test_the_finding_is_said_in_words(survey):
    first = survey.suspicions[0]
    assert (first.label, first.place.name) == (1, "the top left corner")
    assert survey.lines[1].startswith("cat: the top left corner carries ")
    assert " on 6% of the area, in other classes " in survey.lines[1]
    assert json.loads(json.dumps(survey.plain))["suspicions"][0]["class"] == "cat"


def test_suspicious_classes_come_first_then_those_with_mistakes(survey):
    assert [one.label for one in survey.classes][:2] == [1, 0]


def test_confused_pairs_are_those_of_the_predictions(survey):
    names = [survey.name(one) for one in survey.pairs]
    assert "sky as grass" in names
    assert sum(len(one.rows) for one in survey.pairs) == survey.explanation.record.right.count(
        False
    )


def test_typical_and_strange_images_are_of_their_class_and_no_image_is_both(survey):
    for group in survey.classes:
        shown = [*group.typical, *group.strange]
        assert len(set(shown)) == len(shown)
        assert set(shown) <= set(group.rows.tolist())


def test_a_mean_map_is_in_shares_of_each_image_s_attribution(survey):
    group = survey.classes[0]
    one = survey.map_of(int(group.rows[0]))
    assert np.isclose(np.abs(one).sum(), 1)
    assert np.allclose(
        survey.mean_map(group), np.mean([survey.map_of(int(row)) for row in group.rows], axis=0)
    )


def test_the_picture_has_a_row_for_each_class_and_pair(survey):
    picture = classes(survey, title="final model")
    assert picture.dtype == np.uint8
    rows = len(survey.classes) + len(survey.pairs)
    assert picture.shape[0] > rows * 144


def test_what_has_no_classes_is_refused_by_name():
    found = lightning_shap.explain(
        ReadsTheCorner(), marked(6)[0], output="value", max_evals=10, masker=0.0
    )
    with pytest.raises(ArgumentError, match="explanation: has no single predicted class"):
        Survey([found])
