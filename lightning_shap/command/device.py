"""The device that explains."""

import torch

from lightning_shap.errors import ArgumentError


def find_device(accelerator: str) -> torch.device:
    """Returns the device that an accelerator's name means; auto means the best one there is.

    Raises:
        ArgumentError: If there is no such device here.
    """
    if accelerator == "auto":
        there = torch.accelerator.is_available() and torch.accelerator.current_accelerator()
        return there or torch.device("cpu")
    try:
        device = torch.device("cuda" if accelerator == "gpu" else accelerator)
        torch.ones(1, device=device).item()  # some names, such as meta, compute nothing
    except (RuntimeError, AssertionError, ValueError, ImportError) as error:
        raise ArgumentError(
            "accelerator", f"cannot use {accelerator!r} here; give cpu, cuda, mps or auto"
        ) from error
    return device
