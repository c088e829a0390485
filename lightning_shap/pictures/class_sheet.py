"""Classes: what a model looks at in each class, over many images, in one picture."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from lightning_shap.analysis.class_summary.groups import EXAMPLES, Group
from lightning_shap.analysis.class_summary.places import FINE
from lightning_shap.analysis.class_summary.summary import ClassSummary
from lightning_shap.analysis.class_summary.words import fact_in_words, nothing_found, untested
from lightning_shap.explanation.phrases import Name, Phrase, join, number, whole_percent
from lightning_shap.pictures.lettering import Style, fitted, wrapped, write
from lightning_shap.pictures.limits import common_limit
from lightning_shap.pictures.photographs import Numbers, Photographs
from lightning_shap.pictures.sheet import (
    DETAIL,
    DETAIL_LINE,
    GUTTER,
    INK,
    LEGEND_WIDTH,
    MARGIN,
    WRONG,
    Paper,
)
from lightning_shap.pictures.small_maps import COLUMN_TITLE, HEADING, SIDE, SmallMaps

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lightning_shap.analysis.class_summary.suspicions import Suspicion

CAPTION = 52  # under each row, its name and a line of details
WARNING = Style(15, WRONG, bold=True)
OUTLINE = 3  # pixels around a suspicious place


def classes(
    summary: ClassSummary,
    *,
    mean: Numbers = None,
    std: Numbers = None,
    channels: int | Sequence[int] | None = None,
    title: str | None = None,
) -> np.ndarray:
    """Draws a class summary: a row for each class, and for each pair that is confused.

    Each begins with the mean map of its true class over its mean image, with suspicious
    places outlined, and the mean of what speaks for the true class rather than the highest other.
    Then come the images that are most like the mean and those that are least, with their maps. A
    pair that has all images of its class would show the same once more and has no row.

    Args:
        summary: Of many images.
        mean: What was subtracted from the pixels; see :func:`lightning_shap.plot`.
        std: What they were divided by.
        channels: The channel shown grey, or the three shown as red, green and blue.
        title: Heading of the picture.

    Returns:
        uint8 (height, width, 3).
    """
    drawing = _Drawing(summary, mean, std, channels)
    groups = [*summary.classes, *summary.pairs]
    shown = [place for place, group in enumerate(groups) if not _is_whole_class(group, summary)]
    suspects = [
        [one for one in summary.suspicions if _is_class(group) and one.label in (group.label, None)]
        for group in groups
    ]
    details = [_detail(groups[place], suspects[place], summary) for place in shown]
    sheet = _Sheet(drawing.small.size, details, title, _notes(summary) + drawing.notes)
    drawing.small.explain(sheet)
    for row, place in enumerate(shown):
        group, places = groups[place], [one.place.cells for one in suspects[place]]
        sheet.cell(row, "mean map", 0, drawing.mean(place, places))
        contrast = drawing.contrast(place)
        if contrast is not None:
            sheet.cell(row, "against the next", 1, contrast)
        for column, image in enumerate(group.typical, start=2):
            sheet.cell(row, "typical", column, drawing.one(image))
        for column, image in enumerate(group.strange, start=2 + EXAMPLES):
            sheet.cell(row, "strange", column, drawing.one(image))
        sheet.caption(row, Name(summary.name(group)), warns=bool(places))
    return np.array(sheet.canvas)


def _is_class(group: Group) -> bool:
    """Returns whether it has all images of its class."""
    return group.taken_for is None


def _is_whole_class(group: Group, summary: ClassSummary) -> bool:
    """Returns whether it is a class that has a row already, all of which is taken for another."""
    return group.taken_for is not None and any(
        one.label == group.label and len(one.rows) == len(group.rows) for one in summary.classes
    )


def _notes(summary: ClassSummary) -> list[str]:
    """Returns what was seen, that nothing was found where that is so, and what is not shown."""
    notes = [summary.lines[0]]
    if not summary.suspicions:
        notes += [fact_in_words(one, summary) for one in summary.facts] or [nothing_found(summary)]
        notes += untested(summary)
    left_out = len(np.unique(summary.labels)) - len(summary.classes)
    if left_out:
        notes.append(f"{left_out} more class{'es' * (left_out > 1)} not shown")
    return notes


def _detail(group: Group, suspects: "Sequence[Suspicion]", summary: ClassSummary) -> Phrase:
    """Returns what is written below a group's name."""
    parts: list[str] = [f"{len(group.rows)} image{'s' * (len(group.rows) != 1)}"]
    if group.judged and group.taken_for is None:
        parts.append(f"{group.right} of {group.judged} right")
    if group.taken_for is None:
        pairs = [one for one in summary.pairs if one.label == group.label]
        parts += [
            Phrase("all taken for ", Name(summary.names[one.taken_for]))
            for one in pairs
            if _is_whole_class(one, summary)
        ]
    for one in suspects:
        others = "" if one.others is None else f", {whole_percent(one.others)} in other classes"
        share = whole_percent(one.share)
        if one.place.measure == "attribution":
            parts.append(f"{one.place.name}: {share} of the attribution{others}")
        else:
            parts.append(f"swapped, {one.place.name} decides {share}{others}")
    return join(*parts)


