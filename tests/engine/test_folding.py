"""Batch norms are folded into convolutions of the copy where nothing can tell, and else not."""

import pytest
import torch
from generic_model import generic_images
from torch import nn

from lightning_shap import explain

RUNS: list[int] = []  # rows of each run of a norm
pictures = generic_images(3, 3, 8, 8).float()


def run(norm: nn.BatchNorm2d) -> nn.BatchNorm2d:
    """A norm that has seen data and learnt."""
    generator = torch.Generator().manual_seed(1)
    for tensor in (norm.running_mean, norm.running_var, norm.weight, norm.bias):
        if tensor is not None:
            tensor.data.uniform_(0.5, 2, generator=generator)
    return norm


class Watched(nn.BatchNorm2d):
    """Notes each time that it is really run."""

    def forward(self, features):
        RUNS.append(len(features))
        return super().forward(features)


class NormAct(Watched):
    """A norm with its activation, as timm has it."""

    def __init__(self, channels):
        super().__init__(channels)
        self.drop, self.act = nn.Identity(), nn.ReLU(inplace=True)

    def forward(self, features):
        return self.act(self.drop(super().forward(features)))


class Doubling(Watched):
    """Does more than its children say."""

    def forward(self, features):
        return 2 * super().forward(features)


class Net(nn.Module):
    """A convolution, a norm, and how they are put together."""

    def __init__(self, norm, join=lambda net, images: net.norm(net.conv(images)), **options):
        super().__init__()
        self.conv, self.norm, self.join = nn.Conv2d(3, 4, 3, **options), run(norm), join

    def forward(self, images):
        return self.join(self, images).amax((2, 3))


def count_runs(net: Net) -> tuple[int, float]:
    """How often the norm is run for 40 rows, of which the first call has 6; and the worst error."""
    net.eval()
    with torch.no_grad():
        expected = net(pictures)
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    RUNS.clear()
    found = explain(net, pictures, max_evals=40)
    runs = len(RUNS)
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())
    assert "forward" not in vars(net.norm)  # the model itself is as it was
    total = torch.from_numpy(found.values.sum((1, 2, 3)) + found.base_values)
    return runs, float((total - expected).abs().max() / expected.abs().max())


@pytest.mark.parametrize("norm", [Watched, NormAct])
@pytest.mark.parametrize("options", [{}, {"bias": False}, {"groups": 1, "stride": 2}])
def test_a_norm_is_run_in_the_first_call_alone_and_outputs_stay(norm, options):
    torch.manual_seed(0)
    runs, error = count_runs(Net(norm(4), **options))
    assert runs == 1
    assert error < 1e-6


def reuse(net, images):
    features = net.conv(images)
    return net.norm(features) + features


def share(net, images):
    return net.norm(net.conv(images)) + net.norm(net.conv(images.flip(3)))


def look_inside(net, images):
    return net.norm(net.conv(images)) + net.conv.weight.mean()


def without_its_forward(net, images):
    return net.norm(nn.functional.conv2d(images, net.conv.weight))


def in_place(net, images):
    features = net.conv(images)
    normed = net.norm(features)
    features += 1
    return normed


def random(net, images):
    return net.norm(net.conv(images)) * (1 + 0.1 * torch.rand(1))


@pytest.mark.parametrize("join", [reuse, share, look_inside, without_its_forward, in_place, random])
def test_where_something_else_would_notice_norms_are_run(join):
    torch.manual_seed(0)
    net = Net(Watched(4), join, bias=False)
    runs, error = count_runs(net)
    assert runs > 2
    assert join is random or error < 1e-6


def test_a_norm_that_does_more_than_norms_do_is_run():
    torch.manual_seed(0)
    runs, error = count_runs(Net(Doubling(4)))
    assert runs > 2
    assert error < 1e-6


@pytest.mark.parametrize("lacking", ["affine", "track_running_stats"])
def test_norms_without_weights_or_statistics_are_run(lacking):
    torch.manual_seed(0)
    assert count_runs(Net(Watched(4, **{lacking: False})))[0] > 2


def test_a_parametrised_convolution_keeps_its_norm():
    torch.manual_seed(0)
    net = Net(Watched(4))
    torch.nn.utils.parametrizations.weight_norm(net.conv)
    runs, error = count_runs(net)
    assert runs > 2
    assert error < 1e-6


def test_gradients_are_those_of_a_model_that_is_not_folded():
    torch.manual_seed(0)
    net = Net(Watched(4), lambda net, images: net.norm(net.conv(images)).tanh()).eval()
    asked = {"method": "gradient", "max_evals": 40}
    expected = explain(lambda images: net(images), pictures, **asked).values
    RUNS.clear()
    found = explain(net, pictures, **asked).values
    assert len(RUNS) == 1
    assert abs(found - expected).max() < 1e-5 * abs(expected).max()


@pytest.mark.parametrize("mode", [torch.no_grad, torch.enable_grad, torch.inference_mode])
@pytest.mark.parametrize("padding", ["valid", "same", 1])
def test_the_same_bytes_come_again_in_every_grad_mode(mode, padding):
    torch.manual_seed(0)
    net = Net(Watched(4), padding=padding)
    first = explain(net, pictures, max_evals=40)
    RUNS.clear()
    with mode():
        again = explain(net, pictures, max_evals=40)
    assert len(RUNS) == 1
    assert (first.values == again.values).all()


def test_a_model_that_takes_no_image_alone_is_folded_too():
    def in_company(net, images):
        assert len(images) > 1, "no image alone"
        return net.norm(net.conv(images))

    RUNS.clear()
    explain(Net(Watched(4), in_company), pictures[:2], max_evals=2, batch_size=4)
    assert RUNS == [4]
