"""Captions: what a picture says in words of its images, its classes and how they were explained."""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from lightning_shap.engine.methods.registry import METHODS
from lightning_shap.errors import ArgumentError
from lightning_shap.explanation.contribution import Place, measure_place
from lightning_shap.explanation.empty_images import find_empty_images
from lightning_shap.explanation.maps import Maps, read_maps
from lightning_shap.explanation.phrases import (
    Name,
    Phrase,
    count,
    join,
    number,
    percent,
    way,
    whole_percent,
    write_alike,
)
from lightning_shap.explanation.verdicts import join_names, write_probability
from lightning_shap.pictures.sheet import Heading

if TYPE_CHECKING:
    from lightning_shap.explanation.explanation import ImageExplanation
    from lightning_shap.explanation.record import Record

COARSE = 8  # regions; fewer say at best in which quarter something lies
MISSING = 0.05  # a share of the change that a reader should know of


class Captions:
    """Says in words what a grid shows, as the record of its explanation knows it.

    Args:
        explanation: Of N images and K' outputs each, with a record, or its maps.
        region: A place in them, of which it says what it contributes to each map, or None.

    Attributes:
        record: How the explanation came about.

    Raises:
        ArgumentError: If it has no record, as a ``shap.Explanation`` has none.
    """

    def __init__(self, explanation: "ImageExplanation | Maps", region: Place | None = None) -> None:
        maps = read_maps(explanation)
        if maps.record is None or maps.indexes is None or maps.base is None:
            raise ArgumentError(
                "explanation",
                "has no record of how it came about; give what lightning_shap.explain returned",
            )
        self.record, self._base = maps.record, maps.base
        self._numbers = maps.record.classes.find(maps.indexes)  # of each map's class, (N, K')
        self._outputs = maps.record.sum_maps(maps.indexes)
        self._verdicts = maps.record.judge()
        self._roles = self._verdicts.roles(maps.indexes, maps.record.kept)
        self._empty = find_empty_images(maps)
        self._region = None
        if region is not None:
            self._region = measure_place(maps, region, self._outputs - self._base)
        self._targets = None  # what the maps' outputs should be, (N, K')
        if maps.record.classes.values and maps.record.labels is not None:
            self._targets = np.take_along_axis(maps.record.labels, self._numbers, axis=1)

    def image(self, row: int) -> Heading:
        """Returns the words at an image: its true classes, else the predicted ones."""
        few = self._resolved(row)
        if few is None or few >= COARSE:
            return self._image(row)
        regions = f"{few} region{'s' * (few != 1)}"
        return replace(self._image(row), note=f"{regions}: too coarse to locate", warns=True)

    def _image(self, row: int) -> Heading:
        verdict = self._verdicts[row]
        if verdict.is_true_known:
            right = verdict.right or verdict.predicted is None
            return Heading(
                join_names(verdict.true),
                "" if right else Phrase("predicted ", verdict.prediction),
                write_probability(verdict.true),
                true=True,
                right=verdict.right,
            )
        if verdict.predicted is not None:
            share = write_probability(verdict.predicted)
            return Heading(join_names(verdict.predicted), "predicted", share)
        return Heading(f"image {row}")

    def output(self, row: int, column: int) -> Heading:
        """Returns the words at a map: its class, how probable that is, and what it adds up to.

        That is the way from the base value to the output.
        """
        index = int(self._numbers[row, column])
        change, clear = self._way(row, column), self._note(row, column)
        true = index in [one.number for one in self._verdicts[row].true]
        role = ", ".join(self._roles[row][column])
        role = role and f"  {role}"
        if self.record.against is not None:
            other = int(self.record.classes.find(self.record.against[row]))
            detail = Phrase("rather than ", self._name(other))
            return Heading(self._name(index), detail, role, true=true, note=join(change, clear))
        # Of a probability that was explained the way says where it ends.
        known = self._verdicts.probability(row, index)
        sure = "" if known is None or self._explains_probability else percent(known)
        return Heading(self._name(index), join(sure, change), role, true=true, note=clear)

    def method(self, rows: list[int]) -> list[str]:
        """Returns how some of the images were explained."""
        record = self.record
        grid = (
            [f"{record.grid[0]} \N{MULTIPLICATION SIGN} {record.grid[1]} grid"]
            if record.grid
            else []
        )
        regions = count(record.regions[rows], "region")
        regions += " that follow the image" * record.follows_image
        named = record.masker.endswith(("masker", "background"))
        evaluations = count(record.evaluations[rows], "evaluation")
        evaluations += ", every coalition: exact" * bool(record.exact[rows].all())
        return [
            record.method,
            *grid,
            evaluations,
            regions if _has_regions(record.method) else "every pixel",
            record.masker if named else f"{record.masker} masker",
            *_taken(record),
            *self._missing(rows),
        ]

    def remarks(self, rows: list[int]) -> list[str]:
        """Returns what is to be known of maps that are noted, for some of the images."""
        return [each.remark for row in rows for each in self._empty[row] if each is not None][:1]

    @property
    def _explains_probability(self) -> bool:
        return self.record.output == "probability"

    def _resolved(self, row: int) -> int | None:
        """Returns how many regions of an image were resolved, None where each pixel is one."""
        record = self.record
        return int(record.regions[row]) if _has_regions(record.method) else None

    def _way(self, row: int, column: int) -> str:
        """Returns the way from base value to output, and what this should be if that is known."""
        base, output = self._base[row, column], self._outputs[row, column]
        if self._explains_probability:
            change = way(percent(base), percent(output))
        else:
            change = way(*write_alike(base, output))
        if self._targets is None or np.isnan(self._targets[row, column]):
            return change
        return join(change, f"true {number(self._targets[row, column])}")

    def _note(self, row: int, column: int) -> Phrase:
        """Says what is to be known of a map.

        That is what a place contributes, how many regions are clear of zero, and if the empty image
        has the class already.
        """
        record, empty = self.record, self._empty[row][column]
        clear = ""
        if record.clear is not None:
            regions = int(record.regions[row])
            clear = f"{round(record.clear[row, column] * regions)} of {regions} regions clear"
        inside = ""
        if self._region is not None:
            inside = f"inside: {self._region.pick((row, column)).words}"
        return join(inside, clear, "" if empty is None else empty.short)

    def _missing(self, rows: list[int]) -> list[str]:
        """Says what share of the change from base to output the maps lack, where it is large."""
        change = float(np.abs(self._outputs - self._base)[rows].sum())
        share = float(self.record.additivity_gap[rows].sum()) / (change or 1)
        return [f"{whole_percent(share)} of the change is missing"] if share > MISSING else []

    def _name(self, index: int) -> Name:
        return Name(self.record.class_names[index])


def name_unit(record: "Record") -> str:
    """Returns what the colours of a map count, in words.

    A value of one pixel says nothing to a reader, and regions, patches and pixels of different
    sizes cannot be compared: a hundredth of the image is the same for every method and image.
    """
    what = "output" if record.output == "custom" else record.output
    return f"{what} per 1 % of the image"


def _taken(record: "Record") -> list[str]:
    """Returns what the model's outputs were taken for, where that is no plain logit, or a guess."""
    if record.returns is None or (record.returns == "logits" and not record.returns_guessed):
        return []
    return [f"{'taken for' if record.returns_guessed else 'returns'} {record.returns}"]


def _has_regions(method: str) -> bool:
    return method not in METHODS or METHODS[method].has_regions
