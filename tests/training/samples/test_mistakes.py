"""Which predictions come first, and that no order of seeing them changes it."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as some

from lightning_shap.training.samples.samples import Samples
from lightning_shap.training.samples.shortlist import (
    Judge,
    Prediction,
    Shortlist,
    samples_of,
)


def prediction(place, right, confusion, sure):
    image = torch.full((1, 1, 1), float(place))
    label = torch.tensor(place % 3)
    return Prediction(place, image, label, right, bytes([confusion]), sure, sure)


rows = some.lists(
    some.tuples(
        some.sampled_from([True, False, None]),
        some.integers(0, 4),
        some.integers(1, 9).map(lambda number: number / 10),
    ),
    min_size=1,
    max_size=40,
)


@given(rows, some.integers(1, 6), some.integers(1, 3), some.integers(1, 7))
def test_parts_of_all_predictions_choose_what_all_of_them_do(rows, wanted, ranks, batch):
    everything = [prediction(place, *row) for place, row in enumerate(rows)]
    whole = Shortlist(wanted)
    whole.add(everything)
    parts = []
    for rank in range(ranks):
        part, share = Shortlist(wanted), everything[rank::ranks]
        for start in range(0, len(share), batch):
            part.add(share[start : start + batch])
        parts.append(part)
    joined = parts[0].joined(parts[1:])
    for pick in ("first_mistakes", "least_sure"):
        places = [[one.place for one in getattr(one_list, pick)()] for one_list in (joined, whole)]
        assert places[0] == places[1]
    assert (joined.seen, joined.judged, joined.wrong) == (whole.seen, whole.judged, whole.wrong)
    assert joined.seen == len(rows)


@given(rows, some.integers(1, 6))
def test_mistakes_come_first_and_each_confusion_once_before_any_twice(rows, wanted):
    everything = [prediction(place, *row) for place, row in enumerate(rows)]
    shortlist = Shortlist(wanted)
    shortlist.add(everything)
    picked = shortlist.first_mistakes()
    assert len(picked) == min(wanted, len(everything))
    wrong = [one for one in picked if one.right is False]
    assert picked[: len(wrong)] == wrong
    assert len(wrong) == min(wanted, shortlist.wrong)
    confusions = {one.confusion for one in everything if one.right is False}
    assert len({one.confusion for one in wrong}) == min(len(confusions), len(wrong))


def test_an_image_that_comes_twice_is_picked_once():
    shortlist = Shortlist(3)
    twice = [prediction(1, False, 1, 0.9)] * 3
    shortlist.add([*twice, prediction(2, False, 1, 0.5)])
    assert [one.place for one in shortlist.first_mistakes()] == [1, 2]


def judged(scores, labels, **question):
    images = torch.zeros(len(scores), 1, 2, 2)
    samples = Samples(images, None if labels is None else torch.as_tensor(labels))
    return Judge(**question).predictions(samples, torch.tensor(scores), range(len(scores)))


def test_predictions_are_judged_as_explanations_are():
    several = judged([[2.0, 0, 0], [0, 0, 3.0]], [0, 1])
    assert [one.right for one in several] == [True, False]
    assert several[1].mistaken == several[1].sure == pytest.approx(0.9094, abs=1e-4)
    shares = judged([[0.7, 0.3]], [1])
    assert shares[0].mistaken == pytest.approx(0.7)
    binary = judged([1.5, -1.5], [0, 0])
    assert [one.right for one in binary] == [False, True]
    true = [[True, False], [True, True]]
    many = judged([[3.0, 1.0], [3.0, 0.1]], true, multi_label=True)
    assert [one.right for one in many] == [False, True]
    assert many[0].mistaken == pytest.approx(0.7311, abs=1e-4)  # of the class that is wrong
    assert many[1].sure == pytest.approx(0.5250, abs=1e-4)  # the least sure of both
    assert [one.right for one in judged([[1.0, 0]], None)] == [None]
    other = judged([[1.0, 0]], [7], returns="logits")  # there is no such class
    assert [one.right for one in other] == [None]
    assert judged([[1.0, 0]], [7]) is None  # of which outputs are none


def test_what_is_no_score_of_classes_is_no_prediction():
    assert judged([[1.0, 0]], [0], output="value") is None
    assert judged([1.0, 2.0], [0, 7]) is None  # of a regression
    images = Samples(torch.zeros(2, 1, 2, 2), torch.tensor([0, 1]))
    for raw in (None, {"loss": torch.tensor(1.0)}, torch.zeros(()), torch.zeros(3, 4)):
        assert Judge().predictions(images, raw, range(2)) is None
    broken = Judge().predictions(images, torch.tensor([[torch.nan, 1], [0, 1.0]]), range(2))
    assert [one.place for one in broken] == [1]


def test_samples_keep_their_images_and_labels():
    samples = samples_of([prediction(4, False, 0, 0.5), prediction(2, True, 0, 0.5)])
    assert samples.images.flatten().tolist() == [4, 2]
    assert samples.labels.tolist() == [1, 2]
