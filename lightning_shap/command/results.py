"""The results of the command: what is written of an archive."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lightning_shap.command.page import PICTURE_BYTES, PICTURE_ROWS, shown, write_page
from lightning_shap.command.report import report
from lightning_shap.command.text import readable
from lightning_shap.command.untrusted import reason
from lightning_shap.errors import ArgumentError
from lightning_shap.explanation.archive import load, read, read_record
from lightning_shap.explanation.atomic import check_writable
from lightning_shap.page.data import PageWriter
from lightning_shap.pictures.grid import plot, save

if TYPE_CHECKING:
    from lightning_shap.command.job import Job
    from lightning_shap.command.options import Options

FILES = (
    *(f"explanation.{kind}" for kind in ("png", "npz", "json", "html")),
    *(f"classes.{kind}" for kind in ("png", "json")),
)


@dataclass
class Results:
    """What came of an archive.

    Attributes:
        report: Its report, None where there is none.
        picture: Its picture, uint8 (height, width, 3), None where there is none.
        classes: What the images say of each class, a line each, where that is asked for.
        failures: What could not be written, and why. The rest is kept all the same: explaining
            takes minutes, and drawing can be done again.
    """

    report: dict[str, Any] | None = None
    picture: np.ndarray | None = None
    classes: Sequence[str] = ()
    failures: dict[str, Exception] = field(default_factory=dict)

    def attempt(self, what: str, work: Callable[[], Any]) -> Any:
        """The outcome of some work, None where it fails."""
        try:
            return work()
        except Exception as error:  # whatever fails here, the archive is worth keeping
            self.failures[what] = error
            return None

    def check(self) -> None:
        """Say what failed, once the rest is written.

        Raises:
            RuntimeError: If something did.
        """
        for what, error in self.failures.items():
            raise RuntimeError(f"no {what} ({reason(error)}); the rest is written") from error


def output_directory(options: "Options") -> Path:
    """Where the results go, made sure of before any work is done for them.

    Raises:
        ArgumentError: If files cannot be written there, or into the directory of the logs.
    """
    place, asked = Path(str(options.model.model_output_dir)), options.results
    directory = Path(asked.output_dir or (place.parent if place.is_file() else place))
    _make_sure_of("output_dir", directory, FILES)
    if asked.logdir is not None:
        _make_sure_of("logdir", Path(asked.logdir))
    return directory


def write_beside(job: "Job", archive: Path) -> Results:
    """Write the picture and the report of an archive."""
    results = Results()
    results.report = results.attempt(FILES[2], lambda: _write_report(archive))
    results.picture = results.attempt(FILES[0], lambda: _draw(job, archive))
    if job.options.results.report:
        results.attempt(FILES[3], lambda: write_page(archive, job.options.results.channels))
    if job.options.results.summary:
        results.classes = results.attempt(FILES[4], lambda: _write_classes(job, archive)) or ()
    return results


def log(job: "Job", archive: Path, results: Results) -> None:
    """A TensorBoard event, where one is asked for."""
    logdir = job.options.results.logdir
    if logdir is not None and results.picture is not None:
        picture = results.picture
        results.attempt("event", lambda: _log(job, archive, picture, logdir))


def _make_sure_of(name: str, directory: Path, files: Sequence[str] = ()) -> None:
    try:
        check_writable(directory, files)
    except (OSError, ValueError) as error:
        raise ArgumentError(
            name,
            f"cannot write into {readable(repr(str(directory)))} ({reason(error)}); "
            f"give another as --{name}",
        ) from error


def _write_report(archive: Path) -> dict[str, Any]:
    content = report(archive)
    text = json.dumps(content, ensure_ascii=False, indent=2, allow_nan=False)
    # A name that is not UTF-8 becomes an escape of JSON's own, which reads as the same name.
    archive.with_suffix(".json").write_bytes(f"{text}\n".encode("utf-8", "backslashreplace"))
    return content


def _draw(job: "Job", archive: Path) -> np.ndarray:
    prepare = job.prepare
    rows = min(PICTURE_ROWS, max(1, PICTURE_BYTES // job.bytes_per_image))
    picture = plot(
        load(archive, rows=rows),
        mean=prepare.mean,
        std=prepare.std,
        channels=job.options.results.channels,
        style=job.options.results.style,
        title=readable(job.model.name),
        notes=[f"guessed: {', '.join(job.guessed)}"] if job.guessed else [],
    )
    save(picture, archive.with_suffix(".png"))
    return picture


def _write_classes(job: "Job", archive: Path) -> list[str]:
    """The summary of the classes, as a picture and as JSON; its lines."""
    from lightning_shap.analysis.class_summary.summary import Survey
    from lightning_shap.explanation.blocks import ArchiveBlocks
    from lightning_shap.pictures.classes import classes

    survey = Survey(ArchiveBlocks(archive), seed=job.options.explanation.seed)
    picture = classes(
        survey,
        mean=job.prepare.mean,
        std=job.prepare.std,
        channels=job.options.results.channels,
        title=readable(job.model.name),
    )
    save(picture, archive.with_name(FILES[4]))
    content = survey.plain | {"files": [str(file) for file in read(archive, "files")]}
    text = json.dumps(content, ensure_ascii=False, indent=2, allow_nan=False)
    archive.with_name(FILES[5]).write_bytes(f"{text}\n".encode("utf-8", "backslashreplace"))
    return [readable(line, 1000) for line in survey.lines[1:]]


def _log(job: "Job", archive: Path, picture: np.ndarray, logdir: str) -> None:
    """A TensorBoard event, as the callback writes it for a model that is done."""
    from lightning_shap.training.lightning import pl
    from lightning_shap.training.logs.loggers import log_explanation

    logger = pl.loggers.TensorBoardLogger(logdir, name="", version="")
    explanation, look = shown(archive)
    look |= {"step": job.model.step, "title": readable(job.model.name)}
    page = PageWriter().data(explanation, channels=job.options.results.channels, **look)
    record = read_record(archive)
    log_explanation(logger, "shap_final", record, picture, job.model.step, page=page)
    logger.finalize("success")
