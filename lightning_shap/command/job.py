"""The job of the command: everything that its options name, loaded and checked."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch

from lightning_shap.analysis.class_summary.summary import check_comparable
from lightning_shap.command.data.evaluation import preprocessing_of
from lightning_shap.command.data.folders import find_images
from lightning_shap.command.data.image_set import ImageSet
from lightning_shap.command.data.numbering import Order, known_classes, numbered_as, ordered
from lightning_shap.command.data.partners import Partners
from lightning_shap.command.data.preprocessing import Preprocessing
from lightning_shap.command.data.reading import PreparedImages, drawn, read_samples
from lightning_shap.command.data.scale import scale_of
from lightning_shap.command.data.source import Source, images_of_training
from lightning_shap.command.device import device_of
from lightning_shap.command.model.description import Description
from lightning_shap.command.model.find import find_weights
from lightning_shap.command.model.load import TrainedModel, load_model
from lightning_shap.command.model.trial import count_outputs, predicted_classes
from lightning_shap.command.options import Explanation, Options, Results
from lightning_shap.engine.arguments import checked_grid
from lightning_shap.engine.class_names import class_names_in
from lightning_shap.engine.methods.registry import those_with
from lightning_shap.engine.outputs import checked_returns
from lightning_shap.errors import ArgumentError
from lightning_shap.explanation.classes import Classes
from lightning_shap.pictures.pixels import shown_channels

MANY_CLASSES, FEW_CLASSES = 10, 4  # without targets or topk, of many classes the highest few
SAMPLES = 8  # where neither the command nor the checkpoint says how many


@dataclass(frozen=True)
class Job:
    """What a command asked for, loaded and checked.

    Attributes:
        options: As typed.
        model: The classifier.
        device: Where it will be.
        prepare: Its evaluation transform.
        images: The data set, classes numbered as the model's outputs.
        dataset: Where the images come from, in words.
        classes: Number of the model's outputs.
        order: The images to explain, by number; more than are asked for, should some not be read.
        wanted: How many of them.
        settings: Arguments of ``explain_found``.
        guessed: What nothing says for sure, by what it is about.
        notes: What else a user should know before the run.
    """

    options: Options
    model: TrainedModel
    device: torch.device
    prepare: Preprocessing
    images: ImageSet
    dataset: str
    classes: int
    order: list[int]
    wanted: int
    settings: Mapping[str, Any]
    guessed: Mapping[str, str]
    notes: Sequence[str]

    @property
    def bytes_per_image(self) -> int:
        """Memory that the attributions of one image take."""
        height, width = self.prepare.size
        targets, topk = self.settings["targets"], self.settings["topk"]
        several = self.classes if targets is None else np.size(targets)
        explained = several if topk is None else min(topk, self.classes)
        return 8 * height * width * self.prepare.channels * explained

    @cached_property
    def partners(self) -> Partners | None:
        """With which images parts are swapped, None where nothing asks for that."""
        if not self.options.results.summary:
            return None
        return Partners(self.images, self.order, self.settings["seed"])

    def others(self, read: PreparedImages) -> torch.Tensor | None:
        """The partners of images that were read, (N, C, H, W), None where nothing asks for them."""
        if self.partners is None or not read.indices:
            return None
        threads = self.options.data.num_workers
        return self.partners.read(read.indices, read.images, self.prepare, threads=threads)

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
                "transform": self.model.description.transform,
            },
            "dataset": self.dataset,
            "class_names": self.images.class_names,
            "guessed": [f"{what}: {guess}" for what, guess in self.guessed.items()],
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
        ArgumentError: If something given will not do.
    """
    asked, data = options.model, options.data
    checked_grid(options.explanation.grid, options.explanation.max_evals)
    directory = str(asked.model_output_dir)
    find_weights(directory)
    given = None if data.dataset is None else find_images(data.dataset)
    device = device_of(asked.accelerator)
    model = load_model(
        directory,
        model_name=asked.model_name,
        model_class=asked.model_class,
        module=asked.module,
        crop_size=data.crop_size,
        allow_pickle=asked.allow_pickle,
    )
    source = (
        Source(given, str(data.dataset))
        if given
        else images_of_training(model.description, data.n_samples is None)
    )
    prepare = preprocessing_of(
        model.module,
        model.channels,
        source.as_received(model.description),
        one_size=model.one_size,
        crop_size=data.crop_size,
        grayscale=data.grayscale,
        mean=data.mean,
        std=data.std,
    )
    prepare.scale = scale_of(source.images, drawn(source.images, 0))
    options = replace(options, results=_as_shown(options.results, model))
    classes = model.classes
    if classes is None or data.crop_size is not None:
        classes = count_outputs(model.module, prepare)
    options = replace(options, explanation=_as_told(options.explanation, model.description))
    numbering = _numbered(source, model, classes, options.explanation, prepare)
    images = numbering.images
    settings = asdict(options.explanation) | {"class_names": images.class_names}
    chosen = any(settings[name] is not None for name in ("topk", "targets", "against"))
    if options.results.summary:
        _check_summary(options.explanation, chosen)
        settings |= {"topk": 2, "fewer_will_do": True}  # the true class and the highest other
        if _may_follow_image(options.explanation):
            settings["regions"] = "image"  # as the callback's do, which show marks and borders best
    elif not chosen and classes > MANY_CLASSES:
        settings |= {"topk": FEW_CLASSES, "fewer_will_do": True}
    count = len(images.names)
    everything = data.n_samples == "all" or source.chosen
    as_they_are = everything and not options.results.summary  # of which the first are shown
    order = list(range(count)) if as_they_are else drawn(images, settings["seed"])
    wanted = count if everything else min(_count(data.n_samples), count)
    guessed = {
        **model.guessed,
        **({} if source.prepared else prepare.guessed),
        "pixels": prepare.scale.guess,
        "order of classes": numbering.guess,
    }
    return Job(
        options,
        model,
        device,
        prepare,
        images,
        source.name,
        classes,
        order,
        wanted,
        settings,
        {name: guess for name, guess in guessed.items() if guess is not None},
        [note for note in (*model.notes, *source.notes, numbering.note) if note is not None],
    )


