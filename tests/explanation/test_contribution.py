"""What a place contributes: the sum of its values, and an error that counts how they correlate."""

from pathlib import Path

import numpy as np
import pytest
import torch
from generic_model import Generic
from hypothesis import given
from hypothesis import strategies as st

from lightning_shap import explain, load
from lightning_shap.errors import ArgumentError
from lightning_shap.explanation.archive import save
from lightning_shap.explanation.contribution import measure_place
from lightning_shap.explanation.maps import Maps, read_maps
from lightning_shap.explanation.regions import Regions

OLD = Path(__file__).parent / "old_files"
SIDES = st.integers(0, 12)


def explained(method="kernel", **settings):
    images = torch.rand(2, 3, 12, 12, generator=torch.manual_seed(0))
    if method == "kernel":
        settings = {"grid": 4, "max_evals": 60, **settings}
    return explain(Generic((3, 12, 12), 4), images, method=method, topk=2, **settings)


EXPLAINED = explained()


@given(SIDES, SIDES, SIDES, SIDES)
def test_the_value_is_the_sum_of_the_values_inside(left, top, right, bottom):
    if not (left < right and top < bottom):
        with pytest.raises(ArgumentError, match="no pixel of an image 12 wide, 12 high"):
            EXPLAINED.region((left, top, right, bottom))
        return
    found = EXPLAINED.region((left, top, right, bottom))
    inside = EXPLAINED.values[:, top:bottom, left:right].sum((1, 2, 3))
    change = EXPLAINED.values.sum((1, 2, 3))
    np.testing.assert_allclose(found.value, inside)
    np.testing.assert_allclose(found.of_change, inside / change)
    np.testing.assert_allclose(found.error_of_change, found.error / np.abs(change))
    magnitude = np.abs(EXPLAINED.values.sum(3)).sum((1, 2))
    of_inside = np.abs(EXPLAINED.values.sum(3))[:, top:bottom, left:right].sum((1, 2))
    np.testing.assert_allclose(found.of_magnitude, of_inside / magnitude)


def test_methods_without_errors_have_the_value_alone():
    explanation = explained("gradient", max_evals=30)
    found = explanation.region((0, 3, 12, 9))
    np.testing.assert_allclose(found.value, explanation.values[:, 3:9].sum((1, 2, 3)), rtol=1e-6)
    assert found.error is None
    assert found.error_of_change is None


def test_the_whole_image_has_no_error_and_what_is_left_of_it_that_of_the_rest():
    whole = EXPLAINED.region(np.ones((12, 12), bool))
    np.testing.assert_allclose(whole.of_change, 1)
    np.testing.assert_allclose(whole.error, 0, atol=1e-9)
    one, rest = (EXPLAINED.region(box) for box in ((0, 0, 12, 5), (0, 5, 12, 12)))
    np.testing.assert_allclose(one.error, rest.error)
    assert (one.error > 0).all()


def test_a_point_is_the_region_around_it_with_the_error_of_that():
    point = EXPLAINED.region((4, 1))  # the second of four patches of three pixels
    np.testing.assert_allclose(point.value, EXPLAINED.values[:, :3, 3:6].sum((1, 2, 3)))
    patch = EXPLAINED.error_std[:, :3, 3:6].sum((1, 2, 3))
    np.testing.assert_allclose(point.error, patch, rtol=0.05)


def test_the_error_is_that_of_a_sum_of_errors_that_correlate():
    rng = np.random.default_rng(0)
    root = rng.normal(size=(6, 6))
    root -= root.mean(0)  # all together are known
    covariance = root @ root.T
    std = np.sqrt(covariance.diagonal())
    correlation = covariance / np.outer(std, std)
    labels = np.arange(6, dtype=np.int32).reshape(1, 2, 3)
    triangle = correlation[np.triu_indices(6, 1)][None]
    regions = Regions.even(labels, np.ones((1, 6, 1)), 1, std[None, :, None], triangle)
    maps = Maps(regions, np.zeros((1, 2, 3, 1)))
    for mask in rng.random((20, 2, 3)) < 0.5:
        if mask.any():
            found = measure_place(maps, mask, np.ones((1, 1)))
            weights = mask.ravel().astype(float)
            np.testing.assert_allclose(found.error[0, 0] ** 2, weights @ covariance @ weights)


