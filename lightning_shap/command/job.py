"""The job of the command: everything that its options name, loaded and checked."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch

from lightning_shap.arguments import checked_count
from lightning_shap.command.data.folders import (
    drawn,
    find_images,
    numbered_as,
)
from lightning_shap.command.data.image_set import ImageSet
from lightning_shap.command.data.preprocessing import Preprocessing, preprocessing_of
from lightning_shap.command.model.checkpoints import find_weights
from lightning_shap.command.model.load import TrainedModel, load_model
from lightning_shap.command.options import Options
from lightning_shap.game import raw_output
from lightning_shap.isolation.modes import evaluation_mode
from lightning_shap.outputs import logits_of

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
        settings: Arguments of ``explain_found``.
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
    if options.explanation.output == "value":  # no classes, so folders of them mean nothing
        images = replace(images, labels=None, class_names=options.explanation.class_names)
    else:
        images = numbered_as(images, classes, options.explanation.class_names or model.class_names)
    settings = asdict(options.explanation) | {"class_names": images.class_names}
    if settings["topk"] is None and settings["targets"] is None and classes > MANY_CLASSES:
        settings |= {"topk": FEW_CLASSES, "fewer_will_do": True}
    everything = data.n_samples == "all"
    order = list(range(len(images.names))) if everything else drawn(images, settings["seed"])
    wanted = len(order) if data.n_samples == "all" else min(data.n_samples, len(order))
    return Job(options, model, prepare, images, classes, order, wanted, settings)


def _classes(module: torch.nn.Module, prepare: Preprocessing) -> int:
    """How many outputs a model has, and whether it takes such images at all."""
    with evaluation_mode(module):
        try:
            blank = torch.zeros(1, prepare.channels, *prepare.size)
            logits = logits_of(raw_output(module, blank))
        except (RuntimeError, ValueError, AssertionError) as error:
            raise ValueError(
                f"crop_size: the model takes no images of {prepare.channels} channels and "
                f"{' x '.join(map(str, prepare.size))} pixels ({error}); give the size of training"
            ) from error
    return logits.shape[1] if logits.ndim > 1 else 1


def _numbers(values: Sequence[float] | None) -> list[float] | None:
    return None if values is None else [float(value) for value in values]
