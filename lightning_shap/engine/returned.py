"""Judges what a model returns, by the operation that made its outputs and by their values."""

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from lightning_shap.explanation.classes import Returns

SLACK = 1e-6  # beyond 0 and 1, for rounding
OFF = 1e-3  # that shares of one may add up to something else
VARIED, LOW, HIGH = 16, 0.1, 0.9  # so many rows, from near 0 to near 1 and never beyond


@dataclass
class Returned:
    """Facts seen of a model's outputs, in all calls so far.

    What several processes or epochs saw can be joined, in any order and more than once, and one
    judgement is made of it all. Outputs beyond 0 and 1 are no probabilities, whatever comes later.

    Attributes:
        operation: What made the outputs, None where it was not seen.
        rows: How many were seen, at least.
        least: The smallest output.
        most: The largest.
        off: By how much a row's sum differs from one, at most.
        off_exp: The same of the outputs' exponentials.
        outputs: How many there are, K.
        is_head: They are one of several heads, which a function of the user's picked.
        notes: What a user should know of them.
    """

    operation: Returns | None = None
    rows: int = 0
    least: float = np.inf
    most: float = -np.inf
    off: float = 0.0
    off_exp: float = 0.0
    outputs: int = 0
    is_head: bool = False
    notes: list[str] = field(default_factory=list)

    def see(self, outputs: np.ndarray) -> None:
        """Takes in some outputs, float64 (R, K)."""
        if not len(outputs):
            return
        with np.errstate(over="ignore"):
            exponentials = np.exp(outputs).sum(axis=1)
        self._widen(
            self.rows + len(outputs),
            float(outputs.min()),
            float(outputs.max()),
            float(np.abs(outputs.sum(axis=1) - 1).max()),
            float(np.abs(exponentials - 1).max()),
        )
        self.outputs = outputs.shape[1]

    def join(self, other: "Returned") -> None:
        """Takes in what another process, or a later epoch, has seen."""
        self.operation = other.operation or self.operation
        self.outputs = other.outputs or self.outputs
        self.is_head = other.is_head or self.is_head
        for words in other.notes:
            self.note(words)
        self._widen(other.rows, other.least, other.most, other.off, other.off_exp)

    def note(self, words: str) -> None:
        """Notes what a user should know, once."""
        if words not in self.notes:
            self.notes.append(words)

    def judge(self, multi_label: bool) -> tuple[Returns, bool]:
        """Returns what the outputs are, and whether that is a guess.

        Args:
            multi_label: Several classes may be true at once.
        """
        inside = self.least >= -SLACK and self.most <= 1 + SLACK
        if self.operation == "probabilities" and inside:
            return "probabilities", False
        if self.operation == "log-probabilities" and self.most <= SLACK:
            return "log-probabilities", False
        if self.operation == "logits":
            return "logits", False
        several = self.outputs > 1
        if not inside:
            logarithms = several and self.off_exp <= OFF and self.most <= SLACK
            return ("log-probabilities", True) if logarithms else ("logits", False)
        varied = self.rows >= VARIED and self.least < LOW and self.most > HIGH
        if (several and self.off <= OFF) or ((multi_label or not several) and varied):
            return "probabilities", True
        return "logits", True

    def state(self) -> list[Any]:
        """Returns what a resumed run goes on from: all but the notes."""
        return list(asdict(self).values())[:-1]

    def _widen(self, rows: int, least: float, most: float, off: float, off_exp: float) -> None:
        self.rows = max(self.rows, rows)
        self.least, self.most = min(self.least, least), max(self.most, most)
        self.off, self.off_exp = max(self.off, off), max(self.off_exp, off_exp)
