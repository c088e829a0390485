"""Find the loader that samples come from, and which rows it deals out."""

from collections.abc import Iterator, Sequence
from typing import Any

from torch.utils.data import BatchSampler, IterableDataset

# Samplers that deal out every row, each in an order of its own.
OF_ALL_ROWS = {"SequentialSampler", "RandomSampler", "DistributedSampler"}


def find_loaders(trainer: Any) -> list[Any]:
    """Returns a training's loaders, its validation's first; None for one without a data set.

    A validation whose loaders Lightning has not asked for yet is waited for: there are no loaders
    then. A sparse validation is no reason to explain training images, nor to call anybody's hook.
    """
    validation = _find_validation_loaders(trainer) if will_validate(trainer) else None
    if validation is None and will_validate(trainer):
        return []
    leaves = _find_leaves([validation, trainer.train_dataloader])
    return [loader if hasattr(loader, "dataset") else None for loader in leaves]


def will_validate(trainer: Any) -> bool:
    """Returns whether a validation will ever run, as far as this rank can see."""
    if not trainer.enable_validation:
        return False
    if trainer.val_dataloaders is None:  # not asked for yet: the first validation is some way off
        return True
    batches = trainer.num_val_batches
    return any(count > 0 for count in (batches if isinstance(batches, list) else [batches]))


def find_rows(loader: Any) -> Sequence[int] | None:
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
        return _find_picked(batches, everything)
    sampler = getattr(batches, "sampler", getattr(loader, "sampler", None))
    # Lightning wraps a sampler in one that deals its rows out to the ranks.
    sampler = getattr(getattr(sampler, "dataset", None), "_sampler", sampler)
    if sampler is None or _is_of_all_rows(sampler):
        return everything
    return _find_picked(sampler, everything)


def _is_of_all_rows(sampler: Any) -> bool:
    kinds = {kind.__name__ for kind in type(sampler).__mro__}
    return bool(kinds & OF_ALL_ROWS) and not getattr(sampler, "replacement", False)


def _find_picked(sampler: Any, everything: range) -> Sequence[int] | None:
    """Returns the rows that a sampler names, as ``SubsetRandomSampler`` does, and None else.

    It is not asked for them in a pass of its own, since it may count or draw.
    """
    try:
        indices = getattr(sampler, "indices", ())
        rows = sorted({row for index in indices if (row := int(index)) == index})
    except (TypeError, ValueError):
        return None
    return rows if rows and rows[0] >= 0 and rows[-1] < len(everything) else None


def _find_leaves(loaders: Any) -> Iterator[Any]:
    if isinstance(loaders, dict):
        loaders = list(loaders.values())
    if isinstance(loaders, (list, tuple)):
        for loader in loaders:
            yield from _find_leaves(loader)
    elif loaders is not None:
        yield loaders


def _find_validation_loaders(trainer: Any) -> Any:
    """Returns those that Lightning has asked for, or was given: hooks are its to call."""
    if trainer.val_dataloaders is not None:
        return trainer.val_dataloaders
    # No public name leads to loaders that a fit was given, and has no use for yet.
    source = getattr(trainer.fit_loop.epoch_loop.val_loop, "_data_source", None)
    return None if source is None or source.is_module() else source.instance
