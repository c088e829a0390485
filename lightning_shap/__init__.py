"""See why an image classifier decides, while it is still training.

The public names are loaded when first used, so that importing the package costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lightning_shap.analysis.history.conclusion import summarize as summarize
    from lightning_shap.analysis.metrics.faithfulness import DeletionAUC as DeletionAUC
    from lightning_shap.analysis.metrics.faithfulness import InsertionAUC as InsertionAUC
    from lightning_shap.analysis.metrics.similarity import Similarity as Similarity
    from lightning_shap.analysis.metrics.trust import ClearShare as ClearShare
    from lightning_shap.analysis.metrics.trust import MissingShare as MissingShare
    from lightning_shap.analysis.metrics.trust import RelativeError as RelativeError
    from lightning_shap.analysis.metrics.trust import ResolvedRegions as ResolvedRegions
    from lightning_shap.analysis.metrics.where import AttributionEntropy as AttributionEntropy
    from lightning_shap.analysis.metrics.where import AttributionShare as AttributionShare
    from lightning_shap.analysis.metrics.where import BorderShare as BorderShare
    from lightning_shap.analysis.metrics.where import CornerShare as CornerShare
    from lightning_shap.analysis.metrics.where import TopShare as TopShare
    from lightning_shap.engine.batches import explain_batches as explain_batches
    from lightning_shap.engine.explain import explain as explain
    from lightning_shap.explanation.archive import load as load
    from lightning_shap.explanation.record import Record as Record
    from lightning_shap.page.report import report as report
    from lightning_shap.pictures.grid import plot as plot
    from lightning_shap.pictures.saving import save as save
    from lightning_shap.training.callback import ShapCallback as ShapCallback

__version__ = "0.1.0"

# Where each public name lives.
_HOMES = {
    "AttributionEntropy": "lightning_shap.analysis.metrics.where",
    "AttributionShare": "lightning_shap.analysis.metrics.where",
    "BorderShare": "lightning_shap.analysis.metrics.where",
    "ClearShare": "lightning_shap.analysis.metrics.trust",
    "CornerShare": "lightning_shap.analysis.metrics.where",
    "DeletionAUC": "lightning_shap.analysis.metrics.faithfulness",
    "InsertionAUC": "lightning_shap.analysis.metrics.faithfulness",
    "MissingShare": "lightning_shap.analysis.metrics.trust",
    "Record": "lightning_shap.explanation.record",
    "RelativeError": "lightning_shap.analysis.metrics.trust",
    "ResolvedRegions": "lightning_shap.analysis.metrics.trust",
    "ShapCallback": "lightning_shap.training.callback",
    "Similarity": "lightning_shap.analysis.metrics.similarity",
    "TopShare": "lightning_shap.analysis.metrics.where",
    "explain": "lightning_shap.engine.explain",
    "explain_batches": "lightning_shap.engine.batches",
    "load": "lightning_shap.explanation.archive",
    "plot": "lightning_shap.pictures.grid",
    "report": "lightning_shap.page.report",
    "save": "lightning_shap.pictures.saving",
    "summarize": "lightning_shap.analysis.history.conclusion",
}

__all__ = [
    "AttributionEntropy",
    "AttributionShare",
    "BorderShare",
    "ClearShare",
    "CornerShare",
    "DeletionAUC",
    "InsertionAUC",
    "MissingShare",
    "Record",
    "RelativeError",
    "ResolvedRegions",
    "ShapCallback",
    "Similarity",
    "TopShare",
    "explain",
    "explain_batches",
    "load",
    "plot",
    "report",
    "save",
    "summarize",
]


if not TYPE_CHECKING:  # a checker would take every misspelt name for one that is loaded here

    def __getattr__(name: str) -> Any:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(_HOMES[name]), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
