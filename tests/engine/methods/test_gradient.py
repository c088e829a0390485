"""Expected gradients: the numbers of shap's GradientExplainer, and nothing left behind."""

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

from lightning_shap.engine.answer import play_ends
from lightning_shap.engine.explain import explain
from lightning_shap.engine.game import CoalitionGame
from lightning_shap.engine.incoming import read_backgrounds
from lightning_shap.engine.methods.attribution import Attribution
from lightning_shap.engine.methods.gradient import gradient_values


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


def values_of(game: CoalitionGame, targets: np.ndarray, **options: Any) -> Attribution:
    base, full = (np.take_along_axis(side, targets, 1) for side in play_ends(game))
    return gradient_values(game, targets, base, full, **options)


def all_classes(images: torch.Tensor, classes: int) -> np.ndarray:
    return np.tile(np.arange(classes), (len(images), 1))


def gap(game: CoalitionGame, found: Attribution, targets: np.ndarray) -> np.ndarray:
    base, full = (np.take_along_axis(side, targets, 1) for side in play_ends(game))
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


@given(seed=st.integers(0, 1000), output=st.integers(0, 2))
@settings(max_examples=10, deadline=None)
def test_of_a_linear_model_every_value_is_weight_times_difference(seed: int, output: int) -> None:
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Flatten(), nn.Linear(2 * 3 * 4, 3))
    images = torch.rand(2, 2, 3, 4)
    game, targets = game_of(model, images), np.full((2, 1), output)
    found = values_of(game, targets, max_evals=6)
    weights = model[1].weight[output].reshape(2, 3, 4)
    exact = (weights * (images - 0.25)).detach().movedim(1, -1).numpy()
    assert found.values.dtype == np.float32  # that of the gradients
    np.testing.assert_allclose(found.values[..., 0], exact, atol=1e-6)
    assert gap(game, found, targets).max() < 1e-5


def test_a_pixel_the_model_ignores_gets_nothing() -> None:
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
    found = values_of(game, targets, max_evals=32, seed=3)
    rseed = int(np.random.default_rng(3).integers(2**32))
    explainer = shap.GradientExplainer(copy.deepcopy(model), game.background[:1])
    for image, values in zip(images, found.values, strict=True):
        theirs = explainer.shap_values(image[None], nsamples=10, rseed=rseed)[0]
        np.testing.assert_allclose(values, np.moveaxis(theirs, 0, 2), rtol=1e-4, atol=1e-7)


def test_each_image_may_have_classes_of_its_own() -> None:
    model, images = convolutional(), torch.rand(3, 2, 8, 8)
    everything = values_of(game_of(model, images), all_classes(images, 3), max_evals=14)
    targets = np.array([[2, 0], [1, 1], [0, 2]])
    some = values_of(game_of(model, images), targets, max_evals=10)  # as many samples a class
    expected = np.take_along_axis(everything.values, targets[:, None, None, None], axis=-1)
    np.testing.assert_allclose(some.values, expected, atol=1e-7)


