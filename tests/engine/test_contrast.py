"""Why one class rather than another."""

import numpy as np
import pytest
import torch
from generic_model import Generic, generic_images

from lightning_shap import explain, load, plot
from lightning_shap.explanation.archive import save
from lightning_shap.pictures.captions import Captions

SHAPE = (3, 8, 8)
MODEL = Generic(SHAPE, classes=5, seed=2)
IMAGES = generic_images(3, *SHAPE, seed=5)
NAMES = ["ant", "bee", "cat", "dog", "eel"]


def outputs():
    with torch.no_grad():
        return MODEL(IMAGES).double().numpy()


def contrast(**options):
    return explain(MODEL, IMAGES, max_evals=40, class_names=NAMES, **options)


METHODS = {
    "partition": {},
    "kernel": {"method": "kernel", "grid": 2},
    "gradient": {"method": "gradient"},
    "gradient from backgrounds": {"method": "gradient", "backgrounds": "samples"},
}


@pytest.mark.parametrize("method", METHODS)
def test_a_contrast_adds_up_to_the_difference_of_two_outputs(method):
    found = contrast(against="runner-up", **METHODS[method])
    ranked = np.sort(outputs(), axis=1)
    total = found.values.sum((1, 2, 3)) + found.base_values
    gap = found.record.additivity_gap
    np.testing.assert_allclose(
        np.abs(total[:, 0] - ranked[:, -1] + ranked[:, -2]), gap[:, 0], atol=1e-12
    )
    if "gradient" not in method:
        np.testing.assert_allclose(gap, 0, atol=1e-6)


@pytest.mark.parametrize("method", ["kernel", "gradient", "gradient from backgrounds"])
def test_linear_methods_give_the_difference_of_both_explanations(method):
    """Exact Shapley values and gradients are linear in the game; partition's descent is not."""
    options = METHODS[method] | ({"seed": 3} if "gradient" in method else {})
    first, second = (
        explain(MODEL, IMAGES, max_evals=40, targets=[target], **options) for target in (1, 4)
    )
    both = contrast(targets=1, against=4, **options)
    np.testing.assert_allclose(both.values, first.values - second.values, atol=1e-6)
    np.testing.assert_allclose(both.base_values, first.base_values - second.base_values)


def test_an_image_of_the_very_class_is_compared_with_its_runner_up():
    ranking = np.argsort(-outputs(), axis=1)
    first = int(ranking[0, 0])
    against = contrast(against=first).record.against
    expected = np.where(ranking[:, 0] == first, ranking[:, 1], first)
    np.testing.assert_array_equal(against, expected)
    np.testing.assert_array_equal(contrast(against=expected).values, contrast(against=first).values)


def test_the_caption_says_which_class_rather_than_which():
    found = contrast(targets=1, against=4)
    heading = Captions(found).output(0, 0)
    assert (heading.name, heading.detail) == ("bee", "rather than eel")
    difference = outputs()[0, 1] - outputs()[0, 4]
    assert f"{difference:.2f} ".replace("-", "\N{MINUS SIGN}") in heading.note
    assert plot(found).ndim == 3


def test_a_true_class_that_was_mistaken_is_compared_with_what_it_was_mistaken_for():
    ranking = np.argsort(-outputs(), axis=1)
    found = contrast(against="runner-up", labels=ranking[:, -1])
    np.testing.assert_array_equal(found.output_indexes[:, 0], ranking[:, -1])
    np.testing.assert_array_equal(found.record.against, ranking[:, 0])


def test_a_contrast_is_kept_in_slices_and_files(tmp_path):
    found = contrast(against="runner-up")
    np.testing.assert_array_equal(found[1:].record.against, found.record.against[1:])
    same = load(save(found, tmp_path / "explanation.npz"))
    np.testing.assert_array_equal(same.record.against, found.record.against)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"against": "cat"}, "against: got 'cat'; give 'runner-up', the number of a class"),
        ({"against": True}, "against: got True"),
        ({"against": -1}, "against: got -1"),
        ({"against": 5}, "against: got 5, but the model has outputs 0 to 4"),
        ({"against": [0, 1]}, "against: has 2 classes for 3 images"),
        ({"against": 1, "topk": 2}, "topk: got 2, but against= explains one class; give 1"),
        ({"against": 1, "targets": [0, 2]}, "against: compares one class of each image, and 2"),
        ({"against": "runner-up", "output": "value", "targets": 1}, "against: values have no"),
    ],
)
def test_an_error_names_the_argument(arguments, message):
    with pytest.raises(ValueError, match=message):
        contrast(**arguments)


def test_a_single_output_has_nothing_to_be_compared_with():
    with pytest.raises(ValueError, match="against: the model has one output"):
        explain(Generic(SHAPE, classes=1, seed=0), IMAGES, max_evals=10, against=0)
