"""Checkpoints: a file of weights to a state dict, without running anything that the file says."""

import argparse
import pickle
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

# Which file of a directory holds the weights, the first pattern that matches a file.
NAMES = (
    "best_model.pth",
    "best_model.*",
    "model.safetensors",
    "pytorch_model.bin",
    "model_best.pth.tar",
    "*.safetensors",
    "*.ckpt",
    "checkpoints/*.ckpt",
    "*.pth",
    "*.pt",
    "*.pth.tar",
    "*.bin",
)
SUFFIXES = (".safetensors", ".ckpt", ".pth", ".pt", ".tar", ".bin")

# Under which key frameworks keep the weights, the averaged ones first.
HOMES = ("state_dict_ema", "model_ema", "model", "state_dict", "model_state_dict", "module")


@dataclass(frozen=True)
class Checkpoint:
    """What a file of weights holds.

    Attributes:
        path: The file.
        weights: Names and tensors, under whatever prefix they were saved.
        hyper_parameters: Whatever else it says of the model, from Lightning or timm's training.
        step: Optimiser steps of the training, 0 where the file does not say.
        note: Where in the file the weights were.
        module: The model itself where the file is a whole pickled one.
    """

    path: Path
    weights: Mapping[str, torch.Tensor]
    hyper_parameters: Mapping[str, Any] = field(default_factory=dict)
    step: int = 0
    note: str = ""
    module: torch.nn.Module | None = None


def find_weights(model_output_dir: str | Path) -> Path:
    """The file of weights that a path means: itself, or the one its directory holds.

    Raises:
        FileNotFoundError: If there is no such path, or no weights in it.
        ValueError: If there are several files and none is the obvious one.
    """
    place = Path(model_output_dir)
    if place.is_file():
        return place
    if not place.is_dir():
        raise FileNotFoundError(
            f"model_output_dir: there is no {str(model_output_dir)!r}; give the directory of a "
            "trained model, or its file of weights"
        )
    for name in NAMES:
        found = sorted(path for path in place.glob(name) if path.is_file())
        if len(found) > 1:
            shown = ", ".join(path.name for path in found[:5]) + (", …" if len(found) > 5 else "")
            raise ValueError(
                f"model_output_dir: {str(place)!r} holds {len(found)} files of weights ({shown}); "
                "give one of them as --model_output_dir"
            )
        if found:
            return found[0]
    raise FileNotFoundError(
        f"model_output_dir: {str(place)!r} holds no weights; best_model.pth or any one "
        f"{', '.join(SUFFIXES)} file will do"
    )


def read_checkpoint(path: Path, *, allow_pickle: bool = False) -> Checkpoint:
    """Read a file of weights.

    Args:
        path: ``.safetensors``, or anything that ``torch.save`` wrote.
        allow_pickle: Run the code that a pickle asks for. Only ever for files of your own.

    Raises:
        ValueError: If the file is damaged, holds no weights, or asks for code to be run.
    """
    if path.suffix == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return Checkpoint(path, load_file(path))
        except SafetensorError as error:
            raise ValueError(f"model_output_dir: {path.name} is damaged ({error})") from error
    return _unwrapped(path, _load(path, allow_pickle))


def _load(path: Path, allow_pickle: bool) -> Any:
    try:
        # timm's training script keeps its arguments in a Namespace, which runs nothing.
        with torch.serialization.safe_globals([argparse.Namespace]):
            return torch.load(path, map_location="cpu", weights_only=not allow_pickle)
    except OSError as error:
        raise OSError(f"model_output_dir: cannot read {path.name} ({error.strerror})") from error
    except pickle.UnpicklingError as error:
        asked = re.search(r"GLOBAL (\S+)", str(error))
        if asked is None:
            raise _damaged(path, error) from error
        raise ValueError(
            f"model_output_dir: {path.name} asks for {asked[1]} to be loaded, which weights alone "
            "never do; nothing was run. Save a state dict, or add --allow_pickle if the file is "
            "your own"
        ) from error
    except (ImportError, AttributeError) as error:  # with --allow_pickle only
        raise ValueError(
            f"model_output_dir: {path.name} needs code that cannot be imported here ({error})"
        ) from error
    except (RuntimeError, EOFError, KeyError, UnicodeDecodeError, AssertionError) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> ValueError:
    reason = (str(error).strip() or type(error).__name__).splitlines()[0][:120]
    return ValueError(
        f"model_output_dir: {path.name} is damaged, or was not written by torch.save ({reason})"
    )


def _unwrapped(path: Path, content: Any) -> Checkpoint:
    """The weights inside a checkpoint's wrappings."""
    if isinstance(content, torch.nn.Module):
        return Checkpoint(path, content.state_dict(), note="a pickled model", module=content)
    said, step = _hyper_parameters(content), _step(content)
    notes: list[str] = []
    while isinstance(content, Mapping) and not _is_state_dict(content):
        home = next((name for name in HOMES if isinstance(content.get(name), Mapping)), None)
        if home is None:
            break
        notes.append(f"under {home!r}")
        content = content[home]
    if not isinstance(content, Mapping) or not _is_state_dict(content):
        keys = ", ".join(map(str, list(content)[:6])) if isinstance(content, Mapping) else ""
        raise ValueError(
            f"model_output_dir: {path.name} holds no weights but a {type(content).__name__} "
            f"({keys or 'nothing by name'}); "
            "save {'model': model.state_dict()} or the state dict itself"
        )
    weights = {str(name): value for name, value in content.items() if torch.is_tensor(value)}
    if weights.pop("n_averaged", None) is not None:
        notes.append("averaged")
    return Checkpoint(path, weights, said, step, ", ".join(notes))


def _is_state_dict(content: Mapping[Any, Any]) -> bool:
    return bool(content) and sum(map(torch.is_tensor, content.values())) > len(content) // 2


def _hyper_parameters(content: Any) -> dict[str, Any]:
    """What Lightning (``hyper_parameters``) or timm (``arch``, ``args``) noted of the model."""
    if not isinstance(content, Mapping):
        return {}
    said = dict(content.get("hyper_parameters") or {})
    arguments = content.get("args")
    if isinstance(arguments, argparse.Namespace):
        said |= vars(arguments)
    if isinstance(content.get("arch"), str):
        said["arch"] = content["arch"]
    return said


def _step(content: Any) -> int:
    step = content.get("global_step") if isinstance(content, Mapping) else None
    return step if isinstance(step, int) else 0
