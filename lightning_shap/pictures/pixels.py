"""Pixels of a picture: images as people know them, attributions as colours."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TypedDict

import numpy as np
from PIL import Image, ImageChops, ImageColor

from lightning_shap.errors import ArgumentError

# From zero to the limit. At every step red and blue have the same lightness and chroma (OKLab), so
# neither sign looks stronger than the other. Green is left free to say "right".
RAISES = ("#ffffff", "#facfca", "#f49c95", "#e86661", "#ce2f34", "#9c1a20")
LOWERS = ("#ffffff", "#c6ddfc", "#8bbafb", "#4e95f7", "#086fe3", "#0050ae")
STEPS = 255  # shades of each sign; the neutral white lies exactly between them

SHADE = 0.18  # how far the image under a heat map darkens its neutral
DARK = 96  # grey level, of 255, of a ground that is drawn as a negative there
LIFTED = 64  # black of a photograph that colours are laid on
RIM = 8  # what lies along the border is the ground: this part of the sides
FLATTEST = 8  # grey levels that an image spans; of fewer its noise would be seen

COMMON_SIDE = 192  # small images are enlarged to about this
LARGEST_SIDE = 256  # larger images are reduced
REDUCED_SIDE = 224


class Look(TypedDict, total=False):
    """Holds how images are shown as photographs; see :func:`lightning_shap.plot`."""

    mean: float | Sequence[float] | None
    std: float | Sequence[float] | None
    channels: int | Sequence[int] | None


def cell_size(height: int, width: int) -> tuple[int, int]:
    """Returns width and height at which an image is shown.

    Small images grow by a whole number, which keeps each of their pixels a crisp square.
    """
    side = max(height, width)
    scale = REDUCED_SIDE / side if side > LARGEST_SIDE else max(1, round(COMMON_SIDE / side))
    return max(1, round(width * scale)), max(1, round(height * scale))


def drawn_size(height: int, width: int) -> tuple[int, int]:
    """Returns width and height at which a cell is drawn; it may be enlarged when it is placed."""
    size = cell_size(height, width)
    return size if size[0] < width or size[1] < height else (width, height)


def photographs(
    data: np.ndarray,
    mean: float | Sequence[float] | None = None,
    std: float | Sequence[float] | None = None,
    channels: int | Sequence[int] | None = None,
) -> tuple[Iterator[np.ndarray], list[str]]:
    """Returns images as they looked before they were normalised for the model.

    Args:
        data: (N, H, W, C), as the model receives them.
        mean: What was subtracted, a number or one per channel.
        std: What they were divided by, a number or one per channel.
        channels: One channel, shown grey, or three, shown as red, green and blue.

    Returns:
        N times uint8 (H, W, 3), one at a time since they may be large, and what a viewer must know
        of them.
    """
    count = data.shape[-1]
    shown = choose_channels(channels, count)
    notes = []
    if channels is not None or count not in (1, 3):
        which = ", ".join(map(str, shown))
        notes.append(f"channel{'s' * (len(shown) > 1)} {which} of {count}")
    undo: Callable[[np.ndarray], np.ndarray] = partial(np.multiply, 1.0)
    if mean is not None or std is not None:
        subtracted, divided = _statistic(mean, "mean", count), _statistic(std, "std", count)
        undo = partial(_undo_normalisation, mean=subtracted[shown], std=divided[shown])
    elif data.dtype == np.uint8:
        undo = partial(np.multiply, 1 / 255)
    elif not _within_unit(data, shown):
        undo = _stretch
        notes.append("contrast stretched")
    return (_photograph(image[..., shown], undo) for image in data), notes


def _photograph(image: np.ndarray, undo: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Returns uint8 (H, W, 3) of one image, brought to the range from 0 to 1."""
    pixels = undo(image.astype(np.float64 if image.dtype == np.float64 else np.float32))
    pixels *= 255
    levels = np.rint(pixels, out=pixels).clip(0, 255, out=pixels).astype(np.uint8)
    return np.broadcast_to(levels, (*image.shape[:2], 3))


def _undo_normalisation(pixels: np.ndarray, mean: np.ndarray, std: np.ndarray) -> np.ndarray:
    pixels *= std
    pixels += mean
    return pixels


def _stretch(pixels: np.ndarray) -> np.ndarray:
    low, spread = pixels.min(), np.ptp(pixels)
    if spread == 0:
        return np.full_like(pixels, 0.5)
    pixels -= low
    pixels /= spread
    return pixels


def choose_channels(channels: int | Sequence[int] | None, count: int) -> list[int]:
    """Returns the one or three channels of ``count`` that are shown."""
    if channels is None:
        return [0, 1, 2] if count >= 3 else [0]
    shown = [channels] if isinstance(channels, (int, np.integer)) else [int(c) for c in channels]
    if len(shown) not in (1, 3) or not all(0 <= c < count for c in shown):
        raise ArgumentError(
            "channels", f"got {channels!r}; give one or three of the channels 0 to {count - 1}"
        )
    return [int(c) for c in shown]


def reduce_photograph(pixels: np.ndarray, size: tuple[int, int]) -> Image.Image:
    """Returns one photograph (H, W, 3), reduced to a size if that is smaller."""
    photograph = Image.fromarray(np.ascontiguousarray(pixels))
    if photograph.size == size:
        return photograph
    return photograph.resize(size, Image.Resampling.LANCZOS)


