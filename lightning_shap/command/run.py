"""The run of the command: explain what a job asks for, have the results written and told."""

from pathlib import Path

import torch

from lightning_shap.archive import NAME, merge, save
from lightning_shap.atomic import published
from lightning_shap.command.data.folders import check_any, read_samples
from lightning_shap.command.job import Job, prepared
from lightning_shap.command.options import Options
from lightning_shap.command.results import output_directory, tell, write_beside
from lightning_shap.explainer import explain_found

AT_ONCE = 128  # more images than that are explained in shards, lest they fill the memory


def run(options: Options) -> None:
    """Do what a command asks for.

    Raises:
        ValueError: If something given will not do; the message begins with its name.
        OSError: If a file cannot be found, read or written; likewise.
    """
    job = prepared(options)
    directory = output_directory(options)
    shards = None
    if _in_shards(options):
        from lightning_shap.command.shards import explain_in_shards

        shards = explain_in_shards(job, directory)
        if shards is None:  # another process writes the results
            return
    with published(directory) as folder:
        archive = folder / NAME
        if shards is None:
            _explain_at_once(job, archive)
        else:
            merge(shards.archives, archive, about=job.about(shards.skipped))
        said = write_beside(job, archive)
    if shards is not None:
        shards.remove()
    tell(job, directory, said)


def _in_shards(options: Options) -> bool:
    machines, images = options.machines, options.data.n_samples
    asked = (machines.devices, machines.num_nodes, machines.strategy)
    return images == "all" or images > AT_ONCE or any(value is not None for value in asked)


def _explain_at_once(job: Job, archive: Path) -> None:
    options = job.options
    read = read_samples(
        job.images, job.order, job.wanted, job.prepare, threads=options.data.num_workers
    )
    check_any(read.indices, read.skipped)
    model = job.model.module.to(_device(options.model.accelerator))
    labels = job.labels(read.indices)
    explanation = explain_found(model, read.images, labels=labels, **job.settings)
    save(explanation, archive, about=job.about(read.skipped), files=job.files(read.indices))


def _device(accelerator: str) -> torch.device:
    if accelerator == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device("cuda" if accelerator == "gpu" else accelerator)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(
            f"accelerator: cannot use {accelerator!r} here; give cpu, cuda, mps or auto"
        ) from error
    return device
