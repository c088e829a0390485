"""See why an image classifier decides, while it is still training.

The public names are loaded when first used, so that importing the package costs nothing.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lightning_shap.archive import load as load
    from lightning_shap.callback import ShapCallback as ShapCallback
    from lightning_shap.explain import explain as explain
    from lightning_shap.metrics import DeletionAUC as DeletionAUC
    from lightning_shap.metrics import InsertionAUC as InsertionAUC
    from lightning_shap.plots import plot as plot

__version__ = "0.1.0"

# Where each public name lives.
_HOMES = {
    "DeletionAUC": "lightning_shap.metrics",
    "InsertionAUC": "lightning_shap.metrics",
    "ShapCallback": "lightning_shap.callback",
    "explain": "lightning_shap.explain",
    "load": "lightning_shap.archive",
    "plot": "lightning_shap.plots",
}

__all__ = ["DeletionAUC", "InsertionAUC", "ShapCallback", "explain", "load", "plot"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])


class _Package(ModuleType):
    """Keeps ``lightning_shap.explain`` the function: importing its module must not hide it."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _HOMES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
