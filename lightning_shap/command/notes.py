"""Notes: sentences on stderr before and after a run, and a summary on stdout."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from lightning_shap.command.paths import FILES
from lightning_shap.command.processes import is_first_rank
from lightning_shap.command.untrusted import clean
from lightning_shap.errors import escape

if TYPE_CHECKING:
    from lightning_shap.command.job import Job
    from lightning_shap.command.results import Results

FLAGS = {
    "size": "--crop_size",
    "mean, std": "--mean and --std",
    "pixels": "--mean and --std in their unit",
    "order of classes": "--class_names in its order",
}  # to give instead of a guess


def print_notes(notes: Iterable[str]) -> None:
    """Prints notes on stderr, from one process of several."""
    if not is_first_rank():
        return
    for note in notes:
        with suppress(OSError, ValueError):  # a closed stream
            print(f"lightning-shap: note: {clean(note, 1000)}", file=sys.stderr, flush=True)


def list_notes(job: "Job") -> Iterator[str]:
    """Yields what a user should know before the run, and may want to end it for."""
    yield from job.notes
    if job.guessed:
        guesses = "; ".join(f"{what}: {guess}" for what, guess in job.guessed.items())
        given = [flag for what, flag in FLAGS.items() if what in job.guessed]
        better = f". If training used others, give {', '.join(given)}" if given else ""
        yield f"guessed, since the checkpoint does not say it: {guesses}{better}"


def print_summary(job: "Job", results: "Results") -> None:
    """Prints what was done, and where it is."""
    directory, content = job.places.output, results.content
    lines = []
    if content is not None:
        count, known = len(content["images"]), content["accuracy"]
        right = "" if known is None else f", {round(known * count)} of them classified rightly"
        lines.append(
            f"Explained {count} of {len(job.images.names)} images{right}, "
            f"in {content['seconds']:.1f} s, {content['model_seconds']:.1f} s of it in the model."
        )
    lines.append(f"model    {job.model.name}: {job.model.source}")
    written = [name for name in FILES if (directory / name).exists()]
    lines += [f"{name.partition('.')[2]:8} {directory / name}" for name in written]
    lines += [f"classes  {line}" for line in results.classes]
    if job.options.results.logdir is not None and "event" not in results.failures:
        lines.append(f"logdir   {job.options.results.logdir}")
    print(*map(escape, lines), sep="\n", flush=True)
