"""The sheet: paper with a header, blocks of cells under their headings, and a footer."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from PIL import Image, ImageDraw

from lightning_shap.explanation.phrases import MINUS, join
from lightning_shap.pictures.lettering import Pen, fit, least_width, measure_width, wrap, write

if TYPE_CHECKING:
    from lightning_shap.pictures.styles import Style

INK, GREY, HAIRLINE = "#1f2328", "#57606a", "#d0d7de"
RIGHT, WRONG = "#1a7f37", "#b35900"  # neither is a colour of the maps

Background = Literal["light", "dark"]
PAPER: Mapping[Background, str] = {"light": "white", "dark": "#0d1117"}
ON_DARK = {
    **{INK: "#e6edf3", GREY: "#9da7b3", HAIRLINE: "#30363d"},
    **{RIGHT: "#3fb950", WRONG: "#e3b341"},
}
INKS: Mapping[Background, Callable[[str], str]] = {
    "light": lambda ink: ink,
    "dark": lambda ink: ON_DARK.get(ink, ink),
}

TITLE = Pen(24, INK, bold=True)
NAME, TRUE_NAME = Pen(18, INK), Pen(18, INK, bold=True)
DETAIL, WARNING = Pen(15, GREY), Pen(15, WRONG)

# Cells begin at multiples of 16 pixels: a log's JPEG is a tenth smaller where edges are edges of
# its blocks.
MARGIN = 32
GUTTER = 16  # between columns
BLOCK_GAP = 48  # between images that stand side by side
ROW_GAP = 32
HEADING = 48  # over each cell, its name and a line of details
NOTE = 32  # under each cell, a line where there is something to note
MARK_WIDTH = 22
LEAST_COLUMN = 224  # of narrow images: ">99.9 % · -0.085 → -0.123" has a line to itself
TITLE_LINE = 32
LEGEND_WIDTH, LEGEND_HEIGHT, BAR_HEIGHT = 288, 32, 10
DETAIL_LINE = 20

ASPECT = 1.6  # of a screen, and of the cards that logs show pictures in
MOST_WIDTH = 2560  # of several images side by side
AROUND = 144  # about what header and footer take


@dataclass(frozen=True)
class Heading:
    """The words over one cell.

    Attributes:
        name: Of a class, of an image's true classes or of a value.
        share: What stands behind the name: its probability, or what a map of it is for.
        detail: What stands below: an output, or what is predicted instead.
        true: It is the image's true class, or one of them.
        right: Whether the model predicted what is true, None if that is not known.
        note: What stands under the cell: how far to trust it, and what to know of it.
        warns: The note is a warning.
    """

    name: str
    detail: str = ""
    share: str = ""
    true: bool = False
    right: bool | None = None
    note: str = ""
    warns: bool = False


class Paper:
    """Paper with a title and a colour bar above, notes below, and room between.

    Args:
        size: Width and height of a cell.
        content: Width between the margins.
        title: Heading of the picture.
        notes: What the footer says.
        background: Of the paper.
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
        background: Background = "light",
        *,
        gap: int,
        room: int,
    ) -> None:
        self._size = size
        self._ink = INKS[background]
        # Title and legend share a line where there is room for both.
        lines = wrap(title or "", TITLE, content)
        taken = measure_width(lines[0], TITLE) + 2 * GUTTER if lines else 0
        stacked = taken + LEGEND_WIDTH > content or len(lines) > 1
        self._legend_at = (
            MARGIN + (content - LEGEND_WIDTH if taken and not stacked else 0),
            MARGIN + (TITLE_LINE * len(lines) + GUTTER if stacked and lines else 0),
        )
        self.top = self._legend_at[1] + LEGEND_HEIGHT + gap
        footer = wrap(join(*notes), DETAIL, content)
        bottom = self.top + room
        height = bottom + len(footer) * DETAIL_LINE + MARGIN
        self.canvas = Image.new("RGB", (content + 2 * MARGIN, height), PAPER[background])
        self._draw = ImageDraw.Draw(self.canvas)
        for number, line in enumerate(lines):
            self.write(MARGIN, MARGIN + 20 + number * TITLE_LINE, line, TITLE)
        for number, line in enumerate(footer):
            self.write(MARGIN, bottom + 14 + number * DETAIL_LINE, line, DETAIL)

    def write(self, x: float, baseline: float, text: str, pen: Pen) -> None:
        """Writes a text, in an ink that is seen on this paper."""
        write(self._draw, x, baseline, text, replace(pen, colour=self._ink(pen.colour)))

    def draw_legend(self, style: "Style", end: str | None) -> None:
        """Draws the colour bar of a style, where colours stand for values, up to one in words."""
        if style.ramp is None:
            return
        ramp = style.ramp(np.linspace(-style.shows_sign, 1, LEGEND_WIDTH))
        x, y = self._legend_at
        self.canvas.paste(Image.fromarray(np.repeat(ramp[None], BAR_HEIGHT, axis=0)), (x, y))
        self._draw.rectangle(
            (x - 1, y - 1, x + LEGEND_WIDTH, y + BAR_HEIGHT), outline=self._ink(HAIRLINE)
        )
        lowers, raises = (
            ("lowers", "raises") if end is None else (f"{MINUS}{end} lowers", f"raises +{end}")
        )
        baseline = y + LEGEND_HEIGHT - 3
        self.write(x, baseline, lowers if style.shows_sign else "0", DETAIL)
        self.write(x + LEGEND_WIDTH - measure_width(raises, DETAIL), baseline, raises, DETAIL)

    def _draw_framed(self, picture: Image.Image, x: int, y: int, edge: str = HAIRLINE) -> None:
        """Draws a picture of a cell's size, with a line around it."""
        self._draw.rectangle(
            (x - 1, y - 1, x + self._size[0], y + self._size[1]), outline=self._ink(edge)
        )
        self.canvas.paste(picture, (x, y))


