"""How many failures a training bears: an explanation is worth having, but not worth a run."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from lightning_shap.training.lightning import Trainer, rank_zero_warn

# Three failures in a row are no accident: the callback stops trying.
MOST_FAILURES = 3

# What a forward that expects something else than images raises.
STRANGE = (AttributeError, LookupError, NotImplementedError, TypeError)


class Patience:
    """Turns errors into warnings, up to three in a row.

    Args:
        on_error: ``"warn"``, or ``"raise"`` to have none of it.
    """

    def __init__(self, on_error: Literal["warn", "raise"]) -> None:
        self.on_error = on_error
        self._failures = 0
        self._succeeded = False

    @property
    def at_an_end(self) -> bool:
        """Whether to stop trying."""
        return self._failures >= MOST_FAILURES

    def begin(self) -> None:
        """A new fit."""
        self._failures, self._succeeded = 0, False

    def end(self) -> None:
        """Do not try at all."""
        self._failures = MOST_FAILURES

    def renew(self) -> None:
        """An explanation has succeeded."""
        self._failures, self._succeeded = 0, True

    @contextmanager
    def bearing(self, trainer: Trainer, *, whole_module: bool) -> Iterator[None]:
        """Bears what is raised inside.

        Args:
            trainer: The trainer.
            whole_module: The LightningModule itself is explained, whose ``forward`` may be none of
                a classifier.
        """
        try:
            yield
        except Exception as error:
            if trainer.received_sigterm:  # the run is about to end: no time for complaints
                return
            strange = isinstance(error, STRANGE) and not self._succeeded
            hint = _hint(trainer) if strange and whole_module else ""
            if self.on_error == "raise":
                if hint:
                    error.add_note(hint)
                raise
            self._failures += 1
            then = (
                f"after {MOST_FAILURES} failures in a row it gives up"
                if self.at_an_end
                else "the training goes on and the next explanation tries again"
            )
            words = [f"{type(error).__name__}: {error}", hint, then]
            rank_zero_warn(f"ShapCallback could not explain: {'; '.join(filter(None, words))}")


def _hint(trainer: Trainer) -> str:
    module = trainer.lightning_module
    children = [name for name, _ in module.named_children()]
    return (
        f"if {type(module).__name__}.forward does not take images (N, C, H, W), "
        f"name the attribute that does with module=, one of {children}"
    )
