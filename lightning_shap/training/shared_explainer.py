"""Explain samples with the module in training, each rank its share."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Any, TypeVar

import torch

from lightning_shap.analysis.class_summary.parts import Part
from lightning_shap.analysis.class_summary.swaps import choose_partners, measure_swaps
from lightning_shap.analysis.history.numbers import average, measure_faithfulness
from lightning_shap.engine.answer import answer
from lightning_shap.engine.progress import Report
from lightning_shap.engine.question import Known, Question
from lightning_shap.engine.regions.image_tree import ImageTrees
from lightning_shap.engine.returned import Returned
from lightning_shap.engine.truth import FoundLabels
from lightning_shap.errors import ArgumentError
from lightning_shap.explanation.explanation import ImageExplanation
from lightning_shap.explanation.join import interleave
from lightning_shap.isolation.copying import Copy
from lightning_shap.isolation.isolated import isolated
from lightning_shap.isolation.modes import move, silence
from lightning_shap.isolation.stand_ins import CopyError
from lightning_shap.training.configuration import Configuration
from lightning_shap.training.lightning import LightningModule, Trainer
from lightning_shap.training.messages import inform, warn
from lightning_shap.training.progress_bar import report_progress
from lightning_shap.training.ranks import CollectiveInForwardError, Ranks, refuse_collectives
from lightning_shap.training.samples.samples import Samples

Result = TypeVar("Result")
Share = tuple[ImageExplanation, dict[str, tuple[float, int]], Returned]


class SharedExplainer:
    """Explains samples with a module in training, each rank those that are its share.

    Args:
        asked: What the callback was given.
        trainer: The trainer.
        pl_module: The module that it trains.
        ranks: The trainer's.

    Attributes:
        returned: What all ranks have seen of the model's outputs in this fit.
        labels_chosen: The user said which labels are true of what is explained.
    """

    def __init__(
        self, asked: Configuration, trainer: Trainer, pl_module: LightningModule, ranks: Ranks
    ) -> None:
        self.asked = asked
        self.trainer = trainer
        self.pl_module = pl_module
        self.ranks = ranks
        self.returned = Returned()
        self.labels_chosen = asked.labels is not None or isinstance(asked.samples, tuple)
        self._taken: str | None = None
        self._forward_checked = False  # that it waits for no other rank

    def state_dict(self) -> dict[str, Any]:
        """Returns what a resumed run knows of the model's outputs."""
        return {"seen": self.returned.state(), "taken": self._taken}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on as the run that is resumed."""
        if "seen" in state:
            self.returned, self._taken = Returned(*state["seen"]), state["taken"]

    def explain(
        self,
        samples: Samples,
        question: Question,
        *,
        trees: ImageTrees,
        found_names: Sequence[str] | None = None,
        model: Callable[[], LightningModule] | None = None,
        watch: Report | None = None,
        is_measured: bool = True,
        swapped: Sequence[Part] = (),
    ) -> tuple[ImageExplanation, dict[str, float]] | str:
        """Returns the explanation of all samples, or why there will never be one, on all ranks.

        All ranks must call it.

        Args:
            samples: Of all ranks.
            question: What to ask of them.
            trees: See :class:`lightning_shap.engine.question.Known`.
            found_names: What the data or the model calls the classes.
            model: Gives a module instead of the one in training, and may fail.
            watch: Called with the rows done and allowed, beside the bar.
            is_measured: Measure how faithful it is, if that is wanted.
            swapped: Parts that are swapped between samples.

        Returns:
            The explanation, and how faithful it is where that is measured.
        """
        ranks = self.ranks
        mine, asked = ranks.share(samples), question.pick_rows(ranks.rows)
        others = ranks.share(take_partners(samples, question.seed)) if swapped else None
        own_names = self.asked.class_names

        def explain_share(classifier: torch.nn.Module) -> Share:
            seen = replace(self.returned, notes=[*self.returned.notes])
            with report_progress(self.trainer, self.asked.progress, ranks.check, watch) as report:
                known = Known(
                    labels=FoundLabels(self.labels_chosen, bool(mine.binary), mine.highest),
                    finds_names=not own_names,
                    returned=seen,
                    data=mine.data,
                    trees=trees,
                    pool=samples.images,
                )
                names = own_names or found_names
                of_mine = replace(asked, labels=mine.labels, class_names=names, progress=report)
                explanation = answer(classifier, mine.images, of_mine, known)
                if others is not None:
                    measure_swaps(classifier, explanation, mine.images, others, asked, swapped)
                curves: dict[str, tuple[float, int]] = {}
                if is_measured and "faithful" in (self.asked.metrics or ()):
                    curves = measure_faithfulness(classifier, explanation, mine.images, asked)
            return explanation, curves, seen

        before = len(self.returned.notes)
        parts = self._gather(model or (lambda: self.pl_module), len(mine), explain_share)
        if not isinstance(parts, str) and len({part[0].record.returns for part in parts}) > 1:
            # Ranks that took outputs of their own for something else know better together.
            parts = self._gather(model or (lambda: self.pl_module), len(mine), explain_share)
        if isinstance(parts, str):
            return parts
        for words in self.returned.notes[before:]:
            warn(f"ShapCallback: {words}")
        explanation = interleave([part for part, _, _ in parts])
        self._take(explanation.record.returns, explanation.record.returns_guessed)
        return explanation, average([sums for _, sums, _ in parts])

    def _gather(
        self,
        model: Callable[[], LightningModule],
        samples: int,
        explain_share: Callable[[torch.nn.Module], Share],
    ) -> list[Share] | str:
        """Returns the shares of all ranks that have samples, or why there are none."""
        alone = self._forward_checked or self.ranks.size == 1

        def work(classifier: torch.nn.Module) -> Share:
            with nullcontext() if alone else refuse_collectives():
                return explain_share(classifier)

        def share() -> Share | str | None:
            try:
                return self._run_with_copy(model(), work) if samples else None
            except (CollectiveInForwardError, CopyError) as error:
                return str(error)

        shares = self.ranks.gather(share)
        refusal = next((each for each in shares if isinstance(each, str)), None)
        if refusal is not None:  # as it will be, whenever it is asked again
            return refusal
        self._forward_checked = True
        parts = [each for each in shares if isinstance(each, tuple)]
        for _, _, seen in parts:
            self.returned.join(seen)
        return parts

    def _take(self, returns: str | None, guessed: bool) -> None:
        """Keeps what outputs are taken for, and says where that is a guess or has changed.

        Args:
            returns: What they are taken for, None where that is not known.
            guessed: It is a guess.
        """
        if self._taken is None and returns is not None and guessed:
            inform(
                f"ShapCallback takes the model's outputs for {returns}, which is a guess; returns= "
                "says which they are"
            )
        elif self._taken is not None and returns is not None and returns != self._taken:
            inform(
                f"ShapCallback takes the model's outputs for {returns} from now on, and took them "
                f"for {self._taken} before; returns= says which they are"
            )
        self._taken = returns or self._taken

    def _run_with_copy(
        self, pl_module: LightningModule, work: Callable[[torch.nn.Module], Result]
    ) -> Result:
        """Runs some work with the classifier of a copy of the module.

        The whole module's copy, since it may do more than its part when it is moved or called. Only
        where it cannot be copied, what is copied is the part, and what hangs on that.
        """

        def in_place(twin: Any, classifier: Callable[[Any], torch.nn.Module]) -> Result:
            # On its trainer's device, in its precision.
            move(twin, self.trainer.strategy.root_device)
            silence(twin)
            with self.trainer.precision_plugin.forward_context():
                return work(classifier(twin))

        try:
            return isolated(pl_module, lambda twin: in_place(twin, self.find_classifier))
        except CopyError:
            if self.asked.module is None:
                raise
            return isolated(
                self.find_classifier(pl_module), lambda twin: in_place(twin, lambda t: t)
            )

    def copy_module(self) -> LightningModule:
        """Returns the module as it is, on the CPU. All ranks must call it, and fail alike."""

        def copy() -> None:
            copies.append(Copy(self.pl_module).root)
            move(copies[0], torch.device("cpu"))

        copies: list[LightningModule] = []
        self.ranks.gather(copy)
        return copies[0]

    def find_classifier(self, pl_module: LightningModule) -> torch.nn.Module:
        """Returns what is explained of a module: itself, or one of its parts."""
        module = self.asked.module
        if module is None:
            return pl_module
        try:
            return pl_module.get_submodule(module)
        except AttributeError as error:
            children = [name for name, _ in pl_module.named_children()]
            raise ArgumentError(
                "module",
                f"{type(pl_module).__name__} has no {module!r}; give one of {children}",
            ) from error


def take_partners(samples: Samples, seed: int) -> torch.Tensor:
    """Returns with what each sample's parts are swapped, (N, C, H, W): another class's image."""
    labels = None if samples.labels is None else samples.labels.numpy()
    return samples.images[torch.from_numpy(choose_partners(labels, len(samples), seed))]
