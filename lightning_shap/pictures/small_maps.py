"""Small maps over their images, many on one sheet: what the evolution and the classes share."""

import numpy as np
from PIL import Image

from lightning_shap.explanation.phrases import MINUS
from lightning_shap.pictures import pixels
from lightning_shap.pictures.grid import usual_smooth
from lightning_shap.pictures.lettering import Style
from lightning_shap.pictures.sheet import INK, LEGEND_WIDTH, Paper
from lightning_shap.pictures.styles import STYLES, usual_style

SIDE = 144  # pixels of a cell's longer side
HEADING = 28  # over the columns
COLUMN_TITLE = Style(15, INK, bold=True)


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
        self.size = _fitted(width, height)
        self.style = STYLES[usual_style(height, width, len(pixels.shown_channels(None, count)))]
        self._drawn = pixels.drawn_size(height, width)
        self._smooth = usual_smooth(method, height, width)

    def reduced(self, one: np.ndarray) -> np.ndarray:
        """Returns a map (H, W) at the size at which it is drawn."""
        return pixels.map_cell(one, self._drawn, self._smooth)

    def cell(self, reduced: np.ndarray, limit: float, under: Image.Image) -> Image.Image:
        """Returns a map over what lies under it, full in colour at the limit."""
        return self.sized(self.style.cell(reduced / np.float32(limit), None, under))

    def sized(self, cell: Image.Image) -> Image.Image:
        """Returns a picture in the size of a cell; small pixels stay squares."""
        enlarged = cell.width < self.size[0]
        how = Image.Resampling.NEAREST if enlarged else Image.Resampling.LANCZOS
        return cell.resize(self.size, how)

    def explain(self, paper: Paper, end: str | None = None) -> None:
        """Draws the legend, where colours stand for values, up to one in words if it is known."""
        ramp = self.style.ramp(np.linspace(-1, 1, LEGEND_WIDTH))
        if ramp is not None:
            lowers, raises = ("", "") if end is None else (f"{MINUS}{end} ", f" +{end}")
            paper.legend(ramp, f"{lowers}lowers", f"raises{raises}")


def _fitted(width: int, height: int) -> tuple[int, int]:
    """Returns width and height of a cell; small images grow by a whole number."""
    side = max(width, height)
    scale = SIDE / side if side > SIDE else max(1, SIDE // side)
    return max(1, round(width * scale)), max(1, round(height * scale))
