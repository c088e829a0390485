"""Architectures: timm's network of a name, with as many classes and channels as its weights have.

The weights rule: an architecture is only a name for how to arrange them, and how many classes and
channels there are is read from them. Nothing is ever downloaded.
"""

import difflib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import timm
import torch

from lightning_shap.command.model.checkpoints import Checkpoint
from lightning_shap.command.model.description import Description, from_settings
from lightning_shap.command.model.offline import offline
from lightning_shap.command.text import readable
from lightning_shap.command.untrusted import (
    MAX_SIDE,
    blaming,
    is_plain,
    largest,
    mapping,
    word,
    words,
)
from lightning_shap.errors import ArgumentError

# What a config.json may set of a network: sizes, counts, rates, switches, and names of layers.
# Nothing on this list can make timm read a file or open a connection.
NETWORK_ARGUMENTS = frozenset(
    re.findall(
        r"\w+",
        """
    in_chans num_classes global_pool img_size patch_size window_size input_size output_stride
    embed_dim embed_dims dim dims depth depths num_heads heads head_dim num_features num_kv_heads
    layers channels widths width stages groups cardinality base_width growth_rate width_factor
    mlp_ratio mlp_ratios expand_ratio attn_ratio conv_ratio sr_ratios scale kernel_size kernel_sizes
    drop_rate drop_path_rate drop_block_rate proj_drop_rate pos_drop_rate attn_drop_rate
    patch_drop_rate norm_eps init_values ls_init_value layer_scale_init_value head_init_scale
    weight_init stem_type stem_size stem_width stem_chs head_hidden_size head_norm_first
    act_layer norm_layer aa_layer se_layer embed_layer mlp_layer pad_type pos_embed rope_type
    class_token reg_tokens num_reg_tokens no_embed_class use_pos_embed use_abs_pos_emb
    use_rel_pos_bias use_rot_pos_emb use_fc_norm fc_norm pre_norm final_norm qk_norm qkv_bias
    proj_bias conv_bias swiglu_mlp scale_mlp avg_down downsample downsamples
    dynamic_img_size dynamic_img_pad strict_img_size distilled legacy
    """,
    )
)
MOST_BYTES = 2**24  # of a config.json
MOST_NAME = 200


@dataclass(frozen=True)
class TimmConfig:
    """What the ``config.json`` beside timm's own weights says.

    Attributes:
        architecture: Its name.
        arguments: Of the network.
        left_out: Names of arguments that no file may set.
        description: Of its images and classes.
    """

    architecture: str | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    left_out: Sequence[str] = ()
    description: Description = field(default_factory=Description)


def timm_config(directory: Path) -> TimmConfig:
    """The ``config.json`` of timm in a directory, empty where there is none.

    Raises:
        ArgumentError: If it cannot be read.
    """
    path = directory / "config.json"
    if not path.is_file():
        return TimmConfig()
    with blaming("model_output_dir", "config.json cannot be read"):
        if path.stat().st_size > MOST_BYTES:
            raise ValueError(f"it has more than {MOST_BYTES >> 20} MiB")
        config = mapping(json.loads(path.read_text(encoding="utf-8")))
    if "architecture" not in config:  # other libraries have a config.json, too
        return TimmConfig()
    asked = mapping(config.get("model_args"))
    arguments = {
        name: value
        for name, value in asked.items()
        if name in NETWORK_ARGUMENTS and is_plain(value) and largest(value) <= MAX_SIDE
    }
    if word(pool := config.get("global_pool")) and is_plain(pool):
        arguments.setdefault("global_pool", pool)
    said = from_settings(mapping(config.get("pretrained_cfg")))
    names = words(config.get("label_names"))
    return TimmConfig(
        word(config["architecture"]) or "",
        arguments,
        sorted(asked.keys() - arguments.keys()),
        Description(class_names=names).otherwise(said),
    )


