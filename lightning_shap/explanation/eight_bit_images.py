"""Images in eight bits: the levels of each channel, and what value each level stands for.

That is exact where no channel of an image has more than 256 different values, as of 8-bit files,
however they were normalised. Else levels are spread evenly, and a pixel is off by 1/510 of the
channel's range in that image at most.
"""

import io

import numpy as np
from PIL import Image

LEVELS = 256


def to_levels(data: np.ndarray) -> tuple[bytes, np.ndarray]:
    """Returns an image as a PNG of levels, and what these stand for.

    Args:
        data: (H, W, C).

    Returns:
        The PNG, in colour where there are three channels, else grey with one below the other; and
        the values of the levels, (C, 256).
    """
    channels = [_levels_of(channel) for channel in np.moveaxis(data, -1, 0)]
    numbers = [numbers for _, numbers in channels]
    picture = np.stack(numbers, axis=-1) if len(numbers) == 3 else np.concatenate(numbers)
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return file.getvalue(), np.stack([levels for levels, _ in channels])


def _levels_of(channel: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the values of 256 levels, and the level of each pixel."""
    levels, numbers = np.unique(channel, return_inverse=True)
    if len(levels) > LEVELS:
        low, high = float(levels[0]), float(levels[-1])
        levels = np.linspace(low, high, LEVELS).astype(channel.dtype)
        numbers = np.rint((channel - low) / (high - low) * (LEVELS - 1))
    filled = np.full(LEVELS, levels[-1])
    filled[: len(levels)] = levels
    return filled, numbers.reshape(channel.shape).astype(np.uint8)


def from_levels(picture: np.ndarray, levels: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Returns the image (H, W, C) that :func:`to_levels` was given.

    Raises:
        ValueError: If parts do not fit together.
    """
    numbers = picture if picture.ndim == 3 else np.moveaxis(picture.reshape(-1, *shape[:2]), 0, -1)
    if numbers.shape != shape or levels.shape != (shape[-1], LEVELS):
        raise ValueError(f"its photographs have shape {numbers.shape}, not {shape}")
    return np.stack([of[numbers[..., c]] for c, of in enumerate(levels)], axis=-1)


def fit_photographs(photographs: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Returns the page's photographs in the size of the images, float32 from 0 to 1.

    Raises:
        ValueError: If they are of other images.
    """
    images, height, width, _ = shape
    count, down, across, channels = photographs.shape
    if (count, channels in (1, 3)) != (images, True) or 0 in photographs.shape:
        raise ValueError(f"its photographs have shape {photographs.shape}")
    rows, columns = np.arange(height) * down // height, np.arange(width) * across // width
    fitted = photographs[:, rows][:, :, columns] / np.float32(255)
    return np.ascontiguousarray(np.broadcast_to(fitted, shape))
