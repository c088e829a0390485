"""What a callback asks of its model at every explanation."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from lightning_shap.engine.arguments import (
    checked_count,
    checked_grid,
    checked_method,
    checked_options,
    checked_regions,
    checked_switch,
)
from lightning_shap.engine.contrast import Against, checked_against
from lightning_shap.engine.maskers import checked_masker
from lightning_shap.engine.methods.registry import METHODS, MethodName, RegionsName
from lightning_shap.engine.outputs import Output, checked_returns, value_function
from lightning_shap.errors import MOST_EVALUATIONS, MOST_SEED, ArgumentError
from lightning_shap.explanation.classes import Returns

USUAL_TOPK = 3  # the true class, the one that is kept beside it, and the highest other
USUAL_REGIONS: RegionsName = "image"  # for the eye; rectangles are what explain returns unasked


@dataclass(frozen=True, kw_only=True)
class Question:
    """The arguments of :func:`lightning_shap.explain` that are the same in all epochs.

    They are checked before there is a model, as far as that can be.

    Attributes:
        first: int (N, F), outputs that ``topk`` begins with, or None for the true classes.
        leading: How many of the classes lead the descents of "partition", None for all.
        fewer_will_do: Nobody asked for so many classes: of a model with fewer, all are explained.
    """

    method: MethodName
    max_evals: int
    targets: int | Sequence[int] | np.ndarray | None
    topk: int | None
    against: Against
    masker: float | str
    grid: int | Sequence[int] | None
    regions: RegionsName | None
    output: Output
    returns: Returns | None
    multi_label: bool
    batch_size: int
    seed: int
    first: np.ndarray | None = None
    leading: int | None = None
    fewer_will_do: bool = False

    def __post_init__(self) -> None:
        checked_switch("multi_label", self.multi_label)
        ends = "the empty and the full image"
        checked_count("max_evals", self.max_evals, least=2, most=MOST_EVALUATIONS, why=ends)
        checked_count("seed", self.seed, least=0, most=MOST_SEED)
        checked_count("batch_size", self.batch_size, least=1)
        checked_method(self.method)
        checked_options(self.method, grid=self.grid, regions=checked_regions(self.regions))
        if self.regions is None and self.grid is None and "regions" in METHODS[self.method].options:
            object.__setattr__(self, "regions", USUAL_REGIONS)
        checked_masker(self.masker)
        value_function(self.output)
        object.__setattr__(self, "returns", checked_returns(self.returns, self.output))
        contrast = checked_against(self.against) is not None
        if self.targets is not None and self.topk is not None:
            raise ArgumentError("targets, topk", "both were given; give the classes or how many")
        if self.topk is None and self.targets is None:
            object.__setattr__(self, "fewer_will_do", True)
            object.__setattr__(self, "topk", 1 if contrast else USUAL_TOPK)
        elif self.topk is not None and not self.fewer_will_do:
            checked_count("topk", self.topk, least=1)
            if contrast and self.topk != 1:
                raise ArgumentError(
                    "topk", f"got {self.topk}, but against= explains one class; give 1"
                )
            if self.returns == "values":
                raise ArgumentError(
                    "topk", f"got {self.topk}, but values have no highest one; give targets"
                )
        object.__setattr__(self, "grid", checked_grid(self.grid, self.max_evals))

    def within(self, max_evals: int) -> "Question":
        """Returns the question for so many evaluations, on patches that these can resolve."""
        try:
            return replace(self, max_evals=max_evals)
        except ArgumentError:  # of the grid, which the time has become too short for
            return replace(self, max_evals=max_evals, grid=None, regions="boxes")

    def at_a_glance(self) -> "Question":
        """The same of the two rows that show a model's outputs, and so what would be explained."""
        return replace(self, method="partition", max_evals=2, grid=None, regions=None)

    def of_classes(self, classes: np.ndarray, against: np.ndarray | None) -> "Question":
        """The same of given classes (N, K'), compared with others (N,)."""
        return replace(self, targets=classes, topk=None, against=against)

    def beginning_with(self, first: np.ndarray, against: np.ndarray | None) -> "Question":
        """Returns the question with the first of its ``topk`` classes (N, F) given.

        Args:
            first: The outputs; of no use where all were given by the user.
            against: int (N,), what they are compared with, None for what was asked for.
        """
        return replace(
            self,
            first=None if self.topk is None else first,
            against=self.against if against is None else against,
        )

    def of_rows(self, rows: slice) -> "Question":
        """The same of some of the samples."""
        targets, against = self.targets, self.against
        return replace(
            self,
            targets=targets[rows]
            if isinstance(targets, np.ndarray) and targets.ndim > 1
            else targets,
            first=None if self.first is None else self.first[rows],
            against=against[rows] if isinstance(against, np.ndarray) and against.ndim else against,
        )

    def arguments(self) -> dict[str, Any]:
        """By the names of :func:`lightning_shap.explain`'s arguments."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def settings(self) -> dict[str, Any]:
        """What was asked for, as loggers show it."""
        inner = ("first", "leading", "fewer_will_do")
        return {name: value for name, value in self.arguments().items() if name not in inner}
