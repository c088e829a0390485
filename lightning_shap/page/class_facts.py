"""The class summary on the page: what is taken for what, what is suspicious and its proof."""

import re
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

from lightning_shap.analysis.class_summary.parts import list_parts
from lightning_shap.analysis.class_summary.words import list_rates, list_told
from lightning_shap.analysis.metrics.where import CORNERS

if TYPE_CHECKING:
    from lightning_shap.analysis.class_summary.summary import ClassSummary
    from lightning_shap.analysis.class_summary.words import Told

MOST_IMAGES = 64  # of a training's class summary, which the page has
PLACES = {f"the {corner} corner": f"place:{corner}" for corner in CORNERS}


def list_classes(summary: "ClassSummary") -> dict[str, Any]:
    """Returns what the page says of the classes, which JSON can say; classes by their numbers."""
    told = list_told(summary)
    words = {one.words for one in told}
    return {
        "images": len(summary.labels),
        "lines": [line for line in summary.lines if line not in words],
        "confusion": [list(counts) for counts in summary.confusion],
        "parts": [_list_part(one, summary) for one in told],
    }


def choose_images(summary: "ClassSummary") -> list[int]:
    """Returns the images that the page has: mistakes, examples of classes, then the first ones."""
    groups = [*summary.pairs, *summary.classes]
    wrong = [image for image, right in enumerate(summary.right) if right is False]
    examples = [image for one in groups for image in (*one.typical, *one.strange)]
    order = dict.fromkeys([*wrong, *examples, *range(len(summary.labels))])
    return sorted([*order][:MOST_IMAGES])


def _list_part(told: "Told", summary: "ClassSummary") -> dict[str, Any]:
    state = "watched" if told.is_watched else "suspicious" if told.holds else "withdrawn"
    return {
        "state": state,
        "part": told.part,
        "class": told.label,
        "claim": told.claim,
        "rates": [
            {**rate.plain, "words": words}
            for rate, words in list_rates(told.proof, told.label, summary)
        ],
        "pin": _pin(told.part, summary.size[:2]),
    }


def _pin(part: str, size: tuple[int, ...]) -> str | None:
    """Returns the place of a part as a pin of the page says it, see ``pins.js``; None without."""
    height, width = size
    if part in PLACES:
        return PLACES[part]
    if box := re.fullmatch(r"box (\d+), (\d+), (\d+), (\d+)", part):
        sides = zip(map(int, box.groups()), (width, height) * 2, strict=True)
        return f"box:{','.join(f'{min(1, side / whole):.4f}' for side, whole in sides)}"
    masks = {one.name: one.mask for one in list_parts()}
    mask = masks.get(part)
    if mask is None:
        return None
    runs = [(inside, len([*run])) for inside, run in groupby(mask(height, width).ravel().tolist())]
    lengths = [0, *(length for _, length in runs)] if runs[0][0] else [n for _, n in runs]
    return f"area:{width}x{height}_{'.'.join(np.base_repr(n, 36).lower() for n in lengths)}"
