"""Read and check the callback's arguments, as code, files and command lines give them."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass, field, fields
from typing import Any, Literal

import numpy as np

from lightning_shap.analysis.class_summary.parts import Part
from lightning_shap.analysis.class_summary.summary import ClassSummary, check_comparable
from lightning_shap.analysis.class_summary.watched import read_parts
from lightning_shap.analysis.history.numbers import MetricName, check_metrics
from lightning_shap.engine.methods.registry import MethodName, RegionsName
from lightning_shap.engine.outputs import Output
from lightning_shap.engine.precision import PrecisionName
from lightning_shap.engine.question import Question
from lightning_shap.errors import (
    ArgumentError,
    ArgumentTypeError,
    check_choice,
    check_count,
    check_switch,
    show,
)
from lightning_shap.explanation.classes import Returns
from lightning_shap.explanation.explanation import ImageExplanation
from lightning_shap.pictures.pixels import choose_channels
from lightning_shap.pictures.styles import STYLES, StyleName
from lightning_shap.training.fixed_classes import USUAL_REGIONS, USUAL_TOPK
from lightning_shap.training.samples.fixed_batch import SamplesLike
from lightning_shap.training.samples.labels import read_which
from lightning_shap.training.samples.samples import read_samples
from lightning_shap.training.time_budget import TimeBudget

ASKED = (  # of the model, at every explanation
    *("method", "max_evals", "targets", "topk", "against", "masker", "grid", "regions"),
    *("output", "returns", "multi_label", "batch_size", "precision", "seed"),
)

FEWEST = 32  # images of a class summary; fewer say nothing of several classes


@dataclass(eq=False, repr=False)
class Configuration:
    """Reads and checks what a :class:`lightning_shap.ShapCallback` is given, which describes it.

    Lists and dictionaries of OmegaConf, and so of Hydra, become plain ones.

    Attributes:
        question: What is asked of the model at every explanation.
        explanation: The latest explanation; None before.
        class_summary: What many images of the validation set say of the classes; None before.
        watched: The parts that ``watch`` names.
    """

    n_samples: int = 8
    _: KW_ONLY
    samples: SamplesLike | None = None
    labels: Callable[[Any], Any] | int | str | None = None
    every_n_epochs: int = 1
    every_n_steps: int = 0
    explain_untrained: bool = True
    method: MethodName = "partition"
    max_evals: int = 100
    targets: int | Sequence[int] | None = None
    topk: int | None = None
    against: Literal["runner-up"] | int | None = None
    masker: float | str = "blur"
    grid: int | Sequence[int] | None = None
    regions: RegionsName | None = None
    output: Output = "logit"
    returns: Returns | None = None
    multi_label: bool = False
    batch_size: int = 64
    precision: PrecisionName = "as trained"
    class_names: Sequence[str] | None = None
    mean: float | Sequence[float] | None = None
    std: float | Sequence[float] | None = None
    channels: int | Sequence[int] | None = None
    module: str | None = None
    style: StyleName | None = None
    per_sample: bool = False
    tag: str = "shap"
    save_dir: str | None = None
    on_error: Literal["warn", "raise"] = "warn"
    seed: int = 0
    progress: bool = True
    explain_checkpoint: Literal["best"] | None = None
    time_budget: float | str | None = None
    report: bool = False
    metrics: Sequence[MetricName] | None = None
    evolution: Literal["picture", "animated"] | None = "picture"
    summary: int | None = None
    watch: str | Sequence[Any] | None = None
    watch_limit: float = 0.5
    on_shortcut: Literal["warn", "stop"] = "warn"
    question: Question = field(init=False)
    explanation: ImageExplanation | None = field(default=None, init=False)
    class_summary: ClassSummary | None = field(default=None, init=False)
    watched: tuple[Part, ...] = field(default=(), init=False)

    def __post_init__(self) -> None:
        for each in fields(self):
            if each.init:
                setattr(self, each.name, _read_omegaconf(getattr(self, each.name)))
        check_count("n_samples", self.n_samples, least=1)
        check_count("every_n_epochs", self.every_n_epochs, least=0)
        check_count("every_n_steps", self.every_n_steps, least=0)
        for switch in ("explain_untrained", "progress", "report", "per_sample"):
            check_switch(switch, getattr(self, switch))
        if (self.mean is None) != (self.std is None):
            raise ArgumentError("mean, std", "only one was given; give both or neither")
        check_choice("on_error", self.on_error, ("warn", "raise"))
        check_choice("explain_checkpoint", self.explain_checkpoint, ("best", None))
        check_choice("style", self.style, (*STYLES, None))
        check_choice("evolution", self.evolution, ("picture", "animated", None))
        for name in ("targets", "channels", "mean", "std"):
            _check_numbers(name, getattr(self, name))
        if not self.tag.strip("/"):
            raise ArgumentError("tag", f"got {self.tag!r}; give a name such as 'shap'")
        if self.channels is not None:
            listed = [self.channels] if isinstance(self.channels, int) else self.channels
            choose_channels(self.channels, 1 + max(map(int, listed), default=0))
        if self.save_dir is not None and "://" in str(self.save_dir):
            raise ArgumentError("save_dir", f"got {self.save_dir!r}; give a folder of this machine")
        self.samples = read_samples(self.samples)
        self.labels = read_which(self.labels)
        self.metrics = check_metrics(self.metrics)
        TimeBudget(self.time_budget)
        # The first class is the true one, whose maps are not to change with those beside it.
        leading = None if self.targets is not None else 1
        asked = Question(**{name: getattr(self, name) for name in ASKED}, leading=leading)
        self.question = asked.complete(topk=USUAL_TOPK, regions=USUAL_REGIONS)
        if self.summary is not None:
            check_count("summary", self.summary, least=FEWEST, why="fewer say nothing of classes")
            check_comparable(self.question.returns, self.multi_label)
        check_choice("on_shortcut", self.on_shortcut, ("warn", "stop"))
        if not 0 < self.watch_limit <= 1:
            raise ArgumentError("watch_limit", f"got {self.watch_limit!r}; give a share up to 1")
        self.watched = read_parts(self.watch)
        if self.watched:
            check_comparable(self.question.returns, self.multi_label, by="watch")

    @property
    def settings(self) -> dict[str, Any]:
        """Returns what was asked for, as loggers show it."""
        return {**self.question.settings, "labels": self.labels}


def _read_omegaconf(value: Any) -> Any:
    """Returns lists and dictionaries of OmegaConf as plain ones, and all else as it is."""
    omegaconf = sys.modules.get("omegaconf")
    if omegaconf is not None and omegaconf.OmegaConf.is_config(value):
        return omegaconf.OmegaConf.to_container(value, resolve=True)
    return value


def _check_numbers(name: str, value: Any) -> None:
    """Refuses numbers in strings, which would fail as late as when they are used."""
    if value is not None and np.asarray(value).dtype.kind not in "biuf":
        raise ArgumentTypeError(name, f"got {show(value)}; give a number or a list of numbers")
