"""Map cells: photographs and their maps, drawn alike wherever they are placed."""

from collections.abc import Sequence
from typing import Unpack

import numpy as np
from PIL import Image

from lightning_shap.engine.methods.registry import METHODS
from lightning_shap.explanation.contribution import Place, find_pixels
from lightning_shap.explanation.maps import Maps
from lightning_shap.pictures import pixels
from lightning_shap.pictures.limits import Limit, check_limit, choose_limit, common_limit
from lightning_shap.pictures.photographs import Album
from lightning_shap.pictures.pixels import Look
from lightning_shap.pictures.styles import StyleName, outline, style_named, usual_style

SMOOTHED = 32  # a map of single pixels is smoothed over this part of its side


class MapCells:
    """Draws the photographs of some images and their maps, on one scale.

    Args:
        maps: Of the images, with a record.
        rows: The images, by number.
        style: Of the maps; what suits the images where None.
        limit: See :func:`lightning_shap.plot`.
        album: Keeps the photographs.
        place: To outline in all cells, or None.
        doubt: Regions within two standard errors of zero look fainter.
        look: How images are shown.

    Attributes:
        photographs: Of the images.
        style: Of the maps.
        size: Width and height of a cell.
        full: The value of full colour, per 1 % of the image.
        scale: How that came about, in words.
        has_doubt: Some regions may look fainter.
    """

    def __init__(
        self,
        maps: Maps,
        rows: Sequence[int],
        *,
        style: StyleName | None = None,
        limit: Limit = None,
        album: Album | None = None,
        place: Place | None = None,
        doubt: bool = True,
        **look: Unpack[Look],
    ) -> None:
        limit = check_limit(limit)
        images, height, width, count = maps.images.shape
        data = maps.images if list(rows) == list(range(images)) else maps.images[list(rows)]
        self.photographs = (album or Album()).photographs(data, **look)
        if style is None:
            style = usual_style(
                height, width, len(pixels.choose_channels(look.get("channels"), count))
            )
        self.style = style_named(style)
        self.size = self.photographs.size
        self._drawn = pixels.drawn_size(height, width)
        # A small image is drawn as it is, if it can be.
        self._times = max(1, self.size[0] // self._drawn[0])
        smooth = usual_smooth(maps.record.method if maps.record else "", height, width)
        # As shares of the peak, values are safe in float32.
        peak = maps.peak(rows) or 1.0
        reduce = pixels.reduce_map
        self._shares = np.array(
            [[reduce(one / peak, self._drawn, smooth) for one in maps.get(row)] for row in rows]
        )
        in_units = peak * height * width / 100
        self.full, self.scale = choose_limit(limit, common_limit(self._shares) * in_units)
        self._shares *= np.float32(in_units / (self.full or 1))
        self._under = self.photographs.under(self.style.ground)
        self._doubtful = [maps.find_doubtful(row) if doubt else None for row in rows]
        self.has_doubt = self._doubtful[0] is not None
        places = None if place is None else find_pixels(place, maps)[list(rows)]
        self._places = (
            None if places is None else [pixels.resize_mask(one, self._drawn) for one in places]
        )

    def draw_photograph(self, row: int) -> Image.Image:
        """Returns the photograph of one of the rows, which may be smaller than a cell."""
        photograph = self.photographs.cells[row]
        if self._places is None:
            return photograph
        return self._outline(pixels.enlarge_image(photograph, self._times), row)

    def draw_map(self, row: int, output: int) -> Image.Image:
        """Returns the map of one of the rows and outputs, which may be smaller than a cell."""
        doubts = self._doubtful[row]
        doubt = None if doubts is None else pixels.resize_mask(doubts[output], self._drawn)
        has_lines = self.style.has_lines or doubt is not None or self._places is not None
        by = self._times if has_lines else 1
        cell = self.style.draw(
            pixels.enlarge(self._shares[row, output], by),
            None if doubt is None else pixels.enlarge(doubt, by),
            pixels.enlarge_image(self._under[row], by),
        )
        return cell if self._places is None else self._outline(cell, row)

    def _outline(self, cell: Image.Image, row: int) -> Image.Image:
        assert self._places is not None
        return outline(cell, pixels.enlarge(self._places[row], self._times))


def usual_smooth(method: str, height: int, width: int) -> float:
    """Returns over how many pixels maps are averaged if nobody says: those of pixels alone."""
    known = METHODS.get(method)
    by_pixel = known is not None and not known.has_regions
    return max(height, width) / SMOOTHED if by_pixel else 0.0
