"""Find the mean and std by which images were normalised, to show them as photographs.

Nobody has to say them: they stand in the transforms of the data set, wherever it keeps these, or
in what a pretrained model says of its inputs. What is found is tried, and only believed if it leads
back to pixels from 0 to 1.
"""

import sysconfig
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any, NamedTuple

import numpy as np
import torch

from lightning_shap.engine.class_names import read_timm_config
from lightning_shap.training.samples.samples import find_layers

# Of [0, 1]: what photographs reach, and images in [-1, 1] by ImageNet's numbers do not.
FILLED = 0.7
DEPTH = 12  # of lists in objects in functions
MANY = 64  # items are data, not the steps of a transform
STDLIB = sysconfig.get_path("stdlib")


class Normalisation(NamedTuple):
    """Holds what may have been subtracted from pixels in [0, 1], and what they were divided by.

    Attributes:
        mean: A number or one for each channel.
        std: Likewise.
        sure: It is known to be that, and not something else of this name.
    """

    mean: Any
    std: Any
    sure: bool


def find_normalisation(
    datasets: Sequence[Any], module: torch.nn.Module, images: torch.Tensor
) -> tuple[list[float], list[float]] | None:
    """Returns mean and std by which images were normalised, None if nothing says so.

    Looked for in what the data sets call to prepare their images: torchvision's, timm's and
    albumentations' ``Normalize``, torchvision's presets, Hugging Face's image processors, in their
    attributes and in what their ``__getitem__`` takes by name from the class or the module. Then,
    unless the images lie in [0, 1] already, in what the module says of its inputs, as by timm's
    ``pretrained_cfg``.

    One that does not lead back into [0, 1] was never applied, and is passed over; so is one of
    doubtful origin that leaves much of [0, 1] empty, since images of another range would pass for
    flat ones.

    Args:
        datasets: Data sets, or loaders of some, whose ``collate_fn`` may prepare images, too.
        module: The model, or what holds it.
        images: Float tensor (N, C, H, W), as the model takes them.
    """
    layers = [layer for dataset in datasets for layer in find_layers(dataset)]
    found = [
        normalisation
        for layer in layers
        for step in _find_callables(layer)
        for normalisation in _read_step(step)
    ]
    if not _is_within_unit(images):
        found += [
            normalisation for part in module.modules() for normalisation in _read_module(part)
        ]
    candidates: dict[tuple[tuple[float, ...], tuple[float, ...]], bool] = {}
    for one in found:
        mean, std = (repeat_by_channel(side, images.shape[1]) for side in (one.mean, one.std))
        if mean is not None and std is not None:
            candidates[mean, std] = one.sure or candidates.get((mean, std), False)
    believed = []
    for (mean, std), sure in candidates.items():
        factor, offset = (images.new_tensor(side)[:, None, None] for side in (std, mean))
        pixels = images * factor + offset
        width = float(pixels.max() - pixels.min())
        if _is_within_unit(pixels) and (sure or width > FILLED):
            believed.append((sure, width, list(mean), list(std)))
    if not believed:
        return None
    # Of a training's and a validation's, the wrong one leads to flatter pixels, if not beyond.
    _, _, *best = max(believed, key=lambda candidate: candidate[:2])
    return best[0], best[1]


def find_steps(transform: Any) -> Iterator[Any]:
    """Yields a transform and whatever it calls in turn, such as the steps of a composition."""
    yield from _walk_callables(transform, set(), DEPTH)


def _read_step(step: Any) -> Iterator[Normalisation]:
    """Yields what a step of a transform says of the mean and std it works with."""
    mean, std = getattr(step, "mean", None), getattr(step, "std", None)
    # albumentations has a Normalize that goes by each image's own mean, and knows others.
    standard = getattr(step, "normalization", "standard") == "standard"
    if mean is not None and std is not None and not callable(mean) and standard:
        # Others have such numbers, too: noise that is added, for one.
        yield Normalisation(mean, std, type(step).__name__ == "Normalize")
    if hasattr(step, "image_mean") and hasattr(step, "image_std"):
        yield from _read_processor(step)


