"""Every way to ask a model takes the arguments of one question, which checks them."""

import inspect
import re
import typing
from dataclasses import fields

import numpy as np
import pytest
import torch

from lightning_shap import DeletionAUC, InsertionAUC, ShapCallback, explain
from lightning_shap.command.options import Explanation
from lightning_shap.engine.question import Question
from lightning_shap.errors import ArgumentError

INNER = ("first", "leading", "fewer_will_do")  # what only a training or a command says
ASKED = {field.name: field for field in fields(Question) if field.name not in INNER}


def taken_by(way):
    """The parameters of a way to ask that are those of the question."""
    parameters = inspect.signature(way).parameters
    return {name: parameters[name] for name in parameters if name in ASKED}


def test_explain_takes_what_a_question_has():
    parameters = [*inspect.signature(explain).parameters]
    assert parameters == ["model", "images", *ASKED]
    hints = typing.get_type_hints(explain)
    of_question = typing.get_type_hints(Question)
    wider = {"grid", "against"}  # which a question also takes as whoever asks again keeps them
    for name, parameter in taken_by(explain).items():
        assert parameter.default == ASKED[name].default, name
        assert name in wider or hints[name] == of_question[name], name


@pytest.mark.parametrize("way", [ShapCallback, InsertionAUC, DeletionAUC, Explanation])
def test_other_ways_to_ask_have_the_defaults_of_the_question(way):
    others = {
        ShapCallback: {"max_evals": 100, "progress": True},  # at every epoch, beside other bars
        InsertionAUC: {"output": "probability"},  # as RISE
        DeletionAUC: {"output": "probability"},
        Explanation: {"progress": True},
    }[way]
    taken = taken_by(way)
    assert len(taken) >= 5
    for name, parameter in taken.items():
        assert parameter.default == others.get(name, ASKED[name].default), name


@pytest.mark.parametrize("way", [explain, ShapCallback, Explanation])
def test_every_word_that_an_argument_may_be_is_named_where_it_is_described(way):
    described = re.split(r"\n {4}(?=\w+:)", inspect.getdoc(way))
    hints = typing.get_type_hints(Question)
    for name in taken_by(way):
        (text,) = (part for part in described if part.startswith(f"{name}:"))
        for word in words_in(hints[name]):
            assert re.search(rf"\b{word}\b", text), f"{name}: {word}"


def words_in(hint):
    """The strings that a type lists."""
    for part in typing.get_args(hint):
        if isinstance(part, str):
            yield part
        else:
            yield from words_in(part)


def test_a_callback_hands_on_every_argument_that_it_takes():
    given = {
        "method": "kernel",
        "max_evals": 50,
        "targets": [1, 2],
        "masker": "mean",
        "grid": [3, 4],
        "output": "probability",
        "returns": "logits",
        "multi_label": True,
        "batch_size": 3,
        "precision": "float32",
        "seed": 7,
    }
    asked = ShapCallback(**given).question
    assert {name: getattr(asked, name) for name in given} == {**given, "grid": (3, 4)}
    for more in ({"topk": 2}, {"against": 4}, {"regions": "boxes"}):
        asked = ShapCallback(**more).question
        assert {name: getattr(asked, name) for name in more} == more
    handed = {*given, "topk", "against", "regions"}
    kept = {"labels", "class_names", "progress"}  # which find what is true, named and shown
    assert handed | kept == {*taken_by(ShapCallback)}


@pytest.mark.parametrize("way", [explain, ShapCallback, InsertionAUC, DeletionAUC])
@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"masker": "fog"}, "masker: unknown 'fog'"),
        ({"seed": -1}, "seed: got -1; give at least 0"),
        ({"batch_size": 0}, "batch_size: got 0; give at least 1"),
        ({"output": "odds"}, "output: got 'odds'; give 'logit'"),
        ({"returns": "odds"}, "returns: unknown 'odds'"),
        ({"multi_label": "no"}, "multi_label: got 'no'; give True or False"),
    ],
)
def test_every_way_to_ask_refuses_the_same_before_a_model_is_called(way, given, message):
    def never(images):
        raise AssertionError("called")

    with pytest.raises(ArgumentError, match=message):
        explain(never, torch.rand(1, 1, 4, 4), **given) if way is explain else way(**given)


def test_what_nobody_chose_is_completed_and_what_somebody_chose_stays():
    assert Question().complete(topk=3, regions="image").regions == "image"
    assert Question(grid=4, method="kernel").complete(topk=3, regions="image").regions is None
    assert Question(method="gradient").complete(topk=3, regions="image").regions is None
    assert Question(regions="boxes").complete(topk=3, regions="image").regions == "boxes"
    usual = Question().complete(topk=3)
    assert (usual.topk, usual.fewer_will_do) == (3, True)
    assert Question(against=0).complete(topk=3).topk == 1
    for chosen in (Question(topk=2), Question(targets=[0])):
        done = chosen.complete(topk=3)
        assert (done.topk, done.targets) == (chosen.topk, chosen.targets)
        assert not done.fewer_will_do


def test_a_question_of_some_rows_has_the_classes_of_these_rows():
    asked = Question().pick_classes(np.array([[0, 1], [2, 3], [4, 5]]), np.array([6, 7, 8]))
    with pytest.raises(ArgumentError, match="topk: got 2, but against= explains one class"):
        Question(topk=2, against=1)
    some = asked.pick_rows(slice(1, 3))
    assert some.targets.tolist() == [[2, 3], [4, 5]]
    assert some.against.tolist() == [7, 8]
