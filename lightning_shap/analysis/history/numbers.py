"""The numbers of one explanation: what it is similar to, where it lies, and how sure it is."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args

from lightning_shap.analysis.history.snapshot import pick_first_maps
from lightning_shap.analysis.metrics.faithfulness import DeletionAUC, InsertionAUC
from lightning_shap.analysis.metrics.similarity import Similarity, errs_by_chance
from lightning_shap.analysis.metrics.trust import (
    ClearShare,
    MissingShare,
    RelativeError,
    ResolvedRegions,
)
from lightning_shap.analysis.metrics.where import (
    CORNERS,
    AttributionEntropy,
    BorderShare,
    CornerShare,
    TopShare,
)
from lightning_shap.engine.methods.registry import METHODS
from lightning_shap.errors import ArgumentError, ArgumentTypeError, show
from lightning_shap.explanation.maps import Maps, read_maps

if TYPE_CHECKING:
    from lightning_shap.engine.question import Question
    from lightning_shap.explanation.explanation import ImageExplanation

MetricName = Literal["settled", "changed", "where", "sure", "faithful"]
USUAL: tuple[MetricName, ...] = ("settled", "changed", "where", "sure")
DETAILS = frozenset(
    {f"where_{corner.replace(' ', '_')}" for corner in CORNERS}
    | {"where_entropy", "similarity_to_previous_floor", "seconds"}
)
"""Numbers that few look at every day."""

DESCRIPTIONS: dict[str, str] = {
    "similarity_to_previous": "How alike the maps are to those of the epoch explained before: 1 "
    "the same, 0 nothing in common, -1 the reverse.",
    "similarity_to_previous_floor": "What noise alone leaves of the similarity.",
    "similarity_to_untrained": "How alike the maps are to those of the untrained model: 1 the "
    "same, 0 nothing in common. It says nothing of what was learnt.",
    "where_border": "Share of attribution within an eighth of the sides; 0.44 of an even map.",
    **{
        f"where_{corner.replace(' ', '_')}": f"Share of attribution in the {corner} corner, a "
        "quarter of each side; 0.06 of an even map."
        for corner in CORNERS
    },
    "where_top_tenth": "Share of attribution on the strongest tenth of the pixels; 0.10 of an even "
    "map.",
    "where_entropy": "1 where attribution is spread over all pixels, 0 on a single one.",
    "regions": "Distinct regions that the evaluations resolved; more can tell more apart.",
    "error": "The regions' median standard error beside the largest value; lower is better.",
    "clear": "Share of regions more than two standard errors from zero; higher is better.",
    "missing": "Share of the change of the output that the maps lack; lower is better.",
    "additivity_gap": "What the maps lack of the output at most, in its units; lower is better.",
    "faithful_insertion": "How much faster the output rises than with random maps of the same "
    "regions; higher is better.",
    "faithful_deletion": "How much faster it falls than with random maps; higher is better.",
    "seconds": "What the explanation took.",
}
"""What each number says, by its name without the tag."""

STEPS = 8  # of insertion and deletion curves, beside as many of random maps
ROWS = 2 * (2 + 2 * (STEPS - 1))  # of the model, that both curves cost an image: 32

# An explanation is of all ranks' samples already, and one rank alone asks: to wait for the others
# would be to wait for ever.
ALONE: dict[str, Any] = {"sync_on_compute": False}


def check_metrics(metrics: Any) -> tuple[MetricName, ...]:
    """Returns names of metrics, those that cost no model rows where None."""
    if metrics is None:
        return USUAL
    if isinstance(metrics, str) or not isinstance(metrics, Sequence):
        raise ArgumentTypeError(
            "metrics", f"got {show(metrics)}; give a list of {', '.join(get_args(MetricName))}"
        )
    unknown = [name for name in metrics if name not in get_args(MetricName)]
    if unknown:
        choices = ", ".join(map(repr, get_args(MetricName)))
        raise ArgumentError("metrics", f"unknown {show(unknown[0])}; give some of {choices}")
    return tuple(metrics)


def measure_maps(
    explanation: "ImageExplanation",
    previous: Maps | None,
    control: Maps | None,
    metrics: Sequence[MetricName],
) -> dict[str, float]:
    """Returns the numbers of an explanation's first maps, those that there are.

    Args:
        explanation: Of the samples.
        previous: Their maps in the epoch explained before, or None.
        control: Their maps of the untrained model, or None.
        metrics: Which ones to take.
    """
    maps = read_maps(explanation)
    numbers: dict[str, float] = {}
    if "settled" in metrics and previous is not None:
        alike = Similarity(**ALONE)
        alike.update(pick_first_maps(explanation), previous)
        numbers["similarity_to_previous"] = float(alike.compute())
        if errs_by_chance(maps):
            numbers["similarity_to_previous_floor"] = float(alike.floor)
    if "changed" in metrics and control is not None:
        alike = Similarity(**ALONE)
        alike.update(pick_first_maps(explanation), control)
        numbers["similarity_to_untrained"] = float(alike.compute())
    numbers |= {
        name: float(value) for name, value in _measure_alone(explanation, maps, metrics).items()
    }
    return {name: value for name, value in numbers.items() if math.isfinite(value)}


def measure_faithfulness(
    model: Any, explanation: "ImageExplanation", images: Any, question: "Question"
) -> dict[str, tuple[float, int]]:
    """Measures how much better than random maps of the same regions the first maps do, as sums.

    It costs ``ROWS`` model rows an image.

    Args:
        model: That was explained.
        explanation: Of these images.
        images: (N, C, H, W), as the model takes them.
        question: What was asked of it.

    Returns:
        For each number its sum and over how many maps, to be added up over processes.
    """
    options: dict[str, Any] = {
        "steps": min(STEPS, images[0, 0].numel()),
        "masker": question.masker,
        "output": "probability" if question.output == "logit" else question.output,
        "returns": question.returns,
        "multi_label": question.multi_label,
        "batch_size": question.batch_size,
        "seed": question.seed,
        **ALONE,
    }
    sums = {}
    for name, metric in (
        ("faithful_insertion", InsertionAUC(**options)),
        ("faithful_deletion", DeletionAUC(**options)),
    ):
        metric.update(model, explanation, images)
        maps = int(metric.maps)
        sums[name] = float(metric.compute()) * maps, maps
    return sums


def average(sums: Sequence[dict[str, tuple[float, int]]]) -> dict[str, float]:
    """Returns the means of what several processes summed."""
    names = {name for of_rank in sums for name in of_rank}
    found = {}
    for name in sorted(names):
        parts = [of_rank[name] for of_rank in sums if name in of_rank]
        found[name] = sum(total for total, _ in parts) / sum(maps for _, maps in parts)
    return found


def _measure_alone(
    explanation: "ImageExplanation", maps: Maps, metrics: Sequence[MetricName]
) -> dict[str, Any]:
    wanted: dict[str, Any] = {}
    if "where" in metrics:
        wanted |= {"where_border": BorderShare(**ALONE), "where_top_tenth": TopShare(**ALONE)}
        wanted |= {f"where_{one.replace(' ', '_')}": CornerShare(one, **ALONE) for one in CORNERS}
        wanted["where_entropy"] = AttributionEntropy(**ALONE)
    method = METHODS.get(explanation.record.method)
    if "sure" in metrics and method is not None:
        if method.has_error_bars:
            wanted |= {"error": RelativeError(**ALONE), "clear": ClearShare(**ALONE)}
        if method.has_regions:
            wanted["regions"] = ResolvedRegions(**ALONE)
        if not method.adds_up:
            wanted["missing"] = MissingShare(**ALONE)
    for metric in wanted.values():
        metric.update(maps)
    return {name: metric.compute() for name, metric in wanted.items()}
