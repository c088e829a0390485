"""The job of the command: load, check, explain; then have the results written and told."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lightning_shap.archive import NAME, merge, save
from lightning_shap.checks import AtMost, checked_count
from lightning_shap.command.checkpoints import find_weights
from lightning_shap.command.datasets import (
    ImageSet,
    check_any,
    drawn,
    find_images,
    numbered_as,
    read_samples,
)
from lightning_shap.command.options import Options
from lightning_shap.command.preprocessing import Preprocessing, preprocessing_of
from lightning_shap.command.publishing import published
from lightning_shap.command.results import output_directory, tell, write_beside
from lightning_shap.explain import explain
from lightning_shap.isolation import evaluation_mode
from lightning_shap.models import TrainedModel, load_model
from lightning_shap.outputs import logits_of

AT_ONCE = 128  # more images than that are explained in shards, lest they fill the memory
MANY_CLASSES, FEW_CLASSES = 10, 4  # without targets or topk, of many classes the highest few


@dataclass(frozen=True)
class Job:
    """What a command asked for, loaded and checked.

    Attributes:
        options: As typed.
        model: The classifier.
        prepare: Its evaluation transform.
        images: The data set, classes numbered as the model's outputs.
        classes: Number of the model's outputs.
        order: The images to explain, by number; more than are asked for, should some not be read.
        wanted: How many of them.
        settings: Arguments of ``explain``.
    """

    options: Options
    model: TrainedModel
    prepare: Preprocessing
    images: ImageSet
    classes: int
    order: list[int]
    wanted: int
    settings: Mapping[str, Any]

    def about(self, skipped: Mapping[str, str]) -> dict[str, Any]:
        """What an archive and a report say beside the explanation."""
        prepare = self.prepare
        return {
            "model": {
                "directory": self.options.model.model_output_dir,
                "name": self.model.name,
                "source": self.model.source,
                "channels": self.model.channels,
                "size": list(prepare.size),
                "mean": _numbers(prepare.mean),
                "std": _numbers(prepare.std),
            },
            "dataset": self.options.data.dataset,
            "class_names": self.images.class_names,
            "skipped": dict(skipped),
            "settings": asdict(self.options),
        }

    def labels(self, indices: list[int]) -> np.ndarray | None:
        """The true classes of some images."""
        return None if self.images.labels is None else self.images.labels[indices]

    def files(self, indices: list[int]) -> np.ndarray:
        """The names of some images."""
        return np.array([self.images.names[index] for index in indices])


def run(options: Options) -> None:
    """Do what a command asks for.

    Raises:
        ValueError: If something given will not do; the message begins with its name.
        OSError: If a file cannot be found, read or written; likewise.
    """
    job = prepared(options)
    directory = output_directory(options)
    shards = None
    if _in_shards(options):
        from lightning_shap.command.sharding import explain_in_shards

        shards = explain_in_shards(job, directory)
        if shards is None:  # another process writes the results
            return
    with published(directory) as folder:
        archive = folder / NAME
        if shards is None:
            _explain_at_once(job, archive)
        else:
            merge(shards.archives, archive, about=job.about(shards.skipped))
        said = write_beside(job, archive)
    if shards is not None:
        shards.remove()
    tell(job, directory, said)


def prepared(options: Options) -> Job:
    """Everything a command names, loaded and checked, with nothing explained yet.

    Raises:
        ValueError: If something given will not do.
        OSError: If a file cannot be found or read.
    """
    asked, data = options.model, options.data
    checked_count("num_workers", data.num_workers, least=0)
    checked_count("max_evals", options.explanation.max_evals, least=2)
    if data.n_samples != "all":
        checked_count("n_samples", data.n_samples, least=1)
    if data.crop_size is not None:
        checked_count("crop_size", data.crop_size, least=1)
    find_weights(asked.model_output_dir)
    images = find_images(data.dataset)
    model = load_model(
        asked.model_output_dir,
        model_name=asked.model_name,
        model_class=asked.model_class,
        crop_size=data.crop_size,
        allow_pickle=asked.allow_pickle,
    )
    prepare = preprocessing_of(
        model.module,
        model.channels,
        model.noted,
        crop_size=data.crop_size,
        grayscale=data.grayscale,
        mean=data.mean,
        std=data.std,
    )
    classes = model.classes
    if classes is None or data.crop_size is not None:
        classes = _classes(model.module, prepare)
    images = numbered_as(images, classes, options.explanation.class_names or model.class_names)
    settings = asdict(options.explanation) | {"class_names": images.class_names}
    if settings["topk"] is None and settings["targets"] is None and classes > MANY_CLASSES:
        settings["topk"] = AtMost(FEW_CLASSES)
    everything = data.n_samples == "all"
    order = list(range(len(images.names))) if everything else drawn(images, settings["seed"])
    wanted = len(order) if data.n_samples == "all" else min(data.n_samples, len(order))
    return Job(options, model, prepare, images, classes, order, wanted, settings)


def _in_shards(options: Options) -> bool:
    machines, images = options.machines, options.data.n_samples
    asked = (machines.devices, machines.num_nodes, machines.strategy)
    return images == "all" or images > AT_ONCE or any(value is not None for value in asked)


def _explain_at_once(job: Job, archive: Path) -> None:
    options = job.options
    read = read_samples(
        job.images, job.order, job.wanted, job.prepare, threads=options.data.num_workers
    )
    check_any(read.indices, read.skipped)
    model = job.model.module.to(_device(options.model.accelerator))
    labels = job.labels(read.indices)
    explanation = explain(model, read.images, labels=labels, **job.settings)
    save(explanation, archive, about=job.about(read.skipped), files=job.files(read.indices))


def _classes(module: torch.nn.Module, prepare: Preprocessing) -> int:
    """How many outputs a model has, and whether it takes such images at all."""
    with evaluation_mode(module):
        try:
            logits = logits_of(module(torch.zeros(1, prepare.channels, *prepare.size)))
        except (RuntimeError, ValueError, AssertionError) as error:
            raise ValueError(
                f"crop_size: the model takes no images of {prepare.channels} channels and "
                f"{' x '.join(map(str, prepare.size))} pixels ({error}); give the size of training"
            ) from error
    return logits.shape[1] if logits.ndim > 1 else 1


def _device(accelerator: str) -> torch.device:
    if accelerator == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device("cuda" if accelerator == "gpu" else accelerator)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(
            f"accelerator: cannot use {accelerator!r} here; give cpu, cuda, mps or auto"
        ) from error
    return device


def _numbers(values: Sequence[float] | None) -> list[float] | None:
    return None if values is None else [float(value) for value in values]