def _read_processor(processor: Any) -> Iterator[Normalisation]:
    """Yields what one of Hugging Face's image processors does to pixels."""
    mean, std = np.zeros(1), np.ones(1)
    if getattr(processor, "do_normalize", False):
        mean, std = np.ravel(processor.image_mean), np.ravel(processor.image_std)
        if getattr(processor, "include_top", False):  # EfficientNet's divides twice
            std = std * std
    if getattr(processor, "rescale_offset", False):  # and takes one off
        mean = mean + 1
    # It gets bytes, and if it does not rescale them, then others have or nobody has.
    scales = [processor.rescale_factor] if getattr(processor, "do_rescale", True) else [1 / 255, 1]
    for scale in scales:
        yield Normalisation(mean / (255 * scale), std / (255 * scale), True)


def _read_module(part: torch.nn.Module) -> Iterator[Normalisation]:
    config = read_timm_config(part)
    if "mean" in config and "std" in config:
        yield Normalisation(config["mean"], config["std"], False)
    # A preset or a Normalize that a module keeps: it may be part of the model or come before it.
    for mean, std, _ in _read_step(part):
        yield Normalisation(mean, std, False)


def repeat_by_channel(numbers: Any, channels: int) -> tuple[float, ...] | None:
    """Returns finite numbers, one for each channel, None if these are none."""
    try:
        flat = torch.as_tensor(numbers, dtype=torch.double).flatten()
    except (TypeError, ValueError, RuntimeError):
        return None
    fits = len(flat) in (1, channels) and bool(flat.isfinite().all())
    return tuple(flat.expand(channels).tolist()) if fits else None


def _is_within_unit(images: torch.Tensor) -> bool:
    return bool(images.min() >= -0.01 and images.max() <= 1.01)


def _find_callables(layer: Any) -> Iterator[Any]:
    """Yields whatever a data set or loader calls: its attributes, and what these call in turn."""
    seen: set[int] = {id(layer)}
    held = [*getattr(layer, "__dict__", {}).values()]
    custom = getattr(layer, "format", None)  # datasets.Dataset.set_transform
    if isinstance(custom, Mapping):
        held.append(custom.get("format_kwargs"))
    for part in [*held, *_find_named(type(layer))]:
        yield from _walk_callables(part, seen, DEPTH)


def _find_named(kind: type) -> Iterator[Any]:
    """Yields a class's ``__getitem__``, and what it and other methods so named take by name."""
    seen: set[str] = set()
    waiting = ["__getitem__"]
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        part = getattr(kind, name, None)
        if not isinstance(part, FunctionType):
            yield part
        elif not _is_a_librarys(part.__code__):
            yield part
            waiting += _find_names(part.__code__)


def _walk_callables(part: Any, seen: set[int], depth: int) -> Iterator[Any]:
    if depth == 0 or id(part) in seen or part is None:
        return
    seen.add(id(part))
    if isinstance(part, (list, tuple, dict)):
        if len(part) > MANY:
            return
        inner: Iterator[Any] = iter(part.values() if isinstance(part, dict) else part)
    elif not callable(part) or isinstance(part, (type, ModuleType)) or _is_model(part):
        return
    else:
        yield part
        inner = _find_held(part)
    for item in inner:
        yield from _walk_callables(item, seen, depth - 1)


def _find_held(step: Callable[..., Any]) -> Iterator[Any]:
    """Yields what a function or an object may call when it is called."""
    if isinstance(step, MethodType):
        owner = step.__self__
        yield from [owner] if callable(owner) else getattr(owner, "__dict__", {}).values()
        yield step.__func__
    elif isinstance(step, FunctionType):
        yield from (_read_cell(cell) for cell in step.__closure__ or ())
        yield from step.__defaults__ or ()
        yield from (step.__kwdefaults__ or {}).values()
        if not _is_a_librarys(step.__code__):
            yield from (step.__globals__.get(name) for name in _find_names(step.__code__))
    elif isinstance(step, partial):
        yield from (step.func, *step.args, *step.keywords.values())
    else:
        yield from getattr(step, "__dict__", {}).values()


def _is_a_librarys(code: CodeType) -> bool:
    """Returns whether a function came with Python or was installed: its globals are no user's."""
    parts = Path(code.co_filename).parts
    return "site-packages" in parts or "dist-packages" in parts or STDLIB in code.co_filename


def _find_names(code: CodeType) -> Iterator[str]:
    """Yields the global names a function uses, also in comprehensions before Python 3.12."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _find_names(constant)


def _read_cell(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # assigned later than it is asked for
        return None


def _is_model(part: Any) -> bool:
    """Returns whether it is a model, which knows mean and std in other ways than a transform."""
    return isinstance(part, torch.nn.Module) and next(part.parameters(), None) is not None
