"""Regions are the explanation: every pixel's value follows from them, and nothing else is kept."""

import copy
import pickle
import tracemalloc

import numpy as np
import pytest
import torch
from generic_model import Generic, generic_images
from hypothesis import given, settings
from hypothesis import strategies as st

from lightning_shap import explain, plot
from lightning_shap.explanation.archive import load, save
from lightning_shap.explanation.explanation import ImageExplanation
from lightning_shap.explanation.join import append, interleave
from lightning_shap.explanation.maps import read_maps
from lightning_shap.explanation.regions import Regions, join_regions
from lightning_shap.pictures.captions import Captions

SHAPE = (3, 7, 6)


def explained(images=3, **settings):
    settings = {"max_evals": 40, "topk": 2, "method": "kernel", "grid": (3, 2), **settings}
    return explain(Generic(SHAPE, classes=4), generic_images(images, *SHAPE), **settings)


@pytest.fixture(params=["partition", "kernel", "channels apart"])
def explanation(request):
    if request.param == "kernel":
        return explained()
    apart = request.param == "channels apart"
    found = explained(method="partition", grid=None, max_evals=400 if apart else 30)
    assert found.regions.per_pixel.shape[2] == (3 if apart else 1)
    return found


def spelled_out(explanation):
    """The same explanation with the values of pixels and nothing of larger regions."""
    values, errors = explanation.values, explanation.error_std
    return ImageExplanation(
        values if errors is None else Regions.separate(values, errors),
        explanation.base_values,
        explanation.data,
        explanation.output_indexes,
        explanation.record,
    )


# What they say


def test_a_pixels_value_is_its_regions_share(explanation):
    regions = explanation.regions
    assert regions.labels.dtype == np.int32
    assert regions.labels.shape == (3, *SHAPE[1:])
    for image, labels in enumerate(regions.labels):
        assert np.array_equal(np.unique(labels), np.flatnonzero(regions.sizes[image]))
        for region in np.unique(labels):
            inside = explanation.values[image][labels == region]
            assert (inside == inside[0]).all(), "all pixels of a region are worth the same"
            np.testing.assert_allclose(inside.sum((0, 1)), regions.values[image, region])
            if regions.error_std is not None:
                errors = explanation.error_std[image][labels == region]
                np.testing.assert_allclose(errors.sum((0, 1)), regions.error_std[image, region])


def test_regions_add_up_to_the_output(explanation):
    sums = explanation.regions.values.sum(1) + explanation.base_values
    outputs = np.take_along_axis(explanation.record.outputs, explanation.output_indexes, axis=1)
    np.testing.assert_allclose(sums, outputs, atol=1e-12)


def test_a_map_is_the_sum_over_channels(explanation):
    for image in range(3):
        expected = explanation.values[image].sum(2).transpose(2, 0, 1)
        np.testing.assert_allclose(explanation.regions.map(image), expected, rtol=1e-14)


def test_images_with_fewer_regions_than_others_have_zeros_in_the_rest():
    model = Generic(SHAPE, classes=4)

    def right_half_alone(images):
        return model(torch.where(torch.arange(6) < 3, 0.0, images))

    explanation = explain(right_half_alone, generic_images(3, *SHAPE), max_evals=400, topk=1)
    sizes = explanation.regions.sizes
    assert (sizes.sum(1) == 42).all()
    assert not explanation.regions.values[sizes == 0].any()


def test_where_every_pixel_counts_for_itself_there_are_none():
    explanation = explained(method="gradient", grid=None)
    assert explanation.regions is None


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 3), st.integers(1, 5), st.integers(1, 3), st.integers(0, 99))
def test_evenly_spread_values_keep_their_sums(images, count, channels, seed):
    rng = np.random.default_rng(seed)
    labels = rng.integers(count, size=(images, 4, 5), dtype=np.int32)
    labels[:, 0] = np.arange(5) % count  # no region is without a pixel
    values = rng.normal(size=(images, count, 2))
    regions = Regions.even(labels, values, channels, np.abs(values))
    np.testing.assert_allclose(regions.values, values)
    np.testing.assert_allclose(regions.error_std, np.abs(values))
    np.testing.assert_allclose(regions.dense().sum((1, 2, 3)), values.sum(1))
    assert regions.dense().shape == regions.shape == (images, 4, 5, channels, 2)


def test_batches_are_joined_whatever_their_numbers_of_regions():
    few, many = (explained(method="partition", grid=None, max_evals=n) for n in (10, 400))
    together = join_regions([few.regions, many.regions])
    assert together.per_pixel.shape[2] == 3, "one of them separates channels"
    assert np.array_equal(together.dense(), np.concatenate([few.values, many.values]))
    assert np.array_equal(together.dense(), join_regions([together]).dense())


