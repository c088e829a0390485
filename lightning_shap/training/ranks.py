"""Several processes, one explanation: work is dealt out over the ranks and gathered again."""

import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch.distributed as dist

from lightning_shap.training.lightning import Trainer

Result = TypeVar("Result")


@dataclass(frozen=True)
class Ranks:
    """The processes of one trainer, and which of them this is."""

    rank: int = 0
    size: int = 1

    @classmethod
    def of(cls, trainer: Trainer) -> "Ranks":
        """The trainer's own: a process group may also span trainers that know nothing of others."""
        return cls(trainer.global_rank, trainer.world_size)

    def dealt(self, items: Any) -> Any:
        """This rank's share: every size-th item, as a distributed sampler deals them."""
        return items[self.rank :: self.size]

    def together(self, work: Callable[[], Result]) -> list[Result]:
        """Runs ``work`` on every rank and gives every rank all results, in the ranks' order.

        All ranks must call it, so whatever leads up to a call must be decided alike on all. What
        fails on one rank fails on all, so that none waits for another that has already given up:
        its own error where it happened, a ``RuntimeError`` that quotes it elsewhere.
        """
        if self.size == 1:
            return [work()]
        parcel, failure = b"", None
        try:
            # Pickled here: what cannot travel has to fail before the others wait for it.
            parcel = pickle.dumps(work())
        except Exception as error:
            failure = error
        # An error may not survive pickling, its words do.
        words = None if failure is None else f"{type(failure).__name__}: {failure}"
        outcomes: list[Any] = [None] * self.size
        dist.all_gather_object(outcomes, (parcel, words))
        if failure is not None:
            raise failure
        for other, (_, said) in enumerate(outcomes):
            if said is not None:
                raise RuntimeError(f"on rank {other}, {said}")
        return [pickle.loads(parcel) for parcel, _ in outcomes]


def undealt(shares: Sequence[Sequence[Any]]) -> list[Any]:
    """The items in their first order, from what was dealt to each rank."""
    longest = max((len(share) for share in shares), default=0)
    return [share[row] for row in range(longest) for share in shares if row < len(share)]


def every_rank_has_the_model(trainer: Trainer) -> bool:
    """Whether each rank can explain on its own; told by name, for both of Lightning's packages."""
    sharding = {"FSDPStrategy", "DeepSpeedStrategy", "ModelParallelStrategy"}
    shards = any(kind.__name__ in sharding for kind in type(trainer.strategy).__mro__)
    talks = trainer.world_size == 1 or (dist.is_available() and dist.is_initialized())
    return talks and not shards
