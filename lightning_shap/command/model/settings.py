"""Settings of a network that a file may make: ``config.json`` of timm's, and hyper-parameters.

The file may come from anywhere, and whatever it says is passed on: also where to fetch weights
from, and where to put them. One rule for all of it: numbers, switches and plain names pass, unless
the name of the setting is one of fetching or of places.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lightning_shap.command.model.description import Description, read_settings
from lightning_shap.command.untrusted import is_plain, read_mapping, read_word, read_words
from lightning_shap.errors import MOST_SIDE

# Words in the names of arguments that fetch weights. The checkpoint has them already.
FETCHING = {"pretrained", "weights", "checkpoint", "ckpt", "download", "hub"}
# Words in the names of timm's arguments that are words themselves; all others are numbers.
NAMED = {"layer", "type", "pool", "init", "embed"}
# Words in the names of arguments that say where things are, which is not for a file to say.
PLACES = {"cache", "dir", "directory", "file", "folder", "path", "root", "url", "uri", "token"}


@dataclass(frozen=True)
class TimmConfig:
    """The content of the ``config.json`` beside timm's own weights.

    Attributes:
        architecture: Its name.
        arguments: Of the network.
        left_out: Names of arguments that no file may set.
        description: Of its images and classes.
    """

    architecture: str | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    left_out: Sequence[str] = ()
    description: Description = field(default_factory=Description)


def read_timm_config(config: Mapping[str, Any]) -> TimmConfig:
    """Returns the content of a ``config.json``, if it is timm's.

    Args:
        config: Its content, empty where there is none.
    """
    if "architecture" not in config:  # other libraries have a config.json, too
        return TimmConfig()
    asked = read_mapping(config.get("model_args"))
    pool = {"global_pool": config["global_pool"]} if "global_pool" in config else {}
    arguments = {
        name: value
        for name, value in (pool | asked).items()
        if is_harmless(name, value)
        and is_plain(value, names=bool(NAMED & _split(name)), most=MOST_SIDE)
        and not FETCHING & _split(name)
    }
    images = read_settings(read_mapping(config.get("pretrained_cfg")))
    names = read_words(config.get("label_names"))
    return TimmConfig(
        read_word(config["architecture"]) or "",
        arguments,
        sorted(asked.keys() - arguments.keys()),
        Description(class_names=names).complete(images),
    )


def fetches(name: str, value: Any) -> bool:
    """Returns True for an argument that would fetch weights, which the checkpoint holds already."""
    return bool(FETCHING & _split(name)) and isinstance(value, (bool, str))


def is_harmless(name: str, value: Any) -> bool:
    """Returns True for an argument that a file may set: numbers, switches and names, no places."""
    if not is_plain(value):
        return False
    if isinstance(value, Mapping):
        return all(is_harmless(key, value[key]) for key in value)
    return not (isinstance(value, str) and PLACES & _split(name))


def _split(name: str) -> set[str]:
    return {*name.lower().split("_")}
