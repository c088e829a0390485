"""Preprocessing: a picture to the tensor that a model takes, as its evaluation prepares it."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from timm.data import create_transform, resolve_data_config

from lightning_shap.command.data.files import MOST_PIXELS, Picture
from lightning_shap.command.model.description import Description
from lightning_shap.command.untrusted import number
from lightning_shap.errors import ArgumentError

PICTURE_MODES = {1: "L", 3: "RGB", 4: "RGBA"}
INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "box", "hamming", "lanczos")
CROP_MODES = ("center", "squash", "border")


class Preprocessing:
    """The deterministic evaluation transform of a model, for any number of channels.

    Args:
        channels: That the model takes.
        size: (height, width) that it takes.
        mean: Subtracted from each channel of pixels from 0 to 1, None for nothing.
        std: Each channel is divided by, None for nothing.
        grayscale: Show the model grey images, in all of its channels.
        settings: The rest of timm's data config: ``crop_pct``, ``crop_mode``, ``interpolation``.
        guessed: What nothing says for sure, by what it is about.
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

    def __call__(self, picture: Picture) -> torch.Tensor:
        """A picture, or an array (H, W) or (H, W, C), as a float tensor (C, H, W).

        A tensor is an image that was prepared already.

        Raises:
            ValueError: If the image has another number of channels than the model, or cannot be
                scaled.
        """
        if isinstance(picture, torch.Tensor):
            return self._as_is(picture)
        self._check_scalable(picture)
        if isinstance(picture, Image.Image) and picture.mode in ("I", "F", "I;16", "I;16B"):
            picture = np.asarray(picture)  # deep scans, which PIL would clip to white
        if isinstance(picture, Image.Image):
            picture = self._in_mode(picture)
        prepared: torch.Tensor = self._transform(
            picture if isinstance(picture, Image.Image) else self._as_tensor(picture)
        )
        if not bool(prepared.isfinite().all()):
            raise ValueError("has NaN or infinite pixels")
        return prepared

    def _as_is(self, image: torch.Tensor) -> torch.Tensor:
        expected = (self.channels, *self.size)
        if tuple(image.shape) != expected:
            raise ValueError(f"has shape {tuple(image.shape)}, the model takes {expected}")
        return image.float()

    def _check_scalable(self, picture: Image.Image | np.ndarray) -> None:
        """Refuse a sliver, of which scaling its short side would make a picture without end."""
        width, height = picture.size if isinstance(picture, Image.Image) else picture.shape[1::-1]
        if width * height * (max(self.size) / min(width, height)) ** 2 > MOST_PIXELS:
            raise ValueError(f"is {height} x {width} pixels, too narrow to be scaled")

    def _in_mode(self, picture: Image.Image) -> Image.Image | np.ndarray:
        if self.channels not in PICTURE_MODES:
            raise ValueError(
                f"has {len(picture.getbands())} channels, the model takes {self.channels}; "
                "give images of more than four channels as .npy or .tif arrays (H, W, C)"
            )
        if self.grayscale:
            picture = picture.convert("L")
        return picture.convert(PICTURE_MODES[self.channels])

    def _as_tensor(self, array: np.ndarray) -> torch.Tensor:
        pixels = _unit_floats(array if array.ndim == 3 else array[..., None])
        if self.grayscale or (self.channels == 1 and pixels.shape[-1] == 3):
            pixels = pixels.mean(axis=-1, keepdims=True)
        if pixels.shape[-1] == 1:
            pixels = np.repeat(pixels, self.channels, axis=-1)
        if pixels.shape[-1] != self.channels:
            raise ValueError(
                f"has {pixels.shape[-1]} channels, the model takes {self.channels}; "
                "give arrays (H, W, C) with as many"
            )
        return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))


