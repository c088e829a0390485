"""Shards: many images through ``Trainer.predict``, in parts of bounded memory that resume.

A shard is a run of the images in their order. Each is explained for itself and written to its own
files, so that whatever ends a run early costs no more than the shards it was at. Lightning deals
them out to devices and machines.
"""

import hashlib
import json
import logging
import os
import shutil
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.utils.data import DataLoader, Dataset

from lightning_shap.archive import save
from lightning_shap.command.data.folders import PreparedImages, check_any, read_samples
from lightning_shap.command.model.checkpoints import find_weights
from lightning_shap.explainer import explain_found
from lightning_shap.explanation import ImageExplanation
from lightning_shap.training.lightning import pl

if TYPE_CHECKING:
    from lightning_shap.command.job import Job

SHARD_IMAGES = 16
SHARD_BYTES = 2**26  # of attributions


@dataclass(frozen=True)
class Shards:
    """The shards of a job, all explained.

    Attributes:
        directory: Where they are.
        archives: Of the images, in their order.
        skipped: The names of images that could not be read, and why.
    """

    directory: Path
    archives: list[Path]
    skipped: dict[str, str]

    def remove(self) -> None:
        """Clear them away, once they are merged."""
        shutil.rmtree(self.directory, ignore_errors=True)


def explain_in_shards(job: "Job", directory: Path) -> Shards | None:
    """Explain a job's images on the machines it asks for.

    Args:
        job: What to explain.
        directory: Below it, shards are kept until all are there.

    Returns:
        The shards, to one process; None to the others.

    Raises:
        ValueError: If there are no such machines, or no image can be read.
    """
    with _lightning_quiet():
        return _explained(job, directory)


def _explained(job: "Job", directory: Path) -> Shards | None:
    trainer = _trainer(job)
    numbers = _numbers(job)
    folder = directory / f".explanation.{_fingerprint(job, numbers)}.shards"
    folder.mkdir(exist_ok=True)
    missing = [shard for shard in range(len(numbers)) if not _receipt(folder, shard).exists()]
    if missing or trainer.world_size > 1:  # processes must meet, lest one go ahead and tidy up
        # Each of them needs something to do, even if another does it, too.
        missing += (missing or [0])[:1] * (trainer.world_size - len(missing))
        loader = DataLoader(
            _ShardImages(job, numbers, missing), batch_size=1, collate_fn=_only_item
        )
        trainer.callbacks.append(_ShardWriter(job, folder))  # type: ignore[attr-defined]
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*does not have many workers.*")
            trainer.predict(_Explainer(job), loader, return_predictions=False)
    if not trainer.is_global_zero:
        return None
    skipped: dict[str, str] = {}
    for shard in range(len(numbers)):
        skipped |= json.loads(_receipt(folder, shard).read_text(encoding="utf-8"))
    archives = sorted(folder.glob("*.npz"))
    if not archives:
        shutil.rmtree(folder)
    check_any(archives, skipped)
    return Shards(folder, archives, skipped)


class _ShardImages(Dataset[tuple[int, PreparedImages]]):
    """The images of some shards, a shard an item."""

    def __init__(self, job: "Job", numbers: Sequence[Sequence[int]], shards: list[int]) -> None:
        self._job, self._numbers, self._shards = job, numbers, shards

    def __len__(self) -> int:
        return len(self._shards)

    def __getitem__(self, item: int) -> tuple[int, PreparedImages]:
        job, shard = self._job, self._shards[item]
        indices = self._numbers[shard]
        threads = job.options.data.num_workers
        return shard, read_samples(job.images, indices, len(indices), job.prepare, threads=threads)


class _Explainer(pl.LightningModule):
    """Predicts explanations."""

    def __init__(self, job: "Job") -> None:
        super().__init__()
        self.model = job.model.module
        self._job = job

    def predict_step(self, item: tuple[int, PreparedImages]) -> list[ImageExplanation]:
        """One explanation of the shard's images, or none where none could be read."""
        read = item[1]
        if not read.indices:
            return []
        settings = {**self._job.settings, "progress": False}  # the trainer's bar counts shards
        labels = self._job.labels(read.indices)
        return [explain_found(self.model, read.images, labels=labels, **settings)]

    def transfer_batch_to_device(self, batch: Any, device: torch.device, loader: int) -> Any:
        return batch  # the engine moves what it needs


class _ShardWriter(pl.callbacks.BasePredictionWriter):
    """Writes each shard as it is done: its archive, then a receipt that says so."""

    def __init__(self, job: "Job", folder: Path) -> None:
        super().__init__("batch")
        self._job, self._folder = job, folder

    def write_on_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        prediction: list[ImageExplanation],
        batch_indices: Sequence[int] | None,
        batch: tuple[int, PreparedImages],
        batch_idx: int,
        dataloader_idx: int,
    ) -> None:
        shard, read = batch
        receipt = _receipt(self._folder, shard)
        for explanation in prediction:
            save(explanation, receipt.with_suffix(".npz"), files=self._job.files(read.indices))
        partial = receipt.with_suffix(f".{trainer.global_rank}.part")
        partial.write_text(json.dumps(read.skipped), encoding="utf-8")
        os.replace(partial, receipt)

    def on_predict_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        trainer.strategy.barrier()  # only then are the shards of all processes there


@contextmanager
def _lightning_quiet() -> Iterator[None]:
    """Lightning's advice on accelerators is for those who train."""
    names = ("pytorch_lightning", "lightning_fabric", "lightning.pytorch", "lightning.fabric")
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _trainer(job: "Job") -> pl.Trainer:
    machines = job.options.machines
    # Lightning exports it to users, but not to strict type checkers.
    misconfiguration: type[Exception] = vars(pl.utilities.exceptions)["MisconfigurationException"]
    try:
        return pl.Trainer(
            accelerator=job.options.model.accelerator,
            devices="auto" if machines.devices is None else machines.devices,
            num_nodes=machines.num_nodes or 1,
            strategy=machines.strategy or "auto",
            enable_progress_bar=job.options.explanation.progress,
            enable_model_summary=False,
            enable_checkpointing=False,
            inference_mode=False,
            logger=False,
        )
    except (ValueError, misconfiguration) as error:
        raise ValueError(f"devices, num_nodes, strategy: {error}") from error


def _numbers(job: "Job") -> list[list[int]]:
    """Which images make up each shard; the same whatever the machines."""
    targets, topk = job.settings["targets"], job.settings["topk"]
    explained = topk or (job.classes if targets is None else len(torch.as_tensor(targets).view(-1)))
    height, width = job.prepare.size
    image = 8 * height * width * job.prepare.channels * explained
    size = max(1, min(SHARD_IMAGES, SHARD_BYTES // image))
    order = job.order[: job.wanted]
    return [order[start : start + size] for start in range(0, len(order), size)]


def _fingerprint(job: "Job", numbers: list[list[int]]) -> str:
    """Tells shards of this job from those of one with other weights, images or settings."""
    weights = find_weights(job.options.model.model_output_dir)
    said = {
        "weights": [str(weights.resolve()), weights.stat().st_size, weights.stat().st_mtime_ns],
        "options": [asdict(job.options.model), asdict(job.options.data)],
        "settings": {**job.settings, "progress": None},
        "images": [[job.images.names[index] for index in indices] for indices in numbers],
    }
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:12]


def _receipt(folder: Path, shard: int) -> Path:
    return folder / f"{shard:06}.json"


def _only_item(items: list[Any]) -> Any:
    return items[0]
