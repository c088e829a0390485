"""Call what prepares the data, such as data sets and hooks, without a trace in them.

Whatever of the host's is called beside its training is called through :func:`call_apart`: in a
process of its own, whose copy of it ends with it. Where there can be none (a platform that cannot
fork, data on a GPU), an audited copy is called. What even a process of its own would share, such as
the place in an open file, is not called: the samples are then what the validation itself reads.
"""

import io
import mmap
import multiprocessing
import pickle
import signal
import socket
import sqlite3
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from multiprocessing.managers import BaseProxy
from multiprocessing.queues import Queue, SimpleQueue
from multiprocessing.shared_memory import SharedMemory
from multiprocessing.sharedctypes import SynchronizedBase
from typing import Any, TypeVar

import numpy as np
import torch
from torch.utils.data import DataLoader

from lightning_shap.errors import ArgumentError
from lightning_shap.isolation.copying import look_at
from lightning_shap.isolation.host import seed_all
from lightning_shap.isolation.isolated import with_copy
from lightning_shap.isolation.kinds import IN_MEMORY, LIGHTNING
from lightning_shap.isolation.modes import evaluation_mode, silence
from lightning_shap.isolation.signals import came_from_explanation

Owners = TypeVar("Owners", bound=tuple[Any, ...])
Result = TypeVar("Result")

TIMEOUT = 120  # seconds; a process forked while another thread held a lock might wait for ever
MOST_THINGS = 3_000_000  # of data, which take a second to look at

# What a forked process goes on sharing with the one that it comes from.
FILES = (io.RawIOBase, io.BufferedIOBase, io.TextIOBase)
SHARED = (
    *(SynchronizedBase, SharedMemory, BaseProxy, Queue, SimpleQueue),
    *(mmap.mmap, socket.socket, sqlite3.Connection),
)
HOOKS = ("on_before_batch_transfer", "transfer_batch_to_device", "on_after_batch_transfer")


class NotApartError(ArgumentError):
    """Says that something of the host's cannot be called without a trace."""


class _NoProcessError(Exception):
    """Says that there can be no process of its own, or that it gave no answer."""


def read(loader: Any, dataset: Any, rows: Sequence[int], seed: int) -> Any:
    """Returns some rows of a data set as one batch, collated as a loader does.

    Args:
        loader: A ``DataLoader`` whose ways are followed, or None for the usual ones.
        dataset: With rows to pick by index.
        rows: Which ones.
        seed: Of a transform that draws.

    Raises:
        NotApartError: If reading would leave a trace.
        Exception: Whatever the data set raises.
    """
    collate = getattr(loader, "collate_fn", None)

    def batch(owners: tuple[Any, Any]) -> Any:
        data, collate = owners
        generator = torch.Generator().manual_seed(seed)
        ways = {"batch_sampler": [list(rows)], "collate_fn": collate, "generator": generator}
        return next(iter(DataLoader(data, **ways)))

    return call_apart((dataset, collate), batch, seed)


def check_rows(dataset: Any, rows: Sequence[int]) -> list[int]:
    """Returns rows of a data set; of a range, as many as there are.

    Raises:
        ArgumentError: If the data set has no such rows.
    """
    if not hasattr(dataset, "__len__") or not hasattr(dataset, "__getitem__"):
        raise ArgumentError(
            "samples",
            f"{type(dataset).__name__} has no rows to pick by index; "
            "give images, or images and labels",
        )
    length = len(dataset)
    if isinstance(rows, range):  # the first ones, as many as there are
        rows = rows[:length]
    if not rows or any(not -length <= row < length for row in rows):
        raise ArgumentError(
            "samples",
            f"got indices {list(rows)} for a data set of {length}; give some of 0 to {length - 1}",
        )
    return list(rows)


