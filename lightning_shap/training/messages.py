"""Messages from inside a training: said once by one rank, and never the end of a run."""

import warnings
from contextlib import suppress

from lightning_shap.training.lightning import rank_zero_info, rank_zero_only


def warn(message: str) -> None:
    """A warning on rank 0."""
    if getattr(rank_zero_only, "rank", 0) == 0:
        warnings.warn(message, stacklevel=3)


def inform(message: str) -> None:
    """A line in the log on rank 0."""
    with suppress(Exception):
        rank_zero_info(message)
