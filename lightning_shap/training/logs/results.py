"""Where explanations go: every logger of a trainer, and a folder."""

import errno
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from lightning_shap.errors import ArgumentError
from lightning_shap.explanation.atomic import replacing
from lightning_shap.explanation.record import Record
from lightning_shap.isolation.signals import came_from_explanation
from lightning_shap.page.data import PageData
from lightning_shap.page.run_report import RunReport, path_of
from lightning_shap.pictures.grid import save
from lightning_shap.training.failures import MOST_FAILURES
from lightning_shap.training.lightning import Trainer
from lightning_shap.training.logs.loggers import (
    EVOLUTION,
    PICTURE,
    Ending,
    Settings,
    folder_of,
    is_dummy,
    log_explanation,
    log_picture,
    name_of,
    picture_path,
    place_in,
    place_of,
)
from lightning_shap.training.messages import inform, warn
from lightning_shap.training.moment import Moment

# What stays free of a disk for the training's own logs and checkpoints.
RESERVE = 32 * 2**20


@dataclass
class _Place:
    """A logger or a folder, and how it has served in this fit.

    Attributes:
        name: What messages call it.
        owner: The logger, or the folder.
        folder: Where it writes on this machine, None if nowhere.
        write: As :func:`lightning_shap.training.logs.loggers.log_explanation` without its first
            argument.
        draw: As :func:`lightning_shap.training.logs.loggers.log_picture`, likewise.
        has_settings: It need not get the settings any more.
        failures: How many explanations in a row it has failed to take.
        warned: A message has named what is wrong with it.
    """

    name: str
    owner: object
    folder: Callable[[], Path | None]
    write: Callable[..., str | None]
    draw: Callable[..., str | None]
    has_settings: bool = False
    failures: int = 0
    warned: bool = False


