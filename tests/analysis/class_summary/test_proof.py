"""Decisions with a part exchanged, removed and carried prove an alarm, or withdraw it."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from swap_noise import measure_swaps_among

import lightning_shap
from lightning_shap.analysis.class_summary.parts import TINT, list_parts
from lightning_shap.analysis.class_summary.proof import HOLDS, Rate, prove
from lightning_shap.analysis.class_summary.summary import ClassSummary
from lightning_shap.engine.question import Question
from lightning_shap.page.class_facts import list_classes

SIDE = 16
CORNER = "the top left corner"


class KnowsTheMark(torch.nn.Module):
    """Class 1 has a mark in a corner; without it half of its images are known by their middle."""

    def __init__(self, weight=4.0):
        super().__init__()
        self.weight = weight

    def forward(self, images):
        mark, middle = images[:, :, :4, :4].mean((1, 2, 3)), images[:, :, 6:10, 6:10]
        left, right = middle[..., :2].mean((1, 2, 3)), middle[..., 2:].mean((1, 2, 3))
        own = middle.mean((1, 2, 3))
        return torch.stack([left - right, self.weight * mark + 2 * own - 1, right - left], dim=1)


def summarise(model, images, labels):
    found = lightning_shap.explain(model, images, labels=labels, topk=2, max_evals=4, masker=0.0)
    measure_swaps_among(model, found, images, Question(masker=0.0))
    return ClassSummary([found])


@pytest.fixture
def marked():
    labels = torch.arange(60) % 3
    images = torch.zeros(60, 1, SIDE, SIDE)
    images[labels == 0, :, 6:10, 6:8] = 0.4
    images[labels == 2, :, 6:10, 8:10] = 0.4
    images[labels == 1, :, :4, :4] = 1
    images[(labels == 1) & (torch.arange(60) % 2 == 0), :, 6:10, 6:10] = 1  # known without it
    return images, labels


def test_what_becomes_of_decisions_is_counted_and_said(marked):
    summary = summarise(KnowsTheMark(), *marked)
    found = summary.suspicions[0]  # the others are where the objects of classes 0 and 2 are
    assert (found.label, found.part.name) == (1, CORNER)
    assert (found.proof.before, found.proof.exchanged) == (Rate(20, 20), Rate(10, 20))
    assert (found.proof.removed, found.proof.carried) == (Rate(10, 20), Rate(20, 20))
    assert found.proof.decided == pytest.approx((0.5 + 1) / 2)
    assert (
        "of 20 images 100 % (84 % to 100 %) right as they are, 50 % (30 % to 70 %) with it "
        "exchanged, 50 % (30 % to 70 %) with it removed; it alone makes 100 % (84 % to 100 %) of "
        "others class 1"
    ) in summary.lines[1]
    plain = json.loads(json.dumps(summary.plain))["suspicions"][0]["proof"]
    assert plain["carried"]["share"] == 1
    assert plain["holds"]


def test_an_alarm_that_hardly_a_decision_depends_on_is_withdrawn(marked):
    images, labels = marked
    weak = torch.arange(60) // 3 % 10 < 3  # the six of class 1 that need the mark
    images[labels == 1, :, 6:10, 6:10] = 0.6
    images[(labels == 1) & weak, :, 6:10, 6:10] = 0.3
    summary = summarise(KnowsTheMark(0.95), images, labels)
    assert all(one.part.name != CORNER for one in summary.suspicions)
    (found,) = [one for one in summary.withdrawn if one.part.name == CORNER]
    assert (found.label, found.proof.decided) == (1, pytest.approx(6 / 20 / 2))
    assert any("withdrawn, as hardly a decision depends on it" in line for line in summary.lines)
    assert CORNER in [one["part"] for one in summary.plain["withdrawn"]]


@pytest.mark.parametrize(("kept", "carried", "holds"), [(7, 3, True), (7, 2, False)])
def test_a_quarter_of_decisions_must_depend_on_the_part(kept, carried, holds):
    labels, rivals = np.zeros(8, int), np.ones(8, int)
    taken = np.ones((8, 3), int)
    taken[:kept, 0] = 0
    taken[:carried, 1] = 0
    proof = prove(np.full(8, True), labels, rivals, labels, taken)
    assert proof.holds == holds
    assert HOLDS == 0.25


def test_images_that_swapped_with_none_of_another_class_prove_nothing():
    labels = np.zeros(4, int)
    proof = prove(np.full(4, True), labels, labels, labels, np.zeros((4, 3), int))
    assert proof.before == Rate(0, 0)
    assert not proof.holds
    assert json.dumps(proof.plain)
    assert proof.carried.interval == (0, 1)


@given(st.integers(0, 50), st.integers(1, 50))
def test_intervals_are_wilson_s(hits, more):
    images = hits + more
    low, high = Rate(hits, images).interval
    z, share = 1.959963984540054, hits / images
    middle = (share + z**2 / (2 * images)) / (1 + z**2 / images)
    reach = z / (1 + z**2 / images) * np.sqrt(share * (1 - share) / images + z**2 / 4 / images**2)
    assert np.allclose([low, high], [middle - reach, middle + reach], atol=1e-9)


@pytest.mark.parametrize("part", list_parts(), ids=lambda part: part.name)
def test_every_part_of_an_image_exchanged_with_itself_changes_nothing(part):
    images = torch.rand(2, 3, 19, 21, dtype=torch.float64)
    assert torch.allclose(part.carry(images, images), images, atol=1e-6)


def test_a_tint_that_no_masker_takes_away_is_not_called_removed():
    """A model that reads the brightness, of which a blurred image has as much."""

    def bright(images):
        mean = images.mean((1, 2, 3))
        return torch.stack([-((mean - known) ** 2) for known in (0.2, 0.5, 0.8)], dim=1)

    labels = torch.arange(30) % 3
    images = torch.rand(30, 1, SIDE, SIDE) / 10 + (0.15 + 0.3 * labels).view(30, 1, 1, 1)
    found = lightning_shap.explain(bright, images, labels=labels, topk=2, max_evals=4)
    measure_swaps_among(bright, found, images, Question())
    summary = ClassSummary([found], watched=[TINT])
    proof = summary.watched[TINT][None]
    assert (proof.before, proof.exchanged, proof.carried) == (
        Rate(30, 30),
        Rate(0, 30),
        Rate(30, 30),
    )
    assert proof.plain["removed"]["share"] is None
    (line,) = [line for line in summary.lines if line.startswith(f"{TINT}, as asked, of all")]
    assert "with it exchanged; it alone makes 100 %" in line
    (part,) = [one for one in list_classes(summary)["parts"] if one["class"] is None]
    assert len(part["rates"]) == 3


def test_an_image_that_stands_in_for_its_partner_proves_nothing_however_it_is_taken():
    images = torch.rand(6, 1, SIDE, SIDE)
    labels = torch.zeros(6, dtype=torch.long)  # of which all are taken for class 1
    summary = summarise(lambda some: torch.eye(3)[1].expand(len(some), 3), images, labels)
    assert (summary.swaps.rivals == -1).all()
    summary = ClassSummary([summary._explanations[0]], watched=[CORNER])
    assert summary.watched[CORNER][None].before == Rate(0, 0)
    assert (
        f"{CORNER}, as asked, of all classes: no image was swapped with one of another class"
    ) in summary.lines
