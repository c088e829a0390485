"""A class that the model sees in the empty image already is said to be, and no other."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch

import lightning_shap
from lightning_shap.explanation.archive import save
from lightning_shap.explanation.empty_images import BALANCED, find_empty_images
from lightning_shap.explanation.maps import read_maps
from lightning_shap.page.data import PageWriter
from lightning_shap.pictures.captions import Captions


def explained(bias, weight, masker="blur", **options):
    """Of two classes, the first by its bias and by what the upper half shows."""

    def model(images):
        first = bias + weight * images[:, 0, :4].mean((1, 2))
        return torch.stack([first, torch.zeros_like(first)], dim=1)

    images = torch.ones(2, 1, 8, 8)
    images[:, :, 4:] = 0
    names = ["cat", "dog"]
    return lightning_shap.explain(
        model, images, masker=masker, labels=[0, 0], topk=1, class_names=names, **options
    )


@pytest.mark.parametrize("method", ["partition", "kernel", "gradient"])
def test_a_class_that_the_empty_image_has_already_is_said_so(method):
    """The map is blue, since the details lower a class that is predicted all the same."""
    blue = explained(5.0, -1.0, 0.0, method=method, max_evals=20)
    said = "the masked image alone is taken for cat 99.3 %: the map shows what the details change"
    assert (blue.values.sum((1, 2, 3)) < 0).all()
    (empty,), _ = find_empty_images(read_maps(blue))
    assert empty.words == f"{said}; try masker='blur'"
    assert empty.words in blue.summary()
    (row, _) = PageWriter().make(blue).facts["rows"]
    assert row["note"] == empty.words
    captions = Captions(blue)
    assert "already 99.3 % when masked" in captions.output(0, 0).note
    assert captions.remarks([0, 1]) == [empty.remark]
    assert Captions(blue[1:]).remarks([0]) == [empty.remark]


@pytest.mark.parametrize(
    ("bias", "weight"),
    [(-2.0, 6.0), (5.0, 3.0), (5.0, -9.0)],
    ids=["raised from another class", "raised", "lowered to another class"],
)
def test_a_map_that_says_what_was_predicted_has_no_note(bias, weight):
    red = explained(bias, weight, 0.0, max_evals=20)
    assert find_empty_images(read_maps(red)) == [[None], [None]]
    assert "empty:" not in red.summary()
    assert re.fullmatch(r"\d+ of \d+ regions clear", Captions(red).output(0, 0).note)
    assert PageWriter().make(red).facts["rows"][0]["note"] == ""


@pytest.mark.parametrize(("total", "noted"), [(BALANCED - 0.01, True), (BALANCED + 0.01, False)])
def test_a_map_is_mainly_blue_up_to_a_tenth_more_red(total, noted):
    blue = explained(5.0, -1.0, 0.0, max_evals=20)
    values = np.zeros((2, 8, 8, 1, 1))
    values[:, 0, 0], values[:, 1, 1] = 1 + total, total - 1
    maps = replace(read_maps(blue), source=values)
    assert (find_empty_images(maps)[0][0] is not None) == noted


def test_each_masker_has_another_to_try():
    for masker, other in (("blur", "'mean'"), ("mean", "'blur'"), (0.25, "'blur'")):
        (empty,), _ = find_empty_images(read_maps(explained(5.0, 0.0, masker, max_evals=20)))
        assert empty.words.startswith("the masked image alone")
        assert empty.words.endswith(f"try masker={other}")


def test_what_the_empty_image_has_is_saved_and_may_be_missing(tmp_path):
    blue = explained(5.0, -1.0, 0.0, max_evals=20)
    path = save(blue, tmp_path / "explanation.npz")
    same = lightning_shap.load(path)
    assert same.summary() == blue.summary()
    older = replace(blue.record, empty_probabilities=None)
    blue.record = older
    assert find_empty_images(read_maps(blue)) == [[None], [None]]
