"""Summarise the classes: many validation images, explained once the training is over."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from lightning_shap.analysis.class_summary.findings import read_judged, read_shares
from lightning_shap.analysis.class_summary.means import find_tested
from lightning_shap.analysis.class_summary.parts import Part
from lightning_shap.analysis.class_summary.power import is_hopeless
from lightning_shap.analysis.class_summary.summary import ClassSummary
from lightning_shap.analysis.class_summary.swaps import count_rows
from lightning_shap.analysis.class_summary.watched import add_parts
from lightning_shap.analysis.class_summary.words import write_expectation
from lightning_shap.engine.question import Question
from lightning_shap.errors import ArgumentError
from lightning_shap.explanation.explanation import ImageExplanation
from lightning_shap.explanation.join import append
from lightning_shap.page.class_facts import choose_images, list_classes
from lightning_shap.page.data import PageWriter
from lightning_shap.pictures.class_sheet import draw_class_sheet
from lightning_shap.pictures.pixels import Look
from lightning_shap.training.configuration import FEWEST
from lightning_shap.training.logs.logbook import Logbook
from lightning_shap.training.logs.loggers import CLASSES, SUMMARY, Text
from lightning_shap.training.messages import inform
from lightning_shap.training.moment import Moment
from lightning_shap.training.samples.fixed_batch import FixedBatch
from lightning_shap.training.samples.samples import Samples
from lightning_shap.training.shared_explainer import SharedExplainer
from lightning_shap.training.time_budget import LEAST, Spending, TimeBudget


class Summarizer:
    """Explains many images of the validation set, the classes in turn.

    Args:
        question: What the callback asks of its samples. Of each image the true class is explained,
            and the highest other.
        explainer: Shares the images out to the ranks.
        batch: Of as many images as are wanted.
        watched: Parts that are swapped beside those that are tested.
    """

    def __init__(
        self,
        question: Question,
        explainer: SharedExplainer,
        batch: FixedBatch,
        watched: Sequence[Part],
    ) -> None:
        self.question = replace(
            question, topk=2, targets=None, against=None, leading=None, fewer_will_do=True
        )
        self.explainer = explainer
        self.batch = batch
        self.watched = watched

    def explain(
        self, budget: TimeBudget, spending: Spending, found_names: Sequence[str] | None
    ) -> ImageExplanation | None:
        """Returns the explanation of as many images as the time allows, or None.

        Of half of them only, where these leave no hope that all would name anything. All ranks must
        call it.

        Args:
            budget: The time that is left.
            spending: Of this explanation.
            found_names: What the data or the model calls the classes.
        """
        samples, ranks = self.batch.take(), self.explainer.ranks
        if samples is None:
            inform("ShapCallback has no summary of the classes: rows of a stream have no numbers")
            return None
        counts = _halve_counts(len(samples))
        shares = [len(ranks.share(samples[:count])) for count in counts]
        parts = add_parts(self.watched)
        rows_of_swaps = count_rows(parts)
        wanted = self.question.max_evals + rows_of_swaps
        allowed = ranks.run_on_first(
            lambda: [budget.choose_evaluations(wanted, share) for share in shares]
        )
        # Swaps take their rows whatever the regions take, of which too few say nothing.
        least = min(LEAST, self.question.max_evals) + rows_of_swaps
        affordable = [pair for pair in zip(counts, allowed, strict=True) if pair[1] >= least]
        if not affordable:
            inform(
                f"ShapCallback has no time for summary={self.batch.size}, to keep to "
                f"time_budget={budget.limit!r}"
            )
            return None
        count, rows = affordable[0]
        some = samples[:count]
        labels = None if some.labels is None else some.labels.numpy()
        if ranks.rank == 0:
            inform(f"ShapCallback: {write_expectation(labels, count)}")
        found: list[ImageExplanation] = []
        for stage in self._split(some, labels):
            if found and _is_hopeless(found[0]):
                inform(
                    f"ShapCallback: {len(found[0])} of {count} images are explained, as no part "
                    "comes near to being named"
                )
                break
            answer = self.explainer.explain(
                stage,
                self.question.shorten(rows - rows_of_swaps),
                trees=self.batch.trees,
                found_names=found_names,
                is_measured=False,
                swapped=parts,
            )
            if isinstance(answer, str):
                return None
            found.append(answer[0])
            spending.rows += rows * len(ranks.share(stage))
            spending.model_seconds += answer[0].record.model_seconds
        return append(found)

    def _split(self, samples: Samples, labels: np.ndarray | None) -> list[Samples]:
        """Returns what is explained before it is decided to go on: half, if that can say anything.

        It cannot of a class that only all images are enough to test, or whose label is not known.
        What is watched is to be proved, and takes all images.
        """
        half = len(samples) // 2
        if half < FEWEST or self.watched or labels is None:
            return [samples]
        tested = [set(find_tested(some).tolist()) for some in (labels[:half], labels)]
        return [samples[:half], samples[half:]] if tested[0] == tested[1] else [samples]


def _is_hopeless(explanation: ImageExplanation) -> bool:
    """Tells whether more images would hardly name anything; not of what has no classes."""
    try:
        return is_hopeless(read_shares(explanation))
    except ArgumentError:
        return False


def has_classes(final: ImageExplanation) -> bool:
    """Tells whether images such as those of an explanation can be summarised, and says why not."""
    try:
        read_judged(final)
    except ArgumentError as error:
        inform(f"ShapCallback has no summary of the classes: {error}")
        return False
    return True


def log_class_summary(logbook: Logbook, explanation: ImageExplanation, look: Look) -> None:
    """Says and logs what many images share, if they have classes, from one process.

    Args:
        logbook: Where picture and words go, and what was asked for.
        explanation: Of the images.
        look: How images are shown.
    """
    if not logbook.trainer.is_global_zero:
        return
    asked = logbook.asked
    try:
        watched = [part.name for part in asked.watched]
        summary = ClassSummary([explanation], seed=asked.seed, watched=watched)
    except ArgumentError as error:
        inform(f"ShapCallback has no summary of the classes: {error}")
        return
    asked.class_summary = summary
    inform("\n  ".join(["ShapCallback, the classes:", *summary.lines]))
    picture = draw_class_sheet(summary, **look, title="the classes, final model")
    moment, rows = Moment.find(logbook.trainer), choose_images(summary)
    page = PageWriter().make(
        explanation[rows],
        **look,
        names=[f"({row} of the class summary)" for row in rows],
        step=moment.step,
        epoch=moment.epoch,
        title="the classes, final model",
        classes=list_classes(summary),
    )
    name = f"{CLASSES}_{SUMMARY}"
    words = Text(tag=asked.tag, name=name, table=summary.markdown, plain=summary.plain)
    page_tag = f"{asked.tag}_{CLASSES}"
    logbook.destinations.end({CLASSES: picture}, words, page=page, page_tag=page_tag)


def _halve_counts(count: int) -> list[int]:
    """Returns so many, half as many and so on; the first images are always the classes in turn."""
    counts = [count]
    while counts[-1] // 2 >= FEWEST:
        counts.append(counts[-1] // 2)
    return counts
