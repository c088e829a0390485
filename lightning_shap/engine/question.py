"""The question to a model: every argument of an explanation, read and checked once."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, get_args

import numpy as np
import torch

from lightning_shap.engine.maskers import MaskerLike, check_masker, is_painted
from lightning_shap.engine.methods.registry import (
    METHODS,
    REMOVED,
    MethodName,
    RegionsName,
    list_methods,
)
from lightning_shap.engine.outputs import Output, make_scorer, read_returns
from lightning_shap.engine.precision import PrecisionName
from lightning_shap.engine.progress import Progress
from lightning_shap.engine.regions.image_tree import ImageTrees
from lightning_shap.engine.regions.patches import LARGEST_SIDE
from lightning_shap.engine.returned import Returned
from lightning_shap.engine.targets import Against, read_against, refuse_ranks_of_values
from lightning_shap.engine.truth import FoundLabels
from lightning_shap.errors import (
    MOST_EVALUATIONS,
    MOST_SEED,
    MOST_SIDE,
    ArgumentError,
    ArgumentTypeError,
    check_choice,
    check_count,
    check_switch,
    show,
)
from lightning_shap.explanation.classes import Returns

ENDS = "the empty and the full image"  # which every explanation evaluates


@dataclass(frozen=True, kw_only=True, eq=False)
class Question:
    """The arguments of :func:`lightning_shap.explain`, but for the model and the images.

    They are checked when they are given, before there is a model, as far as that can be. What only
    the images or the outputs can tell is checked when the question is answered.

    Attributes:
        first: int (N, F), outputs that ``topk`` begins with instead of the true classes; None for
            these.
        leading: How many outputs, the first ones, lead the descents of ``"partition"``, so that
            their maps do not depend on the others; None for all, as in SHAP.
        fewer_will_do: Nobody asked for so many classes: of a model with fewer outputs than ``topk``
            all are explained, and of outputs that are values, which have no highest, the first.

    Raises:
        ValueError: If an argument's value will not do; the message names it and says what will.
        TypeError: If an argument is of the wrong kind.
    """

    method: MethodName = "partition"
    max_evals: int = 500
    targets: int | Sequence[int] | np.ndarray | torch.Tensor | None = None
    topk: int | None = None
    against: Against = None
    labels: Sequence[Any] | np.ndarray | torch.Tensor | None = None
    masker: MaskerLike = "blur"
    grid: int | Sequence[int] | None = None
    regions: RegionsName | None = None
    backgrounds: torch.Tensor | Literal["samples"] | None = None
    output: Output = "logit"
    returns: Returns | None = None
    multi_label: bool = False
    batch_size: int = 64
    precision: PrecisionName = "as trained"
    class_names: Sequence[str] | None = None
    seed: int = 0
    progress: Progress = False

    first: np.ndarray | None = None
    leading: int | None = None
    fewer_will_do: bool = False

    def __post_init__(self) -> None:
        evaluations = check_count(
            "max_evals", self.max_evals, least=2, most=MOST_EVALUATIONS, why=ENDS
        )
        check_switch("multi_label", self.multi_label)
        _check_progress(self.progress)
        _check_method(self.method)
        check_choice("precision", self.precision, get_args(PrecisionName))
        if self.regions is not None:
            check_choice("regions", self.regions, get_args(RegionsName))
        read = {
            "max_evals": evaluations,
            "batch_size": check_count("batch_size", self.batch_size, least=1),
            "seed": check_count("seed", self.seed, least=0, most=MOST_SEED),
            "grid": _read_grid(self.grid, evaluations),
            "returns": read_returns(self.returns, self.output),
            "against": read_against(self.against),
        }
        self._check_options()
        check_masker(self.masker)
        make_scorer(self.output)
        for name, value in read.items():
            object.__setattr__(self, name, value)
        self._check_topk()

    @property
    def options(self) -> dict[str, Any]:
        """The arguments that this question's method takes and others do not."""
        return {name: getattr(self, name) for name in METHODS[self.method].options}

    @property
    def settings(self) -> dict[str, Any]:
        """The arguments as loggers show them, without those that change from call to call."""
        inner = {"labels", "class_names", "progress", "backgrounds"}
        inner |= {"first", "leading", "fewer_will_do"}
        names = (field.name for field in fields(self))
        return {name: getattr(self, name) for name in names if name not in inner}

    def complete(self, *, topk: int, regions: RegionsName | None = None) -> "Question":
        """Returns the question with so many classes, and such regions, where nobody chose them.

        Args:
            topk: How many classes, one where it is compared with another.
            regions: What regions follow, if the method has some and no grid was given.
        """
        chosen: dict[str, Any] = {}
        if self.topk is None and self.targets is None:
            chosen |= {"topk": topk if self.against is None else 1, "fewer_will_do": True}
        if self.regions is None and self.grid is None and "regions" in self.options:
            chosen["regions"] = regions
        return replace(self, **chosen)

    def shorten(self, max_evals: int) -> "Question":
        """Returns the question for so many evaluations, on patches that these can resolve."""
        try:
            return replace(self, max_evals=max_evals)
        except ArgumentError:  # of the grid, which the time has become too short for
            return replace(self, max_evals=max_evals, grid=None, regions="boxes")

    def glance(self) -> "Question":
        """Returns the question of two rows, which show the outputs and what would be explained."""
        return replace(self, method="partition", max_evals=2, grid=None, regions=None)

    def pick_classes(self, classes: np.ndarray, against: np.ndarray | None) -> "Question":
        """Returns the question of given classes (N, K'), compared with others (N,)."""
        return replace(self, targets=classes, topk=None, against=against)

    def begin_with(self, first: np.ndarray, against: np.ndarray | None) -> "Question":
        """Returns the question with the first of its ``topk`` classes (N, F) given.

        Args:
            first: The outputs; ignored where all were given by the user.
            against: int (N,), what they are compared with, None for what was asked for.
        """
        return replace(
            self,
            first=None if self.topk is None else first,
            against=self.against if against is None else against,
        )

    def pick_rows(self, rows: slice) -> "Question":
        """Returns the question of some of the samples."""
        targets, against = self.targets, self.against
        several = isinstance(targets, np.ndarray) and targets.ndim > 1
        return replace(
            self,
            targets=targets[rows] if several else targets,  # type: ignore[index]
            first=None if self.first is None else self.first[rows],
            against=against[rows] if isinstance(against, np.ndarray) and against.ndim else against,
        )

    def _check_options(self) -> None:
        """Refuses arguments that other methods take, and this one does not."""
        taken = METHODS[self.method].options
        for name in ("grid", "regions", "backgrounds"):
            if getattr(self, name) is not None and name not in taken:
                others = " or ".join(f"{other!r}" for other in list_methods(name))
                raise ArgumentError(
                    name, f"{self.method!r} has none; give it with method={others} only"
                )

        if not METHODS[self.method].has_regions and not is_painted(self.masker):
            raise ArgumentError(
                "masker",
                f"{self.masker!r} shows what depends on the coalition, and {self.method!r} has "
                "none; give 'blur', 'mean', a number or a tensor, or backgrounds='samples'",
            )

    def _check_topk(self) -> None:
        """Refuses so many classes where they cannot be ranked, or were given themselves."""
        if self.topk is None:
            return
        if self.targets is not None:
            raise ArgumentError("targets, topk", "both were given; give the classes or how many")
        check_count("topk", self.topk, least=1)
        if self.fewer_will_do:
            return
        if self.against is not None and self.topk != 1:
            raise ArgumentError("topk", f"got {self.topk}, but against= explains one class; give 1")
        if self.returns == "values":
            raise refuse_ranks_of_values(self.topk)


