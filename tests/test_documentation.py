"""What is written about arguments is true of them."""

import inspect
import re
from pathlib import Path

import pytest

from lightning_shap import ShapCallback, explain
from lightning_shap.engine.question import USUAL_TOPK

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def arguments_in_docstring(thing):
    section = re.search(r"\n *Args:\n(.*?)(?:\n\n|\Z)", inspect.getdoc(thing), re.DOTALL)[1]
    return re.findall(r"^    (\w+):", section, re.MULTILINE)


def arguments_in_readme():
    """Names and defaults, as the table of the callback's arguments has them."""
    table = re.search(r"\| argument \| default \|.*?\n\n", README, re.DOTALL)[0]
    for names, defaults in re.findall(r"^\| (`.*?) \| (.*?) \|", table, re.MULTILINE):
        names = re.findall(r"`(\w+)`", names)
        yield from zip(names, re.split(r", ", defaults), strict=True)


@pytest.mark.parametrize("thing", [ShapCallback, explain], ids=lambda thing: thing.__name__)
def test_every_argument_is_described_in_its_place(thing):
    parameters = inspect.signature(thing).parameters
    assert arguments_in_docstring(thing) == list(parameters)


@pytest.mark.parametrize(("name", "default"), [*arguments_in_readme()])
def test_the_readme_states_the_defaults_there_are(name, default):
    stated = None if default == "none" else default.strip("`")
    actual = inspect.signature(ShapCallback).parameters[name].default
    if name == "topk" and actual is None:  # where nothing is asked for
        actual = USUAL_TOPK
    assert str(actual) == str(stated).strip('"')


def test_the_documented_test_commands_are_those_that_ci_runs():
    """Both say nothing but which half: the rest are the defaults of pyproject.toml."""

    def read_commands(*names):
        texts = [path.read_text(encoding="utf-8") for name in names for path in ROOT.glob(name)]
        found = re.findall(r"python\"? -m pytest([^\n`)&|]*)", "\n".join(texts))
        return {options.strip() for options in found}

    said = read_commands("README.md", ".github/CONTRIBUTING.md")
    assert {"", "-m integration"} <= said <= read_commands(".ci/run")
