"""Weights into a network, under whatever prefix a training kept them."""

from collections.abc import Mapping
from typing import Any

import torch

from lightning_shap.command.model.checkpoints import Checkpoint
from lightning_shap.command.text import readable
from lightning_shap.command.untrusted import blaming
from lightning_shap.errors import ArgumentError


def load_weights(
    network: torch.nn.Module, name: str, checkpoint: Checkpoint, module: str | None = None
) -> str:
    """Put a checkpoint's weights into a network, and return the prefix they were under.

    Raises:
        ArgumentError: If they are another architecture's, saying how many keys differ.
    """
    expected = network.state_dict()
    if not expected:
        raise ArgumentError("model_class", f"{name} has no weights; give the trained classifier")
    prefix = prefix_of(checkpoint.weights, next(iter(expected)), expected, module)
    found = {
        key.removeprefix(prefix): value
        for key, value in checkpoint.weights.items()
        if key.startswith(prefix)
    }
    missing = expected.keys() - found.keys()
    # Older files hold index tables that newer architectures compute.
    extra = {key for key in found.keys() - expected.keys() if found[key].is_floating_point()}
    shapes = {k for k in expected.keys() & found.keys() if expected[k].shape != found[k].shape}
    if differing := len(missing) + len(extra) + len(shapes):
        raise ArgumentError(
            "model_output_dir",
            f"{readable(checkpoint.path.name)} holds weights of another architecture than {name}: "
            f"{differing} keys differ ({len(missing)} of {len(expected)} are missing, "
            f"{len(extra)} are unknown, {len(shapes)} have another shape); "
            "give the right one as --model_name, or the --crop_size of training",
        )
    with blaming("model_output_dir", f"the weights do not fit {name}"):
        network.load_state_dict({key: found[key] for key in expected})
    return prefix


def prefix_of(
    weights: Mapping[str, torch.Tensor], key: str, others: Any, module: str | None = None
) -> str:
    """What stands before a key: the prefix under which most others are, then the shortest.

    Args:
        weights: By their names.
        key: One name of a network's own.
        others: More of them.
        module: The attribute that is preferred where several networks fit.
    """
    ends = [name.removesuffix(key) for name in weights if name.endswith(key)]
    prefixes = [end for end in ends if not end or end.endswith(".")]
    wanted = None if module is None else f"{module}."
    return max(
        prefixes,
        key=lambda prefix: (
            sum(prefix + other in weights for other in others),
            prefix == wanted,
            -len(prefix),
        ),
        default="",
    )
