"""Lettering: text that is measured before it is drawn, in whatever script a class name has."""

import re
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import groupby
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.ft2font import FT2Font
from PIL import ImageDraw, ImageFont

from lightning_shap.explanation.phrases import SEPARATOR, Name, Phrase, list_parts

_FONTS = Path(matplotlib.get_data_path()) / "fonts" / "ttf"  # DejaVu Sans, on every machine
ELLIPSIS = "…"
_SPACES = re.compile(r"\s+")
_WORDS = re.compile(r" (?!%)")  # a number stays with its unit
_NUMBER = re.compile(r"\W*\d")
LEAST_NAME = 2  # characters that are left of a name before the room for it is made wider


@dataclass(frozen=True)
class Pen:
    """A type size in pixels, a weight and a colour."""

    size: int
    colour: str
    bold: bool = False


@lru_cache(maxsize=4096)  # each text is measured to fit, to have room made for it, to be written
def measure_width(text: str, pen: Pen) -> float:
    """Returns how many pixels a text takes."""
    return sum(_font(file, pen.size).getlength(run) for file, run in _runs(text, pen.bold))


def fit(text: str, pen: Pen, width: float, *, least: int = 0) -> str:
    """Returns one line of a text that fits into ``width`` pixels if its names can be cut to that.

    Names are cut in the middle, since many differ at their ends only, the longest first. All else,
    such as a number, is never cut: a text of which too much is left is wider than there is room.

    Args:
        text: A :class:`lightning_shap.explanation.phrases.Phrase`, a name, or plain text.
        pen: How it is written.
        width: What there is for it.
        least: Characters that are left of each name in any case.
    """
    parts = [
        (
            make_legible(part).strip() if isinstance(part, Name) else make_legible(part),
            isinstance(part, Name),
        )
        for part in list_parts(text)
    ]

    def cut(most: int) -> str:
        return "".join(_cut(part, most) if is_name else part for part, is_name in parts)

    fits, too_long = least, max((len(part) for part, is_name in parts if is_name), default=0)
    if measure_width(cut(too_long), pen) <= width:
        return cut(too_long)
    while too_long - fits > 1:
        middle = (fits + too_long) // 2
        if measure_width(cut(middle), pen) <= width:
            fits = middle
        else:
            too_long = middle
    return cut(fits)


def wrap(text: str, pen: Pen, width: float) -> list[str]:
    """Returns the lines of a text, broken between its pieces, or within one that is too wide.

    A word that is wider than ``width`` pixels is cut, unless it is a number.
    """
    lines: list[str] = []
    for piece in _pieces(text):
        line = fit(piece, pen, width)
        words = [line] if measure_width(line, pen) <= width else _WORDS.split(line)
        for number, word in enumerate(words):
            if not _NUMBER.match(word):
                word = fit(Name(word), pen, width)
            longer = lines[-1] + (" " if number else SEPARATOR) + word if lines else word
            if lines and measure_width(longer, pen) <= width:
                lines[-1] = longer
            else:
                lines.append(word)
    return lines


def least_width(text: str, pen: Pen) -> float:
    """Returns how many pixels a text takes, in as many lines as it has pieces, its names cut."""
    pieces = (fit(piece, pen, 0, least=LEAST_NAME) for piece in _pieces(text))
    return max((measure_width(piece, pen) for piece in pieces), default=0)


def write(draw: ImageDraw.ImageDraw, x: float, baseline: float, text: str, pen: Pen) -> None:
    """Draws a legible text on a baseline, from ``x`` to the right."""
    runs = _runs(text, pen.bold)
    for number, (file, run) in enumerate(runs, start=1):
        font = _font(file, pen.size)
        draw.text((round(x), baseline), run, fill=pen.colour, font=font, anchor="ls")
        if number < len(runs):  # to measure a run takes half as long as to draw it
            x += font.getlength(run)


def make_legible(text: str) -> str:
    """Returns a text as one line, each character that no font here has as its number."""
    if text.isascii() and text.isprintable():  # as nearly all are
        return _SPACES.sub(" ", text)
    line = "".join(c if c.isprintable() else " " for c in text)
    known = (c if _file_with(c, False) else c.encode("unicode_escape").decode() for c in line)
    return _SPACES.sub(" ", "".join(known))


def _pieces(text: str) -> list[Phrase]:
    """Returns the pieces of a text, between which a line may break."""
    pieces: list[list[str]] = [[]]
    for part in list_parts(text):
        if part == SEPARATOR:
            pieces.append([])
        else:
            pieces[-1].append(part)
    return [phrase for piece in pieces if (phrase := Phrase(*piece))]


def _cut(name: str, most: int) -> str:
    """Returns a name of so many characters at most, its beginning and its end."""
    if len(name) <= most:
        return name
    end = most // 2
    return name[: most - end].rstrip() + ELLIPSIS + name[len(name) - end :].lstrip()


def _runs(text: str, bold: bool) -> list[tuple[str, str]]:
    if text.isascii():
        return [(_dejavu(bold), text)] if text else []
    files = groupby(text, key=lambda character: _file_with(character, bold))
    return [(file or _dejavu(bold), "".join(run)) for file, run in files]


@cache
def _file_with(character: str, bold: bool) -> str | None:
    """Returns a font file that has a character: DejaVu's, else another one's, else None."""
    if ord(character) in _characters(_dejavu(bold)):
        return _dejavu(bold)
    from matplotlib.font_manager import fontManager  # slow to load, and rarely needed

    plain_first = sorted(
        fontManager.ttflist,
        key=lambda f: (f.style != "normal", f.weight not in (400, "normal"), f.fname),
    )
    for font in plain_first:
        # The font of last resort draws a box for every character.
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
