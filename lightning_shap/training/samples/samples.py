"""Find the images and the labels in a batch, whatever holds them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np
import torch

from lightning_shap.engine.class_names import read_names
from lightning_shap.engine.incoming import bring_to_host, say_no_images, strip_class
from lightning_shap.errors import ArgumentError, ArgumentTypeError
from lightning_shap.training.samples.labels import (
    WhichLabels,
    find_highest_class,
    find_labels,
    join_labels,
    pick_labels,
)

# What a model's predictions may choose for samples.
ByPredictions = Literal["mistakes", "mixed"]


@dataclass(frozen=True)
class Samples:
    """Holds images as the model receives them, and their labels.

    Attributes:
        images: Float tensor (N, C, H, W) on the CPU.
        labels: What is true of each image: int64 (N,), its class; bool (N, K), its classes, where
            some have several or none; float64 (N,) or (N, K), numbers that are no classes, as in a
            regression; or None where the batch held nothing of the kind.
        binary: Whether the labels, as far as there are some, could be of two classes. A slice
            knows it of the whole, so that all shares of the samples are explained alike.
        highest: The highest class number among the labels, likewise, but for what marks ignored
            images; None where they are none.
    """

    images: torch.Tensor
    labels: torch.Tensor | None = None
    binary: bool | None = None
    highest: int | None = None

    def __post_init__(self) -> None:
        if self.binary is None:
            object.__setattr__(self, "binary", _could_be_binary(self.labels))
        if self.highest is None and self.labels is not None and self.labels.dtype == torch.int64:
            object.__setattr__(self, "highest", find_highest_class(self.labels.numpy()))

    def __len__(self) -> int:
        return len(self.images)

    @cached_property
    def data(self) -> np.ndarray:
        """Returns the images as explanations keep them, (N, H, W, C): one copy, however often."""
        images = self.images.float() if self.images.dtype == torch.bfloat16 else self.images
        copied: np.ndarray = images.movedim(1, -1).cpu().numpy().copy()
        return copied

    def __getitem__(self, rows: slice) -> "Samples":
        labels = None if self.labels is None else self.labels[rows]
        return Samples(self.images[rows], labels, self.binary, self.highest)


def find_samples(batch: Any, labels: WhichLabels = None) -> Samples:
    """Returns the images and labels of a batch, on the CPU, whatever holds them.

    The first floating tensor with four axes is the images. Labels are found by their names, else
    behind the images; see :func:`lightning_shap.training.samples.labels.find_labels`.

    Args:
        batch: A tensor, or whatever tensors are in.
        labels: Which part is the labels.

    Raises:
        ValueError: If there are no images, or no such labels.
    """
    found = view_samples(batch, labels)
    return Samples(found.images.detach().cpu().clone(), found.labels)


def view_samples(batch: Any, labels: WhichLabels = None) -> Samples:
    """Returns the labels of a batch with its own images, wherever these are.

    Raises:
        ValueError: If there are no images, or no such labels.
    """
    parts = list(find_tensors(batch))
    place = next((i for i, (_, tensor) in enumerate(parts) if are_images(tensor)), None)
    if place is None:
        raise ArgumentError("samples", say_no_images(batch, (tensor for _, tensor in parts)))
    images = parts[place][1]
    if labels is not None:
        return Samples(images, pick_labels(batch, parts, len(images), labels))
    return Samples(images, find_labels(parts[place + 1 :] + parts[:place], len(images)))


def are_images(tensor: torch.Tensor) -> bool:
    """Returns whether a tensor may hold images (N, C, H, W)."""
    return tensor.ndim == 4 and tensor.is_floating_point()


def join_samples(parts: Sequence[Samples]) -> Samples:
    """Returns several batches as one; with labels only if all of them have some.

    Raises:
        ValueError: If their images differ in size.
    """
    sizes = sorted({tuple(part.images.shape[1:]) for part in parts})
    if len(sizes) > 1:
        raise ArgumentError(
            "samples",
            f"batches hold images of different sizes (C, H, W), {sizes}; give samples= of one size",
        )
    labels = [part.labels for part in parts if part.labels is not None]
    return Samples(
        torch.cat([part.images for part in parts]),
        join_labels(labels) if len(labels) == len(parts) else None,
    )


def find_layers(dataset: Any) -> Iterator[Any]:
    """Yields a data set or loader, and what it wraps as ``dataset``, ``subset`` or ``datasets``."""
    seen: list[Any] = []
    while dataset is not None and not any(dataset is layer for layer in seen):
        seen.append(dataset)
        yield dataset
        several = getattr(dataset, "datasets", None)
        inner = several[0] if isinstance(several, (list, tuple)) and several else None
        dataset = getattr(dataset, "dataset", getattr(dataset, "subset", inner))


def find_tensors(batch: Any, name: str = "") -> Iterator[tuple[str, torch.Tensor]]:
    """Yields the tensors in a batch, made plain, each with the name that it is kept under."""
    if isinstance(batch, torch.Tensor):
        yield name, strip_class(batch)
    elif isinstance(batch, Mapping):
        for key, part in batch.items():
            yield from find_tensors(part, str(key))
    elif isinstance(batch, tuple) and hasattr(batch, "_fields"):
        yield from find_tensors(dict(zip(batch._fields, batch, strict=True)))
    elif isinstance(batch, (tuple, list)):
        for part in batch:
            yield from find_tensors(part, name)
    elif is_dataclass(batch):
        yield from find_tensors({field.name: getattr(batch, field.name) for field in fields(batch)})


def _could_be_binary(labels: torch.Tensor | None) -> bool:
    if labels is None or labels.ndim != 1:
        return True
    least = 0 if labels.is_floating_point() else -1  # which stands for a class that is not known
    return bool(((labels >= least) & (labels <= 1)).all())


def read_samples(samples: Any) -> Any:
    """Returns which samples to explain: row numbers as a list of int, all else as it is."""
    kinds = (
        "give indices of the validation set such as [0, 5], a data set, a tensor (N, C, H, W), a "
        f"pair of one and its labels (N,), or {' or '.join(map(repr, get_args(ByPredictions)))}"
    )
    if isinstance(samples, (int, np.integer)) and not isinstance(samples, bool):
        raise ArgumentTypeError(
            "samples",
            f"got {samples}, which may be how many or which one; give n_samples={samples} or "
            f"samples=[{samples}]",
        )
    if isinstance(samples, (np.ndarray, torch.Tensor)) and samples.ndim == 1:
        samples = bring_to_host(samples).tolist()
    if samples is None or isinstance(samples, torch.Tensor):
        return samples
    if isinstance(samples, str) and samples in get_args(ByPredictions):
        return samples
    if isinstance(samples, (list, tuple, range)):
        if not samples:
            raise ArgumentError("samples", f"got none; {kinds}")
        if any(isinstance(item, (bool, float, str)) for item in samples):
            raise ArgumentTypeError("samples", f"got {samples!r}; {kinds}")
        if all(isinstance(item, (int, np.integer)) for item in samples):
            return [int(item) for item in samples]
    has_rows = hasattr(samples, "__len__") and hasattr(samples, "__getitem__")
    if not has_rows or isinstance(samples, (bytes, str, Mapping)):
        shown = repr(samples) if isinstance(samples, (bool, float, str)) else type(samples).__name__
        raise ArgumentTypeError("samples", f"got {shown}; {kinds}")
    return samples


def find_data_names(datasets: Sequence[Any]) -> list[str] | None:
    """Returns the class names that a data set knows, as torchvision's and Hugging Face's do.

    Args:
        datasets: Data sets, or loaders of some; the first that knows names is asked.
    """
    for dataset in datasets:
        for layer in find_layers(dataset):
            names = read_names(getattr(layer, "classes", None))
            if names is not None:
                return names
            features = getattr(layer, "features", None)
            for feature in features.values() if isinstance(features, Mapping) else ():
                if hasattr(feature, "names"):
                    return [str(name) for name in feature.names]
    return None
