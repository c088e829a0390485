"""Read and check the callback's arguments, as code, files and command lines give them."""

import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass, field, fields
from typing import Any, Literal, get_args, get_type_hints

from lightning_shap.analysis.class_summary.summary import ClassSummary, check_comparable
from lightning_shap.analysis.history.numbers import MetricName, check_metrics
from lightning_shap.engine.methods.registry import MethodName, RegionsName
from lightning_shap.engine.outputs import Output
from lightning_shap.engine.question import Question
from lightning_shap.errors import ArgumentError, check_choice, check_count, check_switch
from lightning_shap.explanation.classes import Returns
from lightning_shap.explanation.explanation import ImageExplanation
from lightning_shap.pictures.pixels import choose_channels
from lightning_shap.pictures.styles import STYLES, StyleName
from lightning_shap.training.fixed_classes import USUAL_REGIONS, USUAL_TOPK
from lightning_shap.training.samples.fixed_batch import SamplesLike
from lightning_shap.training.samples.labels import checked_which
from lightning_shap.training.samples.samples import checked_samples
from lightning_shap.training.time_budget import TimeBudget

ASKED = (  # of the model, at every explanation
    *("method", "max_evals", "targets", "topk", "against", "masker", "grid", "regions"),
    *("output", "returns", "multi_label", "batch_size", "seed"),
)

FEWEST = 32  # images of a class summary; fewer say nothing of several classes


@dataclass(eq=False, repr=False)
class Configuration:
    """Reads and checks what a :class:`lightning_shap.ShapCallback` is given, which describes it.

    An argument that may be a number takes one in a string, such as ``"0.5"``, alone or in a list;
    one that is a switch takes ``"true"`` and ``"false"``. Lists and dictionaries of OmegaConf, and
    so of Hydra, become plain ones.

    Attributes:
        question: What is asked of the model at every explanation.
        explanation: The latest explanation; None before.
        class_summary: What many images of the validation set say of the classes; None before.
    """

    n_samples: int = 8
    _: KW_ONLY
    samples: SamplesLike | None = None
    labels: Callable[[Any], Any] | int | str | None = None
    every_n_epochs: int = 1
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
    question: Question = field(init=False)
    explanation: ImageExplanation | None = field(default=None, init=False)
    class_summary: ClassSummary | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        read_strings(self)
        check_count("n_samples", self.n_samples, least=1)
        check_count("every_n_epochs", self.every_n_epochs, least=0)
        for switch in ("explain_untrained", "progress", "report", "per_sample"):
            check_switch(switch, getattr(self, switch))
        if (self.mean is None) != (self.std is None):
            raise ArgumentError("mean, std", "only one was given; give both or neither")
        check_choice("on_error", self.on_error, ("warn", "raise"))
        check_choice("explain_checkpoint", self.explain_checkpoint, ("best", None))
        check_choice("style", self.style, (*STYLES, None))
        check_choice("evolution", self.evolution, ("picture", "animated", None))
        if not self.tag.strip("/"):
            raise ArgumentError("tag", f"got {self.tag!r}; give a name such as 'shap'")
        if self.channels is not None:
            listed = [self.channels] if isinstance(self.channels, int) else self.channels
            choose_channels(self.channels, 1 + max(map(int, listed), default=0))
        if self.save_dir is not None and "://" in str(self.save_dir):
            raise ArgumentError("save_dir", f"got {self.save_dir!r}; give a folder of this machine")
        self.samples = checked_samples(self.samples)
        self.labels = checked_which(self.labels)
        self.metrics = check_metrics(self.metrics)
        TimeBudget(self.time_budget)
        # The first class is the true one, whose maps are not to change with those beside it.
        leading = None if self.targets is not None else 1
        asked = Question(**{name: getattr(self, name) for name in ASKED}, leading=leading)
        self.question = asked.complete(topk=USUAL_TOPK, regions=USUAL_REGIONS)
        if self.summary is not None:
            check_count("summary", self.summary, least=FEWEST, why="fewer say nothing of classes")
            check_comparable(self.question.returns, self.multi_label)

    @property
    def settings(self) -> dict[str, Any]:
        """Returns what was asked for, as loggers show it."""
        return {**self.question.settings, "labels": self.labels}


def read_strings(arguments: Any) -> None:
    """Reads the numbers and switches that a dataclass was given in strings, in place.

    Args:
        arguments: Its annotations say which fields may be numbers or switches. All else stays as it
            is, to be checked.
    """
    hints = get_type_hints(type(arguments))
    for each in fields(arguments):
        if each.init:
            value = getattr(arguments, each.name)
            setattr(arguments, each.name, _read(value, hints[each.name]))


def _read(value: Any, hint: Any) -> Any:
    omegaconf = sys.modules.get("omegaconf")
    if omegaconf is not None and omegaconf.OmegaConf.is_config(value):
        value = omegaconf.OmegaConf.to_container(value, resolve=True)
    if type(value) is list:
        return [_read(item, hint) for item in value]
    if not isinstance(value, str):
        return value
    if hint is bool:
        return {"true": True, "false": False}.get(value.strip().lower(), value)
    return _read_number(value) if _may_be_a_number(hint) else value


def _read_number(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            number = kind(text)
        except ValueError:
            continue
        if math.isfinite(number):
            return number
    return text


def _may_be_a_number(hint: Any) -> bool:
    """Returns whether a type is a number's, or has one in it: of a union, of a list."""
    return hint in (int, float) or any(map(_may_be_a_number, get_args(hint)))
