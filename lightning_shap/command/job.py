"""The job of the command: everything that its options name, loaded and checked."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from lightning_shap.command.data.folders import ImageSet
from lightning_shap.command.data.numbering import find_order, number_as
from lightning_shap.command.data.preprocessing import Preprocessing, choose_preprocessing
from lightning_shap.command.data.reading import PreparedImages, draw_order, read_samples
from lightning_shap.command.data.source import Source, find_training_images
from lightning_shap.command.device import find_device
from lightning_shap.command.model.description import Description
from lightning_shap.command.model.load import TrainedModel, load_model
from lightning_shap.command.options import Explanation, Options
from lightning_shap.command.paths import Places
from lightning_shap.command.swapping import draw_partners, expect, read_watched
from lightning_shap.command.untrusted import clean
from lightning_shap.engine import maskers
from lightning_shap.engine.answer import answer
from lightning_shap.engine.class_names import find_class_names
from lightning_shap.engine.model_call import ModelCall
from lightning_shap.engine.outputs import find_logits
from lightning_shap.engine.question import Known, Question
from lightning_shap.errors import ArgumentError
from lightning_shap.explanation.classes import Classes
from lightning_shap.explanation.explanation import ImageExplanation
from lightning_shap.isolation.modes import evaluation_mode

if TYPE_CHECKING:
    from lightning_shap.analysis.class_summary.parts import Part

MANY_CLASSES, FEW_CLASSES = 10, 4  # without targets or topk, of many classes the highest few
SAMPLES = 8  # where neither the command nor the checkpoint says how many


@dataclass(frozen=True)
class Job:
    """A command's wishes, loaded and checked.

    Attributes:
        options: As typed, and as the checkpoint completes them.
        places: Where things are.
        model: The classifier.
        device: Where it will be.
        prepare: Its evaluation transform.
        images: The data set, classes numbered as the model's outputs.
        dataset: Where the images come from, in words.
        classes: Number of the model's outputs.
        order: The images to explain, by number.
        partners: With which image each is swapped, by number; itself where there is none of another
            class. None where nothing asks for that. They are drawn for the whole data set, so that
            they depend on the seed alone.
        watched: What is swapped between them beside what always is.
        question: What to ask the model of each image.
        guessed: Guesses where nothing says for sure, by what they are about.
        notes: Other sentences for the user before the run.
    """

    options: Options
    places: Places
    model: TrainedModel
    device: torch.device
    prepare: Preprocessing
    images: ImageSet
    dataset: str
    classes: int
    order: list[int]
    partners: Mapping[int, int] | None
    watched: Sequence["Part"]
    question: Question
    guessed: Mapping[str, str]
    notes: Sequence[str]

    @cached_property
    def parts(self) -> Sequence["Part"]:
        """Returns what is swapped between images, nothing where no summary is asked for."""
        if self.partners is None:
            return ()
        from lightning_shap.analysis.class_summary.watched import add_parts

        return add_parts(self.watched)

    @property
    def bytes_per_image(self) -> int:
        """Returns the memory that the attributions of one image take."""
        height, width = self.prepare.size
        targets, topk = self.question.targets, self.question.topk
        several = self.classes if targets is None else np.size(targets)
        explained = several if topk is None else min(topk, self.classes)
        return 8 * height * width * self.prepare.channels * explained

    def read(self, order: Sequence[int]) -> PreparedImages:
        """Reads images and their partners, for one that cannot be read the image itself."""
        threads = self.options.data.num_workers
        read = read_samples(self.images, order, self.prepare, threads=threads)
        if self.partners is None or not read.indices:
            return read
        chosen = [self.partners[number] for number in read.indices]
        others = read_samples(self.images, sorted({*chosen}), self.prepare, threads=threads)
        found = dict(zip(others.indices, others.images, strict=True))
        pairs = zip(chosen, read.images, strict=True)
        partners = torch.stack([found.get(number, image) for number, image in pairs])
        return replace(read, partners=partners)

    @cached_property
    def _first_images(self) -> torch.Tensor:
        """Returns the images that absent regions show where they show others, read once."""
        return self.read(self.order[: maskers.DRAWS + 1]).images

    def explain(self, read: PreparedImages, *, progress: bool = True) -> ImageExplanation:
        """Explains images that were read.

        Args:
            read: At least one.
            progress: Show a bar, where the options have one.
        """
        network = self.model.module
        labels = None if self.images.labels is None else self.images.labels[read.indices]
        shows = self.question.progress if progress else False
        question = replace(self.question, labels=labels, progress=shows)
        pool = None
        if question.masker == maskers.SAMPLES:  # the same for all shards
            pool = self._first_images
        explanation = answer(network, read.images, question, Known(pool=pool))
        if read.partners is not None:
            from lightning_shap.analysis.class_summary.swaps import measure_swaps

            measure_swaps(network, explanation, read.images, read.partners, question, self.parts)
        return explanation

    def describe(self, skipped: Mapping[str, str]) -> dict[str, Any]:
        """Returns what an archive and its JSON say beside the explanation."""
        prepare = self.prepare
        return {
            "model": {
                "directory": self.options.model.model_output_dir,
                "name": self.model.name,
                "source": self.model.source,
                "channels": self.model.channels,
                "size": list(prepare.size),
                "mean": _list_numbers(prepare.mean),
                "std": _list_numbers(prepare.std),
                "transform": self.model.description.transform,
            },
            "dataset": self.dataset,
            "class_names": self.images.class_names,
            "guessed": [f"{what}: {guess}" for what, guess in self.guessed.items()],
            "skipped": dict(skipped),
            "settings": asdict(self.options),
        }


def prepare_job(options: Options, places: Places) -> Job:
    """Loads and checks everything that a command names, and explains nothing yet.

    Raises:
        ArgumentError: If something given will not do.
    """
    asked, data = options.model, options.data
    question = Question(**asdict(options.explanation))
    device = find_device(asked.accelerator)
    model = load_model(
        places.weights,
        model_name=asked.model_name,
        model_class=asked.model_class,
        module=asked.module,
        crop_size=data.crop_size,
        allow_pickle=asked.allow_pickle,
    )
    source = (
        Source(places.images, str(data.dataset))
        if places.images
        else find_training_images(model.description, data.n_samples is None)
    )
    prepare = choose_preprocessing(
        model.module,
        model.channels,
        model.description,
        crop_size=data.crop_size,
        grayscale=data.grayscale,
        mean=data.mean,
        std=data.std,
    )
    outputs = model.classes
    if outputs is None or data.crop_size is not None:
        outputs = _count_outputs(model.module, prepare)
    told = _complete_explanation(options.explanation, model.description)
    question = replace(question, returns=told.returns, multi_label=told.multi_label)
    images, guess, note = _number_classes(source.images, model, outputs, question, prepare)
    question = replace(question, class_names=images.class_names)
    question = _choose_classes(question, outputs, options.results.summary)
    everything = data.n_samples == "all" or source.chosen
    as_they_are = everything and not options.results.summary  # of which the first are shown
    order = list(range(len(images.names)))
    order = order if as_they_are else draw_order(images, question.seed)
    partners = draw_partners(images, order, question.seed) if options.results.summary else None
    n_samples = data.n_samples if isinstance(data.n_samples, int) else SAMPLES
    order = order if everything else order[:n_samples]
    expected = [expect(images, order)] if options.results.summary else []
    guessed = {**model.guessed, **prepare.guessed, "order of classes": guess}
    return Job(
        replace(options, explanation=told),
        places,
        model,
        device,
        prepare,
        images,
        source.name,
        outputs,
        order,
        partners,
        read_watched(options.results.watch),
        question,
        {name: guess for name, guess in guessed.items() if guess is not None},
        [*model.notes, *source.notes, *note, *expected],
    )


def _choose_classes(asked: Question, outputs: int, is_summary: bool) -> Question:
    """Returns the question of so many classes as suit the purpose, where nobody chose them.

    Raises:
        ArgumentError: If there are no classes for a summary of them.
    """
    if not is_summary:
        chosen = any(given is not None for given in (asked.topk, asked.targets, asked.against))
        return asked if chosen or outputs <= MANY_CLASSES else asked.complete(topk=FEW_CLASSES)
    from lightning_shap.analysis.class_summary.summary import check_comparable

    check_comparable(asked.returns, asked.multi_label)
    # The true class and the highest other, and regions that show marks and borders best.
    return asked.complete(topk=2, regions="image")


def _complete_explanation(asked: Explanation, description: Description) -> Explanation:
    """Returns the options, completed by what the training's callback was told of the model."""
    said = asked.returns is not None or asked.output == "value"
    return replace(
        asked,
        returns=asked.returns if said else description.returns,
        multi_label=asked.multi_label or description.multi_label is True,
    )


