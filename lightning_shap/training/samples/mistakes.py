"""Choose the samples by predictions, once: mistakes, or what the model is least sure of."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from lightning_shap.engine.question import Question
from lightning_shap.engine.regions.image_tree import ImageTrees
from lightning_shap.explanation.explanation import ImageExplanation
from lightning_shap.explanation.record import Record
from lightning_shap.training.messages import inform
from lightning_shap.training.samples.fixed_batch import FixedBatch, Pick
from lightning_shap.training.samples.samples import Samples
from lightning_shap.training.shared_explainer import SharedExplainer

MOST_ROWS = 1024  # of a data set, that are predicted
AT_ONCE = 128  # rows in memory
UNSURE_SHARE = 4  # of "mixed": one sample of so many is one of the least sure
DIGITS = 6  # of a probability: in other batches, its last ones are others


@dataclass(frozen=True)
class Prediction:
    """Holds what a model makes of a row of the data.

    Attributes:
        row: Its number.
        right: None where nobody knows.
        confusion: What was taken for what.
        mistaken: How sure the model is of what is wrong, 0 to 1.
        sure: How sure it is of its least sure decision, 0 to 1.
    """

    row: int
    right: bool | None
    confusion: bytes
    mistaken: float
    sure: float


class MistakesFirst:
    """Chooses samples by what the model makes of the validation set, where that was asked for.

    Rows of it, the classes in turn, are explained at a glance, which costs two rows of the model
    each: what is right, and how sure it is, is then judged as it is of all samples.

    Args:
        batch: Of the samples, which says what was asked for, and takes what was chosen.
        question: What is asked of the model.
        explainer: Shares rows out to the ranks.
    """

    def __init__(self, batch: FixedBatch, question: Question, explainer: SharedExplainer) -> None:
        self.batch = batch
        self.question = question.glance()
        self.explainer = explainer
        self._hopeless = False

    @property
    def is_due(self) -> bool:
        """Returns whether samples are to be chosen, and are not yet; alike on all ranks."""
        pick = self.batch.pick
        chosen = pick is not None and pick.chosen
        return self.batch.by_predictions is not None and not chosen and not self._hopeless

    def choose(self) -> ImageExplanation | None:
        """Takes what the model gets wrong for samples. All ranks must call it.

        Returns:
            A glance at the new samples; None if there are none.
        """
        before = self.batch.pick
        if not self.is_due or before is None:
            return None
        predictions = self._predict(before) if before.rows is not None else None
        if not predictions:
            self._hopeless = True
            why = "rows of a stream have no numbers" if before.rows is None else "there are none"
            inform(f"ShapCallback cannot choose samples by predictions of classes: {why}")
            return None
        picked, rows = self._pick_from(predictions), list(before.rows or [])
        kept = rows[: self.batch.size - len(picked)] if self._is_mixed else []
        rows = [*kept, *(one.row for one in picked)]
        self.batch.pick = self._read(rows, before)
        wrong = sum(one.right is False for one in picked)
        unsure = len(picked) - wrong
        parts = [f"{wrong} mistakes"] if wrong else []
        parts += [f"{unsure} images that the model is least sure of"] if unsure else []
        count = len(predictions)
        inform(f"ShapCallback explains, from now on, {' and '.join(parts)} among {count} images")
        return self._glance(self.batch.pick.samples)

    @property
    def _is_mixed(self) -> bool:
        return self.batch.by_predictions == "mixed"

    def _predict(self, before: Pick) -> list[Prediction]:
        """Returns what the model makes of rows; nothing if its outputs are no scores."""
        rows = self.explainer.ranks.run_on_first(lambda: self.batch.spread_rows(MOST_ROWS))
        found: list[Prediction] = []
        for start in range(0, len(rows), AT_ONCE):
            some = rows[start : start + AT_ONCE]
            seen = self._glance(self._read(some, before).samples)
            found += [] if seen is None else judge(seen.record, some)
        return found

    def _read(self, rows: Sequence[int], before: Pick) -> Pick:
        """Returns rows on all ranks, with what is known of all labels."""
        pick = self.explainer.ranks.run_on_first(lambda: self.batch.read(rows))
        samples = replace(pick.samples, highest=before.samples.highest)
        return replace(pick, samples=samples, chosen=True)

    def _glance(self, samples: Samples) -> ImageExplanation | None:
        seen = self.explainer.explain(samples, self.question, trees=ImageTrees(), is_measured=False)
        return None if isinstance(seen, str) else seen[0]

    def _pick_from(self, predictions: Sequence[Prediction]) -> list[Prediction]:
        wanted = self.batch.size
        if self._is_mixed:
            return rank_unsure(predictions)[: max(1, wanted // UNSURE_SHARE)]
        return [*rank_mistakes(predictions), *rank_unsure(predictions, wrong=False)][:wanted]


def judge(record: Record, rows: Sequence[int]) -> list[Prediction]:
    """Returns what a model makes of rows that were explained; nothing if outputs are no scores.

    Args:
        record: Of the explanation.
        rows: Their numbers.
    """
    verdicts = record.judge()
    true, predicted, shares = verdicts.true, verdicts.predicted, verdicts.probabilities
    if predicted is None or shares is None:
        return []
    decided = shares.max(1, keepdims=True)
    differ = np.ones_like(decided, dtype=bool)
    if record.multi_label:
        decided, differ = np.maximum(shares, 1 - shares), predicted != true
    mistaken = np.where(differ, decided, 0).max(axis=1).round(DIGITS)
    sure = decided.min(axis=1).round(DIGITS)
    confusions = [each.tobytes() for each in np.hstack([true, predicted])]
    table = zip(rows, verdicts.right, confusions, mistaken.tolist(), sure.tolist(), strict=True)
    return [Prediction(*each) for each in table]


def rank_mistakes(predictions: Sequence[Prediction]) -> list[Prediction]:
    """Returns the mistakes by confusions in turn, the surest of each first."""
    wrong = [one for one in predictions if one.right is False]
    turns: Counter[bytes] = Counter()
    ranked = []
    for one in sorted(wrong, key=lambda one: (-one.mistaken, one.row)):
        ranked.append((turns[one.confusion], one))
        turns[one.confusion] += 1
    return [one for _, one in sorted(ranked, key=lambda pair: pair[0])]


def rank_unsure(predictions: Sequence[Prediction], *, wrong: bool = True) -> list[Prediction]:
    """Returns predictions, the least sure first.

    Args:
        predictions: In any order.
        wrong: Mistakes among them, too.
    """
    some = [one for one in predictions if wrong or one.right is not False]
    return sorted(some, key=lambda one: (one.sure, one.row))
