"""Plots: an explanation as one picture, a block per image with a map for each class."""

from collections.abc import Sequence
from operator import index
from typing import TYPE_CHECKING

import numpy as np

from lightning_shap.engine.methods.registry import METHODS
from lightning_shap.errors import ArgumentError
from lightning_shap.explanation.contribution import Place, find_pixels
from lightning_shap.explanation.maps import read_maps
from lightning_shap.explanation.phrases import number
from lightning_shap.pictures import pixels
from lightning_shap.pictures.captions import Captions, unit_of
from lightning_shap.pictures.limits import Limit, check_limit, choose_limit, common_limit
from lightning_shap.pictures.photographs import Album
from lightning_shap.pictures.sheet import Sheet
from lightning_shap.pictures.styles import StyleName, outline, style_named, usual_style

if TYPE_CHECKING:
    from lightning_shap.explanation.explanation import ImageExplanation

SMOOTHED = 32  # a map of single pixels is smoothed over this part of its side


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
        album: Keeps the photographs for further pictures of the same images.

    Returns:
        uint8 (height, width, 3).

    Raises:
        ValueError: If an argument does not fit the explanation, or values or data are not finite.
    """
    maps, limit = read_maps(explanation), check_limit(limit)
    captions = Captions(maps, region)
    images, height, width, count = maps.images.shape
    shown = _read_rows(rows, images)
    data = maps.images if shown == list(range(images)) else maps.images[shown]
    photographs = (album or Album()).photographs(data, mean=mean, std=std, channels=channels)
    remarks = [*captions.remarks(shown), *photographs.notes, *notes]
    if len(shown) < images:
        remarks.append(f"{len(shown)} of {images} images")
    if style is None:
        style = usual_style(height, width, len(pixels.choose_channels(channels, count)))
    drawing = style_named(style)

    size = pixels.drawn_size(height, width)
    smooth = usual_smooth(captions.record.method, height, width)
    times = max(1, photographs.size[0] // size[0])  # a small image is drawn as it is, if it can be
    # As shares of the peak, values are safe in float32.
    peak = maps.peak(shown) or 1.0
    cells = np.array(
        [[pixels.reduce_map(one / peak, size, smooth) for one in maps.get(row)] for row in shown]
    )
    in_units = peak * height * width / 100
    full, scale = choose_limit(limit, common_limit(cells) * in_units)
    cells *= np.float32(in_units / (full or 1))

    headings = [
        [captions.image(row), *(captions.output(row, output) for output in range(cells.shape[1]))]
        for row in shown
    ]
    places = None if region is None else find_pixels(region, maps)
    doubtful = [maps.find_doubtful(row) for row in shown]
    facts = [
        f"{unit_of(captions.record)}, {scale}" if drawing.ramp else "",
        drawing.key,
        "" if doubtful[0] is None else f"{drawing.doubt}: within two standard errors of zero",
        *remarks,
    ]
    sheet = Sheet(headings, photographs.size, title, [*captions.method(shown), *facts])
    sheet.draw_legend(drawing, number(full, digits=2))
    under = photographs.under(drawing.ground)
    for block, doubts in enumerate(doubtful):
        place = None if places is None else pixels.reduce_mask(places[shown[block]], size)
        photograph = photographs.cells[block]
        if place is not None:
            photograph = outline(
                pixels.enlarge_image(photograph, times), pixels.enlarge(place, times)
            )
        sheet.draw_cell(block, 0, photograph, headings[block][0])
        for output, shares in enumerate(cells[block]):
            doubt = None if doubts is None else pixels.reduce_mask(doubts[output], size)
            lines = drawing.has_lines or doubt is not None or place is not None
            by = times if lines else 1
            cell = drawing.draw(
                pixels.enlarge(shares, by),
                None if doubt is None else pixels.enlarge(doubt, by),
                pixels.enlarge_image(under[block], by),
            )
            cell = cell if place is None else outline(cell, pixels.enlarge(place, by))
            sheet.draw_cell(block, 1 + output, cell, headings[block][1 + output])
    return np.array(sheet.canvas)


def usual_smooth(method: str, height: int, width: int) -> float:
    """Returns over how many pixels maps are averaged if nobody says: those of pixels alone."""
    known = METHODS.get(method)
    by_pixel = known is not None and not known.has_regions
    return max(height, width) / SMOOTHED if by_pixel else 0.0


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
