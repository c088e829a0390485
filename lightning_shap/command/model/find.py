"""Finds the file of a directory that holds the weights."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from lightning_shap.command.untrusted import (
    blame,
    clean,
    find_path,
    list_few,
    read_mapping,
    read_whole,
    read_word,
)
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
        given: The path that a user gave: the file, or its directory.
        path: The file.
        note: Why this one of several, empty where it was the only one.
    """

    given: Path
    path: Path
    note: str = ""


def find_weights(model_output_dir: str | Path) -> Weights:
    """Returns the file of weights that a path means: itself, or the one its directory holds.

    Of several checkpoints of one Lightning training it is the best, if the training says which that
    is, else the last; of several versions of a training the last.

    Raises:
        ArgumentError: If there is no such path, no weights in it, or several files of which none is
            the obvious one.
    """
    wanted = "give the directory of a trained model, or its file of weights"
    place = find_path("model_output_dir", str(model_output_dir), wanted)
    if place.suffix == ".npz":
        raise ArgumentError(
            "model_output_dir",
            "is an explanation and no model; lightning_shap.report(path, 'page.html') makes its "
            "page",
        )
    if place.is_file():
        return Weights(place, place)
    with blame("model_output_dir", f"{clean(repr(str(place)))} cannot be read"):
        for pattern in NAMES if place.is_dir() else ():
            found = [path for path in sorted(place.glob(pattern)) if path.is_file()]
            if found:
                last = max(map(_read_version, found))
                return _choose(place, [path for path in found if _read_version(path) == last])
    raise ArgumentError(
        "model_output_dir",
        f"{clean(repr(str(place)))} holds no weights; best_model.pth or any one "
        f"{', '.join(SUFFIXES)} file will do",
    )


def _read_version(path: Path) -> int:
    """Returns N of Lightning's folder version_N that a file is in, -1 for others."""
    names = (re.fullmatch(r"version_(\d{1,9})", part.name) for part in path.parents)
    return next((int(name[1]) for name in names if name), -1)


def _choose(place: Path, paths: list[Path]) -> Weights:
    if len(paths) == 1:
        return Weights(place, paths[0])
    choice = _choose_checkpoint(place, paths) if len(paths) <= MOST_FILES else None
    if choice is None:
        hint = ""
        if all(re.search(r"-\d+-of-\d+\.", path.name) for path in paths):
            hint = ", or save the parts in one, by save_pretrained(..., max_shard_size='1TB')"
        raise ArgumentError(
            "model_output_dir",
            f"{clean(repr(str(place)))} holds {len(paths)} files of weights "
            f"({list_few([path.name for path in paths])}); give one of them as "
            f"--model_output_dir{hint}",
        )
    return choice


def _choose_checkpoint(place: Path, paths: list[Path]) -> Weights | None:
    """Returns the best or last of a Lightning training's checkpoints, None for other files."""
    contents = {path: _glance(path) for path in paths}
    if not all("pytorch-lightning_version" in content for content in contents.values()):
        return None
    last = max(paths, key=lambda path: read_whole(contents[path].get("global_step"), 2**62, 0) or 0)
    among = f"of {len(paths)} checkpoints"
    for key, state in read_mapping(contents[last].get("callbacks")).items():
        saver = read_mapping(state)
        monitor, best = read_word(saver.get("monitor")), saver.get("best_model_path")
        if key.startswith("ModelCheckpoint") and monitor and isinstance(best, str):
            for path in paths:
                if path.name == PurePath(best).name:
                    return Weights(place, path, f"the best {among} by {monitor}")
    return Weights(place, last, f"the last {among}")


def _glance(path: Path) -> Mapping[str, Any]:
    """Returns a checkpoint with its weights left on the disk; nothing if it cannot be read."""
    import torch  # only here: most directories hold one file, and need nothing heavy

    from lightning_shap.command.model.checkpoints import check_unpacked

    try:
        check_unpacked(path)
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception:  # whatever is wrong with the file, it is not one to choose
        return {}
    return read_mapping(content)
