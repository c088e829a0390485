"""When to explain: a Lightning callback that watches a classifier learn."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Literal, get_args

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.utilities import rank_zero_info, rank_zero_warn

from lightning_shap.arguments import (
    AtMost,
    Found,
    checked_choice,
    checked_count,
    checked_grid,
    is_unfinished,
)
from lightning_shap.explainer import Method, explain
from lightning_shap.explanation import ImageExplanation, interleaved
from lightning_shap.isolation.isolated import isolated
from lightning_shap.isolation.modes import unlogged, visiting
from lightning_shap.maskers import checked_masker
from lightning_shap.outputs import value_function
from lightning_shap.pictures.grid import plot
from lightning_shap.samples import Samples, class_names_of, normalisation_of
from lightning_shap.training.best_checkpoint import best_model
from lightning_shap.training.failures import Patience
from lightning_shap.training.fixed_batch import FixedBatch, SamplesLike, datasets_of, validates
from lightning_shap.training.progress import reporting
from lightning_shap.training.ranks import Ranks, every_rank_has_the_model
from lightning_shap.training.results import Destinations
from lightning_shap.training.time_budget import TimeBudget

ModelOf = Callable[[Trainer, LightningModule], LightningModule]


class ShapCallback(Callback):
    """Explains a fixed sample batch with SHAP at epoch ends and at the end of ``fit``.

    Each picture has a row per sample: the image with its label, then what raised (red) and lowered
    (blue) the score of the true class and of the highest others. TensorBoard shows them under
    ``<tag>/attributions``, one slider through the epochs, and the model that ``fit`` leaves behind
    under ``<tag>_final/attributions``.

    Training is left exactly as it was: weights, metrics and checkpoints are those of a run without.

    Attributes:
        explanation: The latest explanation, for callbacks further down the list; None before.

    Args:
        n_samples: How many samples.
        samples: Which ones. None takes the first of the validation batches, as the model receives
            them, or of the training batches where there is no validation. A list of indices picks
            from the validation set (else the training set); a data set gives its first; a tensor
            (N, C, H, W), or a pair of one and its labels (N,), is taken as it is.
        every_n_epochs: Explain at the end of every n-th epoch; 0 for never. Weights are then those
            of the training, not those of an averaging callback.
        explain_untrained: Also explain the model before its first step, as a control: what stands
            out there already is not evidence of anything it learnt.
        method: See :func:`lightning_shap.explain`, as for all arguments up to ``class_names``.
        max_evals: Model rows a sample may cost at each explanation.
        targets: The classes to explain, instead of each sample's true class and highest others.
        topk: How many classes to explain for each sample; None for three, or all of fewer.
        masker: What absent regions show.
        grid: Patches of the kernel method, a side or [rows, columns].
        output: What is explained.
        multi_label: Several classes may be true at once.
        batch_size: Rows per model call.
        class_names: Names of the classes, else those that the data set knows.
        mean: What was subtracted from the pixels, by channel, to show them as photographs. Else
            found from a ``Normalize`` in the data set's transform, or from timm's configuration.
        std: What the pixels were divided by.
        module: Attribute of the LightningModule that is the classifier, such as ``"net"``; None for
            the LightningModule itself.
        tag: Under which everything is logged; two callbacks need two tags.
        save_dir: Also write the pictures as PNG files below this folder.
        on_error: ``"warn"`` leaves the training alone when an explanation fails, tries again at
            the next epoch and gives up after three in a row; ``"raise"`` raises the error.
        explain_checkpoint: ``"best"`` also explains the best checkpoint at the end, under
            ``<tag>_best``.
        time_budget: How much time explanations may take: ``"10%"`` of the training's, or so many
            seconds each. Evaluations are lowered, or epochs skipped, to keep to it; None for no
            limit. What is explained then depends on the clock.
        seed: Seed of whatever is random.
        progress: Show a bar while an explanation lasts, if the trainer shows bars.

    Raises:
        ValueError: If an argument's value will not do; the message names it and says what will.
        TypeError: If an argument is of the wrong kind.

    Example:
        >>> from pytorch_lightning import Trainer
        >>> from lightning_shap import ShapCallback
        >>> trainer = Trainer(callbacks=[ShapCallback(n_samples=8)], logger=False)
    """

    def __init__(
        self,
        n_samples: int = 8,
        samples: SamplesLike | None = None,
        every_n_epochs: int = 1,
        explain_untrained: bool = True,
        method: Method = "partition",
        max_evals: int = 100,
        targets: int | list[int] | None = None,
        topk: int | None = None,
        masker: str | float = "blur",
        grid: int | list[int] | None = None,
        output: Literal["logit", "probability"] = "logit",
        multi_label: bool = False,
        batch_size: int = 64,
        class_names: list[str] | None = None,
        mean: list[float] | None = None,
        std: list[float] | None = None,
        module: str | None = None,
        tag: str = "shap",
        save_dir: str | None = None,
        on_error: Literal["warn", "raise"] = "warn",
        seed: int = 0,
        progress: bool = True,
        explain_checkpoint: Literal["best"] | None = None,
        time_budget: str | float | None = None,
    ) -> None:
        super().__init__()
        checked_count("n_samples", n_samples, least=1)
        checked_count("every_n_epochs", every_n_epochs, least=0)
        checked_count("max_evals", max_evals, least=2, why="the empty and the full image")
        checked_count("batch_size", batch_size, least=1)
        checked_choice("method", method, get_args(Method))
        checked_masker(masker)
        value_function(output)
        if targets is not None and topk is not None:
            raise ValueError("targets, topk: both were given; give the classes or how many")
        if topk is not None:
            checked_count("topk", topk, least=1)
        if (mean is None) != (std is None):
            raise ValueError("mean, std: only one was given; give both or neither")
        checked_choice("on_error", on_error, ("warn", "raise"))
        if not tag.strip("/"):
            raise ValueError(f"tag: got {tag!r}; give a name such as 'shap'")
        checked_choice("explain_checkpoint", explain_checkpoint, ("best", None))
        self.batch = FixedBatch(n_samples, samples, seed)
        self.every_n_epochs = every_n_epochs
        self.explain_untrained = explain_untrained
        self.class_names = class_names
        self.normalisation = None if mean is None or std is None else (mean, std)
        self.module = module
        self.tag = tag
        self.patience = Patience(on_error)
        self.progress = progress
        self.question: dict[str, Any] = {
            "method": method,
            "max_evals": max_evals,
            "targets": targets,
            "topk": AtMost(3) if topk is None and targets is None else topk,
            "masker": masker,
            "grid": checked_grid(grid, method),
            "output": output,
            "multi_label": multi_label,
            "batch_size": batch_size,
            "seed": seed,
        }
        self.explain_checkpoint = explain_checkpoint
        self.budget = TimeBudget(time_budget)
        self.destinations = Destinations(tag, self.question, save_dir)
        self.explanation: ImageExplanation | None = None
        self._begin()

    @property
    def state_key(self) -> str:
        """Keeps the states of callbacks with different tags apart in a checkpoint."""
        return self._generate_state_key(tag=self.tag)

    def state_dict(self) -> dict[str, Any]:
        """The samples: a resumed run explains the same ones, whatever its loaders shuffle."""
        return self.batch.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes the samples of the run that is resumed."""
        self.batch.load_state_dict(state_dict)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Begins a fit afresh, or says why it will not."""
        if stage != "fit":
            return
        self._begin()
        if not every_rank_has_the_model(trainer):
            self.patience.end()
            rank_zero_warn(
                f"ShapCallback explains nothing under {type(trainer.strategy).__name__}: it deals "
                "the samples out to ranks that each hold the whole model, and here they do not"
            )

    def on_validation_batch_start(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Takes its samples from the first validation batches, those of the sanity check too."""
        if trainer.state.fn == "fit" and dataloader_idx == 0:
            self.batch.offer(batch, first=batch_idx == 0)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Settles the samples: a checkpoint saved after this validation is to hold them."""
        over = trainer.sanity_checking or self.patience.at_an_end
        if trainer.state.fn == "fit" and not over:
            with self._bearing(trainer):
                self.batch.take(trainer, pl_module)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Explains the untrained model, if there are samples before the training starts."""
        self.budget.begin()
        # Loaders may differ from rank to rank, but what follows from them must not.
        self._validates = any(Ranks.of(trainer).together(lambda: validates(trainer)))
        if self._is_control_due(trainer) and (self._validates or self.batch.given is not None):
            self._explain(trainer, pl_module, self.tag, "before training", settle=False)

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Takes its samples from training batches where there is no validation."""
        if self._validates or self.batch.given is not None:
            return
        self.batch.offer(batch)
        if batch_idx == 0 and trainer.current_epoch == 0 and self._is_control_due(trainer):
            self._explain(trainer, pl_module, self.tag, "before training", settle=False)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Explains the model as trained so far."""
        epoch = trainer.current_epoch
        if self.every_n_epochs and (epoch + 1) % self.every_n_epochs == 0:
            title = f"epoch {epoch} · step {trainer.global_step}"
            self._explain(trainer, pl_module, self.tag, title)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Explains the weights that ``fit`` leaves behind, and those of the best checkpoint.

        This is the first hook at which every averaging callback has put its weights in place,
        wherever it stands in the list. The strategy has moved the module to the CPU by then, so it
        visits its device once more.
        """
        title = f"final model · step {trainer.global_step}"
        self._explain(trainer, pl_module, f"{self.tag}_final", title, needed=True)
        if self.explain_checkpoint is not None:
            self._explain(
                trainer, pl_module, f"{self.tag}_best", "best checkpoint", best_model, needed=True
            )

    def _begin(self) -> None:
        """Forgets what belongs to an earlier fit."""
        self.patience.begin()
        self._validates = True
        self._lack_told = False
        self.batch.begin()
        self.destinations.begin()

    def _bearing(self, trainer: Trainer) -> AbstractContextManager[None]:
        return self.patience.bearing(trainer, whole_module=self.module is None)

    def _is_control_due(self, trainer: Trainer) -> bool:
        begins = self.explain_untrained and trainer.global_step == 0
        return begins and not is_unfinished(trainer.lightning_module)

    def _explain(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        tag: str,
        title: str,
        model_of: ModelOf = lambda trainer, pl_module: pl_module,
        *,
        settle: bool = True,
        needed: bool = False,
    ) -> None:
        """Explains the samples and reports the result; a failure is a warning at most.

        Whatever one rank alone may fail in, or decide, happens in ``together``: all ranks fail
        alike and go on alike, and none waits for another.
        """
        if self.patience.at_an_end:
            return
        ranks = Ranks.of(trainer)
        with self._bearing(trainer), self.budget.spending() as spending:
            samples = self.batch.take(trainer, pl_module, settle=settle)
            if samples is None:
                self._tell_of_lack(title, expected=settle)
                return
            mine = ranks.dealt(samples)
            affordable = ranks.together(lambda: self._affordable(len(mine), title, needed))[0]
            if affordable == 0:
                return
            shares = ranks.together(
                lambda: self._share(trainer, model_of(trainer, pl_module), mine, affordable)
            )
            explanation = interleaved([share for share in shares if share is not None])
            spending.rows = affordable * len(mine)
            spending.model_seconds = explanation.record.model_seconds
            ranks.together(lambda: self._tell(trainer, pl_module, explanation, tag, title))
            self.explanation = explanation
            self.patience.renew()

    def _affordable(self, samples: int, title: str, needed: bool) -> int:
        """How many evaluations the time allows; says so where it is fewer than wanted."""
        wanted: int = self.question["max_evals"]
        allowed = self.budget.evaluations(wanted, samples, needed=needed)
        if allowed < wanted:
            rank_zero_info(
                f"ShapCallback: {allowed or 'no'} evaluations of {wanted} for {title!r}, "
                f"to keep to time_budget={self.budget.limit!r}"
            )
        return allowed

    def _share(
        self, trainer: Trainer, pl_module: LightningModule, samples: Samples, max_evals: int
    ) -> ImageExplanation | None:
        """The explanation of this rank's share of the samples."""
        if not len(samples):
            return None

        def explained(twin: LightningModule) -> ImageExplanation:
            with (
                visiting(twin, trainer.strategy.root_device),
                trainer.precision_plugin.forward_context(),
                unlogged(twin),
                reporting(trainer, self.progress) as report,
            ):
                names = class_names_of(datasets_of(trainer))
                return explain(
                    self._classifier(twin),
                    samples.images,
                    labels=None if samples.labels is None else Found(samples.labels.tolist()),
                    class_names=self.class_names or (None if names is None else Found(names)),
                    progress=report,
                    **{**self.question, "max_evals": max_evals},
                )

        # The whole module's twin, since the hooks of a part may write to all of it.
        return isolated(pl_module, explained)

    def _classifier(self, pl_module: LightningModule) -> Callable[..., Any]:
        if self.module is None:
            return pl_module
        try:
            return pl_module.get_submodule(self.module)
        except AttributeError as error:
            children = [name for name, _ in pl_module.named_children()]
            raise ValueError(
                f"module: {type(pl_module).__name__} has no {self.module!r}; give one of {children}"
            ) from error

    def _tell(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        explanation: ImageExplanation,
        tag: str,
        title: str,
    ) -> None:
        """Draws the picture and hands it, with the numbers, to every logger."""
        if not trainer.is_global_zero:
            return
        images = torch.from_numpy(explanation.data).movedim(-1, 1)
        found = self.normalisation or normalisation_of(datasets_of(trainer), pl_module, images)
        mean, std = found or (None, None)
        picture = plot(explanation, mean=mean, std=std, title=title)
        self.destinations.tell(trainer, tag, explanation.record, picture)

    def _tell_of_lack(self, title: str, *, expected: bool) -> None:
        if not self._lack_told:
            self._lack_told = expected
            (rank_zero_warn if expected else rank_zero_info)(
                f"ShapCallback has no samples yet for {title!r}, and waits for the first "
                "validation batch; give samples=, or num_sanity_val_steps=1 to the Trainer"
            )
