"""Models: a directory or a file of weights to a classifier that is ready to run.

The weights rule: an architecture is only a name for how to arrange them, and how many classes and
channels there are is read from them. Nothing is ever downloaded.
"""

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import timm
import torch

from lightning_shap.command.model.checkpoints import Checkpoint, find_weights, read_checkpoint
from lightning_shap.command.model.custom_class import build_own_class

# Where a training script may have noted the architecture and the number of channels.
ARCHITECTURE_KEYS = ("model_name", "architecture", "arch", "model", "backbone", "encoder", "name")
CHANNEL_KEYS = ("in_chans", "in_channels", "input_channels", "num_channels", "channels")


@dataclass(frozen=True)
class TrainedModel:
    """A classifier with what is known of it.

    Attributes:
        module: The model, on the CPU.
        name: Its architecture.
        source: Which way it was loaded, in words.
        channels: Number of input channels.
        classes: Number of outputs, None where only running it would tell.
        noted: Hyper-parameters of its training, as far as they were saved.
        step: Optimiser steps of its training, 0 where unknown.
        class_names: In the order of the outputs, where the model says so.
    """

    module: torch.nn.Module
    name: str
    source: str
    channels: int
    classes: int | None = None
    noted: Mapping[str, Any] = field(default_factory=dict)
    step: int = 0
    class_names: list[str] | None = None


def load_model(
    model_output_dir: str | Path,
    *,
    model_name: str | None = None,
    model_class: str | None = None,
    crop_size: int | None = None,
    allow_pickle: bool = False,
) -> TrainedModel:
    """Load a trained classifier.

    Args:
        model_output_dir: A directory with ``best_model.pth`` or other weights, timm's own (with
            ``config.json``) among them, or a file of weights.
        model_name: timm architecture; where None, what the directory's ``config.json``, the
            checkpoint's hyper-parameters or the directory's base name say.
        model_class: ``package.module.Class``, a LightningModule or module that takes the
            checkpoint's hyper-parameters; instead of a timm architecture.
        crop_size: Side of the images, for architectures that must know.
        allow_pickle: Run the code that a pickled file asks for.

    Raises:
        FileNotFoundError: If there is no such path, or no weights in it.
        ValueError: If the weights cannot be read, or do not fit the architecture.
    """
    place = Path(model_output_dir)
    path = find_weights(place)
    checkpoint = read_checkpoint(path, allow_pickle=allow_pickle)
    noted = checkpoint.hyper_parameters
    described = partial(TrainedModel, noted=noted, step=checkpoint.step)
    source = f"{path.name} ({checkpoint.note})" if checkpoint.note else path.name
    if model_class is not None:
        module = build_own_class(model_class, checkpoint)
        load_weights(module, model_class, checkpoint)
        return described(module, model_class, source, _channels(module, noted))
    if checkpoint.module is not None:
        module, name = checkpoint.module, type(checkpoint.module).__name__
        return described(module, name, source, _channels(module, noted))

    config = _local_config(path.parent)
    name, origin = _architecture(model_name, config, checkpoint, place)
    trained_size = noted.get("img_size")
    size = crop_size or (trained_size if isinstance(trained_size, int) else None)
    module, channels = _timm_model(name, config, checkpoint, size)
    prefix = load_weights(module, name, checkpoint)
    below = f", weights below {prefix!r}" if prefix else ""
    names = config.get("label_names")
    return described(
        module,
        name,
        f"{source}{below}, architecture from {origin}",
        channels,
        classes=module.num_classes,
        class_names=[str(label) for label in names] if isinstance(names, list) else None,
    )


def load_weights(module: torch.nn.Module, name: str, checkpoint: Checkpoint) -> str:
    """Put a checkpoint's weights into a module, and return the prefix they were under.

    Raises:
        ValueError: If they are another architecture's, saying how many keys differ.
    """
    expected = module.state_dict()
    prefix = _prefix(checkpoint.weights, next(iter(expected)), expected)
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
        raise ValueError(
            f"model_output_dir: {checkpoint.path.name} holds weights of another architecture than "
            f"{name}: {differing} keys differ ({len(missing)} of {len(expected)} are missing, "
            f"{len(extra)} are unknown, {len(shapes)} have another shape); "
            "give the right one as --model_name, or the --crop_size of training"
        )
    module.load_state_dict({key: found[key] for key in expected})
    return prefix