@dataclass(frozen=True, kw_only=True, eq=False)
class Known:
    """Knowledge beside a question, of whoever found labels and names or asks again and again.

    Attributes:
        labels: Data has the labels, which may be those of another task and are then left out. This
            is what is known of all there are, of which these may be only some.
        finds_names: Data has the class names, which may be those of another task as well.
        returned: What was seen of the model's outputs before, which takes in what is seen now.
        data: The images as the explanation is to keep them, (N, H, W, C); copied where None.
        trees: The trees of images that were explained before.
        pool: The images that the masker ``"samples"`` chooses from; these themselves where None.
    """

    labels: FoundLabels | None = None
    finds_names: bool = False
    returned: Returned | None = None
    data: np.ndarray | None = None
    trees: ImageTrees | None = None
    pool: torch.Tensor | None = None


def _check_progress(progress: Any) -> None:
    """Refuses what is neither on, off, nor a function of two numbers."""
    if not isinstance(progress, (bool, np.bool_)) and (
        isinstance(progress, type) or not callable(progress)
    ):
        raise ArgumentTypeError(
            "progress",
            f"got {show(progress)}; give True, False or a function of (rows done, rows allowed)",
        )


def _check_method(method: Any) -> None:
    """Refuses methods that there are not, or not any more."""
    if isinstance(method, str) and method in REMOVED:
        raise ArgumentError("method", f"{method!r} {REMOVED[method]}")
    check_choice("method", method, tuple(METHODS))


def _read_grid(grid: Any, max_evals: int) -> tuple[int, int] | None:
    """Returns rows and columns of patches, no more than so many evaluations tell anything of.

    Time and memory grow with the square of the patches, whatever the budget.
    """
    if grid is None:
        return None
    sides = (grid, grid) if isinstance(grid, (int, np.integer)) else grid
    if not isinstance(sides, (tuple, list)) or len(sides) != 2:
        raise ArgumentError("grid", f"got {show(grid)}; give patches a side, or (rows, columns)")
    rows, columns = (check_count("grid", side, least=1, most=MOST_SIDE) for side in sides)
    most = max(max_evals, LARGEST_SIDE**2)
    if rows * columns > most:
        raise ArgumentError(
            "grid",
            f"has {rows * columns} patches for {max_evals} evaluations; give at most {most} "
            f"patches, or max_evals={rows * columns}",
        )
    return rows, columns
