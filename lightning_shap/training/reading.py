"""Reading the samples: rows of a data set, without a trace in it."""

import multiprocessing
import sys
from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any

import torch
from torch.utils.data import DataLoader

from lightning_shap.isolation.random_states import seeded

TIMEOUT = 120  # seconds; a worker forked while another thread held a lock might wait for ever


def read(loader: Any, dataset: Any, rows: Sequence[int], seed: int) -> Any:
    """Some rows of a data set as one batch, collated as a loader does.

    A data set may count what is read, fill caches, or draw from a generator of its own. So it is
    read by a worker process, whose copy of it ends with it. Where there can be none (a platform
    that cannot fork, a data set on the GPU), a deep copy is read.

    Args:
        loader: A ``DataLoader`` whose ways are followed, or None for the usual ones.
        dataset: With rows to pick by index.
        rows: Which ones.
        seed: Of a transform that draws.
    """
    collate = getattr(loader, "collate_fn", None)
    if sys.platform == "linux":
        try:
            return _by_worker(loader, dataset, rows, collate, seed)
        except Exception:  # if the data set itself is at fault, the copy shows its own error
            pass
    with seeded(seed):
        return next(iter(_one_batch(deepcopy(dataset), rows, collate, seed)))


def _by_worker(
    loader: Any, dataset: Any, rows: Sequence[int], collate: Callable[..., Any] | None, seed: int
) -> Any:
    prepare = getattr(loader, "worker_init_fn", None) if getattr(loader, "num_workers", 0) else None
    batches = _one_batch(
        dataset,
        rows,
        collate,
        seed,
        num_workers=1,
        timeout=TIMEOUT,
        worker_init_fn=prepare,
        multiprocessing_context=multiprocessing.get_context("fork"),
    )
    return next(iter(batches))


def _one_batch(
    dataset: Any,
    rows: Sequence[int],
    collate: Callable[..., Any] | None,
    seed: int,
    **options: Any,
) -> DataLoader[Any]:
    # A generator of its own: a loader draws the seeds of its workers, by default from everybody's.
    return DataLoader(
        dataset,
        batch_sampler=[list(rows)],
        collate_fn=collate,
        generator=torch.Generator().manual_seed(seed),
        **options,
    )
