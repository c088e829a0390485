"""The precision in which a model is called: its own, or one that is asked for."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

import torch

from lightning_shap.isolation.isolated import is_copy
from lightning_shap.isolation.modes import module_of

PrecisionName = Literal["as trained", "float32", "bf16"]


def cast(model: Any, precision: PrecisionName) -> None:
    """Makes the weights of a copy float32 where that is asked for; nothing else of a model."""
    module = module_of(model)
    if precision == "float32" and module is not None and is_copy(model):
        module.float()


def calling(device: torch.device, precision: PrecisionName) -> AbstractContextManager[object]:
    """Returns a context in which a model is called in a precision.

    That of bfloat16 is torch's autocast, which keeps in float32 what needs it, as a training with
    ``precision="bf16-mixed"`` does.
    """
    if precision == "as trained":
        return nullcontext()
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")
