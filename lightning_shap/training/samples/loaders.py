"""Find the loader that samples come from, and which rows it deals out."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

from torch.utils.data import BatchSampler, IterableDataset

from lightning_shap.training.samples.reading_process import call_apart

# Samplers that deal out every row, each in an order of its own.
OF_ALL_ROWS = {"SequentialSampler", "RandomSampler", "DistributedSampler"}


@dataclass(frozen=True)
class Deal:
    """Says which rows of its data a process gets, where these are dealt out in their order.

    Attributes:
        stride: How far apart they lie.
        offset: Which one is the first.
        rows: How many there are; what is dealt out beyond them was dealt out before.
    """

    stride: int = 1
    offset: int = 0
    rows: int = sys.maxsize

    @classmethod
    def of(cls, loader: Any) -> "Deal":
        """Returns how a loader of this process deals."""
        sampler = getattr(getattr(loader, "batch_sampler", None), "sampler", None)
        sampler = getattr(loader, "sampler", None) if sampler is None else sampler
        stride, offset = getattr(sampler, "num_replicas", 1), getattr(sampler, "rank", 0)
        return cls(stride, offset, length_of(loader))

    def place(self, number: int) -> int:
        """Returns where in the data this process's row of a number lies."""
        return self.offset + self.stride * number


def length_of(loader: Any) -> int:
    """Returns how many rows a loader's data set has, very many where it does not say."""
    try:
        return len(loader.dataset)
    except (TypeError, AttributeError, NotImplementedError):
        return sys.maxsize


def loaders_of(trainer: Any) -> list[Any]:
    """Returns a training's loaders, its validation's first; None for one without a data set.

    A validation whose loaders Lightning has not asked for yet is waited for: there are no loaders
    then. A sparse validation is no reason to explain training images, nor to call anybody's hook.
    """
    validation = _validation_loaders(trainer) if validates(trainer) else None
    if validation is None and validates(trainer):
        return []
    leaves = _leaves([validation, trainer.train_dataloader])
    return [loader if hasattr(loader, "dataset") else None for loader in leaves]


def validates(trainer: Any) -> bool:
    """Returns whether a validation will ever run, as far as this rank can see."""
    if not trainer.enable_validation:
        return False
    if trainer.val_dataloaders is None:  # not asked for yet: the first validation is some way off
        return True
    batches = trainer.num_val_batches
    return any(count > 0 for count in (batches if isinstance(batches, list) else [batches]))


def rows_of(loader: Any) -> Sequence[int] | None:
    """Returns the rows that a loader deals out, ascending; None if they have no numbers.

    Not all rows, where a sampler picks: the others may be what the model trains on.
    """
    dataset = loader.dataset
    if isinstance(dataset, IterableDataset) or not hasattr(dataset, "__getitem__"):
        return None
    try:
        everything = range(len(dataset))
    except (TypeError, NotImplementedError):
        return None
    batches = getattr(loader, "batch_sampler", None)
    if batches is not None and type(batches) is not BatchSampler:
        return _dealt_out(batches, everything)
    sampler = getattr(batches, "sampler", getattr(loader, "sampler", None))
    # Lightning wraps a sampler in one that deals its rows out to the ranks.
    sampler = getattr(getattr(sampler, "dataset", None), "_sampler", sampler)
    if sampler is None or _is_of_all_rows(sampler):
        return everything
    return _dealt_out(sampler, everything)


def _is_of_all_rows(sampler: Any) -> bool:
    kinds = {kind.__name__ for kind in type(sampler).__mro__}
    return bool(kinds & OF_ALL_ROWS) and not getattr(sampler, "replacement", False)


def _dealt_out(sampler: Any, everything: range) -> Sequence[int] | None:
    """Returns what a sampler deals out in one pass, called apart, as it may count or draw."""
    indices = getattr(sampler, "indices", None)
    if indices is None:
        try:
            indices = call_apart((sampler,), partial(_pass_of, len(everything)), 0)
        except Exception:  # somebody else's code
            return None
    try:
        rows = sorted({row for index in indices if (row := int(index)) == index})
    except (TypeError, ValueError):
        return None
    return rows if rows and rows[0] >= 0 and rows[-1] < len(everything) else None


def _pass_of(most: int, samplers: tuple[Any]) -> list[Any]:
    return list(islice(_flat(samplers[0]), most))


def _flat(batches: Any) -> Iterator[Any]:
    for item in batches:
        if isinstance(item, (list, tuple)):
            yield from item
        else:
            yield item


def _leaves(loaders: Any) -> Iterator[Any]:
    if isinstance(loaders, dict):
        loaders = list(loaders.values())
    if isinstance(loaders, (list, tuple)):
        for loader in loaders:
            yield from _leaves(loader)
    elif loaders is not None:
        yield loaders


def _validation_loaders(trainer: Any) -> Any:
    """Returns those that Lightning has asked for, or was given: hooks are its to call."""
    if trainer.val_dataloaders is not None:
        return trainer.val_dataloaders
    # No public name leads to loaders that a fit was given, and has no use for yet.
    source = getattr(trainer.fit_loop.epoch_loop.val_loop, "_data_source", None)
    return None if source is None or source.is_module() else source.instance
