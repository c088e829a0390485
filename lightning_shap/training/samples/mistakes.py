"""Choose the samples by a validation, once: its mistakes, or what the model is least sure of."""

from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from functools import partial
from typing import Any

import torch

from lightning_shap.engine.outputs import find_logits
from lightning_shap.engine.question import Question
from lightning_shap.explanation.explanation import ImageExplanation
from lightning_shap.isolation.signals import came_from_explanation
from lightning_shap.training.messages import inform
from lightning_shap.training.samples.fixed_batch import FixedBatch, Pick
from lightning_shap.training.samples.loaders import Deal, loaders_of, rows_of, validates
from lightning_shap.training.samples.samples import Samples, joined
from lightning_shap.training.samples.selection import labels_of, spread
from lightning_shap.training.samples.shortlist import (
    Judge,
    Prediction,
    Shortlist,
    samples_of,
)
from lightning_shap.training.samples.validation_hook import WHOLE, Watch
from lightning_shap.training.shared_explainer import SharedExplainer

MOST_ROWS = 1024  # of a data set, that a pass of our own looks at
ROWS = 64  # read at a time
UNSURE_SHARE = 4  # of "mixed": one sample of so many is one of the least sure


class MistakesFirst:
    """Chooses samples by what the model makes of the validation, where that was asked for.

    The predictions are those that the validation makes anyway. Only where it makes none that can be
    seen, some rows are predicted once more, by a copy.

    Args:
        batch: Of the samples, which says what was asked for, and takes what was chosen.
        question: What is asked of the model.
        explainer: Knows the classifier.
    """

    def __init__(self, batch: FixedBatch, question: Question, explainer: SharedExplainer) -> None:
        self.trainer = explainer.trainer
        self.ranks = explainer.ranks
        self.batch = batch
        self.question = question
        self.explainer = explainer
        self._watch = self._new_watch()
        self._hopeless = False
        self._said: set[str] = set()

    @property
    def is_due(self) -> bool:
        """Returns whether samples are to be chosen, and are not yet; alike on all ranks."""
        pick = self.batch.pick
        chosen = pick is not None and pick.chosen
        return self.batch.by_predictions is not None and not chosen and not self._hopeless

    def see(self, batch: Any, *, first: bool) -> None:
        """Watches what the model makes of a batch that is about to be validated.

        Args:
            batch: As the model receives it.
            first: Of its validation.
        """
        if not self.is_due or self.trainer.sanity_checking:
            return
        try:
            if first:
                self.release()
                self._watch = self._new_watch(next(iter(loaders_of(self.trainer)), None))
            owner = self.explainer.pl_module
            self._watch.see(owner, self.explainer.classifier(owner), batch)
        except Exception as error:  # whatever stands in the way: the validation goes on
            if not came_from_explanation(error):
                raise
            self._watch.fail()

    def release(self) -> None:
        """Takes all hooks away, once the validation is over, one way or another."""
        self._watch.release()

    def look(self) -> None:
        """Sees how the model makes its outputs, before they are judged. All ranks must call it."""
        if self.is_due and self.question.returns is None and self.batch.pick is not None:
            self.glance()

    def glance(self) -> ImageExplanation | None:
        """Returns the explanation of two rows a sample, None where there will never be one."""
        assert self.batch.pick is not None
        samples, question = self.batch.pick.samples, self.question.glance()
        seen = self.explainer.explain(samples, question, trees=self.batch.trees)
        return None if isinstance(seen, str) else seen[0]

    def choose(self) -> bool:
        """Takes what the last validation got wrong for samples. All ranks must call it.

        Returns:
            Whether there are new samples.
        """
        if not self.is_due:
            return False
        watch = self._watch
        watch.release()
        seen = self.ranks.gather(
            lambda: (watch.batches, watch.complete, watch.lists, validates(self.trainer))
        )
        if not any(batches for batches, *_ in seen) and any(waits for *_, waits in seen):
            return False
        name = self._name_of_classifier([(complete, lists) for _, complete, lists, _ in seen])
        lists = self._predict() if name is None else [lists[name] for _, _, lists, _ in seen]
        if not lists:
            self._hopeless = True
            self._say("sees no predictions of the validation, and explains the classes in turn")
            return False
        shortlist = lists[0].joined(lists[1:])
        picked = self._pick_from(shortlist)
        if not picked:
            return False
        self.batch.pick = self.ranks.on_first(lambda: self._as_pick(picked))
        wrong = sum(each.right is False for each in picked)
        unsure = len(picked) - wrong
        parts = [f"{wrong} of the {shortlist.wrong} mistakes"] if wrong else []
        parts += [f"{unsure} that the model is least sure of"] if unsure else []
        self._say(f"explains, from now on, {' and '.join(parts)} among {shortlist.seen} images")
        return True

    def _new_watch(self, loader: Any = None) -> Watch:
        """Returns a watch over one validation, which a loader deals out."""
        pick = self.batch.pick
        return Watch(
            self.batch.size,
            self._judge(None if pick is None else pick.samples.highest),
            self.batch.labels,
            Deal() if loader is None else Deal.of(loader),
        )

    def _judge(self, highest: int | None = None) -> Judge:
        """Returns what judges outputs as the explanations do."""
        question, explainer = self.question, self.explainer
        return Judge(
            question.output,
            question.returns,
            question.multi_label,
            explainer.labels_chosen,
            explainer.returned,
            highest,
        )

    def _pick_from(self, shortlist: Shortlist) -> list[Prediction]:
        if self.batch.by_predictions == "mixed":
            return shortlist.least_sure()[: max(1, self.batch.size // UNSURE_SHARE)]
        if shortlist.wrong:
            return shortlist.first_mistakes()
        if shortlist.judged:
            found = f"found no mistakes among {shortlist.judged} images yet"
        else:
            found = f"knows the labels of none of {shortlist.seen} images"
        self._say(f"{found}, and explains the classes in turn")
        return []

    def _as_pick(self, picked: list[Prediction]) -> Pick:
        """Returns rows of the data set where these lead to the same images, else the images."""
        samples, rows = samples_of(picked), [each.place for each in picked]
        before = self.batch.pick
        if self.batch.by_predictions == "mixed" and before is not None:
            turn = before.samples[: self.batch.size - len(picked)]
            samples = joined([turn, samples])
            rows = [] if before.rows is None else [*before.rows[: len(turn)], *rows]
        try:
            again = self.batch.read(rows)
        except Exception:  # somebody else's data set, which has no such rows
            again = None
        if again is not None and _same(again.samples, samples):
            return replace(again, chosen=True)
        return Pick(samples, chosen=True)

    def _name_of_classifier(
        self, parts: Sequence[tuple[list[str], dict[str, Shortlist]]]
    ) -> str | None:
        """Returns under which name all ranks saw what the classifier makes of the validation."""
        names = [name for name in parts[0][0] if all(name in complete for complete, _ in parts)]
        if not names or WHOLE in names:
            return WHOLE if names else None
        # A part may be the whole classifier, or just half of it: the classifier itself shows which.
        image = next((each.image for name in names for each in parts[0][1][name].unsure), None)
        if image is None:
            return None
        return self.ranks.on_first(lambda: self._stand_in(image, names))

    def _stand_in(self, image: torch.Tensor, names: Sequence[str]) -> str | None:
        """Returns the part that the classifier leaves the whole decision to, None if none is."""
        found: dict[str, torch.Tensor] = {}

        def call(classifier: Any) -> torch.Tensor:
            with ExitStack() as stack:
                for name, part in classifier.named_children():
                    if name in names:
                        keep = partial(_keep, found, name)
                        stack.callback(part.register_forward_hook(keep).remove)
                return find_logits(classifier(self._on_device(image[None])))

        scores = self.explainer.call(call)
        return next((name for name in names if _agree(found.get(name), scores)), None)

    def _predict(self) -> list[Shortlist]:
        """Returns what a copy predicts of some rows of the data, by rank; none without rows."""

        def some_rows() -> list[int] | None:
            loader = next(iter(loaders_of(self.trainer)), None)
            rows = None if loader is None else rows_of(loader)
            if loader is None or rows is None:
                return None
            return spread(labels_of(loader.dataset, self.batch.labels), rows, MOST_ROWS)

        rows = self.ranks.on_first(some_rows)
        if not rows:
            return []
        self._say(f"sees no predictions of the validation, and makes those of {len(rows)} images")

        def mine() -> Shortlist | None:
            shortlist, share = Shortlist(self.batch.size), self.ranks.share(rows)
            for start in range(0, len(share), ROWS):
                found = self._predict_rows(share[start : start + ROWS])
                if found is None:
                    return None
                shortlist.add(found)
            return shortlist

        lists = self.ranks.gather(mine)
        return [each for each in lists if each is not None] if all(lists) else []

    def _predict_rows(self, rows: Sequence[int]) -> list[Prediction] | None:
        samples, judge = self.batch.read(rows).samples, self._judge()

        def predict(classifier: Any) -> list[Prediction] | None:
            return judge.predictions(samples, classifier(self._on_device(samples.images)), rows)

        return self.explainer.call(predict)

    def _on_device(self, images: torch.Tensor) -> torch.Tensor:
        return images.to(self.trainer.strategy.root_device)

    def _say(self, words: str) -> None:
        if words not in self._said:
            self._said.add(words)
            inform(f"ShapCallback {words}")


def _keep(
    found: dict[str, torch.Tensor], name: str, module: torch.nn.Module, given: Any, raw: Any
) -> None:
    with suppress(ValueError):  # it is no output of a classifier
        found[name] = find_logits(raw)


def _agree(part: torch.Tensor | None, whole: torch.Tensor) -> bool:
    """Returns whether the scores (1, K) of a part decide as those of the whole do."""
    if part is None or part.shape != whole.shape:
        return False
    if part.ndim == 2 and part.shape[1] > 1:
        return torch.equal(part.argsort(dim=1), whole.argsort(dim=1))
    return torch.allclose(part, whole)


def _same(one: Samples, other: Samples) -> bool:
    """Returns whether two samples are the same to the bit."""
    pairs = [(one.images, other.images), (one.labels, other.labels)]
    return all(
        first is second  # no labels
        or (
            first is not None
            and second is not None
            and first.dtype == second.dtype
            and torch.equal(first, second)
        )
        for first, second in pairs
    )
