"""Say which of many predictions to look at first, with a bounded number of them in memory."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from lightning_shap.engine.outputs import (
    Output,
    is_head,
    make_probabilities,
    make_scorer,
    read_returns,
)
from lightning_shap.engine.returned import Returned
from lightning_shap.engine.truth import FoundLabels, find_returns, keep_labels
from lightning_shap.explanation.classes import Classes, Returns
from lightning_shap.explanation.verdicts import Verdicts
from lightning_shap.training.samples.samples import Samples

DIGITS = 6  # of a probability: in other batches, its last ones are others


@dataclass(frozen=True)
class Prediction:
    """Holds an image, what is true of it, and what a model made of it.

    Attributes:
        place: Of the image, in the order in which the data comes.
        image: (C, H, W).
        label: Its row of labels, or None.
        right: None where nobody knows.
        confusion: What was taken for what.
        mistaken: How sure the model was of what is wrong, 0 to 1.
        sure: How sure it was of its least sure decision, 0 to 1.
    """

    place: int
    image: torch.Tensor
    label: torch.Tensor | None
    right: bool | None
    confusion: bytes
    mistaken: float
    sure: float

    @property
    def apart(self) -> "Prediction":
        """Returns the prediction with an image of its own, as the host goes on to use its own."""
        return replace(self, image=self.image.detach().cpu().clone())


class Shortlist:
    """Keeps the mistakes and the least sure predictions among all that it is shown.

    What it keeps is what it would keep if it saw all predictions at once: one that ``wanted``
    others come before is never needed again, whatever follows. So the lists of several processes
    make up the list of all.

    Args:
        wanted: How many predictions are to be picked from it in the end.

    Attributes:
        seen: How many predictions it was shown.
        judged: Of how many of them it is known whether they are right.
        wrong: How many are not.
    """

    def __init__(self, wanted: int) -> None:
        self.wanted = wanted
        self.seen = self.judged = self.wrong = 0
        self.mistakes: list[Prediction] = []
        self.unsure: list[Prediction] = []

    def add(self, predictions: Sequence[Prediction]) -> None:
        """Takes in more predictions; only those that are kept are copied from their batch."""
        self.seen += len(predictions)
        self.judged += sum(one.right is not None for one in predictions)
        self.wrong += sum(one.right is False for one in predictions)
        new = {id(one) for one in predictions}
        self._keep(
            self.mistakes + [one for one in predictions if one.right is False],
            [*self.unsure, *predictions],
        )
        copies: dict[int, Prediction] = {}
        for kept in (self.mistakes, self.unsure):
            for number, one in enumerate(kept):
                if id(one) in new:
                    kept[number] = copies.setdefault(id(one), one.apart)

    def joined(self, others: Iterable["Shortlist"]) -> "Shortlist":
        """Returns the list of all that this one and others were shown."""
        both = Shortlist(self.wanted)
        for one in (self, *others):
            both.seen += one.seen
            both.judged += one.judged
            both.wrong += one.wrong
            both._keep(both.mistakes + one.mistakes, both.unsure + one.unsure)
        return both

    def first_mistakes(self) -> list[Prediction]:
        """Returns the mistakes, and what is right but least sure where there are too few."""
        picked = _different(self.mistakes)[: self.wanted]
        others = [one for one in self.unsure if one.right is not False]
        return _different([*picked, *others])[: self.wanted]

    def least_sure(self) -> list[Prediction]:
        """Returns the least sure ones, the very least sure first."""
        return _different(self.unsure)[: self.wanted]

    def _keep(self, mistakes: list[Prediction], unsure: list[Prediction]) -> None:
        # Twice as many, for some may be the same image again, or mistakes.
        most = 2 * self.wanted
        self.mistakes = _in_turn(mistakes)[:most]
        self.unsure = sorted(unsure, key=lambda one: (one.sure, one.place))[:most]


@dataclass(frozen=True)
class Judge:
    """Reads predictions off a model's outputs, as explanations of it do.

    Attributes:
        output: What the raw output is; see :func:`lightning_shap.explain`.
        returns: What the model returns, None to judge by what was seen of it.
        multi_label: Several classes may be true at once.
        labels_chosen: Somebody said which labels of the data are true.
        returned: What was seen of the model's outputs before.
        highest: The highest class number in the data, as far as it is known.
    """

    output: Output = "logit"
    returns: Returns | None = None
    multi_label: bool = False
    labels_chosen: bool = False
    returned: Returned | None = None
    highest: int | None = None

    def predictions(
        self, samples: Samples, raw: Any, places: Sequence[int]
    ) -> list[Prediction] | None:
        """Returns what a model made of some images; None if it gave no scores of classes for them.

        Args:
            samples: Images (N, C, H, W), wherever they are, and their labels.
            raw: What the model returned.
            places: Of the images in the order of the data.
        """
        try:
            scores = make_scorer(self.output)(raw).detach().cpu()
        except ValueError:  # it is something else than scores
            return None
        if len(scores) != len(samples) or not scores.shape[1]:
            return None
        multi_label = self.multi_label
        classes = Classes(scores.shape[1], multi_label=multi_label)
        highest = [each for each in (self.highest, samples.highest) if each is not None]
        found = FoundLabels(self.labels_chosen, bool(samples.binary), max(highest, default=None))
        seen = Returned(is_head=callable(self.output) and is_head(raw, scores))
        seen.see(scores.numpy())
        if self.returned is not None:
            seen.join(self.returned)
        told = read_returns(self.returns, self.output)
        told = told or find_returns(self.output, None, found, classes, seen)
        taken = told or seen.judge(multi_label)[0]
        if taken == "values":
            return None
        shares = make_probabilities(scores, taken, multi_label).numpy()
        given = None if samples.labels is None else samples.labels.numpy()
        labels = keep_labels(given, classes, found, seen)
        verdicts = Verdicts(classes, scores.numpy(), shares, labels)
        true, predicted, by_class = verdicts.true, verdicts.predicted, verdicts.probabilities
        assert predicted is not None  # values were sent back above
        assert by_class is not None
        decided = by_class.max(1, keepdims=True)
        differ = np.ones_like(decided, dtype=bool)
        if multi_label:
            decided, differ = np.maximum(by_class, 1 - by_class), predicted != true
        mistaken = np.where(differ, decided, 0).max(axis=1).round(DIGITS)
        sure = decided.min(axis=1).round(DIGITS)
        return [
            Prediction(
                place,
                samples.images[row],
                None if samples.labels is None else samples.labels[row],
                verdicts.right[row],
                true[row].tobytes() + predicted[row].tobytes(),
                float(mistaken[row]),
                float(sure[row]),
            )
            for row, place in enumerate(places)
            if np.isfinite(sure[row])
        ]


def samples_of(predictions: Sequence[Prediction]) -> Samples:
    """Returns the images and labels of predictions."""
    labels = [one.label for one in predictions if one.label is not None]
    complete = len(labels) == len(predictions)
    return Samples(
        torch.stack([one.image for one in predictions]), torch.stack(labels) if complete else None
    )


def _in_turn(mistakes: Sequence[Prediction]) -> list[Prediction]:
    """Returns mistakes by confusions in turn, the surest of each first."""
    surest = sorted(mistakes, key=lambda one: (-one.mistaken, one.place))
    turns: Counter[bytes] = Counter()
    ranked = []
    for one in surest:
        ranked.append((turns[one.confusion], one))
        turns[one.confusion] += 1
    return [one for _, one in sorted(ranked, key=lambda pair: pair[0])]


def _different(predictions: Iterable[Prediction]) -> list[Prediction]:
    """Returns those whose image came not before, and has the size of the first."""
    kept: list[Prediction] = []
    for one in predictions:
        if kept and one.image.shape != kept[0].image.shape:
            continue
        if not any(torch.equal(one.image, other.image) for other in kept):
            kept.append(one)
    return kept
