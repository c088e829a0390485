"""The one batch that is explained again and again: picked once, the same on all ranks."""

import sys
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch
from torch.utils.data import Dataset

from lightning_shap.engine.regions.image_tree import ImageTrees
from lightning_shap.errors import ArgumentError
from lightning_shap.training.messages import inform, warn
from lightning_shap.training.ranks import Ranks, in_turn
from lightning_shap.training.samples.labels import (
    WhichLabels,
    class_numbers,
    highest_class,
    joined_labels,
)
from lightning_shap.training.samples.loaders import length_of, loaders_of, rows_of, validates
from lightning_shap.training.samples.reading import prepare, read
from lightning_shap.training.samples.samples import (
    ByPredictions,
    Samples,
    joined,
    samples_in,
    seen_in,
    tensors_in,
)
from lightning_shap.training.samples.selection import labels_of, spread

if TYPE_CHECKING:
    SamplesLike: TypeAlias = (
        Sequence[int]
        | torch.Tensor
        | tuple[torch.Tensor, torch.Tensor]
        | Dataset[Any]
        | ByPredictions
    )
else:  # what a configuration gives is checked in our words, not in those of jsonargparse
    SamplesLike = Sequence[int] | Any

VERSION = 2  # of what a checkpoint holds

# Rows that are read for their labels alone, where a data set does not keep these: so many for each
# sample, and at most.
LOOKS, MOST_LOOKS, AT_ONCE = 8, 512, 64


@dataclass(frozen=True)
class Pick:
    """Samples, and where they came from.

    Attributes:
        samples: As the model receives them.
        rows: Their numbers in the data set, None for images that came without one.
        digest: Of the rows as they were read, to notice another data set.
        chosen: The model's predictions chose them, as was asked for.
    """

    samples: Samples
    rows: list[int] | None = None
    digest: int = 0
    chosen: bool = False


