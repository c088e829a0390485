"""Which room may know which: the directions of imports, read from the source.

``now`` is what importing a module imports in turn, ``ever`` adds what its functions import when
they are called. Imports for type checkers alone count as neither.
"""

import ast
import importlib
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from lightning_shap.engine.methods.registry import METHODS

ROOT = Path(__file__).parents[1] / "lightning_shap"
LIGHTNING = {"pytorch_lightning", "lightning", "lightning_fabric"}
KNOWS_LIGHTNING = ("training",)
# From the top floor down: a room knows those below it, and none above.
ROOMS = (
    *("__main__", "training", "command", "page", "pictures", "analysis", "engine"),
    *("explanation", "isolation", "errors"),
)
ESTIMATORS = sorted({method.home.partition(":")[0] for method in METHODS.values()})


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {name_of(path): path for path in sorted(ROOT.rglob("*.py"))}


def imports_in(tree: ast.AST, package: str, *, lazy: bool, typed: bool = False) -> Iterator[str]:
    """The full names of what some code imports, ``typed`` for type checkers too."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.rsplit(".", node.level - 1)[0] if node.level else ""
            source = ".".join(filter(None, (above, node.module)))
            yield source
            yield from (f"{source}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test) and not typed:
            for part in node.orelse:
                yield from imports_in(ast.Module([part], []), package, lazy=lazy)
        elif lazy or not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            yield from imports_in(node, package, lazy=lazy, typed=typed)


def with_packages(name: str) -> set[str]:
    """A module and the packages above it, which are imported before it."""
    parts = name.split(".")
    return {".".join(parts[: end + 1]) for end in range(len(parts))}


@cache
def imported(name: str, *, lazy: bool = False, typed: bool = False) -> frozenset[str]:
    """The modules of ours and the top names of others' that a module imports itself."""
    path = FILES[name]
    package = name if path.stem == "__init__" else name.rpartition(".")[0]
    found = {*with_packages(package)} - {name}
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for other in imports_in(tree, package, lazy=lazy, typed=typed):
        if other.partition(".")[0] != ROOT.name:
            found.add(other.partition(".")[0])
        elif other in FILES:
            found |= with_packages(other) - {name}
    return frozenset(found)


def reached(name: str, *, lazy: bool = False) -> set[str]:
    """All that a module imports, and what this imports in turn."""
    found, waiting = set(), [name]
    while waiting:
        for other in imported(waiting.pop(), lazy=lazy) - found:
            found.add(other)
            if other in FILES:
                waiting.append(other)
    return found


def within(names: set[str] | frozenset[str], *rooms: str) -> set[str]:
    """Those of some modules that are in some of our rooms."""
    ours = [f"{ROOT.name}.{room}" for room in rooms]
    return {name for name in names if any(f"{name}.".startswith(f"{one}.") for one in ours)}


def room(name: str) -> set[str]:
    found = within(set(FILES), name)
    assert found, f"there is no {name}"
    return found


@pytest.mark.integration
def test_the_source_is_read_as_python_reads_it(tmp_path):
    """The reader itself, against what a fresh process imports."""
    for module in ("lightning_shap.engine.game", "lightning_shap.pictures.grid"):
        code = f"import sys, {module}; print(*sys.modules)"
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT.parent,
            capture_output=True,
            text=True,
            check=True,
        )
        loaded = {name for name in done.stdout.split() if name in FILES} - {module}
        assert loaded == {name for name in reached(module) if name in FILES}


def test_no_module_imports_itself_in_a_circle():
    for when in ({}, {"lazy": True}, {"typed": True}):
        # A package is imported with each of its modules, which is no circle if it imports none.
        graph = {
            name: {
                other
                for other in imported(name, **when)
                if other in FILES and FILES[other].stem != "__init__"
            }
            for name in FILES
        }
        TopologicalSorter(graph).prepare()  # raises a CycleError that names the circle


def test_packages_import_nothing_of_their_own():
    """Or whoever needs one module of a package would load them all."""
    for name, path in FILES.items():
        if path.stem == "__init__":
            assert not imported(name) & {*FILES} - with_packages(name), name


def test_the_game_knows_no_method_and_no_picture():
    known = reached("lightning_shap.engine.game", lazy=True)
    assert not known & {*ESTIMATORS}
    assert not within(known, "pictures", "analysis", "engine.explain", "explanation.explanation")


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_methods_know_the_game_but_not_what_becomes_of_their_values(estimator):
    known = reached(estimator, lazy=True)
    assert "lightning_shap.engine.game" in known
    assert not within(known, "pictures", "analysis", "engine.explain", "explanation.explanation")
    others = {other for other in ESTIMATORS if other != estimator}
    assert not known & others, "a method stands alone"


def test_methods_are_imported_when_they_are_asked_for():
    for name in FILES:
        if not within({name}, "engine.methods"):
            assert not imported(name, lazy=True) & {*ESTIMATORS}, name


