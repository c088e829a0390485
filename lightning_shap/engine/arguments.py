"""Arguments, read and checked: each error names one, says what it got and what would do."""

import warnings
from collections.abc import Sequence
from itertools import chain
from typing import Any, get_args

import numpy as np
import torch

from lightning_shap.engine.incoming import plain, plain_on_host, say_kind
from lightning_shap.engine.methods.registry import METHODS, REMOVED, Method, RegionsName, those_with
from lightning_shap.engine.regions.patches import LARGEST_SIDE
from lightning_shap.errors import MOST_SIDE, naming, shown
from lightning_shap.errors import ArgumentError as ArgumentError
from lightning_shap.errors import ArgumentTypeError as ArgumentTypeError
from lightning_shap.errors import checked_choice as checked_choice
from lightning_shap.errors import checked_count as checked_count
from lightning_shap.errors import checked_switch as checked_switch
from lightning_shap.explanation.classes import Classes
from lightning_shap.isolation.modes import module_of

# What tells channels last from channels first: see `checked_layout`.
CHANNELS, LEAST_SIDE, MOST_ASPECT = (1, 3, 4), 8, 4


def checked_progress(progress: Any) -> None:
    """On, off, or a function of two numbers."""
    if not isinstance(progress, (bool, np.bool_)) and (
        isinstance(progress, type) or not callable(progress)
    ):
        raise ArgumentTypeError(
            "progress",
            f"got {shown(progress)}; give True, False or a function of (rows done, rows allowed)",
        )


def checked_method(method: Any) -> Method:
    """What is known of a method that there is."""
    if isinstance(method, str) and method in REMOVED:
        raise ArgumentError("method", f"{method!r} {REMOVED[method]}")
    checked_choice("method", method, tuple(METHODS))
    return METHODS[method]


def checked_options(method: str, **given: Any) -> dict[str, Any]:
    """Of the arguments that not every method takes, those of this one; no other may be given."""
    taken = METHODS[method].options
    for name, value in given.items():
        if value is not None and name not in taken:
            others = " or ".join(f"{other!r}" for other in those_with(name))
            raise ArgumentError(name, f"{method!r} has none; give it with method={others} only")
    return {name: given.get(name) for name in taken}


def checked_grid(grid: Any, max_evals: int) -> tuple[int, int] | None:
    """Rows and columns of patches, no more of them than so many evaluations tell anything of.

    Time and memory grow with the square of the patches, whatever the budget.
    """
    if grid is None:
        return None
    sides = (grid, grid) if isinstance(grid, (int, np.integer)) else grid
    if not isinstance(sides, (tuple, list)) or len(sides) != 2:
        raise ArgumentError("grid", f"got {shown(grid)}; give patches a side, or (rows, columns)")
    rows, columns = (checked_count("grid", side, least=1, most=MOST_SIDE) for side in sides)
    most = max(max_evals, LARGEST_SIDE**2)
    if rows * columns > most:
        raise ArgumentError(
            "grid",
            f"has {rows * columns} patches for {max_evals} evaluations; give at most {most} "
            f"patches, or max_evals={rows * columns}",
        )
    return rows, columns


def checked_regions(regions: Any) -> Any:
    """What regions follow."""
    if regions is not None:
        checked_choice("regions", regions, get_args(RegionsName))
    return regions


def checked_backgrounds(backgrounds: Any, images: torch.Tensor) -> torch.Tensor | None:
    """Finite images (B, C, H, W) to start from; None for what the masker paints."""
    if backgrounds is None:
        return None
    if isinstance(backgrounds, str) and backgrounds == "samples":
        if len(images) < 2:
            raise ArgumentError(
                "backgrounds", "'samples' of one image are itself; give two images or more"
            )
        return images
    if not isinstance(backgrounds, torch.Tensor):
        raise ArgumentTypeError(
            "backgrounds",
            f"got {shown(backgrounds)}; give 'samples', a tensor (B, C, H, W), or None for what "
            "the masker paints",
        )
    backgrounds = plain(backgrounds)
    if backgrounds.ndim != 4 or backgrounds.shape[1:] != images.shape[1:] or not len(backgrounds):
        raise ArgumentError(
            "backgrounds",
            f"have shape {tuple(backgrounds.shape)}; give some images (B, C, H, W) with "
            f"(C, H, W) = {tuple(images.shape[1:])}",
        )
    _check_stored("backgrounds", backgrounds)
    if not all_finite(backgrounds):
        raise ArgumentError("backgrounds", "hold NaN or infinite pixels; give finite ones")
    return backgrounds.detach()


