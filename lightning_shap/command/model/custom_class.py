"""Builds a model with a class or function of the user's, by its name ``package.module.name``."""

import importlib
import inspect
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from lightning_shap.command.model.checkpoints import Checkpoint
from lightning_shap.command.model.offline import stay_offline
from lightning_shap.command.model.settings import fetches, is_harmless
from lightning_shap.command.untrusted import blame, clean, list_few
from lightning_shap.errors import ArgumentError

PATH = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)+")


def import_builder(path: str) -> Callable[..., Any]:
    """Imports the class or function with which the user builds the model.

    Args:
        path: ``package.module.Class``, or of a function that returns a model, importable from here
            or from the working directory.

    Raises:
        ArgumentError: If there is no such thing, or it is a class of something else.
    """
    home, _, name = path.rpartition(".")
    if not PATH.fullmatch(path):
        raise ArgumentError(
            "model_class", f"cannot import {clean(path)!r}; give package.module.Class"
        )
    here = str(Path.cwd())
    if here not in sys.path:  # an installed command, unlike `python -m`, does not look here
        sys.path.append(here)
    with stay_offline(), blame("model_class", f"cannot import {path!r}"):
        build: Any = getattr(importlib.import_module(home), name)
    if not callable(build) or (inspect.isclass(build) and not issubclass(build, torch.nn.Module)):
        raise ArgumentError(
            "model_class", f"{path} is no torch.nn.Module, and no function that returns one"
        )
    return build


def build_own(
    build: Callable[..., Any], checkpoint: Checkpoint, *, trusted: bool = False, **known: Any
) -> torch.nn.Module:
    """Builds a model with a class or function of the user's, and the checkpoint's hyper-parameters.

    Args:
        build: The class or function.
        checkpoint: Whose hyper-parameters are its arguments, as Lightning saves them. Those that
            would fetch weights are switched off.
        trusted: The file may also name paths and addresses.
        known: Arguments that are known better.

    Raises:
        ArgumentError: If it needs more than the checkpoint holds, or returns no model.
    """
    name = getattr(build, "__name__", type(build).__name__)
    arguments, withheld = _choose_arguments(build, name, checkpoint, trusted)
    without = f" without {list_few(withheld)}, which a file may not set" if withheld else ""
    trust = "; add --allow_pickle if the file is your own" if withheld else ""
    with (
        stay_offline(),
        blame("model_class", f"{name} cannot be built{without}{trust}"),
    ):
        model = build(**{**arguments, **known})
    if not isinstance(model, torch.nn.Module):
        raise ArgumentError(
            "model_class", f"{name} returns a {type(model).__name__}, no torch.nn.Module"
        )
    return model


def takes(build: Callable[..., Any], argument: str) -> bool:
    """Returns True for a class or function that may be given an argument."""
    parameters = inspect.signature(build).parameters
    return argument in parameters or any(
        parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()
    )


def _choose_arguments(
    build: Callable[..., Any], called: str, checkpoint: Checkpoint, trusted: bool
) -> tuple[dict[str, Any], list[str]]:
    """Returns the arguments of a builder, and the names of those that were withheld from it."""
    with blame("model_class", f"{called} does not say what it takes"):
        taken = inspect.signature(build).parameters
    saved = {name: v for name, v in checkpoint.hyper_parameters.items() if takes(build, name)}
    empty, several = inspect.Parameter.empty, ("VAR_KEYWORD", "VAR_POSITIONAL")
    defaults = {name: entry.default for name, entry in taken.items() if entry.default is not empty}
    needed = [
        name
        for name, entry in taken.items()
        if name not in defaults and entry.kind.name not in several
    ]
    arguments: dict[str, Any] = {}
    withheld = []
    for name, value in {**defaults, **saved}.items():
        if fetches(name, value):
            arguments[name] = False if isinstance(value, bool) else None
        elif name in saved and (trusted or is_harmless(name, value)):
            arguments[name] = value
        elif name in saved:
            withheld.append(name)
            if name in needed:  # a path that must be given: the classifier has no use for it
                arguments[name] = None
    if missing := [name for name in needed if name not in arguments]:
        raise ArgumentError(
            "model_class",
            f"{called} needs {list_few(missing)}, which {clean(checkpoint.path.name)} does "
            "not hold; save them in training with self.save_hyperparameters(), or give defaults",
        )
    return arguments, withheld
