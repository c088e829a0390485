"""Prepares pictures as a model's evaluation does, as far as anything says what that was."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from PIL import Image
from timm.data import create_transform, resolve_data_config

from lightning_shap.command.data.files import MOST_PIXELS
from lightning_shap.command.model.description import Description
from lightning_shap.command.untrusted import read_number
from lightning_shap.engine.class_names import read_timm_config
from lightning_shap.errors import ArgumentError

PICTURE_MODES = {1: "L", 3: "RGB", 4: "RGBA"}


class Preprocessing:
    """The deterministic evaluation transform of a model.

    Args:
        channels: That the model takes: 1, 3 or 4.
        size: (height, width) that it takes.
        mean: Subtracted from each channel of pixels from 0 to 1, None for nothing.
        std: Each channel is divided by, None for nothing.
        grayscale: Show the model grey images, in all of its channels.
        settings: The rest of timm's data config: ``crop_pct``, ``crop_mode``, ``interpolation``.
        guessed: Guesses where nothing says for sure, by what they are about.
    """

    def __init__(
        self,
        channels: int,
        size: tuple[int, int],
        *,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        grayscale: bool = False,
        settings: Mapping[str, Any] | None = None,
        guessed: Mapping[str, str] | None = None,
    ) -> None:
        self.channels, self.size, self.grayscale = channels, size, grayscale
        self.mean, self.std = mean, std
        self.guessed = dict(guessed or {})
        self._transform = create_transform(
            (channels, *size),
            mean=tuple(mean or (0.0,) * channels),
            std=tuple(std or (1.0,) * channels),
            is_training=False,
            **(settings or {}),
        )

    def __call__(self, picture: Image.Image) -> torch.Tensor:
        """Returns a picture as a float tensor (C, H, W).

        Raises:
            ValueError: If it is a sliver, of which scaling its short side would make a picture
                without end.
        """
        width, height = picture.size
        if width * height * (max(self.size) / min(width, height)) ** 2 > MOST_PIXELS:
            raise ValueError(f"is {height} x {width} pixels, too narrow to be scaled")
        if self.grayscale:
            picture = picture.convert("L")
        prepared: torch.Tensor = self._transform(picture.convert(PICTURE_MODES[self.channels]))
        return prepared


def choose_preprocessing(
    module: torch.nn.Module,
    channels: int,
    description: Description,
    *,
    crop_size: int | None = None,
    grayscale: bool = False,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> Preprocessing:
    """Returns the evaluation transform of a model, and what of it is a guess.

    Args:
        module: A timm model, or one with a timm model inside, has the configuration of the weights
            that timm trained: a guess for others.
        channels: That it takes.
        description: That of the checkpoint, of the images of its training.
        crop_size: Side of the images, instead of the training's.
        grayscale: Show the model grey images.
        mean: Instead of the training's.
        std: Instead of the training's.

    Raises:
        ArgumentError: If the model takes no pictures, or mean or std do not fit its channels, or
            are no numbers to divide by.
    """
    if channels not in PICTURE_MODES:
        raise ArgumentError(
            "model_output_dir",
            f"the model takes images of {channels} channels, and pictures have 1, 3 or 4; read the "
            "images yourself and call lightning_shap.explain",
        )
    for name, given in (("mean", mean), ("std", std)):
        if given is not None and len(given) not in (1, channels):
            raise ArgumentError(name, f"has {len(given)} numbers; give 1 or {channels}")
        if given is not None and (
            None in map(read_number, given) or (name == "std" and min(given) <= 0)
        ):
            wanted = "finite numbers" if name == "mean" else "finite numbers above 0"
            raise ArgumentError(name, f"got {given!r}; give {wanted}")
    own = next(filter(None, map(read_timm_config, module.modules())), {})
    whose = f" (timm's {own.get('architecture', 'network')})" if own else ""
    known = replace(
        description,
        mean=tuple(mean) if mean else _fit(description.mean, channels),
        std=tuple(std) if std else _fit(description.std, channels),
    ).convert_to_timm(channels)
    config = resolve_data_config({"in_chans": channels, **known}, pretrained_cfg=own)
    size = (crop_size, crop_size) if crop_size else tuple(config["input_size"][-2:])
    guessed: dict[str, str] = {}
    if not crop_size and description.size is None:
        guessed["size"] = f"{size[0]} x {size[1]} pixels{whose}"
    if description.crop_pct is None:
        guessed["crop"] = f"the middle {config['crop_pct']:.4g} of the image{whose}"
    if "mean" not in known or "std" not in known:
        theirs = all(len(own.get(name) or ()) == channels for name in ("mean", "std"))
        statistics = f"{_list_short(config['mean'])}, {_list_short(config['std'])}{whose}"
        guessed["mean, std"] = statistics if theirs else "none, pixels stay from 0 to 1"
        if not theirs:  # timm assumes ImageNet's colours; a guess is no better than none
            config["mean"] = config["std"] = None
            if mean is not None or std is not None:
                said, missing = ("mean", "std") if std is None else ("std", "mean")
                raise ArgumentError(
                    said, f"was given and nothing says the {missing}; give --{missing}"
                )
    settings = {name: config[name] for name in ("interpolation", "crop_pct", "crop_mode")}
    settings["crop_pct"] = _round_up(settings["crop_pct"], size)
    return Preprocessing(
        channels,
        size,
        mean=config["mean"],
        std=config["std"],
        grayscale=grayscale,
        settings=settings,
        guessed=guessed,
    )


def _fit(values: Sequence[float] | None, channels: int) -> Any:
    return values if values is not None and len(values) in (1, channels) else None


def _list_short(values: Sequence[float]) -> str:
    return "[" + ", ".join(f"{value:.4g}" for value in values) + "]"


def _round_up(share: float, size: tuple[int, int]) -> float:
    """Returns a share to which timm's rounding down leaves the whole side that it came from.

    192 / (192 / 224) is a little less than 224.
    """
    side = size[0] / share
    if abs(side - round(side)) > 1e-6:
        return share
    return math.nextafter(size[0] / round(side), 0.0)