def known_architecture(candidates: Sequence[tuple[str, str]], hint: str = "") -> tuple[str, str]:
    """The first of some names that is a timm architecture, and who said it.

    Args:
        candidates: Names, and who says each.
        hint: What else may help.

    Raises:
        ArgumentError: If none is.
    """
    for candidate, origin in candidates:
        if len(candidate) <= MOST_NAME and timm.is_model(candidate):
            name, _, tag = candidate.partition(".")
            # A directory may add words of its own where timm has the name of a data set.
            return (candidate if tag and tag in _tags(name) else name), origin
    wanted, origin = candidates[0]
    plain = wanted.partition(".")[0][:MOST_NAME]
    near = difflib.get_close_matches(plain, timm.list_models(), n=3, cutoff=0.5)
    nearest = f" (nearest: {', '.join(near)})" if near else ""
    raise ArgumentError(
        "model_name",
        f"{readable(wanted)!r}, by {origin}, is no timm architecture{nearest}; give one as "
        f"--model_name, or your own as --model_class package.module.Class{hint}",
    )


def build_architecture(
    name: str, config: TimmConfig, checkpoint: Checkpoint, size: int | None, module: str | None
) -> tuple[Any, int]:
    """An architecture of as many classes and channels as the weights have, and the channels.

    Args:
        name: timm's.
        config: What else is known of it.
        checkpoint: With the weights.
        size: Side of the images, for architectures that must know.
        module: Of whose attribute the weights are, where that is known.

    Raises:
        ArgumentError: If it is no classifier, or cannot be built.
    """
    cfg = timm.models.get_pretrained_cfg(name)
    if cfg is None or not cfg.classifier:
        raise ArgumentError("model_name", f"{name} is no classifier; give one that is")
    head, stem = (f"{_first(part)}.weight" for part in (cfg.classifier, cfg.first_conv))
    weights = checkpoint.weights
    prefix = prefix_of(weights, head, {head, stem}, module)
    arguments = dict(config.arguments)
    if (overlay := _overlay(config.description)) and config.architecture:
        arguments["pretrained_cfg_overlay"] = overlay
    if prefix + head in weights:
        arguments["num_classes"] = len(weights[prefix + head])
    if prefix + stem not in weights:
        return _created(name, arguments, size), int(cfg.input_size[0])
    width = int(weights[prefix + stem].shape[1])
    network = _created(name, arguments | {"in_chans": width}, size)
    made = network.state_dict().get(stem)
    if made is not None and made.shape[1] != width:
        # Some stems fold a patch of pixels into channels first: 48 are 4 x 4 pixels of 3.
        width = width * width // made.shape[1]
        network = _created(name, arguments | {"in_chans": width}, size)
    return network, width


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


def takes_one_size(network: torch.nn.Module) -> bool:
    """Whether a network's weights are for one size of images, and no other."""
    return any(getattr(part, "strict_img_size", False) is True for part in network.modules())


def _created(name: str, arguments: Mapping[str, Any], size: int | None) -> Any:
    with offline(), blaming("model_name", f"{name} cannot be built"):
        if size is not None:
            try:
                return timm.create_model(name, **{**arguments, "img_size": size})
            except TypeError:  # convolutions take any size, and no such argument
                pass
            except (ValueError, AssertionError) as error:
                raise ArgumentError(
                    "crop_size", f"{name} takes no {size} pixels ({readable(error)})"
                ) from error
        return timm.create_model(name, **arguments)


def _overlay(said: Description) -> dict[str, Any]:
    """What a description says of images, as timm's ``pretrained_cfg`` does."""
    size = None if said.size is None else (said.channels or 3, *said.size)
    known = {
        "mean": said.mean,
        "std": said.std,
        "input_size": size,
        "crop_pct": said.crop_pct,
        "crop_mode": said.crop_mode,
        "interpolation": said.interpolation,
    }
    return {name: value for name, value in known.items() if value is not None}


def _tags(name: str) -> set[str]:
    full = timm.list_models(f"{name}.*", pretrained=True)
    return {model.partition(".")[2] for model in full}


def _first(part: Any) -> str:
    """The layer that timm names, or the first of several."""
    return str(part[0]) if isinstance(part, (list, tuple)) and part else str(part or "")
