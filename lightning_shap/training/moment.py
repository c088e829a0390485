"""Tell when in a training it is: the epoch and step of Lightning's own epoch-end metrics."""

from dataclasses import dataclass

from lightning_shap.training.lightning import Trainer


@dataclass(frozen=True)
class Moment:
    """Holds where on the axes of a run something is logged.

    Attributes:
        epoch: The latest epoch that has begun, from 0.
        step: The latest batch that stepped, from 0; -1 before the first.
    """

    epoch: int
    step: int

    @classmethod
    def find(cls, trainer: Trainer) -> "Moment":
        """Returns the moment at which a trainer is, the same in all hooks after an epoch's end."""
        # At the end of ``fit`` the trainer's ``current_epoch`` is their number.
        begun = trainer.fit_loop.epoch_progress.current.ready
        return cls(epoch=max(begun - 1, 0), step=_count_batches(trainer) - 1)

    def __str__(self) -> str:
        return f"epoch {self.epoch} · step {self.step}"


def _count_batches(trainer: Trainer) -> int:
    """Returns how many batches have stepped, by the count that Lightning gives to its loggers.

    ``trainer.global_step`` is another one: it adds the steps of all optimizers. Lightning logs a
    batch's metrics at this count, then raises it, and takes one off again for those of an epoch's
    end (``FitLoop.on_advance_end``), which stand where the last batch of the epoch does. There is
    no public name for it. With one optimizer, both counts are the same.
    """
    count = getattr(trainer.fit_loop.epoch_loop, "_batches_that_stepped", None)
    return trainer.global_step if count is None else count
