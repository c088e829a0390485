"""When to explain: a Lightning callback that watches a classifier learn."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

from lightning_shap.analysis.history.history import Story
from lightning_shap.analysis.history.numbers import MetricName, checked_metrics
from lightning_shap.engine.incoming import is_unfinished
from lightning_shap.engine.methods.registry import MethodName, RegionsName
from lightning_shap.engine.outputs import Output
from lightning_shap.engine.question import Question
from lightning_shap.errors import ArgumentError, checked_choice, checked_count, checked_switch
from lightning_shap.explanation.explanation import ImageExplanation
from lightning_shap.pictures.pixels import shown_channels
from lightning_shap.pictures.styles import STYLES, StyleName
from lightning_shap.training.best_checkpoint import best_model
from lightning_shap.training.class_summary import FEWEST, Summarizer
from lightning_shap.training.configuration import configurable
from lightning_shap.training.failures import Failures
from lightning_shap.training.fixed_classes import USUAL_REGIONS, USUAL_TOPK, Steady
from lightning_shap.training.lightning import EitherCallback, LightningModule, Trainer
from lightning_shap.training.logs.ending import half_of
from lightning_shap.training.logs.logbook import CONTROL, Logbook, resume
from lightning_shap.training.logs.results import Results
from lightning_shap.training.messages import inform, warn
from lightning_shap.training.moment import Moment
from lightning_shap.training.ranks import Ranks, why_declined
from lightning_shap.training.samples.fixed_batch import FixedBatch, SamplesLike, one_class_only
from lightning_shap.training.samples.labels import checked_which
from lightning_shap.training.samples.loaders import validates
from lightning_shap.training.samples.mistakes import MistakesFirst
from lightning_shap.training.samples.model_card import ModelCard, model_card
from lightning_shap.training.samples.samples import Samples, checked_samples
from lightning_shap.training.shared_explainer import SharedExplainer
from lightning_shap.training.time_budget import TimeBudget

ModelOf = Callable[[Trainer, LightningModule], LightningModule]


class ShapCallback(EitherCallback):
    """Explains a fixed sample batch with SHAP at epoch ends and at the end of ``fit``.

    Five arguments to start with: ``n_samples``, how many images; ``max_evals``, how fine their maps
    are, and what they cost; ``class_names``, in the order of the outputs; ``mean`` and ``std``, how
    pixels were normalised, so that images are shown as photographs. None is needed.

    Each picture has a row per sample: the image with its label, then what raised (red) and lowered
    (blue) the score of the true class and of others, the predicted one among them. TensorBoard
    shows them under ``<tag>/attributions``, one slider through the epochs, and the model that
    ``fit`` leaves behind under ``<tag>_final/attributions``.

    Training is left exactly as it was: weights, metrics and checkpoints are those of a run without.

    Attributes:
        explanation: The latest explanation, for callbacks further down the list; None before.

    Args:
        n_samples: How many samples.
        samples: Which ones. None picks rows of the validation set (of the training set where there
            is no validation), the classes in turn and evenly spread, the same in every run, and
            prepares them as the validation would; the first batches where rows have no numbers. A
            list of indices picks these rows; a data set gives its first; a tensor (N, C, H, W), or
            a pair of one and its labels (N,), is taken as it is. "mistakes" does as None until a
            validation in an epoch to explain has mistakes, and keeps to these from then on, for the
            control too: each confusion in turn, the surest mistakes first, then what the model is
            least sure of. "mixed" exchanges a quarter of the rows for the least sure, likewise.
        labels: Which labels of the data are true of what is explained, where several could be: the
            name or the position of a part of the batch, or a function of the batch, in a
            configuration file by its import path. None for what is called labels, else what follows
            the images; of one of several heads that ``output`` picks, none is taken for granted.
        every_n_epochs: Explain at the end of every n-th epoch; 0 for never. Weights are then those
            of the training, not those of an averaging callback.
        explain_untrained: Also explain the model before its first step, as a control: what stands
            out there already is not evidence of anything it learnt.
        method: "partition" gives Owen values, by the descent of SHAP's PartitionExplainer; "kernel"
            Shapley values with error bars, of a grid of patches or of regions; "gradient" shap's
            expected gradients.
        max_evals: Model rows a sample may cost at each explanation, the empty and the full image
            included.
        targets: The classes to explain, one or a list of them, instead of each sample's true class
            and highest others.
        topk: How many classes to explain for each sample, None for three or all of fewer: its true
            class and, from three on, the highest other of the first epoch, both kept through all
            epochs to be compared, and then the highest others of each epoch, so that what it
            predicts has a map. Without a label the highest of the first epoch stands for the true.
        against: Explain instead why the first of these classes rather than another: "runner-up" for
            the highest other, or the number of a class.
        masker: What absent regions show: "blur" (4/7 of the sides), "blur(kw,kh)" with a kernel of
            so many pixels (width first, as in shap), "mean" (the image's mean colour) or a number,
            which is a value of the pixels as the model receives them.
        grid: Patches of "kernel", a side or [rows, columns]; None for what the budget resolves.
        regions: "image" for regions that follow each sample's image, found once for all epochs;
            "boxes" for SHAP's rectangles, or the patches of "kernel". None for "image", or for
            patches where a grid is given.
        output: What is explained: "logit", which is the model's output as it is, "probability",
            "value", which is returns="values" as well, or a function from the model's output to
            scores (N, K), in a configuration file by its import path.
        returns: What the model's outputs are, or what a function for ``output`` makes of them:
            "logits", "probabilities", "log-probabilities", or "values" where they are no classes.
            None finds out: by the operation that makes them, such as a sigmoid, else by all that
            was seen of them; outputs are values where labels prove that they are no classes.
        multi_label: Several classes may be true at once: a probability is a sigmoid, not a softmax.
        batch_size: Rows per model call. It halves itself when memory runs out.
        class_names: Names of the classes, else those that the data set or the model knows.
        mean: What was subtracted from the pixels, a number or one per channel, to show them as
            photographs. Else found in the data set's transform, an image processor or timm's
            configuration.
        std: What the pixels were divided by, likewise.
        channels: The channel shown grey, or the three shown as red, green and blue; None for the
            ``rgb_bands`` of a data set or data module that names its ``bands``, as torchgeo's do,
            else the first three.
        module: Attribute of the LightningModule that is the classifier, such as "net"; None for the
            LightningModule itself.
        style: How maps are drawn, "overlay", "tiles", "contour" or "spotlight", as
            :func:`lightning_shap.plot` does; None for what suits the images.
        per_sample: Also draw each sample by itself, under ``<tag>/sample_0`` and so on.
        tag: Under which everything is logged; two callbacks need two tags.
        save_dir: Also write the pictures as PNG files below this folder.
        on_error: "warn" leaves the training alone when an explanation fails, retries at the next
            epoch and stops after three failed epochs in a row; "raise" raises the error. A logger,
            or ``save_dir``, that cannot take an explanation fails on its own: with "warn" all
            others go on, and after three failures in a row it is left alone; with "raise" its error
            is raised, once all others have the explanation.
        seed: Seed of whatever is random.
        progress: Show a bar while an explanation lasts, if the trainer shows bars.
        explain_checkpoint: "best" also explains the best checkpoint at the end, under
            ``<tag>_best``.
        time_budget: How much time explanations may take: "10%" of the training's, or so many
            seconds each. Evaluations are lowered, or epochs skipped, to keep to it; None for no
            limit. What is explained then depends on the clock.
        report: Also write everything as one interactive HTML file, ``<tag>.html`` in ``save_dir``
            or else where the first logger keeps this run's files, on this machine or not. A report
            of another run there is left alone, and this one's is ``<tag>-v1.html``.
        metrics: Which numbers to log of the maps of the true class, or the highest, as a list.
            "settled" gives the similarity to the epoch explained before, "learnt" that to the
            untrained model, see :class:`lightning_shap.Similarity`; "where" gives the shares along
            the border, in each corner and on the strongest tenth, "sure" errors, clear and distinct
            regions, or what is missing; None for these four.
            "faithful" holds insertion and deletion against random maps, for 32 model rows a sample.
            At the end "settled" explains the final model once more with half of the evaluations,
            unless the method knows standard errors.
        evolution: How the end of a training is drawn, under ``<tag>/evolution``: "picture" has a
            row per sample and a column per explained epoch, "animated" also writes a WebP file
            beside the event file and into ``save_dir``; None for not at all, and the summary is
            then on the console alone.
        summary: At the end, also explain so many images of the validation set, the classes in turn,
            and log under ``<tag>/classes`` what each class looks at, which classes are confused,
            and places that decide suspiciously much of a class; 256 is a good number. Swapping
            parts between images costs 25 rows an image more. ``time_budget`` makes the images
            fewer. None for not at all.

    Raises:
        ValueError: If an argument's value will not do; the message names it and says what will.
        TypeError: If an argument is of the wrong kind.

    Example:
        >>> from pytorch_lightning import Trainer
        >>> from lightning_shap import ShapCallback
        >>> trainer = Trainer(callbacks=[ShapCallback(n_samples=8)], logger=False)
    """

    @configurable
    def __init__(
        self,
        n_samples: int = 8,
        *,
        samples: SamplesLike | None = None,
        labels: Callable[[Any], Any] | int | str | None = None,
        every_n_epochs: int = 1,
        explain_untrained: bool = True,
        method: MethodName = "partition",
        max_evals: int = 100,
        targets: int | Sequence[int] | None = None,
        topk: int | None = None,
        against: Literal["runner-up"] | int | None = None,
        masker: float | str = "blur",
        grid: int | Sequence[int] | None = None,
        regions: RegionsName | None = None,
        output: Output = "logit",
        returns: Literal["logits", "probabilities", "log-probabilities", "values"] | None = None,
        multi_label: bool = False,
        batch_size: int = 64,
        class_names: Sequence[str] | None = None,
        mean: float | Sequence[float] | None = None,
        std: float | Sequence[float] | None = None,
        channels: int | Sequence[int] | None = None,
        module: str | None = None,
        style: StyleName | None = None,
        per_sample: bool = False,
        tag: str = "shap",
        save_dir: str | None = None,
        on_error: Literal["warn", "raise"] = "warn",
        seed: int = 0,
        progress: bool = True,
        explain_checkpoint: Literal["best"] | None = None,
        time_budget: float | str | None = None,
        report: bool = False,
        metrics: Sequence[MetricName] | None = None,
        evolution: Literal["picture", "animated"] | None = "picture",
        summary: int | None = None,
    ) -> None:
        super().__init__()
        checked_count("n_samples", n_samples, least=1)
        checked_switch("explain_untrained", explain_untrained)
        checked_switch("progress", progress)
        checked_switch("report", report)
        checked_switch("per_sample", per_sample)
        checked_count("every_n_epochs", every_n_epochs, least=0)
        if (mean is None) != (std is None):
            raise ArgumentError("mean, std", "only one was given; give both or neither")
        checked_choice("on_error", on_error, ("warn", "raise"))
        if not tag.strip("/"):
            raise ArgumentError("tag", f"got {tag!r}; give a name such as 'shap'")
        checked_choice("explain_checkpoint", explain_checkpoint, ("best", None))
        self.batch = FixedBatch(n_samples, checked_samples(samples), seed, checked_which(labels))
        self.every_n_epochs = every_n_epochs
        self.explain_untrained = explain_untrained
        if channels is not None:
            listed = [channels] if isinstance(channels, int) else channels
            shown_channels(channels, 1 + max(map(int, listed), default=0))
        self.channels = channels
        self.normalisation = None if mean is None or std is None else (mean, std)
        self.module = module
        self.class_names = class_names
        checked_choice("style", style, (*STYLES, None))
        checked_choice("evolution", evolution, ("picture", "animated", None))
        if summary is not None:
            checked_count("summary", summary, least=FEWEST, why="fewer say nothing of classes")
        self.tag = tag
        self.failures = Failures(on_error)
        self.question = Question(
            method=method,
            max_evals=max_evals,
            targets=targets,
            topk=topk,
            against=against,
            masker=masker,
            grid=grid,
            regions=regions,
            output=output,
            returns=returns,
            multi_label=multi_label,
            batch_size=batch_size,
            seed=seed,
            # The first is the true class, whose maps are not to change with those beside it.
            leading=None if targets is not None else 1,
        ).complete(topk=USUAL_TOPK, regions=USUAL_REGIONS)
        self.explain_checkpoint = explain_checkpoint
        self.budget = TimeBudget(time_budget)
        settings = {**self.question.settings, "labels": self.batch.labels}
        self.results = Results(tag, settings, save_dir, on_error, report)
        self.explanation: ImageExplanation | None = None
        self.steady = Steady()
        self.story = Story(checked_metrics(metrics))
        self.explainer = SharedExplainer(
            module,
            class_names,
            progress,
            "faithful" in self.story.metrics,
            labels_chosen=labels is not None or isinstance(samples, tuple),
        )
        self.logbook = Logbook(
            tag, self.results, self.steady, self.story, style, evolution, per_sample
        )
        self.summary = Summarizer(
            summary, self.question, self.explainer, self.results, tag, self.batch.labels
        )
        self.mistakes = MistakesFirst(self.batch, self.question, self.explainer, self.steady)
        self._begin()

    @property
    def state_key(self) -> str:
        """Keeps the states of callbacks with different tags apart in a checkpoint."""
        return f"{type(self).__qualname__}{ {'tag': self.tag} }"

    def state_dict(self) -> dict[str, Any]:
        """The samples' rows, the story so far, and the model card, for whoever loads the model.

        Only samples that cannot be found again are kept as images.
        """
        state = self.batch.state_dict()
        outputs = self.explainer.state_dict() if self.explanation is not None else {}
        card = {} if self.card is None else self.card.as_dict()
        more = {**self.logbook.state_dict(), "classifier": card, "outputs": outputs}
        return state | {name: part for name, part in more.items() if part}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes the samples and the story of the run that is resumed."""
        resume("samples", self.batch.load_state_dict, self.batch.begin, state_dict)
        state = state_dict if isinstance(state_dict, dict) else {}
        self.logbook.load_state_dict(state)
        outputs = state.get("outputs", {})
        resume("outputs", self.explainer.load_state_dict, self.explainer.begin, outputs)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Begins a fit afresh, or says why it will not."""
        if stage != "fit":
            return
        self._begin()
        reason = why_declined(trainer)
        if reason is not None:
            self.failures.decline()
            warn(f"ShapCallback explains nothing under {type(trainer.strategy).__name__}: {reason}")
            return
        self.ranks = Ranks.of(trainer)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Ends what connects the ranks."""
        if stage == "fit":
            self.ranks.leave()
            self.mistakes.forget()

    def on_validation_batch_start(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keeps the first validation batches, should the data set have no rows to pick."""
        if trainer.state.fn == "fit" and dataloader_idx == 0:
            self.batch.offer(batch, first=batch_idx == 0)
            self.mistakes.see(trainer, pl_module, batch, first=batch_idx == 0)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Settles the samples: a checkpoint saved after this validation is to hold them."""
        self.mistakes.release()
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            self._settle(trainer, pl_module)
            if self._is_due(trainer):
                self._choose(trainer, pl_module, looks_back=False)

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Leaves nothing on the module, whatever ends the fit."""
        self.mistakes.release()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Picks the samples, and explains the untrained model."""
        self.budget.begin()
        if self.failures.gave_up:
            return
        self._settle(trainer, pl_module, settle=False)
        # Loaders may differ from rank to rank, but what follows from them must not.
        with self._warned(trainer):
            self._validates = any(self.ranks.gather(lambda: validates(trainer)))
        with self._warned(trainer):
            self.mistakes.look(trainer, pl_module, self.ranks)
        if self._is_control_due(trainer):
            self.mistakes.keep_untrained(pl_module)
            knows_samples = self._validates or self.batch.pick is not None
            if knows_samples and not self.mistakes.is_due:
                self._explain(trainer, pl_module, self.tag, CONTROL, settle=False)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Lets ranks that stopped alone know that this one did not."""
        self.ranks.begin_epoch()

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Takes its samples from training batches where there is nothing else."""
        if self._validates or self.batch.pick is not None:
            return
        self.batch.offer(batch)
        if batch_idx == 0 and trainer.current_epoch == 0 and self._is_control_due(trainer):
            self._explain(trainer, pl_module, self.tag, CONTROL, settle=False)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Explains the model as trained so far."""
        if self._is_due(trainer):
            self._choose(trainer, pl_module)
            self._explain(trainer, pl_module, self.tag, str(Moment.of(trainer)))

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Explains the weights that ``fit`` leaves behind, and those of the best checkpoint.

        This is the first hook at which every averaging callback has put its weights in place,
        wherever it stands in the list. The strategy has moved the module to the CPU by then, so it
        visits its device once more.
        """
        self.failures.end()
        if self.every_n_epochs == 0:
            self._choose(trainer, pl_module)
        title = f"final model · {Moment.of(trainer)}"
        final = self._explain(trainer, pl_module, f"{self.tag}_final", title, needed=True)
        if final is not None:
            self._conclude(trainer, pl_module, final)
            if self.summary.size is not None:
                self._summarise(trainer, pl_module)
        if self.explain_checkpoint is not None:
            self._explain(
                trainer, pl_module, f"{self.tag}_best", "best checkpoint", best_model, needed=True
            )
        with self._warned(trainer):
            self.results.finish(trainer)

    def _begin(self) -> None:
        """Forgets what belongs to an earlier fit."""
        self.failures.begin()
        self.ranks = Ranks()
        self.card: ModelCard | None = None
        self._validates = True
        self._lack_logged = False
        self.batch.begin()
        self.explainer.begin()
        self.logbook.begin()
        self.mistakes.begin()

    @contextmanager
    def _warned(self, trainer: Trainer) -> Iterator[None]:
        whole = self.module is None
        with self.ranks.together(), self.failures.warned(trainer, whole_module=whole):
            yield

    def _is_control_due(self, trainer: Trainer) -> bool:
        begins = self.explain_untrained and trainer.global_step == 0
        return begins and not is_unfinished(trainer.lightning_module)

    def _is_due(self, trainer: Trainer) -> bool:
        nth = self.every_n_epochs
        return nth > 0 and (trainer.current_epoch + 1) % nth == 0

    def _choose(
        self, trainer: Trainer, pl_module: LightningModule, *, looks_back: bool = True
    ) -> None:
        """Keeps to the mistakes from now on, and explains them by the untrained model."""
        if self.failures.gave_up:
            return
        with self._warned(trainer), self.budget.spending():
            if self.mistakes.choose(trainer, pl_module, self.ranks):
                self.card = None
                self._samples(trainer, pl_module, settle=True)
        untrained = self.mistakes.untrained() if looks_back else None
        if untrained is not None:
            self._explain(trainer, pl_module, self.tag, CONTROL, untrained)

    def _settle(self, trainer: Trainer, pl_module: LightningModule, *, settle: bool = True) -> None:
        """Picks the samples, if that is possible yet. All ranks must call it."""
        if not self.failures.gave_up and self.batch.pick is None:
            with self._warned(trainer):
                self._samples(trainer, pl_module, settle=settle)

    def _samples(
        self, trainer: Trainer, pl_module: LightningModule, *, settle: bool
    ) -> Samples | None:
        """The samples, and the card of the model that they are explained with."""
        samples = self.batch.take(trainer, pl_module, self.ranks, settle=settle)
        if samples is not None and self.card is None:
            batch, rows = self.batch, None if self.batch.pick is None else self.batch.pick.rows
            self.card = self.ranks.on_first(
                lambda: model_card(
                    pl_module,
                    samples,
                    batch.datasets,
                    batch.loaders,
                    rows,
                    self.module,
                    class_names=self.class_names,
                    normalisation=self.normalisation,
                    returns=self.question.returns,
                    multi_label=self.question.multi_label,
                    channels=self.channels,
                    datamodule=getattr(trainer, "datamodule", None),
                )
            )
            if one_class_only(samples) and not self.batch.chosen_by_user:
                warn(
                    f"ShapCallback: all {len(samples)} samples are of one class; give samples= of "
                    "several, or labels= if the classes are another part of the data"
                )
        return samples

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
    ) -> ImageExplanation | None:
        """Explains the samples and logs the result; a failure is a warning at most.

        Whatever one rank alone may fail in, or decide, is gathered: all ranks fail alike and go on
        alike, and none waits for another.
        """
        if self.failures.gave_up:
            return None
        with self._warned(trainer), self.budget.spending() as spending:
            samples = self._samples(trainer, pl_module, settle=settle)
            if samples is None:
                self._log_lack(title, expected=settle)
                return None
            mine = len(self.ranks.share(samples))
            affordable = self.ranks.on_first(lambda: self._affordable(mine, title, needed))
            if affordable == 0:
                return None
            question = self.steady.question(self.question.within(affordable), len(samples))
            found = self._found(trainer, lambda: model_of(trainer, pl_module), samples, question)
            if found is None:
                return None
            explanation, faithful = found
            spending.rows = affordable * mine
            spending.model_seconds = explanation.record.model_seconds
            self.explanation = explanation
            self.failures.success()
            if self.batch.pick is not None:
                if tag == self.tag:
                    self.steady.keep(explanation, is_control=title == CONTROL)
                self.steady.mark(explanation, question)
            self.ranks.gather(lambda: self._log(trainer, explanation, tag, title, faithful))
            return explanation
        return None

    def _found(
        self,
        trainer: Trainer,
        model: Callable[[], LightningModule],
        samples: Samples,
        question: Question,
    ) -> tuple[ImageExplanation, dict[str, float]] | None:
        """The explanation of all samples and how faithful it is; None if there will be none."""
        found = self.explainer.explain(
            trainer,
            self.ranks,
            model,
            samples,
            question,
            found_names=None if self.card is None else self.card.class_names,
            trees=self.batch.trees,
        )
        if isinstance(found, str):
            self.failures.decline()
            warn(f"ShapCallback explains nothing: {found}")
            return None
        return found

    def _conclude(
        self, trainer: Trainer, pl_module: LightningModule, final: ImageExplanation
    ) -> None:
        """Logs how the training ended."""
        with self._warned(trainer), self.budget.spending():
            samples = self._samples(trainer, pl_module, settle=True)
            assert samples is not None  # they have just been explained
            half, evaluations = None, self.ranks.on_first(lambda: self._half_of(final))
            if evaluations:
                question = self.question.within(evaluations)
                question = question.of_classes(final.output_indexes, final.record.against)
                found = self._found(trainer, lambda: pl_module, samples, question)
                half = None if found is None else found[0]
            self.ranks.gather(lambda: self.logbook.close(trainer, final, half, self._look))

    def _summarise(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Logs what the model looks at in each class, over many images."""
        with self._warned(trainer), self.budget.spending() as spending:
            found = self.summary.explain(
                trainer, pl_module, self.ranks, self.budget, spending, self.card
            )
            if found is not None:
                self.ranks.gather(lambda: self.summary.log(trainer, found, self._look))

    def _half_of(self, final: ImageExplanation) -> int:
        """With how many evaluations the time allows to explain the final model once more."""
        half = half_of(final, self.story)
        allowed = self.budget.evaluations(half, len(final.record.outputs)) if half else 0
        return half if allowed == half else 0

    def _affordable(self, samples: int, title: str, needed: bool) -> int:
        """How many evaluations the time allows; says so where it is fewer than wanted."""
        wanted = self.question.max_evals
        allowed = self.budget.evaluations(wanted, samples, needed=needed)
        if allowed < wanted:
            inform(
                f"ShapCallback: {allowed or 'no'} evaluations of {wanted} for {title!r}, "
                f"to keep to time_budget={self.budget.limit!r}"
            )
        return allowed

    def _log(
        self,
        trainer: Trainer,
        explanation: ImageExplanation,
        tag: str,
        title: str,
        faithful: dict[str, float],
    ) -> None:
        look = self._look
        self.logbook.log(trainer, explanation, tag, title, look=look, faithful=faithful)

    @property
    def _look(self) -> dict[str, Any]:
        """How images are shown as photographs."""
        card = self.card
        known = None if card is None else (card.mean, card.std)
        mean, std = self.normalisation or known or (None, None)
        channels = self.channels if card is None else card.shown_channels
        return {"mean": mean, "std": std, "channels": channels}

    def _log_lack(self, title: str, *, expected: bool) -> None:
        if not self._lack_logged:
            self._lack_logged = expected
            (warn if expected else inform)(
                f"ShapCallback has no samples yet for {title!r}, and waits for the first "
                "validation batch; give samples=, or num_sanity_val_steps=1 to the Trainer"
            )
