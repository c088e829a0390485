import cv2
import numpy as np
import pytest
import shap
import torch
from generic_model import generic_images
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lightning_shap import explain
from lightning_shap.engine import inpainting
from lightning_shap.engine.maskers import (
    DRAWS,
    blend,
    check_masker,
    describe,
    paint_background,
    paint_backgrounds,
)

sides = st.integers(1, 12)


@settings(max_examples=60, deadline=None)
@given(sides, sides, st.integers(1, 30), st.integers(1, 30), st.sampled_from([1, 2, 3, 4, 9]))
@example(1, 1, 5, 4, 3)  # a single pixel
@example(7, 5, 30, 29, 3)  # larger than the image
@example(8, 1, 3, 4, 1)  # a side of one
def test_blur_gives_the_numbers_of_cv2(height, width, kernel_height, kernel_width, channels):
    images = generic_images(2, channels, height, width)
    blurred = paint_background(f"blur({kernel_width},{kernel_height})", images)
    for image, ours in zip(images, blurred, strict=True):
        pixels = image.movedim(0, -1).contiguous().numpy()
        theirs = cv2.blur(pixels, (kernel_width, kernel_height)).reshape(pixels.shape)
        np.testing.assert_allclose(ours.movedim(0, -1), theirs, atol=1e-12)


@pytest.mark.parametrize("size", [(20, 45), (45, 20)])
def test_the_same_string_means_what_it_means_to_shap(size):
    images = generic_images(1, 3, *size)
    pixels = images[0].movedim(0, -1).contiguous().numpy()
    (theirs,) = shap.maskers.Image("blur(22,13)", pixels.shape)(None, pixels)
    ours = paint_background("blur(22,13)", images)
    np.testing.assert_allclose(ours.movedim(1, -1), theirs, atol=1e-12)
    assert describe("blur(22,13)", images) == "blur(22,13)"


def test_blur_of_float32_is_that_of_cv2():
    images = 10 * generic_images(1, 3, 33, 47, dtype=torch.float32) - 5
    ours = paint_background("blur(14, 9)", images)
    assert ours.dtype == torch.float32
    theirs = cv2.blur(images[0].movedim(0, -1).contiguous().numpy(), (14, 9))
    np.testing.assert_allclose(ours[0].movedim(0, -1), theirs, atol=1e-5)


def test_the_blur_grows_with_the_image():
    images = generic_images(1, 3, 224, 56)
    assert describe("blur", images) == "blur(32,128)"
    assert torch.equal(paint_background("blur", images), paint_background("blur(32,128)", images))


def test_mean_is_each_images_own_colour():
    images = generic_images(2, 3, 4, 5)
    background = paint_background("mean", images)
    assert background.shape == images.shape
    assert torch.allclose(background[1, 2], images[1, 2].mean())


@pytest.mark.parametrize("number", [0, 0.5, -1.0, np.float32(0.5), np.int64(2)])
def test_a_number_fills_the_image(number):
    images = generic_images(2, 3, 4, 5)
    assert torch.equal(paint_background(number, images), torch.full_like(images, float(number)))
    assert describe(number, images) == f"constant {float(number):g}"


def test_a_tensor_serves_all_images_or_each():
    images, own = generic_images(2, 3, 4, 5), generic_images(2, 3, 4, 5, seed=1)
    assert torch.equal(paint_background(own, images), own)
    assert torch.equal(paint_background(own[0], images)[1], own[0])
    as_images = paint_background(own.float(), images)
    assert as_images.dtype == images.dtype


def test_a_function_sees_the_images():
    images = generic_images(2, 3, 4, 5)
    assert torch.equal(paint_background(lambda images: images.flip(-1), images), images.flip(-1))


@pytest.mark.parametrize(
    ("masker", "error", "words"),
    [
        ("blurr", ValueError, "masker: .*'blurr'"),
        ("blur(0,3)", ValueError, r"masker: .*'blur\(0,3\)'"),
        ("blur(3)", ValueError, r"masker: .*'blur\(3\)'"),
        ("blur(3.5,3)", ValueError, "masker: .*whole pixels"),
        (float("nan"), ValueError, "masker: .*NaN"),
        (torch.full((3, 4, 5), torch.inf), ValueError, "masker: .*infinite"),
        (torch.zeros(4, 5), ValueError, r"masker: .*\(4, 5\).*\(3, 4, 5\)"),
        (torch.zeros(3, 3, 4, 5), ValueError, r"masker: .*\(3, 3, 4, 5\).*\(2, 3, 4, 5\)"),
        (True, TypeError, "masker: got True"),
        (None, TypeError, "masker: got None"),
        (lambda images: 0, TypeError, "masker: .*int"),
    ],
)
def test_a_wrong_masker_is_named(masker, error, words):
    with pytest.raises(error, match=words):
        paint_background(masker, generic_images(2, 3, 4, 5))


