"""The ranks of a command: processes that share its work, on one machine or several."""

import ctypes
import multiprocessing
import os
import signal
import sys

NAMES = ("RANK", "LOCAL_RANK", "SLURM_PROCID")  # by which torchrun, Lightning and SLURM number them
END_WITH_PARENT = 1  # prctl's PR_SET_PDEATHSIG


def is_first_rank() -> bool:
    """Returns True in the first process of a command, or its only one."""
    return all(os.environ.get(name, "0") == "0" for name in NAMES)


def end_with_parent() -> None:
    """Has Linux end this process with its parent, if that started it as another rank.

    A command that is killed can end nobody itself, and its other ranks would wait for ever.
    """
    is_another = multiprocessing.parent_process() is not None or not is_first_rank()
    if is_another and sys.platform == "linux":
        ctypes.CDLL(None).prctl(END_WITH_PARENT, signal.SIGKILL)