def _architecture(
    model_name: str | None,
    config: Mapping[str, Any],
    checkpoint: Checkpoint,
    place: Path,
) -> tuple[str, str]:
    """The timm architecture, and who said so."""
    noted = checkpoint.hyper_parameters
    said = [noted[key] for key in ARCHITECTURE_KEYS if isinstance(noted.get(key), str)]
    if model_name is not None:
        candidates = [(model_name, "--model_name")]
    elif "architecture" in config:
        candidates = [(str(config["architecture"]), "config.json")]
    else:
        folder = checkpoint.path.parent if place.is_file() else place
        base = folder.resolve().name
        candidates = [(base, "the directory's name")]
        candidates = [(name, "hyper-parameters") for name in said] + candidates
        if place.is_file():
            candidates.append((place.name.split(".")[0], "the file's name"))
    for candidate, origin in candidates:
        if timm.is_model(candidate):
            name, _, tag = candidate.partition(".")
            # A directory may add words of its own where timm has the name of a data set.
            known = tag and tag in _tags(name)
            return (candidate if known else name), origin
    wanted = candidates[0][0] if model_name or config else base
    near = difflib.get_close_matches(wanted.partition(".")[0], timm.list_models(), n=3, cutoff=0.5)
    nearest = f" (nearest: {', '.join(near)})" if near else ""
    where = "--model_name" if model_name else "config.json" if config else "the directory"
    raise ValueError(
        f"model_name: {wanted!r}, which {where} says, is no timm architecture{nearest}; "
        "give one as --model_name, or your own as --model_class package.module.Class"
    )


def _tags(name: str) -> set[str]:
    full = timm.list_models(f"{name}.*", pretrained=True)
    return {model.partition(".")[2] for model in full}


def _timm_model(
    name: str, config: Mapping[str, Any], checkpoint: Checkpoint, size: int | None
) -> tuple[Any, int]:
    """An architecture of as many classes and channels as the weights have, and the channels."""
    cfg = timm.models.get_pretrained_cfg(name)
    if cfg is None or not cfg.classifier:
        raise ValueError(f"model_name: {name} is no classifier; give one that is")
    head, stem = (f"{_first(part)}.weight" for part in (cfg.classifier, cfg.first_conv))
    weights = checkpoint.weights
    prefix = _prefix(weights, head, {head, stem})
    arguments = dict(config.get("model_args") or {})
    if config:
        arguments |= {
            "global_pool": config.get("global_pool"),
            "pretrained_cfg_overlay": config.get("pretrained_cfg"),
        }
    if prefix + head in weights:
        arguments["num_classes"] = len(weights[prefix + head])
    if prefix + stem not in weights:
        return _created(name, arguments, size), int(cfg.input_size[0])
    width = int(weights[prefix + stem].shape[1])
    module = _created(name, arguments | {"in_chans": width}, size)
    made = module.state_dict().get(stem)
    if made is not None and made.shape[1] != width:
        # Some stems fold a patch of pixels into channels first: 48 are 4 x 4 pixels of 3.
        width = width * width // made.shape[1]
        module = _created(name, arguments | {"in_chans": width}, size)
    return module, width


def _created(name: str, arguments: Mapping[str, Any], size: int | None) -> Any:
    if size is not None:
        try:
            return timm.create_model(name, **{**arguments, "img_size": size})
        except TypeError:  # convolutions take any size, and no such argument
            pass
        except (ValueError, AssertionError) as error:
            raise ValueError(f"crop_size: {name} takes no {size} pixels ({error})") from error
    return timm.create_model(name, **arguments)


def _channels(module: torch.nn.Module, noted: Mapping[str, Any]) -> int:
    """Input channels of any module: its first convolution's, else as noted, else 3."""
    for part in module.modules():
        if isinstance(part, torch.nn.Conv2d):
            return part.in_channels
    return next((noted[key] for key in CHANNEL_KEYS if isinstance(noted.get(key), int)), 3)


def _first(part: Any) -> str:
    """The layer that timm names, or the first of several."""
    return str(part[0]) if isinstance(part, (list, tuple)) and part else str(part or "")


def _prefix(weights: Mapping[str, Any], key: str, others: Any) -> str:
    """What stands before a key: the prefix under which most others are, then the shortest."""
    ends = [name.removesuffix(key) for name in weights if name.endswith(key)]
    prefixes = [end for end in ends if not end or end.endswith(".")]
    return max(
        prefixes,
        key=lambda prefix: (sum(prefix + other in weights for other in others), -len(prefix)),
        default="",
    )


def _local_config(directory: Path) -> Mapping[str, Any]:
    """The ``config.json`` of timm beside the weights, empty where there is none."""
    path = directory / "config.json"
    if not path.is_file():
        return {}
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise ValueError(f"model_output_dir: config.json cannot be read ({error})") from error
    # Other libraries have a config.json, too; timm's names its architecture so.
    return config if isinstance(config, dict) and "architecture" in config else {}
