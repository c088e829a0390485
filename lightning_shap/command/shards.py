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

from lightning_shap.command.data.reading import PreparedImages, check_any
from lightning_shap.command.ranks import end_with_parent
from lightning_shap.command.trainer import make_trainer, pl, quiet_lightning
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
    trainer, numbers = make_trainer(job), _deal(job)
    with _hold_folder(trainer, job.places.output, f"{_fingerprint(job, numbers)}.shards") as folder:
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
def _hold_folder(trainer: pl.Trainer, directory: Path, name: str) -> Iterator[Path]:
    """Yields the folder of a job's shards, which one process holds for all."""
    with ExitStack() as held:
        if not trainer.is_global_zero:
            yield make_work_folder(directory, name)
            return
        try:
            folder = held.enter_context(work_folder(directory, name))
        except BlockingIOError as error:
            raise ArgumentError(
                "output_dir",
                f"another lightning-shap explains the same images into {str(directory)!r}; "
                "wait for it, or give another --output_dir",
            ) from error
        yield folder


def _explain_missing(
    job: "Job", trainer: pl.Trainer, folder: Path, numbers: list[list[int]]
) -> None:
    """Explains the shards that an earlier run did not get to."""
    missing = [shard for shard in range(len(numbers)) if not _receipt(folder, shard).exists()]
    if not missing and trainer.world_size == 1:
        return
    # Several processes must meet before one of them goes on to merge. Each needs something to do,
    # even if another does it, too.
    missing += (missing or [0])[:1] * (trainer.world_size - len(missing))
    loader = DataLoader(_ShardImages(job, numbers, missing), batch_size=1, collate_fn=_only_item)
    trainer.callbacks.append(_ShardWriter(job, folder))  # type: ignore[attr-defined]
    with warnings.catch_warnings(), quiet_lightning():
        warnings.filterwarnings("ignore", ".*does not have many workers.*")
        try:
            trainer.predict(_Explainer(job), loader, return_predictions=False)
        except ProcessRaisedException as error:  # its text is another process's traceback
            raise RuntimeError(str(error).strip().splitlines()[-1]) from error


class _ShardImages(Dataset[tuple[int, PreparedImages]]):
    """The images of some shards, a shard and its number an item."""

    def __init__(self, job: "Job", numbers: Sequence[Sequence[int]], shards: list[int]) -> None:
        self._job, self._numbers, self._shards = job, numbers, shards

    def __len__(self) -> int:
        return len(self._shards)

    def __getitem__(self, item: int) -> tuple[int, PreparedImages]:
        shard = self._shards[item]
        return shard, self._job.read(self._numbers[shard], len(self._numbers[shard]))


class _Explainer(pl.LightningModule):
    """Predicts explanations."""

    def __init__(self, job: "Job") -> None:
        super().__init__()
        self.model = job.model.module
        self._job = job

    def predict_step(self, item: tuple[int, PreparedImages]) -> list[ImageExplanation]:
        """Returns one explanation of a shard's images, or none where none could be read."""
        _, read = item
        # The trainer's bar counts shards.
        return [self._job.explain(read, progress=False)] if read.indices else []

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
        batch: tuple[int, PreparedImages],
        batch_idx: int,
        dataloader_idx: int,
    ) -> None:
        shard, read = batch
        receipt = _receipt(self._folder, shard)
        for explanation in prediction:
            save(explanation, receipt.with_suffix(".npz"), files=self._job.files(read.indices))
        with replacing(receipt) as partial:
            partial.write_text(json.dumps(read.skipped), encoding="utf-8")

    def on_predict_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        trainer.strategy.barrier()  # only then are the shards of all processes there


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