class _Drawing:
    """Maps over images: means on one scale, and single images, which are stronger, on another."""

    def __init__(
        self,
        summary: ClassSummary,
        mean: Numbers,
        std: Numbers,
        channels: int | Sequence[int] | None,
    ) -> None:
        self._shown = summary.shown
        height, width, _ = summary.size
        self.small = SmallMaps((1, *summary.size), summary.method)
        self._percent = height * width / 100
        examples = list(self._shown.image_of.values())
        images = np.concatenate([self._shown.images, np.stack(examples)])
        shown = Photographs(images, mean, std, channels)
        self._under = shown.under(self.small.style.ground)
        count = len(self._shown.images)
        self._of_row = dict(zip(self._shown.image_of, self._under[count:], strict=True))
        contrasts = self._shown.contrasts
        means = [*self._shown.means, *([] if contrasts is None else contrasts)]
        self._of_means = self._limit(means)
        self._of_ones = self._limit(list(self._shown.map_of.values()))
        full = [f"{number(100 * one, digits=2)} %" for one in (self._of_means, self._of_ones)]
        self.notes = [
            f"share of the attribution per 1 % of the image, full colour at {full[0]} in means and "
            f"at {full[1]} in single images",
            *shown.notes,
        ]

    def mean(self, group: int, places: "Sequence[np.ndarray]") -> Image.Image:
        """Returns the mean map of a group over its mean image, suspicious places outlined."""
        cell = self._cell(self._shown.means[group], self._of_means, self._under[group])
        draw = ImageDraw.Draw(cell)
        for mask in places:
            _outline(draw, mask, self.small.size)
        return cell

    def contrast(self, group: int) -> Image.Image | None:
        """Returns the mean contrast over the mean image."""
        if self._shown.contrasts is None:
            return None
        return self._cell(self._shown.contrasts[group], self._of_means, self._under[group])

    def one(self, row: int) -> Image.Image:
        """Returns the map of one image over it."""
        return self._cell(self._shown.map_of[row], self._of_ones, self._of_row[row])

    def _limit(self, maps: "Sequence[np.ndarray]") -> float:
        return common_limit(np.stack([self._sized(one) for one in maps])) or 1.0

    def _sized(self, one: np.ndarray) -> np.ndarray:
        return self.small.reduced(one * self._percent)

    def _cell(self, one: np.ndarray, limit: float, under: Image.Image) -> Image.Image:
        return self.small.cell(self._sized(one), limit, under)


def _outline(draw: ImageDraw.ImageDraw, mask: np.ndarray, size: tuple[int, int]) -> None:
    """Draws a line along the edges of a place's cells."""
    width, height = (side / FINE for side in size)
    padded = np.pad(mask, 1)
    for row, column in np.argwhere(mask).tolist():
        left, top = column * width, row * height
        right, bottom = left + width - 1, top + height - 1
        sides = {
            (0, 1): (left, top, right, top),
            (2, 1): (left, bottom, right, bottom),
            (1, 0): (left, top, left, bottom),
            (1, 2): (right, top, right, bottom),
        }
        for (down, across), line in sides.items():
            if not padded[row + down, column + across]:
                draw.line(line, fill=INK, width=OUTLINE)


class _Sheet(Paper):
    """Places everything: cells in rows, a caption under each row, names over columns.

    Args:
        size: Width and height of a cell.
        details: What stands under the name of each row.
        title: Heading of the picture.
        notes: What the footer says.
    """

    def __init__(
        self,
        size: tuple[int, int],
        details: "Sequence[str]",
        title: str | None,
        notes: list[str],
    ) -> None:
        self._column = max(size[0], SIDE)
        columns = 2 + 2 * EXAMPLES
        content = max(columns * (self._column + GUTTER) - GUTTER, LEGEND_WIDTH)
        self._details = [wrapped(detail, DETAIL, content) for detail in details]
        lines = max(map(len, self._details), default=1)
        self._down = size[1] + CAPTION + DETAIL_LINE * max(0, lines - 1)
        room = len(details) * self._down
        super().__init__(size, content, title, notes, gap=GUTTER + HEADING, room=room)
        self._content = content
        self._headed: set[int] = set()

    def cell(self, row: int, name: str, column: int, picture: Image.Image) -> None:
        """Draws a picture in a column, which has a heading once there is one."""
        if column not in self._headed:
            self._headed.add(column)
            write(self._draw, self._x(column), self.top - 10, name, COLUMN_TITLE)
        self.framed(picture, self._x(column), self._y(row))

    def caption(self, row: int, name: str, *, warns: bool) -> None:
        """Writes the words under a row."""
        y = self._y(row) + self._size[1]
        style = WARNING if warns else COLUMN_TITLE
        write(self._draw, MARGIN, y + 17, fitted(name, style, self._content), style)
        for place, line in enumerate(self._details[row]):
            write(self._draw, MARGIN, y + 36 + place * DETAIL_LINE, line, DETAIL)

    def _x(self, column: int) -> int:
        return MARGIN + column * (self._column + GUTTER)

    def _y(self, row: int) -> int:
        return self.top + row * self._down
