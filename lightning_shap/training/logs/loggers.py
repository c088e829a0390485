"""An explanation in any Lightning logger: its picture, its numbers, and what was asked for.

A logger is one function here. Loggers are recognised by the names of their classes, so that those
of ``pytorch_lightning`` and of ``lightning.pytorch`` both work; strangers by what they can do.
"""

import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from lightning_shap.explanation.atomic import replacing
from lightning_shap.explanation.record import Record
from lightning_shap.page.data import PageData, numbers_of
from lightning_shap.page.run_report import path_of
from lightning_shap.page.tensorboard import add_explanation, add_picture, samples_written
from lightning_shap.pictures.grid import save
from lightning_shap.training.logs.event_files import writer_kept

PICTURE = "attributions"
EVOLUTION = "evolution"
CLASSES = "classes"


@dataclass(frozen=True)
class Settings:
    """What was asked for.

    Attributes:
        tag: The callback's.
        values: Settings by name.
    """

    tag: str
    values: Mapping[str, Any]

    @property
    def key(self) -> str:
        """Under which they are logged."""
        return f"{self.tag}/settings"

    @property
    def group(self) -> str:
        """Under which they stand among all that a run was asked for."""
        return self.tag

    @property
    def plain(self) -> dict[str, Any]:
        """The values as JSON has them; what it has no form for is put into words."""
        return json.loads(json.dumps(dict(self.values), default=str))

    @property
    def table(self) -> str:
        """A markdown table."""
        rows = [f"| {name} | {value} |" for name, value in self.values.items()]
        return "\n".join(["| setting | value |", "| --- | --- |", *rows])


@dataclass(frozen=True)
class Ending:
    """How a training ended, in words, logged as settings are.

    Attributes:
        tag: The callback's.
        markdown: The words.
        plain: As JSON has it.
        name: Of the words, under the tag.
    """

    tag: str
    markdown: str
    plain: Mapping[str, Any]
    name: str = "summary"

    @property
    def key(self) -> str:
        """Under which it is logged."""
        return f"{self.tag}/{self.name}"

    @property
    def group(self) -> str:
        """Under which it stands among all that is known of a run."""
        return f"{self.tag}_{self.name}"

    @property
    def table(self) -> str:
        """The words."""
        return self.markdown


Text = Settings | Ending


def log_explanation(
    logger: Any,
    tag: str,
    record: Record,
    picture: np.ndarray,
    step: int,
    *,
    epoch: int | None = None,
    title: str | None = None,
    settings: Settings | None = None,
    page: PageData | None = None,
    numbers: Mapping[str, float] | None = None,
) -> str | None:
    """Logs an explanation's picture and the numbers that say how far to trust it.

    Args:
        logger: Any logger of Lightning's, or of its kind.
        tag: Under which it is logged.
        record: How the explanation came about.
        picture: uint8 (height, width, 3).
        step: Where on the logger's axis it stands; -1 before the first training step.
        epoch: The epoch of that step.
        title: What the picture is of, for loggers that have captions.
        settings: What was asked for, to be logged with a run's first explanation.
        page: What TensorBoard's SHAP tab shows of it.
        numbers: What else is known of it, by names without the tag.

    Returns:
        What the logger has no place for, as the end of a sentence; None where it took everything.

    Raises:
        Exception: Whatever the logger raises.
    """
    known = numbers_of(tag, record, numbers)
    return _write(logger, _Entry(tag, known, picture, step, epoch, title, page), settings)


def log_picture(
    logger: Any,
    tag: str,
    picture: np.ndarray,
    step: int,
    *,
    name: str,
    ending: Ending | None = None,
    epoch: int | None = None,
    title: str | None = None,
) -> str | None:
    """Logs another picture than that of all samples: of one of them, or of a training's evolution.

    Args:
        logger: Any logger of Lightning's, or of its kind.
        tag: Under which it is logged.
        picture: uint8 (height, width, 3).
        step: Where on the logger's axis it stands.
        name: Of the picture, under the tag.
        ending: The summary of the training, to be logged with it.
        epoch: The epoch of that step.
        title: What the picture is of, for loggers that have captions.

    Returns:
        As :func:`log_explanation`.

    Raises:
        Exception: Whatever the logger raises.
    """
    return _write(logger, _Entry(tag, {}, picture, step, epoch, title, name=name), ending)


