"""shap's GradientExplainer and DeepExplainer: their numbers, and nothing left behind."""

import copy
import random
from typing import Any

import numpy as np
import pytest
import shap
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.checkpoint import checkpoint

from lightning_shap.game import CoalitionGame
from lightning_shap.isolation.modes import default_dtype
from lightning_shap.methods.attribution import Attribution
from lightning_shap.methods.deep_copy import SeparateWindows
from lightning_shap.methods.gradient import deep_values, gradient_values
from lightning_shap.regions.boxes import Box, BoxCoalitions

METHODS = [gradient_values, deep_values]


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def convolutional(classes: int = 3) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Sequential(nn.Conv2d(4, 4, 3), nn.Tanh()),
        nn.Dropout(0.5),
        nn.Flatten(),
        nn.Linear(16, classes),
    ).eval()


def game_of(model: Any, images: torch.Tensor, **options: Any) -> CoalitionGame:
    return CoalitionGame(model, images, torch.full_like(images, 0.25), **options)


def ends(game: CoalitionGame) -> tuple[np.ndarray, np.ndarray]:
    count, channels, height, width = game.images.shape
    whole = Box(0, height, 0, width, 0, channels)
    outputs = game.play(
        np.repeat(np.arange(count), 2), BoxCoalitions([(), (whole,)] * count, whole)
    )
    return outputs[0::2], outputs[1::2]


def all_classes(images: torch.Tensor, classes: int) -> np.ndarray:
    return np.tile(np.arange(classes), (len(images), 1))


def gap(game: CoalitionGame, found: Attribution, targets: np.ndarray) -> np.ndarray:
    base, full = (np.take_along_axis(side, targets, 1) for side in ends(game))
    base = base if found.base is None else found.base
    return np.abs(found.values.sum((1, 2, 3)) + base - full)


def host_state(module: nn.Module) -> Any:
    return [
        (
            name,
            part.training,
            getattr(part, "inplace", None),
            type(part),
            sorted(vars(part)),
            len(part._forward_hooks) + len(part._forward_pre_hooks) + len(part._backward_hooks),
            [
                (key, id(p), p.requires_grad, None if p.grad is None else p.grad.tolist())
                for key, p in part._parameters.items()
                if p is not None
            ],
            [(key, id(b), b.tolist()) for key, b in part._buffers.items() if b is not None],
        )
        for name, part in module.named_modules()
    ]


def random_state() -> Any:
    name, keys, *rest = np.random.get_state()  # type: ignore[misc]
    return random.getstate(), name, keys.tolist(), rest, torch.get_rng_state().tolist()


@pytest.mark.parametrize("values_of", METHODS)
@given(seed=st.integers(0, 1000), output=st.integers(0, 2))
@settings(max_examples=10, deadline=None)
def test_of_a_linear_model_both_methods_find_weight_times_difference(
    values_of: Any, seed: int, output: int
) -> None:
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Flatten(), nn.Linear(2 * 3 * 4, 3))
    images = torch.rand(2, 2, 3, 4)
    game, targets = game_of(model, images), np.full((2, 1), output)
    found = values_of(game, targets, max_evals=6)
    weights = model[1].weight[output].reshape(2, 3, 4)
    exact = (weights * (images - 0.25)).detach().movedim(1, -1).numpy()
    assert found.values.dtype == np.float64
    np.testing.assert_allclose(found.values[..., 0], exact, atol=1e-6)
    assert gap(game, found, targets).max() < 1e-5


