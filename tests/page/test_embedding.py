"""The map of all explanations: where each image's map lies."""

import numpy as np
import pytest

from lightning_shap.explanation.regions import Regions
from lightning_shap.page.embedding import LEAST, place_maps


def maps(count, seed=0, side=16):
    """Half of the images look at the top left, half at the bottom right, with some noise."""
    random = np.random.default_rng(seed)
    labels = np.zeros((count, side, side), dtype=np.int32)
    labels[:, :4, :4], labels[:, -4:, -4:] = 1, 2
    values = 0.1 * random.normal(size=(count, 3, 2))
    values[np.arange(count), 1 + np.arange(count) % 2, 0] += 3
    return labels, values


def test_images_that_are_looked_at_alike_are_near():
    places = place_maps(Regions.even(*maps(60), 1))
    one, other = places[::2], places[1::2]
    within = max(np.ptp(one, axis=0).max(), np.ptp(other, axis=0).max())
    assert np.linalg.norm(one.mean(axis=0) - other.mean(axis=0)) > 3 * within
    assert np.abs(places).max() == pytest.approx(1)


def test_places_do_not_depend_on_how_strong_maps_are():
    labels, values = maps(40)
    times = np.random.default_rng(1).uniform(0.1, 10, (40, 1, 1))
    one, other = (place_maps(Regions.even(labels, given, 1)) for given in (values, values * times))
    assert np.allclose(one, other, atol=1e-9)


def test_places_follow_the_order_of_the_images():
    labels, values = maps(40)
    order = np.random.default_rng(1).permutation(40)
    one = place_maps(Regions.even(labels, values, 1))
    other = place_maps(Regions.even(labels[order], values[order], 1))
    assert np.allclose(one[order], other, atol=1e-9)


def test_of_few_images_or_of_equal_maps_there_is_none():
    assert place_maps(Regions.even(*maps(LEAST - 1), 1)) is None
    assert place_maps(Regions.even(*maps(LEAST), 1)) is not None
    labels, values = maps(LEAST)
    assert place_maps(Regions.even(labels, np.ones_like(values), 1)) is None


def test_images_smaller_than_the_cells_have_places():
    labels = np.tile(np.arange(6, dtype=np.int32).reshape(1, 2, 3), (30, 1, 1))
    values = np.random.default_rng(0).normal(size=(30, 6, 1))
    assert np.isfinite(place_maps(Regions.even(labels, values, 1))).all()
