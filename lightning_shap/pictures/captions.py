"""Captions: what a picture says in words of its images, its classes and how they were explained."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lightning_shap.engine.methods.registry import METHODS
from lightning_shap.errors import ArgumentError, ArgumentTypeError
from lightning_shap.explanation.empty_images import empty_taken_for
from lightning_shap.explanation.maps import Maps, maps_of
from lightning_shap.explanation.phrases import (
    Name,
    Phrase,
    alike,
    counted,
    join,
    number,
    percent,
    way,
    whole_percent,
)
from lightning_shap.explanation.verdicts import (
    Candidate,
    Verdict,
    Verdicts,
    names_of,
    probability_of,
)
from lightning_shap.pictures.sheet import Heading

if TYPE_CHECKING:
    import shap

    from lightning_shap.explanation.classes import Classes
    from lightning_shap.explanation.record import Record

COARSE = 8  # regions; fewer say at best in which quarter something lies
MISSING = 0.05  # a share of the change that a reader should know of


class Captions:
    """The words of a grid, from whatever is known of its explanation.

    Args:
        explanation: Of N images and K' outputs each, or its maps; without a record there is less
            to say.
        labels: What is true of each image, as :func:`lightning_shap.explain` takes it; that of the
            record where None.
        class_names: A name for each class; those of the explanation where None.
    """

    def __init__(
        self,
        explanation: "shap.Explanation | Maps",
        labels: Sequence[Any] | np.ndarray | None = None,
        class_names: Sequence[str] | None = None,
    ) -> None:
        maps = maps_of(explanation)
        sums = maps.totals
        self._maps = sums.shape
        # Attributions and base value add up to the output, which plain explanations leave out.
        self._base = maps.base
        self._outputs = None if maps.base is None else sums + maps.base

        self._record = maps.record
        self._classes: Classes | None = None  # what the outputs stand for
        self._numbers: np.ndarray | None = None  # of each map's class, (N, K')
        self._verdicts: Sequence[Verdict] = [Verdict()] * len(sums)
        self._judged: Verdicts | None = None  # the same, where there is a record
        self._class_names: list[str] = []  # of the first classes or all
        names = maps.names
        self._map_names = None if names is None else np.broadcast_to(names, sums.shape)
        if self._record is not None and maps.indexes is not None:
            self._classes = self._record.classes
            self._numbers = self._classes.of(maps.indexes)
            self._outputs = self._record.explained(maps.indexes)
            self._class_names = [str(name) for name in self._record.class_names]
        elif (names is None or names.ndim == 1) and (
            class_names is None or len(class_names) == sums.shape[1]
        ):
            # Otherwise shap explained some of the classes, and does not say which.
            self._numbers = np.broadcast_to(np.arange(sums.shape[1]), sums.shape)
            self._class_names = [] if names is None else [str(name) for name in names]
        if class_names is not None:
            self._class_names = self._checked_names(class_names)
        self._roles: list[list[tuple[str, ...]]] | None = None  # of each map
        self._empty = empty_taken_for(maps)
        self._targets: np.ndarray | None = None  # what the maps' outputs should be, (N, K')
        self._judge(None if labels is None else self._checked_labels(labels))
        if self._judged is not None and self._record is not None and maps.indexes is not None:
            self._roles = self._judged.roles(maps.indexes, self._record.kept)

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
                names_of(verdict.true),
                "" if right else Phrase("predicted ", verdict.prediction),
                probability_of(verdict.true),
                true=True,
                right=verdict.right,
            )
        if verdict.predicted is not None:
            share = probability_of(verdict.predicted)
            return Heading(names_of(verdict.predicted), "predicted", share)
        return Heading(f"image {row}")

    def output(self, row: int, column: int) -> Heading:
        """Returns the words at a map: its class, how probable that is, and what it adds up to.

        That is the way from the base value to the output.
        """
        index = None if self._numbers is None else int(self._numbers[row, column])
        change, clear = self._way(row, column), self._note(row, column)
        if index is None:
            names = self._map_names
            name = f"output {column}" if names is None else str(names[row, column])
            return Heading(Name(name), change, note=clear)
        true = index in [one.number for one in self._verdicts[row].true]
        name = Name(self._name(index))
        role = "" if self._roles is None else ", ".join(self._roles[row][column])
        role = role and f"  {role}"
        other = self._other(row)
        if other is not None:
            detail = Phrase("rather than ", Name(self._name(other)))
            return Heading(name, detail, role, true=true, note=join(change, clear))
        # Of a probability that was explained the way says where it ends.
        known = None if self._judged is None else self._judged.probability(row, index)
        sure = "" if known is None or self._explains_probability else percent(known)
        return Heading(name, join(sure, change), role, true=true, note=clear)

    def method(self, rows: list[int]) -> list[str]:
        """Returns how some of the images were explained."""
        record = self._record
        if record is None:
            return []
        missing = self._missing(rows)
        grid = (
            [f"{record.grid[0]} \N{MULTIPLICATION SIGN} {record.grid[1]} grid"]
            if record.grid
            else []
        )
        regions = counted(record.regions[rows], "region")
        regions += " that follow the image" * record.follows_image
        named = record.masker.endswith(("masker", "background"))
        evaluations = counted(record.evaluations[rows], "evaluation")
        evaluations += ", every coalition: exact" * bool(record.exact[rows].all())
        return [
            record.method,
            *grid,
            evaluations,
            regions if _has_regions(record.method) else "every pixel",
            record.masker if named else f"{record.masker} masker",
            *_taken(record),
            *missing,
        ]

    def remarks(self, rows: list[int]) -> list[str]:
        """Returns what is to be known of maps that are noted, for some of the images."""
        return [each.remark for row in rows for each in self._empty[row] if each is not None][:1]

    def unit(self, height: int, width: int) -> tuple[str, float]:
        """Returns what the colours count, see :func:`unit_of`, and over how many pixels."""
        return unit_of(self._record), height * width / 100

    @property
    def _explains_probability(self) -> bool:
        return self._record is not None and self._record.output == "probability"

    def _resolved(self, row: int) -> int | None:
        """Returns how many regions of an image were resolved, None if another count says more."""
        record = self._record
        if record is None or record.clear is not None or not _has_regions(record.method):
            return None
        return int(record.regions[row])

    def _other(self, row: int) -> int | None:
        """Returns the class that a contrast is drawn against, None where there is none."""
        against = None if self._record is None else self._record.against
        if against is None or self._record is None:
            return None
        return int(self._record.classes.of(against[row]))

    def _way(self, row: int, column: int) -> str:
        """Returns the way from base value to output, and what this should be if that is known."""
        if self._outputs is None:
            return ""
        base = None if self._base is None else self._base[row, column]
        output = self._outputs[row, column]
        if self._explains_probability:
            change = way(None if base is None else percent(base), percent(output))
        else:
            change = way(*alike(base, output))
        if self._targets is None or np.isnan(self._targets[row, column]):
            return change
        return join(change, f"true {number(self._targets[row, column])}")

    def _note(self, row: int, column: int) -> Phrase:
        """Says how many regions are clear of zero, and if the empty image has the class already."""
        record, empty = self._record, self._empty[row][column]
        clear = ""
        if record is not None and record.clear is not None:
            regions = int(record.regions[row])
            clear = f"{round(record.clear[row, column] * regions)} of {regions} regions clear"
        return join(clear, "" if empty is None else empty.short)

    def _missing(self, rows: list[int]) -> list[str]:
        """Says what share of the change from base to output the maps lack, where it is large."""
        record = self._record
        if record is None or self._outputs is None or self._base is None:
            return []
        change = float(np.abs(self._outputs - self._base)[rows].sum())
        share = float(record.additivity_gap[rows].sum()) / (change or 1)
        return [f"{whole_percent(share)} of the change is missing"] if share > MISSING else []

    def _judge(self, labels: np.ndarray | None) -> None:
        """Takes in what is true, as checked; what the record says where None."""
        if self._record is not None and self._classes is not None and self._numbers is not None:
            self._judged = self._record.judge(labels, self._class_names)
            self._verdicts = self._judged
            labels = self._record.labels if labels is None else labels
            if self._classes.values and labels is not None:
                self._targets = np.take_along_axis(labels, self._numbers, axis=1)
        elif labels is not None:
            self._verdicts = [
                Verdict((Candidate(label, self._name(label)),) if label >= 0 else ())
                for label in labels.tolist()
            ]

    def _name(self, index: int) -> str:
        return self._class_names[index] if index < len(self._class_names) else f"class {index}"

    def _checked_names(self, names: Sequence[str]) -> list[str]:
        if self._classes is not None:
            return self._classes.named(names).tolist()
        if isinstance(names, str):
            raise ArgumentTypeError(
                "class_names", f"got the string {names!r}; give a list of names"
            )
        return [str(name) for name in names]

    def _checked_labels(self, labels: Sequence[Any] | np.ndarray) -> np.ndarray:
        checked, images = np.asarray(labels), self._maps[0]
        if len(checked) != images or checked.ndim not in (1, 2):
            raise ArgumentError(
                "labels", f"have shape {checked.shape}; give one class for each of {images} images"
            )
        if self._classes is not None:
            return self._classes.checked(checked)
        if checked.dtype.kind not in "iu" or checked.ndim != 1:
            raise ArgumentError(
                "labels",
                f"have shape {checked.shape} and type {checked.dtype}; "
                f"give one whole number for each of {images} images",
            )
        return checked


def unit_of(record: "Record | None") -> str:
    """Returns what the colours of a map count, in words.

    A value of one pixel says nothing to a reader, and regions, patches and pixels of different
    sizes cannot be compared: a hundredth of the image is the same for every method and image.
    """
    what = "output" if record is None or record.output == "custom" else record.output
    return f"{what} per 1 % of the image"


def _taken(record: "Record") -> list[str]:
    """Returns what the model's outputs were taken for, where that is no plain logit, or a guess."""
    if record.returns is None or (record.returns == "logits" and not record.returns_guessed):
        return []
    return [f"{'taken for' if record.returns_guessed else 'returns'} {record.returns}"]


def _has_regions(method: str) -> bool:
    return method not in METHODS or METHODS[method].has_regions
