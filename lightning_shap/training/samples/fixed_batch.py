"""Pick the batch that is explained again and again, once and the same on all ranks."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch
from torch.utils.data import Dataset

from lightning_shap.engine.regions.image_tree import ImageTrees
from lightning_shap.training.messages import inform, warn
from lightning_shap.training.ranks import Ranks
from lightning_shap.training.samples.labels import (
    WhichLabels,
    find_highest_class,
)
from lightning_shap.training.samples.loaders import find_loaders, find_rows, will_validate
from lightning_shap.training.samples.offers import Offers
from lightning_shap.training.samples.reading_process import check_rows, prepare, read
from lightning_shap.training.samples.samples import (
    ByPredictions,
    Samples,
    find_samples,
    find_tensors,
)
from lightning_shap.training.samples.selection import find_all_labels, look_up_labels, spread

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


@dataclass(frozen=True)
class Pick:
    """Holds samples, and where they came from.

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
    """Keeps samples the same through all epochs of a fit, on all ranks and after a resume.

    They are rows of the validation set, the classes in turn, read by their numbers and prepared as
    the validation would. Only a data set whose rows have no numbers is taken as it comes: the
    first batches, which :meth:`offer` brings.

    Args:
        trainer: The trainer.
        pl_module: The module that it trains.
        ranks: The trainer's.
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
        offers: The first batches, for data whose rows have no numbers.
        by_predictions: Which kind of prediction is to choose the samples, if any.
    """

    def __init__(
        self,
        trainer: Any,
        pl_module: Any,
        ranks: Ranks,
        size: int,
        given: SamplesLike | None,
        seed: int,
        labels: WhichLabels = None,
    ) -> None:
        self.trainer = trainer
        self.pl_module = pl_module
        self.ranks = ranks
        self.size = size
        self.by_predictions = given if isinstance(given, str) else None
        self.given = None if isinstance(given, str) else given
        self.seed = seed
        self.labels = labels
        self.pick: Pick | None = None
        self.datasets: list[Any] = []
        self.loaders: list[Any] = []
        self._resumed: dict[str, Any] = {}
        self.offers = Offers(ranks, size, labels)
        self._unreadable = False
        self.trees = ImageTrees()

    def resize(self, size: int) -> "FixedBatch":
        """Returns another batch of the same fit, of so many rows, the classes in turn."""
        return FixedBatch(
            self.trainer, self.pl_module, self.ranks, size, None, self.seed, self.labels
        )

    def warn_of_one_class(self, samples: Samples) -> None:
        """Warns where all of several samples are of one class, and neither user nor model chose."""
        given, labels = self.given, samples.labels
        chosen = self.pick is not None and self.pick.chosen
        chosen |= _are_indices(given) or isinstance(given, (tuple, torch.Tensor))
        if chosen or labels is None or len(labels) < 2 or labels.dtype != torch.int64:
            return
        if labels.min() == labels.max() >= 0:
            warn(
                f"ShapCallback: all {len(labels)} samples are of one class; give samples= of "
                "several, or labels= if the classes are another part of the data"
            )

    def offer(self, batch: Any, *, first: bool = False) -> None:
        """Keeps rows of a batch, as long as samples are missing that have no numbers.

        Args:
            batch: As the model receives it.
            first: Of its loader.
        """
        if self.pick is None and self.given is None:
            self.offers.add(batch, first=first)

    def take(self, *, for_good: bool = True) -> Samples | None:
        """Returns the samples so far, None if there are none yet. All ranks must call it.

        Args:
            for_good: Keep to these from now on, even if there are fewer than wanted.
        """
        if self.pick is None:
            # Loaders may differ from rank to rank. The first one decides for all.
            self.pick = self.ranks.run_on_first(self._find_pick)
        if self.pick is None:
            samples = self.offers.gather()
            if samples is None or (len(samples) < self.size and not for_good):
                return samples
            self.pick = Pick(samples)
        self.offers.clear()
        return self.pick.samples

    def state_dict(self) -> dict[str, Any]:
        """Returns what leads a resumed run to the same samples: their rows, else themselves."""
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
        if "images" in kept:
            self.pick = Pick(Samples(kept["images"], kept["labels"]), chosen=chosen is not None)
        self._resumed = state

    def _find_pick(self) -> Pick | None:
        """Returns the samples that have numbers, or that the user gave; None without either."""
        given = self.given
        if isinstance(given[0] if isinstance(given, tuple) else given, torch.Tensor):
            return Pick(find_samples(given))
        loaders = find_loaders(self.trainer)
        self.loaders = [loader for loader in loaders if loader is not None]
        self.datasets = [loader.dataset for loader in self.loaders]
        loader = loaders[0] if loaders else None
        if given is None or _are_indices(given):
            if not loaders and will_validate(self.trainer):
                return None  # its loaders are Lightning's to ask for
        else:
            self.datasets.insert(0, given)
            return self._read(loader, given, range(self.size))
        rows = None if loader is None else find_rows(loader)
        if given is not None:
            if not will_validate(self.trainer):
                inform("ShapCallback: there is no validation, so samples are training rows")
            return self._read(loader, getattr(loader, "dataset", None), list(given))  # type: ignore[arg-type]
        if loader is None or not rows or self._unreadable:
            return None
        try:
            return self._read_spread(loader, rows)
        except Exception as error:  # rows that cannot be read one by one still come in batches
            inform(f"ShapCallback takes the first batches: {type(error).__name__}: {error}")
            self._unreadable = True
            return None

    def _read_spread(self, loader: Any, rows: Sequence[int]) -> Pick:
        dataset, kept = loader.dataset, self._resumed.get("samples", {})
        if "indices" in kept and max(kept["indices"]) < len(dataset):
            pick = self._read(loader, dataset, kept["indices"])
            if pick.digest == kept.get("digest"):
                return replace(pick, chosen="chosen" in self._resumed)
        if kept:
            warn("ShapCallback: the data set is not that of the checkpoint; it picks new samples")
        known = find_all_labels(dataset, self.labels)
        if known is not None:
            pick = self._read(loader, dataset, spread(known, rows, self.size))
            if not _differ(pick, known):
                return _add_highest(pick, known)
        # Without labels of all rows, or with others than its rows have, as of a target_transform.
        known = None
        if len(rows) > self.size:
            known = look_up_labels(loader, rows, self.size, self.labels, self.seed)
        pick = self._read(loader, dataset, spread(known, rows, self.size))
        return pick if known is None else _add_highest(pick, known)

    def spread_rows(self, most: int) -> list[int]:
        """Returns rows of the data set that samples come from, so many, the classes in turn."""
        loader = find_loaders(self.trainer)[0]
        return spread(find_all_labels(loader.dataset, self.labels), find_rows(loader) or (), most)

    def read(self, rows: Sequence[int]) -> Pick:
        """Returns rows of the data set that samples come from, prepared as the validation would.

        Raises:
            ValueError: If there are no such rows.
        """
        loader = next(iter(find_loaders(self.trainer)), None)
        return self._read(loader, getattr(loader, "dataset", None), rows)

    def _read(self, loader: Any, dataset: Any, rows: Sequence[int]) -> Pick:
        """Returns rows of a data set as the validation would prepare them, in their precision.

        A model in low precision gets them rounded when it is called; rounded before, they would
        have other regions.
        """
        rows = check_rows(dataset, rows)
        batch = read(loader, dataset, rows, self.seed)
        digest = 0
        for _, tensor in find_tensors(batch):
            plain = tensor.detach().cpu().contiguous()
            digest = zlib.crc32(plain.flatten().view(torch.uint8).numpy().data, digest)
        take = partial(find_samples, labels=self.labels)
        samples = prepare(self.trainer, self.pl_module, batch, self.seed, take)
        return Pick(samples, [int(row) for row in rows], digest)


def _add_highest(pick: Pick, known: np.ndarray) -> Pick:
    """Returns the samples, with what is known of all labels where they are of the same kind."""
    labels = pick.samples.labels
    if labels is None or labels.dtype != torch.int64 or _differ(pick, known):
        return pick
    return replace(pick, samples=replace(pick.samples, highest=find_highest_class(known)))


def _differ(pick: Pick, known: np.ndarray) -> bool:
    """Returns whether samples are of other classes than their rows are known to be."""
    labels = pick.samples.labels
    if labels is None or labels.dtype != torch.int64:
        return False
    return not np.array_equal(known[pick.rows or []], labels.numpy())


def _are_indices(given: Any) -> bool:
    return isinstance(given, Sequence) and all(type(item) is int for item in given)
