"""Find where a run keeps its files, and whether there is room for more."""

import errno
import os
import shutil
from pathlib import Path
from typing import Any

from lightning_shap.page.run_report import find_local_path

# What stays free of a disk for the training's own logs and checkpoints.
RESERVE = 32 * 2**20


def find_place(logger: Any) -> str | None:
    """Returns where a logger keeps the files of this run, a path or an address.

    Returns:
        Its ``log_dir``; else the folder in its ``save_dir`` that Lightning keeps the run's
        checkpoints in. None if it has neither.
    """
    log_dir, save_dir = getattr(logger, "log_dir", None), getattr(logger, "save_dir", None)
    if log_dir is not None:
        return str(log_dir)
    return None if save_dir is None else find_place_in(str(save_dir), logger)


def find_place_in(folder: str, logger: Any) -> str:
    """Returns the place of a logger's run in a folder, as Lightning's ``ModelCheckpoint`` does."""
    return os.path.join(folder, *_find_names(logger))


def find_name(logger: Any) -> str:
    """Returns what a logger calls its run, such as ``"lightning_logs/version_3"``."""
    called = getattr(getattr(logger, "experiment", None), "name", None)  # Weights & Biases' own
    return called if called and isinstance(called, str) else "/".join(_find_names(logger))


def _find_names(logger: Any) -> list[str]:
    """Returns the logger's name and version, without those that it does not have."""
    name, version = getattr(logger, "name", None), getattr(logger, "version", None)
    version = f"version_{version}" if isinstance(version, int) else version
    return [str(part) for part in (name, version) if part not in (None, "")]


def find_folder(logger: Any) -> Path | None:
    """Returns where on this machine a logger keeps the files of this run, None if nowhere."""
    place = find_place(logger)
    return None if place is None else find_local_path(place)


def name_picture(folder: str | Path, key: str, step: int) -> Path:
    """Returns where a picture is kept as a file."""
    return Path(folder) / f"{key}-step={step}.png"


class NoRoomError(OSError):
    """Says that a disk is all but full."""


def check_room(folder: Path | None) -> None:
    """Leaves the rest of a disk to the training.

    A picture that still fits takes the room of what a training is about to write, which would end
    it: the training logs little, but may not fail.

    Raises:
        NoRoomError: If the folder's disk has less free than the reserve.
    """
    if folder is None:
        return
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(there).free
    if free < RESERVE:
        raise NoRoomError(
            errno.ENOSPC,
            f"its disk has {free // 1024} KiB left, and the last {RESERVE // 2**20} MiB are the "
            "training's; it writes again when there is more room",
        )