@pytest.mark.parametrize("surroundings", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_the_host_is_left_as_it_was_whatever_surrounds_it(surroundings: Any) -> None:
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


def test_the_host_is_left_as_it_was_after_an_error() -> None:
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
    few, many = (gap(game, values_of(game, targets, max_evals=n), targets).mean() for n in (6, 600))
    assert many < few / 3


def test_any_differentiable_function_is_explained() -> None:
    model, images = convolutional(), torch.rand(1, 2, 8, 8)
    targets = np.array([[1]])
    module = values_of(game_of(model, images), targets, max_evals=20)
    for function in (lambda x: model(x), model.forward):
        found = values_of(game_of(function, images), targets, max_evals=20)
        np.testing.assert_array_equal(found.values, module.values)


def test_a_model_may_change_its_input_in_place() -> None:
    model, images = convolutional(), torch.rand(2, 2, 8, 8)
    plain = values_of(
        game_of(lambda x: model(x.mul(2)), images), all_classes(images, 3), max_evals=14
    )
    inplace = values_of(
        game_of(lambda x: model(x.mul_(2)), images), all_classes(images, 3), max_evals=14
    )
    np.testing.assert_array_equal(inplace.values, plain.values)


def test_a_model_without_gradients_is_refused() -> None:
    class Detached(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = convolutional()

        def forward(self, images: torch.Tensor) -> Any:
            return self.inner(images.detach())

    images = torch.rand(1, 2, 8, 8)
    with pytest.raises(ValueError, match=r"model: has no gradient .* 'partition' or 'kernel'"):
        values_of(game_of(Detached().eval(), images), np.array([[0]]), max_evals=20)
    square_root = game_of(lambda x: x.flatten(1).sum(1, keepdim=True).sqrt(), images * 0)
    square_root.background.zero_()
    match = "model: has NaN or infinite gradients for image 0; give method 'partition' or 'kernel'"
    with pytest.raises(ValueError, match=match):
        values_of(square_root, np.array([[0]]), max_evals=9)


def test_given_backgrounds_start_from_their_mean_output() -> None:
    model, images = convolutional(), torch.rand(3, 2, 8, 8)
    backgrounds = torch.rand(4, 2, 8, 8)
    targets = np.array([[0, 1], [2, 1], [1, 1]])
    game = game_of(model, images)
    found = values_of(game, targets, max_evals=300, backgrounds=backgrounds)
    expected = model(backgrounds).mean(0).detach().numpy()[targets]
    np.testing.assert_allclose(found.base, expected, rtol=1e-5)
    largest = np.abs(found.values).sum((1, 2, 3)).max()
    assert gap(game, found, targets).max() < largest / 4


def test_samples_as_backgrounds_are_the_images_themselves() -> None:
    model, images = convolutional(), torch.rand(3, 2, 8, 8)
    of_samples, of_images = (
        explain(model, images, method="gradient", max_evals=50, backgrounds=given_)
        for given_ in ("samples", images)
    )
    np.testing.assert_array_equal(of_samples.values, of_images.values)
    expected = model(images).mean(0).detach().numpy()
    np.testing.assert_allclose(of_samples.base_values, np.tile(expected, (3, 1)), rtol=1e-5)


def test_a_custom_output_is_explained() -> None:
    model, images = convolutional(), torch.rand(2, 2, 8, 8)
    targets = np.zeros((2, 1), dtype=int)
    plain = values_of(game_of(model, images), targets, max_evals=9)
    tripled = values_of(game_of(model, images, output=lambda raw: 3 * raw), targets, max_evals=9)
    np.testing.assert_allclose(tripled.values, 3 * plain.values, atol=1e-6)


def test_evaluations_are_counted_and_kept_to() -> None:
    rows = 3 * 9  # of each image, three classes
    model, images = convolutional(), torch.rand(4, 2, 8, 8)
    reported: list[int] = []
    game = game_of(model, images, progress=reported.append)
    found = values_of(game, all_classes(images, 3), max_evals=31, backgrounds=images[:2])
    # Two for the ends, and one for an image's share of the outputs of two backgrounds.
    assert game.evaluations.tolist() == [rows + 2 + 1] * 4
    assert game.evaluations.max() <= 31
    assert game.model_seconds > 0
    assert sum(reported) == 4 * (rows + 2) + 2
    assert found.regions.tolist() == [2 * 8 * 8] * 4


def test_too_few_evaluations_are_refused_by_the_number_that_would_do() -> None:
    game, targets = game_of(convolutional(), torch.rand(1, 2, 8, 8)), np.array([[0, 1, 2]])
    values_of(game, targets, max_evals=5)
    with pytest.raises(ValueError, match=r"max_evals: got 4, .* needs 5 an image for 3 classes"):
        values_of(game, targets, max_evals=4)


def test_the_batch_size_changes_nothing_and_halves_when_memory_runs_out() -> None:
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


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_models_of_other_precisions_are_explained(dtype: torch.dtype) -> None:
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
def test_the_model_sees_the_hosts_default_dtype_in_both_passes(dtype: torch.dtype) -> None:
    model, images = Fresh(), torch.rand(2, 2, 8, 8)
    targets = all_classes(images, 3)
    expected = values_of(game_of(model, images, batch_size=4), targets, max_evals=14)
    model.dtypes.clear()
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        found = values_of(game_of(model, images, batch_size=4), targets, max_evals=14)
        assert torch.get_default_dtype() == dtype
    finally:
        torch.set_default_dtype(before)
    np.testing.assert_array_equal(found.values, expected.values)
    assert set(model.dtypes) == {dtype}
    assert len(model.dtypes) == 1 + 2 * (2 * 3 * 4 / 4)  # the ends, then forward and backward


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
    with pytest.raises(error, match=sentence):
        read_backgrounds(backgrounds, torch.rand(1, 2, 8, 8))
