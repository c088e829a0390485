"""Small maps over their images, in a table: what the evolution and the class sheet share."""

import numpy as np
from PIL import Image

from lightning_shap.pictures import pixels
from lightning_shap.pictures.lettering import Pen, fit
from lightning_shap.pictures.map_cells import usual_smooth
from lightning_shap.pictures.sheet import GUTTER, HAIRLINE, INK, LEGEND_WIDTH, MARGIN, Paper
from lightning_shap.pictures.styles import STYLES, usual_style

SIDE = 144  # pixels of a cell's longer side
HEADING = 28  # over the columns
COLUMN_TITLE = Pen(15, INK, bold=True)


class SmallMaps:
    """Draws the maps of some images small, in the style that suits them.

    Args:
        shape: Of the images, (N, H, W, C).
        method: By which they were explained.

    Attributes:
        size: Width and height of a cell.
        style: Of all maps.
    """

    def __init__(self, shape: tuple[int, ...], method: str) -> None:
        _, height, width, count = shape
        self.size = _choose_size(width, height)
        self.style = STYLES[usual_style(height, width, len(pixels.choose_channels(None, count)))]
        self._drawn = pixels.drawn_size(height, width)
        self._smooth = usual_smooth(method, height, width)

    def reduce(self, one: np.ndarray) -> np.ndarray:
        """Returns a map (H, W) at the size at which it is drawn."""
        return pixels.reduce_map(one, self._drawn, self._smooth)

    def draw(self, reduced: np.ndarray, limit: float, under: Image.Image) -> Image.Image:
        """Returns a map over what lies under it, full in colour at the limit."""
        return self.resize(self.style.draw(reduced / np.float32(limit), None, under))

    def resize(self, cell: Image.Image) -> Image.Image:
        """Returns a picture in the size of a cell; small pixels stay squares."""
        enlarged = cell.width < self.size[0]
        how = Image.Resampling.NEAREST if enlarged else Image.Resampling.LANCZOS
        return cell.resize(self.size, how)


class Table(Paper):
    """Places small cells in rows, with room for words under each, and names over columns.

    Args:
        size: Width and height of a cell.
        rows: How many there are.
        columns: Likewise.
        under: Pixels under each row.
        title: Heading of the picture.
        notes: What the footer says.
    """

    def __init__(
        self,
        size: tuple[int, int],
        rows: int,
        columns: int,
        under: int,
        title: str | None,
        notes: list[str],
    ) -> None:
        self._row = size[1] + under
        content = content_width(size, columns)
        room = rows * self._row
        super().__init__(size, content, title, notes, gap=GUTTER + HEADING, room=room)

    def name_column(self, column: int, name: str) -> None:
        """Writes what stands over a column."""
        x, width = self._left(column), column_width(self._size)
        self.write(x, self.top - 10, fit(name, COLUMN_TITLE, width), COLUMN_TITLE)

    def draw_cell(
        self, row: int, column: int, picture: Image.Image, edge: str = HAIRLINE
    ) -> tuple[int, int]:
        """Draws a picture, and returns where the first line of words under it begins."""
        x, y = self._left(column), self.top + row * self._row
        self._draw_framed(picture, x, y, edge)
        return x, y + self._size[1] + 17

    def _left(self, column: int) -> int:
        return MARGIN + column * (column_width(self._size) + GUTTER)


def column_width(size: tuple[int, int]) -> int:
    """Returns the width of a column of cells of a width and a height."""
    return max(size[0], SIDE)


def content_width(size: tuple[int, int], columns: int) -> int:
    """Returns the width of so many columns, at least that of the legend."""
    return max(columns * (column_width(size) + GUTTER) - GUTTER, LEGEND_WIDTH)


def _choose_size(width: int, height: int) -> tuple[int, int]:
    """Returns width and height of a cell; small images grow by a whole number."""
    side = max(width, height)
    scale = SIDE / side if side > SIDE else max(1, SIDE // side)
    return max(1, round(width * scale)), max(1, round(height * scale))
