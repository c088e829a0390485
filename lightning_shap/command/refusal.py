"""What a flag takes, in words: a refused value is answered with what would do."""

import re
from collections.abc import Mapping
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from lightning_shap.engine.methods.registry import REMOVED

KINDS: Mapping[Any, tuple[str, str]] = {
    int: ("a whole number", "whole numbers"),
    float: ("a number", "numbers"),
    str: ("a text", "texts"),
    bool: ("true or false", "switches"),
}


def refusal(message: str, types: Mapping[str, Any]) -> str:
    """What jsonargparse says of a value that does not fit its type, as the engine would say it.

    Args:
        message: Its own words, which list Python's types. Other messages are left as they are.
        types: Of each flag.
    """
    found = re.match(r'Parser key "(\w+)"[^:]*:\s*(.*)', message.strip(), re.DOTALL)
    if found is None or found[1] not in types:
        return message
    name, problem = found.groups()
    given = re.findall(r"(?:Given|Got) value: (.*)", problem)
    if not given:
        return f"{name}: {problem}"
    value = given[-1].strip().strip("'\"")
    if name == "method" and value in REMOVED:
        return f"method: {value!r} {REMOVED[value]}"
    return f"{name}: got {value!r}; give {in_words(types[name])}"


def in_words(kind: Any) -> str:
    """What a type stands for, such as ``"'all' or a whole number"``."""
    parts = [part for part in _alternatives(kind) if part is not NoneType]
    words = [word for part in parts for word in _words(part)]
    *first, last = dict.fromkeys(words)
    return f"{', '.join(first)} or {last}" if first else last


def _alternatives(kind: Any) -> tuple[Any, ...]:
    return get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)


def _words(kind: Any) -> list[str]:
    origin, parts = get_origin(kind), get_args(kind)
    if origin is Literal:
        return [repr(part) for part in parts]
    if origin is list:
        return [f"a list of {KINDS[parts[0]][1]}"]
    if origin is tuple:
        return [f"{len(parts)} {KINDS[parts[0]][1]}"]
    return [KINDS[kind][0]]
