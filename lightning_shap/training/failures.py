"""Failed explanations: warnings, a retry at the next epoch, and an end to it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

from lightning_shap.isolation.signals import came_from_explanation
from lightning_shap.training.company import PartedError
from lightning_shap.training.messages import inform, warn

# Three epochs in a row without an explanation are no accident: the callback stops trying.
MOST_FAILURES = 3

# What a forward that expects something else than images raises.
STRANGE = (AttributeError, LookupError, NotImplementedError, TypeError)


class Failures:
    """Turns errors into warnings, and stops retrying after three epochs in a row that failed.

    Args:
        on_error: ``"warn"``, or ``"raise"`` to raise the first error.
    """

    def __init__(self, on_error: Literal["warn", "raise"]) -> None:
        self.on_error = on_error
        self.begin()

    @property
    def gave_up(self) -> bool:
        """Whether to stop trying."""
        return self._declined or len(self._epochs) >= MOST_FAILURES

    def begin(self) -> None:
        """A new fit."""
        self._epochs: set[int] = set()  # that failed since the last success
        self._declined = False
        self._succeeded = False
        self._is_over = False
        self._warned: set[str] = set()  # since the training is over

    def end(self) -> None:
        """The training is over: nothing goes on that a failure could be made good in."""
        self._is_over = True

    def decline(self) -> None:
        """Do not try at all."""
        self._declined = True

    def success(self) -> None:
        """There is an explanation, whatever becomes of its picture."""
        self._epochs.clear()
        self._succeeded = True

    @contextmanager
    def warned(self, trainer: Any, *, whole_module: bool) -> Iterator[None]:
        """Warns of what is raised inside.

        Args:
            trainer: The trainer.
            whole_module: The LightningModule itself is explained, whose ``forward`` may not be
                that of a classifier.
        """
        try:
            yield
        except PartedError as error:
            self.decline()
            inform(f"ShapCallback explains no more: {error}")
        except Exception as error:
            if not came_from_explanation(error):  # such as a deadline's: it is for the training
                raise
            if trainer.received_sigterm:  # the run is about to end
                return
            strange = isinstance(error, STRANGE) and not self._succeeded
            hint = _hint(trainer) if strange and whole_module else ""
            if self.on_error == "raise":
                if hint:
                    error.add_note(hint)
                raise
            if self._is_over:
                self._warn_at_end(error, hint)
                return
            # The hooks of one epoch meet the same fault, and are one failure.
            if trainer.current_epoch in self._epochs:
                return
            self._epochs.add(trainer.current_epoch)
            then = (
                f"after {MOST_FAILURES} epochs in a row it stops trying"
                if self.gave_up
                else "the training goes on and the next explanation is a retry"
            )
            _warn(error, hint, then)

    def _warn_at_end(self, error: Exception, hint: str) -> None:
        """What is still to do is done one after the other, and may meet the same fault."""
        if str(error) not in self._warned:
            self._warned.add(str(error))
            _warn(error, hint, "the training is done, and what was logged before stays")


def _warn(error: Exception, hint: str, then: str) -> None:
    words = [f"{type(error).__name__}: {error}", hint, then]
    warn(f"ShapCallback could not explain: {'; '.join(filter(None, words))}")


def _hint(trainer: Any) -> str:
    module = trainer.lightning_module
    children = [name for name, _ in module.named_children()]
    return (
        f"if {type(module).__name__}.forward does not take images (N, C, H, W), "
        f"name the attribute that does with module=, one of {children}"
    )
