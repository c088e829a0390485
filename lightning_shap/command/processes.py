"""Processes: as many as there are cores, and none that outlives the one that started it.

Needs nothing heavy: a process looks for its parent before it loads anything.
"""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from lightning_shap.errors import ArgumentError

PARENT = "LIGHTNING_SHAP_PARENT"  # the process that started the others, in their environment
WATCH = 0.5  # seconds


def cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def check_processes(processes: int, oversubscribe: bool) -> None:
    """Make sure that no more processes compute on the cores than there are, unless asked for.

    Raises:
        ArgumentError: If there would be.
    """
    if processes > cores() and not oversubscribe:
        raise ArgumentError(
            "devices",
            f"asks for {processes} processes on {cores()} cores, each with a model of its own; "
            f"give at most {cores()}, or add --oversubscribe",
        )


@contextmanager
def parent_of_processes() -> Iterator[None]:
    """Let the processes that are started meanwhile know whose end is theirs."""
    if is_started_by_another():
        yield
        return
    os.environ[PARENT] = str(os.getpid())
    try:
        yield
    finally:
        del os.environ[PARENT]


def is_started_by_another() -> bool:
    """Whether this process is one of those that another command has started."""
    return os.environ.get(PARENT, str(os.getpid())) != str(os.getpid())


def end_with_parent() -> None:
    """End this process soon after the one that started it, even should that one be killed."""
    if is_started_by_another() and os.name == "posix":
        parent = int(os.environ[PARENT])
        threading.Thread(target=_watch, args=(parent,), daemon=True, name="parent-watch").start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(WATCH)
    os._exit(1)  # not sys.exit: the main thread may wait for a rank that is gone for ever
