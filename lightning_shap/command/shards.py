"""Shards: the images of a command in parts of bounded memory, which resume and are shared out.

A shard is a run of the images in their order. Each is explained for itself and written to its own
files, so that whatever ends a run early costs no more than the shards it was at. Of the processes
that torchrun or SLURM started each explains its share, helps the others once that is done, and
whichever ends last joins all of them.
"""

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np
from tqdm.auto import tqdm

from lightning_shap.command.claims import Claims
from lightning_shap.command.data.reading import PreparedImages, check_any
from lightning_shap.command.processes import find_rank
from lightning_shap.errors import ArgumentError
from lightning_shap.explanation.archive import open_archive, save
from lightning_shap.explanation.atomic import open_regular, remove_work, replace_whole, work_folder
from lightning_shap.explanation.explanation import ImageExplanation

if TYPE_CHECKING:
    from lightning_shap.analysis.class_summary.parts import Part
    from lightning_shap.command.job import Job

Done = TypeVar("Done")

WAIT = 0.2  # seconds, until a folder is tried again
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
        ArgumentError: If no image can be read, another command writes the same results, or outputs
            of some images are taken for something else than those of others.
    """
    numbers = _deal(job)
    place = job.places.output, f"{_fingerprint(job, numbers)}.shards"
    try:
        with _enter(*place) as folder:
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
        kinds = sorted({_read_returns(archive) for archive in archives})
        if len(kinds) > 1:  # each shard guessed, by other images
            remove_work(folder)
            raise ArgumentError(
                "returns",
                f"outputs of some images look like {' and others like '.join(kinds)}; say which",
            )
        yield Shards(archives, skipped)
        remove_work(folder)


@contextmanager
def _enter(directory: Path, name: str) -> Iterator[Path]:
    """Yields the folder that the processes of a job share.

    One that begins late waits while another of them looks whether all is there, or joins it.

    Raises:
        BlockingIOError: If this process is the only one of its job, and another has the folder.
    """
    with ExitStack() as held:
        while True:
            try:
                folder = held.enter_context(work_folder(directory, name, shared=True))
                break
            except BlockingIOError:
                if find_rank()[1] == 1:
                    raise
                time.sleep(WAIT)
        yield folder


def _explain_missing(job: "Job", folder: Path, numbers: list[list[int]]) -> None:
    """Explains the shards that nobody has explained yet, and nobody else is at.

    While one is explained, the next is read and the one before is written.
    """
    alone = len(numbers) == 1  # then the bar counts rows, else shards
    job.model.module.to(job.device)
    rank, processes, _ = find_rank()
    hidden = alone or rank > 0 or not job.options.explanation.progress
    writing: Future[None] | None = None
    with Claims(folder / "claims", rank, processes) as claims, ThreadPoolExecutor(2) as beside:
        taken = _take(claims, folder, len(numbers))
        taken = tqdm(taken, disable=hidden, total=-(-len(numbers) // processes))
        for shard, reading in _submit_ahead(beside, taken, lambda shard: job.read(numbers[shard])):
            read = reading.result()
            explanation = job.explain(read, progress=alone) if read.indices else None
            if writing is not None:
                writing.result()
            receipt = _find_receipt(folder, shard)
            writing = beside.submit(_write, job, receipt, read, explanation)
        if writing is not None:
            writing.result()


def _write(
    job: "Job", receipt: Path, read: PreparedImages, explanation: ImageExplanation | None
) -> None:
    if explanation is not None:
        files = np.array([job.images.names[number] for number in read.indices])
        save(explanation, receipt.with_suffix(".npz"), files=files)
    with replace_whole(receipt) as partial:
        partial.write_text(json.dumps(read.skipped), encoding="utf-8")


def _take(claims: Claims, folder: Path, shards: int) -> Iterator[int]:
    """Yields the shards that this process is to explain: its share, then what is left of others'.

    It helps those alone that are at work: one that has yet to begin would find nothing, and begin
    all of it anew. Where the file system has no locks, each process explains its own share.
    """
    rank, processes, _ = find_rank()
    mine = range(rank, shards, processes)
    others = [shard for shard in reversed(range(shards)) if shard not in mine]
    for shard in (*mine, *others):
        if shard not in mine and not claims.is_at_work(shard % processes):
            continue
        if claims.take(shard) is not False and not _find_receipt(folder, shard).exists():
            yield shard


def _submit_ahead(
    pool: ThreadPoolExecutor, items: Iterable[int], work: Callable[[int], Done]
) -> Iterator[tuple[int, "Future[Done]"]]:
    """Yields items with the work on them, which begins while the one before is in use."""
    before: tuple[int, Future[Done]] | None = None
    for item in items:
        begun = item, pool.submit(work, item)
        if before is not None:
            yield before
        before = begun
    if before is not None:
        yield before


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
        "parts": [[part.name, _describe_mask(part, job.prepare.size)] for part in job.parts],
        "partners": {names[one]: names[other] for one, other in partners.items()},
    }
    text = json.dumps(job_itself, sort_keys=True, default=np.ndarray.tolist)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _describe_mask(part: "Part", size: tuple[int, int]) -> str:
    return "" if part.mask is None else hashlib.sha256(part.mask(*size).tobytes()).hexdigest()


def _read_returns(archive: Path) -> str:
    with open_archive(archive) as stored:
        return str(stored.record.returns)


def _find_receipt(folder: Path, shard: int) -> Path:
    return folder / f"{shard:06}.json"
