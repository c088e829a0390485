"""Mistakes first: samples that a validation chooses, once, and that stay from then on."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from functools import partial
from typing import Any

import torch

from lightning_shap.engine.outputs import logits_of
from lightning_shap.engine.question import Question
from lightning_shap.explanation.explanation import ImageExplanation
from lightning_shap.isolation.copying import Copy
from lightning_shap.isolation.signals import came_from_explanation
from lightning_shap.training.fixed_classes import Steady
from lightning_shap.training.lightning import LightningModule, Trainer
from lightning_shap.training.messages import inform
from lightning_shap.training.ranks import Ranks
from lightning_shap.training.samples.fixed_batch import FixedBatch, Pick
from lightning_shap.training.samples.loaders import Deal, loaders_of, rows_of, validates
from lightning_shap.training.samples.samples import Samples, joined
from lightning_shap.training.samples.selection import labels_of, spread
from lightning_shap.training.samples.shortlist import (
    Prediction,
    Shortlist,
    predictions_of,
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
        steady: The classes that samples are explained for.
    """

    def __init__(
        self, batch: FixedBatch, question: Question, explainer: SharedExplainer, steady: Steady
    ) -> None:
        self.batch = batch
        self.steady = steady
        self.explainer = explainer
        self.question = question
        self._watch = Watch(
            batch.size,
            question.output,
            question.multi_label,
            question.returns,
            explainer.labels_chosen,
            batch.labels,
        )
        self.begin()

    def begin(self) -> None:
        """A new fit."""
        self._watch.begin()
        self._hopeless = False
        self._said: set[str] = set()
        self._untrained: dict[str, torch.Tensor] | None = None
        self._looked_back: Pick | None = None  # samples that it was explained for

    @property
    def is_due(self) -> bool:
        """Whether samples are to be chosen, and are not yet; alike on all ranks."""
        pick = self.batch.pick
        chosen = pick is not None and pick.chosen
        return self.batch.by_predictions is not None and not chosen and not self._hopeless

    def see(self, trainer: Trainer, pl_module: LightningModule, batch: Any, *, first: bool) -> None:
        """A batch is about to be validated.

        Args:
            trainer: The trainer.
            pl_module: The module that is trained.
            batch: As the model receives it.
            first: Of its validation.
        """
        if not self.is_due or trainer.sanity_checking:
            return
        try:
            if first:
                pick = self.batch.pick
                self._watch.returned = self.explainer.returned
                self._watch.highest = None if pick is None else pick.samples.highest
                self._watch.begin(Deal.of(next(iter(loaders_of(trainer)), None)))
            self._watch.see(pl_module, self.explainer.classifier(pl_module), batch)
        except Exception as error:  # whatever stands in the way: the validation goes on
            if not came_from_explanation(error):
                raise
            self._watch.fail()

    def release(self) -> None:
        """The validation is over, one way or another."""
        self._watch.release()

    def forget(self) -> None:
        """Gives the memory of the first weights back, where no sample needed them."""
        self._untrained = None

    def look(self, trainer: Trainer, pl_module: LightningModule, ranks: Ranks) -> None:
        """Sees how the model makes its outputs, before they are judged. All ranks must call it."""
        if self.is_due and self.question.returns is None and self.batch.pick is not None:
            samples = self.batch.pick.samples
            self._glance(trainer, pl_module, ranks, samples)

    def keep_untrained(self, pl_module: LightningModule) -> None:
        """Keeps the weights that training begins with: samples chosen later need a control too."""
        if self.is_due:
            self._untrained = {name: one.detach().cpu().clone() for name, one in _state(pl_module)}

    def untrained(self) -> Callable[[Trainer, LightningModule], LightningModule] | None:
        """What makes the untrained model, once for the samples there are; None if it is not kept.

        It is explained when samples are chosen, and not before: at step -1 there is one control.
        """
        kept, pick = self._untrained, self.batch.pick
        if kept is None or pick is None or pick is self._looked_back:
            return None
        self._looked_back = pick
        if not self.is_due:
            self._untrained = None

        def model(trainer: Trainer, pl_module: LightningModule) -> LightningModule:
            twin = Copy(pl_module).root
            with torch.no_grad():
                for name, one in _state(twin):
                    one.copy_(kept[name])
            return twin

        return model

    def choose(self, trainer: Trainer, pl_module: LightningModule, ranks: Ranks) -> bool:
        """Takes what the last validation got wrong for samples. All ranks must call it.

        Returns:
            Whether there are new samples.
        """
        if not self.is_due:
            return False
        watch = self._watch
        watch.release()
        seen = ranks.gather(
            lambda: (watch.batches, watch.complete, watch.lists, validates(trainer))
        )
        if not any(batches for batches, *_ in seen) and any(waits for *_, waits in seen):
            return False
        name = self._name_of_classifier(
            trainer, pl_module, ranks, [(complete, lists) for _, complete, lists, _ in seen]
        )
        if name is not None:
            lists = [lists[name] for _, _, lists, _ in seen]
        else:
            lists = self._predicted(trainer, pl_module, ranks)
        if not lists:
            self._hopeless = True
            self._say("sees no predictions of the validation, and explains the classes in turn")
            return False
        shortlist = lists[0].joined(lists[1:])
        picked = self._picked(shortlist)
        if not picked:
            return False
        self.batch.pick = ranks.on_first(lambda: self._as_pick(trainer, pl_module, picked))
        self._keep_classes(trainer, pl_module, ranks, self.batch.pick.samples)
        wrong = sum(one.right is False for one in picked)
        unsure = len(picked) - wrong
        parts = [f"{wrong} of the {shortlist.wrong} mistakes"] if wrong else []
        parts += [f"{unsure} that the model is least sure of"] if unsure else []
        self._say(f"explains, from now on, {' and '.join(parts)} among {shortlist.seen} images")
        return True

    def _keep_classes(
        self, trainer: Trainer, pl_module: LightningModule, ranks: Ranks, samples: Samples
    ) -> None:
        """Explains the samples for what the model takes them for now, not for what it did before.

        Or the untrained model, which is explained first, would settle which classes are shown.
        """
        self.steady.begin()
        seen = self._glance(trainer, pl_module, ranks, samples)
        if seen is not None:
            self.steady.keep(seen)

    def _glance(
        self, trainer: Trainer, pl_module: LightningModule, ranks: Ranks, samples: Samples
    ) -> ImageExplanation | None:
        """The explanation of two rows a sample, None where there will never be one."""
        seen = self.explainer.explain(
            trainer,
            ranks,
            lambda: pl_module,
            samples,
            self.question.at_a_glance(),
            found_names=None,
            trees=self.batch.trees,
        )
        if isinstance(seen, str):
            self.explainer.begin()  # it will be asked again, and refuse again
            return None
        return seen[0]

    def _picked(self, shortlist: Shortlist) -> list[Prediction]:
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

    def _as_pick(
        self, trainer: Trainer, pl_module: LightningModule, picked: list[Prediction]
    ) -> Pick:
        """Rows of the data set where these lead to the same images, else the images themselves."""
        samples, rows = samples_of(picked), [one.place for one in picked]
        before = self.batch.pick
        if self.batch.by_predictions == "mixed" and before is not None:
            turn = before.samples[: self.batch.size - len(picked)]
            samples = joined([turn, samples])
            rows = [] if before.rows is None else [*before.rows[: len(turn)], *rows]
        try:
            again = self.batch.read(trainer, pl_module, rows)
        except Exception:  # somebody else's data set, which has no such rows
            again = None
        if again is not None and _same(again.samples, samples):
            return replace(again, chosen=True)
        return Pick(samples, chosen=True)

    def _name_of_classifier(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        ranks: Ranks,
        parts: Sequence[tuple[list[str], dict[str, Shortlist]]],
    ) -> str | None:
        """Under which name all ranks saw what the classifier makes of the validation."""
        names = [name for name in parts[0][0] if all(name in complete for complete, _ in parts)]
        if not names or WHOLE in names:
            return WHOLE if names else None
        # A part may be the whole classifier, or just half of it: the classifier itself shows which.
        image = next((one.image for name in names for one in parts[0][1][name].unsure), None)
        if image is None:
            return None
        return ranks.on_first(lambda: self._stand_in(trainer, pl_module, ranks, image, names))

    def _stand_in(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        ranks: Ranks,
        image: torch.Tensor,
        names: Sequence[str],
    ) -> str | None:
        """The part that the classifier itself leaves the whole decision to, None if none is."""
        found: dict[str, torch.Tensor] = {}

        def call(classifier: Any) -> torch.Tensor:
            with ExitStack() as stack:
                for name, part in classifier.named_children():
                    if name in names:
                        keep = partial(_keep, found, name)
                        stack.callback(part.register_forward_hook(keep).remove)
                return logits_of(classifier(image[None].to(trainer.strategy.root_device)))

        scores = self.explainer.call(trainer, ranks, pl_module, call)
        return next((name for name in names if _agree(found.get(name), scores)), None)

    def _predicted(
        self, trainer: Trainer, pl_module: LightningModule, ranks: Ranks
    ) -> list[Shortlist]:
        """What a copy predicts of some rows of the data, by rank; none without rows."""

        def some_rows() -> list[int] | None:
            loader = next(iter(loaders_of(trainer)), None)
            rows = None if loader is None else rows_of(loader)
            if loader is None or rows is None:
                return None
            return spread(labels_of(loader.dataset, self.batch.labels), rows, MOST_ROWS)

        rows = ranks.on_first(some_rows)
        if not rows:
            return []
        self._say(f"sees no predictions of the validation, and makes those of {len(rows)} images")

        def mine() -> Shortlist | None:
            shortlist, share = Shortlist(self.batch.size), ranks.share(rows)
            for start in range(0, len(share), ROWS):
                some = share[start : start + ROWS]
                samples = self.batch.read(trainer, pl_module, some).samples
                found = self._of_copy(trainer, pl_module, ranks, samples, some)
                if found is None:
                    return None
                shortlist.add(found)
            return shortlist

        lists = ranks.gather(mine)
        return [one for one in lists if one is not None] if all(lists) else []

    def _of_copy(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        ranks: Ranks,
        samples: Samples,
        rows: Sequence[int],
    ) -> list[Prediction] | None:
        def predict(classifier: Any) -> list[Prediction] | None:
            raw = classifier(samples.images.to(trainer.strategy.root_device))
            asked = self.question
            return predictions_of(
                samples,
                raw,
                rows,
                output=asked.output,
                returns=asked.returns,
                multi_label=asked.multi_label,
                chosen=self.explainer.labels_chosen,
                returned=self.explainer.returned,
            )

        return self.explainer.call(trainer, ranks, pl_module, predict)

    def _say(self, words: str) -> None:
        if words not in self._said:
            self._said.add(words)
            inform(f"ShapCallback {words}")


def _keep(
    found: dict[str, torch.Tensor], name: str, module: torch.nn.Module, given: Any, raw: Any
) -> None:
    with suppress(ValueError):  # it is no output of a classifier
        found[name] = logits_of(raw)


def _state(module: torch.nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    yield from module.named_parameters()
    yield from module.named_buffers()


def _agree(part: torch.Tensor | None, whole: torch.Tensor) -> bool:
    """Whether the scores (1, K) of a part decide as those of the whole do."""
    if part is None or part.shape != whole.shape:
        return False
    if part.ndim == 2 and part.shape[1] > 1:
        return torch.equal(part.argsort(dim=1), whole.argsort(dim=1))
    return torch.allclose(part, whole)


def _same(one: Samples, other: Samples) -> bool:
    """Whether two samples are the same to the bit."""
    pairs = [(one.images, other.images), (one.labels, other.labels)]
    return all(
        (first is None and second is None)
        or (
            first is not None
            and second is not None
            and first.dtype == second.dtype
            and torch.equal(first, second)
        )
        for first, second in pairs
    )
