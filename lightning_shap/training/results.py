"""Where explanations go: every logger of a trainer, and a folder."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from pytorch_lightning import Trainer

from lightning_shap.explanation import Record
from lightning_shap.loggers import PICTURE, log_explanation, log_text, picture_path
from lightning_shap.pictures.grid import save


class Destinations:
    """Tells every place of each explanation, and once what was asked for.

    Args:
        tag: Under which the settings are logged.
        settings: What was asked for.
        save_dir: A folder for the pictures, or None.
    """

    def __init__(self, tag: str, settings: dict[str, Any], save_dir: str | None) -> None:
        self.tag = tag
        self.settings = settings
        self.save_dir = save_dir
        self.begin()

    def begin(self) -> None:
        """A new fit: its loggers have not been told the settings."""
        self._settings_told = False

    def tell(self, trainer: Trainer, tag: str, record: Record, picture: np.ndarray) -> None:
        """Writes a picture and the numbers to all places, from one process.

        A place that fails does not keep them from the others; its error is raised in the end.
        """
        if not trainer.is_global_zero:
            return
        step = trainer.global_step
        writes: list[Callable[[], object]] = []
        for logger in trainer.loggers:
            writes.append(partial(log_explanation, logger, tag, record, picture, step))
            if not self._settings_told:
                text = _as_table({**self.settings, "isolation": record.isolation})
                writes.append(partial(log_text, logger, f"{self.tag}/settings", text, step))
        if self.save_dir is not None:
            path = picture_path(self.save_dir, f"{tag}/{PICTURE}", step)
            writes.append(partial(save, picture, path))
        self._settings_told = True
        failures = [error for error in map(_failure_of, writes) if error is not None]
        if failures:
            raise failures[0]


def _failure_of(write: Callable[[], object]) -> Exception | None:
    try:
        write()
    except Exception as error:
        return error
    return None


def _as_table(settings: dict[str, Any]) -> str:
    """Settings as a markdown table."""
    rows = [f"| {name} | {value} |" for name, value in settings.items()]
    return "\n".join(["| setting | value |", "| --- | --- |", *rows])
