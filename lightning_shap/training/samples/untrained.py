"""Keep the untrained model, until samples are chosen that need a control."""

from collections.abc import Iterator

import torch

from lightning_shap.isolation.copying import Copy
from lightning_shap.training.lightning import LightningModule
from lightning_shap.training.samples.fixed_batch import Pick


class Untrained:
    """Keeps the weights that a training begins with, on the CPU.

    Args:
        pl_module: Before its first step.
    """

    def __init__(self, pl_module: LightningModule) -> None:
        self.pl_module = pl_module
        self._explained: Pick | None = None
        self._kept = {name: each.detach().cpu().clone() for name, each in _state(pl_module)}

    def is_due(self, pick: Pick | None) -> bool:
        """Returns whether samples are to be explained by it, which is once for the same ones.

        At step -1 there is one control: that of the samples chosen last.
        """
        if pick is None or pick is self._explained:
            return False
        self._explained = pick
        return True

    def model(self) -> LightningModule:
        """Returns a copy of the module, with its first weights."""
        twin = Copy(self.pl_module).root
        with torch.no_grad():
            for name, each in _state(twin):
                each.copy_(self._kept[name])
        return twin


def _state(module: torch.nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    yield from module.named_parameters()
    yield from module.named_buffers()