class Sheet(Paper):
    """Places everything on paper.

    Images fill the rows of a sheet one after the other. Each is a block of cells, and as many
    blocks stand side by side as bring the sheet nearest to the shape of a screen.

    Args:
        blocks: The headings of each image's cells, which say how much room they need.
        size: Width and height of a cell.
        title: Heading of the picture.
        notes: What the footer says.
        background: Of the paper.
    """

    def __init__(
        self,
        blocks: Sequence[Sequence[Heading]],
        size: tuple[int, int],
        title: str | None,
        notes: list[str],
        background: Background = "light",
    ) -> None:
        headings = [heading for block in blocks for heading in block]
        needed = max(_least_column(heading) for heading in headings)
        self._column = max(size[0], LEAST_COLUMN, _grid(needed))
        columns = len(blocks[0])
        self._block = columns * (self._column + GUTTER) - GUTTER + BLOCK_GAP
        details, under = (
            max(len(lines(heading)) for heading in headings)
            for lines in (self._details, self._notes)
        )
        self._heading = HEADING + _grid(DETAIL_LINE * max(0, details - 1))
        note = NOTE + _grid(DETAIL_LINE * (under - 1)) if under else 0
        self._row = self._heading + size[1] + note + ROW_GAP
        self._across = self._blocks_across(len(blocks))
        content = self._across * self._block - BLOCK_GAP
        room = -(-len(blocks) // self._across) * self._row
        super().__init__(size, content, title, notes, background, gap=ROW_GAP, room=room)

    def _details(self, heading: Heading) -> list[str]:
        """Returns the lines below a name."""
        pen = WARNING if heading.right is False else DETAIL
        share = "" if self._has_room_beside(heading) else heading.share.lstrip(": ")
        return wrap(join(share, heading.detail), pen, self._column)

    def _notes(self, heading: Heading) -> list[str]:
        """Returns the lines below a cell; a warning may be as wide as all cells of its image."""
        if heading.warns:
            return wrap(heading.note, WARNING, self._block - BLOCK_GAP)
        return wrap(heading.note, DETAIL, self._column)

    def _has_room_beside(self, heading: Heading) -> bool:
        """Returns whether what stands behind a name fits, or must, with something below it."""
        mark = MARK_WIDTH * (heading.right is not None)
        taken = measure_width(fit(heading.name, _pick_pen(heading), math.inf), _pick_pen(heading))
        beside = mark + taken + measure_width(heading.share, DETAIL) <= self._column
        return beside or bool(heading.detail)

    def _blocks_across(self, blocks: int) -> int:
        """Returns how many images stand side by side."""

        def misfit(across: int) -> float:
            height = -(-blocks // across) * self._row + AROUND
            return abs(math.log(across * self._block / height / ASPECT))

        most = max(1, min(blocks, (MOST_WIDTH + BLOCK_GAP) // self._block))
        return min(range(1, most + 1), key=misfit)

    def draw_cell(self, block: int, column: int, picture: Image.Image, heading: Heading) -> None:
        """Draws a picture between its heading and its note."""
        down, across = divmod(block, self._across)
        x = MARGIN + across * self._block + column * (self._column + GUTTER)
        y = self.top + down * self._row
        left, right = float(x), float(x + self._column)
        if heading.right is not None:
            mark = Pen(NAME.size, RIGHT if heading.right else WRONG, bold=True)
            self.write(left, y + 16, "✓" if heading.right else "✗", mark)
            left += MARK_WIDTH
        pen, share = _pick_pen(heading), heading.share * self._has_room_beside(heading)
        name = fit(heading.name, pen, right - left - measure_width(share, DETAIL))
        self.write(left, y + 16, name, pen)
        self.write(left + measure_width(name, pen), y + 16, share, DETAIL)
        detail = WARNING if heading.right is False else DETAIL
        for number, line in enumerate(self._details(heading)):
            self.write(x, y + 37 + number * DETAIL_LINE, line, detail)
        y += self._heading
        if picture.size != self._size:  # of a small image, whose pixels become crisp squares
            picture = picture.resize(self._size, Image.Resampling.NEAREST)
        self._draw_framed(picture, x, y)
        for number, line in enumerate(self._notes(heading)):
            note = WARNING if heading.warns else DETAIL
            self.write(x, y + self._size[1] + 21 + number * DETAIL_LINE, line, note)


def _pick_pen(heading: Heading) -> Pen:
    return TRUE_NAME if heading.true else NAME


def _least_column(heading: Heading) -> float:
    """Returns how wide a column must be for what cannot be cut."""
    mark = MARK_WIDTH * (heading.right is not None)
    name = least_width(heading.name, _pick_pen(heading))
    below = [heading.detail, "" if heading.warns else heading.note]
    beside = mark + name + measure_width(heading.share, DETAIL)
    return max(beside, *(least_width(text, DETAIL) for text in below))


def _grid(length: float) -> int:
    """Returns a length, up to the next multiple of 16."""
    return -(-math.ceil(length) // 16) * 16