def _write(logger: Any, entry: "_Entry", text: Text | None) -> str | None:
    names = [kind.__name__ for kind in type(logger).__mro__]
    write = next((_BY_NAME[name] for name in names if name in _BY_NAME), _to_stranger)
    return write(logger, entry, text)


def is_dummy(logger: Any) -> bool:
    """Whether a logger keeps nothing, as that of a trial run (``fast_dev_run``)."""
    return any(kind.__name__ == "DummyLogger" for kind in type(logger).__mro__)


def place_of(logger: Any) -> str | None:
    """Returns where a logger keeps the files of this run, a path or an address.

    Returns:
        Its ``log_dir``; else the folder in its ``save_dir`` that Lightning keeps the run's
        checkpoints in. None if it has neither.
    """
    log_dir, save_dir = getattr(logger, "log_dir", None), getattr(logger, "save_dir", None)
    if log_dir is not None:
        return str(log_dir)
    return None if save_dir is None else place_in(str(save_dir), logger)


def place_in(folder: str, logger: Any) -> str:
    """Returns the place of a logger's run in a folder, as Lightning's ``ModelCheckpoint`` does."""
    return os.path.join(folder, *_names_of(logger))


def name_of(logger: Any) -> str:
    """Returns what a logger calls its run, such as ``"lightning_logs/version_3"``."""
    called = getattr(getattr(logger, "experiment", None), "name", None)  # Weights & Biases' own
    return called if called and isinstance(called, str) else "/".join(_names_of(logger))


def _names_of(logger: Any) -> list[str]:
    """Returns the logger's name and version, without those that it does not have."""
    name, version = getattr(logger, "name", None), getattr(logger, "version", None)
    version = f"version_{version}" if isinstance(version, int) else version
    return [str(part) for part in (name, version) if part not in (None, "")]


def folder_of(logger: Any) -> Path | None:
    """Returns where on this machine a logger keeps the files of this run, None if nowhere."""
    place = place_of(logger)
    return None if place is None else path_of(place)


def picture_path(folder: str | Path, key: str, step: int) -> Path:
    """Where a picture is kept as a file."""
    return Path(folder) / f"{key}-step={step}.png"


@dataclass(frozen=True)
class _Entry:
    """What a logger gets of one explanation; see :func:`log_explanation`."""

    tag: str
    numbers: dict[str, float]
    picture: np.ndarray
    step: int
    epoch: int | None
    title: str | None
    page: PageData | None = None
    name: str = PICTURE

    @property
    def key(self) -> str:
        """Under which the picture is logged."""
        return f"{self.tag}/{self.name}"

    @property
    def row(self) -> dict[str, float]:
        """The numbers as a row of a table, whose other rows say their epoch as well."""
        if self.epoch is None or not self.numbers:
            return self.numbers
        return {**self.numbers, "epoch": self.epoch}

    @property
    def step_from_0(self) -> int:
        """The step for services that may refuse a negative one."""
        return max(self.step, 0)


def _log_numbers(logger: Any, numbers: Mapping[str, float], step: int) -> None:
    if numbers:
        logger.log_metrics(numbers, step=step)


def _to_tensorboard(logger: Any, entry: _Entry, settings: Text | None) -> None:
    # The training's own scalar "epoch" is left alone: TensorBoard has no rows to add it to.
    experiment = logger.experiment
    with writer_kept(experiment):
        _log_numbers(logger, entry.numbers, entry.step)
        add_picture(experiment, entry.key, entry.picture, entry.step)
        if settings is not None:
            experiment.add_text(settings.key, settings.table, entry.step)
        if entry.page is not None:
            add_explanation(experiment, entry.tag, entry.page, entry.step, entry.numbers)
    if entry.page is not None:  # only now is it sure that they are in the file
        samples_written.setdefault(experiment, set()).add(entry.page.key)


