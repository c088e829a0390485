"""See why an image classifier decides, while it is still training.

The public names are loaded when first used, so that importing the package costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lightning_shap.archive import load as load
    from lightning_shap.callback import ShapCallback as ShapCallback
    from lightning_shap.explainer import explain as explain
    from lightning_shap.metrics.faithfulness import DeletionAUC as DeletionAUC
    from lightning_shap.metrics.faithfulness import InsertionAUC as InsertionAUC
    from lightning_shap.page.report import report as report
    from lightning_shap.pictures.grid import plot as plot
    from lightning_shap.saving import save as save

__version__ = "0.1.0"

# Where each public name lives.
_HOMES = {
    "DeletionAUC": "lightning_shap.metrics.faithfulness",
    "InsertionAUC": "lightning_shap.metrics.faithfulness",
    "ShapCallback": "lightning_shap.callback",
    "explain": "lightning_shap.explainer",
    "load": "lightning_shap.archive",
    "plot": "lightning_shap.pictures.grid",
    "report": "lightning_shap.page.report",
    "save": "lightning_shap.saving",
}

__all__ = [
    "DeletionAUC",
    "InsertionAUC",
    "ShapCallback",
    "explain",
    "load",
    "plot",
    "report",
    "save",
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
