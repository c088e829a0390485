"""Shards: many images through ``Trainer.predict``, in parts of bounded memory that resume.

A shard is a run of the images in their order. Each is explained for itself and written to its own
files, so that whatever ends a run early costs no more than the shards it was at. Lightning deals
them out to devices and machines.
"""

import hashlib
import json
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch.multiprocessing.spawn import ProcessRaisedException
from torch.utils.data import DataLoader, Dataset

from lightning_shap.analysis.class_summary.swaps import measure_swaps
from lightning_shap.command.data.reading import PreparedImages, check_any, read_samples
from lightning_shap.command.model.find import find_weights
from lightning_shap.command.processes import end_with_parent, parent_of_processes
from lightning_shap.command.trainer import quiet_lightning, trainer_of
from lightning_shap.engine.explain import explain_found
from lightning_shap.errors import ArgumentError
from lightning_shap.explanation.archive import save
from lightning_shap.explanation.atomic import (
    make_work_folder,
    open_regular,
    remove_work,
    replacing,
    work_folder,
)
from lightning_shap.explanation.explanation import ImageExplanation
from lightning_shap.training.lightning import pl

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
def explained_in_shards(job: "Job", directory: Path) -> Iterator[Shards | None]:
    """Explain a job's images on the machines it asks for.

    Args:
        job: What to explain.
        directory: Below it, shards are kept until all are there, and for as long as they are used.

    Yields:
        The shards, to one process; None to the others.

    Raises:
        ArgumentError: If there are no such machines, no image can be read, or another process is
            at the same images.
    """
    trainer, numbers = trainer_of(job), _numbers(job)
    with _folder(trainer, directory, f"{_fingerprint(job, numbers)}.shards") as folder:
        _explain_missing(job, trainer, folder, numbers)
        if not trainer.is_global_zero:
            yield None
            return
        skipped: dict[str, str] = {}
        for shard in range(len(numbers)):
            with open_regular(_receipt(folder, shard)) as receipt:
                skipped |= json.load(receipt)
        archives = sorted(folder.glob("*.npz"))
        if not archives:
            remove_work(folder)
        check_any(archives, skipped)
        yield Shards(archives, skipped)
        remove_work(folder)


@contextmanager
def _folder(trainer: pl.Trainer, directory: Path, name: str) -> Iterator[Path]:
    """The folder of a job's shards, which one process holds for all."""
    with ExitStack() as held:
        if trainer.is_global_zero:
            try:
                folder = held.enter_context(work_folder(directory, name))
            except BlockingIOError as error:
                raise ArgumentError(
                    "output_dir",
                    f"another lightning-shap explains the same images into {str(directory)!r}; "
                    "wait for it, or give another --output_dir",
                ) from error
        else:
            folder = make_work_folder(directory, name)
        yield folder


def _explain_missing(
    job: "Job", trainer: pl.Trainer, folder: Path, numbers: list[list[int]]
) -> None:
    """Explain the shards that an earlier run did not get to."""
    missing = [shard for shard in range(len(numbers)) if not _receipt(folder, shard).exists()]
    if not missing and trainer.world_size == 1:
        return
    # Several processes must meet before one of them goes on to merge. Each needs something to do,
    # even if another does it, too.
    missing += (missing or [0])[:1] * (trainer.world_size - len(missing))
    loader = DataLoader(_ShardImages(job, numbers, missing), batch_size=1, collate_fn=_only_item)
    trainer.callbacks.append(_ShardWriter(job, folder))  # type: ignore[attr-defined]
    with warnings.catch_warnings(), quiet_lightning(), parent_of_processes():
        warnings.filterwarnings("ignore", ".*does not have many workers.*")
        try:
            trainer.predict(_Explainer(job), loader, return_predictions=False)
        except ProcessRaisedException as error:  # whose text is the traceback of another process
            kind, _, message = str(error).strip().splitlines()[-1].partition(": ")
            argument, _, problem = message.partition(": ")
            if kind.endswith(("ArgumentError", "ArgumentTypeError")):
                raise ArgumentError(argument, problem) from error
            raise RuntimeError(message) from error


