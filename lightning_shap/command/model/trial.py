"""A model tried before the run: how many outputs it has, and which classes it sees in images."""

import numpy as np
import torch

from lightning_shap.command.data.preprocessing import Preprocessing
from lightning_shap.command.text import readable
from lightning_shap.errors import ArgumentError
from lightning_shap.game import raw_output
from lightning_shap.isolation.modes import evaluation_mode
from lightning_shap.outputs import logits_of


def count_outputs(module: torch.nn.Module, prepare: Preprocessing) -> int:
    """Returns how many outputs a model has.

    Raises:
        ArgumentError: If it takes no such images.
    """
    try:
        outputs = _outputs(module, torch.zeros(1, prepare.channels, *prepare.size))
    except (RuntimeError, ValueError, AssertionError) as error:
        raise ArgumentError(
            "crop_size",
            f"the model takes no images of {prepare.channels} channels and "
            f"{' x '.join(map(str, prepare.size))} pixels ({readable(error)}); "
            "give the size of training",
        ) from error
    return outputs.shape[1] if outputs.ndim > 1 else 1


def predicted_classes(module: torch.nn.Module, images: torch.Tensor) -> np.ndarray:
    """Returns the class that a model sees in each image, int (N,).

    Args:
        module: The model; a single output speaks for the second of two classes.
        images: Float tensor (N, C, H, W), as the model takes them.
    """
    if not len(images):
        return np.zeros(0, int)
    outputs = _outputs(module, images).reshape(len(images), -1).float().numpy()
    if outputs.shape[1] > 1:
        return outputs.argmax(1)
    are_probabilities = outputs.min() >= 0 and outputs.max() <= 1
    return (outputs[:, 0] > (0.5 if are_probabilities else 0)).astype(int)


def _outputs(module: torch.nn.Module, images: torch.Tensor) -> torch.Tensor:
    with evaluation_mode(module), torch.no_grad():
        return logits_of(raw_output(module, images))
