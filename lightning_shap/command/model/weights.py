"""Loads weights into a network, wherever in a file they are.

A file may hold them under any name, in mappings of mappings and behind the prefixes of wrappers,
and several networks beside each other. The network knows the names of its own weights: the prefix
before these in the file is the place.
"""

import re
from collections.abc import Mapping, Sequence

import torch

from lightning_shap.command.model.checkpoints import Checkpoint, refuse
from lightning_shap.command.untrusted import blame, clean, list_few
from lightning_shap.errors import ArgumentError

AVERAGED = {"ema", "swa", "avg", "average", "averaged"}  # words of names, whose weights come first
ADAPTER = re.compile(r"(^|\.)lora_")  # in the names of peft's weights and others'
MOST_PLACES = 8  # that are tried


def find_prefixes(
    weights: Mapping[str, torch.Tensor], keys: Sequence[str], module: str | None = None
) -> list[str]:
    """Returns the prefixes below which a network may be, the likeliest first.

    Those with the most of its keys: if any are below the wanted attribute these alone, else the
    averaged weights first; then the shortest, then the first in the file.

    Args:
        weights: By their names in the file.
        keys: Names of the network's own, of which the first two tell the places.
        module: The attribute that is wanted.
    """
    starts = [name.removesuffix(key) for key in keys[:2] for name in weights if name.endswith(key)]
    counts = {
        start: sum(start + key in weights for key in keys)
        for start in dict.fromkeys(starts)
        if not start or start.endswith(".")
    }
    best = [start for start, count in counts.items() if count == max(counts.values())]
    wanted = [start for start in best if module is not None and is_below(start, module)]
    averaged_first = [] if wanted else [start for start in best if _is_averaged(start)]
    ranked = [*sorted(averaged_first, key=len), *sorted(wanted or best, key=len)]
    return [*dict.fromkeys(ranked)][:MOST_PLACES] or [""]


def is_below(name: str, module: str) -> bool:
    """Returns True for a name in a file, or a prefix, that belongs to an attribute."""
    return f".{module}." in f".{name}"


def load_weights(network: torch.nn.Module, name: str, checkpoint: Checkpoint, place: str) -> None:
    """Puts the weights below a prefix into a network.

    Raises:
        ArgumentError: If they are another architecture's, saying which and how many keys differ.
    """
    expected = network.state_dict()
    if not expected:
        raise ArgumentError("model_class", f"{name} has no weights; give the trained classifier")
    found = take_below(checkpoint, place)
    missing = [key for key in expected if key not in found]
    # Older files hold index tables that newer architectures compute.
    extra = [key for key in found if key not in expected and found[key].is_floating_point()]
    shapes = compare_shapes(network, found)
    if differing := [*missing, *extra, *shapes]:
        refuse(
            checkpoint.path,
            f"holds weights of another architecture than {name}: {len(differing)} keys differ "
            f"({len(missing)} of {len(expected)} are missing, {len(extra)} are unknown, "
            f"{len(shapes)} have another shape: {list_few(differing, 3)}); "
            "give the right one as --model_name or --model_class, or the --crop_size of training",
        )
    with blame("model_output_dir", f"the weights do not fit {name}"):
        network.load_state_dict({key: found[key] for key in expected})


def check_no_adapter(checkpoint: Checkpoint) -> None:
    """Makes sure that a file's weights are a network's, and not changes to those of one.

    Raises:
        ArgumentError: If they are changes.
    """
    if changes := [name for name in checkpoint.weights if ADAPTER.search(name)]:
        refuse(
            checkpoint.path,
            f"holds LoRA's changes to a network's weights ({list_few(changes, 1)}); save the "
            "merged model instead, with peft "
            "torch.save(model.merge_and_unload().state_dict(), 'best_model.pth')",
        )


def take_below(checkpoint: Checkpoint, place: str) -> dict[str, torch.Tensor]:
    """Returns the weights below a prefix, by their names without it."""
    named = checkpoint.weights.items()
    return {name.removeprefix(place): value for name, value in named if name.startswith(place)}


def compare_shapes(network: torch.nn.Module, found: Mapping[str, torch.Tensor]) -> list[str]:
    """Returns the keys that a network and some weights share, and whose shapes differ."""
    own = network.state_dict()
    return [key for key in own if key in found and own[key].shape != found[key].shape]


def note_others(source: str, checkpoint: Checkpoint, place: str, keys: Sequence[str]) -> list[str]:
    """Returns a sentence about other weights for the same network in a file, or none.

    Args:
        source: The file, in words.
        checkpoint: The file's.
        place: Of the network that is taken.
        keys: Names of its weights.
    """
    weights = checkpoint.weights
    whole = [
        start
        for start in (place, *find_prefixes(weights, keys))
        if all(start + key in weights for key in keys)
    ]
    others = [
        start
        for start in whole
        if any(not torch.equal(weights[start + key], weights[whole[0] + key]) for key in keys)
    ]
    if not others:
        return []
    attribute = others[0].removesuffix(".").rpartition(".")[2]
    return [
        f"{source} holds several networks: that below {clean(place)!r} is explained, not that "
        f"below {list_few([repr(start) for start in others])}; --module {clean(attribute)} takes "
        "the other"
    ]


def _is_averaged(start: str) -> bool:
    return not AVERAGED.isdisjoint(re.split(r"[._]", start.lower()))
