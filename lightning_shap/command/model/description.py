"""Descriptions: what a checkpoint says of its classifier and of the images it was trained on.

A checkpoint is a file that may come from anywhere, so whatever it says is checked for what it can
be, and what cannot be is left out.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import reduce
from typing import Any, cast, get_args

import timm
import torch

from lightning_shap.command.text import readable
from lightning_shap.command.untrusted import (
    is_stored,
    mapping,
    number,
    numbers,
    one_of,
    whole,
    word,
    words,
)
from lightning_shap.explanation.classes import Returns

CALLBACK = "ShapCallback{"  # how the callback's key in a checkpoint begins
NO_CLASS = -1
MOST_TRAINED = 2**12  # of images, more than any training's

# What timm's transforms take.
INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "box", "hamming", "lanczos")
CROP_MODES = ("center", "squash", "border")

# The names by which scripts, Lightning's hyper-parameters and timm's configurations call a thing.
ARCHITECTURE = ("architecture", "model_name", "arch", "model", "backbone", "encoder", "name")
CHANNELS = ("in_chans", "in_channels", "input_channels", "num_channels", "channels")
SIZE = ("input_size", "img_size", "image_size", "crop_size", "resolution")
MEAN, STD = ("mean", "image_mean", "norm_mean"), ("std", "image_std", "norm_std")
CLASS_NAMES = ("class_names", "label_names", "classes")
DATASET = ("dataset", "data_dir", "data_root", "root", "data_path", "data")


@dataclass(frozen=True)
class Description:
    """What is known of a classifier; None where nothing is.

    Attributes:
        architecture: timm's name of the network.
        module_class: ``package.module.Class`` of the LightningModule.
        module: The attribute that is the classifier, None for the whole.
        class_names: In the order of the outputs.
        channels: Of the images.
        size: (height, width) that the model takes.
        mean: What was subtracted from the pixels, one number or one a channel.
        std: What the pixels were divided by.
        crop_pct: Side of the centre that is cropped, as a share of the resized image: timm's word.
        crop_mode: timm's word for whether the image keeps its shape: ``"center"``, ``"squash"``.
        interpolation: How images were resized.
        transform: The whole transform in words.
        dataset: The folder of the images.
        files: The files that the callback explained.
        images: The images that it explained, as the model received them, where they had no files.
        labels: Their classes, -1 where unknown.
        returns: What the outputs are, as the user told the callback.
        multi_label: Several classes may be true at once, likewise.
        shown_channels: The channel shown grey, or the three shown as red, green and blue.
        sorts_naturally: timm's own script trained it, which numbers class folders in natural order.
    """

    architecture: str | None = None
    module_class: str | None = None
    module: str | None = None
    class_names: list[str] | None = None
    channels: int | None = None
    size: tuple[int, int] | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    crop_pct: float | None = None
    crop_mode: str | None = None
    interpolation: str | None = None
    transform: str | None = None
    dataset: str | None = None
    files: list[str] | None = None
    images: torch.Tensor | None = field(default=None, repr=False)
    labels: list[int] | None = None
    returns: Returns | None = None
    multi_label: bool | None = None
    shown_channels: list[int] | None = None
    sorts_naturally: bool | None = None

    def otherwise(self, other: "Description") -> "Description":
        """This description, and what it does not say as another says it."""
        names = [entry.name for entry in fields(self)]
        own = {name: getattr(self, name) for name in names}
        return Description(
            **{name: getattr(other, name) if own[name] is None else own[name] for name in own}
        )


def description_of(content: Mapping[str, Any]) -> Description:
    """What a checkpoint says, the callback's word before the hyper-parameters'."""
    found = [_from_callback(mapping(content.get("callbacks")))]
    for name in ("hyper_parameters", "datamodule_hyper_parameters"):
        found.append(from_settings(mapping(content.get(name))))
    arguments = mapping(getattr(content.get("args"), "__dict__", None))
    found.append(from_settings(arguments))
    if "arch" in content and _reads_as_timm(arguments):
        found.append(Description(sorts_naturally=True))
    found.append(Description(architecture=_architecture(content.get("arch"))))
    return reduce(Description.otherwise, found)


def _reads_as_timm(arguments: Mapping[str, Any]) -> bool:
    """Whether timm's script gave its own reader of folders no order of classes.

    Before a slash stands whose data set it is instead: torch/image_folder, hfds/, wds/.
    """
    return arguments.get("class_map") == "" and "/" not in str(arguments.get("dataset"))


def from_settings(settings: Mapping[str, Any]) -> Description:
    """What hyper-parameters, or timm's ``pretrained_cfg``, say by the names in common use."""

    def first(names: tuple[str, ...], check: Any) -> Any:
        return next((v for n in names if (v := check(settings.get(n))) is not None), None)

    return Description(
        architecture=first(ARCHITECTURE, _architecture),
        class_names=first(CLASS_NAMES, words),
        channels=first(CHANNELS, whole),
        size=first(SIZE, _size),
        mean=first(MEAN, numbers),
        std=first(STD, _positive),
        crop_pct=_share(settings.get("crop_pct")),
        crop_mode=one_of(settings.get("crop_mode"), CROP_MODES),
        interpolation=one_of(settings.get("interpolation"), INTERPOLATIONS),
        dataset=first(DATASET, _folder),
    )


