"""Plots: an explanation as one picture, a block per image with a map for each class."""

from collections.abc import Sequence
from operator import index
from typing import TYPE_CHECKING

import numpy as np

from lightning_shap.errors import ArgumentError, check_choice, check_switch
from lightning_shap.explanation.contribution import Place
from lightning_shap.explanation.maps import read_maps
from lightning_shap.explanation.phrases import number
from lightning_shap.pictures.captions import Captions, name_unit
from lightning_shap.pictures.limits import Limit
from lightning_shap.pictures.map_cells import MapCells
from lightning_shap.pictures.photographs import Album
from lightning_shap.pictures.pixels import Look
from lightning_shap.pictures.sheet import PAPER, Background, Sheet
from lightning_shap.pictures.styles import StyleName

if TYPE_CHECKING:
    from lightning_shap.explanation.explanation import ImageExplanation


def plot(
    explanation: "ImageExplanation",
    *,
    mean: float | Sequence[float] | None = None,
    std: float | Sequence[float] | None = None,
    channels: int | Sequence[int] | None = None,
    title: str | None = None,
    rows: Sequence[int] | None = None,
    style: StyleName | None = None,
    limit: Limit = None,
    notes: Sequence[str] = (),
    region: Place | None = None,
    doubt: bool = True,
    background: Background = "light",
    album: Album | None = None,
) -> np.ndarray:
    """Draws an explanation.

    Each image stands beside a map for each explained class. Red raises the class's output, blue
    lowers it, and zero leaves the image as it is, on one scale for the whole picture. Regions whose
    values are within two standard errors of zero are faded and hatched, where errors are known.
    Maps in which every pixel has a value of its own, of which single ones say little, are averaged
    over 1/32 of the side.

    Args:
        explanation: What :func:`lightning_shap.explain` returned, or a slice of it such as
            ``e[2:4]``, ``e[0]`` or ``e[..., 0]``. It knows what is true and what classes are
            called.
        mean: What was subtracted from the pixels, a number or one per channel.
        std: What the pixels were divided by. Without both, data outside [0, 1] is stretched from
            each image's least to its largest value, and the picture says so.
        channels: The channel shown grey, or the three shown as red, green and blue.
        title: Heading of the picture.
        rows: Show only these images, by number, in this order.
        style: ``"overlay"`` lays the colour over the photograph, the stronger the value the more
            opaque; ``"tiles"`` shows the values as opaque colours over a faint grey image;
            ``"contour"`` outlines what carries half and 80 % of the support; ``"spotlight"`` dims
            all else. None for an overlay of colour images from 96 pixels on, tiles for others.
        limit: The value of full colour, in the units of the legend, or a
            :class:`~lightning_shap.pictures.limits.RunningLimit` for the pictures of a run; None
            for the largest values of this picture.
        notes: What else a viewer should know, for the footer.
        region: A place to outline, and to say of under each map what it contributes; see
            ``explanation.region``.
        doubt: Fade and hatch regions that are within two standard errors of zero, where errors are
            known.
        background: ``"light"``, or ``"dark"`` for dark slides.
        album: Keeps the photographs for further pictures of the same images.

    Returns:
        uint8 (height, width, 3).

    Raises:
        ValueError: If an argument does not fit the explanation, or values or data are not finite.
    """
    check_choice("background", background, (*PAPER,))
    check_switch("doubt", doubt)
    maps = read_maps(explanation)
    captions = Captions(maps, region)
    images = len(maps.images)
    shown = _read_rows(rows, images)
    cells = MapCells(
        maps,
        shown,
        style=style,
        limit=limit,
        album=album,
        place=region,
        doubt=doubt,
        **Look(mean=mean, std=std, channels=channels),
    )
    remarks = [*captions.remarks(shown), *cells.photographs.notes, *notes]
    if len(shown) < images:
        remarks.append(f"{len(shown)} of {images} images")
    drawing, outputs = cells.style, range(maps.source.shape[-1])
    headings = [
        [captions.image(row), *(captions.output(row, output) for output in outputs)]
        for row in shown
    ]
    facts = [
        f"{name_unit(captions.record)}, {cells.scale}" if drawing.ramp else "",
        drawing.key,
        f"{drawing.doubt}: within two standard errors of zero" if cells.has_doubt else "",
        *remarks,
    ]
    sheet = Sheet(headings, cells.size, title, [*captions.method(shown), *facts], background)
    sheet.draw_legend(drawing, number(cells.full, digits=2))
    for block, words in enumerate(headings):
        sheet.draw_cell(block, 0, cells.draw_photograph(block), words[0])
        for output in outputs:
            sheet.draw_cell(block, 1 + output, cells.draw_map(block, output), words[1 + output])
    return np.array(sheet.canvas)


def _read_rows(rows: Sequence[int] | None, available: int) -> list[int]:
    """Returns the numbers of the images that are shown."""
    if rows is None:
        return list(range(available))
    try:
        chosen = [range(available)[index(row)] for row in rows]
    except (IndexError, TypeError):
        chosen = []
    if not chosen:
        raise ArgumentError(
            "rows", f"got {rows!r}; give numbers of images, from 0 to {available - 1}"
        )
    return chosen
