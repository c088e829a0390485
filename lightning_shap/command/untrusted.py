"""Text, errors, paths and values from outside: shown safely, named by argument, checked.

Checkpoints, configurations, images and modules of other people may hold anything, and the libraries
that read them raise anything. So whatever is read stands in :func:`blame`, whatever is shown goes
through :func:`clean`, and whatever a file states goes through a function that returns None for
an impossible value.
"""

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lightning_shap.errors import MOST_SIDE, ArgumentError, escape

MAX_ITEMS = 2**16
MAX_DEPTH = 4
MOST_BYTES = 2**24  # of a JSON file
MOST_TEXT = 300
NAME = re.compile(r"[\w.+-]{1,100}", re.ASCII)


def clean(text: object, most: int = MOST_TEXT) -> str:
    """Returns a text that every terminal and font can show, on one line and not too long."""
    words = " ".join(str(text).split())
    return escape(words if len(words) <= most else f"{words[: most - 1]}…")


def list_few(items: Sequence[object], most: int = 5) -> str:
    """Returns the first of some names."""
    listed = ", ".join(clean(item, 60) for item in items[:most])
    return f"{listed}, …" if len(items) > most else listed


@contextmanager
def blame(argument: str, what: str) -> Iterator[None]:
    """Names the argument that brought an error.

    Args:
        argument: Its name.
        what: A sentence to which the error's own words are appended.

    Raises:
        ArgumentError: For whatever is raised inside, ``sys.exit`` in an imported module included.
    """
    try:
        yield
    except ArgumentError:
        raise
    except (Exception, SystemExit) as error:
        raise ArgumentError(argument, f"{what} ({describe_error(error)})") from error


def describe_error(error: BaseException) -> str:
    """Returns an error in a few words."""
    text = str(getattr(error, "strerror", None) or error).strip()
    if not text or isinstance(error, (KeyError, SystemExit)):  # whose text alone says little
        text = f"{type(error).__name__} {text}".strip()
    return clean(text)


def find_path(argument: str, path: str, wanted: str) -> Path:
    """Returns a path that is there.

    Args:
        argument: Its name, for the error.
        path: As given.
        wanted: Says in the error what to give instead.

    Raises:
        ArgumentError: If it is not there, or no path at all.
    """
    place = Path(path)
    try:
        place.stat()
    except (OSError, ValueError) as error:  # a ValueError for characters that no path has
        missing = isinstance(error, (FileNotFoundError, NotADirectoryError))
        why = "" if missing else f" that can be read ({describe_error(error)})"
        raise ArgumentError(argument, f"there is no {clean(repr(path))}{why}; {wanted}") from error
    return place


def read_json(path: Path) -> dict[str, Any]:
    """Returns the named values of a JSON file beside the weights; none where there is no file.

    Raises:
        ArgumentError: If it cannot be read.
    """
    if not path.is_file():
        return {}
    with blame("model_output_dir", f"{clean(path.name)} cannot be read"):
        if path.stat().st_size > MOST_BYTES:
            raise ValueError(f"it has more than {MOST_BYTES >> 20} MiB")
        return read_mapping(json.loads(path.read_text(encoding="utf-8")))


# --- checked values ------------------------------------------------------------------------------


def read_mapping(value: Any) -> dict[str, Any]:
    """Returns names and values; none of a value that is no mapping."""
    if not isinstance(value, Mapping):
        return {}
    return {name: value[name] for name in value if isinstance(name, str)}


def read_word(value: Any) -> str | None:
    """Returns a short text in one line."""
    return clean(value) if isinstance(value, str) and value.strip() else None


def read_choice(value: Any, choices: Sequence[str]) -> str | None:
    """Returns one of a few words."""
    return value if isinstance(value, str) and value in choices else None


def read_list(value: Any, read: Callable[[Any], Any]) -> list[Any] | None:
    """Returns values that are each read by a function, one after the other."""
    if not isinstance(value, (list, tuple)) or not 0 < len(value) <= MAX_ITEMS:
        return None
    found = [read(item) for item in value]
    return None if None in found else found


def read_words(value: Any) -> list[str] | None:
    """Returns short texts, one after the other."""
    return read_list(value, lambda item: clean(item) if isinstance(item, (str, int)) else None)


def read_whole(value: Any, most: int = MOST_SIDE, least: int = 1) -> int | None:
    """Returns a whole number within its bounds."""
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if least <= value <= most else None


def read_wholes(value: Any, most: int = MOST_SIDE, least: int = 1) -> list[int] | None:
    """Returns whole numbers within their bounds, one after the other."""
    return read_list(value, lambda item: read_whole(item, most, least))


def read_number(value: Any) -> float | None:
    """Returns a finite number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or abs(value) > 1e9:
        return None
    return float(value) if math.isfinite(value) else None


def read_numbers(value: Any) -> tuple[float, ...] | None:
    """Returns finite numbers, from one or several or a small tensor."""
    if hasattr(value, "numel") and value.numel() <= MAX_ITEMS:
        value = value.flatten().tolist()
    found = read_list(value if isinstance(value, (list, tuple)) else [value], read_number)
    return None if found is None else tuple(found)


def is_plain(
    value: Any, *, names: bool = True, most: float = math.inf, depth: int = MAX_DEPTH
) -> bool:
    """Returns True for a number up to a bound, a switch, a name if these will do, or a few of them.

    A name has no slash and no colon: it can be neither a path nor an address.
    """
    if value is None or isinstance(value, (bool, int, float)):
        return value is None or abs(value) <= most
    if isinstance(value, str):
        return names and NAME.fullmatch(value) is not None
    if depth == 0 or not isinstance(value, (list, tuple, Mapping)) or len(value) > MAX_ITEMS:
        return False
    if isinstance(value, Mapping):
        if not all(isinstance(name, str) for name in value):
            return False
        value = [*value.values()]
    return all(is_plain(item, names=names, most=most, depth=depth - 1) for item in value)
