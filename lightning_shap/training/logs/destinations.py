"""Write explanations to every logger of a trainer, to a folder, and to the run's report."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from lightning_shap.explanation.atomic import replace_whole
from lightning_shap.explanation.record import Record
from lightning_shap.isolation.signals import came_from_explanation
from lightning_shap.page.data import PageData
from lightning_shap.page.run_report import RunReport, find_local_path
from lightning_shap.pictures.saving import save
from lightning_shap.training.configuration import Configuration
from lightning_shap.training.failures import MOST_FAILURES
from lightning_shap.training.lightning import Trainer
from lightning_shap.training.logs.disk import (
    NoRoomError,
    check_room,
    find_folder,
    find_name,
    find_place,
    find_place_in,
    name_picture,
)
from lightning_shap.training.logs.loggers import (
    EVOLUTION,
    SETTINGS,
    Entry,
    Text,
    is_dummy,
    log_entry,
    log_report,
)
from lightning_shap.training.messages import inform, warn
from lightning_shap.training.moment import Moment

REPORT = "the report"


@dataclass
class _Place:
    """Holds a logger, a folder or the report, and how it has served in this fit.

    Attributes:
        name: What messages call it.
        folder: Returns where it writes on this machine, None if nowhere.
        write: Takes an entry; returns what it has no place for.
        keep: Takes the report, by the tag and the file.
        settings: What it was last told of the settings.
        failures: How many explanations in a row it has failed to take.
        warned: A message has named what is wrong with it.
    """

    name: str
    folder: Callable[[], Path | None]
    write: Callable[[Entry], str | None]
    keep: Callable[[str, Path], None] = lambda tag, page: None
    settings: str = ""
    failures: int = 0
    warned: bool = False


class Destinations:
    """Writes each explanation of a fit to all places, and once what was asked for.

    A place that fails is warned of once, by its name, and keeps no other from its explanation.
    After three failures in a row it is left alone until the next fit.

    Args:
        asked: What the callback was given.
        trainer: The trainer, of the process that writes.
    """

    def __init__(self, asked: Configuration, trainer: Trainer) -> None:
        self.asked = asked
        self.trainer = trainer
        self._report = RunReport(asked.tag, inform)

    def state_dict(self) -> dict[str, str]:
        """Returns where the report of this run is, for one that resumes it."""
        return self._report.state_dict()

    def load_state_dict(self, state: Mapping[str, str]) -> None:
        """Begins this run's report with that of the run that is resumed, if it is still there."""
        self._report = RunReport(self.asked.tag, inform, state)

    def write(self, entry: Entry, record: Record, single: Sequence[np.ndarray] = ()) -> None:
        """Writes an explanation to all places.

        Args:
            entry: Of all samples.
            record: How the explanation came about.
            single: Pictures of single samples, each to be found under a tag of its own.

        Raises:
            Exception: The first error of a place, with ``on_error="raise"`` alone.
        """
        guess = " (a guess)" if record.returns_guessed else ""
        returns = f"{record.returns or 'unknown'}{guess}"
        values = {**self.asked.settings, "isolation": record.isolation, "returns": returns}
        values |= {"max_evals": record.max_evals}  # which a time budget may lower
        settings = _put_in_words(self.asked.tag, values)

        def write_all(place: _Place) -> str | None:
            told, place.settings = place.settings, settings.table  # once, even if it fails
            lack = place.write(entry if told == settings.table else replace(entry, text=settings))
            for number, picture in enumerate(single):
                alone = replace(
                    entry, picture=picture, card=None, name=f"sample_{number}", numbers={}
                )
                place.write(replace(alone, page=None))
            return lack

        self._write_to(self._places, write_all)

    def end(
        self,
        pictures: Mapping[str, np.ndarray],
        ending: Text,
        animation: bytes | None = None,
        page: PageData | None = None,
        page_tag: str | None = None,
        cards: Mapping[str, np.ndarray] = MappingProxyType({}),
    ) -> None:
        """Writes how a training ended to all places.

        Args:
            pictures: By their names under the tag.
            ending: The words.
            animation: A WebP file, for the folders of all places.
            page: What the SHAP tab shows.
            page_tag: Under which it does.
            cards: Of some pictures, by their names, for places that show them small.

        Raises:
            Exception: The first error of a place, with ``on_error="raise"`` alone.
        """
        moment, tag = Moment.find(self.trainer), ending.tag
        entries = [
            Entry(
                tag=tag,
                picture=picture,
                step=moment.step,
                epoch=moment.epoch,
                name=name,
                card=cards.get(name),
                is_single=True,
            )
            for name, picture in pictures.items()
        ]
        entries[0] = replace(entries[0], text=ending, page=page, page_tag=page_tag)  # once

        def write_all(place: _Place) -> str | None:
            lacks = [place.write(entry) for entry in entries]
            folder = place.folder()
            if animation is not None and folder is not None:
                path = folder / f"{tag}/{EVOLUTION}.webp"
                path.parent.mkdir(parents=True, exist_ok=True)
                with replace_whole(path) as partial_file:
                    partial_file.write_bytes(animation)
            return next(filter(None, lacks), None)

        self._write_to(self._places, write_all)

    def finish(self) -> None:
        """Has the report hold everything, if it waits for more.

        Raises:
            Exception: If it cannot be written, with ``on_error="raise"`` alone.
        """
        if self.asked.report:
            reports = [place for place in self._places if place.name == REPORT]
            self._write_to(reports, lambda place: self._report.finish())
            page = self._report.place
            if page is not None:
                self._write_to(self._places, lambda place: place.keep(self.asked.tag, page))

    @cached_property
    def _places(self) -> list[_Place]:
        loggers = [logger for logger in self.trainer.loggers if not is_dummy(logger)]
        kinds = [type(logger).__name__ for logger in loggers]
        places = []
        for number, (logger, kind) in enumerate(zip(loggers, kinds, strict=True)):
            name = kind if kinds.count(kind) == 1 else f"{kind} (loggers[{number}])"
            taken = partial(log_entry, logger), partial(log_report, logger)
            places.append(_Place(name, partial(find_folder, logger), *taken))
        if self.asked.save_dir is not None:
            folder = Path(self.asked.save_dir)
            places.append(_Place("save_dir", lambda: folder, partial(_save, folder)))
        is_trial = len(loggers) < len(self.trainer.loggers)
        if self.asked.report and not is_trial:
            places.append(
                _Place(REPORT, lambda: find_local_path(self._find_home()[0]), self._report_entry)
            )
        if not places:
            say, why = (
                (inform, "keeps no logs of a trial run") if is_trial else (warn, "has no logger")
            )
            say(
                f"ShapCallback logs nothing: the Trainer {why}. Give it one, or the callback "
                "save_dir=, unless another callback uses ShapCallback.explanation"
            )
        return places

    def _report_entry(self, entry: Entry) -> None:
        if entry.page is not None:
            metrics = self.trainer.callback_metrics
            own = {name: float(value) for name, value in metrics.items() if value.numel() == 1}
            folder, name = self._find_home()
            numbers = {**own, **entry.numbers}
            self._report.add(
                folder=folder,
                name=name,
                tag=entry.page_tag or entry.tag,
                page=entry.page,
                numbers=numbers,
            )

    def _find_home(self) -> tuple[str, str]:
        """Returns where a run keeps its report, a path or an address, and the run's name."""
        first = [logger for logger in self.trainer.loggers if not is_dummy(logger)][:1]
        root = str(self.trainer.default_root_dir)
        places = [self.asked.save_dir, *map(find_place, first)]
        places += [*(find_place_in(root, logger) for logger in first), root]
        place = next(str(place) for place in places if place is not None)
        name = "".join(map(find_name, first)) or Path(place).absolute().name
        return place, name or "a training"

    def _write_to(self, places: Sequence[_Place], attempt: Callable[[_Place], str | None]) -> None:
        """Has places take something; the first error is raised once all others have it."""
        errors = [self._try(place, attempt) for place in places]
        for error in errors:
            if error is not None:
                raise error

    def _try(self, place: _Place, attempt: Callable[[_Place], str | None]) -> Exception | None:
        """Writes to one place; returns an error that is to be raised in the end."""
        if place.failures == MOST_FAILURES:
            return None
        try:
            check_room(place.folder())
            lack = attempt(place)
        except Exception as error:  # whatever a logger, its client or its server come up with
            if not came_from_explanation(error):  # such as a deadline's: it is for the training
                raise
            if self.asked.on_error == "raise":
                error.add_note(f"ShapCallback was logging to {place.name}")
                return error
            if isinstance(error, NoRoomError):  # a look costs nothing, and there may be room again
                _warn_once(place, f"writes nothing to {place.name}: {error.strerror}")
                return None
            place.failures += 1
            _warn_once(
                place,
                f"could not log to {place.name}: {type(error).__name__}: {error}; all else goes "
                f"on, and after {MOST_FAILURES} failures in a row {place.name} is left alone",
            )
            return None
        place.failures = 0
        if lack is not None:
            advice = "; give save_dir= to have them as files" if self.asked.save_dir is None else ""
            _warn_once(place, f"found that {place.name} {lack}{advice}")
        return None


def _put_in_words(tag: str, settings: Mapping[str, Any]) -> Text:
    """Returns settings as a markdown table, and as JSON has them: what it lacks is in words."""
    rows = [f"| {name} | {value} |" for name, value in settings.items()]
    table = "\n".join(["| setting | value |", "| --- | --- |", *rows])
    plain = json.loads(json.dumps(dict(settings), default=str))
    return Text(tag=tag, name=SETTINGS, table=table, plain=plain)


def _warn_once(place: _Place, problem: str) -> None:
    if not place.warned:
        place.warned = True
        warn(f"ShapCallback {problem}")


def _save(folder: Path, entry: Entry) -> None:
    save(entry.pixels, name_picture(folder, entry.key, entry.step))
