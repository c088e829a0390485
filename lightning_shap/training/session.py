"""Explain the samples of one fit: choose, ask and log, and end with how it went."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

from lightning_shap.analysis.class_summary.parts import Part
from lightning_shap.analysis.class_summary.swaps import count_rows
from lightning_shap.engine.incoming import is_unfinished
from lightning_shap.engine.progress import Report
from lightning_shap.engine.question import Question
from lightning_shap.explanation.explanation import ImageExplanation
from lightning_shap.pictures.pixels import Look
from lightning_shap.training.best_checkpoint import load_best_model
from lightning_shap.training.configuration import Configuration
from lightning_shap.training.failures import Failures, resume
from lightning_shap.training.fixed_classes import FixedClasses
from lightning_shap.training.lightning import LightningModule, Trainer
from lightning_shap.training.logs.logbook import CONTROL, Logbook, choose_half
from lightning_shap.training.messages import warn
from lightning_shap.training.moment import Moment
from lightning_shap.training.ranks import Ranks
from lightning_shap.training.samples.fixed_batch import FixedBatch
from lightning_shap.training.samples.loaders import will_validate
from lightning_shap.training.samples.mistakes import MistakesFirst
from lightning_shap.training.samples.model_card import ModelCard, make_model_card
from lightning_shap.training.samples.samples import Samples
from lightning_shap.training.shared_explainer import SharedExplainer
from lightning_shap.training.summarizer import Summarizer, has_classes, log_class_summary
from lightning_shap.training.time_budget import TimeBudget


class Session:
    """Explains the samples of one fit, from its setup to its teardown.

    Args:
        asked: What the callback was given, which also keeps what is found.
        trainer: The trainer.
        pl_module: The module that it trains.

    Attributes:
        budget: The time that explanations may take, from the start of the training on.
        card: What is known of the model, once there are samples.
        validates: A validation will run, on some rank.
        untrained: The module before its first step, if samples chosen later are explained by it.
        steps: Those after which the model in training was explained last; 0 before.
    """

    budget: TimeBudget

    def __init__(self, asked: Configuration, trainer: Trainer, pl_module: LightningModule) -> None:
        self.asked = asked
        self.trainer = trainer
        self.pl_module = pl_module
        self.ranks = Ranks.meet(trainer)
        self.failures = Failures(
            asked.on_error, trainer, self.ranks, whole_module=asked.module is None
        )
        self.card: ModelCard | None = None
        self.validates = True
        self.untrained: LightningModule | None = None
        self.steps = 0
        self.classes = FixedClasses()
        self.batch = FixedBatch(
            trainer, pl_module, self.ranks, asked.n_samples, asked.samples, asked.seed, asked.labels
        )
        self.explainer = SharedExplainer(asked, trainer, pl_module, self.ranks)
        self.logbook = Logbook(asked, trainer)
        self.mistakes = MistakesFirst(self.batch, asked.question, self.explainer)

    def state_dict(self) -> dict[str, Any]:
        """Returns the rows of the samples, what was explained so far, and the model card.

        Only samples that cannot be found again are kept as images.
        """
        more = {
            "pictures": self.classes.state_dict(),
            "story": self.logbook.history.state_dict(),
            "report": self.logbook.destinations.state_dict(),
            "classifier": {} if self.card is None else asdict(self.card),
            "outputs": {} if self.asked.explanation is None else self.explainer.state_dict(),
            "steps": self.steps,
        }
        return self.batch.state_dict() | {name: part for name, part in more.items() if part}

    def load_state_dict(self, state: Any) -> None:
        """Goes on as the run that is resumed; a part that is unreadable begins anew."""
        parts = state if isinstance(state, dict) else {}
        resume("samples", self.batch, state)
        resume("pictures", self.classes, parts.get("pictures", {}))
        resume("report", self.logbook.destinations, parts.get("report", {}))
        resume("history", self.logbook.history, parts.get("story", {}))
        resume("outputs", self.explainer, parts.get("outputs", {}))
        self.steps = parts.get("steps", 0)

    def start(self) -> None:
        """Picks the samples, and explains the untrained model."""
        self.budget = TimeBudget(self.asked.time_budget)
        if self.failures.gave_up:
            return
        self.settle(for_good=False)
        # Loaders may differ from rank to rank, but what follows from them must not.
        with self.failures.warn_of_all():
            self.validates = any(self.ranks.gather(lambda: will_validate(self.trainer)))
        if self._is_control_due:
            if self.mistakes.is_due:
                with self.failures.warn_of_all():
                    self.untrained = self.explainer.copy_module()
            if (self.validates or self.batch.pick is not None) and not self.mistakes.is_due:
                self.explain(self.asked.tag, CONTROL)

    def see_training(self, batch: Any, *, first: bool) -> None:
        """Takes samples from training batches where there is nothing else.

        Args:
            batch: As the model receives it.
            first: Of the training.
        """
        if self.validates or self.batch.pick is not None:
            return
        self.batch.offer(batch)
        if first and self._is_control_due:
            self.explain(self.asked.tag, CONTROL)

    def settle(self, *, for_good: bool = True) -> None:
        """Picks the samples, if that is possible yet. All ranks must call it."""
        if not self.failures.gave_up and self.batch.pick is None:
            with self.failures.warn_of_all():
                self._take_samples(for_good=for_good)

    def choose(self, *, looks_back: bool = True) -> None:
        """Keeps to the mistakes from now on.

        Args:
            looks_back: Also explain them by the untrained model.
        """
        if self.failures.gave_up:
            return
        with self.failures.warn_of_all(), self.budget.spend():
            glance = self.mistakes.choose()
            if glance is not None:
                self.card = None
                # The untrained model, which is explained first, must not settle the classes.
                self.classes = FixedClasses()
                self.classes.keep(glance)
                self._take_samples()
        untrained = self.untrained
        if looks_back and untrained is not None and not self.mistakes.is_due:
            self.untrained = None
            self.explain(self.asked.tag, CONTROL, lambda: untrained)

    def explain_epoch(self) -> None:
        """Explains the model as trained so far, unless that was done."""
        moment = Moment.find(self.trainer)
        if moment.step + 1 != self.steps:
            self.steps = moment.step + 1
            self.choose()
            self.explain(self.asked.tag, str(moment))

    def explain(
        self,
        tag: str,
        title: str,
        model: Callable[[], LightningModule] | None = None,
        *,
        needed: bool = False,
    ) -> ImageExplanation | None:
        """Explains the samples and logs the result; a failure is a warning at most.

        Whatever one rank alone may fail in, or decide, is gathered: all ranks fail alike and go on
        alike, and none waits for another.

        Args:
            tag: Under which it is logged.
            title: Over its picture.
            model: Gives the model, None for the one in training.
            needed: Explain with the least evaluations where there is no time.
        """
        if self.failures.gave_up:
            return None
        control = title == CONTROL
        trains = not (control or getattr(self.trainer, "fast_dev_run", False))
        with self.failures.warn_of_all(), self.budget.spend(trains=trains) as spending:
            samples = self._take_samples(for_good=not control)
            if samples is None:
                self.batch.offers.say_lack(title, expected=not control)
                return None
            mine = len(self.ranks.share(samples))
            wanted = self.asked.question
            # Fewer epochs rather than none: what the first one takes is saved at later ones.
            least = needed or not (control or self.logbook.history.epochs)
            allow = partial(self.budget.allow, wanted.max_evals, mine, title, needed=least)
            allowed = self.ranks.run_on_first(allow)
            if allowed == 0:
                return None
            question = self.classes.narrow(wanted.shorten(allowed), len(samples))
            found = self._ask(samples, question, model, spending.watch, self.asked.watched)
            if found is None:
                return None
            explanation, measured = found
            spending.rows = (allowed + count_rows(self.asked.watched)) * mine
            spending.model_seconds = explanation.record.model_seconds
            self.asked.explanation = explanation
            self.failures.note_success()
            if self.batch.pick is not None:
                if tag == self.asked.tag:
                    self.classes.keep(explanation, is_control=control)
                self.classes.mark(explanation, question)
            limit = None if control else self.classes.limit
            log = partial(self.logbook.log, explanation, tag, title, self.look, limit, measured)
            self.ranks.gather(log)
            return explanation
        return None

    def end(self) -> None:
        """Explains the weights that ``fit`` leaves behind, and those of the best checkpoint."""
        self.failures.end()
        asked = self.asked
        if asked.every_n_epochs == 0:
            self.choose()
        title = f"final model · {Moment.find(self.trainer)}"
        final = self.explain(f"{asked.tag}_final", title, needed=True)
        if final is not None:
            self._conclude(final)
            if asked.summary is not None and has_classes(final):
                self._summarise(asked.summary)
        if asked.explain_checkpoint is not None:
            best = partial(load_best_model, self.trainer, self.pl_module)
            self.explain(f"{asked.tag}_best", "best checkpoint", best, needed=True)
        self.budget.conclude()
        with self.failures.warn_of_all():
            if self.trainer.is_global_zero:
                self.logbook.destinations.finish()

    @property
    def look(self) -> Look:
        """Returns how the samples are shown as photographs."""
        assert self.card is not None  # there are samples
        said = self.card if self.asked.mean is None else self.asked
        return {"mean": said.mean, "std": said.std, "channels": self.card.shown_channels}

    @property
    def _is_control_due(self) -> bool:
        begins = self.asked.explain_untrained and self.trainer.global_step == 0
        return begins and not is_unfinished(self.pl_module)

    def _take_samples(self, *, for_good: bool = True) -> Samples | None:
        """Returns the samples, and reads the card of the model that they are explained with."""
        samples = self.batch.take(for_good=for_good)
        if samples is not None and self.card is None:
            self.card = self.ranks.run_on_first(
                lambda: make_model_card(
                    self.asked, self.trainer, self.pl_module, samples, self.batch
                )
            )
            self.batch.warn_of_one_class(samples)
        return samples

    def _ask(
        self,
        samples: Samples,
        question: Question,
        model: Callable[[], LightningModule] | None = None,
        watch: Report | None = None,
        swapped: Sequence[Part] = (),
    ) -> tuple[ImageExplanation, dict[str, float]] | None:
        """Returns the explanation of all samples and how faithful it is, or gives up with None."""
        names = None if self.card is None else self.card.class_names
        explain = partial(self.explainer.explain, trees=self.batch.trees, found_names=names)
        found = explain(samples, question, model=model, watch=watch, swapped=swapped)
        if isinstance(found, str):
            self.failures.decline()
            warn(f"ShapCallback explains nothing: {found}")
            return None
        return found

    def _conclude(self, final: ImageExplanation) -> None:
        """Logs how the training ended."""
        with self.failures.warn_of_all(), self.budget.spend():
            samples = self._take_samples()
            assert samples is not None  # they have just been explained
            half, history = None, self.logbook.history
            evaluations = self.ranks.run_on_first(lambda: choose_half(final, history, self.budget))
            if evaluations:
                question = self.asked.question.shorten(evaluations)
                question = question.pick_classes(final.output_indexes, final.record.against)
                found = self._ask(samples, question)
                half = None if found is None else found[0]
            self.ranks.gather(lambda: self.logbook.close(final, half, self.look))

    def _summarise(self, most: int) -> None:
        """Logs what the model looks at in each class, over so many images at most."""
        assert self.card is not None  # the samples have just been explained
        with self.failures.warn_of_all(), self.budget.spend() as spending:
            batch = self.batch.resize(most)
            summary = Summarizer(self.asked.question, self.explainer, batch, self.asked.watched)
            found = summary.explain(self.budget, spending, self.card.class_names)
            if found is not None:
                self.ranks.gather(lambda: log_class_summary(self.logbook, found, self.look))
