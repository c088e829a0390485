"""What is written for users is true of the code: arguments, numbers, links, commands, scripts."""

import ast
import inspect
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest
import torch

import lightning_shap
from lightning_shap import ShapCallback, explain
from lightning_shap.analysis.class_summary.parts import list_parts
from lightning_shap.analysis.class_summary.proof import HOLDS
from lightning_shap.analysis.class_summary.suspicions import (
    LEAST,
    LEAST_SHARED,
    LEVEL,
    PERMUTATIONS,
)
from lightning_shap.analysis.class_summary.swaps import count_rows
from lightning_shap.analysis.history.conclusion import RESEMBLES
from lightning_shap.analysis.history.numbers import ROWS, measure_maps
from lightning_shap.command.options import GROUPS
from lightning_shap.engine.methods.kernel.estimate import MOST_PAIRS
from lightning_shap.engine.regions.image_tree import MOST_SQUARES
from lightning_shap.engine.regions.patches import EVALUATIONS_PER_PATCH, choose_grid
from lightning_shap.explanation.coarse_maps import MOST_CELLS
from lightning_shap.explanation.maps import read_maps
from lightning_shap.page.data import list_numbers
from lightning_shap.training.fixed_classes import USUAL_TOPK
from lightning_shap.training.logs.disk import RESERVE
from lightning_shap.training.samples.mistakes import MOST_ROWS

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
DOCUMENTS = [
    "README.md",
    "CHANGELOG.md",
    ".github/CONTRIBUTING.md",
    "examples/README.md",
    "examples/guide.md",
    "examples/benchmarks/README.md",
]
GUIDE = "examples/guide.md"
FOR_USERS = ["README.md", GUIDE]
ALONE = ["digits.py", "shortcut.py", "photographs.py", "explain.py"]
SCRIPTS = [*sorted((EXAMPLES / "recipes").glob("*.py")), *(EXAMPLES / name for name in ALONE)]


def text_of(document):
    return (ROOT / document).read_text(encoding="utf-8")


def code_in(document, language=""):
    """The code blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", text_of(document), re.DOTALL | re.MULTILINE)


def arguments_in_docstring(thing):
    section = re.search(r"\n *Args:\n(.*?)(?:\n\n|\Z)", inspect.getdoc(thing), re.DOTALL)[1]
    return re.findall(r"^    (\w+):", section, re.MULTILINE)


def arguments_in_guide():
    """Names and defaults, as the tables of the callback's arguments have them."""
    guide = text_of(GUIDE)
    for table in re.findall(r"\| argument \| default \|.*?\n\n", guide, re.DOTALL):
        for names, defaults in re.findall(r"^\| (`.*?) \| (.*?) \|", table, re.MULTILINE):
            names = re.findall(r"`(\w+)`", names)
            yield from zip(names, re.split(r", ", defaults), strict=True)


def anchors_in(document):
    """The anchors of its headings, as GitHub makes them."""
    prose = re.sub(r"^```.*?^```", "", text_of(document), flags=re.DOTALL | re.MULTILINE)
    for heading in re.findall(r"^#+ (.*)$", prose, re.MULTILINE):
        yield re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("thing", [ShapCallback, explain], ids=lambda thing: thing.__name__)
def test_every_argument_is_described_in_its_place(thing):
    parameters = inspect.signature(thing).parameters
    assert arguments_in_docstring(thing) == list(parameters)


def test_the_guide_describes_every_argument_of_the_callback_once():
    names = [name for name, _ in arguments_in_guide()]
    assert sorted(names) == sorted(inspect.signature(ShapCallback).parameters)


@pytest.mark.parametrize(("name", "default"), [*arguments_in_guide()])
def test_the_guide_states_the_defaults_there_are(name, default):
    stated = None if default == "none" else default.strip("`")
    actual = inspect.signature(ShapCallback).parameters[name].default
    if name == "topk" and actual is None:  # where nothing is asked for
        actual = USUAL_TOPK
    assert str(actual) == str(stated).strip('"')


def test_help_begins_with_the_arguments_of_the_ten_lines():
    *_, beginning = inspect.getdoc(ShapCallback).split("\n\n")[:2]
    named = set(re.findall(r"``(\w+)``", beginning))
    assert len(named) == 5
    assert named <= set(inspect.signature(ShapCallback).parameters)
    [ten_lines] = [block for block in code_in("README.md", "python") if "ShapCallback(" in block]
    used = {
        keyword.arg
        for call in ast.walk(ast.parse(ten_lines))
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "ShapCallback"
        for keyword in call.keywords
    }
    assert used <= named


def test_the_readme_takes_ten_minutes():
    assert len(text_of("README.md").splitlines()) <= 150


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_somewhere(document):
    for target in re.findall(r"\]\(([^)\s]+)\)", text_of(document)):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        place = (ROOT / document).parent / path if path else ROOT / document
        assert place.exists(), target
        assert not anchor or anchor in anchors_in(place), target