def _to_wandb(logger: Any, entry: _Entry, settings: Text | None) -> None:
    import wandb

    picture = wandb.Image(entry.picture, caption=entry.title)
    logger.log_metrics({**entry.row, entry.key: [picture]}, step=entry.step)
    if settings is not None:
        config = {settings.group: settings.plain}
        logger.experiment.config.update(config, allow_val_change=True)


def _to_mlflow(logger: Any, entry: _Entry, settings: Text | None) -> None:
    _log_numbers(logger, entry.numbers, entry.step)
    client, run = logger.experiment, logger.run_id
    key = re.sub(r"[^a-zA-Z0-9_\-./ ]", "_", entry.key)  # it refuses others
    client.log_image(run_id=run, image=entry.picture, key=key, step=entry.step)
    if settings is not None:
        client.log_text(run, settings.table, f"{settings.key}.md")


def _to_comet(logger: Any, entry: _Entry, settings: Text | None) -> None:
    step, experiment = entry.step_from_0, logger.experiment
    _log_numbers(logger, entry.row, step)
    about = {"title": entry.title, "epoch": entry.epoch}
    experiment.log_image(entry.picture, name=entry.key, step=step, metadata=about)
    if settings is not None:
        experiment.log_text(settings.table, step=step, metadata={"name": settings.key})


def _to_litlogger(logger: Any, entry: _Entry, settings: Text | None) -> None:
    from litlogger import Image, Text

    step, experiment = entry.step_from_0, logger.experiment
    _log_numbers(logger, entry.numbers, step)
    with TemporaryDirectory() as folder:
        # A file: of an array it would keep every picture in memory as long as the run lasts.
        path = save(entry.picture, picture_path(folder, "picture", step))
        experiment[entry.key].append(Image(str(path), description=entry.title or ""), step=step)
    if settings is not None:
        experiment[settings.key] = Text(settings.table)


def _to_files(logger: Any, entry: _Entry, settings: Text | None) -> str | None:
    _log_numbers(logger, entry.row, entry.step)
    folder = folder_of(logger)
    if folder is None:
        return "has no folder on this machine for pictures"
    save(entry.picture, picture_path(folder, entry.key, entry.step))
    if settings is not None:
        text = json.dumps(settings.plain, indent=2)
        with replacing(folder / f"{settings.key}.json") as partial:
            partial.write_text(f"{text}\n")
    return None


def _to_stranger(logger: Any, entry: _Entry, settings: Text | None) -> str | None:
    """A logger of the user's own, by the methods that it shares with one of Lightning's."""
    if hasattr(logger, "log_image"):
        _log_numbers(logger, entry.row, entry.step)
        logger.log_image(key=entry.key, images=[entry.picture], step=entry.step)
        if settings is not None and hasattr(logger, "log_text"):
            text = [[settings.table]]
            logger.log_text(key=settings.key, columns=["text"], data=text, step=entry.step)
        return None
    if hasattr(getattr(logger, "experiment", None), "add_image"):
        _to_tensorboard(logger, entry, settings)
        return None
    if getattr(logger, "log_dir", None) is not None:
        return _to_files(logger, entry, settings)
    _log_numbers(logger, entry.row, entry.step)
    return "takes numbers, but no pictures"


_BY_NAME: dict[str, Callable[[Any, _Entry, Text | None], str | None]] = {
    "TensorBoardLogger": _to_tensorboard,
    "WandbLogger": _to_wandb,
    "MLFlowLogger": _to_mlflow,
    "CometLogger": _to_comet,
    "LitLogger": _to_litlogger,
    "LightningLogger": _to_litlogger,  # its name in litlogger's own package
    "CSVLogger": _to_files,
    "DummyLogger": lambda logger, entry, settings: None,
}
