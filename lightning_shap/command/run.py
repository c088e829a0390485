"""The run of the command: explains the images of a job, and has its results written."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress

from lightning_shap.command.job import Job, prepare_job
from lightning_shap.command.options import Options
from lightning_shap.command.paths import FILES, Places
from lightning_shap.command.processes import find_rank
from lightning_shap.command.results import Results, write_results
from lightning_shap.command.shards import explain_in_shards
from lightning_shap.command.untrusted import clean, describe_error
from lightning_shap.errors import escape
from lightning_shap.explanation.archive import NAME, merge
from lightning_shap.explanation.atomic import publish

FLAGS = {
    "size": "--crop_size",
    "mean, std": "--mean and --std",
    "order of classes": "--class_names in its order",
}  # to give instead of a guess


def run(options: Options, places: Places) -> None:
    """Explains what a command asks for.

    Raises:
        ArgumentError: If something given will not do.
        OSError: If a file cannot be written.
        RuntimeError: If the archive is written, but another result is not.
    """
    job = prepare_job(options, places)
    _print_notes(_list_notes(job))
    with explain_in_shards(job) as shards:
        if shards is None:
            _print_notes(["other processes are still at work; the last one writes the results"])
            return
        with publish(places.output, NAME, FILES) as folder:
            merge(shards.archives, folder / NAME, about=job.describe(shards.skipped))
            results = write_results(job, folder / NAME)
    _print_notes(f"skipped {name}: {why}" for name, why in shards.skipped.items())
    _print_summary(job, results)
    if results.failure is not None:
        raise RuntimeError(
            f"{NAME} is written, but not all that is made of it ({describe_error(results.failure)})"
        ) from results.failure


def _list_notes(job: Job) -> Iterator[str]:
    """Yields what a user should know before the run, and may want to end it for."""
    yield from job.notes
    if job.guessed:
        guesses = "; ".join(f"{what}: {guess}" for what, guess in job.guessed.items())
        given = [flag for what, flag in FLAGS.items() if what in job.guessed]
        better = f". If training used others, give {', '.join(given)}" if given else ""
        yield f"guessed, since the checkpoint does not say it: {guesses}{better}"


def _print_notes(notes: Iterable[str]) -> None:
    """Prints notes on stderr, from one process of several."""
    for note in notes if find_rank()[0] == 0 else ():
        with suppress(OSError, ValueError):  # a closed stream
            print(f"lightning-shap: note: {clean(note, 1000)}", file=sys.stderr, flush=True)


def _print_summary(job: Job, results: Results) -> None:
    """Prints what was done, and where it is."""
    directory, content = job.places.output, results.content
    lines = []
    if content is not None:
        count, judged = content["count"], [one for one in content["right"] if one is not None]
        few = f" of {len(judged)} with a label" if len(judged) < count else " of them"
        right = f", {sum(judged)}{few} classified rightly" if judged else ""
        lines.append(
            f"Explained {count} of {len(job.images.names)} images{right}, "
            f"in {content['seconds']:.1f} s, {content['model_seconds']:.1f} s of it in the model."
        )
    lines.append(f"model    {job.model.name}: {job.model.source}")
    written = [name for name in FILES if (directory / name).exists()]
    lines += [f"{name.partition('.')[2]:8} {directory / name}" for name in written]
    lines += [f"classes  {line}" for line in results.classes]
    print(*map(escape, lines), sep="\n", flush=True)
