"""The one batch that is explained again and again: collected once, agreed upon by all ranks."""

import sys
from collections.abc import Sequence
from typing import Any

import torch
from pytorch_lightning import LightningModule, Trainer

from lightning_shap.isolation.generators import generators_kept
from lightning_shap.isolation.random_states import seeded
from lightning_shap.samples import Samples, joined, samples_from, samples_in
from lightning_shap.training.ranks import Ranks, undealt

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
        self.begin()

    def begin(self) -> None:
        """A new fit, which may have other data."""
        self._settled: Samples | None = None
        self._offered: list[Samples] = []  # this rank's
        self._problem: Exception | None = None

    def offer(self, batch: Any, *, first: bool = False) -> None:
        """Keeps as many rows of a batch as are still missing.

        Args:
            batch: As the model receives it.
            first: Of its loader. Unless they are settled, samples are then taken anew: a sanity
                check has seen the same rows before.
        """
        if first:
            self._offered.clear()
        missing = self.size - sum(len(part) for part in self._offered)
        if self._settled is not None or self.given is not None or missing <= 0:
            return
        try:
            self._offered.append(samples_in(batch)[:missing])
        except Exception as error:  # told when the samples are needed, on all ranks alike
            self._problem = error

    def take(
        self, trainer: Trainer, pl_module: LightningModule, *, settle: bool = True
    ) -> Samples | None:
        """The samples so far, None if there are none yet. All ranks must call it.

        Args:
            trainer: The trainer.
            pl_module: The module that is trained.
            settle: Keep to these from now on, even if there are fewer than wanted.
        """
        if self._settled is not None:
            return self._settled
        ranks = Ranks.of(trainer)
        offers = ranks.together(lambda: self._mine(trainer, pl_module))
        rows = [[offer[i : i + 1] for i in range(len(offer))] for offer in offers if offer]
        if not rows:
            return None
        if self.given is None:  # ranks see different batches, but all have what the user gave
            wanted = self.size if ranks.size == 1 else min(self.size, _rows_there_are(trainer))
            samples = joined(undealt(rows)[:wanted])
        else:
            wanted, samples = 0, joined(rows[0])
        if settle or len(samples) >= wanted:
            self._settled = samples
            self._offered.clear()
        return samples

    def state_dict(self) -> dict[str, Any]:
        """The samples that a resumed run could not find again."""
        if self._settled is None or self.given is not None:
            return {}
        return {"images": self._settled.images, "labels": self._settled.labels}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes the samples of the run that is resumed, unless the user now gives others."""
        if state and self.given is None:
            self._settled = Samples(state["images"], state["labels"])

    def _mine(self, trainer: Trainer, pl_module: LightningModule) -> Samples | None:
        """What this rank brings."""
        if self.given is not None:
            return self._chosen(trainer, pl_module)
        if self._offered:
            return joined(self._offered)
        if self._problem is not None:
            raise self._problem
        return None

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

        # A transform may be random, by everybody's generators or by one of its own.
        owners = dataset, collate, pl_module, getattr(trainer, "datamodule", None)
        with generators_kept(*owners), seeded(self.seed), torch.no_grad():
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


def datasets_of(trainer: Trainer) -> list[Any]:
    """Their data sets, which may know what the classes are called and how pixels were prepared."""
    return [loader.dataset for loader in loaders_of(trainer)]


def validates(trainer: Trainer) -> bool:
    """Whether a validation will ever run, as far as this rank can see."""
    if not trainer.enable_validation:
        return False
    if trainer.val_dataloaders is None:  # not asked for yet: the first validation is some way off
        return True
    batches = trainer.num_val_batches
    return any(count > 0 for count in (batches if isinstance(batches, list) else [batches]))


def _rows_there_are(trainer: Trainer) -> int:
    """How long the data set is: a distributed sampler repeats some rows to deal evenly."""
    for loader in loaders_of(trainer)[:1]:
        if getattr(loader, "batch_size", None) is not None and hasattr(loader.dataset, "__len__"):
            return len(loader.dataset)
    return sys.maxsize