class Results:
    """Writes each explanation to all places, and once what was asked for.

    A place that fails is warned of once, by its name, and keeps no other from its explanation.
    After three failures in a row it is left alone until the next fit.

    Args:
        tag: Under which the settings are logged.
        settings: What was asked for.
        save_dir: A folder for the pictures, or None.
        on_error: ``"raise"`` raises a place's error, once all others have what is theirs.
        report: Also write the page as one HTML file.
    """

    def __init__(
        self,
        tag: str,
        settings: dict[str, Any],
        save_dir: str | None,
        on_error: Literal["warn", "raise"] = "warn",
        report: bool = False,
    ) -> None:
        if save_dir is not None and "://" in str(save_dir):
            raise ArgumentError("save_dir", f"got {save_dir!r}; give a folder of this machine")
        self.has_report = report
        self.settings = Settings(tag, settings)
        self.save_dir = save_dir
        self.on_error = on_error
        self.begin()

    def begin(self) -> None:
        """A new fit: its loggers have no settings yet, and none has failed."""
        self._places: dict[int, _Place] = {}
        self._nobody_noted = False
        self._report = RunReport(self.settings.tag, inform)
        self._returns: str | None = None  # what the model's outputs were taken for, as logged

    def report_state(self) -> dict[str, str]:
        """Where the report of this run is, for one that resumes it."""
        return self._report.state_dict()

    def load_report_state(self, state: Mapping[str, str]) -> None:
        """Begins this run's report with that of the run that is resumed, if it is still there."""
        self._report = RunReport(self.settings.tag, inform, state)

    def write(
        self,
        trainer: Trainer,
        tag: str,
        record: Record,
        picture: np.ndarray,
        title: str,
        page: PageData,
        moment: Moment,
        numbers: Mapping[str, float] | None = None,
        single: Sequence[np.ndarray] = (),
    ) -> None:
        """Writes a picture, the numbers and the page's data to all places, from one process.

        Args:
            trainer: The trainer.
            tag: Under which everything is logged.
            record: How the explanation came about.
            picture: Of the explanation.
            title: What it is of.
            page: What the page shows of it.
            moment: When it was.
            numbers: What else is known of it, by names without the tag.
            single: Pictures of single samples, each to be found under a tag of its own.

        Raises:
            Exception: The first error of a place, with ``on_error="raise"`` alone.
        """
        if not trainer.is_global_zero:
            return
        explained: dict[str, Any] = {"tag": tag, "record": record, "picture": picture}
        explained |= {"step": moment.step, "epoch": moment.epoch, "title": title}
        explained |= {"page": page, "numbers": numbers}
        guess = " (a guess)" if record.returns_guessed else ""
        returns = f"{record.returns or 'unknown'}{guess}"
        values = {**self.settings.values, "isolation": record.isolation, "returns": returns}
        if self._returns not in (None, returns):
            for place in self._places.values():
                place.has_settings = False
        self._returns = returns
        settings = replace(self.settings, values=values)

        def explanation(place: _Place) -> str | None:
            # A place that fails twice may fail for the settings' sake: the third time goes without.
            spare = place.has_settings or place.failures == MOST_FAILURES - 1
            lack = place.write(**explained, settings=None if spare else settings)
            place.has_settings = True
            for number, one in enumerate(single):
                name = f"sample_{number}"
                at = {"step": moment.step, "epoch": moment.epoch, "title": title}
                place.draw(tag=tag, picture=one, name=name, **at)
            return lack

        self._to_all(self._places_of(trainer), explanation)

    def end(
        self,
        trainer: Trainer,
        pictures: Mapping[str, np.ndarray],
        ending: Ending,
        animation: bytes | None = None,
    ) -> None:
        """Writes how a training ended to all places, from one process.

        Args:
            trainer: The trainer.
            pictures: Of its evolution, by their names under the tag.
            ending: The summary.
            animation: A WebP file, for the folders of all places.

        Raises:
            Exception: The first error of a place, with ``on_error="raise"`` alone.
        """
        moment, tag = Moment.of(trainer), ending.tag
        at: dict[str, Any] = {"tag": tag, "step": moment.step, "epoch": moment.epoch}

        def all_of_it(place: _Place) -> str | None:
            words = [ending, *[None] * (len(pictures) - 1)]  # once
            lacks = [
                place.draw(picture=picture, name=name, ending=text, **at)
                for (name, picture), text in zip(pictures.items(), words, strict=True)
            ]
            folder = place.folder()
            if animation is not None and folder is not None:
                path = folder / f"{tag}/{EVOLUTION}.webp"
                path.parent.mkdir(parents=True, exist_ok=True)
                with replacing(path) as partial_file:
                    partial_file.write_bytes(animation)
            return next(filter(None, lacks), None)

        self._to_all(self._places_of(trainer), all_of_it)

    def _to_all(self, places: Sequence[_Place], attempt: Callable[[_Place], str | None]) -> None:
        """Has all places take something; the first error is raised once all others have it."""
        errors = [self._error_of(place, attempt) for place in places]
        for error in errors:
            if error is not None:
                raise error

    def _places_of(self, trainer: Trainer) -> list[_Place]:
        loggers = [logger for logger in trainer.loggers if not is_dummy(logger)]
        is_trial = len(loggers) < len(trainer.loggers)
        reports = self.has_report and not is_trial
        if not loggers and self.save_dir is None and not reports:
            self._say_nobody(is_trial=is_trial)
        kinds = [type(logger).__name__ for logger in loggers]
        places = []
        for number, (logger, kind) in enumerate(zip(loggers, kinds, strict=True)):
            name = kind if kinds.count(kind) == 1 else f"{kind} (loggers[{number}])"
            writers = partial(log_explanation, logger), partial(log_picture, logger)
            place = _Place(name, logger, partial(folder_of, logger), *writers)
            places.append(self._places.setdefault(id(logger), place))
        if self.save_dir is not None:
            folder = Path(self.save_dir)
            save_there = partial(_save, folder)
            place = _Place("save_dir", folder, lambda: folder, save_there, save_there)
            places.append(self._places.setdefault(0, place))
        if reports:
            places.append(self._report_place(trainer))
        return places

    def _report_place(self, trainer: Trainer) -> _Place:
        """The page as one file: in ``save_dir``, else where a logger keeps this run's files."""

        def add(**explained: Any) -> None:
            metrics = partial(_numbers, trainer.callback_metrics)
            folder, name = _home_of(trainer, self.save_dir)
            self._report.add(**explained, metrics=metrics, folder=folder, name=name)

        def folder() -> Path | None:
            return path_of(_home_of(trainer, self.save_dir)[0])

        place = _Place("the report", self._report, folder, add, _nothing)
        return self._places.setdefault(1, place)

    def finish(self, trainer: Trainer) -> None:
        """Has the report hold everything, if it waits for more.

        Raises:
            Exception: If it cannot be written, with ``on_error="raise"`` alone.
        """
        if self.has_report and trainer.is_global_zero:
            self._to_all([self._report_place(trainer)], lambda place: self._report.finish())

    def _error_of(self, place: _Place, attempt: Callable[[_Place], str | None]) -> Exception | None:
        """Writes to one place; returns an error that is to be raised in the end."""
        if place.failures == MOST_FAILURES:
            return None
        try:
            _check_room(place.folder())
            lack = attempt(place)
        except Exception as error:  # whatever a logger, its client or its server come up with
            if not came_from_explanation(error):  # such as a deadline's: it is for the training
                raise
            if self.on_error == "raise":
                error.add_note(f"ShapCallback was logging to {place.name}")
                return error
            if isinstance(error, NoRoomError):  # a look costs nothing, and there may be room again
                self._warn_once(place, f"writes nothing to {place.name}: {error.strerror}")
                return None
            place.failures += 1
            self._warn_once(
                place,
                f"could not log to {place.name}: {type(error).__name__}: {error}; all else goes "
                f"on, and after {MOST_FAILURES} failures in a row {place.name} is left alone",
            )
            return None
        place.failures = 0
        if lack is not None:
            advice = "; give save_dir= to have them as files" if self.save_dir is None else ""
            self._warn_once(place, f"found that {place.name} {lack}{advice}")
        return None

    def _warn_once(self, place: _Place, problem: str) -> None:
        if not place.warned:
            place.warned = True
            warn(f"ShapCallback {problem}")

    def _say_nobody(self, *, is_trial: bool) -> None:
        if self._nobody_noted:
            return
        self._nobody_noted = True
        say, why = (inform, "keeps no logs of a trial run") if is_trial else (warn, "has no logger")
        say(
            f"ShapCallback explains for nobody: the Trainer {why}. Give it one, or the callback "
            "save_dir=, unless another callback uses ShapCallback.explanation"
        )


def _home_of(trainer: Trainer, save_dir: str | None) -> tuple[str, str]:
    """Where a run keeps its report, a path or an address, and the run's name."""
    loggers = [logger for logger in trainer.loggers if not is_dummy(logger)]
    first, root = loggers[:1], str(trainer.default_root_dir)
    places = [save_dir, *map(place_of, loggers), *[place_in(root, one) for one in first], root]
    place = next(place for place in places if place is not None)
    name = "".join(map(name_of, first)) or Path(place).absolute().name
    return place, name or "a training"


class NoRoomError(OSError):
    """A disk is all but full."""


def _check_room(folder: Path | None) -> None:
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


def _numbers(metrics: Mapping[str, Any]) -> dict[str, float]:
    """What the training knows of itself, of the metrics that are single numbers."""
    return {name: float(value) for name, value in metrics.items() if value.numel() == 1}


def _save(
    folder: Path, *, tag: str, picture: np.ndarray, step: int, name: str = PICTURE, **others: Any
) -> None:
    save(picture, picture_path(folder, f"{tag}/{name}", step))


def _nothing(**others: Any) -> None:
    """The report has all epochs already."""
