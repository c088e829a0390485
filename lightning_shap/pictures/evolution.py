"""Evolution: how the maps of the same images change while a network learns, in one picture."""

from collections.abc import Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Unpack

import numpy as np
from PIL import Image, ImageDraw

from lightning_shap.explanation.maps import read_maps
from lightning_shap.explanation.phrases import Name, number
from lightning_shap.pictures.captions import Captions, name_unit
from lightning_shap.pictures.lettering import Pen, fit, write
from lightning_shap.pictures.limits import common_limit
from lightning_shap.pictures.photographs import Album
from lightning_shap.pictures.pixels import Look
from lightning_shap.pictures.sheet import DETAIL, HAIRLINE, INK, RIGHT, WRONG
from lightning_shap.pictures.small_maps import SmallMaps, Table, column_width

if TYPE_CHECKING:
    from lightning_shap.analysis.history.snapshot import Snapshot
    from lightning_shap.explanation.explanation import ImageExplanation

MOST_COLUMNS = 8
MOST_ROWS = 8
ON_CARD = 2, 3  # rows and columns where a log shows a picture at some 290 by 200 pixels
LETTERS = 0.04  # of the maps' width there, which are ten pixels
CAPTION = 30  # under each cell
MARK_WIDTH = 16

MISTAKE = Pen(15, WRONG, bold=True)

SECONDS = 0.7  # an epoch lasts in an animation
LAST = 2.5  # seconds that its end stays
WEBP_QUALITY = 80


def draw_evolution(
    snapshots: Sequence["Snapshot"],
    explanation: "ImageExplanation",
    *,
    album: Album | None = None,
    title: str | None = None,
    rows: Sequence[int] | None = None,
    **look: Unpack[Look],
) -> np.ndarray:
    """Draws how maps changed: a row for each image, a column for each explained epoch.

    Each map is of the image's true class, or its highest, on one scale for the whole picture; those
    of the untrained model may be beyond it. Under each stands what the model predicted at that
    time, with a cross where that was wrong.

    Args:
        snapshots: The epochs in their order; of more than eight, eight that are evenly spread.
        explanation: Of the same images, as the last one of the training: for the photographs, what
            is true of them and the unit.
        album: Keeps the photographs for further pictures of the same images.
        title: Heading of the picture.
        rows: The images to show, by number; the first eight where None.
        look: How images are shown; see :func:`lightning_shap.plot`.

    Returns:
        uint8 (height, width, 3).
    """
    shown = _choose_evenly(snapshots)
    rows = range(min(MOST_ROWS, len(explanation.record.outputs))) if rows is None else rows
    cells = _Cells(shown, explanation, rows, album or Album(), look)
    table = cells.lay_out(len(rows), 1 + len(shown), title, len(snapshots))
    for column, snapshot in enumerate(shown, start=1):
        table.name_column(column, _name(snapshot))
    for down, row in enumerate(rows):
        x, baseline = table.draw_cell(down, 0, cells.photograph(row))
        name = fit(cells.name(row), DETAIL, column_width(cells.size))
        table.write(x, baseline, name, DETAIL)
        for column, snapshot in enumerate(shown):
            _draw_cell(table, (down, 1 + column), cells.draw(column, row), snapshot, row)
    return np.array(table.canvas)


def draw_evolution_card(
    snapshots: Sequence["Snapshot"],
    explanation: "ImageExplanation",
    *,
    album: Album | None = None,
    rows: Sequence[int] = (),
    **look: Unpack[Look],
) -> np.ndarray:
    """Draws the first, middle and last maps of two images, to be read where a log is small.

    Args:
        snapshots: The epochs in their order.
        explanation: As for :func:`draw_evolution`, and so are the others.
        album: Likewise.
        rows: The images, by number, of which the first two are shown; others follow where these
            are fewer.
        look: Likewise.

    Returns:
        uint8 (height, width, 3).
    """
    most, columns = ON_CARD
    images = range(len(explanation.record.outputs))
    rows = [*dict.fromkeys([*rows, *images])][:most]
    shown = _choose_evenly(snapshots, columns)
    cells = _Cells(shown, explanation, rows, album or Album(), look)
    width, height = cells.size
    size = max(DETAIL.size, round(LETTERS * len(shown) * width))
    gap, line = size // 2, round(1.5 * size)
    canvas = Image.new(
        "RGB",
        (gap + len(shown) * (width + gap), line + len(rows) * (height + line)),
        "white",
    )
    draw = ImageDraw.Draw(canvas)
    for column, snapshot in enumerate(shown):
        x = gap + column * (width + gap)
        name = Name("before" if snapshot.is_control else _name(snapshot))
        bold = Pen(size, INK, bold=True)
        write(draw, x, size, fit(name, bold, width), bold)
        for down, row in enumerate(rows):
            y, right = line + down * (height + line), snapshot.right[row]
            canvas.paste(cells.draw(column, row), (x, y))
            words = Pen(size, WRONG if right is False else DETAIL.colour)
            write(draw, x, y + height + size, fit(snapshot.verdicts[row], words, width), words)
    return np.array(canvas)


