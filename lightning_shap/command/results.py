"""The results of the command: what is written of an archive."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lightning_shap.command.explanation_json import encode_json, write_json
from lightning_shap.command.untrusted import clean
from lightning_shap.explanation.archive import ArchiveBlocks, load, open_archive, read_look
from lightning_shap.explanation.explanation import ImageExplanation
from lightning_shap.pictures.grid import plot
from lightning_shap.pictures.saving import save

if TYPE_CHECKING:
    from lightning_shap.analysis.class_summary.summary import ClassSummary
    from lightning_shap.command.job import Job

PICTURE_ROWS = 64  # more would make a picture that no viewer opens
PICTURE_BYTES = 2**30  # of attributions that are drawn
PAGE_ROWS = 20_000  # of which the page is tried, see examples/benchmarks/page.py


@dataclass
class Results:
    """The results of one archive.

    Attributes:
        content: What its JSON file says of all images, None where there is none.
        classes: Lines that say what the model looks at in each class, where that is asked for.
        failure: The error that ended the writing, if one did. The rest is kept all the same:
            explaining takes minutes, and drawing can be done again.
    """

    content: dict[str, Any] | None = None
    classes: Sequence[str] = ()
    failure: Exception | None = None


def write_results(job: "Job", archive: Path) -> Results:
    """Writes what is asked for beside an archive."""
    results, asked = Results(), job.options.results
    try:
        path = archive.with_suffix(".json")
        results.content = write_json(archive, path, asked.region)
        room = max(1, PICTURE_BYTES // job.bytes_per_image)
        shown = load(archive, rows=min(PAGE_ROWS if asked.report else PICTURE_ROWS, room))
        _draw(job, shown[:PICTURE_ROWS], archive.with_suffix(".png"))
        summary = _summarize(job, archive) if asked.summary else None
        if asked.report:
            _write_page(job, archive, shown, summary)
        if summary is not None:
            results.classes = _write_classes(job, archive, summary)
    except Exception as error:  # whatever fails here, the archive is worth keeping
        results.failure = error
    return results


def _draw(job: "Job", shown: ImageExplanation, path: Path) -> None:
    picture = plot(
        shown,
        mean=job.prepare.mean,
        std=job.prepare.std,
        style=job.options.results.style,
        title=clean(job.model.name),
        region=job.options.results.region,
        notes=[f"guessed: {', '.join(job.guessed)}"] if job.guessed else [],
    )
    save(picture, path)


def _write_page(
    job: "Job", archive: Path, shown: ImageExplanation, summary: "ClassSummary | None"
) -> None:
    """Writes the page of an archive's first images."""
    from lightning_shap.page.class_facts import list_classes
    from lightning_shap.page.data import PageWriter, list_numbers
    from lightning_shap.page.report import ARCHIVE, Pages

    title = clean(job.model.name)
    classes = None if summary is None else list_classes(summary)
    page = PageWriter().make(shown, **read_look(archive), title=title, classes=classes)
    pages = Pages()
    pages.add(title, ARCHIVE, page, list_numbers("shap", shown.record))
    pages.write(archive.with_suffix(".html"), title)


def _summarize(job: "Job", archive: Path) -> "ClassSummary":
    from lightning_shap.analysis.class_summary.summary import ClassSummary

    watched, seed = [part.name for part in job.watched], job.options.explanation.seed
    return ClassSummary(ArchiveBlocks(archive), seed=seed, watched=watched)


def _write_classes(job: "Job", archive: Path, summary: "ClassSummary") -> list[str]:
    """Writes the summary of the classes, as a picture and as JSON, and returns its lines."""
    from lightning_shap.pictures.class_sheet import draw_class_sheet

    asked = job.options
    picture = draw_class_sheet(
        summary, mean=job.prepare.mean, std=job.prepare.std, title=clean(job.model.name)
    )
    save(picture, archive.with_name("classes.png"))
    with open_archive(archive) as stored:
        files = stored.read("files").tolist()
    content = encode_json(summary.plain | {"files": files}, indent=2)
    archive.with_name("classes.json").write_bytes(content + b"\n")
    lines = [clean(line, 1000) for line in summary.lines[1:]]
    found = [*summary.suspicions, *summary.facts]
    if not asked.results.cure:
        return lines
    if not found:
        return [*lines, "no classes_cure.py was written: nothing was found that needs one"]
    from lightning_shap.analysis.class_summary.cure import mark_places, write_code

    height, width, _ = summary.size
    masks = mark_places(found, summary.names, (height, width))
    code = write_code(summary.cure())
    archive.with_name("classes_cure.py").write_text(code, encoding="utf-8")
    np.savez(archive.with_name("classes_masks.npz"), classes=[*masks], masks=[*masks.values()])
    return [*lines, "classes_cure.py takes that from images, classes_masks.npz has where it is"]
