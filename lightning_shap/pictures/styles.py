"""Styles: the ways in which a map is laid over its photograph.

A style is one class here and its entry in ``STYLES``. Where one shows signs, zero leaves its ground
as it is.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Literal, Protocol

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
# In OKLab of the same lightness and chroma, within a twentieth. The red leans towards orange: pure
# red on grey is no colour at all to protanopes, who see this one as ochre and the other as blue.
RAISING, LOWERING = (228, 76, 26), (45, 128, 242)

HATCH_PERIOD, HATCH_LINE = 7, 3  # pixels, along a row
FADED = 0.25  # how much is left between the lines

HALF, MOST = 0.5, 0.8  # shares of a map's support that contours enclose
DIMMED = 0.82  # how much of the light a spotlight takes away elsewhere


class Style(Protocol):
    """A way to draw one map.

    Attributes:
        shows_sign: Red and blue stand for the two signs, so that a colour bar explains it.
        ground: What it is drawn on.
        has_lines: Lines are drawn, which small images are to be enlarged for.
        doubt: What becomes of doubtful regions, in a word.
        key: What a viewer must know of it, for the footer.
    """

    shows_sign: bool
    ground: Ground
    has_lines: bool
    doubt: str
    key: str

    def cell(
        self, shares: np.ndarray, doubtful: np.ndarray | None, under: Image.Image
    ) -> Image.Image:
        """Draws one map.

        Args:
            shares: float32 (h, w), values as shares of the limit.
            doubtful: bool (h, w), what is within two standard errors of zero; None if that is not
                known.
            under: Its ground, of the same size.
        """

    def ramp(self, shares: np.ndarray) -> np.ndarray | None:
        """Returns colours uint8 (n, 3) of shares of the limit, on white; None without a scale."""


class Tiles:
    """Opaque colours over a faint grey rendering: the values as they are, to the pixel."""

    shows_sign = True
    ground: Ground = "faint"
    has_lines = False
    doubt = "hatched"
    key = ""

    def cell(
        self, shares: np.ndarray, doubtful: np.ndarray | None, under: Image.Image
    ) -> Image.Image:
        """Returns one drawn map; see :class:`Style`."""
        if doubtful is not None:
            shares = np.where(doubtful & ~_lines(shares.shape), shares * np.float32(FADED), shares)
        # Multiplied, an underlay only ever darkens.
        return ImageChops.multiply(Image.fromarray(pixels.colours(shares, 1)), under)

    def ramp(self, shares: np.ndarray) -> np.ndarray:
        """Returns colours of shares; see :class:`Style`."""
        return pixels.colours(shares, 1)


class Overlay:
    """A grey photograph, and a colour laid on with an opacity in proportion to the value."""

    shows_sign = True
    ground: Ground = "muted"
    has_lines = False
    doubt = "hatched"
    key = ""

    def cell(
        self, shares: np.ndarray, doubtful: np.ndarray | None, under: Image.Image
    ) -> Image.Image:
        """Returns one drawn map; see :class:`Style`."""
        shades = _shades(shares)
        if doubtful is not None:
            shades = shades + (doubtful & ~_lines(shares.shape)) * len(_INKS)
        ink = Image.fromarray(_INKS_AND_FADED.take(shades, axis=0))
        laid = under.copy()
        laid.paste(ink, (0, 0), ink)
        return laid

    def ramp(self, shares: np.ndarray) -> np.ndarray:
        """Returns colours of shares; see :class:`Style`."""
        ink = _INKS[_shades(shares)].astype(float)
        opacity = ink[:, 3:] / 255
        return np.rint(255 * (1 - opacity) + ink[:, :3] * opacity).astype(np.uint8)


class Contour:
    """A grey photograph, with outlines around what carries half and most of the support."""

    shows_sign = False
    ground: Ground = "muted"
    has_lines = True
    doubt = "left out"
    key = f"thick line: half of what raises the output, thin line: {whole_percent(MOST)}"

    def cell(
        self, shares: np.ndarray, doubtful: np.ndarray | None, under: Image.Image
    ) -> Image.Image:
        """Returns one drawn map; see :class:`Style`."""
        drawn = under.copy()
        if doubtful is not None:
            shares = np.where(doubtful, 0, shares)
        for share, width in ((MOST, 1), (HALF, 3)):
            inside = _carrying(shares, share)
            line = _grown(inside, width)
            # A white rim keeps the line apart from what it is drawn on.
            for around, colour in ((_grown(line, 1), (255, 255, 255)), (line, RAISING)):
                drawn.paste(colour, (0, 0), Image.fromarray(around & ~inside))
        return drawn

    def ramp(self, shares: np.ndarray) -> None:
        """Returns colours of shares; see :class:`Style`."""


class Spotlight:
    """The photograph in the dark, lit where the map supports the output."""

    shows_sign = False
    ground: Ground = "photograph"
    has_lines = False
    doubt = "left out"
    key = "lit: raises the output; dark: does not"

    def cell(
        self, shares: np.ndarray, doubtful: np.ndarray | None, under: Image.Image
    ) -> Image.Image:
        """Returns one drawn map; see :class:`Style`."""
        if doubtful is not None:
            shares = np.where(doubtful, 0, shares)
        return ImageChops.multiply(under, Image.fromarray(_light(shares)).convert("RGB"))

    def ramp(self, shares: np.ndarray) -> np.ndarray:
        """Returns colours of shares; see :class:`Style`."""
        return _light(shares)[:, None].repeat(3, axis=1)


STYLES: Mapping[StyleName, Style] = {
    "overlay": Overlay(),
    "tiles": Tiles(),
    "contour": Contour(),
    "spotlight": Spotlight(),
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
def _lines(shape: tuple[int, ...]) -> np.ndarray:
    """Returns the lines (h, w) of a hatching, rising to the right."""
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    return (rows + columns) % HATCH_PERIOD < HATCH_LINE


def _light(shares: np.ndarray) -> np.ndarray:
    """Returns how much a spotlight leaves, uint8 of the shares' shape."""
    # The root, since the eye takes half of the light for three quarters of it.
    return np.rint(255 * (1 - DIMMED * (1 - np.sqrt(shares.clip(0, 1))))).astype(np.uint8)


