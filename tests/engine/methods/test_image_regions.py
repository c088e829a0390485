"""What holds of every method whose regions follow the image."""

import numpy as np
import pytest
import torch
from generic_model import Generic, generic_images
from hypothesis import given, settings
from hypothesis import strategies as st

from lightning_shap import explain
from lightning_shap.engine.game import CoalitionGame
from lightning_shap.engine.methods.kernel.segments import Segments
from lightning_shap.engine.regions import image_tree as image_tree_module
from lightning_shap.engine.regions.image_tree import grow_tree
from lightning_shap.engine.regions.patches import LabelledCoalitions
from lightning_shap.errors import ArgumentError

quick = settings(max_examples=15, deadline=None)
shapes = st.tuples(st.sampled_from([1, 3, 13]), st.integers(2, 7), st.integers(2, 7))
methods = st.sampled_from(["partition", "kernel"])
everything = 10_000  # more evaluations than any of these small trees has
every_method = pytest.mark.parametrize("method", ["partition", "kernel"])


def weighted(shape, seed):
    """An additive model: every pixel counts by itself."""
    weights = torch.randn(2, *shape, generator=torch.Generator().manual_seed(seed)).double()
    return weights, lambda images: torch.einsum("nchw,kchw->nk", images.double(), weights)


@quick
@given(methods, shapes, st.integers(1, 3), st.integers(2, 60), st.integers(0, 99))
def test_values_and_base_value_add_up_to_the_output(method, shape, images, max_evals, seed):
    model, pictures = Generic(shape, seed=seed), generic_images(images, *shape, seed=seed)
    explanation = explain(
        model, pictures, method=method, regions="image", max_evals=max_evals, masker="mean"
    )
    outputs = model(pictures).detach().numpy()
    sums = explanation.values.sum((1, 2, 3)) + explanation.base_values
    np.testing.assert_allclose(sums, outputs, rtol=1e-9, atol=1e-11)


@quick
@given(methods, shapes, st.integers(2, 60), st.integers(0, 99))
def test_evaluations_keep_to_the_budget_and_regions_are_those_of_the_labels(
    method, shape, max_evals, seed
):
    model, pictures = Generic(shape, classes=1, seed=seed), generic_images(2, *shape, seed=seed)
    found = explain(
        model, pictures, method=method, regions="image", max_evals=max_evals, masker=0.0
    )
    assert (found.record.evaluations <= max_evals).all()
    assert found.record.follows_image
    for labels, regions in zip(found.regions.labels, found.record.regions, strict=True):
        assert np.array_equal(np.unique(labels), np.arange(regions))


@pytest.mark.parametrize("shape", [(1, 3, 4), (13, 2, 5)])
def test_partition_explains_an_additive_model_exactly_once_the_tree_is_explored(shape):
    weights, model = weighted(shape, 0)
    pictures = generic_images(2, *shape)
    found = explain(model, pictures, regions="image", max_evals=everything, masker=0.5)
    expected = torch.einsum("nchw,kchw->nhwk", pictures - 0.5, weights).numpy()
    np.testing.assert_allclose(found.values.sum(3), expected, atol=1e-9)


def test_partition_explains_the_first_cut_of_an_additive_model_exactly():
    shape = (3, 6, 7)
    weights, model = weighted(shape, 0)
    pictures = generic_images(2, *shape)
    found = explain(model, pictures, regions="image", max_evals=4, masker=0.5)
    worth = torch.einsum("nchw,kchw->nkhw", pictures - 0.5, weights).numpy()
    for image, labels in enumerate(found.regions.labels):
        exact = np.array([worth[image][:, labels == region].sum(1) for region in range(2)])
        np.testing.assert_allclose(found.regions.values[image], exact, atol=1e-9)


