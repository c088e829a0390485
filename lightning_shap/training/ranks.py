"""Share work out over the ranks of a training and gather it again."""

import pickle
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from threading import Thread
from typing import Any, TypeVar

import torch
import torch.distributed as dist

from lightning_shap.isolation.host import Watching
from lightning_shap.training.waiting_for_ranks import Peers

Result = TypeVar("Result")

# How long a rank may take for its share. The training's own group may allow seconds only.
TIMEOUT = timedelta(days=7)
PARTING = 1.0  # seconds in which a group that nothing is left open in has long ended
POLL = 0.002  # seconds
POLLS_A_CHECK = 25  # a look at the others every twentieth of a second

COLLECTIVES = ("c10d", "_c10d_functional")  # torch's names for them, however they are called

SHARDING = {"FSDPStrategy", "DeepSpeedStrategy", "ModelParallelStrategy"}


@dataclass
class Ranks:
    """Knows the processes of one trainer, and which of them this is.

    They meet in a group of their own, so that no collective of an explanation can ever be matched
    with one of the training's, and wait in Python, so that whoever waits sees who will not come:
    see :class:`lightning_shap.training.waiting_for_ranks.Peers`.
    """

    rank: int = 0
    size: int = 1
    group: Any = None
    peers: Peers | None = None

    @classmethod
    def meet(cls, trainer: Any) -> "Ranks":
        """Returns a trainer's own ranks: a process group may span several trainers.

        All ranks must call it.
        """
        if trainer.world_size == 1:
            return cls()
        group = dist.new_group(backend="gloo", timeout=TIMEOUT)
        assert isinstance(group, dist.ProcessGroup)  # of which every rank is a member
        rank, size = trainer.global_rank, trainer.world_size
        return cls(rank, size, group, Peers(rank, size, group.group_name, trainer))

    def leave(self) -> None:
        """Gives the group back, at the end of a fit.

        The end of a group waits for exchanges that a rank has left open. Nobody waits for that but
        a thread, which the process does not wait for either.
        """
        groups, self.group = [self.group], None
        if self.peers is not None and dist.is_initialized():
            end = Thread(target=lambda: dist.destroy_process_group(groups.pop()), daemon=True)
            end.start()
            end.join(PARTING)

    def hold_signals(self) -> AbstractContextManager[None]:
        """Holds back, for a block in which ranks meet, the signals that are to end the run."""
        return nullcontext() if self.peers is None else self.peers.hold_signals()

    def begin_epoch(self) -> None:
        """Tells the others that this rank trains on."""
        if self.peers is not None:
            self.peers.begin_epoch()

    def check(self) -> None:
        """Raises a ``PartedError`` if another rank will not come to the next meeting."""
        if self.peers is not None:
            self.peers.check()

    @property
    def rows(self) -> slice:
        """Returns which items are this rank's share, as a distributed sampler deals them out."""
        return slice(self.rank, None, self.size)

    def share(self, items: Any) -> Any:
        """Returns this rank's share of some items."""
        return items if self.size == 1 else items[self.rows]

    def gather(self, work: Callable[[], Result]) -> list[Result]:
        """Runs ``work`` on every rank and gives every rank all results, in the ranks' order.

        All ranks must call it, so whatever leads up to a call must be decided alike on all. What
        fails on one rank fails on all, so that none waits for another that has already given up:
        its own error where it happened, a ``RuntimeError`` that quotes it elsewhere.

        Raises:
            PartedError: If another rank will never call it.
        """
        if self.peers is None:
            return [work()]
        self.peers.arrive()
        parcel, failure = b"", None
        try:
            # Pickled here: what cannot travel has to fail before the others wait for it.
            parcel = pickle.dumps(work())
        except Exception as error:
            failure = error
        # An error may not survive pickling, its words do.
        words = None if failure is None else f"{type(failure).__name__}: {failure}"
        outcomes = [pickle.loads(part) for part in self._exchange(pickle.dumps((parcel, words)))]
        if failure is not None:
            raise failure
        for other, (_, problem) in enumerate(outcomes):
            if problem is not None:
                raise RuntimeError(f"on rank {other}, {problem}")
        return [pickle.loads(part) for part, _ in outcomes]

    def run_on_first(self, work: Callable[[], Result]) -> Result:
        """Runs ``work`` on the first rank and gives all ranks its result. All must call it."""
        return self.gather(lambda: work() if self.rank == 0 else None)[0]  # type: ignore[return-value]

    def _exchange(self, parcel: bytes) -> list[bytes]:
        """Returns every rank's bytes, on every rank."""
        size = torch.tensor([len(parcel)])
        sizes = [torch.empty_like(size) for _ in range(self.size)]
        self._wait(dist.all_gather(sizes, size, group=self.group, async_op=True))
        longest = max(int(length) for length in sizes)
        padded = torch.zeros(longest, dtype=torch.uint8)
        padded[: len(parcel)] = torch.frombuffer(bytearray(parcel), dtype=torch.uint8)
        parcels = [torch.empty_like(padded) for _ in range(self.size)]
        self._wait(dist.all_gather(parcels, padded, group=self.group, async_op=True))
        pairs = zip(parcels, sizes, strict=True)
        return [part[: int(length)].numpy().tobytes() for part, length in pairs]

    def _wait(self, work: Any) -> None:
        polls = 0
        while not work.is_completed():
            polls += 1
            if polls % POLLS_A_CHECK == 0:
                self.check()
            time.sleep(POLL)
        work.wait()  # which raises what went wrong


def restore_order(shares: Sequence[Sequence[Any]]) -> list[Any]:
    """Returns items in their first order, from what was dealt out to each rank."""
    longest = max((len(share) for share in shares), default=0)
    return [share[row] for row in range(longest) for share in shares if row < len(share)]


def find_obstacle(trainer: Any) -> str | None:
    """Returns why the ranks cannot explain each on its own, None where they can.

    Strategies are known by name, for both of Lightning's packages.
    """
    if any(kind.__name__ in SHARDING for kind in type(trainer.strategy).__mro__):
        return "it needs the whole model on each rank, and here they share one"
    if trainer.world_size > 1 and not (dist.is_available() and dist.is_initialized()):
        return "its ranks meet through torch.distributed, which is not in use here"
    return None


@contextmanager
def refuse_collectives() -> Iterator[None]:
    """Refuses collectives inside a model's forward.

    The ranks explain different samples in different numbers of calls, so one would wait for ever;
    and an output that depends on other ranks' images explains nothing about its own.

    Raises:
        CollectiveInForwardError: Instead of a collective.
    """
    with _NoCollectives():
        yield


class CollectiveInForwardError(RuntimeError):
    """Says that a model's forward talks to other ranks."""


class _NoCollectives(Watching):
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.namespace in COLLECTIVES:
            raise CollectiveInForwardError(
                f"the model's forward talks to other ranks ({func.__name__}), and each rank "
                "explains samples of its own; give module= of a part that does not"
            )
        return func(*args, **(kwargs or {}))
