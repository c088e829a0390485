"""The device that explains."""

import torch

from lightning_shap.command.processes import find_rank
from lightning_shap.errors import ArgumentError


def find_device(accelerator: str) -> torch.device:
    """Returns the device that an accelerator's name means; auto means the best one there is.

    Of several like it on this machine, each process has its own.

    Raises:
        ArgumentError: If there is no such device here.
    """
    if accelerator == "auto":
        there = torch.accelerator.is_available() and torch.accelerator.current_accelerator()
        device = there or torch.device("cpu")
    else:
        try:
            device = torch.device("cuda" if accelerator == "gpu" else accelerator)
            torch.ones(1, device=device).item()  # some names, such as meta, compute nothing
        except (RuntimeError, AssertionError, ValueError, ImportError) as error:
            raise ArgumentError(
                "accelerator", f"cannot use {accelerator!r} here; give cpu, cuda, mps or auto"
            ) from error
    if device.type == "cuda" and device.index is None:
        device = torch.device("cuda", find_rank()[2] % torch.cuda.device_count())
    return device
