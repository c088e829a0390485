"""The run of the command: explains the images of a job, and has its results written."""

from collections.abc import Callable
from pathlib import Path

from lightning_shap.command.data.reading import check_any
from lightning_shap.command.job import Job, prepare_job
from lightning_shap.command.notes import list_notes, print_notes, print_summary
from lightning_shap.command.options import Options
from lightning_shap.command.paths import FILES, Places
from lightning_shap.command.results import Results, log_event, write_page, write_results
from lightning_shap.command.untrusted import clean, reason
from lightning_shap.errors import ArgumentError, escape
from lightning_shap.explanation.archive import NAME, merge, save
from lightning_shap.explanation.atomic import publish

AT_ONCE = 128  # more images than that are explained in shards, which keeps them out of the memory
BYTES_AT_ONCE = 2**31  # likewise, of attributions


def run(options: Options, places: Places) -> None:
    """Explains what a command asks for.

    Raises:
        ArgumentError: If something given will not do.
        OSError: If a file cannot be written.
        RuntimeError: If the archive is written, but another result is not.
    """
    job = prepare_job(options, places)
    print_notes(list_notes(job))
    if _needs_shards(job):
        from lightning_shap.command.shards import explain_in_shards

        with explain_in_shards(job) as shards:
            if shards is None:  # another process writes the results
                return
            archives, about = shards.archives, job.describe(shards.skipped)
            results = _publish(job, lambda archive: merge(archives, archive, about=about))
    else:
        results = _publish(job, lambda archive: _explain_at_once(job, archive))
    log_event(job, places.output / NAME, results)
    skipped = (results.content or {}).get("skipped", {})
    print_notes(f"skipped {name}: {why}" for name, why in skipped.items())
    print_summary(job, results)
    results.check()


def write_given_page(archive: Path, channels: int | list[int] | None) -> None:
    """Writes the page of an archive that may come from anywhere, and prints its path.

    Raises:
        ArgumentError: If it is no archive, or damaged.
    """
    try:
        print(escape(str(write_page(archive, channels))))
    except Exception as error:  # NumPy and zipfile raise anything on damaged files
        problem = f"{clean(archive.name)} has no page ({reason(error)})"
        raise ArgumentError("model_output_dir", problem) from error


def _publish(job: Job, write: Callable[[Path], object]) -> Results:
    """Has an archive written, and all other results of it."""
    with publish(job.places.output, NAME, FILES) as folder:
        write(folder / NAME)
        return write_results(job, folder / NAME)


def _needs_shards(job: Job) -> bool:
    machines = job.options.machines
    asked = (machines.devices, machines.num_nodes, machines.strategy)
    return (
        job.options.data.n_samples == "all"
        or job.wanted > AT_ONCE
        or job.wanted * job.bytes_per_image > BYTES_AT_ONCE
        or any(value is not None for value in asked)
    )


def _explain_at_once(job: Job, archive: Path) -> None:
    read = job.read(job.order, job.wanted)
    check_any(read.indices, read.skipped)
    job.model.module.to(job.device)
    explanation = job.explain(read)
    save(explanation, archive, about=job.describe(read.skipped), files=job.list_files(read.indices))
