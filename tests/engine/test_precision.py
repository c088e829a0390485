"""A model is called in the precision that is asked for, and only its copy is."""

import numpy as np
import pytest
import torch
from generic_model import generic_images
from torch import nn

from lightning_shap import explain
from lightning_shap.engine import answer as answer_module
from lightning_shap.engine.regions.image_tree import ImageTrees

pictures = generic_images(2, 3, 8, 8).float()


class Telling(nn.Module):
    """Returns in which precision its layer worked, and what its images were."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(3, 2, 8)

    def forward(self, images):
        features = self.layer(images).flatten(1)
        bits = [features.dtype.itemsize, images.dtype.itemsize, self.layer.weight.dtype.itemsize]
        return torch.cat([features.float(), features.new_tensor([bits] * len(images)).float()], 1)


def bytes_of(model, **asked):
    """How many bytes a number of the features, the images and the weights had."""
    outputs = explain(model, pictures, max_evals=4, output=lambda raw: raw, **asked).record.outputs
    return outputs[0, 2:].tolist()


@pytest.mark.parametrize(
    ("weights", "asked", "expected"),
    [
        (torch.float32, "as trained", [4, 4, 4]),
        (torch.float32, "bf16", [2, 4, 4]),
        (torch.float32, "float32", [4, 4, 4]),
        (torch.bfloat16, "as trained", [2, 2, 2]),
        (torch.bfloat16, "float32", [4, 4, 4]),
        (torch.float64, "float32", [4, 4, 4]),
    ],
)
def test_a_model_is_called_in_the_precision_asked_for(weights, asked, expected):
    model = Telling().to(weights)
    assert bytes_of(model, precision=asked) == expected
    assert model.layer.weight.dtype == weights


def test_float32_is_kept_to_under_autocast_too():
    with torch.autocast("cpu", torch.bfloat16):
        assert bytes_of(Telling()) == [2, 4, 4]
        assert bytes_of(Telling(), precision="float32") == [4, 4, 4]


@pytest.mark.parametrize("method", ["partition", "kernel", "gradient"])
def test_every_method_takes_low_precision_and_comes_near(method):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(288, 3))
    asked = {"method": method, "max_evals": 30, "targets": [0]}
    exact = explain(model, pictures, **asked)
    low = explain(model, pictures, precision="bf16", **asked)
    assert low.record.precision == "bf16"
    assert exact.record.precision == "as trained"
    assert not np.array_equal(low.values, exact.values)
    assert np.corrcoef(low.values.ravel(), exact.values.ravel())[0, 1] > 0.95


def test_trees_are_of_the_images_as_they_are_given(monkeypatch):
    seen = []

    class Seeing(ImageTrees):
        def grow(self, images):
            seen.append(images)
            return super().grow(images)

    monkeypatch.setattr(answer_module, "ImageTrees", Seeing)
    explain(Telling(), pictures, precision="bf16", regions="image", max_evals=4)
    assert torch.equal(seen[0], pictures)


def test_another_precision_is_refused_in_a_sentence():
    with pytest.raises(ValueError, match=r"precision: .*'half'.*'as trained', 'float32'.*'bf16'"):
        explain(Telling(), pictures, precision="half")