@pytest.mark.parametrize("max_evals", [16, 60, 300])
def test_kernel_explains_an_additive_model_nearly_exactly(max_evals):
    shape = (3, 8, 8)
    weights, model = weighted(shape, 0)
    pictures = generic_images(2, *shape)
    found = explain(
        model,
        pictures,
        method="kernel",
        regions="image",
        grid=(2, 3),
        max_evals=max_evals,
        masker=0.5,
    )
    worth = torch.einsum("nchw,kchw->nkhw", pictures - 0.5, weights).numpy()
    for image, labels in enumerate(found.regions.labels):
        exact = np.array([worth[image][:, labels == r].sum(1) for r in range(6)])
        far = np.abs(found.regions.values[image] - exact).max()
        assert far <= (1e-9 if max_evals >= 2**6 else 0.02) * np.abs(exact).max()


def test_with_all_evaluations_the_values_of_segments_are_their_exact_shapley_values():
    model, pictures = Generic((3, 8, 8), classes=2), generic_images(1, 3, 8, 8)
    found = explain(
        model, pictures, method="kernel", regions="image", grid=(1, 3), max_evals=8, masker=0.0
    )
    labels = torch.from_numpy(found.regions.labels[0])

    def value(present):
        shown = sum(((labels == r) * pictures for r in present), torch.zeros_like(pictures))
        return model(shown)[0].detach().numpy()

    one, two, three = value([0]) - value([]), value([0, 1]), value([0, 1, 2])
    first = one / 3 + (two - value([1])) / 6 + (value([0, 2]) - value([2])) / 6
    first += (three - value([1, 2])) / 3
    np.testing.assert_allclose(found.regions.values[0, 0], first, atol=1e-9)


@every_method
def test_a_region_the_model_ignores_gets_nothing(method):
    network, pictures = Generic((3, 4, 8)), generic_images(1, 3, 8, 8)
    pictures[:, :, :4] = 3 + 0.01 * pictures[:, :, :4]  # a region of its own
    found = explain(
        lambda images: network(images[:, :, 4:]),
        pictures,
        method=method,
        regions="image",
        grid=(1, 2) if method == "kernel" else None,
        max_evals=20,
    )
    np.testing.assert_allclose(found.values[0, :4], 0, atol=1e-9)
    assert np.abs(found.values[0, 4:]).max() > 0


@every_method
def test_every_image_is_explained_as_if_it_were_alone(method):
    model, pictures = Generic((3, 8, 8)), generic_images(4, 3, 8, 8)
    settings = {"method": method, "regions": "image", "max_evals": 40, "topk": 2}
    together = explain(model, pictures, **settings)
    for index, picture in enumerate(pictures):
        alone = explain(model, picture[None], **settings)
        np.testing.assert_allclose(alone.values[0], together.values[index], atol=1e-9)


@every_method
def test_the_same_question_gives_the_same_bytes(method):
    model, pictures = Generic((1, 8, 8)), generic_images(2, 1, 8, 8)
    settings = {"method": method, "regions": "image", "max_evals": 30}
    first = explain(model, pictures, **settings)
    np.random.seed(5)
    assert explain(model, pictures, **settings).values.tobytes() == first.values.tobytes()


@every_method
def test_boxes_are_what_is_meant_where_nothing_is_said(method):
    model, pictures = Generic((3, 8, 8)), generic_images(2, 3, 8, 8)
    usual = explain(model, pictures, method=method, max_evals=30)
    boxes = explain(model, pictures, method=method, max_evals=30, regions="boxes")
    assert usual.values.tobytes() == boxes.values.tobytes()
    assert not boxes.record.follows_image


@every_method
@pytest.mark.parametrize("shape", [(3, 9, 11), (1, 12, 8)])
def test_in_large_pictures_regions_are_made_of_squares_and_values_add_up(
    method, shape, monkeypatch
):
    monkeypatch.setattr(image_tree_module, "MOST_SQUARES", 30)
    model, pictures = Generic(shape), generic_images(2, *shape)
    found = explain(model, pictures, method=method, regions="image", max_evals=30, masker="mean")
    sums = found.values.sum((1, 2, 3)) + found.base_values
    np.testing.assert_allclose(sums, model(pictures).detach().numpy(), rtol=1e-9, atol=1e-11)
    assert all(len(np.unique(square)) == 1 for square in found.regions.labels[:, :2, :2])


