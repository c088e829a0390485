"""Lettering: text that is measured before it is drawn, in whatever script a class name has."""

from dataclasses import dataclass
from functools import cache
from itertools import groupby
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.ft2font import FT2Font
from PIL import ImageDraw, ImageFont

_FONTS = Path(matplotlib.get_data_path()) / "fonts" / "ttf"  # DejaVu Sans, on every machine
ELLIPSIS = "…"


@dataclass(frozen=True)
class Style:
    """A type size in pixels, a weight and a colour."""

    size: int
    colour: str
    bold: bool = False


def width_of(text: str, style: Style) -> float:
    """How many pixels a text takes."""
    return sum(_font(file, style.size).getlength(run) for file, run in _runs(text, style.bold))


def shortened(text: str, style: Style, width: float, *, end: str = "") -> str:
    """A text that fits into ``width`` pixels, cut with an ellipsis where it must be.

    Args:
        text: That may be cut.
        style: How it is written.
        width: What there is for it, with its end.
        end: What comes after it and is never cut, such as a number.
    """
    text = legible(text)
    if width_of(text + end, style) <= width:
        return text + end
    fits, too_long = 0, len(text)
    while too_long - fits > 1:
        middle = (fits + too_long) // 2
        if width_of(text[:middle].rstrip() + ELLIPSIS + end, style) <= width:
            fits = middle
        else:
            too_long = middle
    return text[:fits].rstrip() + ELLIPSIS + end


def wrapped(parts: list[str], separator: str, style: Style, width: float) -> list[str]:
    """Lines of at most ``width`` pixels that break between parts only."""
    lines: list[str] = []
    for part in (shortened(part, style, width) for part in parts):
        longer = lines[-1] + separator + part if lines else part
        if lines and width_of(longer, style) <= width:
            lines[-1] = longer
        else:
            lines.append(part)
    return lines


def write(draw: ImageDraw.ImageDraw, x: float, baseline: float, text: str, style: Style) -> None:
    """Draw a legible text on a baseline, from ``x`` to the right."""
    runs = _runs(text, style.bold)
    for number, (file, run) in enumerate(runs, start=1):
        font = _font(file, style.size)
        draw.text((round(x), baseline), run, fill=style.colour, font=font, anchor="ls")
        if number < len(runs):  # to measure a run takes half as long as to draw it
            x += font.getlength(run)


def legible(text: str) -> str:
    """One line of a text; a character that no font on this machine has is written as its number."""
    if text.isascii() and text.isprintable():  # as nearly all are
        return " ".join(text.split())
    line = "".join(c if c.isprintable() else " " for c in text)
    known = (c if _file_with(c, False) else c.encode("unicode_escape").decode() for c in line)
    return " ".join("".join(known).split())


def _runs(text: str, bold: bool) -> list[tuple[str, str]]:
    if text.isascii():
        return [(_dejavu(bold), text)] if text else []
    files = groupby(text, key=lambda character: _file_with(character, bold))
    return [(file or _dejavu(bold), "".join(run)) for file, run in files]


@cache
def _file_with(character: str, bold: bool) -> str | None:
    """A font file that has a character: DejaVu's, else another of this machine, else None."""
    if ord(character) in _characters(_dejavu(bold)):
        return _dejavu(bold)
    from matplotlib.font_manager import fontManager  # slow to load, and rarely needed

    plain_first = sorted(
        fontManager.ttflist,
        key=lambda f: (f.style != "normal", f.weight not in (400, "normal"), f.fname),
    )
    for font in plain_first:
        # The font of last resort has a box for everything and a letter for nothing.
        if "Last Resort" not in font.name and ord(character) in _characters(font.fname):
            return font.fname
    return None


@cache
def _characters(file: str) -> np.ndarray:
    try:
        codes = list(FT2Font(file).get_charmap())
    except (OSError, RuntimeError):  # listed by matplotlib's cache, but gone or unreadable
        codes = []
    return np.array(codes, dtype=np.uint32)  # not a set: a machine may have a thousand fonts


def _dejavu(bold: bool) -> str:
    return str(_FONTS / ("DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"))


@cache
def _font(file: str, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(file, size)
