"""Builds timm's network of a name, with as many classes and channels as its weights have.

The weights rule: an architecture is only a name for how to arrange them, and how many classes and
channels there are is read from them. Nothing is ever downloaded.
"""

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

import timm

from lightning_shap.command.model.checkpoints import Checkpoint, refuse
from lightning_shap.command.model.offline import stay_offline
from lightning_shap.command.model.settings import TimmConfig
from lightning_shap.command.untrusted import blame, clean
from lightning_shap.errors import ArgumentError

MOST_NAME = 200


def find_architecture(candidates: Sequence[tuple[str, str]], hint: str = "") -> tuple[str, str]:
    """Returns the first of some names that is a timm architecture, and who says so.

    Args:
        candidates: Names, and who says each.
        hint: Another sentence for the error.

    Raises:
        ArgumentError: If none is.
    """
    for candidate, origin in candidates:
        if len(candidate) <= MOST_NAME and timm.is_model(candidate):
            name = candidate.partition(".")[0]
            # A directory may add words of its own where timm has the name of a data set.
            tagged = "." in candidate and candidate in timm.list_models(
                f"{name}.*", pretrained=True
            )
            return (candidate if tagged else name), origin
    wanted, origin = candidates[0]
    plain = wanted.partition(".")[0][:MOST_NAME]
    near = difflib.get_close_matches(plain, timm.list_models(), n=3, cutoff=0.5)
    nearest = f" (nearest: {', '.join(near)})" if near else ""
    raise ArgumentError(
        "model_name",
        f"{clean(wanted)!r}, by {origin}, is no timm architecture{nearest}; give one as "
        f"--model_name, or its class or function as --model_class, such as "
        f"torchvision.models.resnet18{hint}",
    )


def find_ends(name: str) -> list[str]:
    """Returns the names of a classifier's last weights and of its first.

    Raises:
        ArgumentError: If it is no classifier.
    """
    cfg = timm.models.get_pretrained_cfg(name)
    if cfg is None or not cfg.classifier:
        raise ArgumentError("model_name", f"{name} is no classifier; give one that is")
    ends = (cfg.classifier, cfg.first_conv or "")  # a layer, or several of which the first counts
    return [f"{end if isinstance(end, str) else end[0]}.weight" for end in ends]


def build_architecture(
    name: str, config: TimmConfig, checkpoint: Checkpoint, size: int | None, place: str
) -> tuple[Any, int]:
    """Builds an architecture of as many classes and channels as its weights have.

    Args:
        name: timm's.
        config: Other settings of it.
        checkpoint: With the weights.
        size: Side of the images, for architectures that must know.
        place: The prefix of its weights.

    Returns:
        The network, and its channels.

    Raises:
        ArgumentError: If it cannot be built.
    """
    head, stem = find_ends(name)
    weights = checkpoint.weights
    arguments = dict(config.arguments)
    overlay = config.description.convert_to_timm(config.description.channels or 3)
    if overlay and config.architecture:
        arguments["pretrained_cfg_overlay"] = overlay
    if place + head in weights:
        arguments["num_classes"] = _read_shape(checkpoint, place + head)[0]
    if place + stem not in weights:
        return _create(name, arguments, size), timm.models.get_pretrained_cfg(name).input_size[0]
    width = _read_shape(checkpoint, place + stem)[1]
    network = _create(name, arguments | {"in_chans": width}, size)
    made = network.state_dict().get(stem)
    if made is not None and made.shape[1] != width:
        # Some stems fold a patch of pixels into channels first: 48 are 4 x 4 pixels of 3.
        width = width * width // made.shape[1]
        network = _create(name, arguments | {"in_chans": width}, size)
    return network, width


def _create(name: str, arguments: Mapping[str, Any], size: int | None) -> Any:
    with stay_offline(), blame("model_name", f"{name} cannot be built"):
        if size is not None:
            try:
                return timm.create_model(name, **{**arguments, "img_size": size})
            except TypeError:  # convolutions take any size, and no such argument
                pass
            except (ValueError, AssertionError) as error:
                raise ArgumentError(
                    "crop_size", f"{name} takes no {size} pixels ({clean(error)})"
                ) from error
        return timm.create_model(name, **arguments)


def _read_shape(checkpoint: Checkpoint, name: str) -> Sequence[int]:
    """Returns the shape of a layer's weights, outputs and inputs first."""
    shape = checkpoint.weights[name].shape
    if len(shape) < 2:
        refuse(
            checkpoint.path,
            f"holds {clean(name)} of shape {tuple(shape)}, which no layer has",
        )
    return shape
