"""The errors of partition: nothing where all was looked at, and as large as values are off."""

import numpy as np
import pytest
import torch
from generic_model import Generic, generic_images
from hypothesis import given, settings
from hypothesis import strategies as st

from lightning_shap import explain
from lightning_shap.engine.methods import spread_errors
from lightning_shap.explanation.archive import load, merge, save
from lightning_shap.explanation.regions import join_regions

SHAPE = (1, 6, 6)
everything = 10_000  # more evaluations than this tree has
kinds = pytest.mark.parametrize("regions", ["boxes", "image"])


def explained(images=3, *, seed=0, max_evals=40, regions="image", topk=2):
    how = {"method": "partition", "regions": regions, "max_evals": max_evals, "topk": topk}
    return explain(Generic(SHAPE, seed=seed), generic_images(images, *SHAPE, seed=seed), **how)


def sums(explanation, regions, image):
    """What an explanation says of the regions of another, (R, K')."""
    maps = explanation.values[image].sum(axis=2)
    labels = regions.labels[image]
    return np.stack([maps[labels == number].sum(axis=0) for number in range(labels.max() + 1)])


@kinds
def test_nine_in_ten_intervals_hold_what_all_evaluations_say(regions):
    for max_evals in (12, 40, 120):
        held = []
        for seed in range(4):
            some, all_ = (
                explained(seed=seed, max_evals=n, regions=regions) for n in (max_evals, everything)
            )
            for image in range(3):
                truth = sums(all_, some.regions, image)
                off = np.abs(some.regions.values[image, : len(truth)] - truth)
                held.append(off <= 1.96 * some.regions.error_std[image, : len(truth)] + 1e-6)
        assert np.concatenate(held).mean() >= 0.9


@kinds
def test_who_looked_at_everything_has_no_errors(regions):
    found = explained(max_evals=everything, regions=regions).regions
    np.testing.assert_allclose(found.error_std, 0, atol=1e-9)
    assert np.abs(explained(regions=regions).regions.error_std).max() > 1e-3


@kinds
def test_a_game_whose_gains_are_even_has_no_errors(regions):
    def mean(images):
        return images.mean((1, 2, 3))[:, None]

    images = torch.ones(1, 1, 8, 8) + 1e-3 * generic_images(1, 1, 8, 8)
    how = {"output": "value", "masker": 0.0, "method": "partition", "regions": regions}
    found = explain(mean, images, max_evals=20, **how)
    assert (found.regions.error_std <= 1e-2 * np.abs(found.regions.values)).all()


@settings(max_examples=20, deadline=None)
@given(st.integers(3, 150), st.sampled_from(["boxes", "image"]), st.integers(0, 5))
def test_errors_add_up_to_nothing_over_the_image(max_evals, regions, seed):
    found = explained(1, seed=seed, max_evals=max_evals, regions=regions, topk=1).regions
    std = found.error_std[0, :, 0]
    correlation = np.zeros((len(std), len(std)))
    correlation[np.triu_indices(len(std), 1)] = found.error_triangle[0]
    whole = std @ std + 2 * std @ correlation @ std
    assert abs(whole) <= 2e-3 * (std @ std)  # which half precision keeps


@kinds
def test_an_image_among_others_has_the_errors_that_it_has_alone(regions, tmp_path):
    together = explained(regions=regions)
    counts = [len(np.unique(labels)) for labels in together.regions.labels]
    place = np.zeros(SHAPE[1:], bool)
    place[:3, 1:5] = True
    alone = [together[image : image + 1] for image in range(3)]
    joined = join_regions([each.regions for each in alone])
    for image, count in enumerate(counts):
        pairs = np.triu_indices(joined.per_pixel.shape[1], 1)[1] < count
        assert not joined.error_triangle[image, ~pairs].any()
    files = [save(each, tmp_path / f"{number}.npz") for number, each in enumerate(alone)]
    merged = load(merge(files, tmp_path / "all.npz"))
    np.testing.assert_array_equal(merged.region(place).error, together.region(place).error)


def test_more_regions_than_can_be_kept_have_errors_without_correlations(monkeypatch):
    usual = explained().regions
    monkeypatch.setattr(spread_errors, "MOST_CORRELATED", 5)
    found = explained()
    assert found.regions.error_triangle is None
    np.testing.assert_allclose(found.regions.error_std, usual.error_std)
    assert found.region((0, 0, 3, 3)).error is None
