"""Preprocessing: a picture to the tensor that a model takes, as its evaluation prepares it."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from timm.data import create_transform, resolve_data_config

PICTURE_MODES = {1: "L", 3: "RGB", 4: "RGBA"}


class Preprocessing:
    """The deterministic evaluation transform of a model, for any number of channels.

    Args:
        channels: That the model takes.
        size: (height, width) that it takes.
        mean: Subtracted from each channel of pixels from 0 to 1, None for nothing.
        std: Each channel is divided by, None for nothing.
        grayscale: Show the model grey images, in all of its channels.
        settings: The rest of timm's data config: ``crop_pct``, ``crop_mode``, ``interpolation``.
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
    ) -> None:
        self.channels, self.size, self.grayscale = channels, size, grayscale
        self.mean, self.std = mean, std
        self._transform = create_transform(
            (channels, *size),
            mean=tuple(mean or (0.0,) * channels),
            std=tuple(std or (1.0,) * channels),
            is_training=False,
            **(settings or {}),
        )

    def __call__(self, picture: Image.Image | np.ndarray) -> torch.Tensor:
        """A picture, or an array (H, W) or (H, W, C), as a float tensor (C, H, W).

        Raises:
            ValueError: If an array has another number of channels than the model.
        """
        if isinstance(picture, Image.Image) and picture.mode in ("I", "F", "I;16", "I;16B"):
            picture = np.asarray(picture)  # deep scans, which PIL would clip to white
        if isinstance(picture, Image.Image):
            picture = self._in_mode(picture)
        prepared: torch.Tensor = self._transform(
            picture if isinstance(picture, Image.Image) else self._as_tensor(picture)
        )
        return prepared

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
    noted: Mapping[str, Any],
    *,
    crop_size: int | None = None,
    grayscale: bool = False,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> Preprocessing:
    """The evaluation transform of a model.

    Args:
        module: A timm model, or one with a timm model inside, says how its images are prepared.
        channels: That it takes.
        noted: Hyper-parameters of its training, which know better.
        crop_size: Side of the images, instead of the model's own.
        grayscale: Show the model grey images.
        mean: Instead of the model's own.
        std: Instead of the model's own.

    Raises:
        ValueError: If mean or std do not fit the channels.
    """
    for name, given in (("mean", mean), ("std", std)):
        if given is not None and len(given) not in (1, channels):
            raise ValueError(f"{name}: has {len(given)} numbers; give 1 or {channels}")
    own: Any = next((m.pretrained_cfg for m in module.modules() if _is_timm(m)), {})
    known = _data_settings(noted, channels)
    known |= {name: given for name, given in (("mean", mean), ("std", std)) if given is not None}
    config = resolve_data_config({"in_chans": channels, **known}, pretrained_cfg=own)
    statistics: dict[str, tuple[float, ...] | None] = {}
    for name in ("mean", "std"):
        # timm assumes ImageNet's colours where nothing is known; a guess is no better than none.
        sure = name in known or name in own
        statistics[name] = config[name] if sure and len(config[name]) == channels else None
    if None in statistics.values():
        statistics = {"mean": None, "std": None}
    size = (crop_size, crop_size) if crop_size else tuple(config["input_size"][-2:])
    settings = {name: config[name] for name in ("interpolation", "crop_pct", "crop_mode")}
    return Preprocessing(channels, size, **statistics, grayscale=grayscale, settings=settings)


def _is_timm(module: torch.nn.Module) -> bool:
    return isinstance(getattr(module, "pretrained_cfg", None), Mapping)


def _data_settings(noted: Mapping[str, Any], channels: int) -> dict[str, Any]:
    """What a training script's hyper-parameters say of its images, where it makes sense."""
    settings: dict[str, Any] = {}
    for name in ("mean", "std"):
        value = noted.get(name)
        if isinstance(value, (list, tuple)) and len(value) in (1, channels):
            settings[name] = value
    if isinstance(noted.get("img_size"), int):
        settings["img_size"] = noted["img_size"]
    size = noted.get("input_size")
    if isinstance(size, (list, tuple)) and len(size) == 3:
        settings["input_size"] = size
    for name, kind in (("crop_pct", float), ("interpolation", str), ("crop_mode", str)):
        if isinstance(noted.get(name), kind):
            settings[name] = noted[name]
    return settings


def _unit_floats(array: np.ndarray) -> np.ndarray:
    """float32 pixels from 0 to 1; floats are taken as they are."""
    if array.dtype.kind in "ui":
        # Pictures of 16 bits come as int32 from some readers.
        top = 255 if array.dtype == np.uint8 else 65535
        return array.astype(np.float32) / top
    return array.astype(np.float32)