def _from_callback(callbacks: Mapping[str, Any]) -> Description:
    states = [mapping(state) for key, state in callbacks.items() if key.startswith(CALLBACK)]
    state = next((state for state in states if "classifier" in state), None)
    if state is None:
        return Description()
    card, samples = mapping(state["classifier"]), mapping(state.get("samples"))
    images, labels = samples.get("images"), card.get("labels")
    if labels is None and isinstance(samples.get("labels"), torch.Tensor):
        labels = samples["labels"].flatten().tolist()
    size = card.get("input_size")
    transform = None if not word(card.get("transform")) else readable(card["transform"], 4000)
    plain = from_settings(card)
    return Description(
        architecture=_architecture(card.get("architecture")),
        module_class=word(card.get("module_class")),
        module=word(card.get("module")),
        class_names=words(card.get("class_names")),
        channels=whole(size[0]) if isinstance(size, (list, tuple)) and len(size) == 3 else None,
        size=_size(size),
        mean=plain.mean,
        std=plain.std,
        # Without a resizing step, images came as large as the model took them.
        crop_pct=plain.crop_pct or (None if transform and "Resize" in transform else 1.0),
        crop_mode=plain.crop_mode or ("squash" if _squashes(transform) else None),
        interpolation=plain.interpolation,
        transform=transform,
        dataset=_folder(card.get("dataset")),
        files=_paths(card.get("files")),
        images=images if _are_images(images) else None,
        labels=_labels(labels),
        returns=cast(Returns | None, one_of(card.get("returns"), get_args(Returns))),
        multi_label=card.get("multi_label") is True or None,
        shown_channels=_places(card.get("shown_channels")),
    )


def _architecture(value: Any) -> str | None:
    name = word(value)
    return name if name is not None and timm.is_model(name) else None


def _size(value: Any) -> tuple[int, int] | None:
    """(height, width) from one side, two, or channels and two."""
    sides = value if isinstance(value, (list, tuple)) else [value, value]
    checked = [whole(side, MOST_TRAINED) for side in sides[-2:]]
    if len(sides) not in (2, 3) or None in checked:
        return None
    height, width = checked
    return (height, width) if height and width else None


def _places(value: Any) -> list[int] | None:
    """One place or three."""
    if not isinstance(value, (list, tuple)) or len(value) not in (1, 3):
        return None
    checked = [whole(item, least=0) for item in value]
    return None if None in checked else [place for place in checked if place is not None]


def _positive(value: Any) -> tuple[float, ...] | None:
    found = numbers(value)
    return found if found and min(found) > 0 else None


def _share(value: Any) -> float | None:
    share = number(value)
    return share if share is not None and 0.05 <= share <= 1 else None


def _squashes(transform: str | None) -> bool:
    """Whether a transform resizes to two sides, whatever the shape of the image."""
    return transform is not None and bool(re.search(r"Resize\(size=[\[(]\d+, \d+", transform))


def _folder(value: Any) -> str | None:
    return value if isinstance(value, str) and 0 < len(value) < 4096 and "\0" not in value else None


def _paths(value: Any) -> list[str] | None:
    """Files by name; whether they are there is another question."""
    if not isinstance(value, (list, tuple)) or not 0 < len(value) <= 10_000:
        return None
    return [item for item in value if _folder(item)] if all(map(_folder, value)) else None


def _labels(value: Any) -> list[int] | None:
    if not isinstance(value, (list, tuple)):
        return None
    found = [whole(item, most=2**31, least=NO_CLASS) for item in value]
    return None if None in found or not found else [item for item in found if item is not None]


def _are_images(value: Any) -> bool:
    return (
        isinstance(value, torch.Tensor)
        and value.ndim == 4
        and value.is_floating_point()
        and is_stored(value)
        and value.numel() > 0
        and bool(value.isfinite().all())
    )