def checked_images(images: Any) -> torch.Tensor:
    """A finite float tensor (N, C, H, W) with something in it."""
    if not isinstance(images, torch.Tensor):
        raise ArgumentTypeError(
            "images", f"got {type(images).__name__}; give a float tensor (N, C, H, W)"
        )
    images = plain(images)
    _check_stored("images", images)
    if images.ndim != 4:
        raise ArgumentError("images", f"{tuple(images.shape)} {say_kind(images.shape)}")
    if 0 in images.shape:
        raise ArgumentError("images", f"are empty, shape {tuple(images.shape)}; give at least one")
    if not images.is_floating_point():
        raise ArgumentTypeError(
            "images",
            f"are {images.dtype}; give floats, scaled as the model takes them "
            "(for most: images / 255, then normalised)",
        )
    if images.is_meta:
        raise ArgumentTypeError("images", "are on the meta device, without pixels; give real ones")
    if not all_finite(images):
        raise ArgumentError("images", "hold NaN or infinite pixels; give finite ones")
    return images.detach()


def _check_stored(name: str, tensor: torch.Tensor) -> None:
    """A tensor whose numbers are there, one after the other."""
    if tensor.layout != torch.strided or tensor.is_meta or tensor.is_quantized:
        kind = "meta" if tensor.is_meta else "quantized" if tensor.is_quantized else tensor.layout
        raise ArgumentTypeError(name, f"got a {kind} tensor; give a dense one with its numbers")


def all_finite(pixels: torch.Tensor) -> bool:
    """Whether there is no NaN and no infinity among some pixels.

    By their extremes: torch's own ``isfinite`` makes two arrays of their size.
    """
    return all(bool(extreme.isfinite()) for extreme in torch.aminmax(pixels.detach()))


def checked_model(model: Any) -> None:
    """Something that can be called, and is ready to be."""
    if isinstance(model, type):
        raise ArgumentTypeError("model", f"got the class {model.__name__}; give one of its objects")
    if not callable(model):
        raise ArgumentTypeError(
            "model",
            f"got {type(model).__name__}; give an nn.Module, a LightningModule or a "
            "function from images (N, C, H, W) to outputs (N, K)",
        )
    if is_unfinished(model):
        raise ArgumentError(
            "model",
            "has layers that take their sizes and first weights from the first batch they "
            "see; call it once before it is explained",
        )


def is_unfinished(model: Any) -> bool:
    """Whether a first call would still initialise lazy layers, which is for the host to do."""
    module = module_of(model)
    tensors = () if module is None else chain(module.parameters(), module.buffers())
    return any(torch.nn.parameter.is_lazy(tensor) for tensor in tensors)


def checked_layout(images: torch.Tensor, model: Any) -> None:
    """Channels come first.

    Channels last shows by the sizes: a last axis of 1, 3 or 4 after two that could be the sides of
    a picture. Such images may be what they seem, slivers of many channels, so a model that begins
    with a convolution over just as many has the last word.
    """
    _, first, second, last = images.shape
    takes = _first_channels(model)
    sides = min(first, second) >= LEAST_SIDE and max(first, second) <= MOST_ASPECT * min(
        first, second
    )
    seems = last in CHANNELS and first not in CHANNELS and (takes == last or sides)
    if seems and takes != first:
        raise ArgumentError(
            "images",
            f"have shape {tuple(images.shape)}, with the channels last; give (N, C, H, W), "
            "as in images.permute(0, 3, 1, 2), and to a model that takes the channels last "
            "torch.nn.Sequential(torchvision.ops.Permute([0, 2, 3, 1]), model); in a training, "
            "samples=(images.permute(0, 3, 1, 2), labels) and module= the part that takes these",
        )