def draw_animation(
    snapshots: Sequence["Snapshot"],
    explanation: "ImageExplanation",
    *,
    album: Album | None = None,
    title: str | None = None,
    **look: Unpack[Look],
) -> bytes:
    """Draws an animated WebP file: all epochs, one after the other, and round again.

    Args:
        snapshots: The epochs in their order.
        explanation: As for :func:`draw_evolution`, and so are the others.
        album: Likewise.
        title: Likewise.
        look: Likewise.
    """
    rows = range(min(MOST_ROWS, len(explanation.record.outputs)))
    cells = _Cells(snapshots, explanation, rows, album or Album(), look)
    across = min(4, len(rows))
    frames = []
    for frame, snapshot in enumerate(snapshots):
        table = cells.lay_out(-(-len(rows) // across), across, title)
        table.name_column(0, _name(snapshot))
        for place, row in enumerate(rows):
            _draw_cell(table, divmod(place, across), cells.draw(frame, row), snapshot, row)
        frames.append(table.canvas)
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
        album: Album,
        look: Look,
    ) -> None:
        maps = read_maps(explanation)
        _, height, width, _ = maps.images.shape
        self._photographs = album.photographs(maps.images, **look)
        self._captions = Captions(explanation)
        self._small = SmallMaps(maps.images.shape, explanation.record.method)
        self.size = self._small.size
        self._under = self._photographs.under(self._small.style.ground)
        self._unit_pixels = height * width / 100
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

    def lay_out(self, rows: int, columns: int, title: str | None, snapshots: int = 0) -> Table:
        """Returns an empty table that says what a viewer must know of so many snapshots."""
        unit = name_unit(self._captions.record)
        notes = [f"{unit}, one scale for all epochs", *self._photographs.notes]
        if snapshots > MOST_COLUMNS:
            notes.append(f"{MOST_COLUMNS} of {snapshots} explained epochs")
        table = Table(self.size, rows, columns, CAPTION, title, notes)
        table.draw_legend(self._small.style, number(self._limit, digits=2))
        return table

    def name(self, row: int) -> str:
        """Returns what an image is called."""
        return self._captions.image(row).name

    def photograph(self, row: int) -> Image.Image:
        """Returns the image as people know it."""
        return self._small.resize(self._photographs.cells[row])

    def draw(self, snapshot: int, row: int) -> Image.Image:
        """Returns the map of a snapshot, by its number, laid over its photograph."""
        return self._small.draw(self._maps[snapshot][row], self._limit, self._under[row])

    def _values(self, snapshot: "Snapshot", row: int) -> np.ndarray:
        return self._small.reduce(snapshot.maps.get(row)[0] * self._unit_pixels)


def _draw_cell(
    table: Table,
    place: tuple[int, int],
    picture: Image.Image,
    snapshot: "Snapshot",
    row: int,
) -> None:
    """Draws a map in a row and a column, over what the model made of the image then."""
    right = snapshot.right[row]
    x, baseline = table.draw_cell(*place, picture, WRONG if right is False else HAIRLINE)
    room, pen = column_width(picture.size), DETAIL if right is not False else MISTAKE
    if right is not None:
        mark = Pen(DETAIL.size, RIGHT if right else WRONG, bold=True)
        table.write(x, baseline, "✓" if right else "✗", mark)
        x, room = x + MARK_WIDTH, room - MARK_WIDTH
    table.write(x, baseline, fit(snapshot.verdicts[row], pen, room), pen)


def _name(snapshot: "Snapshot") -> str:
    return snapshot.title.split(" · ")[0]


def _choose_evenly(snapshots: Sequence["Snapshot"], most: int = MOST_COLUMNS) -> list["Snapshot"]:
    """Returns all snapshots, or as many as are shown, from the first to the last."""
    if len(snapshots) <= most:
        return list(snapshots)
    places = np.linspace(0, len(snapshots) - 1, most).round().astype(int)
    return [snapshots[place] for place in places]