class FixedBatch:
    """Samples that stay the same through all epochs, on all ranks and after a resume.

    They are rows of the validation set, the classes in turn, read by their numbers and prepared as
    the validation would. Only a data set whose rows have no numbers is taken as it comes: the
    first batches, which :meth:`offer` brings.

    Args:
        size: How many samples.
        given: Indices of the validation set, a data set, images, or images and labels; None to
            spread the samples over the classes; ``"mistakes"`` or ``"mixed"`` to do so until the
            model's predictions have chosen others.
        seed: Seed of a data set's random transforms.
        labels: Which labels of the data are true, None for those that are found.

    Attributes:
        pick: The samples once they are settled.
        datasets: Those of the training that are known, the one that the samples come from first.
        loaders: Of the training, those that have a data set.
        trees: Of the samples' images, which are the same in every epoch as well.
        by_predictions: Which kind of prediction is to choose the samples, if any.
    """

    def __init__(
        self, size: int, given: SamplesLike | None, seed: int, labels: WhichLabels = None
    ) -> None:
        self.size = size
        self.by_predictions = given if isinstance(given, str) else None
        self.given = None if isinstance(given, str) else given
        self.seed = seed
        self.labels = labels
        self.begin()

    def begin(self) -> None:
        """A new fit, which may have other data."""
        self.pick: Pick | None = None
        self.datasets: list[Any] = []
        self.loaders: list[Any] = []
        self._resumed: dict[str, Any] = {}
        self._offered: list[Samples] = []  # this rank's
        self._problem: Exception | None = None
        self._unreadable = False
        self.trees = ImageTrees()

    @property
    def chosen_by_user(self) -> bool:
        """Whether the user named each sample, or the model's predictions did."""
        if self.pick is not None and self.pick.chosen:
            return True
        return self.given is not None and (
            _are_indices(self.given) or isinstance(self.given, (tuple, torch.Tensor))
        )

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
        if self.pick is not None or self.given is not None or missing <= 0:
            return
        try:
            self._offered.append(samples_in(batch, self.labels)[:missing])
        except Exception as error:  # raised when the samples are needed, on all ranks alike
            self._problem = error

    def take(
        self, trainer: Any, pl_module: Any, ranks: Ranks, *, settle: bool = True
    ) -> Samples | None:
        """The samples so far, None if there are none yet. All ranks must call it.

        Args:
            trainer: The trainer.
            pl_module: The module that is trained.
            ranks: The trainer's.
            settle: Keep to these from now on, even if there are fewer than wanted.
        """
        if self.pick is None:
            # Loaders may differ from rank to rank. The first one decides for all.
            self.pick = ranks.on_first(lambda: self._picked(trainer, pl_module))
        if self.pick is not None:
            self._offered.clear()
            return self.pick.samples
        samples = self._gathered(trainer, ranks)
        if samples is not None and (settle or len(samples) >= self.size):
            self.pick = Pick(samples)
            self._offered.clear()
        return samples

    def state_dict(self) -> dict[str, Any]:
        """What leads a resumed run to the same samples: their rows, or themselves without any."""
        if self.given is not None:
            return {}
        if self.pick is None:
            return self._resumed
        samples = self.pick.samples
        state: dict[str, Any] = {"version": VERSION, "wanted": self.size}
        if self.pick.rows is not None:
            state["samples"] = {"indices": self.pick.rows, "digest": self.pick.digest}
        else:
            state["samples"] = {"images": samples.images, "labels": samples.labels}
        if self.pick.chosen:
            state["chosen"] = self.by_predictions
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes the samples of the run that is resumed, unless the user now asks for others."""
        if self.given is not None or not state:
            return
        if "version" not in state and "images" in state:  # version 1 kept the images themselves
            state = {"version": 1, "samples": state, "wanted": self.size}
        kept = state.get("samples")
        if not isinstance(kept, dict) or not ({"images", "labels"} <= {*kept} or "indices" in kept):
            warn("ShapCallback: the checkpoint holds samples of another version; it picks new ones")
            return
        chosen = state.get("chosen")
        if state.get("wanted") != self.size or chosen not in (None, self.by_predictions):
            return
        self._resumed = state
        if "images" in kept:
            self.pick = Pick(Samples(kept["images"], kept["labels"]), chosen=chosen is not None)

    def _picked(self, trainer: Any, pl_module: Any) -> Pick | None:
        """The samples that have numbers, or that the user gave; None if there are neither."""
        given = self.given
        if isinstance(given[0] if isinstance(given, tuple) else given, torch.Tensor):
            return Pick(samples_in(given))
        loaders = loaders_of(trainer)
        self.loaders = [loader for loader in loaders if loader is not None]
        self.datasets = [loader.dataset for loader in self.loaders]
        loader = loaders[0] if loaders else None
        if given is None or _are_indices(given):
            if not loaders and validates(trainer):
                return None  # its loaders are Lightning's to ask for
        else:
            self.datasets.insert(0, given)
            return self._read(trainer, pl_module, loader, given, range(self.size))
        rows = None if loader is None else rows_of(loader)
        if given is not None:
            return self._read_given(trainer, pl_module, loader, rows)
        if loader is None or not rows or self._unreadable:
            return None
        try:
            return self._read_spread(trainer, pl_module, loader, rows)
        except Exception as error:  # rows that cannot be read one by one still come in batches
            inform(f"ShapCallback takes the first batches: {type(error).__name__}: {error}")
            self._unreadable = True
            return None

    def _read_given(
        self, trainer: Any, pl_module: Any, loader: Any, rows: Sequence[int] | None
    ) -> Pick:
        given: Any = self.given
        if rows is None:
            raise ArgumentError(
                "samples", "got indices, but the loader has no data set to index; give images"
            )
        if not validates(trainer):
            inform("ShapCallback: there is no validation, so samples are rows of the training set")
        return self._read(trainer, pl_module, loader, loader.dataset, list(given))

    def _read_spread(self, trainer: Any, pl_module: Any, loader: Any, rows: Sequence[int]) -> Pick:
        dataset, kept = loader.dataset, self._resumed.get("samples", {})
        if "indices" in kept and max(kept["indices"]) < len(dataset):
            pick = self._read(trainer, pl_module, loader, dataset, kept["indices"])
            if pick.digest == kept.get("digest"):
                return replace(pick, chosen="chosen" in self._resumed)
        if kept:
            warn("ShapCallback: the data set is not that of the checkpoint; it picks new samples")
        known = labels_of(dataset, self.labels)
        if known is not None:
            pick = self._read(trainer, pl_module, loader, dataset, spread(known, rows, self.size))
            if not _differ(pick, known):
                return _of_all(pick, known)
        # Without labels of all rows, or with others than its rows have, as of a target_transform.
        known = self._look_up(loader, rows) if len(rows) > self.size else None
        pick = self._read(trainer, pl_module, loader, dataset, spread(known, rows, self.size))
        return pick if known is None else _of_all(pick, known)

    def _look_up(self, loader: Any, rows: Sequence[int]) -> np.ndarray | None:
        """The classes of some rows, read one by one, and -1 for all others; None without any."""
        some = spread(None, rows, min(LOOKS * self.size, MOST_LOOKS))
        parts = []
        try:
            for start in range(0, len(some), AT_ONCE):
                batch = read(loader, loader.dataset, some[start : start + AT_ONCE], self.seed)
                labels = seen_in(batch, self.labels).labels
                if labels is None:
                    return None
                parts.append(labels)
        except Exception:  # the samples themselves will show what is wrong
            return None
        classes = class_numbers(joined_labels(parts))
        if classes is None:
            return None
        known = np.full(len(loader.dataset), -1)
        known[some] = classes
        return known

    def read(self, trainer: Any, pl_module: Any, rows: Sequence[int]) -> Pick:
        """Rows of the data set that the samples come from, prepared as the validation would.

        Raises:
            ValueError: If there are no such rows.
        """
        loader = next(iter(loaders_of(trainer)), None)
        return self._read(trainer, pl_module, loader, getattr(loader, "dataset", None), rows)

    def _read(
        self, trainer: Any, pl_module: Any, loader: Any, dataset: Any, rows: Sequence[int]
    ) -> Pick:
        """Rows of a data set, prepared as the validation would, in the precision of the data.

        A model in low precision gets them rounded when it is called; rounded before, they would
        have other regions.
        """
        rows = _checked_rows(dataset, rows)
        batch = read(loader, dataset, rows, self.seed)
        digest = 0
        for _, tensor in tensors_in(batch):
            plain = tensor.detach().cpu().contiguous()
            digest = zlib.crc32(plain.flatten().view(torch.uint8).numpy().data, digest)
        samples = prepare(
            trainer, pl_module, batch, self.seed, lambda given: samples_in(given, self.labels)
        )
        return Pick(samples, [int(row) for row in rows], digest)

    def _gathered(self, trainer: Any, ranks: Ranks) -> Samples | None:
        """The first rows that the ranks were offered, in the order of the data set."""

        def mine() -> tuple[Samples | None, int]:
            if not self._offered and self._problem is not None:
                raise self._problem
            return joined(self._offered) if self._offered else None, _rows_there_are(trainer)

        offers = ranks.gather(mine)
        rows = [[offer[i : i + 1] for i in range(len(offer))] for offer, _ in offers if offer]
        if not rows:
            return None
        # A distributed sampler repeats some rows to deal evenly.
        wanted = self.size if ranks.size == 1 else min(self.size, max(count for _, count in offers))
        return joined(in_turn(rows)[:wanted])


def _of_all(pick: Pick, known: np.ndarray) -> Pick:
    """The samples, with what is known of all labels where they are of the same kind."""
    labels = pick.samples.labels
    if labels is None or labels.dtype != torch.int64 or _differ(pick, known):
        return pick
    return replace(pick, samples=replace(pick.samples, highest=highest_class(known)))


def _differ(pick: Pick, known: np.ndarray) -> bool:
    """Returns whether samples are of other classes than their rows are known to be."""
    labels = pick.samples.labels
    if labels is None or labels.dtype != torch.int64:
        return False
    return not np.array_equal(known[pick.rows or []], labels.numpy())


def one_class_only(samples: Samples) -> bool:
    """Whether all of several samples are known to be of one class."""
    labels = samples.labels
    if labels is None or len(labels) < 2 or labels.dtype != torch.int64:
        return False
    return bool(labels.min() == labels.max() >= 0)


def _are_indices(given: Any) -> bool:
    return isinstance(given, Sequence) and all(type(item) is int for item in given)


def _checked_rows(dataset: Any, rows: Sequence[int]) -> list[int]:
    if not hasattr(dataset, "__len__") or not hasattr(dataset, "__getitem__"):
        raise ArgumentError(
            "samples",
            f"{type(dataset).__name__} has no rows to pick by index; "
            "give images, or images and labels",
        )
    length = len(dataset)
    if isinstance(rows, range):  # the first ones, as many as there are
        rows = rows[:length]
    if not rows or any(not -length <= row < length for row in rows):
        raise ArgumentError(
            "samples",
            f"got indices {list(rows)} for a data set of {length}; give some of 0 to {length - 1}",
        )
    return list(rows)


def _rows_there_are(trainer: Any) -> int:
    for loader in loaders_of(trainer)[:1]:
        if getattr(loader, "batch_size", None) is not None:
            return length_of(loader)
    return sys.maxsize
