"""The results of the command: what is written of an archive, and told of it at the end."""

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lightning_shap.archive import load, read_record
from lightning_shap.atomic import check_writable
from lightning_shap.command.data.folders import numbering_note
from lightning_shap.command.report import report
from lightning_shap.pictures.grid import plot, save

if TYPE_CHECKING:
    from lightning_shap.command.job import Job
    from lightning_shap.command.options import Options

PICTURE_ROWS = 64  # more would make a picture that no viewer opens


def output_directory(options: "Options") -> Path:
    """Where the results go, made sure of before any work is done for them.

    Raises:
        OSError: If files cannot be written there, or into the directory of the logs.
    """
    place, asked = Path(options.model.model_output_dir), options.results
    directory = Path(asked.output_dir or (place.parent if place.is_file() else place))
    _make_sure_of("output_dir", directory)
    if asked.logdir is not None:
        _make_sure_of("logdir", Path(asked.logdir))
    return directory


def write_beside(job: "Job", archive: Path) -> dict[str, Any]:
    """Write the picture and the report of an archive, and return the report."""
    said = report(archive)
    text = json.dumps(said, ensure_ascii=False, indent=2, allow_nan=False)
    archive.with_suffix(".json").write_text(text + "\n", encoding="utf-8")
    picture = _picture(job, archive)
    save(picture, archive.with_suffix(".png"))
    if job.options.results.logdir is not None:
        _log(job, archive, picture, job.options.results.logdir)
    return said


def tell(job: "Job", directory: Path, said: Mapping[str, Any]) -> None:
    """The summary, and on stderr what a user should know before trusting it."""
    for note in _notes(job, said):
        print(f"lightning-shap: note: {note}", file=sys.stderr)
    count, known = len(said["images"]), said["accuracy"]
    right = "" if known is None else f", {round(known * count)} of them classified rightly"
    print(
        f"Explained {count} of {len(job.images.names)} images{right}, "
        f"in {said['seconds']:.1f} s, {said['model_seconds']:.1f} s of it in the model.",
        f"model    {job.model.name}: {job.model.source}",
        *(f"{kind:8} {directory / f'explanation.{kind}'}" for kind in ("png", "npz", "json")),
        sep="\n",
    )
    if job.options.results.logdir is not None:
        print(f"logdir   {job.options.results.logdir}")


def _make_sure_of(name: str, directory: Path) -> None:
    try:
        check_writable(directory)
    except OSError as error:
        raise OSError(
            f"{name}: cannot write into {str(directory)!r} ({error.strerror}); "
            f"give another as --{name}"
        ) from error


def _picture(job: "Job", archive: Path) -> np.ndarray:
    prepare = job.prepare
    return plot(
        load(archive, rows=PICTURE_ROWS),
        mean=prepare.mean,
        std=prepare.std,
        channels=job.options.results.channels,
        title=job.model.name,
    )


def _log(job: "Job", archive: Path, picture: np.ndarray, logdir: str) -> None:
    """A TensorBoard event, as the callback writes it for a model that is done."""
    from lightning_shap.loggers import log_explanation
    from lightning_shap.training.lightning import pl

    logger = pl.loggers.TensorBoardLogger(logdir, name="", version="")
    log_explanation(logger, "shap_final", read_record(archive), picture, job.model.step)
    logger.finalize("success")


def _notes(job: "Job", said: Mapping[str, Any]) -> Iterator[str]:
    for name, reason in said["skipped"].items():
        yield f"skipped {name}: {' '.join(reason.split())}"
    images = job.images
    if images.labels is not None and job.options.explanation.class_names is None:
        note = numbering_note(images.class_names or [])
        if note is not None:
            yield note
    if job.prepare.mean is None:
        yield (
            "no mean and std of training are known, so pixels stay from 0 to 1; "
            "if it used others, give --mean and --std"
        )
