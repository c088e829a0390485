"""Text from outside, made fit for a terminal, a picture or a sentence."""

from collections.abc import Sequence

from lightning_shap.errors import escaped

MOST = 300


def readable(text: object, most: int = MOST) -> str:
    """Returns a text that every terminal and font can show, on one line and not too long."""
    words = " ".join(str(text).split())
    return escaped(words if len(words) <= most else f"{words[: most - 1]}…")


def short(items: Sequence[object], most: int = 5) -> str:
    """Returns the first of some names."""
    listed = ", ".join(readable(item, 60) for item in items[:most])
    return f"{listed}, …" if len(items) > most else listed