def _count_outputs(module: torch.nn.Module, prepare: Preprocessing) -> int:
    """Returns how many outputs a model has, by one call of it.

    Raises:
        ArgumentError: If it takes no such images.
    """
    try:
        with evaluation_mode(module), torch.no_grad():
            image = torch.zeros(1, prepare.channels, *prepare.size)
            outputs = find_logits(ModelCall(module)(image))
    except (RuntimeError, ValueError, AssertionError) as error:
        raise ArgumentError(
            "crop_size",
            f"the model takes no images of {prepare.channels} channels and "
            f"{' x '.join(map(str, prepare.size))} pixels ({clean(error)}); "
            "give the size of training",
        ) from error
    return outputs.shape[1] if outputs.ndim > 1 else 1


def _number_classes(
    images: ImageSet, model: TrainedModel, outputs: int, asked: Question, prepare: Preprocessing
) -> tuple[ImageSet, str | None, list[str]]:
    """Returns the images, classes numbered as the outputs; what of that is a guess; and notes."""
    found, notes = model.description.class_names or find_class_names(model.module, outputs), []
    values = asked.returns == "values"
    if asked.class_names is None and found and len(found) != Classes(outputs, values=values).count:
        notes = [f"the checkpoint has {len(found)} class names for {outputs} outputs; left out"]
        found = None
    names = found if asked.class_names is None else [*asked.class_names]
    if values:  # no classes, so folders of them mean nothing
        return replace(images, labels=None, class_names=names), None, notes

    def predict(numbers: Sequence[int]) -> tuple[Sequence[int], np.ndarray]:
        read = read_samples(images, numbers, prepare)
        if not read.indices:
            return [], np.zeros(0, int)
        question = Question(returns=asked.returns, topk=1, progress=False).glance()
        predicted = answer(model.module, read.images, question).record.predicted
        assert predicted is not None  # as outputs are no values
        return read.indices, predicted.argmax(1)

    images, guess = find_order(images, names, model.description.sorts_naturally is True, predict)
    return number_as(images, outputs, names), guess, notes


def _list_numbers(values: Sequence[float] | None) -> list[float] | None:
    return None if values is None else [float(value) for value in values]
