"""The results of the command: what is written of an archive."""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lightning_shap.command.explanation_json import describe_archive
from lightning_shap.command.paths import FILES
from lightning_shap.command.untrusted import clean, reason
from lightning_shap.explanation.archive import (
    ArchiveBlocks,
    load,
    open_archive,
    read_look,
)
from lightning_shap.explanation.explanation import ImageExplanation
from lightning_shap.pictures.grid import plot
from lightning_shap.pictures.saving import save

if TYPE_CHECKING:
    from lightning_shap.command.job import Job

PICTURE_ROWS = 64  # more would make a picture that no viewer opens
PICTURE_BYTES = 2**30  # of attributions that are drawn
TAG = "shap_final"  # of the event, as the callback's for a model that is done


@dataclass
class Results:
    """The results of one archive.

    Attributes:
        content: That of its JSON file, None where there is none.
        picture: Its picture, uint8 (height, width, 3), None where there is none.
        classes: Lines that say what the model looks at in each class, where that is asked for.
        failures: The errors of results that could not be written. The rest is kept all the same:
            explaining takes minutes, and drawing can be done again.
    """

    content: dict[str, Any] | None = None
    picture: np.ndarray | None = None
    classes: Sequence[str] = ()
    failures: dict[str, Exception] = field(default_factory=dict)

    def attempt(self, what: str, work: Callable[[], Any]) -> Any:
        """Returns the outcome of some work, None where it fails."""
        try:
            return work()
        except Exception as error:  # whatever fails here, the archive is worth keeping
            self.failures[what] = error
            return None

    def check(self) -> None:
        """Raises the first failure, once the rest is written.

        Raises:
            RuntimeError: If something failed.
        """
        for what, error in self.failures.items():
            raise RuntimeError(f"no {what} ({reason(error)}); the rest is written") from error


def write_results(job: "Job", archive: Path) -> Results:
    """Writes what is asked for beside an archive."""
    results, asked = Results(), job.options.results
    results.content = results.attempt(FILES[2], lambda: _write_json(archive))
    results.picture = results.attempt(FILES[0], lambda: _draw(job, archive))
    if asked.report:
        results.attempt(FILES[3], lambda: write_page(archive, asked.channels))
    if asked.summary:
        results.classes = results.attempt(FILES[4], lambda: _write_classes(job, archive)) or ()
    return results


def write_page(archive: Path, channels: int | list[int] | None) -> Path:
    """Writes the page of an archive beside it."""
    from lightning_shap.page.report import report

    explanation, look = _load_shown(archive)
    with open_archive(archive) as stored:
        name = str(stored.about["more"].get("model", {}).get("name", "")).strip()
    title = clean(name or archive.name)
    path = archive.with_suffix(".html")
    return report({title: explanation}, path, title=title, channels=channels, **look)


def log_event(job: "Job", archive: Path, results: Results) -> None:
    """Writes a TensorBoard event, where one is asked for."""
    logdir, picture = job.options.results.logdir, results.picture
    if logdir is not None and picture is not None:
        results.attempt("event", lambda: _log(job, archive, picture, logdir))


def _load_shown(archive: Path) -> tuple[ImageExplanation, dict[str, Any]]:
    """Returns the images of an archive that are shown, and how they look."""
    bytes_of_one = 8 * math.prod(load(archive, rows=1).shape)
    return load(archive, rows=_count_shown(bytes_of_one)), read_look(archive)


def _count_shown(bytes_of_one: int) -> int:
    return min(PICTURE_ROWS, max(1, PICTURE_BYTES // bytes_of_one))


def _write_json(archive: Path) -> dict[str, Any]:
    content = describe_archive(archive)
    _dump(content, archive.with_suffix(".json"))
    return content


def _dump(content: dict[str, Any], path: Path) -> None:
    text = json.dumps(content, ensure_ascii=False, indent=2, allow_nan=False)
    # A name that is not UTF-8 becomes an escape of JSON's own, which reads as the same name.
    path.write_bytes(f"{text}\n".encode("utf-8", "backslashreplace"))


def _draw(job: "Job", archive: Path) -> np.ndarray:
    picture = plot(
        load(archive, rows=_count_shown(job.bytes_per_image)),
        mean=job.prepare.mean,
        std=job.prepare.std,
        channels=job.options.results.channels,
        style=job.options.results.style,
        title=clean(job.model.name),
        notes=[f"guessed: {', '.join(job.guessed)}"] if job.guessed else [],
    )
    save(picture, archive.with_suffix(".png"))
    return picture


def _write_classes(job: "Job", archive: Path) -> list[str]:
    """Writes the summary of the classes, as a picture and as JSON, and returns its lines."""
    from lightning_shap.analysis.class_summary.summary import ClassSummary
    from lightning_shap.pictures.class_sheet import draw_class_sheet

    summary = ClassSummary(ArchiveBlocks(archive), seed=job.options.explanation.seed)
    picture = draw_class_sheet(
        summary,
        mean=job.prepare.mean,
        std=job.prepare.std,
        channels=job.options.results.channels,
        title=clean(job.model.name),
    )
    save(picture, archive.with_name(FILES[4]))
    with open_archive(archive) as stored:
        files = stored.read("files").tolist()
    _dump(summary.plain | {"files": files}, archive.with_name(FILES[5]))
    return [clean(line, 1000) for line in summary.lines[1:]]


def _log(job: "Job", archive: Path, picture: np.ndarray, logdir: str) -> None:
    from torch.utils.tensorboard import SummaryWriter

    from lightning_shap.page.data import PageWriter, numbers_of
    from lightning_shap.page.tensorboard import add_explanation, add_picture

    with open_archive(archive) as stored:
        step, numbers = job.model.step, numbers_of(TAG, stored.record)
    explanation, look = _load_shown(archive)
    look |= {"step": step, "title": clean(job.model.name)}
    page = PageWriter().data(explanation, channels=job.options.results.channels, **look)
    with SummaryWriter(logdir) as writer:
        for name, number in numbers.items():
            writer.add_scalar(name, number, step)
        add_picture(writer, f"{TAG}/attributions", picture, step)
        add_explanation(writer, TAG, page, step, numbers)
