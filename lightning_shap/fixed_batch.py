"""The one batch that is explained again and again: collected once, agreed upon by all ranks."""

from collections.abc import Sequence
from typing import Any

import torch
from pytorch_lightning import LightningModule, Trainer

from lightning_shap.isolation import seeded
from lightning_shap.ranks import together, undealt
from lightning_shap.samples import Samples, joined, samples_from, samples_in

SamplesLike = Sequence[int] | torch.Tensor | tuple[torch.Tensor, torch.Tensor] | Any


class FixedBatch:
    """Samples that stay the same through all epochs, on all ranks and after a resume.

    Args:
        size: How many samples.
        given: Indices of the validation set, a data set, images, or images and labels; None to
            take what :meth:`offer` brings.
        seed: Seed of a data set's random transforms.
    """

    def __init__(self, size: int, given: SamplesLike | None, seed: int) -> None:
        self.size = size
        self.given = given
        self.seed = seed
        self._fixed: Samples | None = None
        self._offered: list[Samples] = []  # this rank's
        self._problem: Exception | None = None

    def offer(self, batch: Any) -> None:
        """Keeps as many rows of a batch as are still missing."""
        missing = self.size - sum(len(part) for part in self._offered)
        if self._fixed is not None or self.given is not None or missing <= 0:
            return
        try:
            self._offered.append(samples_in(batch)[:missing])
        except ValueError as error:  # told when the samples are needed, on all ranks alike
            self._problem = error

    def at_hand(self) -> bool:
        """Whether any rank has samples; all ranks must ask."""
        mine = self._fixed is not None or self.given is not None or bool(self._offered)
        return any(together(lambda: mine or self._problem is not None))

    def fix(self, trainer: Trainer, pl_module: LightningModule) -> Samples:
        """The samples; the first call fixes them. All ranks must call it.

        Raises:
            ValueError: If there are none.
        """
        if self._fixed is not None:
            return self._fixed
        offers = together(lambda: self._mine(trainer, pl_module))
        rows = [[offer[i : i + 1] for i in range(len(offer))] for offer in offers if offer]
        if not rows:
            raise ValueError(
                "samples: no batch has come by yet; give samples=, or let a validation or its "
                "sanity check run before the first explanation"
            )
        # Ranks see different batches, but all have what the user gave.
        self._fixed = joined(undealt(rows)[: self.size] if self.given is None else rows[0])
        self._offered.clear()
        return self._fixed

    def state_dict(self) -> dict[str, Any]:
        """The samples, once they are fixed."""
        if self._fixed is None:
            return {}
        return {"images": self._fixed.images, "labels": self._fixed.labels}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes the samples of the run that is resumed."""
        if state:
            self._fixed = Samples(state["images"], state["labels"])

    def _mine(self, trainer: Trainer, pl_module: LightningModule) -> Samples | None:
        """What this rank brings."""
        if self.given is not None:
            return self._chosen(trainer, pl_module)
        if self._problem is not None:
            raise self._problem
        return joined(self._offered) if self._offered else None

    def _chosen(self, trainer: Trainer, pl_module: LightningModule) -> Samples:
        """The samples that the user gave, prepared as the model would receive them."""
        given: Any = self.given
        if isinstance(given[0] if isinstance(given, tuple) else given, torch.Tensor):
            return samples_in(given)
        loaders = loaders_of(trainer)
        collate = loaders[0].collate_fn if loaders else torch.utils.data.default_collate
        if isinstance(given, Sequence) and all(type(item) is int for item in given):
            if not loaders:
                raise ValueError("samples: got indices, but no loader has a data set to index")
            dataset, indices = loaders[0].dataset, list(given)
        else:
            dataset, indices = given, list(range(min(self.size, len(given))))

        def as_received(batch: Any) -> Any:
            batch = trainer.precision_plugin.convert_input(batch)
            batch = pl_module._on_before_batch_transfer(batch)
            return trainer.strategy.batch_to_device(batch)

        with seeded(self.seed), torch.no_grad():  # a transform may be random
            return samples_from(dataset, indices, collate=collate, prepare=as_received)


def loaders_of(trainer: Trainer) -> list[Any]:
    """The trainer's loaders that know their data set, those of the validation first."""
    leaves: list[Any] = []

    def visit(loaders: Any) -> None:
        if isinstance(loaders, dict):
            loaders = list(loaders.values())
        if isinstance(loaders, (list, tuple)):
            for loader in loaders:
                visit(loader)
        elif hasattr(loaders, "dataset"):
            leaves.append(loaders)

    visit([trainer.val_dataloaders, trainer.train_dataloader])
    return leaves


def validates(trainer: Trainer) -> bool:
    """Whether a validation will ever run."""
    batches = trainer.num_val_batches
    counts = batches if isinstance(batches, list) else [batches]
    return bool(trainer.enable_validation) and any(count > 0 for count in counts)
