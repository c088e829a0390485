"""The methods there are, and what is known of each before it is imported.

Whatever asks for a method by name, checks its arguments or describes it reads this table. A new
estimator is one file beside this one, its entry here and its name among ``MethodName``. Nothing
here imports torch: the command reads its options before that.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from lightning_shap.engine.methods.attribution import Attribution

MethodName = Literal["partition", "kernel", "gradient"]
"""The keys of ``METHODS``, for type checkers and command lines, which cannot read a table."""

RegionsName = Literal["boxes", "image"]
"""Regions follow nothing, or the outlines in the image itself."""


Estimator = Callable[..., "Attribution"]
"""A function ``(game, targets, base, full, *, max_evals, seed, **options)``.

All calls of the model go through the game, of N images. targets, int (N, K'), are the outputs to
explain; base and full, float64 (N, K'), are these with everything absent and present. An image may
cost max_evals rows, base and full included; seed is that of whatever is random; options are those
that the method's entry lists, None where not given.
"""


@dataclass(frozen=True)
class Method:
    """A method's entry.

    Attributes:
        summary: What it estimates, in a few words.
        home: Where its :data:`Estimator` is, ``"module:function"``.
        options: Arguments of :func:`lightning_shap.explain` that it takes and others do not.
        has_regions: Its evaluations separate regions; else every pixel is a region of its own.
        has_error_bars: It knows the standard error of each value.
        errs_by_chance: These are of what was drawn, so that maps of two models differ by them. Else
            they are of what was not looked at, which is alike for both.
        adds_up: Its values and the base add up to the output by construction.
    """

    summary: str
    home: str
    options: tuple[str, ...] = ()
    has_regions: bool = True
    has_error_bars: bool = False
    errs_by_chance: bool = False
    adds_up: bool = True

    def estimator(self) -> Estimator:
        """Imports and returns its function."""
        found: Estimator = resolve_name(self.home)
        return found


METHODS: Mapping[str, Method] = {
    "partition": Method(
        "the Owen values of SHAP's PartitionExplainer with error bars",
        "lightning_shap.engine.methods.partition:partition_values",
        options=("regions",),
        has_error_bars=True,
    ),
    "kernel": Method(
        "the Shapley values of patches or segments with error bars",
        "lightning_shap.engine.methods.kernel.estimator:kernel_values",
        options=("grid", "regions"),
        has_error_bars=True,
        errs_by_chance=True,
    ),
    "gradient": Method(
        "the expected gradients of SHAP's GradientExplainer",
        "lightning_shap.engine.methods.gradient:gradient_values",
        options=("backgrounds",),
        has_regions=False,
        adds_up=False,
    ),
}

REMOVED: Mapping[str, str] = {
    "deep": "was removed; use shap's DeepExplainer or captum's DeepLiftShap directly, "
    "or method='gradient'",
}
"""Methods of earlier versions, and what to use instead."""


def list_methods(option: str) -> list[str]:
    """Returns the methods that take an argument which not every method takes."""
    return [name for name, method in METHODS.items() if option in method.options]
