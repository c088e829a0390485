"""Import Lightning under both of its names, ``pytorch_lightning`` and ``lightning.pytorch``.

They are two copies of one library, and the classes of one mean nothing to the other. What needs
Lightning in this package takes it from here:

- ``EitherCallback`` is a callback to the trainers of each copy that is installed.
- ``Trainer`` and ``LightningModule`` are those of either copy, for annotations.
- ``pl`` is one copy, for trainers, modules and loggers of this package's own.
- ``rank_zero_info`` and ``rank_zero_warn`` are the functions that both copies use.

All copies that are installed are imported, whichever the host has imported so far. A class cannot
be given another base later, and the host may well import its copy after us: sorted imports put
``lightning_shap`` before ``pytorch_lightning``. The second copy costs 0.1 to 0.2 s and 6 MiB, since
it shares all that is large with the first, which costs 4 s and 260 MiB.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, TypeAlias, Union

from lightning_utilities.core import rank_zero
from lightning_utilities.core.rank_zero import rank_zero_info, rank_zero_warn

__all__ = ["EitherCallback", "LightningModule", "Trainer", "pl", "rank_zero_info", "rank_zero_warn"]

NAMES = ("pytorch_lightning", "lightning.pytorch")


def _import_copies() -> list[ModuleType]:
    """Returns the copies of Lightning that can be imported, the host's own first.

    Raises:
        ImportError: If there is none.
    """
    copies: list[ModuleType] = []
    failures: list[Exception] = []
    claimed: dict[str, object] = {}
    for name in sorted(NAMES, key=lambda name: name not in sys.modules):
        try:
            copies.append(import_module(name))
        except Exception as failure:  # one that is not installed or broken must not cost the other
            failures.append(failure)
        # Each copy claims the messages of all for its own logger. They stay with the first, so that
        # who silences the logger of the copy in use does not hear from the other.
        vars(rank_zero).update(claimed)
        if copies and not claimed:
            claimed = dict(vars(rank_zero))
    if not copies:
        raise ImportError(
            "lightning_shap.ShapCallback needs Lightning, and found neither of its packages: "
            + "; ".join(f"{type(failure).__name__}: {failure}" for failure in failures)
        ) from failures[0]
    return copies


if TYPE_CHECKING:
    import lightning.pytorch
    import pytorch_lightning as pl
    import pytorch_lightning.callbacks
    import pytorch_lightning.loggers
    import pytorch_lightning.utilities.exceptions

    # Users have one copy or both. A name imported from what is not installed is Any to a type
    # checker, and a base class that is Any would make it accept whatever is done with a callback.
    # Importing everything from there brings no name instead, so that the empty class stands in.
    try:
        from lightning.pytorch.callbacks import *  # noqa: F403
    except ImportError:

        class Callback: ...  # type: ignore[no-redef]

    class EitherCallback(pl.Callback, Callback):  # type: ignore[misc]  # hooks take one trainer
        """Makes a callback one to the trainers of each copy of Lightning that is installed."""

    Trainer: TypeAlias = pl.Trainer | lightning.pytorch.Trainer
    LightningModule: TypeAlias = pl.LightningModule | lightning.pytorch.LightningModule
else:
    _found = _import_copies()
    pl = _found[0]

    class EitherCallback(*dict.fromkeys(copy.Callback for copy in _found)):
        """Makes a callback one to the trainers of each copy of Lightning that is installed."""

    Trainer = Union[*(copy.Trainer for copy in _found)]
    LightningModule = Union[*(copy.LightningModule for copy in _found)]
