"""The run of the command: explain what a job asks for, have the results written and reported."""

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from lightning_shap.analysis.class_summary.swaps import measure_swaps
from lightning_shap.command.data.reading import check_any, read_samples
from lightning_shap.command.job import Job, prepared
from lightning_shap.command.memory import bounded_memory
from lightning_shap.command.notes import notes_after, notes_before, print_notes, summary
from lightning_shap.command.options import Options
from lightning_shap.command.page import given_archive, write_given_page
from lightning_shap.command.processes import end_with_parent
from lightning_shap.command.results import FILES, Results, log, output_directory, write_beside
from lightning_shap.engine.explain import explain_found
from lightning_shap.errors import escaped
from lightning_shap.explanation.archive import NAME, merge, save
from lightning_shap.explanation.atomic import published

if TYPE_CHECKING:
    from lightning_shap.command.shards import Shards

AT_ONCE = 128  # more images than that are explained in shards, which keeps them out of the memory
BYTES_AT_ONCE = 2**31  # likewise, of attributions


def run(options: Options) -> None:
    """Do what a command asks for.

    Raises:
        ArgumentError: If something given will not do.
        OSError: If a file cannot be written.
        RuntimeError: If the archive is written, but something that belongs to it is not.
    """
    end_with_parent()
    archive = given_archive(options)
    if archive is not None:
        with bounded_memory():
            print(escaped(str(write_given_page(archive, options.results.channels))))
        return
    with bounded_memory():
        job = prepared(options)
    directory = output_directory(options)
    print_notes(notes_before(job))
    # Other devices map far more memory than they use, which a limit would count.
    with bounded_memory() if job.device.type == "cpu" else nullcontext():
        if _in_shards(job):
            from lightning_shap.command.shards import explained_in_shards

            with explained_in_shards(job, directory) as shards:
                if shards is None:  # another process writes the results
                    return
                results = _publish(job, directory, lambda archive: _merge(job, shards, archive))
        else:
            results = _publish(job, directory, lambda archive: _explain_at_once(job, archive))
        log(job, directory / NAME, results)
    print_notes(notes_after(results))
    summary(job, directory, results)
    results.check()


def _publish(job: Job, directory: Path, write: Callable[[Path], None]) -> Results:
    """Have an archive written, and all that belongs to it."""
    with published(directory, NAME, FILES) as folder:
        write(folder / NAME)
        return write_beside(job, folder / NAME)


def _in_shards(job: Job) -> bool:
    machines = job.options.machines
    asked = (machines.devices, machines.num_nodes, machines.strategy)
    return (
        job.options.data.n_samples == "all"
        or job.wanted > AT_ONCE
        or job.wanted * job.bytes_per_image > BYTES_AT_ONCE
        or any(value is not None for value in asked)
    )


def _merge(job: Job, shards: "Shards", archive: Path) -> None:
    merge(shards.archives, archive, about=job.about(shards.skipped))


def _explain_at_once(job: Job, archive: Path) -> None:
    read = read_samples(
        job.images, job.order, job.wanted, job.prepare, threads=job.options.data.num_workers
    )
    check_any(read.indices, read.skipped)
    model = job.model.module.to(job.device)
    labels = job.labels(read.indices)
    explanation = explain_found(model, read.images, labels=labels, **job.settings)
    others = job.others(read)
    if others is not None:
        measure_swaps(model, explanation, read.images, others, job.settings)
    save(explanation, archive, about=job.about(read.skipped), files=job.files(read.indices))
