"""Notes: what is printed before a run, after it and of its results."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from lightning_shap.command.processes import is_started_by_another
from lightning_shap.command.results import FILES, Results
from lightning_shap.command.text import readable
from lightning_shap.errors import escaped

if TYPE_CHECKING:
    from lightning_shap.command.job import Job

FLAGS = {
    "size": "--crop_size",
    "mean, std": "--mean and --std",
    "pixels": "--mean and --std in their unit",
    "order of classes": "--class_names in its order",
}  # what to give instead of a guess


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
    lines += [f"classes  {line}" for line in results.classes]
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
    print(*map(escaped, lines), sep="\n", flush=True)
