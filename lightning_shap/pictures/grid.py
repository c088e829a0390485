"""Plots: an explanation as one picture, a block per image with a map for each class."""

import os
from collections.abc import Sequence
from operator import index
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from lightning_shap.engine.methods.registry import METHODS
from lightning_shap.errors import ArgumentError, ArgumentTypeError
from lightning_shap.explanation.atomic import replacing
from lightning_shap.explanation.maps import Maps, maps_of
from lightning_shap.explanation.phrases import MINUS, number
from lightning_shap.pictures import pixels
from lightning_shap.pictures.captions import Captions
from lightning_shap.pictures.limits import Limit, checked_limit, chosen_limit, common_limit
from lightning_shap.pictures.photographs import Album
from lightning_shap.pictures.sheet import LEGEND_WIDTH, Sheet
from lightning_shap.pictures.styles import Style, StyleName, style_named, usual_style

if TYPE_CHECKING:
    import shap

COMPRESSION = 1  # of files: the others are a fifth smaller, and take two to five times as long
MOST_SMOOTHED = 256  # pixels
SMOOTHED = 32  # a map of single pixels is smoothed over this part of its side


def plot(
    explanation: "shap.Explanation",
    *,
    labels: Sequence[Any] | np.ndarray | None = None,
    class_names: Sequence[str] | None = None,
    mean: float | Sequence[float] | None = None,
    std: float | Sequence[float] | None = None,
    channels: int | Sequence[int] | None = None,
    title: str | None = None,
    max_rows: int | None = None,
    rows: Sequence[int] | None = None,
    style: StyleName | None = None,
    smooth: float | None = None,
    limit: Limit = None,
    notes: Sequence[str] = (),
    album: Album | None = None,
) -> np.ndarray:
    """Draws an explanation.

    Each image stands beside a map for each explained class. Red raises the class's output, blue
    lowers it, and zero leaves the image as it is, on one scale for the whole picture. Regions whose
    values are within two standard errors of zero are faded and hatched, where errors are known.

    Args:
        explanation: What :func:`lightning_shap.explain` returned, a slice of it such as ``e[2:4]``,
            ``e[0]`` or ``e[..., 0]``, or any ``shap.Explanation`` with values (N, H, W, C, K') or
            (N, H, W, C) and data (N, H, W, C).
        labels: True classes (N,), -1 where unknown, or what else :func:`lightning_shap.explain`
            takes; those of the explanation's record where None.
        class_names: A name for each class; those of the explanation where None.
        mean: What was subtracted from the pixels, a number or one per channel.
        std: What the pixels were divided by. Without both, data outside [0, 1] is stretched from
            each image's least to its largest value, and the picture says so.
        channels: The channel shown grey, or the three shown as red, green and blue.
        title: Heading of the picture.
        max_rows: Show only the first images.
        rows: Show only these images, by number, in this order.
        style: ``"overlay"`` lays the colour over the photograph, the stronger the value the more
            opaque; ``"tiles"`` shows the values as opaque colours over a faint grey image;
            ``"contour"`` outlines what carries half and 80 % of the support; ``"spotlight"`` dims
            all else. None for an overlay of colour images from 96 pixels on, tiles for others.
        smooth: Over how many of the image's pixels a map is averaged before it is drawn; 0 for not
            at all. None for 1/32 of the side where every pixel has a value of its own, in which
            single ones say little, and for 0 where regions have.
        limit: The value of full colour, in the units of the legend, or a
            :class:`~lightning_shap.pictures.limits.RunningLimit` for the pictures of a run; None
            for the largest values of this picture.
        notes: What else a viewer should know, for the footer.
        album: Keeps the photographs for further pictures of the same images.

    Returns:
        uint8 (height, width, 3).

    Raises:
        ValueError: If an argument does not fit the explanation, or values or data are not finite.
    """
    maps, limit = maps_of(explanation), checked_limit(limit)
    images, height, width, count = maps.images.shape
    shown = _shown_rows(rows, max_rows, images)
    captions = Captions(maps, labels, class_names)
    gallery = album or Album()
    everything = shown == list(range(images))
    data = maps.images if everything else maps.images[shown]
    photographs = gallery.photographs(data, mean, std, channels)
    remarks = [*captions.remarks(shown), *photographs.notes, *notes]
    if len(shown) < images:
        remarks.append(f"{len(shown)} of {images} images")
    if style is None:
        style = usual_style(height, width, len(pixels.shown_channels(channels, count)))
    drawing = style_named(style)
    smooth = _checked_smooth(smooth, maps)

    unit, unit_pixels = captions.unit(height, width)
    size = pixels.drawn_size(height, width)
    times = max(1, photographs.size[0] // size[0])  # a small image is drawn as it is, if it can be
    # As shares of the peak, values are safe in float32.
    peak = maps.peak(shown) or 1.0
    cells = np.array(
        [[pixels.map_cell(one / peak, size, smooth) for one in maps.of(row)] for row in shown]
    )
    in_units = peak * unit_pixels
    full, scale = chosen_limit(limit, common_limit(cells) * in_units)
    cells *= np.float32(in_units / (full or 1))

    headings = [
        [captions.image(row), *(captions.output(row, output) for output in range(cells.shape[1]))]
        for row in shown
    ]
    ramp = drawing.ramp(np.linspace(-drawing.shows_sign, 1, LEGEND_WIDTH))
    facts = [
        f"{unit}, {scale}" if ramp is not None else "",
        drawing.key,
        *_doubtful(maps, drawing),
        *remarks,
    ]
    notes = [*captions.method(shown), *filter(None, facts)]
    sheet = Sheet(headings, photographs.size, title, notes)
    if ramp is not None:
        end = number(full, digits=2)
        lowers = f"{MINUS}{end} lowers" if drawing.shows_sign else "0"
        sheet.legend(ramp, lowers, f"raises +{end}")
    under = photographs.under(drawing.ground)
    for block, row in enumerate(shown):
        sheet.cell(block, 0, photographs.cells[block], headings[block][0])
        doubtful = maps.doubtful(row)
        for output, shares in enumerate(cells[block]):
            doubt = None if doubtful is None else pixels.mask_cell(doubtful[output], size)
            by = times if drawing.has_lines or doubt is not None else 1
            cell = drawing.cell(
                pixels.enlarged(shares, by),
                None if doubt is None else pixels.enlarged(doubt, by),
                pixels.enlarged_image(under[block], by),
            )
            sheet.cell(block, 1 + output, cell, headings[block][1 + output])
    return np.array(sheet.canvas)


def save(picture: np.ndarray, path: str | os.PathLike[str]) -> Path:
    """Writes a picture as a PNG file, which appears whole or not at all.

    Args:
        picture: uint8 (height, width, 3).
        path: Where to; folders that are missing are made.

    Returns:
        The path.

    Raises:
        ValueError: If this is not a picture, or the path does not end in ``.png``.
        OSError: If the file cannot be written.
    """
    path = Path(path)
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        raise ArgumentError(
            "picture", f"is {picture.dtype} of shape {picture.shape}; give uint8 (height, width, 3)"
        )
    if path.suffix.lower() != ".png":
        raise ArgumentError("path", f"must end in .png, got {str(path)!r}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as partial:
            Image.fromarray(picture).save(partial, format="PNG", compress_level=COMPRESSION)
    except OSError as error:
        reason = error.strerror or error
        raise OSError(error.errno, f"path: cannot write {str(path)!r}: {reason}") from error
    return path


def usual_smooth(method: str, height: int, width: int) -> float:
    """Returns over how many pixels maps are averaged if nobody says: those of pixels alone."""
    known = METHODS.get(method)
    by_pixel = known is not None and not known.has_regions
    return max(height, width) / SMOOTHED if by_pixel else 0.0


def _shown_rows(rows: Sequence[int] | None, max_rows: int | None, available: int) -> list[int]:
    """Returns the numbers of the images that are shown."""
    if max_rows is not None and max_rows < 1:
        raise ArgumentError("max_rows", f"got {max_rows}; give 1 or more, or None for all")
    if rows is None:
        return list(range(available if max_rows is None else min(max_rows, available)))
    try:
        chosen = [range(available)[index(row)] for row in rows]
    except (IndexError, TypeError):
        chosen = []
    if not chosen:
        raise ArgumentError(
            "rows", f"got {rows!r}; give numbers of images, from 0 to {available - 1}"
        )
    return chosen[:max_rows]


def _checked_smooth(smooth: float | None, maps: Maps) -> float:
    """Returns over how many pixels maps are averaged, checked."""
    if smooth is None:
        return (
            0.0
            if maps.record is None
            else usual_smooth(maps.record.method, *maps.images.shape[1:3])
        )
    if isinstance(smooth, bool) or not isinstance(smooth, (int, float, np.number)):
        raise ArgumentTypeError(
            "smooth", f"got {type(smooth).__name__}; give a number of pixels or None"
        )
    if not 0 <= smooth <= MOST_SMOOTHED:
        raise ArgumentError(
            "smooth", f"got {smooth}; give a number of pixels from 0 to {MOST_SMOOTHED}"
        )
    return float(smooth)


def _doubtful(maps: Maps, drawing: Style) -> list[str]:
    known = maps.errors is not None or getattr(maps.source, "per_pixel_std", None) is not None
    return [f"{drawing.doubt}: within two standard errors of zero"] if known else []