def test_segments_lie_where_the_patches_lie_for_which_they_stand():
    image = np.zeros((1, 12, 18))
    image[0] = (np.indices((12, 18)) // 6 * [[[3]], [[1]]]).sum(0)
    segments = Segments(grow_tree(image), (2, 3))
    assert np.array_equal(segments.labels, np.add.outer(np.arange(12) // 6 * 3, np.arange(18) // 6))
    np.testing.assert_allclose(segments.places.areas, 1 / 6)
    np.testing.assert_allclose(segments.places.centres[0], np.array([3, 3]) / np.sqrt(216))
    np.testing.assert_allclose(segments.places.centres[5], np.array([9, 15]) / np.sqrt(216))


@quick
@given(st.integers(1, 3), st.integers(1, 5), st.data())
def test_painted_masks_are_the_segments_pixel_by_pixel(images, rows, data):
    random = np.random.default_rng(data.draw(st.integers(0, 99)))
    segments = [Segments(grow_tree(random.random((1, 6, 7))), (2, 3)) for _ in range(images)]
    present = random.random((rows * images, 6)) < 0.5
    owners = np.sort(random.integers(images, size=len(present)))
    coalitions = LabelledCoalitions(present, np.stack([s.labels for s in segments]), owners)
    labels = np.stack([segments[owner].labels for owner in owners])
    expected = np.stack([row[own] for row, own in zip(present, labels, strict=True)])[:, None]
    assert len(coalitions) == images * rows
    start = data.draw(st.integers(0, len(coalitions) - 1))
    stop = data.draw(st.integers(start + 1, len(coalitions)))
    masks = coalitions.masks(start, stop, torch.device("cpu"))
    assert np.array_equal(masks.numpy(), expected[start:stop])


def test_methods_without_regions_refuse_them_and_unknown_ones_are_named():
    model, pictures = Generic((1, 8, 8)), generic_images(1, 1, 8, 8)
    with pytest.raises(ArgumentError, match=r"regions: 'gradient' has none"):
        explain(model, pictures, method="gradient", regions="image")
    with pytest.raises(ValueError, match="regions: unknown 'pixels'; give one of 'boxes'"):
        explain(model, pictures, regions="pixels")


def test_the_tree_belongs_to_the_image_and_not_to_the_masker():
    model, pictures = Generic((3, 8, 8)), generic_images(1, 3, 8, 8)
    settings = {"method": "kernel", "regions": "image", "grid": (2, 2), "max_evals": 10}
    labels = [
        explain(model, pictures, masker=masker, **settings).regions.labels
        for masker in ("blur", 0.0, "mean")
    ]
    assert np.array_equal(labels[0], labels[1])
    assert np.array_equal(labels[0], labels[2])


def test_masks_of_regions_are_all_that_a_game_is_asked_for(monkeypatch):
    asked = []
    original = CoalitionGame.play

    def play(self, images, coalitions):
        asked.append(coalitions.masks(0, len(coalitions), torch.device("cpu")))
        return original(self, images, coalitions)

    monkeypatch.setattr(CoalitionGame, "play", play)
    pictures = generic_images(1, 3, 8, 8)
    explain(Generic((3, 8, 8)), pictures, regions="image", max_evals=20)
    labels = explain(Generic((3, 8, 8)), pictures, regions="image", max_evals=20).regions.labels[0]
    for mask in torch.cat([masks.expand(-1, -1, 8, 8)[:, 0] for masks in asked]).numpy():
        for region in np.unique(labels):  # no coalition cuts a region in two
            assert len(np.unique(mask[labels == region])) == 1
