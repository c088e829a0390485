"""Plots: an explanation as one picture, a row per image and a heat map per class."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageDraw

from lightning_shap.atomic import replacing
from lightning_shap.errors import ArgumentError
from lightning_shap.maps import maps_of
from lightning_shap.pictures import pixels
from lightning_shap.pictures.captions import Captions, Heading
from lightning_shap.pictures.lettering import Style, shortened, width_of, wrapped, write
from lightning_shap.pictures.photographs import Album

if TYPE_CHECKING:
    import shap

INK, GREY, HAIRLINE = "#1f2328", "#656d76", "#d0d7de"
RIGHT, WRONG = "#1a7f37", "#b35900"  # neither is a colour of the heat maps

TITLE = Style(20, INK, bold=True)
NAME, TRUE_NAME = Style(16, INK), Style(16, INK, bold=True)
DETAIL, MISTAKE = Style(14, GREY), Style(14, WRONG)

# Cells begin at multiples of 16 pixels: a log's JPEG is a tenth smaller where edges are edges of
# its blocks.
MARGIN = 32
GUTTER = 16  # between columns
ROW_GAP = 32
HEADING = 48  # two lines over each cell
MARK_WIDTH = 20
LEAST_COLUMN = 184  # narrow images still get a readable heading
TITLE_LINE = 32
LEGEND_WIDTH, LEGEND_HEIGHT, BAR_HEIGHT = 256, 32, 10
DETAIL_LINE = 20
COMPRESSION = 1  # of files: the others are a fifth smaller, and take two to five times as long


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
    notes: Sequence[str] = (),
    album: Album | None = None,
) -> np.ndarray:
    """Draw an explanation.

    Each row shows an image and one heat map for each explained class. Red raises the class's
    output, blue lowers it, and white is exactly zero, on one scale for the whole picture.

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
        notes: What else a viewer should know, for the footer.
        album: Keeps the photographs for further pictures of the same images.

    Returns:
        uint8 (height, width, 3).

    Raises:
        ValueError: If an argument does not fit the explanation, or values or data are not finite.
    """
    maps = maps_of(explanation)
    rows = _row_count(max_rows, len(maps.images))
    captions = Captions(maps, labels, class_names)
    photographs = (album or Album()).photographs(maps.images[:rows], mean, std, channels)
    remarks = [*photographs.notes, *notes]
    if rows < len(maps.images):
        remarks.append(f"{rows} of {len(maps.images)} images")
    scale = f"full colour at the {pixels.LIMIT_PERCENTILE}th percentile"

    size = pixels.drawn_size(*maps.images.shape[1:3])
    # As shares of the peak, values are safe in float32.
    peak = max(float(np.abs(maps.of(row)).max()) for row in range(rows)) or 1.0
    cells = np.array(
        [[pixels.map_cell(values / peak, size) for values in maps.of(row)] for row in range(rows)]
    )
    limit = pixels.common_limit(cells)

    sheet = _Sheet(
        rows,
        1 + cells.shape[1],
        photographs.size,
        title,
        [*captions.method(rows), f"{captions.unit} per pixel", scale, *remarks],
    )
    sheet.legend(limit * peak)
    for row, (photograph, under) in enumerate(
        zip(photographs.cells, photographs.underlays, strict=True)
    ):
        sheet.cell(row, 0, photograph, captions.image(row))
        for output, values in enumerate(cells[row]):
            heat = pixels.heat_map(values, limit, under)
            sheet.cell(row, 1 + output, heat, captions.output(row, output))
    return np.array(sheet.canvas)


def save(picture: np.ndarray, path: str | os.PathLike[str]) -> Path:
    """Write a picture as a PNG file, which appears whole or not at all.

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


class _Sheet:
    """White paper with a header, a grid of cells under headings, and a footer."""

    def __init__(
        self, rows: int, columns: int, size: tuple[int, int], title: str | None, notes: list[str]
    ) -> None:
        self._size = size
        self._column = max(size[0], LEAST_COLUMN)
        content = columns * (self._column + GUTTER) - GUTTER
        # Title and legend share a line where there is room for both.
        title = shortened(title or "", TITLE, content)
        taken = width_of(title, TITLE) + 2 * GUTTER if title else 0
        stacked = taken + LEGEND_WIDTH > content
        self._legend_at = (
            MARGIN + (content - LEGEND_WIDTH if taken and not stacked else 0),
            MARGIN + (TITLE_LINE if stacked else 0),
        )
        self._top = self._legend_at[1] + LEGEND_HEIGHT + ROW_GAP
        footer = wrapped(notes, " · ", DETAIL, content)
        bottom = self._top + rows * (HEADING + size[1] + ROW_GAP)
        height = bottom + len(footer) * DETAIL_LINE + MARGIN
        self.canvas = Image.new("RGB", (content + 2 * MARGIN, height), "white")
        self._draw = ImageDraw.Draw(self.canvas)
        write(self._draw, MARGIN, MARGIN + 18, title, TITLE)
        for number, line in enumerate(footer):
            write(self._draw, MARGIN, bottom + 14 + number * DETAIL_LINE, line, DETAIL)

    def legend(self, limit: float) -> None:
        """The colour bar, with the values at its ends and what the signs mean."""
        x, y = self._legend_at
        ramp = pixels.colours(np.linspace(-1, 1, LEGEND_WIDTH), 1)
        self.canvas.paste(Image.fromarray(np.repeat(ramp[None], BAR_HEIGHT, axis=0)), (x, y))
        self._draw.rectangle((x - 1, y - 1, x + LEGEND_WIDTH, y + BAR_HEIGHT), outline=HAIRLINE)
        number = f"{limit:.2g}".replace("e-0", "e-")
        lowers, raises = f"\N{MINUS SIGN}{number} lowers", f"raises +{number}"
        baseline = y + LEGEND_HEIGHT - 2
        write(self._draw, x, baseline, lowers, DETAIL)
        write(self._draw, x + LEGEND_WIDTH - width_of(raises, DETAIL), baseline, raises, DETAIL)

    def cell(self, row: int, column: int, picture: Image.Image, heading: Heading) -> None:
        """A picture under its heading."""
        x = MARGIN + column * (self._column + GUTTER)
        y = self._top + row * (HEADING + self._size[1] + ROW_GAP)
        left, room = float(x), float(self._column)
        if heading.right is not None:
            mark = Style(NAME.size, RIGHT if heading.right else WRONG, bold=True)
            write(self._draw, left, y + 15, "✓" if heading.right else "✗", mark)
            left, room = left + MARK_WIDTH, room - MARK_WIDTH
        name = TRUE_NAME if heading.true else NAME
        write(self._draw, left, y + 15, shortened(heading.name, name, room), name)
        detail = MISTAKE if heading.right is False else DETAIL
        write(self._draw, x, y + 36, shortened(heading.detail, detail, self._column), detail)
        y += HEADING
        self._draw.rectangle((x - 1, y - 1, x + self._size[0], y + self._size[1]), outline=HAIRLINE)
        if picture.size != self._size:  # of a small image, whose pixels become crisp squares
            picture = picture.resize(self._size, Image.Resampling.NEAREST)
        self.canvas.paste(picture, (x, y))


def _row_count(max_rows: int | None, available: int) -> int:
    if max_rows is not None and max_rows < 1:
        raise ArgumentError("max_rows", f"got {max_rows}; give 1 or more, or None for all")
    return available if max_rows is None else min(max_rows, available)
