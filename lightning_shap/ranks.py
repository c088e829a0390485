"""Several processes, one explanation: work is dealt out over the ranks and gathered again."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch.distributed as dist

Result = TypeVar("Result")


def dealt(items: Any) -> Any:
    """This rank's share: every size-th item, as a distributed sampler deals them."""
    rank, size = _world()
    return items[rank::size]


def undealt(shares: Sequence[Sequence[Any]]) -> list[Any]:
    """The items in their first order, from what was dealt to each rank."""
    longest = max((len(share) for share in shares), default=0)
    return [share[row] for row in range(longest) for share in shares if row < len(share)]


def together(work: Callable[[], Result]) -> list[Result]:
    """Runs ``work`` on every rank and gives every rank all results, in the ranks' order.

    All ranks must call it. What fails on one rank fails on all, so that none waits for another
    that has already given up: its own error where it happened, a ``RuntimeError`` that quotes it
    elsewhere.
    """
    _, size = _world()
    if size == 1:
        return [work()]
    result, failure = None, None
    try:
        result = work()
    except Exception as error:
        failure = error
    # An error may not survive pickling, its words do.
    words = None if failure is None else f"{type(failure).__name__}: {failure}"
    outcomes: list[Any] = [None] * size
    dist.all_gather_object(outcomes, (result, words))
    if failure is not None:
        raise failure
    for other, (_, said) in enumerate(outcomes):
        if said is not None:
            raise RuntimeError(f"on rank {other}, {said}")
    return [outcome for outcome, _ in outcomes]


def _world() -> tuple[int, int]:
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return 0, 1
