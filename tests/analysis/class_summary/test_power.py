"""What is said to be found is found so often, and where little could be found, that is said."""

import numpy as np
import pytest
from test_suspicions import as_shares, join_shares, maps, of_one

from lightning_shap.analysis.class_summary.places import Shares
from lightning_shap.analysis.class_summary.power import CASES, MARKED, estimate_power
from lightning_shap.analysis.class_summary.suspicions import find_suspicions
from lightning_shap.analysis.class_summary.swaps import PARTS

CLASSES = 4


def shares_of(images, seed, *, swaps):
    """Shares of images in which nothing stands out, and their classes."""
    cells, labels = maps(images, seed)
    attribution = as_shares(cells)
    if not swaps:
        return attribution, labels
    decided = np.random.default_rng(seed).normal(0.1, 0.15, size=(images, len(PARTS)))
    return join_shares([attribution, of_one(decided, labels)]), labels


def planted(shares, labels, label, column, more):
    """The shares of one place in one class, so much larger."""
    values = shares.values.copy()
    values[labels == label, column] += more
    return Shares(shares.places, values)


@pytest.mark.parametrize(("swaps", "images"), [(True, 40), (True, 120), (False, 120)])
def test_a_share_as_large_as_stated_is_found_so_often(monkeypatch, swaps, images):
    """Planted in images of which the true mean of a place is known, of another draw each time."""
    monkeypatch.setattr("lightning_shap.analysis.class_summary.suspicions.PERMUTATIONS", 39)
    measure = "swap" if swaps else "attribution"
    population, classes = shares_of(3000, 12345, swaps=swaps)
    random, found, tried, runs = np.random.default_rng(54321), 0, 0, 50
    for run in range(runs):
        rows = random.choice(len(classes), images, replace=False)
        shares, labels = Shares(population.places, population.values[rows]), classes[rows]
        label = int(random.integers(CLASSES))
        stated = estimate_power(shares, labels, seed=run).shares.get(label)
        if stated is None:
            continue
        tried += 1
        columns = [
            number
            for number, place in enumerate(shares.places)
            if place.measure == measure and place.name in MARKED
        ]
        column = int(random.choice(columns))
        more = stated - population.values[classes == label, column].mean()
        named = find_suspicions(planted(shares, labels, label, column, more), labels, seed=run)
        cells = shares.places[column].cells
        found += any(one.label == label and (one.place.cells & cells).any() for one in named)
    assert tried > 0.9 * runs
    assert CASES == 0.8
    assert found / tried > 0.68  # fewer are one case of 50, if the rate is the one that is stated
    if measure == "swap":
        assert found / tried < 0.95  # nor is far less stated than is found


def test_more_images_find_less():
    stated = [
        estimate_power(*shares_of(images, 0, swaps=True)).share for images in (40, 80, 160, 320)
    ]
    assert stated == sorted(stated, reverse=True)
    assert stated[-1] < stated[0]


def test_of_images_that_differ_much_nothing_could_be_found():
    shares, labels = shares_of(24, 0, swaps=True)
    wild = np.random.default_rng(0).normal(size=shares.values.shape)
    assert estimate_power(Shares(shares.places, 3 * wild), labels).share is None


def test_of_two_classes_that_swap_with_one_another_only_both_together_can_stand_out():
    shares, labels = shares_of(80, 0, swaps=True)
    assert [*estimate_power(shares, labels % 2).shares] == [None]
    shares, labels = shares_of(80, 0, swaps=False)
    assert [*estimate_power(shares, labels % 2).shares] == [0, 1]


def test_where_no_class_has_enough_images_it_is_said_of_all_together():
    shares, _ = shares_of(40, 0, swaps=True)
    assert [*estimate_power(shares, np.arange(40)).shares] == [None]
