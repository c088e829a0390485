"""The class summary of a training: many validation images, explained once the training is over."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from lightning_shap.analysis.class_summary.summary import ClassSummary, check_comparable
from lightning_shap.analysis.class_summary.swaps import ROWS, partners
from lightning_shap.engine.question import Question
from lightning_shap.errors import ArgumentError
from lightning_shap.explanation.explanation import ImageExplanation
from lightning_shap.pictures.classes import classes
from lightning_shap.training.lightning import LightningModule, Trainer
from lightning_shap.training.logs.loggers import CLASSES, Ending
from lightning_shap.training.logs.results import Results
from lightning_shap.training.messages import inform
from lightning_shap.training.ranks import Ranks
from lightning_shap.training.samples.fixed_batch import FixedBatch
from lightning_shap.training.samples.labels import WhichLabels
from lightning_shap.training.samples.model_card import ModelCard
from lightning_shap.training.samples.samples import Samples
from lightning_shap.training.shared_explainer import SharedExplainer
from lightning_shap.training.time_budget import LEAST, Spending, TimeBudget

FEWEST = 32  # images; fewer say nothing of several classes


class Summarizer:
    """Explains many images of the validation set, the classes in turn, and says what they share.

    Args:
        size: How many images at most, None for no summary.
        question: What the callback asks of its samples. Of each image the true class is explained,
            and the highest other.
        explainer: Shares the images out to the ranks.
        results: Where picture and words go.
        tag: Under which they are logged.
        labels: Which labels of the data are true, None for those that are found.

    Raises:
        ArgumentError: If the question is not one about classes.
    """

    def __init__(
        self,
        size: int | None,
        question: Question,
        explainer: SharedExplainer,
        results: Results,
        tag: str,
        labels: WhichLabels = None,
    ) -> None:
        if size is not None:
            check_comparable(question.returns, question.multi_label)
        self.size = size
        self.question = replace(
            question, topk=2, targets=None, against=None, leading=None, fewer_will_do=True
        )
        self.explainer = explainer
        self.results = results
        self.tag = tag
        self.labels = labels
        self.survey: ClassSummary | None = None

    def explain(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        ranks: Ranks,
        budget: TimeBudget,
        spending: Spending,
        card: ModelCard | None,
    ) -> ImageExplanation | None:
        """The explanation of as many images as the time allows, or None. All ranks must call it.

        Args:
            trainer: The trainer.
            pl_module: The trained module.
            ranks: The trainer's.
            budget: The time that is left.
            spending: Of this explanation.
            card: What is known of the model, or None.
        """
        assert self.size is not None
        batch = FixedBatch(self.size, None, self.question.seed, self.labels)
        samples = batch.take(trainer, pl_module, ranks, settle=False)
        if samples is None:
            inform("ShapCallback has no summary of the classes: rows of a stream have no numbers")
            return None
        counts = _fewer(len(samples))
        shares = [len(ranks.share(samples[:count])) for count in counts]
        wanted = self.question.max_evals + ROWS
        allowed = ranks.on_first(lambda: [budget.evaluations(wanted, share) for share in shares])
        # Swaps take their rows whatever the regions take, of which too few say nothing.
        least = min(LEAST, self.question.max_evals) + ROWS
        affordable = [pair for pair in zip(counts, allowed, strict=True) if pair[1] >= least]
        if not affordable:
            inform(f"ShapCallback has no time for summary={self.size}, to keep to time_budget=")
            return None
        count, rows = affordable[0]
        some = samples[:count]
        swapped = partners(_classes(some), count, self.question.seed)
        found = self.explainer.explain(
            trainer,
            ranks,
            lambda: pl_module,
            some,
            self.question.within(rows - ROWS),
            found_names=None if card is None else card.class_names,
            trees=batch.trees,
            is_measured=False,
            partners=some.images[torch.from_numpy(swapped)],
        )
        if isinstance(found, str):
            return None
        explanation = found[0]
        spending.rows = rows * len(ranks.share(some))
        spending.model_seconds = explanation.record.model_seconds
        return explanation

    def log(self, trainer: Trainer, explanation: ImageExplanation, look: dict[str, Any]) -> None:
        """Says and logs what the images share, from one process.

        Args:
            trainer: The trainer.
            explanation: Of the images.
            look: Mean, std and channels, as for :func:`lightning_shap.plot`.
        """
        if not trainer.is_global_zero:
            return
        try:
            survey = ClassSummary([explanation], seed=self.question.seed)
        except ArgumentError as error:
            inform(f"ShapCallback has no summary of the classes: {error}")
            return
        self.survey = survey
        inform("\n  ".join(["ShapCallback, the classes:", *survey.lines]))
        picture = classes(survey, **look, title="the classes, final model")
        ending = Ending(self.tag, survey.markdown, survey.plain, name=f"{CLASSES}_summary")
        self.results.end(trainer, {CLASSES: picture}, ending)


def _classes(samples: Samples) -> np.ndarray | None:
    """The class of each image, where each is known to have one."""
    labels = samples.labels
    if labels is None or labels.ndim != 1 or labels.is_floating_point():
        return None
    return labels.numpy()


def _fewer(count: int) -> list[int]:
    """So many images, half as many and so on; the first are always the classes in turn."""
    counts = [count]
    while counts[-1] // 2 >= FEWEST:
        counts.append(counts[-1] // 2)
    return counts
