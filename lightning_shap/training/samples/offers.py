"""Take samples from the first batches, where the rows of a data set have no numbers."""

from typing import Any

from lightning_shap.training.messages import inform, warn
from lightning_shap.training.ranks import Ranks, restore_order
from lightning_shap.training.samples.labels import WhichLabels
from lightning_shap.training.samples.samples import Samples, find_samples, join_samples


class Offers:
    """Keeps the first rows of the batches that a rank sees, as many as are wanted.

    Args:
        ranks: The trainer's.
        wanted: How many samples all ranks need.
        labels: Which labels of the data are true, None for those that are found.
    """

    def __init__(self, ranks: Ranks, wanted: int, labels: WhichLabels) -> None:
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
            self._offered.append(find_samples(batch, self.labels)[:missing])
        except Exception as error:  # raised when the samples are needed, on all ranks alike
            self._problem = error

    def clear(self) -> None:
        """Gives up what is kept."""
        self._offered.clear()

    def gather(self) -> Samples | None:
        """Returns the first rows that all ranks have, in the order of the data; None for none."""

        def mine() -> Samples | None:
            if not self._offered and self._problem is not None:
                raise self._problem
            return join_samples(self._offered) if self._offered else None

        offers = self.ranks.gather(mine)
        rows = [[offer[i : i + 1] for i in range(len(offer))] for offer in offers if offer]
        return join_samples(restore_order(rows)[: self.wanted]) if rows else None

    def say_lack(self, title: str, *, expected: bool) -> None:
        """Says once that there are no samples yet, as a warning where some were expected."""
        if not self._lack_said:
            self._lack_said = expected
            (warn if expected else inform)(
                f"ShapCallback has no samples yet for {title!r}, and waits for the first "
                "validation batch; give samples=, or num_sanity_val_steps=1 to the Trainer"
            )
