"""Pixels of a picture: images as people know them, attributions as colours."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageChops, ImageColor

# From zero to the limit. At every step red and blue have the same lightness and chroma (OKLab), so
# neither sign looks stronger than the other. Green is left free to say "right".
RAISES = ("#ffffff", "#facfca", "#f49c95", "#e86661", "#ce2f34", "#9c1a20")
LOWERS = ("#ffffff", "#c6ddfc", "#8bbafb", "#4e95f7", "#086fe3", "#0050ae")
STEPS = 255  # shades of each sign; the neutral white lies exactly between them

LIMIT_PERCENTILE = 99.9
SHADE = 0.18  # how far the image under a heat map darkens its neutral
MOSTLY_DARK = 64  # median grey level of images that are drawn as negatives there

COMMON_SIDE = 192  # small images are enlarged to about this
LARGEST_SIDE = 256  # larger images are reduced
REDUCED_SIDE = 224


def cell_size(height: int, width: int) -> tuple[int, int]:
    """Width and height at which an image is shown.

    Small images grow by a whole number, which keeps each of their pixels a crisp square.
    """
    side = max(height, width)
    scale = REDUCED_SIDE / side if side > LARGEST_SIDE else max(1, round(COMMON_SIDE / side))
    return max(1, round(width * scale)), max(1, round(height * scale))


def photographs(
    data: np.ndarray,
    mean: float | Sequence[float] | None = None,
    std: float | Sequence[float] | None = None,
    channels: int | Sequence[int] | None = None,
) -> tuple[np.ndarray, list[str]]:
    """Images as they looked before they were normalised for the model.

    Args:
        data: (N, H, W, C), as the model receives them.
        mean: What was subtracted, a number or one per channel.
        std: What they were divided by, a number or one per channel.
        channels: One channel, shown grey, or three, shown as red, green and blue.

    Returns:
        uint8 (N, H, W, 3), and what a viewer must be told of them.
    """
    shown = shown_channels(channels, data.shape[-1])
    notes = []
    if channels is not None or data.shape[-1] not in (1, 3):
        which = ", ".join(map(str, shown))
        notes.append(f"channel{'s' * (len(shown) > 1)} {which} of {data.shape[-1]}")
    pixels = data[..., shown].astype(np.float64)
    if mean is not None or std is not None:
        per_channel = [_statistic(x, n, data.shape[-1]) for x, n in ((mean, "mean"), (std, "std"))]
        pixels = pixels * per_channel[1][shown] + per_channel[0][shown]
    elif data.dtype == np.uint8:
        pixels /= 255
    elif pixels.min() < 0 or pixels.max() > 1:
        low = pixels.min((1, 2, 3), keepdims=True)
        spread = pixels.max((1, 2, 3), keepdims=True) - low
        pixels = np.where(spread > 0, (pixels - low) / np.where(spread > 0, spread, 1), 0.5)
        notes.append("contrast stretched")
    levels = np.rint(pixels.clip(0, 1) * 255).astype(np.uint8)
    return np.broadcast_to(levels, (*data.shape[:3], 3)), notes


def shown_channels(channels: int | Sequence[int] | None, count: int) -> list[int]:
    """The one or three channels of ``count`` that are shown."""
    if channels is None:
        return [0, 1, 2] if count >= 3 else [0]
    shown = [channels] if isinstance(channels, (int, np.integer)) else [int(c) for c in channels]
    if len(shown) not in (1, 3) or not all(0 <= c < count for c in shown):
        raise ValueError(
            f"channels: got {channels!r}; give one or three of the channels 0 to {count - 1}"
        )
    return [int(c) for c in shown]


def photograph_cell(pixels: np.ndarray, size: tuple[int, int]) -> Image.Image:
    """One photograph (H, W, 3) at the size of its cell."""
    enlarging = size[0] >= pixels.shape[1]
    resample = Image.Resampling.NEAREST if enlarging else Image.Resampling.LANCZOS
    return Image.fromarray(np.ascontiguousarray(pixels)).resize(size, resample)


def map_cell(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """One attribution map (H, W) at the size of its cell, float32."""
    # The box filter averages; a sharper one would ring, and show the other sign around a region.
    image = Image.fromarray(values.astype(np.float32)).resize(size, Image.Resampling.BOX)
    return np.asarray(image)


def common_limit(maps: np.ndarray) -> float:
    """The value at which colours are full: a high percentile, so that a few pixels do not rule."""
    magnitude = np.abs(maps)
    return float(np.percentile(magnitude, LIMIT_PERCENTILE) or magnitude.max())


def colours(values: np.ndarray, limit: float) -> np.ndarray:
    """uint8 colours (..., 3) of values: white at zero, red above, blue below, full at ``limit``."""
    share = values.clip(-limit, limit) / (limit or 1)
    return _PALETTE[(share * STEPS).round().astype(np.int16) + STEPS]


def underlays(photographs: Sequence[Image.Image]) -> list[Image.Image]:
    """Faint grey renderings of photographs, on which white still reads as neutral.

    Those on black ground, as digits and scans are, are drawn as negatives, all or none: else their
    ground would turn the neutral of the maps grey.
    """
    greys = [photograph.convert("L") for photograph in photographs]
    if np.median(np.stack([np.asarray(grey) for grey in greys])) < MOSTLY_DARK:
        greys = [ImageChops.invert(grey) for grey in greys]
    faint = [round(255 - SHADE * (255 - level)) for level in range(256)]
    return [grey.point(faint).convert("RGB") for grey in greys]


def heat_map(values: np.ndarray, limit: float, under: Image.Image) -> Image.Image:
    """Colours over an underlay, which only ever darkens them."""
    return ImageChops.multiply(Image.fromarray(colours(values, limit)), under)


def _palette() -> np.ndarray:
    anchors = np.array([ImageColor.getrgb(c) for c in (*LOWERS[:0:-1], *RAISES)], dtype=float)
    at = np.linspace(0, len(anchors) - 1, 2 * STEPS + 1)
    channels = [np.interp(at, np.arange(len(anchors)), channel) for channel in anchors.T]
    return np.stack(channels, axis=1).round().astype(np.uint8)


def _statistic(value: float | Sequence[float] | None, name: str, count: int) -> np.ndarray:
    if value is None:
        raise ValueError(f"{name}: is missing; give mean and std together, or neither")
    statistic = np.asarray(value, dtype=np.float64).ravel()
    if len(statistic) not in (1, count):
        raise ValueError(
            f"{name}: has {len(statistic)} numbers, the images {count} channels; "
            "give a number, or one per channel"
        )
    if not np.isfinite(statistic).all() or (name == "std" and (statistic <= 0).any()):
        raise ValueError(f"{name}: got {value!r}; give finite numbers, and positive ones for std")
    return np.broadcast_to(statistic, count)


_PALETTE = _palette()
