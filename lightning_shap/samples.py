"""Samples: the images and the labels in a batch, whatever holds them."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch

from lightning_shap.errors import ArgumentError

# What a model's predictions may choose for samples.
ByPredictions = Literal["mistakes", "mixed"]

LABEL_STEMS, LABELS = ("label", "target", "class", "categor"), {"y", "cls"}
ROW_NUMBERS = {"index", "idx", "id", "ids", "indices"}


@dataclass(frozen=True)
class Samples:
    """Some images as the model receives them.

    Attributes:
        images: Float tensor (N, C, H, W) on the CPU.
        labels: What is true of each image: int64 (N,), its class; bool (N, K), its classes, where
            some have several or none; float64 (N,) or (N, K), numbers that are no classes, as in a
            regression; or None where the batch held nothing of the kind.
        binary: Whether the labels, as far as there are some, could be of two classes. A slice
            knows it of the whole, so that all shares of the samples are explained alike.
        highest: The highest class number among the labels, likewise; None where they are none.
    """

    images: torch.Tensor
    labels: torch.Tensor | None = None
    binary: bool | None = None
    highest: int | None = None

    def __post_init__(self) -> None:
        if self.binary is None:
            object.__setattr__(self, "binary", _could_be_binary(self.labels))
        if self.highest is None and self.labels is not None and self.labels.dtype == torch.int64:
            highest = int(self.labels.max()) if len(self.labels) else None
            object.__setattr__(self, "highest", highest)

    def __len__(self) -> int:
        return len(self.images)

    @cached_property
    def data(self) -> np.ndarray:
        """The images as explanations keep them, (N, H, W, C): one copy, whoever writes to it."""
        images = self.images.float() if self.images.dtype == torch.bfloat16 else self.images
        copied: np.ndarray = images.movedim(1, -1).cpu().numpy().copy()
        return copied

    def __getitem__(self, rows: slice) -> "Samples":
        labels = None if self.labels is None else self.labels[rows]
        return Samples(self.images[rows], labels, self.binary, self.highest)


def samples_in(batch: Any) -> Samples:
    """The images and labels of a batch, whatever holds them.

    The first floating tensor with four axes is the images. Labels are whole numbers or booleans,
    (N,) or (N, 1), or rows (N, K) of shares of one, or of zeros and ones; else any other numbers in
    these shapes. What a batch calls labels comes first, then what follows the images; what counts
    the rows comes last, or never if it is called an index.

    Raises:
        ValueError: If there are no images.
    """
    found = seen_in(batch)
    return Samples(found.images.detach().cpu().clone(), found.labels)


def seen_in(batch: Any) -> Samples:
    """The same, with the batch's own images, wherever they are.

    Raises:
        ValueError: If there are no images.
    """
    parts = list(tensors_in(batch))
    place = next((i for i, (_, tensor) in enumerate(parts) if are_images(tensor)), None)
    if place is None:
        shapes = [f"{t.dtype} {tuple(t.shape)}" for _, t in parts]
        raise ArgumentError(
            "samples",
            f"found no float images (N, C, H, W) in a batch of {shapes or type(batch)}; "
            "give samples=(images, labels), and module= if the classifier takes another form",
        )
    images = parts[place][1]
    followers_first = parts[place + 1 :] + parts[:place]
    candidates = [
        (not _is_label(name), labels.is_floating_point(), _counts(tensor), labels)
        for name, tensor in followers_first
        if not _is_row_number(name) and (labels := _labels_in(tensor, len(images))) is not None
    ]
    best = min(candidates, key=lambda candidate: candidate[:3], default=None)
    return Samples(images, None if best is None else best[-1])


def are_images(tensor: torch.Tensor) -> bool:
    """Whether a tensor may hold images (N, C, H, W)."""
    return tensor.ndim == 4 and tensor.is_floating_point()


def joined(parts: Sequence[Samples]) -> Samples:
    """Several batches as one; labels only if all of them have some.

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
        _joined_labels(labels) if len(labels) == len(parts) else None,
    )


def layers_of(dataset: Any) -> Iterator[Any]:
    """A data set or loader, and what it wraps as a ``dataset``, ``subset`` or in ``datasets``."""
    seen: list[Any] = []
    while dataset is not None and not any(dataset is layer for layer in seen):
        seen.append(dataset)
        yield dataset
        several = getattr(dataset, "datasets", None)
        inner = several[0] if isinstance(several, (list, tuple)) and several else None
        dataset = getattr(dataset, "dataset", getattr(dataset, "subset", inner))


def tensors_in(batch: Any, name: str = "") -> Iterator[tuple[str, torch.Tensor]]:
    """The tensors in a batch, each with the name that it is kept under."""
    if isinstance(batch, torch.Tensor):
        yield name, batch
    elif isinstance(batch, Mapping):
        for key, part in batch.items():
            yield from tensors_in(part, str(key))
    elif isinstance(batch, tuple) and hasattr(batch, "_fields"):
        yield from tensors_in(dict(zip(batch._fields, batch, strict=True)))
    elif isinstance(batch, (tuple, list)):
        for part in batch:
            yield from tensors_in(part, name)
    elif is_dataclass(batch):
        yield from tensors_in({field.name: getattr(batch, field.name) for field in fields(batch)})


def _is_label(name: str) -> bool:
    return bool(_words(name) & LABELS) or any(stem in name.lower() for stem in LABEL_STEMS)


def _is_row_number(name: str) -> bool:
    return bool(_words(name) & ROW_NUMBERS) and not _is_label(name)


def _words(name: str) -> set[str]:
    return set(re.split(r"[^a-z]+", name.lower()))


def _counts(tensor: torch.Tensor) -> bool:
    return tensor.ndim == 1 and len(tensor) > 1 and bool((tensor.diff() == 1).all())


def _could_be_binary(labels: torch.Tensor | None) -> bool:
    if labels is None or labels.ndim != 1:
        return True
    least = 0 if labels.is_floating_point() else -1  # which stands for a class that is not known
    return bool(((labels >= least) & (labels <= 1)).all())


def _joined_labels(parts: Sequence[torch.Tensor]) -> torch.Tensor | None:
    """The labels of several batches in one form, None if there is none."""
    several = next((part for part in parts if part.dtype == torch.bool), None)
    if several is not None:  # where each image happened to have one class, they look like numbers
        classes = torch.arange(several.shape[1])
        one = torch.int64
        parts = [part[:, None] == classes if part.dtype == one else part for part in parts]
    forms = {(part.dtype == torch.bool, part.shape[1:]) for part in parts}
    return torch.cat(list(parts)) if len(forms) == 1 else None


def _labels_in(tensor: torch.Tensor, rows: int) -> torch.Tensor | None:
    """The labels that a part of a batch says, as :class:`Samples` has them, None if none."""
    if tensor.ndim not in (1, 2) or len(tensor) != rows or tensor.is_complex():
        return None
    values = tensor.detach().cpu()
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    numbers = values.double()
    if not numbers.isfinite().all():
        return None
    whole = bool((numbers == numbers.round()).all())
    if values.ndim == 1 and whole:
        return values.long().clone()
    if values.ndim == 2 and numbers.numel():
        if numbers.min() >= 0 and torch.allclose(numbers.sum(1), numbers.new_ones(()), atol=1e-3):
            return numbers.argmax(1)
        if whole and numbers.min() >= 0 and numbers.max() <= 1:
            return numbers.bool()
    return numbers if values.is_floating_point() else None