# As long as nobody asks for pixels


def test_pictures_words_and_archives_need_no_pixels(explanation, tmp_path):
    picture = plot(explanation)
    captions = Captions(explanation)
    path = save(explanation, tmp_path / "e.npz")
    copies = [copy.copy(explanation), copy.deepcopy(explanation), explanation[1:], explanation[0]]
    again = pickle.loads(pickle.dumps(explanation))
    for each in (explanation, again, *copies):
        assert "values" not in vars(each)
    dense = spelled_out(explanation)
    assert np.array_equal(picture, plot(dense))
    assert captions.output(0, 1) == Captions(dense).output(0, 1)
    assert np.array_equal(load(path).values, dense.values)
    for each in (again, *copies[:2]):
        assert np.array_equal(each.values, dense.values)
    for each, cut in zip(copies[2:], (np.s_[1:], 0), strict=True):
        assert each.shape == each.values.shape == dense.values[cut].shape
        assert np.array_equal(each.values, dense.values[cut])


@pytest.mark.parametrize(
    "item",
    [np.s_[1], np.s_[::-1], [2, 0], np.s_[..., 1], np.s_[1:, ..., :1], np.s_[2, ..., 0], np.s_[:]],
    ids=str,
)
def test_a_slice_of_images_and_outputs_has_its_regions(explanation, item):
    dense, errors = explanation.values, explanation.error_std
    for whole in (explained_again(explanation), explanation):  # before and after they were made
        part = whole[item]
        assert part.shape == dense[item].shape
        assert len(part.regions.values) == len(part.record.evaluations)
        assert np.array_equal(
            read_maps(part).values, read_maps(spelled_out(explanation)[item]).values
        )
        assert np.array_equal(part.values, dense[item])
        assert errors is None or np.array_equal(part.error_std, errors[item])
        doubled = part[...]
        assert np.array_equal(doubled.values, part.values)


def explained_again(explanation):
    return ImageExplanation(
        explanation.regions,
        explanation.base_values,
        explanation.data,
        explanation.output_indexes,
        explanation.record,
    )


def test_values_are_read_only(explanation):
    """Or they would say something else than the regions, which pictures and files are made of."""
    for each in (explanation, spelled_out(explanation), copy.deepcopy(explanation)):
        with pytest.raises(ValueError, match="read-only"):
            each.values[:] = 0
        with pytest.raises(AttributeError):
            each.base_values = 0


def test_shares_of_several_processes_stay_regions():
    whole = explained(5, method="partition", grid=None)
    shares = [whole[0::2], whole[1::2]]
    together = interleave(shares)
    assert together.regions is not None
    assert np.array_equal(together.values, whole.values)


def test_explanations_that_follow_one_another_are_joined_in_their_order():
    whole = explained(5, method="partition", grid=None)
    together = append([whole[:2], whole[2:3], whole[3:]])
    assert together.regions is not None
    assert np.array_equal(together.values, whole.values)
    assert np.array_equal(together.data, whole.data)
    assert together.record.seconds == pytest.approx(3 * whole.record.seconds)


# How much room they take


def test_an_explanation_takes_four_bytes_a_pixel_beside_its_images():
    images = torch.rand(4, 3, 160, 160)
    explanation = explain(mean_of_quarters, images, max_evals=60)
    pixels = 4 * 160 * 160
    assert len(pickle.dumps(explanation)) < 4 * pixels + explanation.data.nbytes + 100_000


@pytest.mark.parametrize("method", ["partition", "kernel"])
def test_explaining_and_drawing_make_no_array_of_all_pixels_channels_and_outputs(method):
    images = torch.rand(8, 3, 160, 160)
    plot(explain(mean_of_quarters, images[:1], max_evals=60, method=method))  # imports and fonts
    tracemalloc.start()
    try:
        explanation = explain(mean_of_quarters, images, max_evals=60, method=method)
        kept, most = tracemalloc.get_traced_memory()
        picture = plot(explanation)
        drawn = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    samples = images.nbytes
    assert explanation.values.nbytes == 8 * samples
    # Of NumPy's arrays: the explanation's copy of the images, a label and nothing else a pixel.
    assert kept < 1.4 * samples
    assert most < 1.5 * samples
    assert drawn < 1.5 * samples + 3 * picture.nbytes


def mean_of_quarters(images):
    return torch.nn.functional.adaptive_avg_pool2d(images.mean(1), 2).flatten(1)
