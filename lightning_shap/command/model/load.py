"""Models: a directory or a file of weights to a classifier that is ready to run."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path
from typing import Any, TypeVar

import torch

from lightning_shap.command.model.architecture import (
    build_architecture,
    ends_of,
    known_architecture,
    takes_one_size,
)
from lightning_shap.command.model.checkpoints import Checkpoint, read_checkpoint
from lightning_shap.command.model.custom_class import build_own, own_builder, takes
from lightning_shap.command.model.description import Description, from_settings
from lightning_shap.command.model.find import find_weights
from lightning_shap.command.model.hugging_face import build_transformers, description_of_processor
from lightning_shap.command.model.timm_config import TimmConfig, timm_config
from lightning_shap.command.model.weights import (
    check_no_adapter,
    differing_shapes,
    is_below,
    load_weights,
    places_of,
    say_others,
    weights_below,
)
from lightning_shap.command.text import readable
from lightning_shap.command.untrusted import blaming, read_json
from lightning_shap.errors import ArgumentError

Loaded = TypeVar("Loaded")

SIDES = ("image_size", "img_size")  # what architectures call it that must know the images' side


@dataclass(frozen=True)
class TrainedModel:
    """A classifier with what is known of it.

    Attributes:
        module: The classifier, on the CPU.
        name: Its architecture.
        source: Which way it was loaded, in words.
        channels: Number of input channels.
        classes: Number of outputs, None where only a run would show it.
        description: What its checkpoint says of it and of its images.
        one_size: Its weights are for one size of images.
        step: Optimiser steps of its training, 0 where unknown.
        guessed: What nothing says for sure, by what it is about.
        notes: What else a user should know of it.
    """

    module: torch.nn.Module
    name: str
    source: str
    channels: int
    classes: int | None = None
    description: Description = field(default_factory=Description)
    one_size: bool = False
    step: int = 0
    guessed: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[str] = ()


def load_model(
    model_output_dir: str | Path,
    *,
    model_name: str | None = None,
    model_class: str | None = None,
    module: str | None = None,
    crop_size: int | None = None,
    allow_pickle: bool = False,
) -> TrainedModel:
    """Load a trained classifier.

    Args:
        model_output_dir: A directory with ``best_model.pth`` or other weights, timm's own,
            transformers' (both with ``config.json``) and Lightning's among them, or a file.
        model_name: timm architecture; where None, what the checkpoint, the directory's
            ``config.json`` or its base name say.
        model_class: ``package.module.name`` of a LightningModule, a module or a function that
            returns one, which takes the checkpoint's hyper-parameters; instead of timm's.
        module: The attribute that is the classifier, or the name under which the file keeps the
            one of several; where None, what the checkpoint says.
        crop_size: Side of the images, for architectures that must know.
        allow_pickle: Trust the file: run the code that it asks for.

    Raises:
        ArgumentError: If there are no weights, they cannot be read, or do not fit the architecture.
    """
    place = Path(model_output_dir)
    found = find_weights(place)
    checkpoint = read_checkpoint(found.path, allow_pickle=allow_pickle)
    if model_class is None:
        check_no_adapter(checkpoint)
    if module is not None and not any(is_below(name, module) for name in checkpoint.weights):
        raise ArgumentError("module", f"{readable(found.path.name)} has no weights of {module!r}")
    config = read_json(found.path.parent / "config.json")
    timms = timm_config(config)
    processor = read_json(found.path.parent / "preprocessor_config.json")
    description = reduce(
        Description.otherwise,
        (timms.description, description_of_processor(processor), from_settings(config)),
        checkpoint.description,
    )
    note = f" ({found.note})" if found.note else ""
    loading = _Loading(
        place,
        checkpoint,
        timms,
        description,
        module or description.module,
        crop_size,
        allow_pickle,
        f"{readable(found.path.name)}{note}",
    )
    if model_class is not None:
        return loading.of_builder(model_class)
    if checkpoint.model is not None:
        return loading.of_pickle(checkpoint.model)
    if model_name is None and timms.architecture is None and "model_type" in config:
        return loading.of_transformers(config)
    if model_name is not None:
        return loading.of_timm(model_name)
    return loading.as_described()


@dataclass(frozen=True)
class _Loading:
    """What the ways to load a model share."""

    place: Path
    checkpoint: Checkpoint
    config: TimmConfig
    description: Description
    module: str | None
    crop_size: int | None
    trusted: bool
    source: str

    def of_builder(self, path: str) -> TrainedModel:
        """A class or function that the user names."""
        build = own_builder(path)

        def built(known: Mapping[str, int]) -> torch.nn.Module:
            return build_own(build, self.checkpoint, trusted=self.trusted, **known)

        model = built({})

        def load(place: str) -> torch.nn.Module:
            found, network = weights_below(self.checkpoint, place), model
            known: dict[str, int] = {}
            for side in [] if self.crop_size is None else [{n: self.crop_size} for n in SIDES]:
                if differing_shapes(network, found) and takes(build, *side):
                    with suppress(ArgumentError):  # where any argument may be given, and no such
                        network, known = built(side), side
            heads = [found[key].shape[:1] for key in differing_shapes(network, found)]
            if len(set(heads)) == 1 and takes(build, "num_classes"):
                network = built({**known, "num_classes": int(heads[0][0])})  # the weights rule
            load_weights(network, path, self.checkpoint, place)
            return network

        return self._described(path, f"class {path}", *self._placed([*model.state_dict()], load))

    def of_pickle(self, model: torch.nn.Module) -> TrainedModel:
        """A whole pickled model."""
        return self._described(type(model).__name__, "a pickled model", model)

    def of_transformers(self, config: Mapping[str, Any]) -> TrainedModel:
        """A network that transformers builds."""
        network = build_transformers(config, self.checkpoint)
        return self._described(type(network).__name__, "architecture from config.json", network)

    def of_timm(self, model_name: str | None = None, **guessed: str) -> TrainedModel:
        """A timm architecture."""
        name, origin = known_architecture(self._candidates(model_name), self._hint())
        known = self.checkpoint.description.size
        side = known[0] if known is not None and known[0] == known[1] else None

        def load(place: str) -> tuple[Any, int]:
            network, channels = build_architecture(
                name, self.config, self.checkpoint, self.crop_size or side, place
            )
            load_weights(network, name, self.checkpoint, place)
            return network, channels

        (network, channels), place = self._placed(ends_of(name), load)
        if self.module is not None and not is_below(place, self.module):
            file = readable(self.checkpoint.path.name)
            raise ArgumentError("module", f"{file} has no {name} in {self.module!r}")
        left_out = ", ".join(map(readable, self.config.left_out))
        without = f", without model_args {left_out}" if left_out else ""
        return TrainedModel(
            network,
            name,
            f"{self.source}{_below(place)}, architecture from {origin}{without}",
            channels,
            network.num_classes,
            self.description,
            takes_one_size(network),
            self.checkpoint.step,
            guessed,
            say_others(self.source, self.checkpoint, place, [*network.state_dict()]),
        )

    def as_described(self) -> TrainedModel:
        """What the checkpoint says, of which no code is ever imported.

        A LightningModule that is the classifier itself may do more than the network inside it. A
        network in an attribute needs no class.
        """
        path, network = self.description.module_class, self.description.architecture
        if path is None or (self.module is not None and network is not None):
            return self.of_timm()
        if network is None:
            raise ArgumentError(
                "model_class",
                f"the checkpoint is of {path}, and no code is imported on a file's word; "
                f"give --model_class {path} if it is yours",
            )
        return self.of_timm(
            forward=f"that of {network} alone, since no code is imported on a file's word; "
            f"--model_class {path} runs its own"
        )

    def _placed(self, keys: Sequence[str], load: Callable[[str], Loaded]) -> tuple[Loaded, str]:
        """Returns what loads from the likeliest place in the file that fits, and that place.

        Raises:
            ArgumentError: If none fits, of the likeliest.
        """
        failure: ArgumentError | None = None
        for place in places_of(self.checkpoint.weights, keys, self.module):
            try:
                return load(place), place
            except ArgumentError as error:
                failure = failure or error
        assert failure is not None
        raise failure

    def _described(
        self, name: str, origin: str, model: torch.nn.Module, place: str | None = None
    ) -> TrainedModel:
        notes = []
        if place is not None:
            notes = say_others(self.source, self.checkpoint, place, [*model.state_dict()])
        if self.module is not None and not is_below(place or "", self.module):
            with blaming("module", f"{name} has no module {self.module!r}"):
                model = model.get_submodule(self.module)
        channels = _channels(model) or self.description.channels or 3
        return TrainedModel(
            model,
            name,
            f"{self.source}{_below(place)}, {origin}",
            channels,
            description=self.description,
            step=self.checkpoint.step,
            notes=notes,
        )

    def _candidates(self, model_name: str | None) -> list[tuple[str, str]]:
        """Names that may be the architecture's, and who says each, the surest first."""
        if model_name is not None:
            return [(model_name, "--model_name")]
        if self.config.architecture is not None:
            return [(self.config.architecture, "config.json")]
        file = self.checkpoint.path
        folder = file.parent if self.place.is_file() else self.place
        candidates = [(folder.resolve().name, "the directory's name")]
        if self.description.architecture is not None:
            candidates.insert(0, (self.description.architecture, "the checkpoint"))
        if self.place.is_file():
            candidates.append((file.name.split(".")[0], "the file's name"))
        return candidates

    def _hint(self) -> str:
        path = self.description.module_class
        return "" if path is None else f" (the checkpoint is of {path})"


def _below(place: str | None) -> str:
    return f", weights below {readable(place)!r}" if place else ""


def _channels(model: torch.nn.Module) -> int | None:
    """Input channels of any module: its first convolution's."""
    convolutions = (part for part in model.modules() if isinstance(part, torch.nn.Conv2d))
    return next((part.in_channels for part in convolutions), None)
