import cv2
import numpy as np
import pytest
import shap
import torch
from generic_model import generic_images
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lightning_shap.engine.maskers import describe, paint_background

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
