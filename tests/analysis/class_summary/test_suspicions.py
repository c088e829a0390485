"""What is planted is found, and chance is not taken for it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lightning_shap.analysis.class_summary.places import (
    GRID,
    STRONGEST,
    Shares,
    reduce_to_grid,
    share_attribution,
)
from lightning_shap.analysis.class_summary.suspicions import (
    LEVEL,
    Compared,
    find_suspicions,
    measure_surprise,
)
from lightning_shap.analysis.class_summary.swaps import FINE_DETAIL, PARTS, share_swaps
from lightning_shap.explanation.maps import Maps

CLASSES = 4


def maps(images=120, seed=0):
    """Maps that say nothing of their class: of a few strong cells each."""
    random = np.random.default_rng(seed)
    cells = random.gamma(0.2, size=(images, GRID, GRID))
    return cells, random.integers(CLASSES, size=images)


def as_shares(cells):
    return share_attribution(cells / cells.sum(axis=(1, 2), keepdims=True))


def some(shares, rows):
    return Shares(shares.places, shares.values[rows])


def first(cells, labels):
    found = find_suspicions(as_shares(cells), labels)
    return (found[0].label, found[0].place.name) if found else None


@pytest.mark.parametrize(
    ("name", "rows", "columns"),
    [
        ("the top left corner", slice(2), slice(2)),
        ("the lower edge", slice(-1, None), slice(None)),
        ("row 3, column 6 of 8 x 8", 2, 5),
    ],
)
def test_a_planted_place_is_the_first_suspicion_of_its_class(name, rows, columns):
    cells, labels = maps()
    totals = cells.sum(axis=(1, 2))
    for image in np.flatnonzero(labels == 2):
        cells[image, rows, columns] = 0.8 * totals[image] / np.size(cells[image, rows, columns])
    assert first(cells, labels) == (2, name)


def test_a_tag_in_any_corner_is_found_though_no_corner_stands_out():
    cells, labels = maps()
    corners = [(down, across) for down in (0, 6) for across in (0, 6)]
    for turn, image in enumerate(np.flatnonzero(labels == 1)):
        down, across = corners[turn % 4]
        cells[image, down : down + 2, across : across + 2] = cells[image].sum()
    assert first(cells, labels) == (1, STRONGEST)


def test_a_place_that_all_classes_look_at_is_found_beside_its_mirror_images():
    cells, labels = maps()
    cells[:, :2, :2] = cells.sum(axis=(1, 2))[:, None, None]
    found = find_suspicions(as_shares(cells), labels)
    assert [(one.label, one.place.name) for one in found] == [(None, "the top left corner")]
    assert found[0].others is None
    assert found[0].mirror < 0.1
    assert found[0].p == 1 / 1000  # the least that can be, beside 999 permutations


def test_each_permutation_is_drawn_once_and_counts_once(monkeypatch):
    monkeypatch.setattr("lightning_shap.analysis.class_summary.suspicions.PERMUTATIONS", 39)
    cells, labels = maps(60)
    assert len(Compared.of(as_shares(cells), labels).draw(0)) == 39
    cells[labels == 3, :2, :2] = cells[labels == 3].sum(axis=(1, 2))[:, None, None]
    assert find_suspicions(as_shares(cells), labels)[0].p == 1 / 40


def test_of_two_classes_the_one_with_the_mark_is_named_and_not_both():
    cells, labels = maps()
    labels = labels % 2
    cells[labels == 1, :2, :2] += cells[labels == 1].sum(axis=(1, 2))[:, None, None]
    found = find_suspicions(as_shares(cells), labels)
    assert [(one.label, one.place.name) for one in found] == [(1, "the top left corner")]


def test_runs_without_a_cause_name_anything_at_the_stated_rate_at_most(monkeypatch):
    """Of the test alone: with what is too small to matter left in."""
    monkeypatch.setattr("lightning_shap.analysis.class_summary.suspicions.LEAST", 0.0)
    monkeypatch.setattr("lightning_shap.analysis.class_summary.suspicions.LEAST_UNSWAPPED", 0.0)
    monkeypatch.setattr("lightning_shap.analysis.class_summary.suspicions.PERMUTATIONS", 39)
    runs = 40
    named = sum(
        bool(find_suspicions(as_shares(cells), labels))
        for cells, labels in map(_seeded, range(runs))
    )
    # At 5 % there are more than 6 of 40 in one of 70 series; these are the same every time.
    assert LEVEL == 0.05
    assert named <= 6


def _seeded(seed):
    return maps(60, seed)


def test_differences_too_small_to_matter_are_not_named():
    cells, labels = maps(400)
    cells = (cells + 1) / (cells + 1).sum(axis=(1, 2), keepdims=True)
    cells[labels == 0, :2, :2] *= 1.5
    assert first(cells, labels) is None


@settings(max_examples=2, deadline=None)
@given(st.permutations(range(60)))
def test_the_order_of_the_images_is_of_no_effect(order):
    cells, labels = maps(60)
    cells[labels == 3, 0, :] += 2
    before, after = (
        find_suspicions(some(as_shares(cells), rows), labels[rows])
        for rows in (np.arange(60), order)
    )
    assert [(a.label, a.place.name, a.p) for a in before] == [
        (a.label, a.place.name, a.p) for a in after
    ]


@pytest.mark.parametrize("images", [0, 1, 4])
def test_of_few_images_nothing_is_said(images):
    cells, labels = maps(60)
    assert find_suspicions(some(as_shares(cells), slice(images)), labels[:images]) == []


def test_images_of_unknown_classes_are_no_class():
    cells, labels = maps()
    labels[labels == 2] = -1
    cells[labels == -1, :2, :2] += 5
    assert all(one.label != -1 for one in find_suspicions(as_shares(cells), labels))


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40))
def test_cells_share_out_all_attribution_whatever_the_size(height, width):
    values = np.random.default_rng(0).normal(size=(2, height, width, 1, 1))
    found = reduce_to_grid(Maps(values, np.zeros(values.shape[:-1])))
    assert found.shape == (2, GRID, GRID)
    assert np.allclose(found.sum(axis=(1, 2)), 1)


def test_an_even_map_has_each_place_s_area():
    shares = share_attribution(np.full((1, GRID, GRID), GRID**-2))
    assert np.allclose(shares.values[0], [place.area for place in shares.places])


def swaps(images=80, seed=0):
    """Swaps that say nothing of their class."""
    random = np.random.default_rng(seed)
    return random.beta(1, 6, size=(images, len(PARTS))), np.arange(images) % CLASSES


def join_shares(parts):
    """Shares of the same images, measured in several ways, side by side."""
    places = tuple(place for part in parts for place in part.places)
    return Shares(places, np.hstack([part.values for part in parts]))


def of_one(shares, labels):
    """Shares that are of a whole of 1."""
    wholes = np.where(np.isnan(shares).any(axis=1), np.nan, 1.0)
    return share_swaps(shares, wholes, labels)


@pytest.mark.parametrize("part", ["the outermost frame", "the lower edge", FINE_DETAIL])
def test_a_part_that_decides_a_class_alone_is_named_by_its_swaps(part):
    shares, labels = swaps()
    shares[labels == 1, PARTS.index(part)] = 0.8
    found = find_suspicions(of_one(shares, labels), labels)
    assert [(one.label, one.place.name, one.place.measure) for one in found] == [(1, part, "swap")]


def test_a_place_that_decides_a_class_is_not_said_of_all_that_swap_with_it():
    shares, labels = swaps()
    corner = PARTS.index("the top right corner")
    shares[:, corner] += 0.35
    assert find_suspicions(of_one(shares, labels), labels)[0].label is None
    shares[labels == 1, corner] = 0.9
    found = find_suspicions(of_one(shares, labels), labels)
    assert [(one.label, one.place.name) for one in found] == [(1, "the top right corner")]


def test_what_no_place_has_comes_after_what_one_has():
    shares, labels = swaps()
    shares[labels == 1, PARTS.index(FINE_DETAIL)] = 0.9
    shares[labels == 1, PARTS.index("the lower edge")] = 0.6
    found = find_suspicions(of_one(shares, labels), labels)
    assert [one.place.name for one in found] == ["the lower edge", FINE_DETAIL]


def test_images_that_say_nothing_change_nothing():
    shares, labels = swaps()
    shares[::7] = np.nan
    assert find_suspicions(of_one(shares, labels), labels) == []
    shares[labels == 1, 0] = 0.9
    shares[::7] = np.nan
    first = find_suspicions(of_one(shares, labels), labels)[0]
    assert first.place.name == "the top left corner"
    assert (first.known, first.images) == ((~np.isnan(shares[labels == 1, 0])).sum(), 20)
    rest = np.arange(len(labels)) % 7 != 0
    alone = find_suspicions(of_one(shares[rest], labels[rest]), labels[rest])[0]
    assert np.isclose(first.share, alone.share)
    assert np.isclose(first.surprise, alone.surprise)


@pytest.mark.parametrize("unknown", [0.0, 0.6, 0.9])
def test_chance_is_not_taken_for_a_cause_however_many_images_say_nothing(monkeypatch, unknown):
    """Of the test alone: with what is too small to matter left in."""
    monkeypatch.setattr("lightning_shap.analysis.class_summary.suspicions.LEAST", 0.0)
    monkeypatch.setattr("lightning_shap.analysis.class_summary.suspicions.PERMUTATIONS", 39)

    def is_named(seed):
        random = np.random.default_rng(seed)
        labels = random.integers(3, size=64)
        wholes = random.gamma(2, size=64)
        wholes[random.random(64) < unknown] = np.nan
        parts = random.normal(0.1, 0.3, size=(64, len(PARTS))) * wholes[:, None]
        return bool(find_suspicions(share_swaps(parts, wholes, labels), labels))

    # At 5 % there are more than 6 of 40 in one of 70 series; these are the same every time.
    assert sum(map(is_named, range(40))) <= 6


@pytest.mark.parametrize(("share", "is_named"), [(0.1, False), (0.15, True)])
def test_what_decides_no_other_class_is_weighed_against_one_in_fifty(share, is_named):
    """Measured shares are no better known; beside nothing at all, any share would be a surprise."""
    shares = np.random.default_rng(0).beta(1, 400, size=(80, len(PARTS)))
    labels = np.arange(80) % CLASSES
    shares[labels == 1, PARTS.index("the lower edge")] += share
    found = find_suspicions(of_one(shares, labels), labels)
    assert [one.place.name for one in found] == ["the lower edge"] * is_named


def test_a_class_of_which_too_few_images_say_something_is_not_named():
    shares, labels = swaps()
    own = np.flatnonzero(labels == 1)
    shares[own, 0] = 0.9
    shares[own[4:]] = np.nan
    assert find_suspicions(of_one(shares, labels), labels) == []
    shares[own[4]] = shares[own[0]]
    assert [one.known for one in find_suspicions(of_one(shares, labels), labels)] == [5]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 99))
def test_the_share_of_a_class_is_what_its_parts_decide_of_what_decides_in_all(seed):
    """However small the whole of some images is, and whatever a part of them decides."""
    random = np.random.default_rng(seed)
    labels, wholes = random.integers(3, size=30), random.exponential(size=30) ** 4
    wholes[random.random(30) < 0.2] = np.nan
    parts = random.normal(size=(30, len(PARTS))) * np.sqrt(wholes)[:, None]
    values = share_swaps(parts, wholes, labels).values[:, : len(PARTS)]
    for label in range(3):
        inside = (labels == label) & ~np.isnan(wholes)
        if inside.any():
            expected = parts[inside].sum(axis=0) / wholes[inside].sum()
            assert np.allclose(values[inside].mean(axis=0), expected)


@given(st.floats(0, 1), st.floats(-1e-9, 1e-9))
def test_no_surprise_is_less_than_none(share, apart):
    assert measure_surprise(np.array(share), np.array(np.clip(share + apart, 0, 1))) >= 0


def test_attribution_that_no_swap_confirms_is_not_named():
    """As of an object that is always in the same place, and is not all that decides."""
    cells, labels = maps(160)
    cells[labels == 2, 0, :] = 0.1 * cells[labels == 2].sum(axis=(1, 2))[:, None]
    attribution = as_shares(cells)
    assert find_suspicions(attribution, labels)[0].place.name == "the upper edge"
    shares = np.random.default_rng(0).beta(1, 6, size=(160, len(PARTS)))
    assert find_suspicions(join_shares([attribution, of_one(shares, labels)]), labels) == []
    shares[labels == 2, PARTS.index("the upper edge")] += 0.3
    found = find_suspicions(join_shares([attribution, of_one(shares, labels)]), labels)
    assert [(one.label, one.place.name) for one in found] == [(2, "the upper edge")]


def test_mirrored_twice_each_place_is_itself():
    cells, _ = maps(8)
    shares = join_shares([as_shares(cells), of_one(*swaps(8))])
    assert shares.values.shape == (8, len(shares.places))
    for flip in shares.ways[1:]:
        assert (flip[flip] == np.arange(len(flip))).all()
        # Shares of attribution turn into no shares of swaps.
        measures = np.array([place.measure for place in shares.places])
        assert (measures[flip] == measures).all()
