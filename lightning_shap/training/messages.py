"""Say something from inside a training: by one rank, and never the end of a run."""

import sys
from collections.abc import Callable
from contextlib import suppress

from lightning_shap.errors import escape
from lightning_shap.training.lightning import rank_zero_info, rank_zero_warn


def warn(message: str) -> None:
    """Warns on rank 0, and never raises.

    ``-W error`` turns warnings into exceptions, and a standard error may be closed, or know only
    ASCII. The message is then written there as plainly as it can be.
    """
    _emit(rank_zero_warn, message)


def inform(message: str) -> None:
    """Logs a line on rank 0, and never raises."""
    _emit(rank_zero_info, message)


def _emit(rank_zero: Callable[..., object], message: str) -> None:
    message = "\n".join(map(escape, message.split("\n")))  # it may hold names of others
    try:
        rank_zero(message, stacklevel=6)  # where warn or inform is called
    except Exception:
        _write_plainly(message)


def _write_plainly(message: str) -> None:
    with suppress(Exception):  # there is nowhere left to say it
        sys.stderr.write(message.encode("ascii", "backslashreplace").decode() + "\n")
