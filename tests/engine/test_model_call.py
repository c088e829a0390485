import pytest
import torch
from generic_model import generic_images
from torch import nn

from lightning_shap import explain
from lightning_shap.engine.game import CoalitionGame
from lightning_shap.engine.model_call import STRIDES, ModelCall, choose_rows
from lightning_shap.engine.regions.boxes import Box, BoxCoalitions

shape = (3, 6, 5)
whole = Box(0, 6, 0, 5, 0, 3)
pictures = generic_images(2, *shape).float()


def rows_of_calls(model, **kwargs):
    """The rows of each call, for twelve and then forty coalitions."""
    calls = []

    def counted(images):
        calls.append(len(images))
        return model(images)

    game = CoalitionGame(counted, pictures, torch.zeros_like(pictures), **kwargs)
    for rows in (12, 40):
        game.play([0] * rows, BoxCoalitions([(whole,)] * rows, whole))
    return calls


@pytest.mark.parametrize(
    ("mebibytes", "rows"), [(20, 1), (10, 2), (5, 4), (2.5, 8), (1, 20), (0.5, 40)]
)
def test_the_largest_tensor_of_a_call_on_a_cpu_has_twenty_mebibytes(mebibytes, rows):
    def hungry(images):
        images.new_empty(len(images), int(mebibytes * 2**18))
        return images.flatten(1)[:, :2]

    calls = rows_of_calls(hungry)
    assert calls[0] == 12
    assert max(calls[1:]) == max(rows, torch.get_num_threads())
    assert max(rows_of_calls(hungry, batch_size=3)) <= 3


def test_weights_are_no_tensors_of_a_call():
    large = nn.Sequential(nn.Flatten(), nn.Linear(90, 2**16))  # weights of 22 MiB, transposed
    assert rows_of_calls(large) == [12, 40]


def test_the_first_call_on_a_cpu_has_as_many_pixels_as_eight_images_of_224():
    sides = {32: 392, 224: 8, 448: 2, 2048: 1}
    assert {side: choose_rows(torch.empty(1).expand(1, 1, side, side)) for side in sides} == sides


def test_elsewhere_calls_are_as_large_as_was_asked():
    elsewhere = torch.empty(1, 3, 4096, 4096, device="meta")
    assert min(choose_rows(elsewhere), choose_rows(elsewhere, 2**40)) > 10**6


class Layout(nn.Module):
    """Says in which layout its weights and its features are."""

    def __init__(self, flatten=lambda features: features.flatten(1)):
        super().__init__()
        self.convolution, self.flatten = nn.Conv2d(3, 4, 3), flatten

    def forward(self, images):
        features = self.flatten(self.convolution(images))
        is_last = self.convolution.weight.is_contiguous(memory_format=torch.channels_last)
        return torch.cat([features[:, :4], features.new_full((len(images), 1), is_last)], dim=1)


def test_convolutions_of_the_copy_alone_are_channels_last():
    torch.manual_seed(0)
    model = Layout()
    found = explain(model, pictures, max_evals=10)
    assert (found.record.outputs[:, 4] == 1).all()
    assert (model(pictures)[:, 4] == 0).all()
    expected = model(pictures)[:, :4].detach()
    largest = expected.abs().max()
    assert torch.from_numpy(found.record.outputs[:, :4]).sub(expected).abs().max() < 5e-7 * largest


def test_a_model_that_the_layout_breaks_gets_its_own_back():
    torch.manual_seed(0)
    model = Layout(lambda features: features.view(len(features), -1))
    for _ in range(2):
        found = explain(model, pictures, max_evals=10)
        assert torch.equal(torch.from_numpy(found.record.outputs).float(), model(pictures))


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_precisions_keep_their_layout(dtype):
    found = explain(Layout().to(dtype), pictures, max_evals=10)
    assert (found.record.outputs[:, 4] == 0).all()


def test_autocast_keeps_the_layout():
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = explain(Layout(), pictures, max_evals=10)
    assert (found.record.outputs[:, 4] == 0).all()


@pytest.mark.parametrize("words", ["no flattening today", "an out-of-bounds index"])
def test_an_error_of_the_models_own_is_told_as_it_is_even_if_it_comes_once(words):
    calls = []

    def broken(features):
        calls.append(1)
        if len(calls) == 1:
            raise RuntimeError(words)
        return features.flatten(1)

    with pytest.raises(RuntimeError, match=words):
        explain(Layout(broken), pictures, max_evals=10)


@pytest.mark.parametrize(
    "flatten",
    [
        lambda features: features.view(len(features), -1),
        lambda features: torch.view_as_real(
            torch.view_as_complex(
                features.reshape(*features.shape[:-1], 3, 1).expand(-1, -1, -1, -1, 2)
            )
        ).flatten(1),
        lambda features: features.view(torch.int16).flatten(1).float(),
    ],
)
def test_a_layout_that_breaks_an_operation_is_known_by_its_error(flatten):
    features = nn.Conv2d(3, 4, 3)(pictures).contiguous(memory_format=torch.channels_last)
    with pytest.raises(RuntimeError, match=STRIDES):
        flatten(features)


@pytest.mark.filterwarnings("ignore:.torch.jit:FutureWarning")
def test_compiled_code_without_a_signature_gets_its_images_by_position():
    images = generic_images(2, *shape)
    script = torch.jit.trace(torch.nn.Flatten(), images)
    assert torch.equal(ModelCall(script)(images), images.flatten(1))
    assert torch.equal(ModelCall(torch.relu)(images), images)
