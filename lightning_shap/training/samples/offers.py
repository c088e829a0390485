"""Take samples from the first batches, where the rows of a data set have no numbers."""

import sys
from typing import Any

from lightning_shap.training.messages import inform, warn
from lightning_shap.training.ranks import Ranks, in_turn
from lightning_shap.training.samples.labels import WhichLabels
from lightning_shap.training.samples.loaders import length_of, loaders_of
from lightning_shap.training.samples.samples import Samples, joined, samples_in


class Offers:
    """Keeps the first rows of the batches that a rank sees, as many as are wanted.

    Args:
        trainer: The trainer.
        ranks: The trainer's.
        wanted: How many samples all ranks need.
        labels: Which labels of the data are true, None for those that are found.
    """

    def __init__(self, trainer: Any, ranks: Ranks, wanted: int, labels: WhichLabels) -> None:
        self.trainer = trainer
        self.ranks = ranks
        self.wanted = wanted
        self.labels = labels
        self._offered: list[Samples] = []  # this rank's
        self._problem: Exception | None = None
        self._lack_said = False

    def add(self, batch: Any, *, first: bool) -> None:
        """Keeps as many rows of a batch as are still missing.

        Args:
            batch: As the model receives it.
            first: Of its loader. Samples are then taken anew: a sanity check has seen the same
                rows before.
        """
        if first:
            self.clear()
        missing = self.wanted - sum(len(part) for part in self._offered)
        if missing <= 0:
            return
        try:
            self._offered.append(samples_in(batch, self.labels)[:missing])
        except Exception as error:  # raised when the samples are needed, on all ranks alike
            self._problem = error

    def clear(self) -> None:
        """Gives up what is kept."""
        self._offered.clear()

    def gather(self) -> Samples | None:
        """Returns the first rows that all ranks have, in the order of the data; None for none."""

        def mine() -> tuple[Samples | None, int]:
            if not self._offered and self._problem is not None:
                raise self._problem
            rows = _rows_there_are(self.trainer)
            return joined(self._offered) if self._offered else None, rows

        offers = self.ranks.gather(mine)
        rows = [[offer[i : i + 1] for i in range(len(offer))] for offer, _ in offers if offer]
        if not rows:
            return None
        # A distributed sampler repeats some rows to deal evenly.
        there_are = self.wanted if self.ranks.size == 1 else max(count for _, count in offers)
        return joined(in_turn(rows)[: min(self.wanted, there_are)])

    def say_lack(self, title: str, *, expected: bool) -> None:
        """Says once that there are no samples yet, as a warning where some were expected."""
        if not self._lack_said:
            self._lack_said = expected
            (warn if expected else inform)(
                f"ShapCallback has no samples yet for {title!r}, and waits for the first "
                "validation batch; give samples=, or num_sanity_val_steps=1 to the Trainer"
            )


def _rows_there_are(trainer: Any) -> int:
    for loader in loaders_of(trainer)[:1]:
        if getattr(loader, "batch_size", None) is not None:
            return length_of(loader)
    return sys.maxsize
