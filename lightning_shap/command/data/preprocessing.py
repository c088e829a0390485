"""Prepares a picture as a model's evaluation does: the tensor that the model takes."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from timm.data import create_transform

from lightning_shap.command.data.files import MOST_PIXELS, Picture
from lightning_shap.command.data.scale import Scale, read_deep

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
        guessed: Guesses where nothing says for sure, by what they are about.

    Attributes:
        scale: That of arrays.
    """

    scale = Scale()

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
        """Returns a picture, or an array (H, W) or (H, W, C), as a float tensor (C, H, W).

        A tensor is an image that was prepared already.

        Raises:
            ValueError: If the image has another number of channels than the model, or cannot be
                scaled.
        """
        if isinstance(picture, torch.Tensor):
            return self._check_prepared(picture)
        self._check_scalable(picture)
        deep = read_deep(picture)  # such pictures PIL would clip to white
        picture = picture if deep is None else deep
        if isinstance(picture, Image.Image):
            picture = self._convert_picture(picture)
        prepared: torch.Tensor = self._transform(
            picture if isinstance(picture, Image.Image) else self._convert_array(picture)
        )
        if not bool(prepared.isfinite().all()):
            raise ValueError("has NaN or infinite pixels")
        return prepared

    def _check_prepared(self, image: torch.Tensor) -> torch.Tensor:
        expected = (self.channels, *self.size)
        if tuple(image.shape) != expected:
            raise ValueError(f"has shape {tuple(image.shape)}, the model takes {expected}")
        return image.float()

    def _check_scalable(self, picture: Image.Image | np.ndarray) -> None:
        """Refuses a sliver, of which scaling its short side would make a picture without end."""
        width, height = picture.size if isinstance(picture, Image.Image) else picture.shape[1::-1]
        if width * height * (max(self.size) / min(width, height)) ** 2 > MOST_PIXELS:
            raise ValueError(f"is {height} x {width} pixels, too narrow to be scaled")

    def _convert_picture(self, picture: Image.Image) -> Image.Image | np.ndarray:
        if self.channels not in PICTURE_MODES:
            raise ValueError(
                f"has {len(picture.getbands())} channels, the model takes {self.channels}; "
                "give images of more than four channels as .npy or .tif arrays (H, W, C)"
            )
        if self.grayscale:
            picture = picture.convert("L")
        return picture.convert(PICTURE_MODES[self.channels])

    def _convert_array(self, array: np.ndarray) -> torch.Tensor:
        pixels = self.scale.apply(array if array.ndim == 3 else array[..., None])
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
