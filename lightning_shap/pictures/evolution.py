"""Evolution: how the maps of the same images change while a network learns, in one picture."""

from collections.abc import Sequence
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from lightning_shap.explanation.maps import maps_of
from lightning_shap.explanation.phrases import number
from lightning_shap.pictures.captions import Captions
from lightning_shap.pictures.lettering import Style, fitted, write
from lightning_shap.pictures.limits import common_limit
from lightning_shap.pictures.photographs import Album, Numbers
from lightning_shap.pictures.sheet import (
    DETAIL,
    GUTTER,
    HAIRLINE,
    LEGEND_WIDTH,
    MARGIN,
    RIGHT,
    WRONG,
    Paper,
)
from lightning_shap.pictures.small_maps import COLUMN_TITLE, HEADING, SIDE, SmallMaps

if TYPE_CHECKING:
    from lightning_shap.analysis.history.snapshot import Snapshot
    from lightning_shap.explanation.explanation import ImageExplanation

MOST_COLUMNS = 8
MOST_ROWS = 8
CAPTION = 30  # under each cell
MARK_WIDTH = 16

MISTAKE = Style(15, WRONG, bold=True)

SECONDS = 0.7  # an epoch lasts in an animation
LAST = 2.5  # seconds that its end stays
WEBP_QUALITY = 80


def evolution(
    snapshots: Sequence["Snapshot"],
    explanation: "ImageExplanation",
    *,
    mean: Numbers = None,
    std: Numbers = None,
    channels: int | Sequence[int] | None = None,
    album: Album | None = None,
    title: str | None = None,
    rows: Sequence[int] | None = None,
) -> np.ndarray:
    """Draws how maps changed: a row for each image, a column for each explained epoch.

    Each map is of the image's true class, or its highest, on one scale for the whole picture; those
    of the untrained model may be beyond it. Under each stands what the model predicted at that
    time, with a cross where that was wrong.

    Args:
        snapshots: The epochs in their order; of more than eight, eight that are evenly spread.
        explanation: Of the same images, as the last one of the training: for the photographs, what
            is true of them and the unit.
        mean: What was subtracted from the pixels; see :func:`lightning_shap.plot`.
        std: What they were divided by.
        channels: The channel shown grey, or the three shown as red, green and blue.
        album: Keeps the photographs for further pictures of the same images.
        title: Heading of the picture.
        rows: The images to show, by number; the first eight where None.

    Returns:
        uint8 (height, width, 3).
    """
    shown = _spread(snapshots)
    rows = range(min(MOST_ROWS, len(explanation.record.outputs))) if rows is None else rows
    cells = _Cells(shown, explanation, rows, (album or Album(), mean, std, channels))
    names = [snapshot.title.split(" · ")[0] for snapshot in shown]
    sheet = _Sheet(cells.size, len(rows), 1 + len(shown), title, cells.notes(len(snapshots)))
    cells.explain(sheet)
    for column, name in enumerate(names, start=1):
        sheet.heading(column, name)
    for down, row in enumerate(rows):
        sheet.cell(down, 0, cells.photograph(row), cells.name(row), None)
        for column, snapshot in enumerate(shown):
            cell = cells.map(column, row)
            sheet.cell(down, 1 + column, cell, snapshot.verdicts[row], snapshot.right[row])
    return np.array(sheet.canvas)


