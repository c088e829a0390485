"""Shards: the images of a command in parts of bounded memory, which resume and are shared out.

A shard is a run of the images in their order. Each is explained for itself and written to its own
files, so that whatever ends a run early costs no more than the shards it was at. Of the processes
that torchrun or SLURM started each explains its share, and whichever ends last joins all of them.
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from tqdm.auto import tqdm

from lightning_shap.command.data.reading import check_any
from lightning_shap.command.processes import find_rank
from lightning_shap.errors import ArgumentError
from lightning_shap.explanation.archive import save
from lightning_shap.explanation.atomic import open_regular, remove_work, replace_whole, work_folder

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
    """Explains a job's images, or this process's share of them.

    The shards are kept beside the results until all are there, and for as long as they are used.

    Yields:
        All shards, to the process that ends last; None to the others.

    Raises:
        ArgumentError: If no image can be read, or another command writes the same results.
    """
    numbers = _deal(job)
    place = job.places.output, f"{_fingerprint(job, numbers)}.shards"
    try:
        with work_folder(*place, shared=True) as folder:
            _explain_missing(job, folder, numbers)
    except BlockingIOError as error:
        raise ArgumentError(
            "output_dir",
            f"another lightning-shap writes the same results into {str(place[0])!r}; wait for it",
        ) from error
    except BaseException:
        with suppress(OSError), work_folder(*place) as folder:
            if not any(folder.glob("*.json")):
                remove_work(folder)
        raise
    held = ExitStack()
    try:
        folder = held.enter_context(work_folder(*place))
    except BlockingIOError:  # another process is still at work there, and ends later
        yield None
        return
    with held:
        receipts = [_find_receipt(folder, shard) for shard in range(len(numbers))]
        there = [receipt for receipt in receipts if receipt.exists()]
        if there != receipts:
            if not there:  # another process has just joined them
                remove_work(folder)
            yield None
            return
        skipped: dict[str, str] = {}
        for receipt in receipts:
            with open_regular(receipt) as content:
                skipped |= json.load(content)
        archives = sorted(folder.glob("*.npz"))
        if not archives:
            remove_work(folder)
        check_any(archives, skipped)
        yield Shards(archives, skipped)
        remove_work(folder)


def _explain_missing(job: "Job", folder: Path, numbers: list[list[int]]) -> None:
    """Explains the shards of this process that an earlier run did not get to."""
    rank, processes, _ = find_rank()
    alone = len(numbers) == 1  # then the bar counts rows, else shards
    job.model.module.to(job.device)
    for shard in tqdm(
        range(rank, len(numbers), processes),
        disable=alone or rank > 0 or not job.options.explanation.progress,
    ):
        receipt, order = _find_receipt(folder, shard), numbers[shard]
        if receipt.exists():
            continue
        read = job.read(order)
        if read.indices:
            explanation = job.explain(read, progress=alone)
            save(explanation, receipt.with_suffix(".npz"), files=job.list_files(read.indices))
        with replace_whole(receipt) as partial:
            partial.write_text(json.dumps(read.skipped), encoding="utf-8")


def _deal(job: "Job") -> list[list[int]]:
    """Returns the images of each shard; the same however many processes there are."""
    size = max(1, min(SHARD_IMAGES, SHARD_BYTES // job.bytes_per_image))
    return [job.order[start : start + size] for start in range(0, len(job.order), size)]


def _fingerprint(job: "Job", numbers: list[list[int]]) -> str:
    """Returns a name that no job of other weights, images or settings has."""
    weights = job.places.weights.path
    names, partners = job.images.names, job.partners or {}
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
        "partners": {names[one]: names[other] for one, other in partners.items()},
    }
    text = json.dumps(job_itself, sort_keys=True, default=np.ndarray.tolist)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _find_receipt(folder: Path, shard: int) -> Path:
    return folder / f"{shard:06}.json"