@pytest.mark.parametrize("document", FOR_USERS)
def test_commands_have_the_options_that_are_written(document):
    options = {field.name for group in GROUPS.values() for field in fields(group)}
    options |= {"help", "traceback", "version"}
    lines = re.findall(r"^.*lightning-shap.*$", text_of(document).replace("\\\n", ""), re.MULTILINE)
    written = {name for line in lines for name in re.findall(r"--(\w+)", line)}
    assert written
    assert written <= options


@pytest.mark.parametrize(
    ("words", "constant"),
    [
        ("from {:.2f} on, a warning", RESEMBLES),
        ("at least {:.2f} nats", LEAST),
        ("or {:.2f} of a property", LEAST_SHARED),
        ("at least {} of decisions", {0.25: "a quarter"}[HOLDS]),
        ("named up to p = {:.2f}", LEVEL),
        ("{} times, and the largest excess", PERMUTATIONS),
        ("{} model rows a sample", ROWS),
        ("{} model rows an image", count_rows(list_parts())),
        ("ends at {:,} evaluations", 2 + 2 * MOST_PAIRS),
        ("takes {} evaluations a patch", {4: "four"}[EVALUATIONS_PER_PATCH]),
        ("squares of pixels, {:,} at most", MOST_SQUARES),
        ("at most {0} x {0} cells", MOST_CELLS),
        ("the last {} MiB of a disk", RESERVE // 2**20),
        ("predict up to {} rows of the validation set", MOST_ROWS),
    ],
)
def test_the_guide_states_the_limits_there_are(words, constant):
    prose = " ".join(text_of(GUIDE).split())
    assert words.format(constant) in prose


@pytest.mark.parametrize("row", re.findall(r"^\| (\d+).* \| (\d+) x \2 \|$", text_of(GUIDE), re.M))
def test_the_guide_states_the_grids_that_budgets_get(row):
    evaluations, side = map(int, row)
    assert choose_grid(evaluations, (224, 224)) == (side, side)


@pytest.mark.parametrize("method", ["kernel", "gradient"])
def test_every_number_that_is_logged_is_in_the_guide(method):
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 3))
    found = explain(model, torch.rand(2, 1, 8, 8), method=method, max_evals=20, topk=1)
    maps = read_maps(found)
    more = measure_maps(found, maps, maps, ("settled", "changed", "where", "sure"))
    names = {name.removeprefix("shap/") for name in list_numbers("shap", found.record, more)}
    table = re.search(r"\| `shap/…` \|.*?\n\n", text_of(GUIDE), re.DOTALL)[0]
    rows = re.findall(r"^\| (.*?) \|", table, re.MULTILINE)
    described = {name for row in rows for name in re.findall(r"`([\w…]+)`", row)}
    ends = {name.removeprefix("…") for name in described if name.startswith("…")}
    assert {name for name in names - described if not any(name.endswith(end) for end in ends)} == (
        set()
    )


@pytest.mark.parametrize("document", FOR_USERS)
def test_names_that_are_written_are_public(document):
    written = re.findall(r"lightning_shap\.([A-Za-z]\w*)", text_of(document))
    assert set(written) <= set(lightning_shap.__all__)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_to_copy_stand_alone(script):
    beside = {path.stem for path in EXAMPLES.rglob("*.py")}
    imported = {
        name.split(".")[0]
        for node in ast.walk(ast.parse(script.read_text(encoding="utf-8")))
        for name in (
            [node.module]
            if isinstance(node, ast.ImportFrom)
            else [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else []
        )
    }
    assert not imported & beside


@pytest.mark.slow
@pytest.mark.integration
@pytest.mark.parametrize(
    ("script", "options"),
    [
        *((f"recipes/{path.name}", []) for path in sorted((EXAMPLES / "recipes").glob("*.py"))),
        ("digits.py", ["--epochs", "1"]),
        ("shortcut.py", ["--epochs", "1"]),
    ],
)
def test_scripts_to_copy_run(script, options, tmp_path):
    command = [sys.executable, EXAMPLES / script, *options]
    ran = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True)
    places = [
        tmp_path / place for place in re.findall(r"^(?:Pict.*|Page): (.*)$", ran.stdout, re.M)
    ]
    assert all(place.exists() for place in places)
    assert places or "±" in ran.stdout


def test_the_documented_test_commands_are_those_that_ci_runs():
    """Both say nothing but which half: the rest are the defaults of pyproject.toml."""

    def read_commands(*names):
        texts = [text_of(name) for name in names]
        found = re.findall(r"python\"? -m pytest([^\n`)&|]*)", "\n".join(texts))
        return {options.split("#")[0].strip() for options in found}

    said = read_commands("README.md", ".github/CONTRIBUTING.md")
    assert {"", "-m integration"} <= said <= read_commands(".ci/run")
