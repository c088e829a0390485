"""Loads a file of weights into a classifier that is ready to run."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import Any, TypeVar

import torch

from lightning_shap.command.model.architecture import (
    build_architecture,
    find_architecture,
    find_ends,
)
from lightning_shap.command.model.checkpoints import Checkpoint, read_checkpoint
from lightning_shap.command.model.custom_class import build_own, import_builder, takes
from lightning_shap.command.model.description import Description, read_settings
from lightning_shap.command.model.find import Weights
from lightning_shap.command.model.hugging_face import build_transformers, describe_processor
from lightning_shap.command.model.settings import TimmConfig, read_timm_config
from lightning_shap.command.model.weights import (
    check_no_adapter,
    compare_shapes,
    find_prefixes,
    is_below,
    load_weights,
    note_others,
    take_below,
)
from lightning_shap.command.untrusted import blame, clean, read_json
from lightning_shap.errors import ArgumentError

Loaded = TypeVar("Loaded")


@dataclass(frozen=True)
class TrainedModel:
    """A classifier with all that is known of it.

    Attributes:
        module: The classifier, on the CPU.
        name: Its architecture.
        source: The way it was loaded, in words.
        channels: Number of input channels.
        classes: Number of outputs, None where only a run would show it.
        description: That of its checkpoint, of it and its images.
        guessed: Guesses where nothing says for sure, by what they are about.
        notes: Sentences about it for the user.
    """

    module: torch.nn.Module
    name: str
    source: str
    channels: int
    classes: int | None = None
    description: Description = field(default_factory=Description)
    guessed: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[str] = ()


def load_model(
    weights: Weights,
    *,
    model_name: str | None = None,
    model_class: str | None = None,
    module: str | None = None,
    crop_size: int | None = None,
    allow_pickle: bool = False,
) -> TrainedModel:
    """Loads a trained classifier.

    Args:
        weights: A file, alone or in a directory of timm's, transformers' (both with
            ``config.json``) or Lightning's.
        model_name: timm architecture; where None, that of the checkpoint, of ``config.json`` or of
            the directory's base name.
        model_class: ``package.module.name`` of a LightningModule, a module or a function that
            returns one, which takes the checkpoint's hyper-parameters; instead of timm's.
        module: The attribute that is the classifier, or the name under which the file keeps the
            one of several; where None, that of the checkpoint.
        crop_size: Side of the images, for architectures that must know.
        allow_pickle: Trust the file: run the code that it asks for.

    Raises:
        ArgumentError: If the weights cannot be read, or do not fit the architecture.
    """
    path = weights.path
    checkpoint = read_checkpoint(path, allow_pickle=allow_pickle)
    check_no_adapter(checkpoint)
    if module is not None and not any(is_below(name, module) for name in checkpoint.weights):
        raise ArgumentError("module", f"{clean(path.name)} has no weights of {module!r}")
    config = read_json(path.parent / "config.json")
    timms = read_timm_config(config)
    processor = read_json(path.parent / "preprocessor_config.json")
    description = reduce(
        Description.complete,
        (timms.description, describe_processor(processor), read_settings(config)),
        checkpoint.description,
    )
    asked = module or description.module
    loading = _Loading(weights, checkpoint, timms, description, asked, crop_size)
    if model_class is not None:
        return loading.load_own(model_class, allow_pickle)
    if checkpoint.model is not None:
        return loading.wrap(checkpoint.model, "a pickled model")
    if model_name is not None:
        return loading.load_timm([(model_name, "--model_name")])
    if timms.architecture is None and "model_type" in config:
        network = build_transformers(config, checkpoint)
        return loading.wrap(network, "architecture from config.json")
    return loading.load_described()


@dataclass(frozen=True)
class _Loading:
    """Ways to load a model from the same file.

    Attributes:
        weights: The file.
        checkpoint: Its content.
        config: The ``config.json`` of timm's beside it.
        description: All that is said of the classifier.
        module: The attribute that is the classifier.
        crop_size: Side of the images, where the user gives it.
    """

    weights: Weights
    checkpoint: Checkpoint
    config: TimmConfig
    description: Description
    module: str | None
    crop_size: int | None

    def load_own(self, path: str, trusted: bool) -> TrainedModel:
        """Loads the weights into what a class or function of the user's builds."""
        build = import_builder(path)
        model = build_own(build, self.checkpoint, trusted=trusted)

        def load(place: str) -> torch.nn.Module:
            found, network = take_below(self.checkpoint, place), model
            heads = [found[key].shape[:1] for key in compare_shapes(network, found)]
            if len(set(heads)) == 1 and takes(build, "num_classes"):
                classes = int(heads[0][0])  # the weights rule
                network = build_own(build, self.checkpoint, trusted=trusted, num_classes=classes)
            load_weights(network, path, self.checkpoint, place)
            return network

        network, place = self._find_place([*model.state_dict()], load)
        return self.wrap(network, f"class {path}", place, path)

    def load_timm(self, candidates: Sequence[tuple[str, str]], **guessed: str) -> TrainedModel:
        """Loads the weights into a timm architecture.

        Args:
            candidates: Names that may be the architecture's, and who says each, the surest first.
            guessed: Guesses, by what they are about.
        """
        path = self.description.module_class
        hint = "" if path is None else f" (the checkpoint is of {path})"
        name, origin = find_architecture(candidates, hint)
        known = self.checkpoint.description.size
        side = known[0] if known is not None and known[0] == known[1] else None

        def load(place: str) -> tuple[Any, int]:
            network, channels = build_architecture(
                name, self.config, self.checkpoint, self.crop_size or side, place
            )
            load_weights(network, name, self.checkpoint, place)
            return network, channels

        (network, channels), place = self._find_place(find_ends(name), load)
        if self.module is not None and not is_below(place, self.module):
            file = clean(self.checkpoint.path.name)
            raise ArgumentError("module", f"{file} has no {name} in {self.module!r}")
        left_out = ", ".join(map(clean, self.config.left_out))
        without = f", without model_args {left_out}" if left_out else ""
        return self._describe(
            network,
            name,
            f"architecture from {origin}{without}",
            place,
            channels=channels,
            classes=network.num_classes,
            guessed=guessed,
        )

    def load_described(self) -> TrainedModel:
        """Loads the network that the checkpoint names, and imports no code on its word.

        A LightningModule that is the classifier itself may do more than the network inside it. A
        network in an attribute needs no class.
        """
        path, network = self.description.module_class, self.description.architecture
        if path is None or (self.module is not None and network is not None):
            return self.load_timm(self._list_candidates())
        if network is None:
            raise ArgumentError(
                "model_class",
                f"the checkpoint is of {path}, and no code is imported on a file's word; "
                f"give --model_class {path} if it is yours",
            )
        return self.load_timm(
            self._list_candidates(),
            forward=f"that of {network} alone, since no code is imported on a file's word; "
            f"--model_class {path} runs its own",
        )

    def wrap(
        self, model: torch.nn.Module, origin: str, place: str = "", name: str | None = None
    ) -> TrainedModel:
        """Returns a network that has its weights, or the classifier in an attribute of it."""
        name = name or type(model).__name__
        network = model
        if self.module is not None and not is_below(place, self.module):
            with blame("module", f"{name} has no module {self.module!r}"):
                network = model.get_submodule(self.module)
        convolutions = (part for part in network.modules() if isinstance(part, torch.nn.Conv2d))
        first = next((part.in_channels for part in convolutions), None)
        channels = first or self.description.channels or 3
        found = self._describe(model, name, origin, place, channels=channels)
        return replace(found, module=network)

    def _describe(
        self, network: torch.nn.Module, name: str, origin: str, place: str, **more: Any
    ) -> TrainedModel:
        note = f" ({self.weights.note})" if self.weights.note else ""
        file = f"{clean(self.weights.path.name)}{note}"
        below = f", weights below {clean(place)!r}" if place else ""
        return TrainedModel(
            network,
            name,
            f"{file}{below}, {origin}",
            description=self.description,
            notes=note_others(file, self.checkpoint, place, [*network.state_dict()]),
            **more,
        )

    def _find_place(self, keys: Sequence[str], load: Callable[[str], Loaded]) -> tuple[Loaded, str]:
        """Returns a network from the likeliest prefix in the file that fits, and that prefix.

        Raises:
            ArgumentError: If none fits, of the likeliest.
        """
        failures: list[ArgumentError] = []
        for place in find_prefixes(self.checkpoint.weights, keys, self.module):
            try:
                return load(place), place
            except ArgumentError as error:
                failures.append(error)
        raise failures[0]

    def _list_candidates(self) -> list[tuple[str, str]]:
        """Returns names that may be the architecture's, and who says each, the surest first."""
        if self.config.architecture is not None:
            return [(self.config.architecture, "config.json")]
        alone = self.weights.given.is_file()
        folder = self.weights.path.parent if alone else self.weights.given
        candidates = [(folder.resolve().name, "the directory's name")]
        if self.description.architecture is not None:
            candidates.insert(0, (self.description.architecture, "the checkpoint"))
        if alone:
            candidates.append((self.weights.path.name.split(".")[0], "the file's name"))
        return candidates
