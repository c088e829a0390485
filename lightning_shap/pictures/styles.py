"""Styles: the ways in which a map is laid over its photograph.

A style is a function here and its entry in ``STYLES``. Where one shows signs, zero leaves its
ground as it is.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from PIL import Image, ImageChops

from lightning_shap.errors import ArgumentError
from lightning_shap.explanation.phrases import whole_percent
from lightning_shap.pictures import pixels
from lightning_shap.pictures.photographs import Ground

StyleName = Literal["overlay", "tiles", "contour", "spotlight"]
"""The keys of ``STYLES``, for type checkers and command lines."""

OVERLAY_SIDE = 96  # of smaller images too little is seen below a colour
OPACITY = 0.8  # of an overlay at the limit
# In OKLab of the same lightness and chroma, within a twentieth. Of all such reds it is the one
# nearest to pure red (32 degrees of hue, where that has 29) that protanopes tell from any grey at a
# tenth of the scale, as strong as the page draws it; pure red is half as far from grey to them.
RAISING, LOWERING = (234, 43, 4), (0, 122, 255)

HATCH_PERIOD, HATCH_LINE = 7, 3  # pixels, along a row
FADED = 0.25  # how much is left between the lines

OUTLINE = (31, 35, 40)  # of a place that is asked about

HALF, MOST = 0.5, 0.8  # shares of a map's support that contours enclose
DIMMED = 0.82  # how much of the light a spotlight takes away elsewhere


@dataclass(frozen=True)
class Style:
    """A way to draw one map.

    Attributes:
        draw: Draws shares of the limit, float32 (h, w), over their ground, of the same size. What
            is within two standard errors of zero, bool (h, w), looks fainter, unless None.
        ramp: Returns colours uint8 (n, 3) of shares of the limit, on white; None without a scale.
        ground: What it is drawn on.
        shows_sign: Red and blue stand for the two signs, so that a colour bar explains it.
        has_lines: Lines are drawn, which small images are to be enlarged for.
        doubt: What becomes of doubtful regions, in a word.
        key: What a viewer must know of it, for the footer.
    """

    draw: Callable[[np.ndarray, np.ndarray | None, Image.Image], Image.Image]
    ramp: Callable[[np.ndarray], np.ndarray] | None
    ground: Ground
    shows_sign: bool = True
    has_lines: bool = False
    doubt: str = "hatched"
    key: str = ""


def draw_tiles(shares: np.ndarray, doubtful: np.ndarray | None, under: Image.Image) -> Image.Image:
    """Draws opaque colours over a faint grey rendering: the values as they are, to the pixel."""
    if doubtful is not None:
        shares = np.where(doubtful & ~_hatch(shares.shape), shares * np.float32(FADED), shares)
    # Multiplied, an underlay only ever darkens.
    return ImageChops.multiply(Image.fromarray(pixels.colours(shares, 1)), under)


def draw_overlay(
    shares: np.ndarray, doubtful: np.ndarray | None, under: Image.Image
) -> Image.Image:
    """Lays a colour on a grey photograph, with an opacity in proportion to the value."""
    shades = _shades(shares)
    if doubtful is not None:
        shades = shades + (doubtful & ~_hatch(shares.shape)) * len(_INKS)
    ink = Image.fromarray(_INKS_AND_FADED.take(shades, axis=0))
    laid = under.copy()
    laid.paste(ink, (0, 0), ink)
    return laid


def draw_contours(
    shares: np.ndarray, doubtful: np.ndarray | None, under: Image.Image
) -> Image.Image:
    """Draws outlines on a grey photograph, around what carries half and most of the support."""
    drawn = under.copy()
    if doubtful is not None:
        shares = np.where(doubtful, 0, shares)
    for share, width in ((MOST, 1), (HALF, 3)):
        inside = _find_carrying(shares, share)
        _draw_line_around(drawn, inside, width, RAISING)
    return drawn


def outline(picture: Image.Image, inside: np.ndarray) -> Image.Image:
    """Returns a picture with a line around a place in it, bool (h, w)."""
    outlined = picture.copy()
    _draw_line_around(outlined, inside, 2, OUTLINE)
    return outlined


def draw_spotlight(
    shares: np.ndarray, doubtful: np.ndarray | None, under: Image.Image
) -> Image.Image:
    """Darkens a photograph, but for where the map supports the output."""
    if doubtful is not None:
        shares = np.where(doubtful, 0, shares)
    return ImageChops.multiply(under, Image.fromarray(_light(shares)).convert("RGB"))


def ramp_of_overlay(shares: np.ndarray) -> np.ndarray:
    """Returns colours of shares; see :class:`Style`."""
    ink = _INKS[_shades(shares)].astype(float)
    opacity = ink[:, 3:] / 255
    return np.rint(255 * (1 - opacity) + ink[:, :3] * opacity).astype(np.uint8)


STYLES: Mapping[StyleName, Style] = {
    "overlay": Style(draw_overlay, ramp_of_overlay, "muted"),
    "tiles": Style(draw_tiles, lambda shares: pixels.colours(shares, 1), "faint"),
    "contour": Style(
        draw_contours,
        None,
        "muted",
        shows_sign=False,
        has_lines=True,
        doubt="left out",
        key=f"only what raises the output is shown: thick line half of it, thin line "
        f"{whole_percent(MOST)}",
    ),
    "spotlight": Style(
        draw_spotlight,
        lambda shares: _light(shares)[:, None].repeat(3, axis=1),
        "photograph",
        shows_sign=False,
        doubt="left out",
        key="only what raises the output is shown, lit",
    ),
}


def style_named(name: StyleName) -> Style:
    """Returns a style.

    Raises:
        ArgumentError: If there is none of that name.
    """
    if not isinstance(name, str) or name not in STYLES:
        choices = ", ".join(map(repr, STYLES))
        raise ArgumentError("style", f"got {name!r}; give {choices} or None")
    return STYLES[name]


def usual_style(height: int, width: int, shown_channels: int) -> StyleName:
    """Returns an overlay for photographs in colour, tiles for what is small or grey."""
    return "overlay" if shown_channels == 3 and max(height, width) >= OVERLAY_SIDE else "tiles"


def _shades(shares: np.ndarray) -> np.ndarray:
    """Returns row numbers of ``_INKS``."""
    return np.rint(shares.clip(-1, 1) * pixels.STEPS).astype(np.int16) + pixels.STEPS


@lru_cache(maxsize=4)
def _hatch(shape: tuple[int, ...]) -> np.ndarray:
    """Returns the lines (h, w) of a hatching, rising to the right."""
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    return (rows + columns) % HATCH_PERIOD < HATCH_LINE


def _light(shares: np.ndarray) -> np.ndarray:
    """Returns how much a spotlight leaves, uint8 of the shares' shape."""
    # The root, since the eye takes half of the light for three quarters of it.
    return np.rint(255 * (1 - DIMMED * (1 - np.sqrt(shares.clip(0, 1))))).astype(np.uint8)


