"""The results of the command: what is written of an archive, and what is printed of a run."""

import json
import math
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lightning_shap.archive import load, look_of, read_more, read_record, shapes_in
from lightning_shap.atomic import check_writable
from lightning_shap.command.processes import is_started_by_another
from lightning_shap.command.report import report
from lightning_shap.command.text import readable
from lightning_shap.command.untrusted import blaming, existing, reason
from lightning_shap.errors import ArgumentError
from lightning_shap.explanation import ImageExplanation
from lightning_shap.page.data import PageWriter
from lightning_shap.page.report import report as report_page
from lightning_shap.pictures.grid import plot, save

if TYPE_CHECKING:
    from lightning_shap.command.job import Job
    from lightning_shap.command.options import Options

FILES = tuple(f"explanation.{kind}" for kind in ("png", "npz", "json", "html"))
FLAGS = {"size": "--crop_size", "mean, std": "--mean and --std"}  # what to give instead of a guess
PICTURE_ROWS = 64  # more would make a picture that no viewer opens
PICTURE_BYTES = 2**30  # of attributions that are drawn


@dataclass
class Results:
    """What came of an archive.

    Attributes:
        report: Its report, None where there is none.
        picture: Its picture, uint8 (height, width, 3), None where there is none.
        failures: What could not be written, and why. The rest is kept all the same: explaining
            takes minutes, and drawing can be done again.
    """

    report: dict[str, Any] | None = None
    picture: np.ndarray | None = None
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
    _make_sure_of("output_dir", directory)
    if asked.logdir is not None:
        _make_sure_of("logdir", Path(asked.logdir))
    return directory


def given_archive(options: "Options") -> Path | None:
    """The archive whose page is asked for, where it stands in place of a model.

    Raises:
        ArgumentError: If an archive is given, but not for its page.
    """
    place = Path(str(options.model.model_output_dir))
    if place.suffix != ".npz":
        return None
    if not options.results.report:
        raise ArgumentError(
            "model_output_dir", "is an archive of an explanation; add --report to have its page"
        )
    return place


def write_beside(job: "Job", archive: Path) -> Results:
    """Write the picture and the report of an archive."""
    results = Results()
    results.report = results.attempt(FILES[2], lambda: _write_report(archive))
    results.picture = results.attempt(FILES[0], lambda: _draw(job, archive))
    if job.options.results.report:
        results.attempt(FILES[3], lambda: write_page(archive, job.options.results.channels))
    return results


def write_given_page(archive: Path, channels: int | list[int] | None) -> Path:
    """Write the page of an archive that may come from anywhere.

    Raises:
        ArgumentError: If it is none, or damaged.
    """
    existing("model_output_dir", str(archive), "give the explanation.npz of a command")
    try:
        with blaming("path", f"{readable(archive.name)} has no page"):
            return write_page(archive, channels)
    except ArgumentError as error:
        argument = "model_output_dir" if error.argument == "path" else error.argument
        raise ArgumentError(argument, error.problem) from error


def write_page(archive: Path, channels: int | list[int] | None) -> Path:
    """Write the page of an archive beside it."""
    explanation, look = _shown(archive)
    path = archive.with_suffix(".html")
    title = readable(str(read_more(archive).get("model", {}).get("name", archive.name)))
    return report_page({title: explanation}, path, title=title, channels=channels, **look)


def log(job: "Job", archive: Path, results: Results) -> None:
    """A TensorBoard event, where one is asked for."""
    logdir = job.options.results.logdir
    if logdir is not None and results.picture is not None:
        picture = results.picture
        results.attempt("event", lambda: _log(job, archive, picture, logdir))


def print_notes(notes: Iterable[str]) -> None:
    """Notes on stderr, from one process of several."""
    if is_started_by_another():
        return
    for note in notes:
        with suppress(OSError, ValueError):  # nobody reads what a closed stream says
            print(f"lightning-shap: note: {readable(note, 1000)}", file=sys.stderr, flush=True)


def notes_before(job: "Job") -> Iterator[str]:
    """What a user should know before the run, and may want to end it for."""
    yield from job.notes
    if job.guessed:
        guesses = "; ".join(f"{what}: {guess}" for what, guess in job.guessed.items())
        given = [flag for what, flag in FLAGS.items() if what in job.guessed]
        better = f". If training used others, give {', '.join(given)}" if given else ""
        yield f"guessed, since the checkpoint does not say it: {guesses}{better}"


def notes_after(results: Results) -> Iterator[str]:
    """What came up in the run."""
    for name, why in (results.report or {}).get("skipped", {}).items():
        yield f"skipped {name}: {why}"


def summary(job: "Job", directory: Path, results: Results) -> None:
    """What was done, and where it is."""
    written = [name for name in FILES if (directory / name).exists()]
    lines = [f"model    {job.model.name}: {job.model.source}"]
    lines += [f"{name.partition('.')[2]:8} {directory / name}" for name in written]
    if results.report is not None:
        count, known = len(results.report["images"]), results.report["accuracy"]
        right = "" if known is None else f", {round(known * count)} of them classified rightly"
        lines.insert(
            0,
            f"Explained {count} of {len(job.images.names)} images{right}, "
            f"in {results.report['seconds']:.1f} s, "
            f"{results.report['model_seconds']:.1f} s of it in the model.",
        )
    if job.options.results.logdir is not None and "event" not in results.failures:
        lines.append(f"logdir   {job.options.results.logdir}")
    print(*lines, sep="\n", flush=True)


def _make_sure_of(name: str, directory: Path) -> None:
    try:
        check_writable(directory)
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


def _shown(archive: Path) -> tuple[ImageExplanation, dict[str, Any]]:
    """The images of an archive that a page shows, and how they look."""
    sizes = shapes_in(archive).get("values", (1,))[1:]
    rows = min(PICTURE_ROWS, max(1, PICTURE_BYTES // (8 * math.prod(sizes))))
    return load(archive, rows=rows), look_of(archive)


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


def _log(job: "Job", archive: Path, picture: np.ndarray, logdir: str) -> None:
    """A TensorBoard event, as the callback writes it for a model that is done."""
    from lightning_shap.loggers import log_explanation
    from lightning_shap.training.lightning import pl

    logger = pl.loggers.TensorBoardLogger(logdir, name="", version="")
    explanation, look = _shown(archive)
    look |= {"step": job.model.step, "title": readable(job.model.name)}
    page = PageWriter().data(explanation, channels=job.options.results.channels, **look)
    record = read_record(archive)
    log_explanation(logger, "shap_final", record, picture, job.model.step, page=page)
    logger.finalize("success")
