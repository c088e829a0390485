"""The model of a run's best checkpoint, beside the one in hand."""

<<<<<<< HEAD
=======
from copy import deepcopy
from inspect import signature

>>>>>>> aae804c (explain_checkpoint: a checkpoint that the run wrote may hold anything)
import torch

from lightning_shap.isolation.copying import ModelCopy
from lightning_shap.training.lightning import LightningModule, Trainer


def best_model(trainer: Trainer, pl_module: LightningModule) -> LightningModule:
    """A copy of the module with the weights of the checkpoint that its trainer found best.

    Raises:
        ValueError: If no checkpoint was saved, or none is better than another.
    """
    path = getattr(trainer.checkpoint_callback, "best_model_path", "")
    if not path:
        raise ValueError(
            "explain_checkpoint: the trainer has no best checkpoint; give it a ModelCheckpoint "
            "with monitor="
        )
<<<<<<< HEAD
    io = trainer.strategy.checkpoint_io
    checkpoint = io.load_checkpoint(path, map_location=torch.device("cpu"))
    twin = ModelCopy(pl_module).module
=======
    load = trainer.strategy.checkpoint_io.load_checkpoint
    # The run wrote this file itself, so whatever its hyper-parameters hold may be loaded. Before
    # Lightning 2.6, and in plugins, that goes without saying.
    trusted = {"weights_only": False} if "weights_only" in signature(load).parameters else {}
    checkpoint = load(path, map_location=torch.device("cpu"), **trusted)
    twin = deepcopy(pl_module)
    twin.trainer = trainer  # which copies leave behind
>>>>>>> aae804c (explain_checkpoint: a checkpoint that the run wrote may hold anything)
    twin.on_load_checkpoint(checkpoint)
    twin.load_state_dict(checkpoint["state_dict"], strict=pl_module.strict_loading)
    return twin
