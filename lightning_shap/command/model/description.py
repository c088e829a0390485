"""Reads from a checkpoint what its classifier is, and which images it was trained on.

A checkpoint is a file that may come from anywhere: impossible values are left out.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import reduce
from typing import Any, cast, get_args

import timm
import torch

from lightning_shap.command.untrusted import (
    clean,
    read_choice,
    read_mapping,
    read_number,
    read_numbers,
    read_whole,
    read_wholes,
    read_word,
    read_words,
)
from lightning_shap.explanation.classes import Returns

CALLBACK = "ShapCallback{"  # how the callback's key in a checkpoint begins
NO_CLASS = -1
MOST_TRAINED = 2**12  # of images, more than any training's
SMALL_BYTES = 2**22  # as much may be one element that is repeated

SQUASHES = re.compile(r"Resize\(size=[\[(]\d+, \d+")  # to two sides, whatever the image's shape
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
    """Holds all that is known of a classifier; None where nothing is.

    Attributes:
        architecture: timm's name of the network.
        module_class: ``package.module.Class`` of the LightningModule.
        module: The attribute that is the classifier, None for the whole.
        class_names: In the order of the outputs.
        channels: Of the images.
        size: (height, width) that the model takes.
        mean: Subtracted from the pixels, one number or one a channel.
        std: Divisor of the pixels, likewise.
        crop_pct: Side of the centre that is cropped, as a share of the resized image: timm's word.
        crop_mode: timm's word; ``"center"`` keeps the image's shape, ``"squash"`` does not.
        interpolation: Of the resizing.
        transform: The whole transform in words.
        dataset: The folder of the images.
        files: The files that the callback explained.
        labels: Their classes, -1 where unknown.
        returns: The kind of the outputs, as the user told the callback.
        multi_label: Several classes may be true at once, likewise.
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
    labels: list[int] | None = None
    returns: Returns | None = None
    multi_label: bool | None = None
    sorts_naturally: bool | None = None

    def complete(self, other: "Description") -> "Description":
        """Returns this description, completed by another."""
        own = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        lacking = {name: getattr(other, name) for name in own if own[name] is None}
        return Description(**(own | lacking))

    def convert_to_timm(self, channels: int) -> dict[str, Any]:
        """Returns what is known of images, by the names of timm's ``pretrained_cfg``."""
        names = ("mean", "std", "crop_pct", "crop_mode", "interpolation")
        known = {name: getattr(self, name) for name in names}
        known["input_size"] = None if self.size is None else (channels, *self.size)
        return {name: value for name, value in known.items() if value is not None}


def describe_checkpoint(content: Mapping[str, Any]) -> Description:
    """Returns what a checkpoint says, the callback's word before the hyper-parameters'."""
    found = [_read_callback(read_mapping(content.get("callbacks")))]
    for name in ("hyper_parameters", "datamodule_hyper_parameters"):
        found.append(read_settings(read_mapping(content.get(name))))
    arguments = read_mapping(getattr(content.get("args"), "__dict__", None))
    found.append(read_settings(arguments))
    # Without a class map, timm's script and its own reader number folders in natural order. A name
    # before a slash is another's reader: torch/image_folder, hfds/, wds/.
    unmapped = arguments.get("class_map") == "" and "/" not in str(arguments.get("dataset"))
    if "arch" in content and unmapped:
        found.append(Description(sorts_naturally=True))
    found.append(Description(architecture=_check_architecture(content.get("arch"))))
    return reduce(Description.complete, found)


def read_settings(settings: Mapping[str, Any]) -> Description:
    """Returns what hyper-parameters, or timm's ``pretrained_cfg``, say by names in common use."""

    def first(names: tuple[str, ...], check: Any) -> Any:
        return next((v for n in names if (v := check(settings.get(n))) is not None), None)

    return Description(
        architecture=first(ARCHITECTURE, _check_architecture),
        class_names=first(CLASS_NAMES, read_words),
        channels=first(CHANNELS, read_whole),
        size=first(SIZE, _check_size),
        mean=first(MEAN, read_numbers),
        std=first(STD, _check_positive),
        crop_pct=_check_share(settings.get("crop_pct")),
        crop_mode=read_choice(settings.get("crop_mode"), CROP_MODES),
        interpolation=read_choice(settings.get("interpolation"), INTERPOLATIONS),
        dataset=first(DATASET, _check_path),
    )


def _read_callback(callbacks: Mapping[str, Any]) -> Description:
    states = [read_mapping(state) for key, state in callbacks.items() if key.startswith(CALLBACK)]
    state = next((state for state in states if "classifier" in state), None)
    if state is None:
        return Description()
    card = read_mapping(state["classifier"])
    size = read_wholes(card.get("input_size"))
    transform = None if not read_word(card.get("transform")) else clean(card["transform"], 4000)
    plain = read_settings(card)
    return replace(
        plain,
        module_class=read_word(card.get("module_class")),
        module=read_word(card.get("module")),
        channels=size[0] if size and len(size) == 3 else None,
        # Without a resizing step, images came as large as the model took them.
        crop_pct=plain.crop_pct or (None if transform and "Resize" in transform else 1.0),
        crop_mode=plain.crop_mode or ("squash" if SQUASHES.search(transform or "") else None),
        transform=transform,
        files=_check_paths(card.get("files")),
        labels=read_wholes(card.get("labels"), 2**31, NO_CLASS),
        returns=cast(Returns | None, read_choice(card.get("returns"), get_args(Returns))),
        multi_label=card.get("multi_label") is True or None,
    )


def is_stored(tensor: torch.Tensor) -> bool:
    """Returns True for an ordinary tensor, of as many elements as the file has."""
    if tensor.layout != torch.strided or tensor.device.type != "cpu" or tensor.is_quantized:
        return False
    stored = max(tensor.untyped_storage().nbytes(), SMALL_BYTES)
    return tensor.numel() * tensor.element_size() <= stored


def _check_architecture(value: Any) -> str | None:
    name = read_word(value)
    return name if name is not None and timm.is_model(name) else None


def _check_size(value: Any) -> tuple[int, int] | None:
    """Returns (height, width) from one side, two, or channels and two."""
    sides = [value, value] if isinstance(value, int) else value
    checked = read_wholes(sides, MOST_TRAINED)
    return (checked[-2], checked[-1]) if checked and len(checked) in (2, 3) else None


def _check_positive(value: Any) -> tuple[float, ...] | None:
    found = read_numbers(value)
    return found if found and min(found) > 0 else None


def _check_share(value: Any) -> float | None:
    share = read_number(value)
    return share if share is not None and 0.05 <= share <= 1 else None


def _check_path(value: Any) -> str | None:
    return value if isinstance(value, str) and 0 < len(value) < 4096 and "\0" not in value else None


def _check_paths(value: Any) -> list[str] | None:
    """Returns names of files, which need not be there."""
    if not isinstance(value, (list, tuple)) or not 0 < len(value) <= 10_000:
        return None
    return [*value] if all(map(_check_path, value)) else None
