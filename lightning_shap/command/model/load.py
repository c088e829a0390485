"""Models: a directory or a file of weights to a classifier that is ready to run."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch

from lightning_shap.command.model.architecture import (
    build_architecture,
    known_architecture,
    takes_one_size,
)
from lightning_shap.command.model.checkpoints import Checkpoint, read_checkpoint
from lightning_shap.command.model.custom_class import build_own_class, own_class
from lightning_shap.command.model.description import Description
from lightning_shap.command.model.find import find_weights
from lightning_shap.command.model.importable import check_importable, is_lightning_module
from lightning_shap.command.model.timm_config import TimmConfig, timm_config
from lightning_shap.command.model.weights import load_weights
from lightning_shap.command.text import readable
from lightning_shap.command.untrusted import blaming
from lightning_shap.errors import ArgumentError


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
        model_output_dir: A directory with ``best_model.pth`` or other weights, timm's own (with
            ``config.json``) and Lightning's among them, or a file of weights.
        model_name: timm architecture; where None, what the checkpoint, the directory's
            ``config.json`` or its base name say.
        model_class: ``package.module.Class``, a LightningModule or module that takes the
            checkpoint's hyper-parameters; instead of a timm architecture.
        module: The attribute that is the classifier; where None, what the checkpoint says.
        crop_size: Side of the images, for architectures that must know.
        allow_pickle: Trust the file: run the code that it asks for.

    Raises:
        ArgumentError: If there are no weights, they cannot be read, or do not fit the architecture.
    """
    place = Path(model_output_dir)
    found = find_weights(place)
    checkpoint = read_checkpoint(found.path, allow_pickle=allow_pickle)
    config = timm_config(found.path.parent)
    description = checkpoint.description.otherwise(config.description)
    notes = ", ".join(note for note in (found.note, checkpoint.note) if note)
    source = f"{readable(found.path.name)} ({notes})" if notes else readable(found.path.name)
    loading = _Loading(
        place,
        checkpoint,
        config,
        description,
        module or description.module,
        crop_size,
        allow_pickle,
        source,
    )
    if model_class is not None:
        return loading.of_class(model_class)
    if checkpoint.model is not None:
        return loading.of_pickle(checkpoint.model)
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

    def of_class(self, path: str) -> TrainedModel:
        """A class that the user names."""
        return self._of_kind(own_class(path), path)

    def of_pickle(self, model: torch.nn.Module) -> TrainedModel:
        """A whole pickled model."""
        return self._described(model, type(model).__name__, self.source)

    def of_timm(self, model_name: str | None = None, **guessed: str) -> TrainedModel:
        """A timm architecture."""
        name, origin = known_architecture(self._candidates(model_name), self._hint())
        known = self.checkpoint.description.size
        side = known[0] if known is not None and known[0] == known[1] else None
        network, channels = build_architecture(
            name, self.config, self.checkpoint, self.crop_size or side, self.module
        )
        prefix = load_weights(network, name, self.checkpoint, self.module)
        below = f", weights below {prefix!r}" if prefix else ""
        without = (
            f", without model_args {', '.join(map(readable, self.config.left_out))}"
            if self.config.left_out
            else ""
        )
        return TrainedModel(
            network,
            name,
            f"{self.source}{below}, architecture from {origin}{without}",
            channels,
            network.num_classes,
            self.description,
            takes_one_size(network),
            self.checkpoint.step,
            guessed,
        )

    def as_described(self) -> TrainedModel:
        """What the checkpoint says, as far as no code of its choice is run.

        A LightningModule that is the classifier itself may do more than the network inside it, so
        its own class comes first where that can be had. A network in an attribute needs no class.
        """
        path, network = self.description.module_class, self.description.architecture
        if path is None or (self.module is not None and network is not None):
            return self.of_timm()
        try:
            if self.description.from_script:
                raise ArgumentError("model_class", "to import a script would run it")
            check_importable(path)
            kind = own_class(path)
            if not is_lightning_module(kind):
                raise ArgumentError("model_class", f"{path} is no LightningModule")
            return self._of_kind(kind, path)
        except ArgumentError as error:
            if network is None:
                raise ArgumentError(
                    "model_class",
                    f"the checkpoint is of {path}, which was not used ({error.problem}); "
                    f"give --model_class {path} where it can be",
                ) from error
            return self.of_timm(
                forward=f"that of {network} alone, since {path} was not used ({error.problem}); "
                f"--model_class {path} runs its own"
            )

    def _of_kind(self, kind: type[torch.nn.Module], path: str) -> TrainedModel:
        model = build_own_class(kind, self.checkpoint, trusted=self.trusted)
        load_weights(model, path, self.checkpoint)
        return self._described(model, path, f"{self.source}, class {path}")

    def _described(self, model: torch.nn.Module, name: str, source: str) -> TrainedModel:
        if self.module is not None:
            with blaming("module", f"{name} has no module {self.module!r}"):
                model = model.get_submodule(self.module)
        channels = _channels(model) or self.description.channels or 3
        return TrainedModel(
            model, name, source, channels, description=self.description, step=self.checkpoint.step
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


def _channels(model: torch.nn.Module) -> int | None:
    """Input channels of any module: its first convolution's."""
    convolutions = (part for part in model.modules() if isinstance(part, torch.nn.Conv2d))
    return next((part.in_channels for part in convolutions), None)
