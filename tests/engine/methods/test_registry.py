"""One table of methods, which whoever asks about a method reads."""

import inspect
import re
from pathlib import Path
from typing import get_args, get_type_hints

import numpy as np
import pytest
import torch
from generic_model import Generic, generic_images

from lightning_shap import ShapCallback, explain, plot
from lightning_shap.command.main import main
from lightning_shap.command.options import Explanation
from lightning_shap.command.parser import parse
from lightning_shap.engine.methods.attribution import Attribution
from lightning_shap.engine.methods.registry import METHODS, REMOVED, Method, MethodName
from lightning_shap.pictures.captions import Captions

SHAPE = (1, 4, 4)
OPTIONS = {"grid": 2, "backgrounds": "samples"}
NAMES = list(METHODS)
ROWS = []  # of a module of Python's: what a class counts is put back


def explained(method, model=None, **options):
    return explain(
        Generic(SHAPE) if model is None else model,
        generic_images(2, *SHAPE),
        method=method,
        max_evals=24,
        **options,
    )


def test_the_names_that_type_checkers_know_are_those_of_the_table():
    assert get_args(MethodName) == tuple(METHODS)
    for takes in (explain, ShapCallback.__init__, Explanation):
        assert get_type_hints(takes)["method"] == MethodName
    assert not METHODS.keys() & REMOVED.keys()


@pytest.mark.parametrize("name", NAMES)
def test_every_method_follows_the_protocol_and_takes_the_options_of_its_entry(name):
    places, named = ["game", "targets", "base", "full"], ["max_evals", "seed"]
    taken = inspect.signature(METHODS[name].estimator()).parameters
    assert [*taken][:4] == places
    assert {*named} <= {*taken}
    assert all(taken[each].kind == inspect.Parameter.KEYWORD_ONLY for each in named)
    own = [each for each in taken if each not in places + named]
    assert {*METHODS[name].options} <= {*own}
    for parameter in own:
        assert taken[parameter].kind == inspect.Parameter.KEYWORD_ONLY
        assert taken[parameter].default is not inspect.Parameter.empty


def test_every_option_is_an_argument_of_explain_that_says_whose_it_is():
    documented = re.split(
        r"\n {8}(?=\w+:)", inspect.getdoc(explain).replace("\n    ", "\n        ")
    )
    for option in sorted({option for method in METHODS.values() for option in method.options}):
        assert inspect.signature(explain).parameters[option].default is None
        (sentence,) = (part for part in documented if part.startswith(f"{option}:"))
        for name, method in METHODS.items():
            assert (f'"{name}"' in sentence) == (option in method.options)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("option", OPTIONS)
def test_an_option_is_taken_by_those_that_list_it_and_refused_by_the_others(name, option):
    given = {option: OPTIONS[option]}
    if option in METHODS[name].options:
        assert np.isfinite(explained(name, **given).values).all()
        return
    whose = next(other for other in METHODS if option in METHODS[other].options)
    with pytest.raises(ValueError, match=f"{option}: '{name}' has none; give it.*'{whose}' only"):
        explained(name, **given)
    if option in inspect.signature(ShapCallback).parameters:
        with pytest.raises(ValueError, match=f"{option}: '{name}' has none"):
            ShapCallback(method=name, **given)


@pytest.mark.parametrize("name", NAMES)
def test_every_entry_is_true_of_its_method(name):
    method, explanation = METHODS[name], explained(name)
    assert (explanation.error_std is not None) == method.has_error_bars
    pixels = explanation.data[0].size
    assert (explanation.record.regions < pixels).all() == method.has_regions
    words = " ".join(Captions(explanation).method([0, 1]))
    assert ("every pixel" in words) != method.has_regions

    def detached(images):
        return Generic(SHAPE)(images).detach()

    if name == "gradient":
        others = " or ".join(repr(other) for other in METHODS if other != name)
        with pytest.raises(ValueError, match=f"model: has no gradient .* give method {others}"):
            explained(name, detached)
    else:
        np.testing.assert_array_equal(explained(name, detached).values, explanation.values)


@pytest.mark.parametrize("name", NAMES)
def test_every_row_that_the_model_sees_is_counted(name):
    class Counting(Generic):
        def forward(self, images):
            ROWS.append(len(images))
            return super().forward(images)

    ROWS.clear()
    reported = []
    record = explained(
        name, Counting(SHAPE), progress=lambda done, total: reported.append(done)
    ).record
    assert record.evaluations.sum() == sum(ROWS) == reported[-1]
    assert record.evaluations.max() <= record.max_evals
    assert 0 < record.model_seconds <= record.seconds


def test_the_guide_names_every_method():
    guide = (Path(__file__).parents[3] / "examples" / "guide.md").read_text(encoding="utf-8")
    table = guide.partition("\n| method |")[2].partition("\n\n")[0]
    assert re.findall(r'^\| `"(\w+)"` \|', table, re.MULTILINE) == NAMES


def leave_one_out(game, targets, base, full, *, max_evals, seed, rows=1):
    """What the output loses without each row of pixels: a method of a user's own."""
    images, channels, height, width = game.images.shape

    class Rows:
        def __len__(self):
            return images * height

        def masks(self, start, stop, device):
            absent = torch.eye(height, dtype=torch.bool, device=device).repeat(images, 1)
            return (~absent)[start:stop, None, :, None].expand(-1, 1, height, width)

    outputs = game.play(np.repeat(np.arange(images), height), Rows()).reshape(images, height, -1)
    worth = full[:, None] - np.take_along_axis(outputs, targets[:, None], axis=2)
    values = np.repeat(worth[:, :, None, None], width, axis=2) / (width * channels)
    return Attribution(np.repeat(values, channels, axis=3), np.full(images, height))


def test_a_new_method_is_a_function_and_its_entry(monkeypatch):
    entry = Method("what each row is worth", f"{__name__}:leave_one_out")
    monkeypatch.setitem(METHODS, "rows", entry)
    explanation = explained("rows")
    assert explanation.record.method == "rows"
    assert explanation.record.evaluations.tolist() == [2 + 4] * 2
    assert "4 regions" in Captions(explanation).method([0, 1])
    assert plot(explanation).ndim == 3
    assert ShapCallback(method="rows").question.method == "rows"
    with pytest.raises(ValueError, match="grid: 'rows' has none"):
        explained("rows", grid=2)
    with pytest.raises(ValueError, match=r"method: unknown 'rosw'; give one of .*'rows'"):
        explained("rosw")


@pytest.mark.parametrize("name", REMOVED)
def test_a_method_that_was_removed_says_what_to_use_instead(name, capsys):
    sentence = f"method: '{name}' {REMOVED[name]}"
    with pytest.raises(ValueError, match=re.escape(sentence)):
        explained(name)
    with pytest.raises(ValueError, match=re.escape(sentence)):
        ShapCallback(method=name)
    needed = ["--model_output_dir", "here", "--dataset", "there"]
    for flags in (["--method", name], [f"--method={name}"]):
        with pytest.raises(SystemExit) as end:
            main([*needed, *flags])
        assert end.value.code == 2
        assert capsys.readouterr().err == f"lightning-shap: error: {sentence}\n"
    with pytest.raises(SystemExit):
        parse([*needed, "--accelerator", name, "--method", "lime"])
    assert "lime" in capsys.readouterr().err


def test_what_a_removed_method_explained_can_still_be_drawn():
    explanation = explained("gradient")
    object.__setattr__(explanation.record, "method", "deep")
    assert "deep" in Captions(explanation).method([0, 1])
