"""Reads a file of weights into a state dict, and runs nothing that the file says."""

import argparse
import pickle
import re
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, NoReturn

import torch

from lightning_shap.command.model.description import Description, describe_checkpoint, is_stored
from lightning_shap.command.untrusted import blame, clean, list_few, read_mapping
from lightning_shap.errors import ArgumentError

MOST_NESTED = 8
COMPILED = "_orig_mod."  # torch.compile puts it before the names of whatever it compiles
MOST_WEIGHTS = 50_000
MOST_UNPACKED = 2**28  # bytes that a file may unpack to, however small it is


@dataclass(frozen=True)
class Checkpoint:
    """The content of a file of weights.

    Attributes:
        path: The file.
        weights: All tensors that stand under names, in mappings of mappings: their names, joined by
            dots, and they.
        hyper_parameters: The arguments of the LightningModule, as its training saved them.
        description: Of the classifier and its images.
        model: The model itself where the file holds a whole pickled one.
    """

    path: Path
    weights: Mapping[str, torch.Tensor]
    hyper_parameters: Mapping[str, Any] = field(default_factory=dict)
    description: Description = field(default_factory=Description)
    model: torch.nn.Module | None = None


def read_checkpoint(path: Path, *, allow_pickle: bool = False) -> Checkpoint:
    """Reads a file of weights.

    Args:
        path: ``.safetensors``, or anything that ``torch.save`` wrote.
        allow_pickle: Run the code that a pickle asks for. Only ever for files of your own.

    Raises:
        ArgumentError: If the file is damaged, holds no weights, or asks for code to be run.
    """
    name = clean(path.name)
    with blame("model_output_dir", f"cannot read {name}"):
        path.open("rb").close()
    with blame(
        "model_output_dir",
        f"{name} is damaged, not written by torch.save, or of code that is not here",
    ):
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return Checkpoint(path, _check_sizes(path, load_file(path)))
        check_unpacked(path)
        return _unwrap(path, _load(path, allow_pickle))


def refuse(path: Path, problem: str) -> NoReturn:
    """Refuses a file of weights.

    Raises:
        ArgumentError: Always.
    """
    raise ArgumentError("model_output_dir", f"{clean(path.name)} {problem}")


def check_unpacked(path: Path) -> None:
    """Refuses a file that unpacks to many times its size; ``torch.save`` compresses nothing.

    Raises:
        ArgumentError: If it does, by the sizes that it states.
    """
    with path.open("rb") as file:
        packed = file.read(2) == b"PK"
    if not packed or not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
    stated = sum(entry.file_size for entry in entries)
    if len(entries) > MOST_WEIGHTS or stated > max(2 * path.stat().st_size, MOST_UNPACKED):
        refuse(
            path,
            f"has {path.stat().st_size / 2**20:.1f} MiB and unpacks to {stated / 2**30:.1f} GiB in "
            f"{len(entries)} parts, which no weights do; nothing was unpacked",
        )


def _load(path: Path, allow_pickle: bool) -> Any:
    try:
        # timm's training script keeps its arguments in a Namespace, which runs nothing.
        with torch.serialization.safe_globals([argparse.Namespace]):
            return torch.load(path, map_location="cpu", weights_only=not allow_pickle)
    except pickle.UnpicklingError as error:
        asked = re.search(r"GLOBAL (\S+)", str(error))
        if asked is None:
            raise
        refuse(
            path,
            f"asks for {clean(asked[1])} to be loaded, which weights alone never do; nothing "
            "was run. Save a state dict, or add --allow_pickle if the file is your own",
        )


def _unwrap(path: Path, content: Any) -> Checkpoint:
    """Returns the content of a checkpoint, whatever it is wrapped in."""
    if isinstance(content, torch.nn.Module):
        return Checkpoint(path, content.state_dict(), model=content)
    whole_file = read_mapping(content)
    found = dict(islice(_walk(whole_file, set()), MOST_WEIGHTS + 1))
    model = next((part for part in found.values() if isinstance(part, torch.nn.Module)), None)
    weights = {name: part for name, part in found.items() if isinstance(part, torch.Tensor)}
    if not weights and model is None:
        refuse(
            path,
            f"holds no weights but a {type(content).__name__} "
            f"({list_few([*whole_file], 6) or 'nothing by name'}); "
            "save {'model': model.state_dict()} or the state dict itself",
        )
    return Checkpoint(
        path,
        _check_sizes(path, weights),
        read_mapping(whole_file.get("hyper_parameters")),
        describe_checkpoint(whole_file),
        model,
    )


def _walk(
    content: Any, seen: set[int], start: str = "", nested: int = 0
) -> Iterator[tuple[str, torch.Tensor | torch.nn.Module]]:
    """Yields the tensors and modules that stand under names, each mapping's once."""
    if id(content) in seen or nested > MOST_NESTED:
        return
    seen.add(id(content))
    for name, part in content.items():
        if not isinstance(name, str):  # an optimiser's state, by number
            continue
        if isinstance(part, (torch.Tensor, torch.nn.Module)):
            yield f"{start}{name}".replace(COMPILED, ""), part
        elif isinstance(part, Mapping):
            yield from _walk(part, seen, f"{start}{name}.", nested + 1)


def _check_sizes(path: Path, weights: Mapping[str, torch.Tensor]) -> Mapping[str, torch.Tensor]:
    """Returns weights, once their stated sizes are those of the file."""
    if len(weights) > MOST_WEIGHTS:
        refuse(path, f"holds {len(weights)} weights, too many")
    unsound = [name for name, tensor in weights.items() if not is_stored(tensor)]
    if unsound:
        refuse(path, f"holds weights that are no plain tensors ({list_few(unsound)})")
    return weights
