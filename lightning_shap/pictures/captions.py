"""Captions: what a picture says in words of its images, its classes and how they were explained."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import shap

    from lightning_shap.explanation import Record


@dataclass(frozen=True)
class Heading:
    """The words over one cell.

    Attributes:
        name: Of a class.
        detail: Its probability or output.
        true: It is the image's true class.
        right: Whether the model predicted the true class, None if that is not known.
    """

    name: str
    detail: str = ""
    true: bool = False
    right: bool | None = None


class Captions:
    """The words of a grid, from whatever is known of its explanation.

    Args:
        explanation: Of N images and K' outputs each; one without ``.record`` has less to say.
        labels: True classes (N,), -1 where unknown; those of the record where None.
        class_names: A name for each class; those of the explanation where None.
    """

    def __init__(
        self,
        explanation: "shap.Explanation",
        labels: Sequence[int] | np.ndarray | None = None,
        class_names: Sequence[str] | None = None,
    ) -> None:
        sums = np.asarray(explanation.values).sum((1, 2, 3))
        sums = sums.reshape(len(sums), -1)  # (N, K'), also where a single output has no axis
        names, base = explanation.output_names, explanation.base_values
        self._maps = sums.shape
        # Attributions and base value add up to the output, which a plain explanation leaves unsaid.
        self._outputs = None if base is None else sums + np.reshape(base, (-1, sums.shape[1]))

        self._record: Record | None = getattr(explanation, "record", None)
        self._classes: np.ndarray | None = None  # of each map, (N, K')
        self._probabilities: np.ndarray | None = None  # of all classes, (N, K)
        self._predicted: np.ndarray | None = None  # class of each image, (N,)
        self._class_names: list[str] = []  # of the first classes or all
        self._map_names = None if names is None else np.broadcast_to(names, sums.shape)
        if self._record is not None:
            self._read(self._record, np.asarray(explanation.output_indexes))
            labels = self._record.labels if labels is None else labels
        elif np.ndim(names) < 2 and (class_names is None or len(class_names) == sums.shape[1]):
            # Otherwise shap explained some of the classes, and does not say which.
            self._classes = np.broadcast_to(np.arange(sums.shape[1]), sums.shape)
            self._class_names = [] if names is None else [str(name) for name in names]
        if class_names is not None:
            self._class_names = self._checked_names(class_names)
        self._labels = self._checked_labels(labels)

    def image(self, row: int) -> Heading:
        """The words over an image: its true class, else the predicted one."""
        predicted = None if self._predicted is None else int(self._predicted[row])
        label = -1 if self._labels is None else int(self._labels[row])
        if label >= 0:
            right = None if predicted is None else predicted == label
            mistaken = "" if predicted is None or right else f"predicted {self._name(predicted)}"
            detail = _joined(self._probability(row, label), mistaken)
            return Heading(self._name(label), detail, true=True, right=right)
        if predicted is not None:
            detail = _joined("predicted", self._probability(row, predicted))
            return Heading(self._name(predicted), detail)
        return Heading(f"image {row}")

    def output(self, row: int, column: int) -> Heading:
        """The words over a heat map: its class and how sure the model is of it."""
        index = None if self._classes is None else int(self._classes[row, column])
        detail = "" if index is None else self._probability(row, index)
        if not detail and self._outputs is not None:
            detail = f"output {self._outputs[row, column]:.3g}".replace("-", "\N{MINUS SIGN}")
        if index is None:
            names = self._map_names
            return Heading(f"output {column}" if names is None else str(names[row, column]), detail)
        true = self._labels is not None and index == self._labels[row]
        return Heading(self._name(index), detail, true=true)

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
        named = record.masker.endswith(("masker", "background"))
        return [
            record.method,
            *grid,
            _counted(record.evaluations[:rows], "evaluation"),
            "every pixel"
            if record.method in ("gradient", "deep")
            else _counted(record.regions[:rows], "region"),
            record.masker if named else f"{record.masker} masker",
        ]

    @property
    def unit(self) -> str:
        """What was explained."""
        known = self._record is not None and self._record.output != "custom"
        return self._record.output if self._record is not None and known else "output"

    def _read(self, record: "Record", indexes: np.ndarray) -> None:
        images, outputs = record.outputs.shape
        if images != self._maps[0]:
            raise ValueError(
                f"explanation: is a slice, {self._maps[0]} of {images} images; "
                "give the whole one, and max_rows for fewer rows"
            )
        self._classes, self._probabilities = indexes, record.probabilities
        self._class_names = [str(name) for name in record.class_names]
        if outputs > 1:
            self._predicted = record.outputs.argmax(axis=1)
            return
        # A single output speaks for class 1 of two.
        self._classes = indexes + 1
        self._class_names = _both(self._class_names)
        if record.probabilities is not None:
            self._probabilities = np.hstack([1 - record.probabilities, record.probabilities])
            self._predicted = self._probabilities.argmax(axis=1)

    def _probability(self, row: int, index: int) -> str:
        if self._probabilities is None:
            return ""
        probability = float(self._probabilities[row, index])
        if probability < 0.0005:
            return "<0.1 %"
        return ">99.9 %" if probability >= 0.9995 else f"{100 * probability:.1f} %"

    def _name(self, index: int) -> str:
        return self._class_names[index] if index < len(self._class_names) else f"class {index}"

    def _checked_names(self, names: Sequence[str]) -> list[str]:
        if isinstance(names, str):
            raise TypeError(f"class_names: got the string {names!r}; give a list of names")
        classes = self._class_count()
        names = [str(name) for name in names]
        names = _both(names) if classes == 2 else names
        if classes is not None and len(names) != classes:
            raise ValueError(f"class_names: got {len(names)} names for {classes} classes")
        return names

    def _checked_labels(self, labels: Sequence[int] | np.ndarray | None) -> np.ndarray | None:
        if labels is None:
            return None
        checked, images = np.asarray(labels), self._maps[0]
        if checked.dtype.kind not in "iu" or checked.shape != (images,):
            raise ValueError(
                f"labels: have shape {checked.shape} and type {checked.dtype}; "
                f"give one whole number for each of {images} images"
            )
        classes = self._class_count()
        wrong = checked[checked >= (classes or np.inf)]
        if wrong.size:
            upper = "" if classes is None else f" to {classes - 1}"
            raise ValueError(f"labels: hold {wrong[0]}; give classes from 0{upper}")
        return checked

    def _class_count(self) -> int | None:
        return None if self._record is None else max(2, int(self._record.outputs.shape[1]))


def _both(names: list[str]) -> list[str]:
    """The names of two classes, where only the second may have one."""
    return [f"not {names[0]}", names[0]] if len(names) == 1 else names


def _joined(*parts: str) -> str:
    return " · ".join(filter(None, parts))


def _counted(numbers: np.ndarray, noun: str) -> str:
    low, high = int(numbers.min()), int(numbers.max())
    span = f"{low}" if low == high else f"{low}\N{EN DASH}{high}"
    return f"{span} {noun}{'s' * (high != 1)}"