def animation(
    snapshots: Sequence["Snapshot"],
    explanation: "ImageExplanation",
    *,
    mean: Numbers = None,
    std: Numbers = None,
    channels: int | Sequence[int] | None = None,
    album: Album | None = None,
    title: str | None = None,
) -> bytes:
    """Draws an animated WebP file: all epochs, one after the other, and round again.

    Args:
        snapshots: The epochs in their order.
        explanation: As for :func:`evolution`, and so are the others.
        mean: Likewise.
        std: Likewise.
        channels: Likewise.
        album: Likewise.
        title: Likewise.
    """
    rows = range(min(MOST_ROWS, len(explanation.record.outputs)))
    cells = _Cells(snapshots, explanation, rows, (album or Album(), mean, std, channels))
    across = min(4, len(rows))
    down = -(-len(rows) // across)
    frames = []
    for frame, snapshot in enumerate(snapshots):
        sheet = _Sheet(cells.size, down, across, title, cells.notes(None))
        cells.explain(sheet)
        sheet.heading(0, snapshot.title.split(" · ")[0])
        for place, row in enumerate(rows):
            cell = cells.map(frame, row)
            sheet.cell(*divmod(place, across), cell, snapshot.verdicts[row], snapshot.right[row])
        frames.append(sheet.canvas)
    durations = [round(1000 * SECONDS)] * (len(frames) - 1) + [round(1000 * LAST)]
    content = BytesIO()
    frames[0].save(
        content,
        "WEBP",
        save_all=True,
        append_images=frames[1:],
        duration=durations,
        loop=0,
        quality=WEBP_QUALITY,
    )
    return content.getvalue()


class _Cells:
    """The photographs and maps, on one scale."""

    def __init__(
        self,
        snapshots: Sequence["Snapshot"],
        explanation: "ImageExplanation",
        rows: Sequence[int],
        look: tuple[Album, Numbers, Numbers, int | Sequence[int] | None],
    ) -> None:
        maps = maps_of(explanation)
        _, height, width, _ = maps.images.shape
        album, mean, std, channels = look
        self._photographs = album.photographs(maps.images, mean, std, channels)
        self._captions = Captions(explanation)
        self._small = SmallMaps(maps.images.shape, explanation.record.method)
        self.size = self._small.size
        self._under = self._photographs.under(self._small.style.ground)
        self._unit, self._unit_pixels = self._captions.unit(height, width)
        # The untrained model's values are of another size, and would pale all others.
        everyone = all(one.is_control for one in snapshots)
        self._maps = [{row: self._values(one, row) for row in rows} for one in snapshots]
        ruling = [
            each
            for snapshot, of_rows in zip(snapshots, self._maps, strict=True)
            if everyone or not snapshot.is_control
            for each in of_rows.values()
        ]
        self._limit = common_limit(np.stack(ruling)) or 1.0

    def notes(self, snapshots: int | None) -> list[str]:
        """Returns what a viewer must know."""
        few = snapshots is not None and snapshots > MOST_COLUMNS
        notes = [f"{self._unit}, one scale for all epochs", *self._photographs.notes]
        return [*notes, f"{MOST_COLUMNS} of {snapshots} explained epochs"] if few else notes

    def name(self, row: int) -> str:
        """Returns what an image is called."""
        return self._captions.image(row).name

    def photograph(self, row: int) -> Image.Image:
        """Returns the image as people know it."""
        return self._small.sized(self._photographs.cells[row])

    def map(self, snapshot: int, row: int) -> Image.Image:
        """Returns the map of a snapshot, by its number, laid over its photograph."""
        return self._small.cell(self._maps[snapshot][row], self._limit, self._under[row])

    def explain(self, paper: Paper) -> None:
        """Draws the legend, where colours stand for values."""
        self._small.explain(paper, number(self._limit, digits=2))

    def _values(self, snapshot: "Snapshot", row: int) -> np.ndarray:
        return self._small.reduced(snapshot.maps.of(row)[0] * self._unit_pixels)


class _Sheet(Paper):
    """Places everything: cells in rows, with a line under each and names over columns."""

    def __init__(
        self, size: tuple[int, int], rows: int, columns: int, title: str | None, notes: list[str]
    ) -> None:
        self._column = max(size[0], SIDE)
        content = max(columns * (self._column + GUTTER) - GUTTER, LEGEND_WIDTH)
        room = rows * (size[1] + CAPTION)
        super().__init__(size, content, title, notes, gap=GUTTER + HEADING, room=room)

    def heading(self, column: int, name: str) -> None:
        """Writes the name of a column."""
        x = MARGIN + column * (self._column + GUTTER)
        write(self._draw, x, self.top - 10, fitted(name, COLUMN_TITLE, self._column), COLUMN_TITLE)

    def cell(
        self, down: int, column: int, picture: Image.Image, caption: str, right: bool | None
    ) -> None:
        """Draws a picture over its caption."""
        x = MARGIN + column * (self._column + GUTTER)
        y = self.top + down * (self._size[1] + CAPTION)
        edge = WRONG if right is False else HAIRLINE
        self.framed(picture, x, y, edge)
        style, room, baseline = DETAIL, self._column, y + self._size[1] + 17
        left = x
        if right is not None:
            mark = Style(DETAIL.size, RIGHT if right else WRONG, bold=True)
            write(self._draw, x, baseline, "✓" if right else "✗", mark)
            left, room = x + MARK_WIDTH, room - MARK_WIDTH
            style = DETAIL if right else MISTAKE
        write(self._draw, left, baseline, fitted(caption, style, room), style)


def _spread(snapshots: Sequence["Snapshot"]) -> list["Snapshot"]:
    """Returns all snapshots, or as many as are shown, from the first to the last."""
    if len(snapshots) <= MOST_COLUMNS:
        return list(snapshots)
    places = np.linspace(0, len(snapshots) - 1, MOST_COLUMNS).round().astype(int)
    return [snapshots[place] for place in places]
