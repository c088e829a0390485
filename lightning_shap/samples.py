"""The fixed sample batch: which images, their labels, their classes' names, how to show them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.data import default_collate


@dataclass(frozen=True)
class Samples:
    """Some images as the model receives them.

    Attributes:
        images: Float tensor (N, C, H, W) on the CPU.
        labels: int64 (N,), the true classes, or None where the batch held none.
    """

    images: torch.Tensor
    labels: torch.Tensor | None = None

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, rows: slice) -> "Samples":
        return Samples(self.images[rows], None if self.labels is None else self.labels[rows])


def samples_in(batch: Any) -> Samples:
    """The images and labels of a batch, whatever holds them.

    The first floating tensor with four axes is the images. The first whole-number tensor of one
    axis and as many rows is the labels; failing that, one-hot, multi-hot or 0/1 floats are. What a
    dictionary calls labels comes before its other entries, such as row numbers.

    Raises:
        ValueError: If there are no images.
    """
    named = list(_tensors(batch))
    tensors = [tensor for _, tensor in named]
    images = next((t for t in tensors if t.ndim == 4 and t.is_floating_point()), None)
    if images is None:
        shapes = [f"{t.dtype} {tuple(t.shape)}" for t in tensors]
        raise ValueError(
            f"samples: found no float images (N, C, H, W) in a batch of {shapes or type(batch)}; "
            "give samples=(images, labels) as the model takes them"
        )
    likely_first = sorted(named, key=lambda item: not _is_label(item[0]))  # stable
    rows = [t for _, t in likely_first if t is not images and t.shape[:1] == images.shape[:1]]
    whole = next((t for t in rows if t.ndim == 1 and not t.is_floating_point()), None)
    if whole is None:
        scored = next((t for t in rows if t.ndim == 2 or t.ndim == 1), None)
        if scored is not None and scored.ndim == 2:
            # Of several true classes the first; a column of one is a binary model's 0 or 1.
            whole = scored.argmax(1) if scored.shape[1] > 1 else scored[:, 0]
        else:
            whole = scored
    labels = None if whole is None else whole.detach().cpu().long().clone()
    return Samples(images.detach().cpu().clone(), labels)


def samples_from(
    dataset: Any,
    indices: Sequence[int],
    *,
    collate: Callable[[list[Any]], Any] = default_collate,
    prepare: Callable[[Any], Any] = lambda batch: batch,
) -> Samples:
    """The samples at some indices of a data set, collated and prepared as its loader would.

    Raises:
        ValueError: If an index lies outside the data set.
    """
    length = len(dataset)
    outside = [index for index in indices if not -length <= index < length]
    if outside or not indices:
        raise ValueError(
            f"samples: got indices {list(indices)} for a data set of {length}; "
            f"give some of 0 to {length - 1}"
        )
    return samples_in(prepare(collate([dataset[index] for index in indices])))


def joined(parts: Sequence[Samples]) -> Samples:
    """Several batches as one; labels only if all of them have some."""
    labels = [part.labels for part in parts if part.labels is not None]
    return Samples(
        torch.cat([part.images for part in parts]),
        torch.cat(labels) if len(labels) == len(parts) else None,
    )


def class_names_of(datasets: Sequence[Any]) -> list[str] | None:
    """The class names that a data set knows, as torchvision's and Hugging Face's do."""
    for dataset in datasets:
        for layer in _layers(dataset):
            names = getattr(layer, "classes", None)
            if isinstance(names, (list, tuple)) and all(isinstance(name, str) for name in names):
                return list(names)
            features = getattr(layer, "features", None)
            for feature in features.values() if isinstance(features, Mapping) else ():
                if hasattr(feature, "names"):
                    return [str(name) for name in feature.names]
    return None


def normalisation_of(
    datasets: Sequence[Any], module: torch.nn.Module, images: torch.Tensor
) -> tuple[list[float], list[float]] | None:
    """Mean and std by which the images were normalised, None if nothing says so.

    Looked for in a ``Normalize`` among the data sets' transforms, then, unless the images lie in
    [0, 1] already, in timm's ``pretrained_cfg``. One that does not lead back into [0, 1] was
    never applied, and is passed over.
    """
    found = [
        (step.mean, step.std)
        for dataset in datasets
        for layer in _layers(dataset)
        for step in _steps(getattr(layer, "transform", None) or getattr(layer, "transforms", None))
        if type(step).__name__ == "Normalize" and hasattr(step, "mean") and hasattr(step, "std")
    ]
    if not _within_unit(images):
        configs = (getattr(part, "pretrained_cfg", None) for part in module.modules())
        found += [
            (config["mean"], config["std"])
            for config in configs
            if isinstance(config, Mapping) and "mean" in config and "std" in config
        ]
    for mean, std in found:
        by_channel = [torch.as_tensor(side, dtype=torch.float).flatten() for side in (mean, std)]
        if any(len(side) not in (1, images.shape[1]) for side in by_channel):
            continue
        mean, std = (side.expand(images.shape[1]) for side in by_channel)
        if _within_unit(images * std[:, None, None] + mean[:, None, None]):
            return mean.tolist(), std.tolist()
    return None


def _within_unit(images: torch.Tensor) -> bool:
    return bool(images.min() >= -0.01 and images.max() <= 1.01)


def _tensors(batch: Any, name: str = "") -> Iterator[tuple[str, torch.Tensor]]:
    """The tensors in a batch, each with the key that it is kept under."""
    if isinstance(batch, torch.Tensor):
        yield name, batch
    elif isinstance(batch, Mapping):
        for key, part in batch.items():
            yield from _tensors(part, str(key))
    elif isinstance(batch, (tuple, list)):
        for part in batch:
            yield from _tensors(part, name)


def _is_label(name: str) -> bool:
    return name == "y" or any(word in name.lower() for word in ("label", "target", "class"))


def _layers(dataset: Any) -> Iterator[Any]:
    """A data set and those it wraps: ``Subset.dataset``, ``ConcatDataset.datasets[0]``."""
    seen: list[Any] = []
    while dataset is not None and not any(dataset is layer for layer in seen):
        seen.append(dataset)
        yield dataset
        several = getattr(dataset, "datasets", None)
        inner = several[0] if isinstance(several, (list, tuple)) and several else None
        dataset = getattr(dataset, "dataset", inner)


def _steps(transform: Any) -> Iterator[Any]:
    """A transform and, if it is a composition, its steps."""
    if transform is None:
        return
    yield transform
    inner = getattr(transform, "transforms", None) or getattr(transform, "transform", None)
    for step in inner if isinstance(inner, (list, tuple)) else [inner]:
        yield from _steps(step)
