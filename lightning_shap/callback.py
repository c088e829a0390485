"""When to explain: a Lightning callback that watches a classifier learn."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

from pytorch_lightning import Callback, LightningModule, Trainer

from lightning_shap.checks import AtMost, checked_count
from lightning_shap.explain import Method, explain
from lightning_shap.explanation import ImageExplanation, interleaved
from lightning_shap.fixed_batch import FixedBatch, SamplesLike, loaders_of, validates
from lightning_shap.isolation import eager
from lightning_shap.loggers import PICTURE, log_explanation, log_text, picture_path
from lightning_shap.outputs import value_function
from lightning_shap.plots import plot, save
from lightning_shap.ranks import dealt, together
from lightning_shap.samples import Samples, class_names_of, normalisation_of

# Three failures in a row are no accident: the callback stops trying.
PATIENCE = 3


class ShapCallback(Callback):
    """Explains a fixed sample batch with SHAP at epoch ends and at the end of ``fit``.

    Each picture has a row per sample: the image with its label, then what raised (red) and lowered
    (blue) the score of the true class and of the highest others. TensorBoard shows them under
    ``<tag>/attributions``, one slider through the epochs, and the model that ``fit`` leaves behind
    under ``<tag>_final/attributions``.

    Training is left as it was: module modes, gradients and random states are put back.

    Args:
        n_samples: How many samples.
        samples: Which ones. None takes the first of the validation batches, as the model receives
            them, or of the training batches where there is no validation. A list of indices picks
            from the validation set (else the training set); a data set gives its first; a tensor
            (N, C, H, W), or a pair of one and its labels (N,), is taken as it is.
        every_n_epochs: Explain at the end of every n-th epoch; 0 for never.
        explain_untrained: Also explain the model before its first step, as a control: what stands
            out there already is not evidence of anything it learnt.
        method: See :func:`lightning_shap.explain`, as for all arguments up to ``class_names``.
        max_evals: Model rows a sample may cost at each explanation.
        targets: The classes to explain, instead of each sample's true class and highest others.
        topk: How many classes to explain for each sample; None for three, or all of fewer.
        masker: What absent regions show.
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
    ) -> None:
        super().__init__()
        checked_count("n_samples", n_samples, least=1)
        checked_count("every_n_epochs", every_n_epochs, least=0)
        checked_count("max_evals", max_evals, least=2, why="the empty and the full image")
        checked_count("batch_size", batch_size, least=1)
        value_function(output)
        if targets is not None and topk is not None:
            raise ValueError("targets, topk: both were given; give the classes or how many")
        if topk is not None:
            checked_count("topk", topk, least=1)
        if (mean is None) != (std is None):
            raise ValueError("mean, std: only one was given; give both or neither")
        if on_error not in ("warn", "raise"):
            raise ValueError(f"on_error: got {on_error!r}; give 'warn' or 'raise'")
        if not tag.strip("/"):
            raise ValueError(f"tag: got {tag!r}; give a name such as 'shap'")
        self.batch = FixedBatch(n_samples, samples, seed)
        self.every_n_epochs = every_n_epochs
        self.explain_untrained = explain_untrained
        self.class_names = class_names
        self.normalisation = None if mean is None or std is None else (mean, std)
        self.module = module
        self.tag = tag
        self.save_dir = save_dir
        self.on_error = on_error
        self.progress = progress
        self.question: dict[str, Any] = {
            "method": method,
            "max_evals": max_evals,
            "targets": targets,
            "topk": AtMost(3) if topk is None and targets is None else topk,
            "masker": masker,
            "output": output,
            "multi_label": multi_label,
            "batch_size": batch_size,
            "seed": seed,
        }
        self._failures = 0
        self._settings_told = False

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
        self._failures, self._settings_told = 0, False
        if stage == "fit" and _shards_the_model(trainer):
            self._failures = PATIENCE
            warnings.warn(
                f"ShapCallback explains nothing under {type(trainer.strategy).__name__}: it deals "
                "the samples out to ranks that each hold the whole model, and here none does",
                stacklevel=2,
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
            self.batch.offer(batch)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Explains the untrained model, if there are samples before the training starts."""
        if self._is_control_due(trainer):
            if self.batch.at_hand():
                self._explain(trainer, pl_module, self.tag, "before training")
            elif validates(trainer):
                warnings.warn(
                    "ShapCallback has no samples to explain the untrained model with; give "
                    "samples=, or num_sanity_val_steps=1 to the Trainer",
                    stacklevel=2,
                )

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Takes its samples from training batches where there is no validation."""
        if not validates(trainer):
            self.batch.offer(batch)
            if batch_idx == 0 and self._is_control_due(trainer) and self.batch.given is None:
                self._explain(trainer, pl_module, self.tag, "before training")

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Explains the model as trained so far."""
        epoch = trainer.current_epoch
        if self.every_n_epochs and (epoch + 1) % self.every_n_epochs == 0:
            title = f"epoch {epoch} · step {trainer.global_step}"
            self._explain(trainer, pl_module, self.tag, title)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Explains the weights that ``fit`` leaves behind.

        This is the first hook at which every averaging callback has put its weights in place,
        wherever it stands in the list. The strategy has moved the module to the CPU by then, so it
        visits its device once more.
        """
        device = pl_module.device
        pl_module.to(trainer.strategy.root_device)
        try:
            title = f"final model · step {trainer.global_step}"
            self._explain(trainer, pl_module, f"{self.tag}_final", title)
        finally:
            pl_module.to(device)

    def _is_control_due(self, trainer: Trainer) -> bool:
        return self.explain_untrained and trainer.global_step == 0

    def _explain(self, trainer: Trainer, pl_module: LightningModule, tag: str, title: str) -> None:
        """Explains the samples and logs the result; a failure is a warning at most."""
        if self._failures >= PATIENCE:
            return
        with self._forgiving():
            samples = self.batch.fix(trainer, pl_module)
            shares = together(lambda: self._share(trainer, pl_module, samples))
            explanation = interleaved([share for share in shares if share is not None])
            together(lambda: self._log(trainer, pl_module, explanation, tag, title))
            self._failures = 0

    def _share(
        self, trainer: Trainer, pl_module: LightningModule, samples: Samples
    ) -> ImageExplanation | None:
        """The explanation of this rank's share of the samples."""
        images = dealt(samples.images)
        if not len(images):
            return None
        bar = trainer.progress_bar_callback
        with trainer.precision_plugin.forward_context(), eager(pl_module):
            return explain(
                self._classifier(pl_module),
                images,
                labels=None if samples.labels is None else dealt(samples.labels),
                class_names=self.class_names or class_names_of(_datasets(trainer)),
                progress=self.progress and trainer.is_global_zero and bar is not None,
                **self.question,
            )

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

    def _log(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        explanation: ImageExplanation,
        tag: str,
        title: str,
    ) -> None:
        """Hands the picture and the numbers to every logger, from one process."""
        if not trainer.is_global_zero:
            return
        images = self.batch.fix(trainer, pl_module).images
        found = self.normalisation or normalisation_of(_datasets(trainer), pl_module, images)
        mean, std = found or (None, None)
        picture = plot(explanation, mean=mean, std=std, title=title)
        for logger in trainer.loggers:
            log_explanation(logger, tag, explanation.record, picture, trainer.global_step)
            if not self._settings_told:
                log_text(logger, f"{self.tag}/settings", self._settings(), trainer.global_step)
        self._settings_told = True
        if self.save_dir is not None:
            save(picture, picture_path(self.save_dir, f"{tag}/{PICTURE}", trainer.global_step))

    def _settings(self) -> str:
        """What was asked for, as a markdown table."""
        rows = [f"| {name} | {value} |" for name, value in self.question.items()]
        return "\n".join(["| setting | value |", "| --- | --- |", *rows])

    @contextmanager
    def _forgiving(self) -> Iterator[None]:
        """An explanation is worth having, but not worth a training run."""
        try:
            yield
        except Exception as error:
            if self.on_error == "raise":
                raise
            self._failures += 1
            then = (
                f"after {PATIENCE} failures in a row it gives up"
                if self._failures == PATIENCE
                else "the training goes on and the next explanation tries again"
            )
            warnings.warn(
                f"ShapCallback could not explain: {type(error).__name__}: {error}; {then}",
                stacklevel=2,
            )


def _datasets(trainer: Trainer) -> list[Any]:
    return [loader.dataset for loader in loaders_of(trainer)]


def _shards_the_model(trainer: Trainer) -> bool:
    """Whether no rank holds the whole model; told by name, for both of Lightning's packages."""
    sharding = {"FSDPStrategy", "DeepSpeedStrategy", "ModelParallelStrategy"}
    return any(kind.__name__ in sharding for kind in type(trainer.strategy).__mro__)
