"""Classes: what a model looks at in each class, over many images, in one picture."""

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from lightning_shap.pictures.captions import number
from lightning_shap.pictures.lettering import Style, shortened, write
from lightning_shap.pictures.limits import common_limit
from lightning_shap.pictures.photographs import Numbers, Photographs
from lightning_shap.pictures.sheet import DETAIL, GUTTER, INK, LEGEND_WIDTH, MARGIN, WRONG, Paper
from lightning_shap.pictures.small_maps import COLUMN_TITLE, HEADING, SIDE, SmallMaps
from lightning_shap.survey.places import FINE
from lightning_shap.survey.survey import EXAMPLES, Group, Survey

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lightning_shap.survey.suspicions import Suspicion

CAPTION = 52  # two lines under each row
WARNING = Style(15, WRONG, bold=True)
OUTLINE = 3  # pixels around a suspicious place


def classes(
    survey: Survey, *, mean: Numbers = None, std: Numbers = None, title: str | None = None
) -> np.ndarray:
    """Draw a survey: a row for each class, and for each pair of classes that are confused.

    Each begins with the mean map of its true class over its mean image, with suspicious
    places outlined, and the mean of what speaks for the true class rather than the highest other.
    Then come the images that are most like the mean and those that are least, with their maps.

    Args:
        survey: Of many images.
        mean: What was subtracted from the pixels; see :func:`lightning_shap.plot`.
        std: What they were divided by.
        title: Heading of the picture.

    Returns:
        uint8 (height, width, 3).
    """
    drawing = _Drawing(survey, mean, std)
    groups = [*survey.classes, *survey.pairs]
    sheet = _Sheet(drawing.small.size, len(groups), title, [survey.lines[0], *drawing.notes])
    drawing.small.explain(sheet, f"{number(100 * drawing.limit, digits=2)} %")
    sheet.headings(
        ["mean map", "against the next", *["typical"] * EXAMPLES, *["strange"] * EXAMPLES]
    )
    for row, group in enumerate(groups):
        of_class = group.taken_for is None
        suspects = [
            one for one in survey.suspicions if of_class and one.label in (group.label, None)
        ]
        places = [one.place.cells for one in suspects]
        sheet.cell(row, 0, drawing.mean(group, places))
        contrast = drawing.contrast(group)
        if contrast is not None:
            sheet.cell(row, 1, contrast)
        for column, image in enumerate(group.typical, start=2):
            sheet.cell(row, column, drawing.one(image))
        for column, image in enumerate(group.strange, start=2 + EXAMPLES):
            sheet.cell(row, column, drawing.one(image))
        sheet.caption(row, survey.name(group), _detail(group, suspects), warns=bool(places))
    return np.array(sheet.canvas)


def _detail(group: Group, suspects: "Sequence[Suspicion]") -> str:
    """What is written below a group's name."""
    parts = [f"{len(group.rows)} image{'s' * (len(group.rows) != 1)}"]
    if group.judged and group.taken_for is None:
        parts.append(f"{group.right} of {group.judged} right")
    for one in suspects:
        others = "" if one.others is None else f", of other classes' {one.others:.0%}"
        of_what = "of the attribution" if one.place.measure == "attribution" else "by swaps"
        parts.append(f"{one.place.name}: {one.share:.0%} {of_what}{others}")
    return " · ".join(parts)


class _Drawing:
    """Maps over images, on one scale."""

    def __init__(self, survey: Survey, mean: Numbers, std: Numbers) -> None:
        self._survey = survey
        _, height, width, _ = survey.maps.images.shape
        self.small = SmallMaps(survey.maps.images.shape, survey.explanation.record.method)
        self._percent = height * width / 100
        groups = [*survey.classes, *survey.pairs]
        examples = list(
            dict.fromkeys(row for one in groups for row in (*one.typical, *one.strange))
        )
        means = np.stack([survey.mean_image(one) for one in groups])
        data = np.concatenate([means, np.asarray(survey.maps.images[examples])])
        shown = Photographs(data, mean, std)
        under = shown.under(self.small.style.ground)
        self._of_group = {id(one): under[place] for place, one in enumerate(groups)}
        self._of_row = {row: under[len(groups) + place] for place, row in enumerate(examples)}
        self.limit = common_limit(np.stack([self._sized(survey.mean_map(one)) for one in groups]))
        self.limit = self.limit or 1.0
        self.notes = ["share of the attribution per 1 % of the area, one scale", *shown.notes]

    def mean(self, group: Group, places: "Sequence[np.ndarray]") -> Image.Image:
        """The mean map over the mean image, suspicious places outlined."""
        cell = self._cell(self._survey.mean_map(group), self._of_group[id(group)])
        draw = ImageDraw.Draw(cell)
        for mask in places:
            _outline(draw, mask, self.small.size)
        return cell

    def contrast(self, group: Group) -> Image.Image | None:
        """The mean contrast over the mean image."""
        contrast = self._survey.contrast_map(group)
        return None if contrast is None else self._cell(contrast, self._of_group[id(group)])

    def one(self, row: int) -> Image.Image:
        """The map of one image over it."""
        return self._cell(self._survey.map_of(row), self._of_row[row])

    def _sized(self, one: np.ndarray) -> np.ndarray:
        return self.small.reduced(one * self._percent)

    def _cell(self, one: np.ndarray, under: Image.Image) -> Image.Image:
        return self.small.cell(self._sized(one), self.limit, under)


def _outline(draw: ImageDraw.ImageDraw, mask: np.ndarray, size: tuple[int, int]) -> None:
    """A line along the edges of a place's cells."""
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
    """Where everything goes: cells in rows, a caption under each row, names over columns."""

    def __init__(
        self, size: tuple[int, int], rows: int, title: str | None, notes: list[str]
    ) -> None:
        self._column = max(size[0], SIDE)
        columns = 2 + 2 * EXAMPLES
        content = max(columns * (self._column + GUTTER) - GUTTER, LEGEND_WIDTH)
        room = rows * (size[1] + CAPTION)
        super().__init__(size, content, title, notes, gap=GUTTER + HEADING, room=room)
        self._content = content

    def headings(self, names: list[str]) -> None:
        """The names of the columns."""
        for column, name in enumerate(names):
            write(self._draw, self._x(column), self.top - 10, name, COLUMN_TITLE)

    def cell(self, row: int, column: int, picture: Image.Image) -> None:
        """A picture."""
        self.framed(picture, self._x(column), self._y(row))

    def caption(self, row: int, name: str, detail: str, *, warns: bool) -> None:
        """The words under a row."""
        y = self._y(row) + self._size[1]
        style = WARNING if warns else COLUMN_TITLE
        write(self._draw, MARGIN, y + 17, shortened(name, style, self._content), style)
        write(self._draw, MARGIN, y + 36, shortened(detail, DETAIL, self._content), DETAIL)

    def _x(self, column: int) -> int:
        return MARGIN + column * (self._column + GUTTER)

    def _y(self, row: int) -> int:
        return self.top + row * (self._size[1] + CAPTION)
