"""Load the model of a run's best checkpoint, beside the one in hand."""

from inspect import signature

import torch

from lightning_shap.errors import ArgumentError
from lightning_shap.isolation.copying import Copy
from lightning_shap.training.lightning import LightningModule, Trainer


def load_best_model(trainer: Trainer, pl_module: LightningModule) -> LightningModule:
    """Returns a copy of the module with the weights that its trainer found best.

    Raises:
        ValueError: If no checkpoint was saved, or none is better than another.
    """
    path = getattr(trainer.checkpoint_callback, "best_model_path", "")
    if not path:
        raise ArgumentError(
            "explain_checkpoint",
            "the trainer has no best checkpoint; give it a ModelCheckpoint with monitor=",
        )
    load = trainer.strategy.checkpoint_io.load_checkpoint
    # The run wrote this file itself, so whatever its hyper-parameters hold may be loaded. Before
    # Lightning 2.6, and in plugins, that goes without saying.
    trusted = {"weights_only": False} if "weights_only" in signature(load).parameters else {}
    checkpoint = load(path, map_location=torch.device("cpu"), **trusted)
    twin = Copy(pl_module).root
    twin.on_load_checkpoint(checkpoint)
    twin.load_state_dict(checkpoint["state_dict"], strict=pl_module.strict_loading)
    return twin
