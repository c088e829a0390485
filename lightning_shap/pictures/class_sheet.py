"""Classes: what a model looks at in each class, over many images, in one picture."""

from typing import TYPE_CHECKING, Unpack

import numpy as np
from PIL import Image

from lightning_shap.analysis.class_summary.groups import EXAMPLES, Group
from lightning_shap.analysis.class_summary.summary import ClassSummary
from lightning_shap.analysis.class_summary.words import (
    list_untested,
    say_nothing_found,
    write_proof,
    write_suspicion,
)
from lightning_shap.explanation.phrases import Name, Phrase, join, number, whole_percent
from lightning_shap.pictures.lettering import Pen, fit, wrap
from lightning_shap.pictures.limits import common_limit
from lightning_shap.pictures.photographs import Photographs
from lightning_shap.pictures.pixels import Look, resize_mask
from lightning_shap.pictures.sheet import DETAIL, DETAIL_LINE, MARGIN, WRONG
from lightning_shap.pictures.small_maps import COLUMN_TITLE, SmallMaps, Table, content_width
from lightning_shap.pictures.styles import outline

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lightning_shap.analysis.class_summary.suspicions import Suspicion

CAPTION = 52  # under each row, its name and a line of details
WARNING = Pen(15, WRONG, bold=True)


def draw_class_sheet(
    summary: ClassSummary, *, title: str | None = None, **look: Unpack[Look]
) -> np.ndarray:
    """Draws a class summary: a row for each class, and for each pair that is confused.

    Each begins with the mean map of its true class over its mean image, with suspicious
    places outlined, and the mean of what speaks for the true class rather than the highest other.
    Then come the images that are most like the mean and those that are least, with their maps. A
    pair that has all images of its class would show the same once more and has no row.

    Args:
        summary: Of many images.
        title: Heading of the picture.
        look: How images are shown; see :func:`lightning_shap.plot`.

    Returns:
        uint8 (height, width, 3).
    """
    drawing = _Drawing(summary, look)
    groups = [*summary.classes, *summary.pairs]
    shown = [place for place, group in enumerate(groups) if not _is_whole_class(group, summary)]
    suspects = [
        [
            one
            for one in summary.suspicions
            if group.taken_for is None and one.label in (group.label, None)
        ]
        for group in groups
    ]
    size, columns = drawing.small.size, 2 + 2 * EXAMPLES
    content = content_width(size, columns)
    details = [
        wrap(_describe(groups[place], suspects[place], summary), DETAIL, content) for place in shown
    ]
    under = CAPTION + DETAIL_LINE * (max(map(len, details), default=1) - 1)
    notes = _notes(summary) + drawing.notes
    table = Table(size, len(shown), columns, under, title, notes)
    table.draw_legend(drawing.small.style, None)
    names = {}
    for row, place in enumerate(shown):
        group, suspect = groups[place], bool(suspects[place])
        cells = drawing.draw(place, group, [one.part.cells for one in suspects[place]])
        for column, (name, picture) in cells.items():
            _, baseline = table.draw_cell(row, column, picture)
            names[column] = name
        pen = WARNING if suspect else COLUMN_TITLE
        table.write(MARGIN, baseline, fit(Name(summary.name(group)), pen, content), pen)
        for line, text in enumerate(details[row]):
            table.write(MARGIN, baseline + 19 + line * DETAIL_LINE, text, DETAIL)
    for column, name in names.items():
        table.name_column(column, name)
    return np.array(table.canvas)


def _is_whole_class(group: Group, summary: ClassSummary) -> bool:
    """Returns whether it is a class that has a row already, all of which is taken for another."""
    return group.taken_for is not None and any(
        one.label == group.label and len(one.rows) == len(group.rows) for one in summary.classes
    )


def _notes(summary: ClassSummary) -> list[str]:
    """Returns what was seen, that nothing was found where that is so, and what is not shown."""
    notes = [summary.lines[0]]
    if not summary.suspicions:
        facts = [write_suspicion(one, summary) for one in summary.facts]
        notes += facts or [say_nothing_found(summary)]
        notes += list_untested(summary)
    left_out = len(np.unique(summary.labels)) - len(summary.classes)
    if left_out:
        notes.append(f"{left_out} more class{'es' * (left_out > 1)} not shown")
    return notes


def _describe(group: Group, suspects: "Sequence[Suspicion]", summary: ClassSummary) -> Phrase:
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
        parts.append(f"swapped, {one.part.name} decides {share}{others}")
        if one.proof is not None:
            parts.append(write_proof(one.proof, one.label, summary))
    return join(*parts)


class _Drawing:
    """Maps over images: means on one scale, and single images, which are stronger, on another."""

    def __init__(self, summary: ClassSummary, look: Look) -> None:
        self._shown = summary.shown
        height, width, _ = summary.size
        self.small = SmallMaps((1, *summary.size), summary.method)
        self._percent = height * width / 100
        examples = list(self._shown.image_of.values())
        images = np.concatenate([self._shown.images, np.stack(examples)])
        shown = Photographs(images, **look)
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

    def draw(
        self, place: int, group: Group, suspicious: "Sequence[np.ndarray]"
    ) -> dict[int, tuple[str, Image.Image]]:
        """Returns the cells of a group, by their columns, with the names of these."""
        shown, under = self._shown, self._under[place]
        mean = self._cell(shown.means[place], self._of_means, under)
        for mask in suspicious:
            mean = outline(mean, resize_mask(mask, self.small.size))
        cells = {0: ("mean map", mean)}
        if shown.contrasts is not None:
            contrast = self._cell(shown.contrasts[place], self._of_means, under)
            cells[1] = ("against the next", contrast)
        for first, name, rows in (
            (2, "typical", group.typical),
            (2 + EXAMPLES, "strange", group.strange),
        ):
            for column, row in enumerate(rows, start=first):
                single = self._cell(shown.map_of[row], self._of_ones, self._of_row[row])
                cells[column] = (name, single)
        return cells

    def _limit(self, maps: "Sequence[np.ndarray]") -> float:
        return common_limit(np.stack([self._reduce(one) for one in maps])) or 1.0

    def _reduce(self, one: np.ndarray) -> np.ndarray:
        return self.small.reduce(one * self._percent)

    def _cell(self, one: np.ndarray, limit: float, under: Image.Image) -> Image.Image:
        return self.small.draw(self._reduce(one), limit, under)
