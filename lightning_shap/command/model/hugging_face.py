"""Loads transformers' ``save_pretrained`` directories: a network, and its processor's preparation.

The network is of a class of transformers' own, by ``config.json``; the weights are read as all
others are. So nothing of the directory is run, and nothing fetched.
"""

import importlib
import logging
from collections.abc import Mapping
from typing import Any

import torch

from lightning_shap.command.model.checkpoints import Checkpoint, refuse
from lightning_shap.command.model.description import Description, read_settings
from lightning_shap.command.model.offline import stay_offline
from lightning_shap.command.untrusted import (
    blame,
    is_plain,
    list_few,
    read_mapping,
    read_number,
    read_whole,
    read_word,
)
from lightning_shap.errors import ArgumentError

COUNTS = {"layers", "layer", "depth", "depths", "blocks", "stages"}  # words of a config's names
FILTERS = ("nearest", "lanczos", "bilinear", "bicubic", "box", "hamming")  # by Pillow's numbers
RESIZED_WHOLE = 384  # ConvNeXt's processor crops nothing of images so large


def build_transformers(config: Mapping[str, Any], checkpoint: Checkpoint) -> torch.nn.Module:
    """Builds the image classifier that a ``config.json`` of transformers describes, with weights.

    Args:
        config: Its content.
        checkpoint: With the weights, under the names that transformers saves them by.

    Raises:
        ArgumentError: If transformers is missing, builds no image classifier of it, or the weights
            are another's.
    """
    kind = read_word(config.get("model_type")) or ""
    try:
        transformers: Any = importlib.import_module("transformers")
    except ImportError as error:
        raise ArgumentError(
            "model_output_dir",
            f"config.json is of transformers ({kind}), which is not installed; "
            "`pip install transformers`, or give --model_class",
        ) from error
    counts = {name: config[name] for name in config if COUNTS & set(name.lower().split("_"))}
    if not is_plain(counts, most=len(checkpoint.weights)):
        refuse(checkpoint.path, "holds fewer weights than config.json has layers")
    known = {name: config[name] for name in config if name != "auto_map"}  # code of its own
    with (
        stay_offline(),
        blame("model_output_dir", f"transformers builds no classifier of {kind!r}"),
    ):
        described = transformers.CONFIG_MAPPING[kind].from_dict(known)
        build = transformers.MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING[type(described)]
        transformers.logging.set_verbosity(logging.CRITICAL)  # its report is one sentence here
        transformers.logging.disable_progress_bar()
        network: torch.nn.Module
        network, loading = build.from_pretrained(
            None,
            config=described,
            state_dict=dict(checkpoint.weights),
            output_loading_info=True,
            attn_implementation="eager",
            local_files_only=True,
            torch_dtype=torch.float32,
        )
    differing = [str(key) for keys in loading.values() for key in keys]
    if differing:
        refuse(
            checkpoint.path,
            f"holds other weights than those of {build.__name__}, which config.json describes: "
            f"{len(differing)} differ ({list_few(differing, 3)})",
        )
    return network


def describe_processor(processor: Mapping[str, Any]) -> Description:
    """Returns the images of a ``preprocessor_config.json``, as far as it says how they are made.

    Args:
        processor: Its content, empty where there is none.
    """
    size = processor.get("size")
    sides, cropped = read_mapping(size), _read_side(processor.get("crop_size"))
    short_side = read_whole(sides.get("shortest_edge") or size)
    side, share = short_side, read_number(processor.get("crop_pct"))
    mode: str | None = None
    if processor.get("do_center_crop") is not True:
        cropped = None
    if share and side:  # ConvNeXt's
        mode, share = ("center", share) if side < RESIZED_WHOLE else ("squash", 1.0)
    elif "height" in sides and (resized := _read_side(size)):
        side, mode = cropped or resized, "squash"
        share = side / resized
    elif side and cropped:
        side, mode, share = cropped, "center", cropped / side
    else:
        share = None
    resample = processor.get("resample")
    place = resample if isinstance(resample, int) and 0 <= resample < len(FILTERS) else None
    return read_settings(
        {
            "img_size": side,
            "crop_pct": share,
            "crop_mode": mode,
            "interpolation": None if place is None else FILTERS[place],
            **_read_statistics(processor),
        }
    )


def _read_statistics(processor: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the mean and std of pixels from 0 to 1; none where the processor counts otherwise."""
    factor = read_number(processor.get("rescale_factor")) or 1 / 255
    unusual = any(processor.get(name) for name in ("include_top", "rescale_offset"))
    if unusual or processor.get("do_rescale") is False or abs(255 * factor - 1) > 1e-3:
        return {}
    if processor.get("do_normalize") is False:
        return {"mean": 0.0, "std": 1.0}
    return {"mean": processor.get("image_mean"), "std": processor.get("image_std")}


def _read_side(size: Any) -> int | None:
    """Returns the side of a square, which a processor states as a number or by names."""
    sides = read_mapping(size)
    square = sides.get("height") == sides.get("width")
    return read_whole(sides.get("height") if sides and square else size)
