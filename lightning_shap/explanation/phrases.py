"""Phrases: numbers as people read them, in texts whose names may be shortened and nothing else.

What has no room in a picture is cut somewhere. A name that is cut is still a name; a number that is
cut is another number. So texts say which of their parts are names, and whoever draws one shortens
these alone; see :mod:`lightning_shap.pictures.lettering`.
"""

import math

import numpy as np

MINUS = "\N{MINUS SIGN}"
SEPARATOR = " · "  # between pieces; a text breaks into lines here first


class Name(str):
    """Marks a name, the only part of a text that may be shortened."""

    __slots__ = ()


class Phrase(str):
    """Joins parts to a text that knows them.

    Args:
        parts: Plain text, which is never shortened, names, which may be, and other phrases.

    Attributes:
        parts: The same, in which phrases are replaced by their own parts.
    """

    parts: tuple[str, ...]

    def __new__(cls, *parts: str) -> "Phrase":
        """Joins the parts."""
        phrase = super().__new__(cls, "".join(parts))
        phrase.parts = tuple(each for part in parts for each in list_parts(part))
        return phrase


def list_parts(text: str) -> tuple[str, ...]:
    """Returns the parts of a phrase; a plain text or a name is the only part of itself."""
    return text.parts if isinstance(text, Phrase) else (text,)


def join(*pieces: str) -> Phrase:
    """Joins what there is of some pieces with separators."""
    parts = [part for piece in pieces if piece for part in (SEPARATOR, piece)]
    return Phrase(*parts[1:])


def number(value: float, digits: int = 3) -> str:
    """Writes a number to so many digits, in full where that is short enough."""
    text = f"{value:.{digits}g}"
    if "e+0" in text:
        text = f"{value:.0f}"
    return text.replace("e-0", "e-").replace("-", MINUS)


def write_fixed(value: float, decimals: int) -> str:
    """Writes a number with so many decimals; one that rounds to zero has no sign."""
    return f"{round(value, decimals) + 0.0:.{decimals}f}".replace("-", MINUS)


def percent(share: float) -> str:
    """Writes a share as a percentage; of what is all but certain nobody counts the zeros."""
    if share < 0.0005:
        return "<0.1 %"
    return ">99.9 %" if share >= 0.9995 else f"{100 * share:.1f} %"


def whole_percent(share: float) -> str:
    """Writes a share as a percentage without decimals."""
    return f"{100 * share:.0f} %".replace("-", MINUS)


def write_with_error(value: float, error: float | None, unit: str = "") -> str:
    """Writes a number, to the two digits that its standard error has, and that error.

    Without one, or where it is 0, the number has three digits.
    """
    if error is None or not 1e-9 * abs(value) < error < math.inf:
        return f"{number(value)}{unit}"
    decimals = max(0, 1 - math.floor(math.log10(error)))
    value_part, error_part = (write_fixed(each, decimals) for each in (value, error))
    return f"{value_part}{unit} \N{PLUS-MINUS SIGN} {error_part}{unit}"


def way(base: str | None, output: str) -> str:
    """Writes where something comes from and where it goes to."""
    return output if base is None else f"{base} \N{RIGHTWARDS ARROW} {output}"


def write_alike(base: float | None, output: float) -> tuple[str | None, str]:
    """Writes two numbers with as many decimals, those that the larger needs for three digits."""
    if base is None:
        return None, number(output)
    largest = max(abs(base), abs(output))
    if not 1e-3 <= largest < 1e5:
        return number(base), number(output)
    decimals = max(0, 2 - math.floor(math.log10(largest)))
    return write_fixed(base, decimals), write_fixed(output, decimals)


def count(numbers: np.ndarray, noun: str) -> str:
    """Writes how many there are of something, from the fewest to the most."""
    low, high = int(numbers.min()), int(numbers.max())
    span = f"{low}" if low == high else f"{low}\N{EN DASH}{high}"
    return f"{span} {noun}{'s' * (high != 1)}"