def prepare(
    trainer: Any, pl_module: Any, batch: Any, seed: int, take: Callable[[Any], Result]
) -> Result:
    """Returns what is taken from a batch as the model receives it in a validation.

    Hooks that somebody has written are those of a copy: they may count what they prepare.

    Args:
        trainer: The trainer.
        pl_module: The module that is trained.
        batch: As it was read.
        seed: Of hooks that draw.
        take: Gets the batch, prepared and on its device.

    Raises:
        CopyError: If hooks cannot be called without a trace.
    """
    data = getattr(trainer, "datamodule", None)
    owners = (pl_module, data)
    hooks = {name: 1 if _is_written(data, name) else 0 for name in HOOKS}
    if not any(_is_written(owners[place], name) for name, place in hooks.items()):
        return take(trainer.strategy.batch_to_device(batch))

    def run_hooks(twins: tuple[Any, Any]) -> Result:
        given, stage = batch, trainer.state.stage
        seed_all(seed)
        silence(twins[0])
        try:
            trainer.validating = True  # in which nothing is augmented
            with evaluation_mode(twins[0]):
                for name, place in hooks.items():
                    device = (trainer.strategy.root_device,) if name == HOOKS[1] else ()
                    given = getattr(twins[place], name)(given, *device, 0)
                return take(given)
        finally:
            trainer.state.stage = stage

    return with_copy(owners, run_hooks)


def call_apart(owners: Owners, work: Callable[[Owners], Result], seed: int) -> Result:
    """Calls code of the host's without a trace in what it belongs to.

    Args:
        owners: What the code may change.
        work: Gets them, or copies, and returns something that can be pickled.
        seed: Of code that draws.

    Raises:
        NotApartError: If it cannot be called so.
        Exception: Whatever the code raises.
    """
    _check_private(owners)
    if sys.platform == "linux":
        with suppress(_NoProcessError):
            return _run_in_process(partial(work, owners), seed)

    def run_seeded(twins: Owners) -> Result:
        seed_all(seed)
        return work(twins)

    return with_copy(owners, run_seeded, with_data=True)


def _check_private(owners: tuple[Any, ...]) -> None:
    name = next((type(one).__name__ for one in owners if one is not None), "")
    count = 0

    def see(thing: Any) -> None:
        nonlocal count
        count += 1
        if count > MOST_THINGS:
            raise NotApartError(
                "samples",
                f"a {name} holds more than {MOST_THINGS:,} things, so it is not read twice; give "
                "images",
            )
        if _outlives_a_process(thing):
            raise NotApartError(
                "samples",
                f"reading rows of a {name} once more would change a {type(thing).__name__} that "
                "hangs on it, which processes share; give images",
            )

    look_at(owners, see)


def _outlives_a_process(thing: Any) -> bool:
    kind = type(thing)
    if issubclass(kind, FILES):
        return not (issubclass(kind, IN_MEMORY) or thing.closed)
    if issubclass(kind, torch.Tensor):
        return thing.device.type == "cpu" and _is_in_shared_memory(thing)
    if issubclass(kind, np.memmap):
        return bool(thing.flags.writeable) and thing.mode != "c"
    return issubclass(kind, SHARED)


def _is_in_shared_memory(tensor: torch.Tensor) -> bool:
    with suppress(Exception):  # of kinds without a memory of their own
        return tensor.is_shared()
    return False


def _run_in_process(work: Callable[[], Result], seed: int) -> Result:
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_answer, args=(sender, work, seed), daemon=True)
    try:
        process.start()
        sender.close()
        if not receiver.poll(TIMEOUT):
            raise _NoProcessError
        worked, result = pickle.loads(receiver.recv_bytes())
    except (EOFError, AssertionError, OSError) as error:  # it was ended, or could not begin
        if not came_from_explanation(error):
            raise
        raise _NoProcessError from error
    finally:
        if process.pid is not None:
            process.kill()
            process.join()
        receiver.close()
    if worked:
        return result
    if result is None or "CUDA" in str(result):
        raise _NoProcessError
    raise result


def _answer(sender: Any, work: Callable[[], Any], seed: int) -> None:
    """Sends what comes of some work in the new process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # which is for the process that waits
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    torch.set_num_threads(1)  # the others were left behind
    seed_all(seed)
    try:
        outcome: tuple[bool, Any] = True, work()
    except Exception as error:
        outcome = False, error
    try:
        parcel = pickle.dumps(outcome)
        pickle.loads(parcel)  # some errors do not survive it
    except Exception:
        worked, cause = outcome
        words = None if worked else RuntimeError(f"{type(cause).__name__}: {cause}")
        parcel = pickle.dumps((False, words))
    sender.send_bytes(parcel)


def _is_written(owner: Any, name: str) -> bool:
    """Returns whether somebody has written a hook, beside Lightning."""
    hook = getattr(owner, name, None)
    home = getattr(getattr(hook, "__func__", hook), "__module__", None) or ""
    return hook is not None and home.partition(".")[0] not in LIGHTNING
