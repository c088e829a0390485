"""Of two classes, what swaps show is stated, and that nothing tests it."""

import numpy as np
import pytest

from lightning_shap.analysis.class_summary.suspicions import find_suspicions
from lightning_shap.analysis.class_summary.swaps import FINE_DETAIL, MASKS, PARTS, share_swaps
from lightning_shap.analysis.class_summary.two_classes import find_facts

SIZE = (64, 64)


def shares(classes=2, images=60, **decided):
    """Shares of noise, but for parts that decide more."""
    random = np.random.default_rng(0)
    labels = np.arange(images) % classes
    parts = random.normal(0.03, 0.05, size=(images, len(PARTS)))
    for part, share in decided.items():
        parts[:, PARTS.index(part)] += share
    return share_swaps(parts, np.ones(images), labels), labels


def found(shares, labels, size=SIZE):
    return find_facts(shares, labels, size, find_suspicions(shares, labels))


@pytest.mark.parametrize("part", ["the outermost frame", "the border", FINE_DETAIL])
def test_a_part_that_mirrors_itself_is_said_with_its_share_and_its_area(part):
    (fact,) = found(*shares(**{part: 0.9}))
    assert fact.place.name == part
    assert fact.share == pytest.approx(0.93, abs=0.02)
    assert fact.area == (None if part == FINE_DETAIL else MASKS[part](*SIZE).mean())
    assert fact.known == 60


def test_nothing_is_said_of_noise_or_of_more_classes():
    assert found(*shares()) == []
    assert found(*shares(classes=3, **{"the border": 0.9})) == []


def test_a_part_that_decides_no_more_than_its_area_is_not_said():
    assert found(*shares(**{"all but the middle": 0.6})) == []


def test_the_area_is_that_of_the_images():
    """Of four pixels a side a frame has one, and is three quarters of the image."""
    assert found(*shares(**{"the outermost frame": 0.75}), (4, 4)) == []


def test_of_parts_that_overlap_the_most_surprising_is_said():
    inside = {"the outermost frame": 0.9, "the border": 0.9, "all but the middle": 0.9}
    assert [one.place.name for one in found(*shares(**inside))] == ["the outermost frame"]


def test_what_is_suspicious_is_not_said_once_more():
    edge = {"the lower edge": 0.9, "the border": 0.9}
    some, labels = shares(**edge)
    assert [one.place.name for one in find_suspicions(some, labels)] == ["the lower edge"]
    assert found(some, labels) == []