def test_half_of_a_region_counts_with_half_of_its_value_and_error():
    half = np.zeros((12, 12), bool)
    half[:3, 3:6] = np.eye(3, dtype=bool) | np.tri(3, dtype=bool)
    part, whole = EXPLAINED.region(half), EXPLAINED.region((3, 0, 6, 3))
    np.testing.assert_allclose(part.value, whole.value * 6 / 9)
    np.testing.assert_allclose(part.error, whole.error * 6 / 9)


def rough(pixels):
    """A model with interactions of every order."""
    rng = np.random.default_rng(5)
    first, bias, last = (torch.tensor(rng.normal(size=size)) for size in ((12, 24), 24, (24, 3)))
    return torch.tanh(pixels.flatten(1).double() @ first / 2 + bias) @ last


def test_intervals_of_boxes_hold_the_exact_value():
    images = torch.ones(1, 1, 3, 4)
    common = {"method": "kernel", "grid": (3, 4), "masker": -1.0}
    exact = explain(rough, images, max_evals=4096, **common)
    inside = []
    for max_evals in (40, 80, 160):
        for seed in range(4):
            found = explain(rough, images, max_evals=max_evals, seed=seed, **common)
            for box in ((0, 0, 2, 3), (1, 0, 3, 2), (0, 1, 4, 3), (0, 0, 4, 2), (2, 1, 4, 3)):
                one, true = found.region(box), exact.region(box)
                assert not true.error.any()
                inside.append(np.abs(one.value - true.value) <= 1.96 * one.error)
    assert np.mean(inside) > 0.9


def test_it_slices_as_the_explanation_does():
    box = (0, 0, 6, 6)
    whole, part = EXPLAINED.region(box), EXPLAINED[1, ..., 0].region(box)
    assert part.value == pytest.approx(whole.value[1, 0])
    assert part.error == pytest.approx(whole.error[1, 0])
    assert EXPLAINED[1].region(box).value.shape == (2,)


def test_a_number_is_quoted_with_its_error():
    found = EXPLAINED[1, ..., 0].region((0, 0, 6, 6))
    value, share, magnitude = str(found).split(" · ")
    assert value.count(" ± ") == share.count(" ± ") == 1
    assert share.endswith(" % of the change")
    assert magnitude.endswith(" % of the magnitude")
    assert " ± " not in str(explained("gradient")[1, ..., 0].region((0, 0, 6, 6)))


def test_a_file_keeps_the_error_and_one_of_before_there_was_any_has_none(tmp_path):
    again = load(save(EXPLAINED, tmp_path / "e.npz"))
    one, other = (each.region((0, 0, 6, 6)).error for each in (EXPLAINED, again))
    np.testing.assert_array_equal(one, other)
    for old in ("kernel.1.npz", "kernel.2.npz"):
        assert load(OLD / old).region((0, 0, 2, 2)).error is None


@pytest.mark.parametrize(
    "place", [(1, 2, 3), "corner", [[1, 2], [3, 4]], (0, 0, np.nan, 3), np.ones((3, 3), bool), None]
)
def test_what_is_no_place_is_refused_by_its_name(place):
    with pytest.raises(
        ArgumentError, match=r"place: got .*; give a box \(left, top, right, bottom"
    ):
        EXPLAINED.region(place)


def test_maps_of_one_output_alone_are_summed_likewise():
    maps = read_maps(explained("gradient", max_evals=4)[..., 0])
    found = measure_place(maps, (0, 0, 4, 4), np.ones((2, 1)))
    assert found.value.shape == (2, 1)


def test_of_no_change_there_is_no_share():
    images = torch.zeros(1, 1, 6, 6)
    found = explain(lambda some: some.flatten(1)[:, :2], images, max_evals=4)
    words = str(found[0, ..., 0].region((0, 0, 3, 3)))
    assert words == "0 · no share of the change, which is 0"
