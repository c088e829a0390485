"""What comes from outside: errors get a name, text becomes readable, values are checked.

Checkpoints, configurations, images and the modules of others may hold anything, and the libraries
that read them raise anything. One rule each keeps that out of the rest of the command: whatever is
read stands in :func:`blaming`, whatever is shown goes through :func:`readable`, and whatever a file
says of itself goes through a function that returns None for what it cannot be.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from lightning_shap.command.text import readable
from lightning_shap.errors import MOST_SIDE, ArgumentError

MAX_ITEMS = 2**16
MAX_DEPTH = 4
MOST_BYTES = 2**24  # of a JSON file
SMALL_BYTES = 2**22  # as much may be one element that is repeated
NAME = re.compile(r"[\w.+-]{1,100}", re.ASCII)


@contextmanager
def blaming(argument: str, what: str) -> Iterator[None]:
    """Say of any error which argument brought it.

    Args:
        argument: Its name.
        what: What happened, which the error's own words are appended to.

    Raises:
        ArgumentError: For whatever is raised inside, ``sys.exit`` in a module of others included.
    """
    try:
        yield
    except ArgumentError:
        raise
    except (Exception, SystemExit) as error:
        raise ArgumentError(argument, f"{what} ({reason(error)})") from error


def reason(error: BaseException) -> str:
    """An error in a few words."""
    text = str(getattr(error, "strerror", None) or error).strip()
    if not text or isinstance(error, (KeyError, SystemExit)):  # whose text alone says little
        text = f"{type(error).__name__} {text}".strip()
    return readable(text)


def existing(argument: str, path: str, wanted: str) -> Path:
    """A path that is there.

    Args:
        argument: Which says the path.
        path: As given.
        wanted: What to give instead of one that is not.

    Raises:
        ArgumentError: If it is not there, or no path at all.
    """
    place = Path(path)
    try:
        place.stat()
    except (OSError, ValueError) as error:  # a ValueError for characters that no path has
        missing = isinstance(error, (FileNotFoundError, NotADirectoryError))
        why = "" if missing else f" that can be read ({reason(error)})"
        raise ArgumentError(
            argument, f"there is no {readable(repr(path))}{why}; {wanted}"
        ) from error
    return place


def read_json(path: Path) -> dict[str, Any]:
    """Returns what a JSON file beside the weights says by name; nothing where there is none.

    Raises:
        ArgumentError: If it cannot be read.
    """
    if not path.is_file():
        return {}
    with blaming("model_output_dir", f"{readable(path.name)} cannot be read"):
        if path.stat().st_size > MOST_BYTES:
            raise ValueError(f"it has more than {MOST_BYTES >> 20} MiB")
        return mapping(json.loads(path.read_text(encoding="utf-8")))


# --- what a value can be -------------------------------------------------------------------------


def mapping(value: Any) -> dict[str, Any]:
    """Names and values; nothing for what is no mapping."""
    if not isinstance(value, Mapping):
        return {}
    return {name: value[name] for name in value if isinstance(name, str)}


def word(value: Any) -> str | None:
    """A short text in one line."""
    return readable(value) if isinstance(value, str) and value.strip() else None


def one_of(value: Any, choices: Sequence[str]) -> str | None:
    """One of a few words."""
    return value if isinstance(value, str) and value in choices else None


def words(value: Any) -> list[str] | None:
    """Texts, one after the other."""
    if not isinstance(value, (list, tuple)) or not 0 < len(value) <= MAX_ITEMS:
        return None
    found = [readable(item) for item in value if isinstance(item, (str, int))]
    return found if len(found) == len(value) else None


def whole(value: Any, most: int = MOST_SIDE, least: int = 1) -> int | None:
    """A whole number within its bounds."""
    if isinstance(value, torch.Tensor) and value.numel() == 1:
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if least <= value <= most else None


def number(value: Any) -> float | None:
    """A finite number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or abs(value) > 1e9:
        return None
    return float(value) if math.isfinite(value) else None


def numbers(value: Any) -> tuple[float, ...] | None:
    """Some finite numbers, or one."""
    if isinstance(value, torch.Tensor) and value.numel() <= MAX_ITEMS:
        value = value.flatten().tolist()
    items = value if isinstance(value, (list, tuple)) else [value]
    found = [number(item) for item in items[:MAX_ITEMS]]
    return None if not found or None in found else tuple(item for item in found if item is not None)


def is_plain(value: Any, *, names: bool = True, depth: int = MAX_DEPTH) -> bool:
    """Whether a value is a number, a switch, a name where these will do, or a few of them.

    A name has no slash and no colon: it can be neither a path nor an address.
    """
    if value is None or isinstance(value, (bool, int, float)):
        return True
    if isinstance(value, str):
        return names and NAME.fullmatch(value) is not None
    if depth == 0 or not isinstance(value, (list, tuple, Mapping)) or len(value) > MAX_ITEMS:
        return False
    if isinstance(value, Mapping):
        if not all(isinstance(name, str) for name in value):
            return False
        value = [*value.values()]
    return all(is_plain(item, names=names, depth=depth - 1) for item in value)


def is_stored(tensor: torch.Tensor) -> bool:
    """Whether a tensor of a file is an ordinary one, with as many elements as the file has."""
    if tensor.layout != torch.strided or tensor.device.type != "cpu" or tensor.is_quantized:
        return False
    return tensor.numel() * tensor.element_size() <= max(
        tensor.untyped_storage().nbytes(), SMALL_BYTES
    )


def largest(value: Any) -> float:
    """The largest number in a plain value."""
    if isinstance(value, Mapping):
        value = [*value.values()]
    if isinstance(value, (list, tuple)):
        return max(map(largest, value), default=0.0)
    return abs(value) if isinstance(value, (int, float)) else 0.0
