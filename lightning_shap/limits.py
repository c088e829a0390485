"""Limits of numbers: what is beyond them cannot be meant, and is refused before any work is done.

Needs neither torch nor NumPy, so that the command can check its flags before it loads anything.
"""

from numbers import Integral
from typing import Any

from lightning_shap.errors import ArgumentError, ArgumentTypeError, shown

MOST_EVALUATIONS = 10**7  # an image of 224 x 224 pixels has 300,000 at most to spend them on
MOST_SEED = 2**63 - 1
MOST_SIDE = 2**14  # of an image in pixels, larger than any camera's


def checked_count(
    name: str, value: Any, *, least: int, most: int | None = None, why: str = ""
) -> int:
    """A whole number of at least ``least`` and at most ``most``."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise ArgumentTypeError(name, f"got {shown(value)}; give a whole number")
    count = int(value)
    if count < least:
        reason = f" ({why})" if why else ""
        raise ArgumentError(name, f"got {shown(count)}; give at least {least}{reason}")
    if most is not None and count > most:
        raise ArgumentError(name, f"got {shown(count)}; give at most {most}")
    return count
