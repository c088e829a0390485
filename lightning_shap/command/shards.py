"""Shards: many images through ``Trainer.predict``, in parts of bounded memory that resume.

A shard is a run of the images in their order. Each is explained for itself and written to its own
files, so that whatever ends a run early costs no more than the shards it was at. Lightning deals
them out to devices and machines.
"""

import hashlib
import json
import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
from torch.multiprocessing.spawn import ProcessRaisedException
from torch.utils.data import DataLoader

from lightning_shap.command.data.reading import check_any
from lightning_shap.command.processes import end_with_parent
from lightning_shap.command.untrusted import blame
from lightning_shap.errors import ArgumentError
from lightning_shap.explanation.archive import save
from lightning_shap.explanation.atomic import (
    make_work_folder,
    open_regular,
    remove_work,
    replace_whole,
    work_folder,
)

try:
    import pytorch_lightning as pl
except ImportError:  # either name will do
    import lightning.pytorch as pl  # type: ignore[no-redef]

if TYPE_CHECKING:
    from lightning_shap.command.job import Job

SHARD_IMAGES = 16
SHARD_BYTES = 2**26  # of attributions


class Shards(NamedTuple):
    """The shards of a job, all explained.

    Attributes:
        archives: Of the images, in their order.
        skipped: The names of images that could not be read, and why.
    """

    archives: list[Path]
    skipped: dict[str, str]


@contextmanager
def explain_in_shards(job: "Job") -> Iterator[Shards | None]:
    """Explains a job's images on the machines it asks for.

    The shards are kept beside the results until all are there, and for as long as they are used.

    Yields:
        The shards, to one process; None to the others.

    Raises:
        ArgumentError: If there are no such machines, no image can be read, or another process is
            at the same images.
    """
    trainer, numbers = _make_trainer(job), _deal(job)
    with _hold_folder(trainer, job.places.output, f"{_fingerprint(job, numbers)}.shards") as folder:
        _explain_missing(job, trainer, folder, numbers)
        if not trainer.is_global_zero:
            yield None
            return
        skipped: dict[str, str] = {}
        for shard in range(len(numbers)):
            with open_regular(_find_receipt(folder, shard)) as receipt:
                skipped |= json.load(receipt)
        archives = sorted(folder.glob("*.npz"))
        if not archives:
            remove_work(folder)
        check_any(archives, skipped)
        yield Shards(archives, skipped)
        remove_work(folder)


@contextmanager
def _hold_folder(trainer: pl.Trainer, directory: Path, name: str) -> Iterator[Path]:
    """Yields the folder of a job's shards, which one process holds for all."""
    if not trainer.is_global_zero:
        yield make_work_folder(directory, name)
        return
    held = ExitStack()
    try:
        folder = held.enter_context(work_folder(directory, name))
    except BlockingIOError as error:
        raise ArgumentError(
            "output_dir",
            f"another lightning-shap explains the same images into {str(directory)!r}; "
            "wait for it, or give another --output_dir",
        ) from error
    with held:
        yield folder


def _explain_missing(
    job: "Job", trainer: pl.Trainer, folder: Path, numbers: list[list[int]]
) -> None:
    """Explains the shards that an earlier run did not get to."""
    missing = [shard for shard in range(len(numbers)) if not _find_receipt(folder, shard).exists()]
    if not missing and trainer.world_size == 1:
        return
    # Several processes must meet before one of them goes on to merge. Each needs something to do,
    # even if another does it, too.
    missing += (missing or [0])[:1] * (trainer.world_size - len(missing))
    loader: DataLoader[int] = DataLoader(cast(Any, missing), collate_fn=_get_only)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*does not have many workers.*")
        try:
            trainer.predict(_Explainer(job, folder, numbers), loader, return_predictions=False)
        except ProcessRaisedException as error:  # its text is another process's traceback
            raise RuntimeError(str(error).strip().splitlines()[-1]) from error


