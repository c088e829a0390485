"""Read which parts of images are watched: by name, as a box, as a mask, by an earlier run."""

import json
import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lightning_shap.analysis.class_summary.parts import Part, list_parts, make_place
from lightning_shap.errors import ArgumentError, show

WAYS = (
    "give a name such as 'bottom left corner', a box [left, top, right, bottom] in pixels, a file "
    "that is a mask, or a classes.json"
)


def read_parts(watch: Any) -> tuple[Part, ...]:
    """Returns the parts that are watched, each once.

    Args:
        watch: One or several of: the name of a part, with or without its article; a box
            [left, top, right, bottom] in pixels of the model's images, the right and bottom edges
            excluded, also as text; the path of a mask, where what is not black counts, scaled to
            the images; the path of an earlier run's ``classes.json``, for what it found suspicious.

    Raises:
        ArgumentError: If one of them is none of that.
    """
    if watch is None:
        return ()
    several = isinstance(watch, Sequence) and not isinstance(watch, str) and not _is_box(watch)
    found: dict[str, Part] = {}
    for part in (part for one in (watch if several else [watch]) for part in _read(one)):
        if found.setdefault(part.name, part) != part:
            raise ArgumentError("watch", f"two places are the {part.name}; leave out or rename one")
    return tuple(found.values())


def add_parts(watched: Sequence[Part]) -> tuple[Part, ...]:
    """Returns the parts that are tested and those that are watched, each once."""
    return tuple(dict.fromkeys((*list_parts(), *watched)))


def _read(one: Any) -> Sequence[Part]:
    if isinstance(one, str) and re.fullmatch(r"\s*\d+(\s*,\s*\d+){3}\s*", one):
        one = [int(side) for side in one.split(",")]
    if _is_box(one):
        return [_read_box([int(side) for side in one])]
    if not isinstance(one, (str, Path)):
        raise ArgumentError("watch", f"got {show(one)}; {WAYS}")
    known = {part.name.removeprefix("the "): part for part in list_parts()}
    name = str(one).removeprefix("the ")
    if name in known:
        return [known[name]]
    path = Path(one)
    if not path.is_file():
        raise ArgumentError(
            "watch", f"got {show(one)}, neither a file nor one of {', '.join(known)}; {WAYS}"
        )
    return _read_findings(path) if path.suffix == ".json" else [_read_mask(path)]


def _is_box(one: Any) -> bool:
    return (
        isinstance(one, Sequence)
        and len(one) == 4
        and all(isinstance(side, int) and not isinstance(side, bool) for side in one)
    )


def _read_box(box: Sequence[int]) -> Part:
    left, top, right, bottom = box
    if not (0 <= left < right and 0 <= top < bottom):
        raise ArgumentError(
            "watch", f"got the box {list(box)}, which holds no pixel; give left, top, right, bottom"
        )
    return make_place(f"box {left}, {top}, {right}, {bottom}", partial(_mark_box, *box))


def _mark_box(left: int, top: int, right: int, bottom: int, height: int, width: int) -> np.ndarray:
    if right > width or bottom > height:
        raise ArgumentError(
            "watch",
            f"got the box {[left, top, right, bottom]}, but the model's images are {width} wide "
            f"and {height} high; give pixels of these",
        )
    mask = np.zeros((height, width), bool)
    mask[top:bottom, left:right] = True
    return mask


def _read_mask(path: Path) -> Part:
    try:
        with Image.open(path) as image:
            mask = image.convert("L")
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise ArgumentError("watch", f"{str(path)!r} is no image ({error}); {WAYS}") from error
    if mask.getbbox() is None:
        raise ArgumentError("watch", f"{str(path)!r} is black, so that it marks no place; {WAYS}")
    return make_place(f"mask {path.name}", partial(_scale_mask, mask))


def _scale_mask(mask: Image.Image, height: int, width: int) -> np.ndarray:
    return np.asarray(mask.resize((width, height), Image.Resampling.BOX)) > 0


def _read_findings(path: Path) -> Sequence[Part]:
    known = {part.name: part for part in list_parts()}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        names = [one["part"] for one in (*content["suspicions"], *content["untested"])]
        return [known[name] for name in names]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArgumentError(
            "watch", f"{str(path)!r} is no summary of the classes ({error!r}); {WAYS}"
        ) from error
