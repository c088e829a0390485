"""Which file of a directory holds the weights."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import torch

from lightning_shap.command.model.checkpoints import check_unpacked
from lightning_shap.command.text import readable, short
from lightning_shap.command.untrusted import blaming, existing, mapping, whole, word
from lightning_shap.errors import ArgumentError

# The first pattern that matches a file.
NAMES = (
    "best_model.pth",
    "best_model.*",
    "model.safetensors",
    "pytorch_model.bin",
    "model_best.pth.tar",
    "*.safetensors",
    "*.ckpt",
    "checkpoints/*.ckpt",
    "version_*/checkpoints/*.ckpt",
    "lightning_logs/version_*/checkpoints/*.ckpt",
    "*.pth",
    "*.pt",
    "*.pth.tar",
    "*.bin",
)
SUFFIXES = (".safetensors", ".ckpt", ".pth", ".pt", ".tar", ".bin")
MOST_FILES = 200  # checkpoints of one training that are compared


@dataclass(frozen=True)
class Weights:
    """A file of weights.

    Attributes:
        path: Of the file.
        note: Why this one of several, empty where it was the only one.
    """

    path: Path
    note: str = ""


def find_weights(model_output_dir: str | Path) -> Weights:
    """The file of weights that a path means: itself, or the one its directory holds.

    Of several checkpoints of one Lightning training it is the best, if the training says which that
    is, else the last; of several versions of a training the last.

    Raises:
        ArgumentError: If there is no such path, no weights in it, or several files of which none is
            the obvious one.
    """
    wanted = "give the directory of a trained model, or its file of weights"
    place = existing("model_output_dir", str(model_output_dir), wanted)
    if place.is_file():
        return Weights(place)
    if place.is_dir():
        with blaming("model_output_dir", f"{readable(repr(str(place)))} cannot be read"):
            for pattern in NAMES:
                found = [path for path in sorted(place.glob(pattern)) if path.is_file()]
                if found:
                    return _obvious(place, _of_last_version(found))
    raise ArgumentError(
        "model_output_dir",
        f"{readable(repr(str(place)))} holds no weights; best_model.pth or any one "
        f"{', '.join(SUFFIXES)} file will do",
    )


def _of_last_version(paths: Sequence[Path]) -> list[Path]:
    """Those below the highest version_N of Lightning's own folders; all where there are none."""

    def version(path: Path) -> int:
        names = (re.fullmatch(r"version_(\d{1,9})", part.name) for part in path.parents)
        return next((int(name[1]) for name in names if name), -1)

    last = max(map(version, paths))
    return [path for path in paths if version(path) == last]


def _obvious(place: Path, paths: list[Path]) -> Weights:
    if len(paths) == 1:
        return Weights(paths[0])
    choice = _of_training(paths) if len(paths) <= MOST_FILES else None
    if all(re.search(r"-\d+-of-\d+\.", path.name) for path in paths):
        raise ArgumentError(
            "model_output_dir",
            f"{readable(repr(str(place)))} holds one model's weights in {len(paths)} parts; save "
            "them in one file, as by save_pretrained(..., max_shard_size='1TB')",
        )
    if choice is None:
        raise ArgumentError(
            "model_output_dir",
            f"{readable(repr(str(place)))} holds {len(paths)} files of weights "
            f"({short([path.name for path in paths])}); give one of them as --model_output_dir",
        )
    return choice


def _of_training(paths: list[Path]) -> Weights | None:
    """The best or last of a Lightning training's checkpoints, None for other files."""
    contents = {path: _glance(path) for path in paths}
    if not all("pytorch-lightning_version" in content for content in contents.values()):
        return None
    last = max(paths, key=lambda path: whole(contents[path].get("global_step"), 2**62, 0) or 0)
    among = f"of {len(paths)} checkpoints"
    for key, state in mapping(contents[last].get("callbacks")).items():
        saver = mapping(state)
        monitor, best = word(saver.get("monitor")), saver.get("best_model_path")
        if key.startswith("ModelCheckpoint") and monitor and isinstance(best, str):
            for path in paths:
                if path.name == PurePath(best).name:
                    return Weights(path, f"the best {among} by {monitor}")
    return Weights(last, f"the last {among}")


def _glance(path: Path) -> Mapping[str, Any]:
    """What a checkpoint holds, its weights left on the disk; nothing where it cannot be read."""
    try:
        check_unpacked(path)
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception:  # whatever is wrong with the file, it is not one to choose
        return {}
    return mapping(content)