def _carrying(shares: np.ndarray, share: float) -> np.ndarray:
    """Returns the strongest pixels (h, w) that together carry a share of all that is positive."""
    positive = shares.clip(0, None)
    if not positive.any():
        return np.zeros(shares.shape, bool)
    shades = np.rint(positive * (1023 / positive.max())).astype(np.int16)
    weights = np.bincount(shades.ravel(), minlength=1024) * np.arange(1024)
    carried = np.cumsum(weights[::-1])[::-1]  # by a shade and all stronger ones
    return shades >= int(np.flatnonzero(carried >= share * carried[0]).max())


def _grown(mask: np.ndarray, pixels: int) -> np.ndarray:
    """Returns a mask (h, w) with so many pixels more on all sides."""
    for axis in (0, 1):
        grown, length = mask.copy(), mask.shape[axis]
        for shift in range(1, min(pixels, length - 1) + 1):
            before, after = slice(None, length - shift), slice(shift, None)
            towards = (before, after) if axis == 0 else ((..., before), (..., after))
            grown[towards[1]] |= mask[towards[0]]
            grown[towards[0]] |= mask[towards[1]]
        mask = grown
    return mask


def _inks() -> np.ndarray:
    """Returns colour and opacity, uint8 (shades, 4), from the strongest blue to red."""
    shares = np.linspace(-1, 1, 2 * pixels.STEPS + 1)
    colour = np.where(shares[:, None] > 0, RAISING, LOWERING)
    return np.column_stack([colour, np.rint(255 * OPACITY * np.abs(shares))]).astype(np.uint8)


def _faded(inks: np.ndarray) -> np.ndarray:
    return np.column_stack([inks[:, :3], np.rint(inks[:, 3] * FADED)]).astype(np.uint8)


_INKS = _inks()
_INKS_AND_FADED = np.concatenate([_INKS, _faded(_INKS)])