@pytest.mark.parametrize("values_of", METHODS)
def test_a_pixel_the_model_ignores_gets_nothing(values_of: Any) -> None:
    class Cropping(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = convolutional()

        def forward(self, images: torch.Tensor) -> Any:
            return self.inner(images[..., :8, :8])

    images = torch.rand(1, 2, 9, 10)
    found = values_of(game_of(Cropping().eval(), images), np.array([[1]]), max_evals=20)
    assert np.abs(found.values[:, :8, :8]).max() > 0
    assert np.abs(found.values[:, 8:]).max() == np.abs(found.values[:, :, 8:]).max() == 0


def test_gradient_gives_shaps_numbers() -> None:
    model, images = convolutional(), torch.rand(2, 2, 8, 8)
    game, targets = game_of(model, images), all_classes(images, 3)
    found = gradient_values(game, targets, max_evals=32, seed=3)
    rseed = int(np.random.default_rng(3).integers(2**32))
    explainer = shap.GradientExplainer(copy.deepcopy(model), game.background[:1])
    for image, values in zip(images, found.values, strict=True):
        theirs = explainer.shap_values(image[None], nsamples=10, rseed=rseed)[0]
        np.testing.assert_allclose(values, np.moveaxis(theirs, 0, 2), rtol=1e-4, atol=1e-7)


def test_deep_gives_shaps_numbers() -> None:
    model, images = convolutional(), torch.rand(2, 2, 8, 8)
    backgrounds = torch.rand(5, 2, 8, 8)
    game, targets = game_of(model, images, batch_size=6), all_classes(images, 3)
    found = deep_values(game, targets, max_evals=100, backgrounds=backgrounds)
    explainer = shap.DeepExplainer(copy.deepcopy(model), backgrounds)
    theirs = explainer.shap_values(images, check_additivity=False)
    np.testing.assert_allclose(found.values, np.moveaxis(theirs, 1, 3), rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(found.base, np.tile(explainer.expected_value, (2, 1)), rtol=1e-5)


@pytest.mark.parametrize("values_of", METHODS)
def test_each_image_may_have_classes_of_its_own(values_of: Any) -> None:
    model, images = convolutional(), torch.rand(3, 2, 8, 8)
    everything = values_of(game_of(model, images), all_classes(images, 3), max_evals=14)
    targets = np.array([[2, 0], [1, 1], [0, 2]])
    some = values_of(game_of(model, images), targets, max_evals=10)  # as many samples a class
    expected = np.take_along_axis(everything.values, targets[:, None, None, None], axis=-1)
    np.testing.assert_allclose(some.values, expected, atol=1e-7)


@pytest.mark.parametrize("values_of", METHODS)
@pytest.mark.parametrize("surroundings", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_the_host_is_left_as_it_was_whatever_surrounds_it(
    values_of: Any, surroundings: Any
) -> None:
    model = convolutional()
    model[2] = nn.ReLU(inplace=True)
    model.train()
    model[1].eval()  # a frozen batch norm
    model[0].weight.requires_grad_(False)
    model(torch.rand(4, 2, 8, 8)).sum().backward()
    before = host_state(model)
    np.random.seed(5)
    noise = random_state()
    with surroundings():
        grad_was_on = torch.is_grad_enabled()
        images = torch.rand(2, 2, 8, 8)
        torch.random.set_rng_state(torch.tensor(noise[-1], dtype=torch.uint8))
        game = game_of(model, images)
        found = values_of(game, all_classes(images, 3), max_evals=20)
        assert torch.is_grad_enabled() == grad_was_on
    assert np.isfinite(found.values).all()
    assert np.abs(found.values).max() > 0
    assert host_state(model) == before
    assert random_state() == noise


@pytest.mark.parametrize("values_of", METHODS)
def test_the_host_is_left_as_it_was_after_an_error(values_of: Any) -> None:
    class Broken(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if x.requires_grad:
                raise RuntimeError("a fuse blew")
            return x

    model = convolutional().train()
    model.insert(3, Broken())
    before, noise = host_state(model), random_state()
    images = torch.zeros(1, 2, 8, 8)
    with pytest.raises((RuntimeError, ValueError), match="a fuse blew"):
        values_of(game_of(model, images), np.array([[0]]), max_evals=20)
    assert host_state(model) == before
    assert random_state() == noise


def test_gradient_comes_closer_to_additivity_with_more_evaluations() -> None:
    model, images = convolutional(), 3 * torch.rand(4, 2, 8, 8)
    game, targets = game_of(model, images), np.zeros((4, 1), dtype=int)
    few, many = (
        gap(game, gradient_values(game, targets, max_evals=n), targets).mean() for n in (6, 600)
    )
    assert many < few / 3


def test_deep_stands_layers_in_place_and_residual_sums_in_place() -> None:
    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm = nn.Conv2d(2, 2, 3, padding=1), nn.BatchNorm2d(2)
            self.act1, self.act2 = nn.ReLU(inplace=True), nn.ReLU(inplace=True)
            self.head = nn.Linear(2, 3)

        def forward(self, images: torch.Tensor) -> Any:
            x = self.norm(self.conv(self.act1(images - 0.5)))
            x += images
            return self.head(self.act2(x).mean((2, 3)))

    model, images = Residual().eval(), torch.rand(2, 2, 6, 6)
    game, targets = game_of(model, images), all_classes(images, 3)
    assert gap(game, deep_values(game, targets, max_evals=10), targets).max() < 1e-5
    assert model.act1.inplace


@pytest.mark.parametrize(
    "pool",
    [
        nn.MaxPool2d(3, stride=2, padding=1),
        nn.MaxPool2d((2, 3), stride=1, padding=(0, 1)),
        nn.MaxPool2d(2, stride=(2, 1)),
    ],
)
def test_deep_adds_up_where_windows_of_max_pooling_overlap(pool: nn.Module) -> None:
    model, images = convolutional(), 2 * torch.randn(2, 2, 8, 8)
    model[3], model[4] = pool, nn.AdaptiveAvgPool2d(2)
    game, targets = game_of(model, images), all_classes(images, 3)
    assert gap(game, deep_values(game, targets, max_evals=10), targets).max() < 1e-5
    inputs = torch.randn(2, 3, 7, 9)
    torch.testing.assert_close(SeparateWindows(pool)(inputs), pool(inputs))


@pytest.mark.parametrize(
    ("place", "module", "sentence"),
    [
        (2, nn.SiLU(), "DeepExplainer cannot handle '2', a SiLU: it has no rule"),
        (4, nn.Sequential(nn.Conv2d(4, 4, 3), nn.LayerNorm(2)), "'4.1', a LayerNorm: it has no"),
        (2, nn.Sequential(*[nn.ReLU()] * 2), "'2.0', a ReLU: the model calls it twice"),
    ],
)
def test_deep_names_the_module_that_shap_cannot_handle(
    place: int, module: nn.Module, sentence: str
) -> None:
    model = convolutional()
    model[place] = module
    images = torch.rand(1, 2, 8, 8)
    with pytest.raises(ValueError, match=f"{sentence}.*give method 'gradient'"):
        deep_values(game_of(model, images), np.array([[0]]), max_evals=20)
    assert gradient_values(game_of(model, images), np.array([[0]]), max_evals=9).values.any()


def test_deep_wants_a_module_and_gradient_any_differentiable_function() -> None:
    model, images = convolutional(), torch.rand(1, 2, 8, 8)
    targets = np.array([[1]])
    with pytest.raises(ValueError, match=r"'deep' walks .* model is a function"):
        deep_values(game_of(lambda x: model(x), images), targets, max_evals=20)
    function = gradient_values(game_of(lambda x: model(x), images), targets, max_evals=20)
    module = gradient_values(game_of(model, images), targets, max_evals=20)
    np.testing.assert_array_equal(function.values, module.values)
    method = deep_values(game_of(model.forward, images), targets, max_evals=20)
    module = deep_values(game_of(model, images), targets, max_evals=20)
    np.testing.assert_array_equal(method.values, module.values)


def test_a_module_that_cannot_be_copied_is_named() -> None:
    model = convolutional()
    model.last_features = model(torch.rand(1, 2, 8, 8))
    with pytest.raises(ValueError, match="'deep' works on a copy, and Sequential will not be"):
        deep_values(game_of(model, torch.rand(1, 2, 8, 8)), np.array([[0]]), max_evals=9)


@pytest.mark.parametrize("values_of", METHODS)
def test_a_model_without_gradients_is_refused(values_of: Any) -> None:
    class Detached(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = convolutional()

        def forward(self, images: torch.Tensor) -> Any:
            return self.inner(images.detach())

    images = torch.rand(1, 2, 8, 8)
    with pytest.raises(ValueError, match=r"model: has no gradient .* 'partition' or 'kernel'"):
        values_of(game_of(Detached().eval(), images), np.array([[0]]), max_evals=20)
    with pytest.raises(ValueError, match="model: has NaN or infinite gradients for image 0"):
        gradient_values(
            game_of(lambda x: x.flatten(1).sub(x.mean()).sum(1, keepdim=True).sqrt(), images * 0),
            np.array([[0]]),
            max_evals=9,
        )


@pytest.mark.parametrize("values_of", METHODS)
def test_given_backgrounds_start_from_their_mean_output(values_of: Any) -> None:
    model, images = convolutional(), torch.rand(3, 2, 8, 8)
    backgrounds = torch.rand(4, 2, 8, 8)
    targets = np.array([[0, 1], [2, 1], [1, 1]])
    for given_, tensor in ((backgrounds, backgrounds), ("samples", images)):
        game = game_of(model, images)
        found = values_of(game, targets, max_evals=300, backgrounds=given_)
        expected = model(tensor).mean(0).detach().numpy()[targets]
        np.testing.assert_allclose(found.base, expected, rtol=1e-5)
        largest = np.abs(found.values).sum((1, 2, 3)).max()
        assert gap(game, found, targets).max() < (1e-5 if values_of is deep_values else largest / 4)


@pytest.mark.parametrize("classes", [1, 3])
def test_deep_probabilities_add_up(classes: int) -> None:
    model, images = convolutional(classes), 4 * torch.rand(2, 2, 8, 8)
    for multi_label in (False, True):
        game = game_of(model, images, output="probability", multi_label=multi_label)
        targets = all_classes(images, classes)
        assert gap(game, deep_values(game, targets, max_evals=9), targets).max() < 1e-5


@pytest.mark.parametrize("values_of", METHODS)
def test_a_custom_output_is_explained(values_of: Any) -> None:
    model, images = convolutional(), torch.rand(2, 2, 8, 8)
    targets = np.zeros((2, 1), dtype=int)
    plain = values_of(game_of(model, images), targets, max_evals=9)
    tripled = values_of(game_of(model, images, output=lambda raw: 3 * raw), targets, max_evals=9)
    np.testing.assert_allclose(tripled.values, 3 * plain.values, atol=1e-6)


@pytest.mark.parametrize(("values_of", "rows"), [(gradient_values, 3 * 9), (deep_values, 3 * 4)])
def test_evaluations_are_counted_and_kept_to(values_of: Any, rows: int) -> None:
    model, images = convolutional(), torch.rand(4, 2, 8, 8)
    told: list[int] = []
    game = game_of(model, images, progress=told.append)
    found = values_of(game, all_classes(images, 3), max_evals=31, backgrounds=images[:2])
    ends(game)
    # Two for the ends, and one for an image's share of the outputs of two backgrounds.
    assert game.evaluations.tolist() == [rows + 2 + 1] * 4
    assert game.evaluations.max() <= 31
    assert game.model_seconds > 0
    assert sum(told) == 4 * (rows + 2) + 2
    assert found.regions.tolist() == [2 * 8 * 8] * 4


@pytest.mark.parametrize(("values_of", "needed"), [(gradient_values, 5), (deep_values, 8)])
def test_too_few_evaluations_are_refused_by_the_number_that_would_do(
    values_of: Any, needed: int
) -> None:
    game, targets = game_of(convolutional(), torch.rand(1, 2, 8, 8)), np.array([[0, 1, 2]])
    values_of(game, targets, max_evals=needed)
    with pytest.raises(ValueError, match=rf"max_evals: got {needed - 1}, .* needs {needed} an im"):
        values_of(game, targets, max_evals=needed - 1)


@pytest.mark.parametrize("values_of", METHODS)
def test_the_batch_size_changes_nothing_and_halves_when_memory_runs_out(values_of: Any) -> None:
    class Small(nn.Module):
        limit = 100

        def __init__(self) -> None:
            super().__init__()
            self.inner = convolutional()

        def forward(self, images: torch.Tensor) -> Any:
            if len(images) > Small.limit:
                raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")
            return self.inner(images)

    model, images = Small().eval(), torch.rand(2, 2, 8, 8)
    targets = all_classes(images, 3)
    plenty = values_of(game_of(model, images), targets, max_evals=80, backgrounds=images[:1])
    small = game_of(model, images, batch_size=5)
    few = values_of(small, targets, max_evals=80, backgrounds=images[:1])
    np.testing.assert_allclose(few.values, plenty.values, atol=1e-7)
    Small.limit = 6
    cramped = game_of(model, images)
    found = values_of(cramped, targets, max_evals=80, backgrounds=torch.cat([images] * 5)[:10])
    assert cramped.batch_size <= 6
    assert np.isfinite(found.values).all()
    Small.limit = 0
    with pytest.raises(MemoryError, match="batch_size: not even one row"):
        values_of(cramped, targets, max_evals=80)


@pytest.mark.parametrize("values_of", METHODS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_models_of_other_precisions_are_explained(values_of: Any, dtype: torch.dtype) -> None:
    model, images = convolutional(), torch.rand(1, 2, 8, 8)
    single = values_of(game_of(model, images), np.array([[1]]), max_evals=9).values
    other = values_of(game_of(model.to(dtype), images), np.array([[1]]), max_evals=9).values
    assert np.abs(other - single).max() < np.abs(single).max() / 10


class Fresh(nn.Module):
    """Makes tensors in the host's default dtype, and makes them again in the backward pass."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = convolutional()
        self.dtypes: list[torch.dtype] = []

    def forward(self, images: torch.Tensor) -> Any:
        return checkpoint(self.scores, images, use_reentrant=False)

    def scores(self, images: torch.Tensor) -> Any:
        self.dtypes.append(torch.get_default_dtype())
        return self.inner(images) * torch.arange(1.0, 4.0)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_shap_works_in_single_precision_while_the_model_sees_the_hosts(dtype: torch.dtype) -> None:
    model, images = Fresh(), torch.rand(2, 2, 8, 8)
    targets = all_classes(images, 3)
    expected = gradient_values(game_of(model, images), targets, max_evals=14)
    model.dtypes.clear()
    with default_dtype(dtype):
        found = gradient_values(game_of(model, images), targets, max_evals=14)
        assert torch.get_default_dtype() == dtype
    np.testing.assert_array_equal(found.values, expected.values)
    assert set(model.dtypes) == {dtype}
    assert len(model.dtypes) == 2 * 2 * 3  # forward and backward, of each class of each image


@pytest.mark.parametrize("values_of", METHODS)
def test_the_default_dtype_comes_back_after_an_error_in_either_pass(values_of: Any) -> None:
    class Failing(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, images: torch.Tensor) -> torch.Tensor:
            return images.clone()

        @staticmethod
        def backward(ctx: Any, *gradients: torch.Tensor) -> torch.Tensor:
            raise RuntimeError("a fuse blew")

    class Backward(nn.Module):
        def forward(self, images: torch.Tensor) -> Any:
            return Failing.apply(images)

    class Forward(nn.Module):
        def forward(self, images: torch.Tensor) -> Any:
            raise RuntimeError("a fuse blew")

    images = torch.rand(1, 2, 8, 8)
    for broken in (Forward(), Backward()):
        game = game_of(nn.Sequential(broken, convolutional()), images)
        with default_dtype(torch.bfloat16):
            with pytest.raises((RuntimeError, ValueError), match="a fuse blew"):
                values_of(game, np.array([[0]]), max_evals=20)
            assert torch.get_default_dtype() == torch.bfloat16


@pytest.mark.parametrize(
    ("backgrounds", "error", "sentence"),
    [
        ("sample", TypeError, "backgrounds: got 'sample'; give 'samples'"),
        ("samples", ValueError, "of one image are itself"),
        (torch.rand(3, 1, 8, 8), ValueError, r"\(C, H, W\) = \(2, 8, 8\)"),
        (torch.full((1, 2, 8, 8), torch.nan), ValueError, "NaN or infinite pixels"),
    ],
)
def test_backgrounds_that_will_not_do_are_refused(
    backgrounds: Any, error: type[Exception], sentence: str
) -> None:
    game = game_of(convolutional(), torch.rand(1, 2, 8, 8))
    with pytest.raises(error, match=sentence):
        gradient_values(game, np.array([[0]]), max_evals=9, backgrounds=backgrounds)
