"""Reads timm's ``config.json`` beside its weights, as far as a file may set up a network.

The file may come from anywhere, and timm would pass on whatever it says: also where to fetch
weights from, and where to put them.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lightning_shap.command.model.description import Description, read_settings
from lightning_shap.command.untrusted import (
    find_largest,
    is_plain,
    read_mapping,
    read_word,
    read_words,
)
from lightning_shap.errors import MOST_SIDE

# Settings of a network that a config.json may make: numbers and switches, and some layers' names.
# Nothing here can make timm read a file or open a connection.
NUMBERS = frozenset(
    re.findall(
        r"\w+",
        """
    in_chans num_classes img_size patch_size window_size input_size output_stride
    embed_dim embed_dims dim dims depth depths num_heads heads head_dim num_features num_kv_heads
    layers channels widths width stages groups cardinality base_width growth_rate width_factor
    mlp_ratio mlp_ratios expand_ratio attn_ratio conv_ratio sr_ratios scale kernel_size kernel_sizes
    drop_rate drop_path_rate drop_block_rate proj_drop_rate pos_drop_rate attn_drop_rate
    patch_drop_rate norm_eps init_values ls_init_value layer_scale_init_value head_init_scale
    stem_size stem_width stem_chs head_hidden_size head_norm_first
    class_token reg_tokens num_reg_tokens no_embed_class use_pos_embed use_abs_pos_emb
    use_rel_pos_bias use_rot_pos_emb use_fc_norm fc_norm pre_norm final_norm qk_norm qkv_bias
    proj_bias conv_bias swiglu_mlp scale_mlp avg_down downsample downsamples
    dynamic_img_size dynamic_img_pad strict_img_size distilled legacy
    """,
    )
)
LAYERS = frozenset(
    re.findall(
        r"\w+",
        """
    global_pool weight_init stem_type pad_type pos_embed rope_type
    act_layer norm_layer aa_layer se_layer embed_layer mlp_layer
    """,
    )
)


@dataclass(frozen=True)
class TimmConfig:
    """The content of the ``config.json`` beside timm's own weights.

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


def read_timm_config(config: Mapping[str, Any]) -> TimmConfig:
    """Returns the content of a ``config.json``, if it is timm's.

    Args:
        config: Its content, empty where there is none.
    """
    if "architecture" not in config:  # other libraries have a config.json, too
        return TimmConfig()
    asked = read_mapping(config.get("model_args"))
    arguments = {
        name: value
        for name, value in asked.items()
        if name in NUMBERS | LAYERS
        and is_plain(value, names=name in LAYERS)
        and find_largest(value) <= MOST_SIDE
    }
    if read_word(pool := config.get("global_pool")) and is_plain(pool):
        arguments.setdefault("global_pool", pool)
    images = read_settings(read_mapping(config.get("pretrained_cfg")))
    names = read_words(config.get("label_names"))
    return TimmConfig(
        read_word(config["architecture"]) or "",
        arguments,
        sorted(asked.keys() - arguments.keys()),
        Description(class_names=names).complete(images),
    )
