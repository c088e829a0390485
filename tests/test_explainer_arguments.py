"""Whatever ``explain`` is given, it explains or names the argument that will not do."""

import inspect
from decimal import Decimal

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from lightning_shap import explain
from lightning_shap.explanation import ImageExplanation

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


anything = st.sampled_from(
    [
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
        *(lambda: None, lambda *a: "x", lambda x: x, lambda *a: None, lambda x: torch.zeros(2, 2)),
    ]
)
fitting = {
    "model": model,
    "images": torch.rand(2, 1, 4, 5, generator=torch.Generator().manual_seed(0)),
    "max_evals": 4,
}
methods = st.sampled_from(["partition", "kernel", "gradient"])


def check(arguments):
    try:
        result = explain(**{**fitting, **arguments})
    except (TypeError, ValueError) as error:
        names, colon, problem = str(error).partition(": ")
        assert colon, error
        assert set(names.split(", ")) <= {*ARGUMENTS}, error
        assert problem
    else:
        assert isinstance(result, ImageExplanation)


@pytest.mark.parametrize(
    "arguments",
    [
        {"class_names": 3},
        {"masker": float},
        {"progress": torch.zeros(2)},
        {"images": torch.zeros(2, 1, 4, 5, device="meta")},
    ],
    ids=str,
)
def test_what_will_not_do_is_named(arguments):
    check(arguments)


@pytest.mark.slow
@pytest.mark.parametrize("argument", ARGUMENTS)
def test_each_argument_may_be_anything(argument):
    @settings(max_examples=120, deadline=None, suppress_health_check=[*HealthCheck])
    @given(anything, methods)
    def one(value, method):
        check({"method": method, argument: value})

    one()


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from(ARGUMENTS), anything, max_size=4))
@example({"class_names": 3})
@example({"masker": float})
@example({"progress": torch.zeros(2)})
def test_all_arguments_may_be_anything_at_once(arguments):
    check(arguments)
