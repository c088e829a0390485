"""Captions: what a picture says in words of its images, its classes and how they were explained."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lightning_shap.errors import ArgumentError, ArgumentTypeError
from lightning_shap.maps import Maps, maps_of
from lightning_shap.methods.registry import METHODS

if TYPE_CHECKING:
    import shap

    from lightning_shap.classes import Classes
    from lightning_shap.explanation import Record


@dataclass(frozen=True)
class Heading:
    """The words over one cell.

    Attributes:
        name: Of a class, of an image's true classes or of a value.
        detail: Its probability or output.
        true: It is the image's true class, or one of them.
        right: Whether the model predicted what is true, None if that is not known.
    """

    name: str
    detail: str = ""
    true: bool = False
    right: bool | None = None


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
        # Attributions and base value add up to the output, which a plain explanation leaves unsaid.
        self._outputs = None if maps.base is None else sums + maps.base

        self._record = maps.record
        self._classes: Classes | None = None  # what the outputs stand for
        self._numbers: np.ndarray | None = None  # of each map's class, (N, K')
        self._probabilities: np.ndarray | None = None  # of all classes, (N, C)
        self._predicted: np.ndarray | None = None  # classes of each image, bool (N, C)
        self._class_names: list[str] = []  # of the first classes or all
        names = maps.names
        self._map_names = None if names is None else np.broadcast_to(names, sums.shape)
        if self._record is not None and maps.indexes is not None:
            self._read(self._record, maps.indexes)
            labels = self._record.labels if labels is None else labels
        elif (names is None or names.ndim == 1) and (
            class_names is None or len(class_names) == sums.shape[1]
        ):
            # Otherwise shap explained some of the classes, and does not say which.
            self._numbers = np.broadcast_to(np.arange(sums.shape[1]), sums.shape)
            self._class_names = [] if names is None else [str(name) for name in names]
        if class_names is not None:
            self._class_names = self._checked_names(class_names)
        self._true: list[list[int]] = [[]] * len(sums)  # classes of each image
        self._right: list[bool | None] = [None] * len(sums)
        self._targets: np.ndarray | None = None  # what the maps' outputs should be, (N, K')
        if labels is not None:
            self._judge(self._checked_labels(labels))

    def image(self, row: int) -> Heading:
        """The words over an image: its true classes, else the predicted ones."""
        predicted = None if self._predicted is None else np.flatnonzero(self._predicted[row])
        true, right = self._true[row], self._right[row]
        if true or right is not None:
            probability = self._probability(row, true[0]) if len(true) == 1 else ""
            mistaken = "" if right or predicted is None else f"predicted {self._names(predicted)}"
            detail = _joined(probability, mistaken)
            return Heading(self._names(true), detail, true=True, right=right)
        if predicted is not None:
            probability = self._probability(row, predicted[0]) if len(predicted) == 1 else ""
            return Heading(self._names(predicted), _joined("predicted", probability))
        return Heading(f"image {row}")

    def output(self, row: int, column: int) -> Heading:
        """The words over a heat map: its class and how sure the model is of it, or its value."""
        index = None if self._numbers is None else int(self._numbers[row, column])
        detail = "" if index is None else self._probability(row, index)
        if not detail and self._outputs is not None:
            detail = self._amount(row, column)
        if index is None:
            names = self._map_names
            return Heading(f"output {column}" if names is None else str(names[row, column]), detail)
        return Heading(self._name(index), detail, true=index in self._true[row])

    def method(self, rows: int) -> list[str]:
        """How the first ``rows`` images were explained."""
        record = self._record
        if record is None:
            return []
        grid = (
            [f"{record.grid[0]} \N{MULTIPLICATION SIGN} {record.grid[1]} grid"]
            if record.grid
            else []
        )
        resolves_regions = record.method not in METHODS or METHODS[record.method].has_regions
        named = record.masker.endswith(("masker", "background"))
        return [
            record.method,
            *grid,
            _counted(record.evaluations[:rows], "evaluation"),
            _counted(record.regions[:rows], "region") if resolves_regions else "every pixel",
            record.masker if named else f"{record.masker} masker",
        ]

    @property
    def unit(self) -> str:
        """What was explained."""
        known = self._record is not None and self._record.output != "custom"
        return self._record.output if self._record is not None and known else "output"

    def _read(self, record: "Record", indexes: np.ndarray) -> None:
        self._classes = record.classes
        self._numbers = record.classes.of(indexes)
        self._outputs = np.take_along_axis(record.outputs, indexes, axis=1)
        self._predicted = record.predicted
        self._class_names = [str(name) for name in record.class_names]
        if record.probabilities is not None:
            self._probabilities = record.classes.probabilities(record.probabilities)

    def _judge(self, labels: np.ndarray) -> None:
        """Takes in what is true, as the record keeps it."""
        if self._classes is None or self._numbers is None:
            self._true = [[label] if label >= 0 else [] for label in labels.tolist()]
        elif self._classes.values:
            self._targets = np.take_along_axis(labels, self._numbers, axis=1)
        else:
            self._true = [np.flatnonzero(row).tolist() for row in self._classes.true(labels)]
            self._right = self._classes.right(labels, self._predicted)

    def _probability(self, row: int, index: int) -> str:
        if self._probabilities is None:
            return ""
        probability = float(self._probabilities[row, index])
        if probability < 0.0005:
            return "<0.1 %"
        return ">99.9 %" if probability >= 0.9995 else f"{100 * probability:.1f} %"

    def _amount(self, row: int, column: int) -> str:
        """The output of a map, and what it should be where that is known."""
        assert self._outputs is not None
        output = _number(self._outputs[row, column])
        if self._classes is None or not self._classes.values:
            return f"output {output}"
        target = np.nan if self._targets is None else self._targets[row, column]
        return _joined(output, "" if np.isnan(target) else f"true {_number(target)}")

    def _name(self, index: int) -> str:
        return self._class_names[index] if index < len(self._class_names) else f"class {index}"

    def _names(self, indices: Iterable[int]) -> str:
        return ", ".join(map(self._name, indices)) or "no class"

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


def _number(number: float) -> str:
    """To three digits, in full where that is short enough."""
    text = f"{number:.3g}"
    if "e+0" in text:
        text = f"{number:.0f}"
    return text.replace("-", "\N{MINUS SIGN}")


def _joined(*parts: str) -> str:
    return " · ".join(filter(None, parts))


def _counted(numbers: np.ndarray, noun: str) -> str:
    low, high = int(numbers.min()), int(numbers.max())
    span = f"{low}" if low == high else f"{low}\N{EN DASH}{high}"
    return f"{span} {noun}{'s' * (high != 1)}"
