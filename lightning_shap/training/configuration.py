"""Arguments as configuration files and command lines give them: numbers and switches in strings."""

import math
import sys
from collections.abc import Callable
from functools import wraps
from inspect import signature
from itertools import chain, repeat
from typing import Any, ParamSpec, get_args, get_type_hints

Parameters = ParamSpec("Parameters")


def configurable(init: Callable[Parameters, None]) -> Callable[Parameters, None]:
    """Lets a constructor take its arguments as configuration files and command lines give them.

    An argument that may be a number takes one in a string, such as ``"0.5"``, alone or in a list;
    one that is a switch takes ``"true"`` and ``"false"``. Lists and dictionaries of OmegaConf, and
    so of Hydra, become plain ones. All else is passed on as it is, to be checked.

    Args:
        init: The constructor. Its annotations say which arguments may be numbers or switches.
    """
    hints = get_type_hints(init)
    names = tuple(signature(init).parameters)

    @wraps(init)
    def read(*args: Parameters.args, **kwargs: Parameters.kwargs) -> None:
        given = zip(chain(names, repeat("")), args, strict=False)
        plain = (_as_read(value, hints.get(name)) for name, value in given)
        named = {name: _as_read(value, hints.get(name)) for name, value in kwargs.items()}
        init(*plain, **named)

    return read


def _as_read(value: Any, hint: Any) -> Any:
    omegaconf = sys.modules.get("omegaconf")
    if omegaconf is not None and omegaconf.OmegaConf.is_config(value):
        value = omegaconf.OmegaConf.to_container(value, resolve=True)
    if type(value) is list:
        return [_as_read(item, hint) for item in value]
    if not isinstance(value, str):
        return value
    if hint is bool:
        return {"true": True, "false": False}.get(value.strip().lower(), value)
    return _number_in(value) if _may_be_a_number(hint) else value


def _number_in(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            number = kind(text)
        except ValueError:
            continue
        if math.isfinite(number):
            return number
    return text


def _may_be_a_number(hint: Any) -> bool:
    """Whether a type is a number's, or has one in it: of a union, of a list."""
    return hint in (int, float) or any(map(_may_be_a_number, get_args(hint)))
