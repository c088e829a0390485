"""One explanation of a training's samples, of which every rank explains its share."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import Any, TypeVar

import torch

from lightning_shap.analysis.class_summary.swaps import measure_swaps
from lightning_shap.analysis.history.numbers import faithfulness, means
from lightning_shap.engine.answer import answer
from lightning_shap.engine.question import Known, Question
from lightning_shap.engine.regions.image_tree import ImageTrees
from lightning_shap.engine.returned import Returned
from lightning_shap.engine.truth import FoundLabels
from lightning_shap.errors import ArgumentError
from lightning_shap.explanation.explanation import ImageExplanation
from lightning_shap.explanation.join import interleave
from lightning_shap.isolation.isolated import isolated
from lightning_shap.isolation.modes import evaluation_mode, move, silence
from lightning_shap.isolation.stand_ins import CopyError
from lightning_shap.training.lightning import LightningModule, Trainer
from lightning_shap.training.messages import inform, warn
from lightning_shap.training.progress import reporting
from lightning_shap.training.ranks import CollectiveInForwardError, Ranks, no_collectives
from lightning_shap.training.samples.samples import Samples

Result = TypeVar("Result")
Share = tuple[ImageExplanation, dict[str, tuple[float, int]], Returned]


class SharedExplainer:
    """Explains samples with a module in training, each rank those that are its share.

    Args:
        module: Attribute of the LightningModule that is the classifier, None for itself.
        class_names: As the user gave them, if at all.
        progress: Show a bar, if the trainer shows bars.
        measures_faithfulness: Also measure insertion and deletion curves.
        labels_chosen: The user said which labels are true of what is explained.

    Attributes:
        returned: What all ranks have seen of the model's outputs in this training.
    """

    def __init__(
        self,
        module: str | None,
        class_names: Sequence[str] | None,
        progress: bool,
        measures_faithfulness: bool,
        labels_chosen: bool = False,
    ) -> None:
        self.module = module
        self.class_names = class_names
        self.progress = progress
        self.measures_faithfulness = measures_faithfulness
        self.labels_chosen = labels_chosen
        self.begin()

    def begin(self) -> None:
        """A new fit: whether a forward pass waits for other ranks is not known yet."""
        self._forward_checked = False
        self.returned = Returned()
        self._taken: str | None = None

    def state_dict(self) -> dict[str, Any]:
        """Returns what a resumed run knows of the model's outputs."""
        return {"seen": self.returned.state(), "taken": self._taken}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on as the run that is resumed."""
        if "seen" in state:
            self.returned = Returned(*state["seen"])
            self._taken = state["taken"]

    def explain(
        self,
        trainer: Trainer,
        ranks: Ranks,
        model: Callable[[], LightningModule],
        samples: Samples,
        question: Question,
        *,
        found_names: Sequence[str] | None,
        trees: ImageTrees,
        is_measured: bool = True,
        partners: torch.Tensor | None = None,
    ) -> tuple[ImageExplanation, dict[str, float]] | str:
        """The explanation of all samples, or why there will never be one. All ranks must call it.

        Args:
            trainer: The trainer.
            ranks: Its ranks.
            model: Gives the module, and may fail.
            samples: Of all ranks.
            question: What to ask of them.
            found_names: What the data or the model calls the classes.
            trees: See :class:`lightning_shap.engine.question.Known`.
            is_measured: Measure how faithful it is, if that is wanted.
            partners: With what each sample's parts are swapped, (N, C, H, W); None for no swaps.

        Returns:
            The explanation, and how faithful it is where that is measured.
        """
        before = len(self.returned.notes)
        parts = self._shared(
            trainer, ranks, model, samples, question, found_names, trees, is_measured, partners
        )
        if not isinstance(parts, str) and len({part[0].record.returns for part in parts}) > 1:
            # Ranks that took outputs of their own for something else know better together.
            parts = self._shared(
                trainer, ranks, model, samples, question, found_names, trees, is_measured, partners
            )
        if isinstance(parts, str):
            return parts
        for words in self.returned.notes[before:]:
            warn(f"ShapCallback: {words}")
        explanation = interleave([part for part, _, _ in parts])
        self._take(explanation.record.returns, explanation.record.returns_guessed)
        return explanation, means([sums for _, sums, _ in parts])

    def _take(self, returns: str | None, guessed: bool) -> None:
        """Keeps what outputs are taken for, and says where that is a guess, or no more what it was.

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

    def _shared(
        self,
        trainer: Trainer,
        ranks: Ranks,
        model: Callable[[], LightningModule],
        samples: Samples,
        question: Question,
        found_names: Sequence[str] | None,
        trees: ImageTrees,
        is_measured: bool,
        partners: torch.Tensor | None,
    ) -> list[Share] | str:
        """The shares of all ranks that have one, by what all of them know of the outputs."""
        checked, self._forward_checked = self._forward_checked, True
        mine, asked = ranks.share(samples), question.of_rows(ranks.rows)
        others = None if partners is None else ranks.share(partners)

        def explained(classifier: torch.nn.Module) -> Share:
            with (
                reporting(trainer, self.progress, ranks.check) as report,
                nullcontext() if checked or ranks.size == 1 else no_collectives(),
            ):
                seen = replace(self.returned, notes=[*self.returned.notes])
                known = Known(
                    labels=FoundLabels(self.labels_chosen, bool(mine.binary), mine.highest),
                    finds_names=not self.class_names,
                    returned=seen,
                    data=mine.data,
                    trees=trees,
                )
                names = self.class_names or found_names
                of_mine = replace(asked, labels=mine.labels, class_names=names, progress=report)
                explanation = answer(classifier, mine.images, of_mine, known)
                if others is not None:
                    measure_swaps(classifier, explanation, mine.images, others, asked)
                if not (self.measures_faithfulness and is_measured):
                    return explanation, {}, seen
                curves = faithfulness(classifier, explanation, mine.images, asked)
                return explanation, curves, seen

        def share() -> Share | str | None:
            if not len(mine):
                return None
            try:
                return self._with_copy(trainer, model(), explained)
            except (CollectiveInForwardError, CopyError) as error:
                return str(error)

        shares = ranks.gather(share)
        refusal = next((one for one in shares if isinstance(one, str)), None)
        if refusal is not None:
            return refusal
        parts = [one for one in shares if isinstance(one, tuple)]
        for _, _, seen in parts:
            self.returned.join(seen)
        return parts

    def call(
        self,
        trainer: Trainer,
        ranks: Ranks,
        pl_module: LightningModule,
        work: Callable[[torch.nn.Module], Result],
    ) -> Result:
        """Runs some work with a copy of the classifier, ready to be called without gradients.

        Args:
            trainer: The trainer.
            ranks: Its ranks, none of which may wait for another meanwhile.
            pl_module: The module.
            work: Gets the copy.
        """

        def called(classifier: torch.nn.Module) -> Result:
            with (
                evaluation_mode(classifier),
                nullcontext() if ranks.size == 1 else no_collectives(),
            ):
                return work(classifier)

        return self._with_copy(trainer, pl_module, called)

    def _with_copy(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        work: Callable[[torch.nn.Module], Result],
    ) -> Result:
        """Runs some work with the classifier of a copy of the module.

        The whole module's copy, since it may do more than its part when it is moved or called. Only
        where it cannot be copied, what is copied is the part, and what hangs on that.
        """

        def called(twin: LightningModule) -> Result:
            with _hosted(trainer, twin):
                return work(self.classifier(twin))

        def called_alone(twin: torch.nn.Module) -> Result:
            with _hosted(trainer, twin):
                return work(twin)

        try:
            return isolated(pl_module, called)
        except CopyError:
            if self.module is None:
                raise
            return isolated(self.classifier(pl_module), called_alone)

    def classifier(self, pl_module: LightningModule) -> torch.nn.Module:
        """What is explained of a module: itself, or one of its parts."""
        if self.module is None:
            return pl_module
        try:
            return pl_module.get_submodule(self.module)
        except AttributeError as error:
            children = [name for name, _ in pl_module.named_children()]
            raise ArgumentError(
                "module",
                f"{type(pl_module).__name__} has no {self.module!r}; give one of {children}",
            ) from error


@contextmanager
def _hosted(trainer: Trainer, twin: Any) -> Iterator[None]:
    """Puts a copy where its trainer would have it: on its device, in its precision."""
    move(twin, trainer.strategy.root_device)
    silence(twin)
    with trainer.precision_plugin.forward_context():
        yield