def _find_carrying(shares: np.ndarray, share: float) -> np.ndarray:
    """Returns the strongest pixels (h, w) that together carry a share of all that is positive."""
    positive = shares.clip(0, None)
    if not positive.any():
        return np.zeros(shares.shape, bool)
    shades = np.rint(positive * (1023 / positive.max())).astype(np.int16)
    weights = np.bincount(shades.ravel(), minlength=1024) * np.arange(1024)
    carried = np.cumsum(weights[::-1])[::-1]  # by a shade and all stronger ones
    return shades >= int(np.flatnonzero(carried >= share * carried[0]).max())


def _draw_line_around(
    drawn: Image.Image, inside: np.ndarray, width: int, colour: tuple[int, int, int]
) -> None:
    """Draws a line that a white rim keeps apart from what it is drawn on."""
    line = _grow(inside, width)
    for around, ink in ((_grow(line, 1), (255, 255, 255)), (line, colour)):
        drawn.paste(ink, (0, 0), Image.fromarray(around & ~inside))


def _grow(mask: np.ndarray, pixels: int) -> np.ndarray:
    """Returns a mask (h, w) with so many pixels more on all sides."""
    from scipy.ndimage import maximum_filter

    grown: np.ndarray = maximum_filter(mask, 2 * pixels + 1, mode="constant")
    return grown


def _inks() -> np.ndarray:
    """Returns colour and opacity, uint8 (shades, 4), from the strongest blue to red."""
    shares = np.linspace(-1, 1, 2 * pixels.STEPS + 1)
    colour = np.where(shares[:, None] > 0, RAISING, LOWERING)
    return np.column_stack([colour, np.rint(255 * OPACITY * np.abs(shares))]).astype(np.uint8)


def _fade(inks: np.ndarray) -> np.ndarray:
    return np.column_stack([inks[:, :3], np.rint(inks[:, 3] * FADED)]).astype(np.uint8)


_INKS = _inks()
_INKS_AND_FADED = np.concatenate([_INKS, _fade(_INKS)])
