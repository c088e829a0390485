"""Tries a model before the run: how many outputs it has, and which classes it sees in images."""

import numpy as np
import torch

from lightning_shap.command.data.preprocessing import Preprocessing
from lightning_shap.command.untrusted import clean
from lightning_shap.engine.last_operation import LastOperation
from lightning_shap.engine.model_call import call_model
from lightning_shap.engine.outputs import find_logits
from lightning_shap.engine.returned import Returned
from lightning_shap.errors import ArgumentError
from lightning_shap.explanation.classes import Returns
from lightning_shap.isolation.modes import evaluation_mode


def count_outputs(module: torch.nn.Module, prepare: Preprocessing) -> int:
    """Returns how many outputs a model has.

    Raises:
        ArgumentError: If it takes no such images.
    """
    try:
        outputs = _call(module, torch.zeros(1, prepare.channels, *prepare.size))
    except (RuntimeError, ValueError, AssertionError) as error:
        raise ArgumentError(
            "crop_size",
            f"the model takes no images of {prepare.channels} channels and "
            f"{' x '.join(map(str, prepare.size))} pixels ({clean(error)}); "
            "give the size of training",
        ) from error
    return outputs.shape[1] if outputs.ndim > 1 else 1


def predict_classes(
    module: torch.nn.Module, images: torch.Tensor, returns: Returns | None = None
) -> np.ndarray:
    """Returns the class that a model sees in each image, int (N,).

    Args:
        module: The model; a single output speaks for the second of two classes.
        images: Float tensor (N, C, H, W), as the model takes them.
        returns: The kind of its outputs, None to judge by how they are made and by their values.
    """
    if not len(images):
        return np.zeros(0, int)
    with LastOperation(images) as watching:
        outputs = _call(module, images)
    scores = outputs.reshape(len(images), -1).double().numpy()
    if scores.shape[1] > 1:
        return scores.argmax(1)
    seen = Returned(watching.made(outputs))
    seen.see(scores)
    half = 0.5 if (returns or seen.judge(multi_label=False)[0]) == "probabilities" else 0
    return (scores[:, 0] > half).astype(int)


def _call(module: torch.nn.Module, images: torch.Tensor) -> torch.Tensor:
    with evaluation_mode(module), torch.no_grad():
        return find_logits(call_model(module, images))
