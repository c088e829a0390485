"""Which predictions come first, and that they are judged as explanations are."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as some

from lightning_shap import explain
from lightning_shap.training.samples.mistakes import (
    Prediction,
    judge,
    rank_mistakes,
    rank_unsure,
)


def prediction(row, right, confusion, sure):
    return Prediction(row, right, bytes([confusion]), sure, sure)


rows = some.lists(
    some.tuples(
        some.sampled_from([True, False, None]),
        some.integers(0, 4),
        some.integers(1, 9).map(lambda number: number / 10),
    ),
    min_size=1,
    max_size=40,
)


@given(rows, some.integers(1, 6))
def test_each_confusion_comes_once_before_any_twice(rows, wanted):
    everything = [prediction(row, *given) for row, given in enumerate(rows)]
    wrong = rank_mistakes(everything)
    assert {one.row for one in wrong} == {one.row for one in everything if one.right is False}
    confusions = {one.confusion for one in wrong}
    assert len({one.confusion for one in wrong[:wanted]}) == min(
        len(confusions), len(wrong), wanted
    )


@given(rows, some.booleans())
def test_the_least_sure_come_first(rows, wrong):
    everything = [prediction(row, *given) for row, given in enumerate(rows)]
    ranked = rank_unsure(everything, wrong=wrong)
    assert [one.sure for one in ranked] == sorted(one.sure for one in ranked)
    expected = {one.row for one in everything if wrong or one.right is not False}
    assert {one.row for one in ranked} == expected


def judged(scores, labels, **question):
    images = torch.zeros(len(scores), 1, 2, 2)
    images[:, 0, 0, 0] = torch.arange(len(scores))
    scores = torch.tensor(scores)
    explanation = explain(
        lambda rows: scores[rows[:, 0, 0, 0].long()],
        images,
        labels=labels,
        max_evals=2,
        **question,
    )
    return judge(explanation.record, range(len(scores)))


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


def test_what_is_no_score_of_classes_is_no_prediction():
    assert judged([[1.0, 0]], None, output="value") == []
    assert judged([1.0, 2.0], None, returns="values") == []  # of a regression