def preprocessing_of(
    module: torch.nn.Module,
    channels: int,
    said: Description,
    *,
    one_size: bool = False,
    crop_size: int | None = None,
    grayscale: bool = False,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> Preprocessing:
    """The evaluation transform of a model, and what of it is a guess.

    Args:
        module: A timm model, or one with a timm model inside, has the configuration of the weights
            that timm trained: a guess for others.
        channels: That it takes.
        said: What the checkpoint says of the images of its training.
        one_size: The module takes images of the size that it says, and no other.
        crop_size: Side of the images, instead of the training's.
        grayscale: Show the model grey images.
        mean: Instead of the training's.
        std: Instead of the training's.

    Raises:
        ArgumentError: If mean or std do not fit the channels, or are no numbers to divide by.
    """
    for name, given in (("mean", mean), ("std", std)):
        if given is not None and len(given) not in (1, channels):
            raise ArgumentError(name, f"has {len(given)} numbers; give 1 or {channels}")
        if given is not None and None in map(number, given):
            raise ArgumentError(name, f"got {given!r}; give finite numbers")
    if std is not None and min(std) <= 0:
        raise ArgumentError("std", f"got {std!r}; give numbers above 0")
    own, whose = _timm_config(module)
    known: dict[str, Any] = {
        "mean": mean or _fitting(said.mean, channels),
        "std": std or _fitting(said.std, channels),
        "input_size": None if said.size is None else (channels, *said.size),
        "crop_pct": said.crop_pct,
        "crop_mode": said.crop_mode if said.crop_mode in CROP_MODES else None,
        "interpolation": said.interpolation if said.interpolation in INTERPOLATIONS else None,
    }
    known = {name: value for name, value in known.items() if value is not None}
    config = resolve_data_config({"in_chans": channels, **known}, pretrained_cfg=own)
    size = (crop_size, crop_size) if crop_size else tuple(config["input_size"][-2:])
    guessed: dict[str, str] = {}
    if not crop_size and said.size is None and not one_size:
        guessed["size"] = f"{size[0]} x {size[1]} pixels{whose}"
    if said.crop_pct is None:
        guessed["crop"] = f"the middle {config['crop_pct']:.4g} of the image{whose}"
    if "mean" not in known or "std" not in known:
        theirs = all(len(own.get(name) or ()) == channels for name in ("mean", "std"))
        statistics = f"{_listed(config['mean'])}, {_listed(config['std'])}{whose}"
        guessed["mean, std"] = statistics if theirs else "none, pixels stay from 0 to 1"
        if not theirs:  # timm assumes ImageNet's colours; a guess is no better than none
            config["mean"] = config["std"] = None
            _check_pair(mean, std)
    settings = {name: config[name] for name in ("interpolation", "crop_pct", "crop_mode")}
    settings["crop_pct"] = _exact(settings["crop_pct"], size)
    return Preprocessing(
        channels,
        size,
        mean=config["mean"],
        std=config["std"],
        grayscale=grayscale,
        settings=settings,
        guessed=guessed,
    )


def _check_pair(mean: Sequence[float] | None, std: Sequence[float] | None) -> None:
    if mean is not None or std is not None:
        given, missing = ("mean", "std") if std is None else ("std", "mean")
        raise ArgumentError(given, f"was given and nothing says the {missing}; give --{missing}")


def _timm_config(module: torch.nn.Module) -> tuple[Mapping[str, Any], str]:
    """The data configuration of the first timm network inside a module, and whose that is."""
    for part in module.modules():
        config = getattr(part, "pretrained_cfg", None)
        if isinstance(config, Mapping):
            return config, f" (timm's {config.get('architecture', 'network')})"
    return {}, ""


def _fitting(values: Sequence[float] | None, channels: int) -> Sequence[float] | None:
    return values if values is not None and len(values) in (1, channels) else None


def _listed(values: Sequence[float]) -> str:
    return "[" + ", ".join(f"{value:.4g}" for value in values) + "]"


def _exact(share: float, size: tuple[int, int]) -> float:
    """A share to which timm's rounding down leaves the whole side that it came from.

    192 / (192 / 224) is a little less than 224.
    """
    side = size[0] / share
    if abs(side - round(side)) > 1e-6:
        return share
    return math.nextafter(size[0] / round(side), 0.0)


def _unit_floats(array: np.ndarray) -> np.ndarray:
    """float32 pixels from 0 to 1; floats are taken as they are."""
    if array.dtype.kind in "ui":
        # Pictures of 16 bits come as int32 from some readers.
        top = 255 if array.dtype == np.uint8 else 65535
        return array.astype(np.float32) / top
    return array.astype(np.float32)
