"""Text of others, made fit for a terminal, a picture or a sentence."""

from collections.abc import Sequence

from lightning_shap.errors import escaped

MOST = 300


def readable(text: object, most: int = MOST) -> str:
    """Text that every terminal and font can show, on one line and not too long."""
    words = " ".join(str(text).split())
    shown = words if len(words) <= most else f"{words[: most - 1]}…"
    return escaped(shown)


def short(items: Sequence[object], most: int = 5) -> str:
    """The first of some names."""
    shown = ", ".join(readable(item, 60) for item in items[:most])
    return f"{shown}, …" if len(items) > most else shown
