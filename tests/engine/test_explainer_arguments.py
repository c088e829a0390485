"""Whatever ``explain`` is given, it explains or names the argument that will not do."""

import inspect
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lightning_shap import explain
from lightning_shap.engine.question import Question
from lightning_shap.errors import ArgumentError
from lightning_shap.explanation.explanation import ImageExplanation

pytestmark = pytest.mark.filterwarnings("ignore:labels. some images have several classes")

ARGUMENTS = [*inspect.signature(explain).parameters]


def model(images):
    """A network for images of any size."""
    flat = images.flatten(1).double()
    return torch.stack([flat.mean(1), flat.amax(1), flat[:, 0]], dim=1)


class Unshowable:
    """Has no text, no truth and no equal."""

    def __repr__(self):
        raise RuntimeError("no text")

    def __bool__(self):
        raise RuntimeError("no truth")

    def __eq__(self, other):
        raise RuntimeError("no equal")

    __hash__ = None


def raising(*args, **kwargs):
    raise RuntimeError("a fault in a function of the user's")


def without_arguments():
    return None


VALUES = [
    *(None, True, False, 0, 1, 2, 3, -1, 10**30, 0.5, -0.0, float("nan"), float("inf"), 1j),
    *("", "text", "blur", "mean", "logit", "probability", "samples", "kernel", "gradient"),
    *("0.5", "3", b"bytes", [], [1], [0, 2], [[1], [2, 3]], {}, {"a": 1}, (), (1, 2), (2, 2)),
    *(set(), {1}, range(3), ["a", "b", "c"], ["a"], [None], "blur(3,3)", "blur(999999999,1)"),
    *(object(), int, float, str, list, torch.Tensor, Unshowable(), Decimal(2), ..., print),
    *(
        torch.tensor(2),
        torch.tensor(2.0),
        torch.tensor([0, 1]),
        torch.tensor([]),
        torch.float32,
    ),
    *(torch.zeros(2, 1, 4, 5), torch.zeros(1, 4, 5), torch.ones(3), torch.rand(2, 1, 4, 5)),
    *(torch.full((2, 1, 4, 5), torch.nan), torch.zeros(2, 1, 4, 5, dtype=torch.int64)),
    *(torch.zeros(2, 1, 4, 5, device="meta"), torch.zeros(0, 1, 4, 5), torch.zeros(2, 3)),
    *(torch.eye(3).to_sparse(), torch.nn.Identity(), torch.nn.Linear(2, 2), model, raising),
    *(np.array([1.5]), np.array(2), np.array(["a"]), np.zeros((3, 3)), np.int64(2), np.nan),
    *(np.float32(0.5), np.array([0, 1]), np.array([{}], dtype=object), np.datetime64("NaT")),
    *(without_arguments, lambda *a: "x", lambda x: x, lambda *a: None, lambda x: torch.zeros(2, 2)),
]
fitting = {
    "model": model,
    "images": torch.rand(2, 1, 4, 5, generator=torch.Generator().manual_seed(0)),
    "max_evals": 4,
}
# What a user's own model or progress bar raises comes through as it is.
FAULTY_MODELS = (raising, without_arguments, *(v for v in VALUES if type(v) is torch.nn.Linear))
METHODS = ("partition", "kernel", "gradient")


def fault(arguments):
    """What is wrong with the way some arguments are met, None where nothing is."""
    try:
        result = explain(**{**fitting, **arguments})
    except (TypeError, ValueError) as error:
        names, colon, problem = str(error).partition(": ")
        named = colon and problem and set(names.split(", ")) <= {*ARGUMENTS}
        return None if named else f"{type(error).__name__}: {error}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None if isinstance(result, ImageExplanation) else f"returned {type(result)}"


def is_own_fault(name, value):
    if name == "progress":
        return callable(value) and not isinstance(value, type)
    return name == "model" and any(value is faulty for faulty in FAULTY_MODELS)


@pytest.mark.parametrize("argument", ARGUMENTS)
def test_each_argument_may_be_anything(argument):
    faults = []
    for number, value in enumerate(VALUES):
        if is_own_fault(argument, value):
            continue
        method = METHODS[number % 3]
        found = fault({"method": method, argument: value})
        if found is not None:
            faults.append((number, method, found))
    assert not faults


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.sampled_from(ARGUMENTS), st.integers(0, len(VALUES) - 1), max_size=4))
def test_all_arguments_may_be_anything_at_once(chosen):
    arguments = {name: VALUES[number] for name, number in chosen.items()}
    if not any(is_own_fault(name, value) for name, value in arguments.items()):
        assert fault(arguments) is None


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("class_names", 3),
        ("masker", float),
        ("progress", torch.zeros(2)),
        ("max_evals", 10**23),
        ("seed", 10**23),
        ("multi_label", "no"),
    ],
)
def test_what_raised_from_deep_inside_is_named(argument, value):
    with pytest.raises(ArgumentError, match=rf"^{argument}: "):
        explain(**{**fitting, argument: value})


def test_a_grid_has_as_many_patches_as_evaluations_or_fourteen_a_side():
    asked = Question(method="kernel", grid=14, max_evals=2)
    assert asked.grid == (14, 14)
    assert replace(asked, grid=(14, 15), max_evals=210).grid == (14, 15)
    with pytest.raises(ArgumentError, match=r"grid: has 210 patches for 209 evaluations; give .*"):
        replace(asked, grid=(14, 15), max_evals=209)


def test_a_grid_beyond_the_budget_is_refused_before_the_model_is_called():
    def never(images):
        raise AssertionError("called")

    images = torch.rand(1, 3, 112, 112)
    with pytest.raises(ArgumentError, match=r"grid: .*give at most 196 patches, or max_evals=9801"):
        explain(never, images, method="kernel", grid=99, max_evals=8)