def room_of(name: str) -> str:
    return [*name.split("."), "__init__"][1]


def test_the_package_has_these_rooms_and_no_others():
    names = {path.stem for path in ROOT.iterdir() if path.name != "__pycache__"}
    assert names == {*ROOMS, "__init__", "py", "README"}


def test_no_room_knows_one_above_it():
    for name in FILES.keys() - {ROOT.name}:
        for other in within(imported(name, lazy=True, typed=True), *ROOMS):
            above, below = room_of(name), room_of(other)
            assert ROOMS.index(above) <= ROOMS.index(below), f"{name} knows {other}"


def test_no_file_is_longer_than_300_lines():
    for path in FILES.values():
        lines = path.read_text(encoding="utf-8").count("\n")
        assert lines <= 300, f"{path}: {lines} lines"


def test_a_file_name_stands_once():
    """So that who looks for a file by its name finds the right one."""
    names = [path.stem for path in FILES.values() if path.stem != "__init__"]
    assert {name for name in names if names.count(name) > 1} == set()


def test_the_house_is_described_as_it_is():
    """Each file that the room's plan names is there, and each folder is named."""
    plan = (ROOT / "README.md").read_text(encoding="utf-8")
    named = re.findall(r"`((?:\w+/)+(?:\w+\.\w+)?)`", plan)
    assert named
    for name in named:
        assert (ROOT / name).exists(), name
    for folder in {path.parent for path in FILES.values()} - {ROOT}:
        inside = folder.relative_to(ROOT).as_posix()
        assert any(one.startswith(f"{inside}/") for one in named), inside


def test_only_the_callback_its_training_and_the_command_know_lightning():
    for name in FILES:
        if name not in within({name}, *KNOWS_LIGHTNING):
            known = imported(name, lazy=True)
            assert not known & LIGHTNING, name
            assert not within(known, *KNOWS_LIGHTNING) or name == "lightning_shap.__main__", name


def test_the_callback_and_the_command_do_not_know_each_other():
    for name in room("command"):
        assert not within(imported(name, lazy=True), "training.callback"), name
    for name in room("training"):
        assert not within(imported(name, lazy=True), "command"), name


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("lightning_shap", {"torch", "numpy", "shap", *LIGHTNING}),
        ("lightning_shap.engine.methods.registry", {"torch", "numpy", "shap", *LIGHTNING}),
        ("lightning_shap.command.options", {"torch", "numpy", "shap", *LIGHTNING}),
        ("lightning_shap.command.main", {"torch", "numpy", "shap", *LIGHTNING}),
        ("lightning_shap.command.parser", {"torch", "numpy", "shap", *LIGHTNING}),
        ("lightning_shap.command.paths", {"torch", "shap", "timm", *LIGHTNING}),
        ("lightning_shap.command.run", {"torchmetrics", "tensorboard", "fsspec", *LIGHTNING}),
        ("lightning_shap.errors", {"torch", "numpy", "shap", *LIGHTNING}),
        ("lightning_shap.explanation.maps", {"torch", "shap", *LIGHTNING}),
        ("lightning_shap.pictures.grid", {"torch", "shap", *LIGHTNING}),
        ("lightning_shap.engine.game", {"shap", "scipy", *LIGHTNING}),
        ("lightning_shap.explanation.archive", {"torch", "shap", *LIGHTNING}),
        ("lightning_shap.engine.explain", {"scipy", "shap", "timm", "torchmetrics", *LIGHTNING}),
    ],
)
def test_what_is_heavy_is_imported_where_it_is_needed(module, heavy):
    assert not reached(module) & heavy


@pytest.mark.integration
def test_importing_the_package_loads_nothing_heavy():
    code = "import sys, lightning_shap; print(*{n.partition('.')[0] for n in sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT.parent, capture_output=True, text=True, check=True
    )
    assert not {*done.stdout.split()} & {"torch", "numpy", "shap", *LIGHTNING}


# Used where somebody has them, and by what they made or are asked for.
OPTIONAL = {"cv2", "lightning", "litlogger", "wandb"}


def test_what_is_imported_is_a_declared_dependency():
    project = tomllib.loads((ROOT.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = {re.match(r"[\w-]+", line)[0].lower() for line in project["dependencies"]}
    others = {"PIL": "pillow"}
    found = {top.partition(".")[0] for name in FILES for top in imported(name, lazy=True)}
    found -= {*sys.stdlib_module_names, "lightning_shap", "__main__"}
    used = {others.get(name, name.replace("_", "-")) for name in found - OPTIONAL}
    assert used | {"pytorch-lightning"} == declared  # under either of its names, by both


EXAMPLES = sorted((ROOT.parent / "examples").rglob("*.py"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_and_benchmarks_use_names_that_there_are(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(ROOT.name):
            module = importlib.import_module(node.module)
            missing = [name.name for name in node.names if not hasattr(module, name.name)]
            assert not missing, node.module