class _Explainer(pl.LightningModule):
    """Explains each shard that it is given by number, and writes it.

    Args:
        job: The job.
        folder: Where the archive of a shard goes, and then a receipt that says so.
        numbers: The images of each shard.
    """

    def __init__(self, job: "Job", folder: Path, numbers: Sequence[Sequence[int]]) -> None:
        super().__init__()
        self.model = job.model.module
        self._job, self._folder, self._numbers = job, folder, numbers

    def setup(self, stage: str) -> None:
        """Begins in each process."""
        end_with_parent()

    def predict_step(self, shard: int) -> int:
        """Explains a shard, unless none of its images can be read."""
        receipt, job, order = _find_receipt(self._folder, shard), self._job, self._numbers[shard]
        read = job.read(order, len(order))
        if read.indices:
            explanation = job.explain(read, progress=False)  # the trainer's bar counts shards
            save(explanation, receipt.with_suffix(".npz"), files=job.list_files(read.indices))
        with replace_whole(receipt) as partial:
            partial.write_text(json.dumps(read.skipped), encoding="utf-8")
        return shard

    def on_predict_end(self) -> None:
        """Waits until the shards of all processes are there."""
        self.trainer.strategy.barrier()


def _make_trainer(job: "Job") -> pl.Trainer:
    """Returns a Trainer that does nothing but predict, and writes nothing of its own.

    Raises:
        ArgumentError: If there are no such machines, or more processes than cores.
    """
    machines, device = job.options.machines, job.device
    default = "auto" if device.index is None else [device.index]
    for copy in ("pytorch_lightning", "lightning_fabric", "lightning.pytorch", "lightning.fabric"):
        logging.getLogger(copy).setLevel(logging.WARNING)  # its advice is for those who train
    with blame("devices, num_nodes, strategy", "Lightning cannot work with them"):
        trainer = pl.Trainer(
            accelerator=device.type,
            devices=default if machines.devices is None else machines.devices,
            num_nodes=1 if machines.num_nodes is None else machines.num_nodes,
            strategy=machines.strategy or "auto",
            enable_progress_bar=job.options.explanation.progress,
            enable_model_summary=False,
            enable_checkpointing=False,
            inference_mode=False,
            logger=False,
        )
    environment = getattr(trainer.strategy, "cluster_environment", None)
    if environment is not None and not environment.creates_processes_externally:
        _check_machines(trainer, device.type, machines.oversubscribe)
    return trainer


def _check_machines(trainer: pl.Trainer, kind: str, oversubscribe: bool) -> None:
    """Checks that the processes which this one will start have cores, and find one another."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    if kind == "cpu" and trainer.num_devices > (cores or 1) and not oversubscribe:
        raise ArgumentError(
            "devices",
            f"asks for {trainer.num_devices} processes on {cores} cores, each with a model of its "
            f"own; give at most {cores}, or add --oversubscribe",
        )
    if trainer.num_nodes > 1 and "MASTER_ADDR" not in os.environ:
        raise ArgumentError(
            "num_nodes",
            f"got {trainer.num_nodes}, and nothing says where the others are; start each with "
            "torchrun, with SLURM, or with MASTER_ADDR, MASTER_PORT and NODE_RANK set",
        )


def _deal(job: "Job") -> list[list[int]]:
    """Returns the images of each shard; the same whatever the machines."""
    size = max(1, min(SHARD_IMAGES, SHARD_BYTES // job.bytes_per_image))
    order = job.order[: job.wanted]
    return [order[start : start + size] for start in range(0, len(order), size)]


def _fingerprint(job: "Job", numbers: list[list[int]]) -> str:
    """Returns a name that no job of other weights, images or settings has."""
    weights = job.places.weights.path
    names, partners = job.images.names, job.partners
    job_itself = {
        "weights": [str(weights.resolve()), weights.stat().st_size, weights.stat().st_mtime_ns],
        "options": [asdict(job.options.model), asdict(job.options.data)],
        "settings": {
            **asdict(job.options.explanation),
            **job.question.settings,
            "class_names": job.images.class_names,
            "progress": None,
        },
        "images": [[names[index] for index in indices] for indices in numbers],
        "partners": partners
        and [[names[partners.of(index)] for index in indices] for indices in numbers],
    }
    text = json.dumps(job_itself, sort_keys=True, default=np.ndarray.tolist)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _find_receipt(folder: Path, shard: int) -> Path:
    return folder / f"{shard:06}.json"


def _get_only(items: list[int]) -> int:
    return items[0]
