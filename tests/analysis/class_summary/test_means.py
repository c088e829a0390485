"""Means of groups are those of the images that say something, with Welch's variances."""

import numpy as np
import pytest

from lightning_shap.analysis.class_summary.means import (
    compare_groups,
    find_tested,
    stack_known,
    turn_images,
)


def compute_alone(values):
    """Count, mean and the mean's variance of one place, of the images that say something."""
    told = values[~np.isnan(values)]
    if len(told) < 5:
        return len(told), np.nan, np.nan
    return len(told), told.mean(), told.var(ddof=1) / len(told)


@pytest.mark.parametrize("unknown", [0.0, 0.5])
def test_groups_are_compared_with_all_others(unknown):
    random = np.random.default_rng(0)
    values = random.normal(size=(40, 3))
    values[random.random(values.shape) < unknown] = np.nan
    members = np.arange(40) % 3 == np.arange(3)[:, None]
    found = compare_groups(stack_known(values), members.astype(float))
    for group, place in np.ndindex(3, 3):
        own, others = (
            compute_alone(values[rows, place]) for rows in (members[group], ~members[group])
        )
        assert np.allclose(
            [found.counts[group, place], found.means[group, place], found.variance[group, place]],
            own,
            equal_nan=True,
        )
        assert np.allclose(
            [found.others[group, place], found.variance_of_others[group, place]],
            others[1:],
            equal_nan=True,
        )


def test_turned_images_have_the_means_of_the_places_that_they_turn_to():
    random = np.random.default_rng(1)
    values, chosen = random.normal(size=(12, 3)), random.integers(2, size=(4, 12))
    ways = np.array([[0, 1, 2], [2, 1, 0]])
    means, variance = turn_images(stack_known(values), ways, chosen)
    for turn in range(4):  # at once, and as each by itself
        turned = np.take_along_axis(values, ways[chosen[turn]], axis=1)
        assert np.allclose(means[turn], turned.mean(axis=0))
        assert np.allclose(variance[turn], turned.var(axis=0, ddof=1) / 12)


def test_a_tested_class_has_five_images_and_leaves_the_others_five():
    assert find_tested(np.repeat([0, 1], [4, 6])).tolist() == []
    assert find_tested(np.repeat([0, 1], [5, 4])).tolist() == []
    assert find_tested(np.repeat([0, 1], [5, 5])).tolist() == [0, 1]
    assert find_tested(np.repeat([-1, 0, 1], [6, 5, 4])).tolist() == [0]