def _first_channels(model: Any) -> int | None:
    """How many channels a model's first convolution takes, None if it has none."""
    module = module_of(model)
    parts = () if module is None else module.modules()
    return next((part.in_channels for part in parts if isinstance(part, torch.nn.Conv2d)), None)


def checked_labels(labels: Any, images: int) -> np.ndarray | None:
    """What is true of each image, as an array of numbers with a row for each, or None."""
    if labels is None:
        return None
    array = _array("labels", labels)
    if array.ndim not in (1, 2) or len(array) != images:
        raise ArgumentError(
            "labels", f"have shape {array.shape}; give one class for each of {images} images"
        )
    if array.dtype.kind not in "biuf":
        raise ArgumentTypeError("labels", f"got {array.dtype} values; give whole class indices")
    return array


def checked_targets(
    targets: Any,
    topk: Any,
    labels: np.ndarray | None,
    outputs: np.ndarray,
    classes: Classes,
    *,
    first: np.ndarray | None = None,
    fewer_will_do: bool = False,
) -> np.ndarray:
    """The outputs to explain, int (N, K'), from one of three ways to ask for them.

    Args:
        targets: One output, (K',) for all images, (N, K') for each, or None.
        topk: How many of the highest outputs, or None.
        labels: What is true, as the record keeps it; true classes come before the highest others.
        outputs: (N, K), the outputs of the full images.
        classes: What they stand for.
        first: int (N, F), outputs that come before the highest others instead of the true classes.
        fewer_will_do: If there are not as many as ``topk``, all; of values, the first.
    """
    images, count = outputs.shape
    if topk is not None:
        checked_count("topk", topk, least=1)
        if not fewer_will_do:
            if classes.values:
                raise ArgumentError(
                    "topk", f"got {topk}, but values have no highest one; give targets"
                )
            if topk > count:
                raise ArgumentError("topk", f"got {topk}, but the model has {count} classes")
        if classes.values:
            return np.tile(np.arange(count)[:topk], (images, 1))
        turns = np.ones_like(outputs)
        if first is not None:
            np.put_along_axis(turns, first, np.arange(-first.shape[1], 0), axis=1)
        elif labels is not None:
            turns -= classes.with_output(classes.true(labels))
        # Stable, so that equal outputs keep the order of their classes.
        return np.lexsort((-outputs, turns), axis=1)[:, :topk]
    if targets is None:
        return np.tile(np.arange(count), (images, 1))
    chosen = np.atleast_1d(_indices("targets", targets))
    if chosen.size == 0 or chosen.ndim > 2 or (chosen.ndim == 2 and len(chosen) != images):
        raise ArgumentError(
            "targets",
            f"have shape {chosen.shape}; give (K',) class indices for all images "
            f"or ({images}, K') for each",
        )
    outside = chosen[(chosen < 0) | (chosen >= count)]
    if outside.size:
        noun = "values" if classes.values else "classes"
        raise ArgumentError(
            "targets", f"hold {outside[0]}, but the model has {count} {noun}, 0 to {count - 1}"
        )
    return np.tile(chosen, (images, 1)) if chosen.ndim == 1 else chosen


def checked_class_names(
    class_names: Sequence[str] | None, classes: Classes, *, found: bool = False
) -> np.ndarray:
    """A name for each class; of names that nobody gave, only if there are as many."""
    try:
        return classes.named(class_names)
    except ValueError:
        if not found:
            raise
    warnings.warn(
        f"class_names: the data set knows {len(class_names or ())}, the model has "
        f"{classes.outputs} outputs; they are left out",
        stacklevel=4,
    )
    return classes.named(None)


def _array(name: str, given: Any) -> np.ndarray:
    if isinstance(given, torch.Tensor):
        _check_stored(name, plain(given))
        given = plain_on_host(given)
        given = given.float() if given.dtype == torch.bfloat16 else given
    with naming(name, f"got {shown(given)}, which is no array of numbers"):
        try:
            return np.asarray(given)
        except ValueError:
            raise ArgumentError(name, f"got rows of different lengths, {shown(given)}") from None


def _indices(name: str, given: Any) -> np.ndarray:
    array = _array(name, given)
    if array.size and array.dtype.kind not in "iu":
        raise ArgumentTypeError(name, f"got {array.dtype} values; give whole class indices")
    return array.astype(np.int64)
