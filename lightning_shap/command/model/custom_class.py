"""Own classes: ``package.module.Class`` and a checkpoint to a module."""

import importlib
import inspect
import re
import sys
from collections.abc import Mapping
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


def own_class(path: str) -> type[torch.nn.Module]:
    """Import a class of the user's.

    Args:
        path: ``package.module.Class``, importable from here or from the working directory.

    Raises:
        ArgumentError: If there is no such class, or it is no module.
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
        kind: Any = getattr(importlib.import_module(home), name)
    if not (inspect.isclass(kind) and issubclass(kind, torch.nn.Module)):
        raise ArgumentError("model_class", f"{path} is no torch.nn.Module")
    return kind


def build_own_class(
    kind: type[torch.nn.Module], checkpoint: Checkpoint, *, trusted: bool = False
) -> torch.nn.Module:
    """Build a module of a class, with the checkpoint's hyper-parameters.

    Args:
        kind: The class.
        checkpoint: Whose hyper-parameters the class takes as arguments, as Lightning saves them.
            What would fetch weights is switched off.
        trusted: Whether the file may also name paths and addresses.

    Raises:
        ArgumentError: If the class needs what the checkpoint does not hold.
    """
    arguments, withheld = _arguments(kind, checkpoint, trusted)
    without = f" without {short(withheld)}, which a file may not set" if withheld else ""
    trust = "; add --allow_pickle if the file is your own" if withheld else ""
    with (
        offline(),
        blaming("model_class", f"{kind.__name__} cannot be built{without}{trust}"),
    ):
        return kind(**arguments)


def _arguments(
    kind: type[torch.nn.Module], checkpoint: Checkpoint, trusted: bool
) -> tuple[dict[str, Any], list[str]]:
    """What a class is built with, and the names of what was withheld from it."""
    taken = inspect.signature(kind).parameters
    open_ended = any(p.kind is p.VAR_KEYWORD for p in taken.values())
    arguments: dict[str, Any] = {}
    withheld, missing = [], []
    for name, value in checkpoint.hyper_parameters.items():
        if name not in taken and not open_ended:
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
            f"{kind.__name__} needs {short(missing)}, which {readable(checkpoint.path.name)} does "
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
