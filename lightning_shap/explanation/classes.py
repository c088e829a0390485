"""Classes: what a model's outputs stand for, which of them are true, and which it predicts.

Outputs and classes are numbered alike but for one case: a single output stands for the second of
two classes, and the first has none of its own. Outputs that are values, as in a regression, stand
for themselves. All who count, name or judge classes ask here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from lightning_shap.errors import ArgumentError, ArgumentTypeError, blame, show

Returns = Literal["logits", "probabilities", "log-probabilities", "values"]
"""The kinds of outputs that models have."""


@dataclass(frozen=True)
class Classes:
    """Tells what K outputs stand for.

    Args:
        outputs: How many there are, K.
        values: They are values, not scores of classes. "Classes" below are then these values, of
            which none is predicted.
        multi_label: Several classes may be true at once.
    """

    outputs: int
    values: bool = False
    multi_label: bool = False

    @property
    def count(self) -> int:
        """Counts the classes, C: K, or two where a single output stands for the second."""
        return self.outputs + self._unspoken

    @property
    def independent(self) -> bool:
        """Tells if an output's probability is its own sigmoid, not its share of a softmax."""
        return self.multi_label or self.outputs == 1

    def find(self, outputs: np.ndarray) -> np.ndarray:
        """Returns the classes that some outputs, given by index, stand for."""
        return outputs + self._unspoken

    def pick_outputs(self, by_class: np.ndarray) -> np.ndarray:
        """Returns (N, K), of those classes that have an output, from what all have, (N, C)."""
        return by_class[:, self._unspoken :]

    def name(self, names: Sequence[str] | None) -> np.ndarray:
        """Returns a name for each class, str (C,).

        Args:
            names: Of the classes, or of the second of two alone; None for numbers, as blank ones.

        Raises:
            ArgumentTypeError: If this is a single string.
            ArgumentError: If there are too many or too few.
        """
        noun = "output" if self.values else "class"
        numbered = [f"{noun} {index}" for index in range(self.count)]
        if names is None:
            return np.array(numbered)
        if isinstance(names, str):
            raise ArgumentTypeError(
                "class_names", f"got the string {names!r}; give a list of names"
            )
        with blame("class_names", f"got {show(names)}; give a list of names"):
            given = [str(name) for name in names]
        if self._unspoken and len(given) == 1:
            given = [f"not {given[0]}", *given]
        if len(given) != self.count:
            there_are = f"{self.count} {'values' if self.values else 'classes'}"
            raise ArgumentError(
                "class_names", f"got {len(given)} names, but the model has {there_are}"
            )
        pairs = zip(given, numbered, strict=True)
        return np.array([name if name.strip() else number for name, number in pairs])

    def read_labels(self, labels: np.ndarray) -> np.ndarray:
        """Returns what is true of each image, in the one form that fits these outputs.

        Args:
            labels: Class numbers (N,), negative where unknown; zeros and ones (N, C), where an
                image may have several classes; or numbers (N,) or (N, K), where outputs are values.

        Returns:
            int (N,), -1 where unknown; bool (N, C); or float64 (N, K).

        Raises:
            ArgumentTypeError: If they are fractions, and outputs stand for classes.
            ArgumentError: If there are no such classes.
        """
        if self.values:
            numbers = labels.reshape(len(labels), -1).astype(np.float64)
            if numbers.shape[1] != self.outputs:
                raise ArgumentError(
                    "labels",
                    f"have shape {labels.shape}; give the true value of each of {self.outputs} "
                    "outputs",
                )
            return numbers
        if labels.ndim == 2 and labels.shape[1] == 1:
            labels = labels[:, 0]
        if labels.ndim == 2:
            return self._several(labels)
        if labels.dtype.kind not in "biu":
            raise ArgumentTypeError(
                "labels",
                f"got {labels.dtype} values; give whole class numbers "
                "(or output='value', if the model's outputs are values)",
            )
        wrong = labels[labels >= self.count]
        if wrong.size:
            raise ArgumentError(
                "labels",
                f"hold {wrong[0]}, but there are {self.count} classes, 0 to {self.count - 1}",
            )
        return np.maximum(labels.astype(np.int64), -1)

    def mark_true(self, labels: np.ndarray) -> np.ndarray:
        """Returns the true classes, bool (N, C), by checked labels; none of values."""
        if self.values:
            return np.zeros((len(labels), self.count), dtype=bool)
        return labels if labels.ndim == 2 else _one_hot(labels, self.count)

    def probabilities(self, probabilities: np.ndarray) -> np.ndarray:
        """Returns the probabilities of all classes, (N, C), by those of the outputs, (N, K)."""
        if not self._unspoken:
            return probabilities
        return np.hstack([1 - probabilities, probabilities])

    def predict(self, outputs: np.ndarray, probabilities: np.ndarray | None) -> np.ndarray | None:
        """Returns the predicted classes, bool (N, C), None if there is no saying.

        It is the highest, or where several may be true at once, those more likely than not.

        Args:
            outputs: (N, K).
            probabilities: Of the outputs, (N, K), None if they are not known.
        """
        if self.values:
            return None
        if not self._unspoken and not self.multi_label:
            # Not by probabilities, which may be equal where outputs still differ.
            return _one_hot(outputs.argmax(axis=1), self.count)
        if probabilities is None:
            return None
        by_class = self.probabilities(probabilities)
        return by_class > 0.5 if self.multi_label else _one_hot(by_class.argmax(axis=1), self.count)

    def compare(self, labels: np.ndarray, predicted: np.ndarray | None) -> list[bool | None]:
        """Tells if the predicted classes of each image are its true ones, None where unknown.

        Where there is one prediction for several true classes, any of them will do.

        Args:
            labels: As :meth:`read_labels`.
            predicted: bool (N, C), None if there is no saying.
        """
        if predicted is None:
            return [None] * len(labels)
        true = self.mark_true(labels)
        judged, agree = true.any(axis=1), (true & predicted).any(axis=1)
        if self.multi_label:
            agree = (true == predicted).all(axis=1)
            if labels.ndim == 2:  # that there are none is known, and can be predicted
                judged = np.ones_like(agree)
        pairs = np.column_stack([judged, agree]).tolist()
        return [right if known else None for known, right in pairs]

    @property
    def _unspoken(self) -> int:
        """Counts the classes without an output, which come before those that have one."""
        return 1 if self.outputs == 1 and not self.values else 0

    def _several(self, labels: np.ndarray) -> np.ndarray:
        """Returns zeros and ones (N, C) as booleans."""
        if labels.shape[1] != self.count:
            raise ArgumentError(
                "labels",
                f"have shape {labels.shape}; give one class for each of {len(labels)} images, "
                f"or zeros and ones ({len(labels)}, {self.count})",
            )
        other = labels[~np.isin(labels, (0, 1))]
        if other.size:
            raise ArgumentError(
                "labels", f"hold {other[0]}; give 1 for each true class, 0 for others"
            )
        return labels.astype(bool)


def _one_hot(classes: np.ndarray, count: int) -> np.ndarray:
    hot: np.ndarray = classes[:, None] == np.arange(count)
    return hot
