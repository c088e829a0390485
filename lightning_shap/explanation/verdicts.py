"""Verdicts: what is true of an image, what a model takes it for, how sure it is, and who is right.

Whoever shows or counts such a thing reads it here, so that no two say different things of an image.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lightning_shap.explanation.classes import Classes
from lightning_shap.explanation.phrases import Name, Phrase, join, number, percent


@dataclass(frozen=True)
class Candidate:
    """Names a class that is true of an image, or predicted for it.

    Attributes:
        number: Of the class.
        name: Of the class.
        probability: Which the model gives it for this image, None where that is not known.
    """

    number: int
    name: str
    probability: float | None = None


@dataclass(frozen=True)
class Verdict:
    """Says what is true of one image, and what a model makes of it.

    Attributes:
        true: The true classes; none where they are not known, and where it is known that no class
            is true.
        predicted: The predicted classes, None where there is no saying.
        right: Whether the prediction is true, None where nobody knows.
        value: The first output, where outputs are no scores of classes.
    """

    true: tuple[Candidate, ...] = ()
    predicted: tuple[Candidate, ...] | None = None
    right: bool | None = None
    value: float | None = None

    @property
    def is_true_known(self) -> bool:
        """Tells whether it is known what is true of the image."""
        return bool(self.true) or self.right is not None

    @property
    def prediction(self) -> Phrase:
        """Returns the predicted classes in short, as ``"dog 70.5 %"``; else the first value."""
        if self.predicted is None:
            return Phrase("" if self.value is None else number(self.value))
        return Phrase(join_names(self.predicted), write_probability(self.predicted))

    @property
    def truth(self) -> Phrase:
        """Returns the true classes in short, as ``"cat 25.9 %"``; empty where nobody knows them."""
        if not self.is_true_known:
            return Phrase()
        return Phrase(join_names(self.true), write_probability(self.true))

    @property
    def words(self) -> Phrase:
        """Returns all that is known: ``"cat 96.5 %"`` where it is right, else what is true as well.

        A mistake is ``"predicted dog 70.5 % · true cat 25.9 %"``.
        """
        if self.right and self.predicted == self.true:
            return self.truth
        return join(
            Phrase("predicted ", self.prediction) if self.predicted is not None else "",
            Phrase("true ", self.truth) if self.is_true_known else "",
        )


class Verdicts(Sequence[Verdict]):
    """Judges N images.

    Args:
        classes: What the outputs stand for.
        outputs: (N, K), every output for each image.
        probabilities: (N, K), those of the outputs, or None.
        labels: What is true, as ``Classes.read_labels`` returns it, or None.
        names: Of the C classes; their numbers where None.

    Attributes:
        predicted: bool (N, C), the predicted classes, None where there is no saying.
        right: Whether each prediction is true, None where nobody knows.
    """

    def __init__(
        self,
        classes: Classes,
        outputs: np.ndarray,
        probabilities: np.ndarray | None,
        labels: np.ndarray | None,
        names: Sequence[str] | np.ndarray | None = None,
    ) -> None:
        self._classes = classes
        self._outputs = outputs
        self._given = probabilities
        self._labels = labels
        self._given_names = names
        self.predicted = classes.predict(outputs, probabilities)
        self.right: list[bool | None] = (
            [None] * len(outputs) if labels is None else classes.compare(labels, self.predicted)
        )

    @cached_property
    def true(self) -> np.ndarray:
        """Returns the true classes, bool (N, C), none where they are not known."""
        if self._labels is None:
            return np.zeros((len(self), self._classes.count), dtype=bool)
        return self._classes.mark_true(self._labels)

    @cached_property
    def probabilities(self) -> np.ndarray | None:
        """Returns the probabilities of all classes, (N, C), None where they are not known."""
        return None if self._given is None else self._classes.probabilities(self._given)

    @cached_property
    def _names(self) -> Sequence[str] | np.ndarray:
        return self._classes.name(None) if self._given_names is None else self._given_names

    def probability(self, image: int, number: int) -> float | None:
        """Returns the probability of one class for one image, None where it is not known."""
        known = self.probabilities
        return None if known is None else float(known[image, number])

    def roles(
        self, explained: np.ndarray, kept: np.ndarray | None = None
    ) -> list[list[tuple[str, ...]]]:
        """Returns what the maps of each image are of, in words, as ``("predicted", "kept")``.

        A class is "true"; "predicted"; the "runner-up", whose output is the second highest; or it
        is "kept", though it is not true, to be compared over epochs. What is none of these has the
        place of its output, as "no. 3". Outputs that are values have no roles.

        Args:
            explained: int (N, K'), the outputs that have maps.
            kept: bool (N, K'), which maps are of the same class in all epochs, or None.
        """
        classes = self._classes
        if classes.values:
            return [[()] * explained.shape[1] for _ in explained]
        predicted = np.zeros_like(self.true) if self.predicted is None else self.predicted
        places = (-self._outputs).argsort(axis=1, kind="stable").argsort(axis=1)
        places = np.take_along_axis(places, explained, axis=1)
        facts = {
            role: np.take_along_axis(which, classes.find(explained), axis=1)
            for role, which in (("true", self.true), ("predicted", predicted))
        }
        if classes.outputs == 1:  # of two classes
            facts["runner-up"] = ~facts["predicted"] & (self.predicted is not None)
        elif not classes.multi_label:
            facts["runner-up"] = places == 1
        if kept is not None:
            facts["kept"] = kept & ~facts["true"]
        return [
            [
                tuple(role for role, holds in facts.items() if holds[image, output])
                or (f"no. {place + 1}",) * (classes.outputs > 1)
                for output, place in enumerate(of_image)
            ]
            for image, of_image in enumerate(places)
        ]

    def __len__(self) -> int:
        return len(self._outputs)

    def __getitem__(self, image: int) -> Verdict:  # type: ignore[override]  # no slices
        predicted = None if self.predicted is None else self.predicted[image]
        return Verdict(
            self._candidates(image, self.true[image]),
            None if predicted is None else self._candidates(image, predicted),
            self.right[image],
            float(self._outputs[image, 0]) if predicted is None else None,
        )

    def __iter__(self) -> Iterator[Verdict]:
        return (self[image] for image in range(len(self)))

    def _candidates(self, image: int, which: np.ndarray) -> tuple[Candidate, ...]:
        return tuple(
            Candidate(number, str(self._names[number]), self.probability(image, number))
            for number in np.flatnonzero(which).tolist()
        )


def join_names(candidates: Sequence[Candidate]) -> Name:
    """Returns the names of some classes as one."""
    return Name(", ".join(one.name for one in candidates) or "no class")


def write_probability(candidates: Sequence[Candidate]) -> str:
    """Returns what stands behind the name of a single class: ``" 70.5 %"``, if it is known.

    A name that ends in a digit is held apart from it, or "0 10 %" is read as one number.
    """
    if len(candidates) != 1 or candidates[0].probability is None:
        return ""
    apart = ": " if candidates[0].name[-1:].isdigit() else " "
    return f"{apart}{percent(candidates[0].probability)}"
