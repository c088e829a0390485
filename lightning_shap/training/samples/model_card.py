"""Write the model card: what a training knows of its classifier and its images.

Pictures need it, and so does whoever explains the finished model: it travels in the checkpoint,
as plain values that load without running code.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Subset

from lightning_shap.engine.class_names import read_timm_config
from lightning_shap.training.configuration import Configuration
from lightning_shap.training.lightning import LightningModule, Trainer
from lightning_shap.training.samples.fixed_batch import FixedBatch
from lightning_shap.training.samples.normalisation import (
    find_normalisation,
    find_steps,
    repeat_by_channel,
)
from lightning_shap.training.samples.samples import Samples, find_data_names, find_layers


@dataclass(frozen=True)
class ModelCard:
    """Holds what is known of a classifier; None where nothing says so.

    Attributes:
        input_size: (C, H, W) of the images.
        module_class: ``package.module.Class`` of the LightningModule.
        module: The attribute that is the classifier, None for the whole LightningModule.
        architecture: timm's name of the network.
        class_names: In the order of the outputs.
        mean: What was subtracted from the pixels, by channel.
        std: What the pixels were divided by.
        crop_pct: Side of the images before their centre was cropped, as a share: timm's word.
        interpolation: How they were resized, such as ``"bilinear"``.
        transform: The whole transform in words.
        dataset: The folder that the samples' files are in.
        files: The samples' files.
        labels: The samples' classes, -1 where unknown; None where an image may have several.
        returns: What the model's outputs are, where the user said it.
        multi_label: Several classes may be true at once, as the user said.
        shown_channels: The channel shown grey, or the three shown as red, green and blue.
    """

    input_size: list[int]
    module_class: str
    module: str | None = None
    architecture: str | None = None
    class_names: list[str] | None = None
    mean: list[float] | None = None
    std: list[float] | None = None
    crop_pct: float | None = None
    interpolation: str | None = None
    transform: str | None = None
    dataset: str | None = None
    files: list[str] | None = None
    labels: list[int] | None = None
    returns: str | None = None
    multi_label: bool = False
    shown_channels: list[int] | None = None


def make_model_card(
    asked: Configuration,
    trainer: Trainer,
    pl_module: LightningModule,
    samples: Samples,
    batch: FixedBatch,
) -> ModelCard:
    """Returns what the user said of the model, and what else can be read off a training.

    Args:
        asked: What the callback was given.
        trainer: The trainer.
        pl_module: That is trained.
        samples: As the model receives them.
        batch: Knows the data sets and loaders that they come from.
    """
    kind, datasets = type(pl_module), batch.datasets
    rows = None if batch.pick is None else batch.pick.rows
    images, labels = samples.images, samples.labels
    sides: tuple[Any, Any] = asked.mean, asked.std
    if asked.mean is None:
        found = find_normalisation([*datasets, *batch.loaders], pl_module, images)
        sides = found or sides
    mean, std = (repeat_by_channel(side, images.shape[1]) for side in sides)
    transform = next((t for dataset in datasets[:1] for t in _find_transforms(dataset)), None)
    files = None if rows is None or not datasets else _find_files(datasets[0], rows)
    crop_pct, interpolation = _find_resize(transform, images.shape[-1])
    names, channels = asked.class_names, asked.channels
    sources = [*datasets, getattr(trainer, "datamodule", None)]
    return ModelCard(
        input_size=list(images.shape[1:]),
        module_class=f"{_find_module_name(kind)}.{kind.__qualname__}",
        module=asked.module,
        architecture=_find_architecture(pl_module),
        class_names=[*map(str, names)] if names else find_data_names(datasets),
        mean=None if mean is None else [*mean],
        std=None if std is None else [*std],
        crop_pct=crop_pct,
        interpolation=interpolation,
        transform=None if transform is None else repr(transform),
        dataset=None if files is None else _find_root(datasets[0]),
        files=files,
        labels=labels.tolist() if labels is not None and labels.dtype == torch.int64 else None,
        returns=asked.question.returns,
        multi_label=asked.multi_label,
        shown_channels=(
            _find_rgb_channels(sources, images.shape[1])
            if channels is None
            else np.atleast_1d(channels).tolist()
        ),
    )


def _find_rgb_channels(sources: Sequence[Any], count: int) -> list[int] | None:
    """Returns the places of ``rgb_bands`` among the bands of images, as torchgeo names them.

    Args:
        sources: Data sets and data modules, which may say ``rgb_bands``, ``bands``, ``all_bands``.
        count: Channels of the images: bands of another number are not theirs.

    Returns:
        Three places; None where no names, or several that do not agree, say where they are.
    """
    layers = [layer for source in sources for layer in find_layers(source)]
    wanted, *orders = (
        [
            names
            for layer in layers
            if (names := _read_names(getattr(layer, name, None))) is not None
        ]
        for name in ("rgb_bands", "bands", "all_bands")
    )
    places = {
        tuple(map(order.index, rgb))
        for rgb in wanted
        for order in (*orders[0], *orders[1])
        if len(rgb) == 3 and len(order) == count and {*rgb} <= {*order}
    }
    return [*places.pop()] if len(places) == 1 else None


def _read_names(given: Any) -> list[str] | None:
    """Returns different names in their order, None for anything else."""
    listed = isinstance(given, (list, tuple)) and all(isinstance(name, str) for name in given)
    return [*given] if listed and len({*given}) == len(given) else None


def _find_module_name(kind: type) -> str:
    """Returns the module that a class can be imported from; of a script, its file's name."""
    if kind.__module__ != "__main__":
        return kind.__module__
    import __main__

    return Path(getattr(__main__, "__file__", None) or "__main__").stem


def _find_architecture(pl_module: torch.nn.Module) -> str | None:
    """Returns timm's name of the first of its networks inside."""
    named = (read_timm_config(part).get("architecture") for part in pl_module.modules())
    return next((name for name in named if isinstance(name, str)), None)


def _find_transforms(dataset: Any) -> Iterator[Any]:
    for layer in find_layers(dataset):
        transform = getattr(layer, "transform", None)
        if transform is not None:
            yield transform


def _find_resize(transform: Any, side: int) -> tuple[float | None, str | None]:
    """Returns timm's ``crop_pct`` and ``interpolation`` of a Resize before a centre crop."""
    for step in find_steps(transform):
        if type(step).__name__ == "Resize":
            size = getattr(step, "size", None)
            size = size[0] if isinstance(size, Sequence) and len(set(size)) == 1 else size
            mode = getattr(getattr(step, "interpolation", None), "value", None)
            share = side / size if isinstance(size, int) and size >= side else None
            return share, mode if isinstance(mode, str) else None
    return None, None


def _find_files(dataset: Any, rows: Sequence[int]) -> list[str] | None:
    """Returns the files of some rows of an image folder, or of a subset of one."""
    if isinstance(dataset, Subset):
        return _find_files(dataset.dataset, [int(dataset.indices[row]) for row in rows])
    pairs = getattr(dataset, "samples", getattr(dataset, "imgs", None))
    if not isinstance(pairs, Sequence):
        return None
    chosen = [pairs[row] for row in rows]
    paths = [pair[0] if isinstance(pair, (list, tuple)) and pair else pair for pair in chosen]
    if not all(isinstance(path, (str, Path)) for path in paths):
        return None
    return [str(Path(path).absolute()) for path in paths]


def _find_root(dataset: Any) -> str | None:
    for layer in find_layers(dataset):
        root = getattr(layer, "root", None)
        if isinstance(root, (str, Path)) and Path(root).is_dir():
            return str(Path(root).absolute())
    return None
