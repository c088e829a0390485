"""Which class a checkpoint may have imported: one whose module only defines things.

To import a script is to run it, and a checkpoint may come from anywhere. So nothing is imported
to find out: modules are found and read as text.
"""

import ast
import sys
import sysconfig
from collections.abc import Iterator
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

from lightning_shap.command.model.custom_class import PATH
from lightning_shap.command.text import readable
from lightning_shap.command.untrusted import blaming
from lightning_shap.errors import ArgumentError

MAIN = "__name__ == '__main__'"
DEFINITIONS = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
ASSIGNMENTS = (ast.Assign, ast.AnnAssign, ast.AugAssign)
HARMLESS = (*DEFINITIONS, *ASSIGNMENTS, ast.Delete, ast.Assert, ast.Pass)


def check_importable(path: str) -> None:
    """Make sure that a class named by a file can be imported without running anything else.

    The class must stand in a module of the working directory, of Python's path or of an installed
    package, and not in Python's own library. A module of one's own must hold nothing but
    definitions and constants.

    Raises:
        ArgumentError: If not, with the reason.
    """
    home, _, name = path.rpartition(".")
    if not PATH.fullmatch(path) or any(part.startswith("__") for part in home.split(".")):
        raise ArgumentError("model_class", f"{readable(path)!r} is no package.module.Class")
    places = sysconfig.get_paths()
    installed = [Path(places[name]).resolve() for name in ("purelib", "platlib")]
    standard = Path(places["stdlib"]).resolve()
    body: list[ast.stmt] = []
    for file in _sources(home):
        theirs = any(file.is_relative_to(folder) for folder in installed)
        if file.is_relative_to(standard) and not theirs:
            raise ArgumentError("model_class", f"{home} is a part of Python")
        with blaming("model_class", f"{file.name} cannot be read"):
            body = ast.parse(file.read_bytes()).body
        if not theirs and _runs(body):
            raise ArgumentError("model_class", f"to import {file.name} would run it")
    if not any(isinstance(node, ast.ClassDef) and node.name == name for node in body):
        raise ArgumentError("model_class", f"{home} defines no class {name}")


def is_lightning_module(kind: type) -> bool:
    """Whether a class is a LightningModule, of either of Lightning's names."""
    return any(parent.__name__ == "LightningModule" for parent in kind.__mro__)


def _sources(module: str) -> Iterator[Path]:
    """The files that would run if a module was imported: its packages' and its own."""
    search: Any = [str(Path.cwd()), *sys.path]
    parts = module.split(".")
    for number in range(1, len(parts) + 1):
        spec = None
        if search is not None:
            spec = PathFinder.find_spec(".".join(parts[:number]), search)
        if spec is None:
            raise ArgumentError("model_class", f"there is no module {module} here")
        search = spec.submodule_search_locations
        if spec.has_location and spec.origin is not None:
            yield Path(spec.origin).resolve()


def _runs(body: list[ast.stmt]) -> bool:
    """Whether a module does more than define things when it is imported."""
    own: set[str] = set()  # what the module has defined so far
    for node in body:
        if isinstance(node, ast.If) and ast.unparse(node.test) == MAIN:
            inner = node.orelse  # the rest does not run
        elif isinstance(node, ast.If):
            inner = [*node.body, *node.orelse]
        elif isinstance(node, ast.Try):
            handled = [statement for handler in node.handlers for statement in handler.body]
            inner = [*node.body, *node.orelse, *node.finalbody, *handled]
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            inner = []  # a docstring
        elif not isinstance(node, HARMLESS) or _calls(node, own):
            return True
        else:
            inner = []
        if _runs(inner):
            return True
        own |= _names(node)
    return False


def _calls(node: ast.stmt, own: set[str]) -> bool:
    """Whether an assignment calls what the module itself has defined, as `result = train()`."""
    if not isinstance(node, ASSIGNMENTS):
        return False
    calls = [call.func for call in ast.walk(node) if isinstance(call, ast.Call)]
    names = [name.id for call in calls for name in ast.walk(call) if isinstance(name, ast.Name)]
    return not own.isdisjoint(names)


def _names(node: ast.stmt) -> set[str]:
    """What a statement defines, imports aside."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return {node.name}
    if not isinstance(node, ASSIGNMENTS):
        return set()
    names = (name for name in ast.walk(node) if isinstance(name, ast.Name))
    return {name.id for name in names if isinstance(name.ctx, ast.Store)}
