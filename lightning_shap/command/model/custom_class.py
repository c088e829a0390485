"""Own classes: ``package.module.Class`` and a checkpoint to a module."""

import importlib
import inspect
import sys
from pathlib import Path
from typing import Any

import torch

from lightning_shap.command.model.checkpoints import Checkpoint


def build_own_class(path: str, checkpoint: Checkpoint) -> torch.nn.Module:
    """Build a module of a class of the user's, with the checkpoint's hyper-parameters.

    Args:
        path: ``package.module.Class``, importable from here or from the working directory.
        checkpoint: Whose hyper-parameters the class takes as arguments, as Lightning saves them.

    Raises:
        ValueError: If there is no such class, or it needs what the checkpoint does not hold.
    """
    kind = _class_at(path)
    taken = inspect.signature(kind).parameters
    open_ended = any(p.kind is p.VAR_KEYWORD for p in taken.values())
    said = checkpoint.hyper_parameters
    arguments = {name: value for name, value in said.items() if open_ended or name in taken}
    needed = [
        name
        for name, parameter in taken.items()
        if parameter.default is parameter.empty
        and parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
        and name not in arguments
    ]
    if needed:
        raise ValueError(
            f"model_class: {path} needs {', '.join(needed)}, which {checkpoint.path.name} does not "
            "hold; save them in training with self.save_hyperparameters(), or give defaults"
        )
    module: torch.nn.Module = kind(**arguments)
    return module


def _class_at(path: str) -> Any:
    home, _, name = path.rpartition(".")
    here = str(Path.cwd())
    if here not in sys.path:  # an installed command, unlike `python -m`, does not look here
        sys.path.append(here)
    try:
        kind = getattr(importlib.import_module(home), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(
            f"model_class: cannot import {path!r} ({error}); give package.module.Class"
        ) from error
    if not (inspect.isclass(kind) and issubclass(kind, torch.nn.Module)):
        raise ValueError(f"model_class: {path} is no torch.nn.Module")
    return kind
