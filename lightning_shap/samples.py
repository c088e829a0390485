"""The fixed sample batch: which images, their labels, their classes' names, how to show them."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import torch

FILLED = (
    0.7  # of [0, 1]: what photographs reach, and images in [-1, 1] by ImageNet's numbers do not
)
LABEL_STEMS, LABELS = ("label", "target", "class", "categor"), {"y", "cls"}
ROW_NUMBERS = {"index", "idx", "id", "ids", "indices"}


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

    The first floating tensor with four axes is the images. Labels are whole numbers (N,) or (N, 1),
    or rows (N, K) of zeros with a single one, or of shares of one. What a batch calls labels comes
    first, then what follows the images; what counts the rows comes last, or never if it is called
    an index. Rows with several ones are of images with several classes, none of them the true one.

    Raises:
        ValueError: If there are no images.
    """
    parts = list(tensors_in(batch))
    places = (i for i, (_, t) in enumerate(parts) if t.ndim == 4 and t.is_floating_point())
    place = next(places, None)
    if place is None:
        shapes = [f"{t.dtype} {tuple(t.shape)}" for _, t in parts]
        raise ValueError(
            f"samples: found no float images (N, C, H, W) in a batch of {shapes or type(batch)}; "
            "give samples=(images, labels), and module= if the classifier takes another form"
        )
    images = parts[place][1]
    followers_first = parts[place + 1 :] + parts[:place]
    likely_first = sorted(
        (part for part in followers_first if not _is_row_number(part[0])),
        key=lambda part: (not _is_label(part[0]), _counts(part[1])),
    )
    candidates = (_labels_in(tensor, len(images)) for _, tensor in likely_first)
    labels = next((found for found in candidates if found is not None), None)
    return Samples(images.detach().cpu().clone(), labels)


def joined(parts: Sequence[Samples]) -> Samples:
    """Several batches as one; labels only if all of them have some.

    Raises:
        ValueError: If their images differ in size.
    """
    sizes = sorted({tuple(part.images.shape[1:]) for part in parts})
    if len(sizes) > 1:
        raise ValueError(
            f"samples: batches hold images of different sizes (C, H, W), {sizes}; "
            "give samples= of one size"
        )
    labels = [part.labels for part in parts if part.labels is not None]
    return Samples(
        torch.cat([part.images for part in parts]),
        torch.cat(labels) if len(labels) == len(parts) else None,
    )


def class_names_of(datasets: Sequence[Any]) -> list[str] | None:
    """The class names that a data set knows, as torchvision's and Hugging Face's do."""
    for dataset in datasets:
        for layer in layers_of(dataset):
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
    never applied, and is passed over; so is timm's where it leaves much of [0, 1] empty, since
    images of another range would pass for flat ones.
    """
    found = [
        (step.mean, step.std, False)
        for dataset in datasets
        for layer in layers_of(dataset)
        for step in steps_of(
            getattr(layer, "transform", None) or getattr(layer, "transforms", None)
        )
        if type(step).__name__ == "Normalize" and hasattr(step, "mean") and hasattr(step, "std")
    ]
    if not _within_unit(images):
        configs = (getattr(part, "pretrained_cfg", None) for part in module.modules())
        found += [
            (config["mean"], config["std"], True)
            for config in configs
            if isinstance(config, Mapping) and "mean" in config and "std" in config
        ]
    for mean, std, fills in found:
        by_channel = [torch.as_tensor(side, dtype=torch.float).flatten() for side in (mean, std)]
        if any(len(side) not in (1, images.shape[1]) for side in by_channel):
            continue
        mean, std = (side.expand(images.shape[1]) for side in by_channel)
        pixels = images * std[:, None, None] + mean[:, None, None]
        if _within_unit(pixels) and (not fills or pixels.max() - pixels.min() > FILLED):
            return mean.tolist(), std.tolist()
    return None


def _within_unit(images: torch.Tensor) -> bool:
    return bool(images.min() >= -0.01 and images.max() <= 1.01)


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


def _labels_in(tensor: torch.Tensor, rows: int) -> torch.Tensor | None:
    """The classes (N,) that a part of a batch says, None if it says something else."""
    if tensor.ndim not in (1, 2) or len(tensor) != rows or tensor.is_complex():
        return None
    values = tensor.detach().cpu()
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim == 2:
        shares = values.double()
        one = shares.min() >= 0 and torch.allclose(shares.sum(1), shares.new_ones(()), atol=1e-3)
        return shares.argmax(1) if one else None
    return values.long().clone() if bool((values == values.round()).all()) else None


def layers_of(dataset: Any) -> Iterator[Any]:
    """A data set and those it wraps: ``.dataset``, ``.subset``, or the first of ``.datasets``."""
    seen: list[Any] = []
    while dataset is not None and not any(dataset is layer for layer in seen):
        seen.append(dataset)
        yield dataset
        several = getattr(dataset, "datasets", None)
        inner = several[0] if isinstance(several, (list, tuple)) and several else None
        dataset = getattr(dataset, "dataset", getattr(dataset, "subset", inner))


def steps_of(transform: Any) -> Iterator[Any]:
    """A transform and, if it is a composition, its steps."""
    if transform is None:
        return
    yield transform
    inner = getattr(transform, "transforms", None) or getattr(transform, "transform", None)
    for step in inner if isinstance(inner, (list, tuple)) else [inner]:
        yield from steps_of(step)