def whole_levels(seed=0):
    """An image of 0 to 255, as shap takes it."""
    levels = np.random.default_rng(seed).integers(0, 256, (16, 20, 3)).astype(np.float32)
    levels[0, 0], levels[0, 1] = 0, 255
    return levels


@pytest.mark.parametrize("name", ["inpaint_telea", "inpaint_ns"])
@pytest.mark.parametrize("share", [0.0, 0.4, 0.9])
def test_inpainting_shows_what_it_shows_in_shap(name, share):
    levels = whole_levels()
    present = np.random.default_rng(1).random((4, 5)) < share
    mask = np.kron(present, np.ones((4, 4), bool))
    (theirs,) = shap.maskers.Image(name, levels.shape)(np.repeat(mask[..., None], 3, 2), levels)
    image = torch.from_numpy(levels).movedim(-1, 0)[None] / 255 * 4 - 2  # normalised
    (background,) = paint_backgrounds(name, image, rows=10, seed=0)
    shown = blend(image, background, np.zeros(1, int), torch.from_numpy(mask)[None, None])
    ours = (shown[0].movedim(0, -1) + 2) / 4 * 255
    np.testing.assert_allclose(ours[mask], levels[mask], atol=1e-3)
    np.testing.assert_allclose(ours, theirs[0], atol=1e-3)


def test_images_of_any_channels_are_inpainted():
    images = generic_images(2, 5, 8, 8).float()
    for method in ("partition", "kernel"):
        model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(320, 2))
        found = explain(model, images, masker="inpaint_telea", method=method, max_evals=20)
        assert found.record.masker == "inpaint_telea"
        assert found.record.additivity_gap.max() < 1e-6


def test_inpainting_without_opencv_is_refused(monkeypatch):
    monkeypatch.setattr(inpainting, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="masker: 'inpaint_ns' needs OpenCV"):
        check_masker("inpaint_ns")


class Linear(torch.nn.Module):
    """The sum of the pixels, so that a mean over backgrounds is known."""

    def forward(self, images):
        return images.flatten(1).sum(1, keepdim=True) * torch.tensor([1.0, -2.0]).to(images)


def test_samples_average_over_other_images_within_the_budget():
    images = generic_images(6, 1, 8, 8)
    found = explain(Linear(), images, masker="samples", returns="values", max_evals=90)
    backgrounds = paint_backgrounds("samples", images, rows=90, seed=0)
    assert len(backgrounds) == DRAWS == 4
    for background in backgrounds:
        assert not any(torch.equal(*pair) for pair in zip(background, images, strict=True))
    places = [[int((images == one).all((1, 2, 3)).nonzero()) for one in b] for b in backgrounds]
    assert all(len(set(of_image)) == DRAWS for of_image in zip(*places, strict=True))
    expected = torch.stack([Linear()(background) for background in backgrounds]).mean(0)
    np.testing.assert_allclose(found.base_values, expected)
    np.testing.assert_allclose(found.values.sum((1, 2, 3)) + found.base_values, Linear()(images))
    assert (found.record.evaluations <= 90).all()
    assert (found.record.evaluations > 60).all()


@pytest.mark.parametrize(("rows", "draws"), [(2, 1), (20, 1), (39, 1), (40, 2), (80, 4), (500, 4)])
def test_few_evaluations_are_spent_on_coalitions_and_not_on_draws(rows, draws):
    images = generic_images(6, 1, 4, 4)
    assert len(paint_backgrounds("samples", images, rows=rows, seed=0)) == draws


def test_it_does_not_matter_which_images_are_explained_together():
    images = generic_images(7, 1, 4, 4)
    whole = paint_backgrounds("samples", images, rows=500, seed=3)
    part = paint_backgrounds("samples", images[2::3], rows=500, seed=3, pool=images)
    for one, other in zip(whole, part, strict=True):
        assert torch.equal(one[2::3], other)


def test_means_over_draws_count_as_exact_only_with_every_coalition():
    images = generic_images(6, 1, 8, 8).float()
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Tanh(), torch.nn.Linear(64, 2))
    common = {"method": "kernel", "grid": 3, "masker": "samples"}
    assert not explain(model, images, max_evals=1000, **common).record.exact.any()
    assert explain(model, images, max_evals=4 * 2**9, **common).record.exact.all()


def test_what_samples_cannot_be_drawn_for_is_refused():
    with pytest.raises(ValueError, match="masker: 'samples' of one image"):
        explain(Linear(), generic_images(1, 1, 4, 4), masker="samples")
    for masker in ("samples", "inpaint_telea"):
        with pytest.raises(ValueError, match=f"masker: '{masker}' shows what depends on"):
            explain(Linear(), generic_images(2, 1, 4, 4), masker=masker, method="gradient")
