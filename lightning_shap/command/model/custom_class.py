"""Own classes and functions: ``package.module.name`` and a checkpoint to a module."""

import importlib
import inspect
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from lightning_shap.command.model.checkpoints import Checkpoint
from lightning_shap.command.model.offline import offline
from lightning_shap.command.text import readable, short
from lightning_shap.command.untrusted import blaming, is_plain
from lightning_shap.errors import ArgumentError

PATH = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)+")
# Words in the names of arguments that fetch weights. The checkpoint has them already.
FETCHING = {"pretrained", "weights", "checkpoint", "ckpt", "download", "hub"}
# Words in the names of arguments that say where things are, which is not for a file to say.
PLACES = {"cache", "dir", "directory", "file", "folder", "path", "root", "url", "uri", "token"}


def own_builder(path: str) -> Callable[..., Any]:
    """Imports what the user builds the model with.

    Args:
        path: ``package.module.Class``, or of a function that returns a model, importable from here
            or from the working directory.

    Raises:
        ArgumentError: If there is no such thing, or it is a class of something else.
    """
    home, _, name = path.rpartition(".")
    if not PATH.fullmatch(path):
        raise ArgumentError(
            "model_class", f"cannot import {readable(path)!r}; give package.module.Class"
        )
    here = str(Path.cwd())
    if here not in sys.path:  # an installed command, unlike `python -m`, does not look here
        sys.path.append(here)
    with offline(), blaming("model_class", f"cannot import {path!r}"):
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
        checkpoint: Whose hyper-parameters are its arguments, as Lightning saves them. What would
            fetch weights is switched off.
        trusted: Whether the file may also name paths and addresses.
        known: Arguments that are known better.

    Raises:
        ArgumentError: If it needs what the checkpoint does not hold, or returns no model.
    """
    name = getattr(build, "__name__", type(build).__name__)
    arguments, withheld = _arguments(build, name, checkpoint, trusted)
    without = f" without {short(withheld)}, which a file may not set" if withheld else ""
    trust = "; add --allow_pickle if the file is your own" if withheld else ""
    with (
        offline(),
        blaming("model_class", f"{name} cannot be built{without}{trust}"),
    ):
        model = build(**{**arguments, **known})
    if not isinstance(model, torch.nn.Module):
        raise ArgumentError(
            "model_class", f"{name} returns a {type(model).__name__}, no torch.nn.Module"
        )
    return model


def takes(build: Callable[..., Any], argument: str) -> bool:
    """Returns whether a class or function may be given an argument."""
    parameters = inspect.signature(build).parameters
    return argument in parameters or any(
        parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()
    )


def _arguments(
    build: Callable[..., Any], called: str, checkpoint: Checkpoint, trusted: bool
) -> tuple[dict[str, Any], list[str]]:
    """What a model is built with, and the names of what was withheld from it."""
    with blaming("model_class", f"{called} does not say what it takes"):
        taken = inspect.signature(build).parameters
    arguments: dict[str, Any] = {}
    withheld, missing = [], []
    for name, value in checkpoint.hyper_parameters.items():
        if not takes(build, name):
            continue
        if _fetches(name, value):
            arguments[name] = _nothing(value)
        elif trusted or _is_harmless(name, value):
            arguments[name] = value
        else:
            withheld.append(name)
    for name, parameter in taken.items():
        if name in arguments or parameter.kind in (
            parameter.VAR_KEYWORD,
            parameter.VAR_POSITIONAL,
        ):
            continue
        if parameter.default is not parameter.empty:
            if _fetches(name, parameter.default):
                arguments[name] = _nothing(parameter.default)
        elif name in withheld:  # a path that must be given: the classifier has no use for it
            arguments[name] = None
        else:
            missing.append(name)
    if missing:
        raise ArgumentError(
            "model_class",
            f"{called} needs {short(missing)}, which {readable(checkpoint.path.name)} does "
            "not hold; save them in training with self.save_hyperparameters(), or give defaults",
        )
    return arguments, withheld


def _fetches(name: str, value: Any) -> bool:
    """Whether an argument would have weights fetched, which the checkpoint holds already."""
    return bool(FETCHING & set(name.lower().split("_"))) and isinstance(value, (bool, str))


def _nothing(value: bool | str) -> bool | None:
    return False if isinstance(value, bool) else None


def _is_harmless(name: str, value: Any) -> bool:
    """Whether a file may set an argument: to numbers, switches and names, and to no place."""
    if not is_plain(value):
        return False
    if isinstance(value, Mapping):
        return all(_is_harmless(key, value[key]) for key in value)
    return not (isinstance(value, str) and PLACES & set(name.lower().split("_")))