class _Read(NamedTuple):
    """The images of a shard, and with which they are swapped, (N, C, H, W), where that is asked."""

    shard: int
    read: PreparedImages
    others: torch.Tensor | None


class _ShardImages(Dataset[_Read]):
    """The images of some shards, a shard an item."""

    def __init__(self, job: "Job", numbers: Sequence[Sequence[int]], shards: list[int]) -> None:
        self._job, self._numbers, self._shards = job, numbers, shards

    def __len__(self) -> int:
        return len(self._shards)

    def __getitem__(self, item: int) -> _Read:
        job, shard = self._job, self._shards[item]
        indices = self._numbers[shard]
        threads = job.options.data.num_workers
        read = read_samples(job.images, indices, len(indices), job.prepare, threads=threads)
        return _Read(shard, read, job.others(read))


class _Explainer(pl.LightningModule):
    """Predicts explanations."""

    def __init__(self, job: "Job") -> None:
        super().__init__()
        self.model = job.model.module
        self._job = job

    def predict_step(self, item: _Read) -> list[ImageExplanation]:
        """One explanation of the shard's images, or none where none could be read."""
        read = item.read
        if not read.indices:
            return []
        settings = {**self._job.settings, "progress": False}  # the trainer's bar counts shards
        labels = self._job.labels(read.indices)
        explanation = explain_found(self.model, read.images, labels=labels, **settings)
        if item.others is not None:
            measure_swaps(self.model, explanation, read.images, item.others, settings)
        return [explanation]

    def transfer_batch_to_device(self, batch: Any, device: torch.device, loader: int) -> Any:
        return batch  # the engine moves what it needs


class _ShardWriter(pl.callbacks.BasePredictionWriter):
    """Writes each shard as it is done: its archive, then a receipt that says so."""

    def __init__(self, job: "Job", folder: Path) -> None:
        super().__init__("batch")
        self._job, self._folder = job, folder

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Begins in each process."""
        end_with_parent()

    def write_on_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        prediction: list[ImageExplanation],
        batch_indices: Sequence[int] | None,
        batch: _Read,
        batch_idx: int,
        dataloader_idx: int,
    ) -> None:
        receipt, read = _receipt(self._folder, batch.shard), batch.read
        for explanation in prediction:
            save(explanation, receipt.with_suffix(".npz"), files=self._job.files(read.indices))
        with replacing(receipt) as partial:
            partial.write_text(json.dumps(read.skipped), encoding="utf-8")

    def on_predict_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        trainer.strategy.barrier()  # only then are the shards of all processes there


def _numbers(job: "Job") -> list[list[int]]:
    """Which images make up each shard; the same whatever the machines."""
    size = max(1, min(SHARD_IMAGES, SHARD_BYTES // job.bytes_per_image))
    order = job.order[: job.wanted]
    return [order[start : start + size] for start in range(0, len(order), size)]


def _fingerprint(job: "Job", numbers: list[list[int]]) -> str:
    """What sets shards of this job apart from those of other weights, images or settings."""
    weights = find_weights(str(job.options.model.model_output_dir)).path
    names, partners = job.images.names, job.partners
    job_itself = {
        "weights": [str(weights.resolve()), weights.stat().st_size, weights.stat().st_mtime_ns],
        "options": [asdict(job.options.model), asdict(job.options.data)],
        "settings": {**job.settings, "progress": None},
        "images": [[names[index] for index in indices] for indices in numbers],
        "partners": partners
        and [[names[partners.of(index)] for index in indices] for indices in numbers],
    }
    return hashlib.sha256(json.dumps(job_itself, sort_keys=True).encode()).hexdigest()[:12]


def _receipt(folder: Path, shard: int) -> Path:
    return folder / f"{shard:06}.json"


def _only_item(items: list[Any]) -> Any:
    return items[0]
