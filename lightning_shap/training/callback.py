"""Say when to explain: a Lightning callback that watches a classifier learn."""

from typing import Any

from lightning_shap.training.configuration import Configuration
from lightning_shap.training.lightning import EitherCallback, LightningModule, Trainer
from lightning_shap.training.messages import warn
from lightning_shap.training.moment import Moment
from lightning_shap.training.ranks import find_obstacle
from lightning_shap.training.session import Session


class ShapCallback(Configuration, EitherCallback):  # type: ignore[misc]  # as EitherCallback
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
        class_summary: What ``summary`` found of the classes; None before, and without.

    Args:
        n_samples: How many samples.
        samples: Which ones. None picks rows of the validation set (of the training set where there
            is no validation), the classes in turn and evenly spread, the same in every run, and
            prepares them as the validation would; the first batches where rows have no numbers. A
            list of indices picks these rows; a data set gives its first; a tensor (N, C, H, W), or
            a pair of one and its labels (N,), is taken as it is. "mistakes"
            chooses by predictions in the first epoch to explain, for the control too: each
            confusion in turn, the surest mistakes first, then what the model is least sure of.
            "mixed" exchanges a quarter of the rows for the least sure, likewise. Up to 1024 rows
            are predicted for it, once, at two rows of the model each.
        labels: Which labels of the data are true of what is explained, where several could be: the
            name or the position of a part of the batch, or a function of the batch, in a
            configuration file by its import path. None for what is called labels, else what follows
            the images; of one of several heads that ``output`` picks, none is taken for granted.
        every_n_epochs: Explain at the end of every n-th epoch; 0 for never. Weights are then those
            of the training, not those of an averaging callback.
        every_n_steps: Explain after every n-th step of the optimizer as well, for streams and very
            long epochs; 0 for never. Maps are then named by their steps.
        explain_untrained: Also explain the model before its first step, as a control: what stands
            out there already is not evidence of anything it learnt.
        method: "partition" gives Owen values, by the descent of SHAP's PartitionExplainer; "kernel"
            Shapley values of a grid of patches or of regions, both with error bars; "gradient"
            shap's expected gradients.
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
            so many pixels (width first, as in shap), "mean" (the image's mean colour), "samples"
            (other samples, in turn), "inpaint_telea" or "inpaint_ns", or a number, which is a value
            of the pixels as the model receives them.
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
        precision: Of the model's calls: "as trained", "float32", or "bf16", which is faster where
            the hardware knows it and less exact everywhere.
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
        progress: Show a bar while an explanation lasts, beside the trainer's tqdm bars.
        explain_checkpoint: "best" also explains the best checkpoint at the end, under
            ``<tag>_best``.
        time_budget: How much time explanations may take: "10%" of the training's, or so many
            seconds each. Evaluations are lowered, or epochs but the first skipped, to keep to it;
            None for no limit. What is explained then depends on the clock.
        report: Also write everything as one interactive HTML file, ``<tag>.html`` in ``save_dir``
            or else where the first logger keeps this run's files, on this machine or not. A report
            of another run there is left alone, and this one's is ``<tag>-v1.html``.
        metrics: Which numbers to log of the maps of the true class, or the highest, as a list.
            "settled" gives the similarity to the epoch explained before, "changed" that to the
            untrained model, see :class:`lightning_shap.Similarity`; "where" gives the shares along
            the border, in each corner and on the strongest tenth, "sure" errors, clear and distinct
            regions, or what is missing; None for these four.
            "faithful" holds insertion and deletion against random maps, for 32 model rows a sample.
            At the end "settled" explains the final model once more with half of the evaluations,
            unless the method errs by chance, as "kernel" does, and knows how much.
        evolution: How the end of a training is drawn, under ``<tag>/evolution``: "picture" has a
            row per sample and a column per explained epoch, "animated" also writes a WebP file
            beside the event file and into ``save_dir``; None for not at all, and the summary is
            then on the console alone.
        summary: At the end, also explain so many images of the validation set, the classes in turn,
            and log under ``<tag>/classes`` what each class looks at, which classes are confused,
            and what decides suspiciously much of a class, with the proof; 256 is a good number.
            Swapping parts between images costs 112 rows an image more. ``time_budget`` makes the
            images fewer. None for not at all.
        watch: Places to watch, one or several: names such as "bottom left corner" or "tint and
            brightness", boxes [left, top, right, bottom] in pixels of the model's images, files of
            masks, or the ``classes.json`` of an earlier run for what it found. At every explanation
            ``<tag>/watch_decides/...`` is the share of what decides about the samples that the part
            has, by swaps between samples of different classes, for three rows a part and sample
            and one more; ``<tag>/watch_attribution/...`` its share of the maps. The class summary
            proves what is watched, too.
        watch_limit: The decided share from which on a watched part is warned of, once, on the
            console and in every logger.
        on_shortcut: "stop" ends the training then, as EarlyStopping does; "warn" goes on.

    Raises:
        ValueError: If an argument's value will not do; the message names it and says what will.
        TypeError: If an argument is of the wrong kind.

    Example:
        >>> from pytorch_lightning import Trainer
        >>> from lightning_shap import ShapCallback
        >>> trainer = Trainer(callbacks=[ShapCallback(n_samples=8)], logger=False)
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        self._session: Session | None = None
        self._state: Any = {}  # while there is no session

    @property
    def state_key(self) -> str:
        """Keeps the states of callbacks with different tags apart in a checkpoint."""
        return f"{type(self).__qualname__}{ {'tag': self.tag} }"

    def state_dict(self) -> dict[str, Any]:
        """Returns the samples' rows, the history so far, and the model card for other programs."""
        return self._state if self._session is None else self._session.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes the samples and the history of the run that is resumed."""
        if self._session is None:
            self._state = state_dict
        else:
            self._session.load_state_dict(state_dict)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Begins a fit, or says why it will not explain it."""
        self._session = None
        if stage != "fit":
            return
        self.explanation = self.class_summary = None  # of a fit before, as of another fold
        reason = find_obstacle(trainer)
        if reason is None:
            self._session = Session(self, trainer, pl_module)
        else:
            warn(f"ShapCallback explains nothing under {type(trainer.strategy).__name__}: {reason}")

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Ends the fit, of which only what it found stays, for checkpoints saved later."""
        if self._session is not None:
            self._state = self._session.state_dict()
            self._session.ranks.leave()
            self._session = None

    def on_validation_batch_start(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Looks at the first validation data set, from which samples may come."""
        if self._session is not None and dataloader_idx == 0:
            self._session.batch.offer(batch, first=batch_idx == 0)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Settles the samples: a checkpoint saved after this validation is to hold them."""
        if self._session is not None and not trainer.sanity_checking:
            self._session.settle()
            if self._is_due(trainer):
                self._session.choose(looks_back=False)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Picks the samples, and explains the untrained model."""
        if self._session is not None:
            self._session.start()

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Lets ranks that stopped alone know that this one did not."""
        if self._session is not None:
            self._session.ranks.begin_epoch()

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Takes samples from training batches where need be; explains after every n-th step."""
        if self._session is not None:
            self._session.see_training(batch, first=batch_idx == 0 and trainer.current_epoch == 0)
            if self._is_step_due(trainer):
                self._session.explain_epoch()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Explains the model as trained so far."""
        if self._session is not None and (self._is_due(trainer) or self._is_step_due(trainer)):
            self._session.explain_epoch()

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Explains the weights that ``fit`` leaves behind, and those of the best checkpoint.

        This is the first hook at which every averaging callback has put its weights in place,
        wherever it stands in the list. The strategy has moved the module to the CPU by then, so it
        visits its device once more. A fit that trained nothing, as of a run that had ended before,
        leaves nothing new to explain.
        """
        if self._session is not None and hasattr(self._session, "budget"):  # which training begins
            self._session.end()

    def _is_due(self, trainer: Trainer) -> bool:
        nth = self.every_n_epochs
        return nth > 0 and (trainer.current_epoch + 1) % nth == 0

    def _is_step_due(self, trainer: Trainer) -> bool:
        nth, steps = self.every_n_steps, Moment.find(trainer).step + 1
        return nth > 0 and steps > 0 and steps % nth == 0
