"""One explanation of a training's samples, of which every rank explains its share."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import TypeVar

import torch

from lightning_shap.errors import ArgumentError
from lightning_shap.explainer import explain_found
from lightning_shap.explanation import ImageExplanation, interleaved
from lightning_shap.isolation.isolated import isolated
from lightning_shap.isolation.modes import evaluation_mode, unlogged, visiting
from lightning_shap.regions.image_tree import ImageTrees
from lightning_shap.samples import Samples
from lightning_shap.story.numbers import faithfulness, means
from lightning_shap.survey.swaps import measure_swaps
from lightning_shap.training.lightning import LightningModule, Trainer
from lightning_shap.training.progress import reporting
from lightning_shap.training.question import Question
from lightning_shap.training.ranks import CollectiveInForwardError, Ranks, no_collectives

Result = TypeVar("Result")
Share = tuple[ImageExplanation, dict[str, tuple[float, int]]]


class SharedExplainer:
    """Explains samples with a module in training, each rank those that are its share.

    Args:
        module: Attribute of the LightningModule that is the classifier, None for itself.
        class_names: As the user gave them, if at all.
        progress: Show a bar, if the trainer shows bars.
        measures_faithfulness: Also measure insertion and deletion curves.
    """

    def __init__(
        self,
        module: str | None,
        class_names: Sequence[str] | None,
        progress: bool,
        measures_faithfulness: bool,
    ) -> None:
        self.module = module
        self.class_names = class_names
        self.progress = progress
        self.measures_faithfulness = measures_faithfulness
        self.begin()

    def begin(self) -> None:
        """A new fit: whether a forward pass waits for other ranks is not known yet."""
        self._forward_checked = False

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
            trees: See :func:`lightning_shap.explainer.explain_found`.
            is_measured: Measure how faithful it is, if that is wanted.
            partners: With what each sample's parts are swapped, (N, C, H, W); None for no swaps.

        Returns:
            The explanation, and how faithful it is where that is measured.
        """
        checked, self._forward_checked = self._forward_checked, True
        mine, asked = ranks.share(samples), question.of_rows(ranks.rows)
        others = None if partners is None else ranks.share(partners)

        def explained(twin: LightningModule) -> Share:
            with (
                _hosted(trainer, twin),
                reporting(trainer, self.progress) as report,
                nullcontext() if checked or ranks.size == 1 else no_collectives(),
            ):
                classifier = self.classifier(twin)
                explanation = explain_found(
                    classifier,
                    mine.images,
                    data=mine.data,
                    labels=mine.labels,
                    labels_are_found=True,
                    labels_are_binary=bool(mine.binary),
                    class_names=self.class_names or found_names,
                    names_are_found=not self.class_names,
                    progress=report,
                    trees=trees,
                    **asked.arguments(),
                )
                images, arguments = mine.images, asked.arguments()
                if others is not None:
                    measure_swaps(classifier, explanation, images, others, arguments)
                if not (self.measures_faithfulness and is_measured):
                    return explanation, {}
                return explanation, faithfulness(classifier, explanation, images, arguments)

        def share() -> Share | str | None:
            if not len(mine):
                return None
            try:
                # The whole module's twin, since the hooks of a part may write to all of it.
                return isolated(model(), explained)
            except CollectiveInForwardError as error:
                return str(error)

        shares = ranks.gather(share)
        refusal = next((one for one in shares if isinstance(one, str)), None)
        if refusal is not None:
            return refusal
        parts = [one for one in shares if isinstance(one, tuple)]
        return interleaved([part for part, _ in parts]), means([sums for _, sums in parts])

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

        def called(twin: LightningModule) -> Result:
            with (
                _hosted(trainer, twin),
                evaluation_mode(twin),
                nullcontext() if ranks.size == 1 else no_collectives(),
            ):
                return work(self.classifier(twin))

        return isolated(pl_module, called)

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
def _hosted(trainer: Trainer, twin: LightningModule) -> Iterator[None]:
    """A copy of a module where its trainer would have it: on its device, in its precision."""
    with (
        visiting(twin, trainer.strategy.root_device),
        trainer.precision_plugin.forward_context(),
        unlogged(twin),
    ):
        yield