def reduce_map(values: np.ndarray, size: tuple[int, int], smooth: float = 0) -> np.ndarray:
    """Returns one attribution map (H, W), reduced to a size if that is smaller, float32.

    Args:
        values: float64 (H, W).
        size: Width and height.
        smooth: Over how many pixels of the map it is averaged before.
    """
    values = values.astype(np.float32)
    if smooth >= 2:
        from scipy.ndimage import uniform_filter

        # Twice half as wide: a weight that falls off with the distance, and the same total.
        for _ in range(2):
            values = uniform_filter(values, max(2, round(smooth / 2) + 1), mode="nearest")
    if values.shape == size[::-1]:
        return values
    # The box filter averages; a sharper one would ring, and show the other sign around a region.
    return np.asarray(Image.fromarray(values).resize(size, Image.Resampling.BOX))


def resize_mask(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Returns one mask (H, W) at a size."""
    if mask.shape == size[::-1]:
        return mask
    reduced = Image.fromarray(mask.view(np.uint8)).resize(size, Image.Resampling.NEAREST)
    return np.asarray(reduced).view(bool)


def enlarge(cell: np.ndarray, times: int) -> np.ndarray:
    """Returns a map or mask (h, w) whose pixels are squares of ``times`` pixels a side."""
    return cell if times == 1 else cell.repeat(times, axis=0).repeat(times, axis=1)


def enlarge_image(image: Image.Image, times: int) -> Image.Image:
    """Returns a photograph likewise."""
    if times == 1:
        return image
    return image.resize((image.width * times, image.height * times), Image.Resampling.NEAREST)


def colours(values: np.ndarray, limit: float) -> np.ndarray:
    """Returns uint8 colours (..., 3): white at zero, red above, blue below, full at ``limit``."""
    steps = np.rint(values.clip(-limit, limit) * (STEPS / (limit or 1)))
    return _PALETTE.take(steps.astype(np.int16) + STEPS, axis=0)


def mute(photograph: Image.Image) -> Image.Image:
    """Returns a photograph that a colour can be laid on: in grey, its black lifted.

    Laid on a photograph's own colours, red would be seen by nobody on an orange cup or a cat's fur,
    and on black no colour at all; and what has no value would not look neutral.
    """
    lifted = [round(LIFTED + level * (255 - LIFTED) / 255) for level in range(256)]
    return photograph.convert("L").point(lifted).convert("RGB")


def draw_underlays(photographs: Sequence[Image.Image]) -> list[Image.Image]:
    """Returns photographs in faint grey, on which white still reads as neutral.

    Contrast is that of the shapes, whatever an image's own: each is stretched from its darkest to
    its lightest grey. Those on dark ground, as digits and scans are, are drawn as negatives, all or
    none, or their ground would turn the neutral of the maps grey. So a digit looks the same however
    its pixels were scaled.
    """
    greys = [_stretch_grey(photograph.convert("L")) for photograph in photographs]
    if np.median(np.concatenate([_rim(np.asarray(grey)) for grey in greys])) < DARK:
        greys = [ImageChops.invert(grey) for grey in greys]
    faint = [round(255 - SHADE * (255 - level)) for level in range(256)]
    return [grey.point(faint).convert("RGB") for grey in greys]


def _stretch_grey(grey: Image.Image) -> Image.Image:
    levels = np.asarray(grey)
    low, high = int(levels.min()), int(levels.max())
    if high - low < FLATTEST:
        return grey
    return grey.point([round((level - low) * 255 / (high - low)) for level in range(256)])


def _rim(grey: np.ndarray) -> np.ndarray:
    """Returns the grey levels along the border."""
    down, across = (max(1, side // RIM) for side in grey.shape)
    inside = np.zeros(grey.shape, bool)
    inside[down:-down, across:-across] = True
    return grey[~inside]


def _palette() -> np.ndarray:
    anchors = np.array([ImageColor.getrgb(c) for c in (*LOWERS[:0:-1], *RAISES)], dtype=float)
    at = np.linspace(0, len(anchors) - 1, 2 * STEPS + 1)
    channels = [np.interp(at, np.arange(len(anchors)), channel) for channel in anchors.T]
    return np.stack(channels, axis=1).round().astype(np.uint8)


def _within_unit(data: np.ndarray, shown: list[int]) -> bool:
    """Returns whether the shown channels are from 0 to 1."""
    channels = [data[..., channel] for channel in dict.fromkeys(shown)]
    return all(channel.min() >= 0 and channel.max() <= 1 for channel in channels)


def _statistic(value: float | Sequence[float] | None, name: str, count: int) -> np.ndarray:
    if value is None:
        raise ArgumentError(name, "is missing; give mean and std together, or neither")
    statistic = np.asarray(value, dtype=np.float64).ravel()
    if len(statistic) not in (1, count):
        raise ArgumentError(
            name,
            f"has {len(statistic)} numbers, the images {count} channels; give a number, or one "
            "per channel",
        )
    if not np.isfinite(statistic).all() or (name == "std" and (statistic <= 0).any()):
        raise ArgumentError(name, f"got {value!r}; give finite numbers, positive ones for std")
    return np.broadcast_to(statistic, count)


_PALETTE = _palette()