def _check_summary(asked: Explanation, chosen: bool) -> None:
    """Refuse what does not go with a summary of the classes.

    Raises:
        ArgumentError: If classes are chosen, or there are none.
    """
    if chosen:
        raise ArgumentError(
            "summary",
            "explains each true class and the highest other; leave topk, targets and against out",
        )
    check_comparable(checked_returns(asked.returns, asked.output), asked.multi_label)


def _may_follow_image(asked: Explanation) -> bool:
    """Whether nothing was asked of the regions, and the method has some."""
    return asked.regions is None and asked.grid is None and asked.method in those_with("regions")


def _as_told(asked: Explanation, description: Description) -> Explanation:
    """Returns what is asked for, of a model that is what the training's callback was told."""
    said = asked.returns is not None or asked.output == "value"
    return replace(
        asked,
        returns=asked.returns if said else description.returns,
        multi_label=asked.multi_label or description.multi_label is True,
    )


def _as_shown(asked: Results, model: TrainedModel) -> Results:
    """Returns what is asked for, in the channels that the training's callback showed.

    Raises:
        ArgumentError: If the model has no such channels.
    """
    told = model.description.shown_channels or []
    fits = asked.channels is None and max(told, default=model.channels) < model.channels
    asked = replace(asked, channels=told if fits else asked.channels)
    shown_channels(asked.channels, model.channels)
    return asked


def _numbered(
    source: Source, model: TrainedModel, outputs: int, asked: Explanation, prepare: Preprocessing
) -> Order:
    """The images with their classes numbered as the model's outputs, and what is to say of that."""
    found, note = model.description.class_names or class_names_in(model.module, outputs), None
    values = checked_returns(asked.returns, asked.output) == "values"
    if asked.class_names is None and found and len(found) != Classes(outputs, values=values).count:
        note = f"the checkpoint has {len(found)} class names for {outputs} outputs; left out"
        found = None
    names = asked.class_names or found
    if values:  # no classes, so folders of them mean nothing
        return Order(replace(source.images, labels=None, class_names=names), note=note)

    def predict(numbers: Sequence[int]) -> tuple[Sequence[int], np.ndarray]:
        read = read_samples(source.images, numbers, len(numbers), prepare)
        return read.indices, predicted_classes(model.module, read.images, asked.returns)

    naturally = model.description.sorts_naturally is True
    order = ordered(source.images, names, naturally, predict)
    images = known_classes(numbered_as(order.images, outputs, names), outputs)
    return Order(images, order.guess, note or order.note)


def _count(n_samples: int | str | None) -> int:
    return n_samples if isinstance(n_samples, int) else SAMPLES


def _numbers(values: Sequence[float] | None) -> list[float] | None:
    return None if values is None else [float(value) for value in values]
