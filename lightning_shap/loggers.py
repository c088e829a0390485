"""Pictures, numbers and text to any Lightning logger.

Loggers are told apart by what they can do and not by their class, so that those of
``pytorch_lightning`` and of ``lightning.pytorch`` both work, and strangers too.
"""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from lightning_shap.explanation import Record
from lightning_shap.picture_events import add_picture
from lightning_shap.pictures.grid import save

PICTURE = "attributions"


def log_explanation(logger: Any, tag: str, record: Record, picture: np.ndarray, step: int) -> None:
    """Logs an explanation's picture and the numbers that say how far to trust it."""
    scalars = {
        f"{tag}/additivity_gap": float(record.additivity_gap.max()),
        f"{tag}/evaluations": float(record.evaluations.sum()),
        f"{tag}/seconds": record.seconds,
    }
    with _event_writer_kept(logger.experiment):
        log_picture(logger, f"{tag}/{PICTURE}", picture, step)
        logger.log_metrics(scalars, step=step)


def picture_path(folder: str | Path, tag: str, step: int) -> Path:
    """Where a picture is kept as a file."""
    return Path(folder) / f"{tag}-step={step}.png"


def log_picture(logger: Any, tag: str, picture: np.ndarray, step: int) -> None:
    """Logs a uint8 picture (H, W, 3) under a tag."""
    experiment = logger.experiment
    if hasattr(experiment, "add_image"):  # TensorBoard
        add_picture(experiment, tag, picture, step)
    elif hasattr(logger, "log_image"):  # Weights & Biases
        logger.log_image(key=tag, images=[picture], step=step)
    elif hasattr(experiment, "log_image") and hasattr(logger, "run_id"):  # MLflow
        experiment.log_image(run_id=logger.run_id, image=picture, key=tag, step=step)
    elif hasattr(experiment, "log_image"):  # Comet
        experiment.log_image(picture, name=tag, step=step)
    elif getattr(logger, "log_dir", None) is not None:  # CSV: no images, so a file beside
        save(picture, picture_path(logger.log_dir, tag, step))
    elif type(logger).__name__ != "DummyLogger":
        warnings.warn(
            f"{type(logger).__name__} takes no images, so {tag} is not in it; "
            "give save_dir= to have the pictures as files",
            stacklevel=2,
        )


def log_text(logger: Any, tag: str, text: str, step: int) -> None:
    """Logs a markdown text where the logger has a place for it."""
    experiment = logger.experiment
    if hasattr(experiment, "add_text"):  # TensorBoard
        with _event_writer_kept(experiment):
            experiment.add_text(tag, text, step)
    elif hasattr(experiment, "log_text") and hasattr(logger, "run_id"):  # MLflow
        experiment.log_text(logger.run_id, text, f"{tag}.md")
    elif hasattr(experiment, "log_text"):  # Comet
        experiment.log_text(text, step=step)
    elif hasattr(logger, "log_text"):  # Weights & Biases
        logger.log_text(key=tag, columns=["text"], data=[[text]], step=step)


@contextmanager
def _event_writer_kept(experiment: Any) -> Iterator[None]:
    """Leaves the training a TensorBoard writer that writes, even if ours were too much for a disk.

    Events are written by a thread, which dies of its first error. The next event brings that to
    light, and it would be the training's: a run would end for want of room for a picture.
    """
    if not hasattr(experiment, "all_writers"):
        yield
        return
    experiment.flush()  # what fails here is not ours, and nor is what the file holds by then
    path = _event_file(experiment)
    size = 0 if path is None else os.path.getsize(path)
    try:
        yield
    finally:
        try:
            experiment.flush()
        except OSError:
            # TensorBoard reads a file up to the first event that is not whole.
            with suppress(OSError):
                if path is not None:
                    os.truncate(path, size)
            # As if it was closed, which a dead one cannot be. The next event opens another.
            experiment.file_writer = experiment.all_writers = None
            raise


def _event_file(experiment: Any) -> str | None:
    """Where TensorBoard's writer has its file, None if that is not on this machine or not known."""
    writer = getattr(experiment.file_writer, "event_writer", None)
    path = getattr(writer, "_file_name", None)
    return path if isinstance(path, str) and os.path.isfile(path) else None
