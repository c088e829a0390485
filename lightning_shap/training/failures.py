"""Turn failures to explain into warnings, with a retry at the next epoch, and an end to it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

from lightning_shap.isolation.signals import came_from_explanation
from lightning_shap.training.lightning import Trainer
from lightning_shap.training.messages import inform, warn
from lightning_shap.training.ranks import Ranks
from lightning_shap.training.waiting_for_ranks import PartedError

# Three epochs in a row without an explanation are no accident: the callback stops trying.
MOST_FAILURES = 3

# What a forward that expects something else than images raises.
STRANGE = (AttributeError, LookupError, NotImplementedError, TypeError)


class Failures:
    """Turns errors of one fit into warnings, and gives up after three epochs in a row that failed.

    Args:
        on_error: ``"warn"``, or ``"raise"`` to raise the first error.
        trainer: The trainer.
        ranks: Its ranks, which meet only where failures are warned of.
        whole_module: The LightningModule itself is explained, whose ``forward`` may not be that of
            a classifier.
    """

    def __init__(
        self,
        on_error: Literal["warn", "raise"],
        trainer: Trainer,
        ranks: Ranks,
        *,
        whole_module: bool,
    ) -> None:
        self.on_error = on_error
        self.trainer = trainer
        self.ranks = ranks
        self.whole_module = whole_module
        self._warned: set[int | str] = set()  # epochs since the last success; then words
        self._declined = False
        self._succeeded = False
        self._is_over = False

    @property
    def gave_up(self) -> bool:
        """Returns whether to stop trying."""
        return self._declined or (len(self._warned) >= MOST_FAILURES and not self._is_over)

    def end(self) -> None:
        """Notes that the training is over: no later epoch makes up for a failure."""
        self._declined, self._is_over = self.gave_up, True
        self._warned.clear()

    def decline(self) -> None:
        """Stops trying."""
        self._declined = True

    def note_success(self) -> None:
        """Notes that there is an explanation, whatever becomes of its picture."""
        self._warned.clear()
        self._succeeded = True

    @contextmanager
    def warn_of_all(self) -> Iterator[None]:
        """Warns of what is raised inside, where ranks may meet."""
        with self.ranks.hold_signals(), self._turn_into_warnings():
            yield

    @contextmanager
    def _turn_into_warnings(self) -> Iterator[None]:
        epoch = self.trainer.current_epoch
        try:
            yield
        except PartedError as error:
            self.decline()
            inform(f"ShapCallback explains no more: {error}")
        except Exception as error:
            if not came_from_explanation(error):  # such as a deadline's: it is for the training
                raise
            if self.trainer.received_sigterm:  # the run is about to end
                return
            strange = isinstance(error, STRANGE) and not self._succeeded
            hint = _write_hint(self.trainer) if strange and self.whole_module else ""
            if self.on_error == "raise":
                if hint:
                    error.add_note(hint)
                raise
            # The hooks of one epoch meet the same fault, and are one failure; so does all that is
            # still to do once the training is over.
            fault = str(error) if self._is_over else epoch
            if fault in self._warned:
                return
            self._warned.add(fault)
            if self._is_over:
                then = "the training is done, and what was logged before stays"
            elif self.gave_up:
                then = f"after {MOST_FAILURES} epochs in a row it stops trying"
            else:
                then = "the training goes on and the next explanation is a retry"
            words = [f"{type(error).__name__}: {error}", hint, then]
            warn(f"ShapCallback could not explain: {'; '.join(filter(None, words))}")


def _write_hint(trainer: Any) -> str:
    module = trainer.lightning_module
    children = [name for name, _ in module.named_children()]
    return (
        f"if {type(module).__name__}.forward does not take images (N, C, H, W), "
        f"name the attribute that does with module=, one of {children}"
    )


def resume(name: str, part: Any, state: Any) -> None:
    """Has a part take its state in a checkpoint, or warns that it begins anew.

    Args:
        name: What messages call it.
        part: As it begins; its ``load_state_dict`` takes a state as a whole or not at all.
        state: As the checkpoint has it, which may be anything.
    """
    try:
        part.load_state_dict(state)
    except Exception as error:  # a damaged archive makes NumPy, zipfile and JSON raise anything
        warn(f"ShapCallback begins its {name} anew, as the checkpoint's is unreadable: {error}")
