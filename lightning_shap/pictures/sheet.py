"""The sheet: white paper with a header, blocks of cells under their headings, and a footer."""

import math

import numpy as np
from PIL import Image, ImageDraw

from lightning_shap.pictures.captions import Heading
from lightning_shap.pictures.lettering import Style, shortened, width_of, wrapped, write

INK, GREY, HAIRLINE = "#1f2328", "#57606a", "#d0d7de"
RIGHT, WRONG = "#1a7f37", "#b35900"  # neither is a colour of the maps

TITLE = Style(24, INK, bold=True)
NAME, TRUE_NAME = Style(18, INK), Style(18, INK, bold=True)
DETAIL, WARNING = Style(15, GREY), Style(15, WRONG)

# Cells begin at multiples of 16 pixels: a log's JPEG is a tenth smaller where edges are edges of
# its blocks.
MARGIN = 32
GUTTER = 16  # between columns
BLOCK_GAP = 48  # between images that stand side by side
ROW_GAP = 32
HEADING = 48  # two lines over each cell
NOTE = 32  # a line under each cell, where there is something to note
MARK_WIDTH = 22
LEAST_COLUMN = 192  # narrow images still get a readable heading
TITLE_LINE = 32
LEGEND_WIDTH, LEGEND_HEIGHT, BAR_HEIGHT = 288, 32, 10
DETAIL_LINE = 20

ASPECT = 1.6  # of a screen, and of the cards that logs show pictures in
MOST_WIDTH = 2560  # of several images side by side
AROUND = 144  # about what header and footer take


class Paper:
    """White paper with a title and a colour bar above, notes below, and room between.

    Args:
        size: Width and height of a cell.
        content: Width between the margins.
        title: Heading of the picture.
        notes: What the footer says.
        gap: From the colour bar to the room.
        room: Its height.

    Attributes:
        canvas: What is drawn on.
        top: Where the room begins.
    """

    def __init__(
        self,
        size: tuple[int, int],
        content: int,
        title: str | None,
        notes: list[str],
        *,
        gap: int,
        room: int,
    ) -> None:
        self._size = size
        # Title and legend share a line where there is room for both.
        title = shortened(title or "", TITLE, content)
        taken = width_of(title, TITLE) + 2 * GUTTER if title else 0
        stacked = taken + LEGEND_WIDTH > content
        self._legend_at = (
            MARGIN + (content - LEGEND_WIDTH if taken and not stacked else 0),
            MARGIN + (TITLE_LINE if stacked else 0),
        )
        self.top = self._legend_at[1] + LEGEND_HEIGHT + gap
        footer = wrapped(notes, " · ", DETAIL, content)
        bottom = self.top + room
        height = bottom + len(footer) * DETAIL_LINE + MARGIN
        self.canvas = Image.new("RGB", (content + 2 * MARGIN, height), "white")
        self._draw = ImageDraw.Draw(self.canvas)
        write(self._draw, MARGIN, MARGIN + 20, title, TITLE)
        for number, line in enumerate(footer):
            write(self._draw, MARGIN, bottom + 14 + number * DETAIL_LINE, line, DETAIL)

    def legend(self, ramp: np.ndarray, lowers: str, raises: str) -> None:
        """The colour bar, uint8 (LEGEND_WIDTH, 3), with what its ends say."""
        x, y = self._legend_at
        self.canvas.paste(Image.fromarray(np.repeat(ramp[None], BAR_HEIGHT, axis=0)), (x, y))
        self._draw.rectangle((x - 1, y - 1, x + LEGEND_WIDTH, y + BAR_HEIGHT), outline=HAIRLINE)
        baseline = y + LEGEND_HEIGHT - 3
        write(self._draw, x, baseline, lowers, DETAIL)
        write(self._draw, x + LEGEND_WIDTH - width_of(raises, DETAIL), baseline, raises, DETAIL)

    def framed(self, picture: Image.Image, x: int, y: int, edge: str = HAIRLINE) -> None:
        """A picture of a cell's size, with a line around it."""
        self._draw.rectangle((x - 1, y - 1, x + self._size[0], y + self._size[1]), outline=edge)
        self.canvas.paste(picture, (x, y))


class Sheet(Paper):
    """Where everything goes.

    Images fill the rows of a sheet one after the other. Each is a block of cells, and as many
    blocks stand side by side as bring the sheet nearest to the shape of a screen.

    Args:
        blocks: How many images.
        columns: Cells of each.
        size: Width and height of a cell.
        title: Heading of the picture.
        notes: What the footer says.
        noted: Whether there are notes under cells.
    """

    def __init__(
        self,
        blocks: int,
        columns: int,
        size: tuple[int, int],
        title: str | None,
        notes: list[str],
        *,
        noted: bool = False,
    ) -> None:
        self._column = max(size[0], LEAST_COLUMN)
        self._row = HEADING + size[1] + (NOTE if noted else 0) + ROW_GAP
        self._block = columns * (self._column + GUTTER) - GUTTER + BLOCK_GAP
        self._across = self._blocks_across(blocks)
        content = self._across * self._block - BLOCK_GAP
        room = -(-blocks // self._across) * self._row
        super().__init__(size, content, title, notes, gap=ROW_GAP, room=room)

    def _blocks_across(self, blocks: int) -> int:
        """How many images stand side by side."""

        def misfit(across: int) -> float:
            height = -(-blocks // across) * self._row + AROUND
            return abs(math.log(across * self._block / height / ASPECT))

        most = max(1, min(blocks, (MOST_WIDTH + BLOCK_GAP) // self._block))
        return min(range(1, most + 1), key=misfit)

    def cell(self, block: int, column: int, picture: Image.Image, heading: Heading) -> None:
        """A picture between its heading and its note."""
        down, across = divmod(block, self._across)
        x = MARGIN + across * self._block + column * (self._column + GUTTER)
        y = self.top + down * self._row
        left, room = float(x), float(self._column)
        if heading.right is not None:
            mark = Style(NAME.size, RIGHT if heading.right else WRONG, bold=True)
            write(self._draw, left, y + 16, "✓" if heading.right else "✗", mark)
            left, room = left + MARK_WIDTH, room - MARK_WIDTH
        name = TRUE_NAME if heading.true else NAME
        write(self._draw, left, y + 16, shortened(heading.name, name, room), name)
        detail = WARNING if heading.right is False else DETAIL
        write(self._draw, x, y + 37, shortened(heading.detail, detail, self._column), detail)
        y += HEADING
        if picture.size != self._size:  # of a small image, whose pixels become crisp squares
            picture = picture.resize(self._size, Image.Resampling.NEAREST)
        self.framed(picture, x, y)
        if heading.note:
            note = WARNING if heading.warns else DETAIL
            y += self._size[1] + 21
            room = self._block - BLOCK_GAP if heading.warns else self._column
            write(self._draw, x, y, shortened(heading.note, note, room), note)
