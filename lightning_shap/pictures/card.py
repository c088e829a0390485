"""The card: a few images with two maps each, to be read where a log shows a picture small.

TensorBoard's cards give a picture some 290 to 330 by 200 pixels. A sheet for a screen has maps of
33 pixels there, and letters of two.
"""

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageDraw

from lightning_shap.explanation.maps import read_maps
from lightning_shap.explanation.phrases import Name, Phrase
from lightning_shap.explanation.verdicts import Verdict, join_names
from lightning_shap.pictures.lettering import Pen, fit, measure_width, write
from lightning_shap.pictures.map_cells import MapCells
from lightning_shap.pictures.sheet import DETAIL, HAIRLINE, INK, RIGHT, WRONG

if TYPE_CHECKING:
    from lightning_shap.explanation.explanation import ImageExplanation

MOST_IMAGES = 6
ASPECT = 1.55  # of the room that a card gives
LETTERS = 0.034  # of the width, which are ten pixels on a card
GAP = 1 / 6  # between cells, of the letters


def draw_card(explanation: "ImageExplanation", **drawn: Any) -> np.ndarray:
    """Draws the first images: each with its first map, and that of what is predicted instead.

    The first map is of the true class, or of the one that is followed. Where another is predicted
    and has a map, that stands beside it.

    Args:
        explanation: Of N images, with a record.
        drawn: Arguments of :class:`.map_cells.MapCells`. The scale is that of all images.

    Returns:
        uint8 (height, width, 3).
    """
    maps, record = read_maps(explanation), explanation.record
    verdicts, several = record.judge(), maps.source.shape[-1] > 1 and not record.classes.values
    cells = MapCells(maps, range(len(maps.images)), **drawn)
    images, columns = min(MOST_IMAGES, len(maps.images)), 2 + several
    explained = record.classes.find(np.asarray(maps.indexes))

    width, height = cells.size
    across = min(
        range(1, images + 1),
        key=lambda n: abs(
            math.log(n * columns * width / (-(-images // n) * 1.25 * height * ASPECT))
        ),
    )
    down = -(-images // across)
    size = round(LETTERS * max(across * columns * width, down * 1.25 * height * ASPECT))
    gap, line = round(GAP * size) + 2, round(1.35 * size)
    block = columns * (width + gap) + 2 * gap
    row = height + line + 2 * gap
    canvas = Image.new("RGB", (across * block, down * row + line), "white")
    draw = ImageDraw.Draw(canvas)
    for image in range(images):
        y, x = (
            place * step for place, step in zip(divmod(image, across), (row, block), strict=True)
        )
        verdict = verdicts[image]
        _write_verdict(draw, (x + gap, y + size + gap), verdict, f"image {image}", size, block)
        shown = [cells.draw_photograph(image), cells.draw_map(image, 0)]
        other = _find_other(verdict, explained[image].tolist())
        if several and other is not None:
            shown.append(cells.draw_map(image, other))
        for column, cell in enumerate(shown):
            left, top = x + gap + column * (width + gap), y + line + gap
            draw.rectangle((left - 1, top - 1, left + width, top + height), outline=HAIRLINE)
            canvas.paste(cell.resize(cells.size, Image.Resampling.NEAREST), (left, top))
    few = "" if images == len(maps.images) else f", {images} of {len(maps.images)} images"
    sign = "red raises, blue lowers" if cells.style.shows_sign else "raises"
    words = f"{sign}{few}"
    write(draw, gap, canvas.height - line // 3, words, Pen(size, DETAIL.colour))
    return np.array(canvas)


def _find_other(verdict: Verdict, explained: list[int]) -> int | None:
    """Returns the place of the map of what is predicted, where that is not the first."""
    predicted = [one.number for one in verdict.predicted or ()]
    return next((place for place, n in enumerate(explained) if place and n in predicted), None)


def _write_verdict(
    draw: ImageDraw.ImageDraw,
    at: tuple[int, int],
    verdict: Verdict,
    unknown: str,
    size: int,
    width: int,
) -> None:
    """Writes what is true, and what is predicted instead; else what is predicted."""
    (x, y), pen = at, Pen(size, INK)
    mark = "" if verdict.right is None else "\N{CHECK MARK} " if verdict.right else "\N{BALLOT X} "
    colour = RIGHT if verdict.right else WRONG
    write(draw, x, y, mark, Pen(size, colour, bold=True))
    taken = round(measure_width(mark, Pen(size, colour, bold=True)))
    predicted = () if verdict.predicted is None else verdict.predicted
    words = Phrase(join_names(verdict.true if verdict.is_true_known else predicted))
    if not verdict.is_true_known and not predicted:
        words = Phrase(Name(unknown))
    elif verdict.right is False:
        words = Phrase(words, " \N{RIGHTWARDS ARROW} ", join_names(predicted))
    write(draw, x + taken, y, fit(words, pen, width - taken - size), pen)
