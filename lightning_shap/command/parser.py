"""The parser: a command line and its ``--config`` files to options."""

import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields
from types import NoneType
from typing import Any, Literal, NoReturn, get_args, get_origin

import yaml
from jsonargparse import ArgumentParser, get_loader, set_loader

from lightning_shap import __version__
from lightning_shap.command.options import GROUPS, Options
from lightning_shap.command.untrusted import clean
from lightning_shap.engine.methods.registry import REMOVED
from lightning_shap.errors import ArgumentError, check_count

FLAGS = {field.name: field for group in GROUPS.values() for field in fields(group)}
LISTS = {name for name, field in FLAGS.items() if "list[" in str(field.type)}
ALONE = {name for name in LISTS if int in get_args(FLAGS[name].type)}  # one number is no list
SWITCHES = {name for name, field in FLAGS.items() if field.type is bool}

# The first word "summary" stands for more images, with fewer evaluations each.
SUMMARY = ("--summary", "--n_samples", "256", "--max_evals", "100")

MOST_TEXT = 2**20  # of a configuration, or of one value
MOST_NESTED = 8
PLAIN_YAML = "plain_yaml"
WORDS = {int: "whole number", float: "number", str: "text", bool: "true or false"}


def parse(arguments: Sequence[str]) -> Options:
    """Returns the options that a command line and its ``--config`` files ask for.

    Raises:
        ArgumentError: If a value is beyond its limits.
        SystemExit: With code 2 and a sentence on stderr; with 0 after ``--help`` and its like.
    """
    set_loader(PLAIN_YAML, _load_plain, exceptions=(yaml.YAMLError,))
    parser = _Parser(
        prog="lightning-shap",
        description="Explain a trained image classifier with SHAP.",
        epilog="Example: lightning-shap runs/resnet18 --dataset photographs --n_samples 4 --topk 4",
        parser_mode=PLAIN_YAML,
        version=__version__,
    )
    parser.add_argument("--config", action="config", help="YAML file of these options.")
    parser.add_argument(
        "--traceback", action="store_true", help="Show where in the code an error comes from."
    )
    parser.add_argument(
        "model", nargs="?", help="Directory of a trained model, or one file of weights."
    )
    for group in GROUPS.values():
        parser.add_class_arguments(group)
    _check_configurations(parser, arguments)
    given = parser.parse_args(_rewrite(arguments)).as_dict()
    if (place := given.pop("model")) is not None:
        if given["model_output_dir"] is not None:
            parser.error(f"unexpected {place!r}: --model_output_dir names the model already")
        given["model_output_dir"] = place
    if given["model_output_dir"] is None:
        parser.error("give the directory of a trained model, or its file of weights")
    _check_limits(given)
    groups = {
        name: group(**{field.name: given[field.name] for field in fields(group)})
        for name, group in GROUPS.items()
    }
    return Options(**groups)


class _Parser(ArgumentParser):
    """Answers a value that does not fit with one that would do, not with Python's types."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Ends the command with one sentence."""
        found = re.match(r'Parser key "(\w+)"[^:]*:\s*(.*)', message.strip(), re.DOTALL)
        if found is not None and found[1] in FLAGS:
            name, problem = found.groups()
            given = re.findall(r"(?:Given|Got) value: (.*)", problem)
            value = given[-1].strip().strip("'\"") if given else ""
            if name == "method" and value in REMOVED:
                problem = f"{value!r} {REMOVED[value]}"
            elif given:
                problem = f"got {value!r}; give {_describe(FLAGS[name].type)}"
            message = f"{name}: {problem}"
        print(f"lightning-shap: error: {clean(message, 2000)}", file=sys.stderr)
        sys.exit(2)


def _describe(kind: Any) -> str:
    """Returns a type in words, such as ``"'all' or a whole number"``."""
    origin, parts = get_origin(kind), [part for part in get_args(kind) if part is not NoneType]
    if origin is list:
        return f"a list of {WORDS[parts[0]]}s"
    if origin is tuple:
        return f"{len(parts)} {WORDS[parts[0]]}s"
    if not parts:
        return WORDS[kind] if kind is bool else f"a {WORDS[kind]}"
    *first, last = map(repr if origin is Literal else _describe, parts)
    return f"{', '.join(first)} or {last}" if first else last


def _rewrite(arguments: Sequence[str]) -> list[str]:
    """Returns short forms, ``summary``, ``--grayscale`` and ``--targets 1 2``, in jsonargparse's.

    Its own ``nargs`` would do for the words alone: with it, ``[1, 2]`` is a list in a list, and
    ``targets: 3`` in a configuration is an error.
    """
    if arguments[:1] == ["summary"]:
        arguments = [*SUMMARY, *arguments[1:]]  # later flags have the last say
    flags: list[list[str]] = []
    for word in arguments:
        if word.startswith("--") or not flags:
            flags.append([])
        flags[-1].append(word)
    words: list[str] = []
    for flag, *values in flags:
        name = flag.removeprefix("--")
        if name in SWITCHES and not values:
            words += [flag, "true"]
        elif name in ALONE and len(values) == 1:
            words += [flag, *values]
        elif name in LISTS and values and not values[0].startswith("["):
            words += [word for value in values for word in (f"{flag}+", value)]
        else:
            words += [flag, *values]
    return words


def _check_limits(given: Mapping[str, Any]) -> None:
    """Refuses values that cannot be meant, before anything is loaded for them.

    Raises:
        ArgumentError: If a text is empty, a number beyond its limits, or classes are chosen for a
            summary of all of them.
    """
    chosen = any(given[name] is not None for name in ("topk", "targets", "against"))
    if given["summary"] and chosen:
        raise ArgumentError(
            "summary",
            "explains each true class and the highest other; leave topk, targets and against out",
        )
    for name, value in given.items():
        if value == "":
            raise ArgumentError(name, "got ''; give a value, or leave it out")
        limits = FLAGS[name].metadata if name in FLAGS else {}
        for number in value if isinstance(value, (list, tuple)) else [value]:
            if limits and isinstance(number, int):
                check_count(name, number, **limits)


def _check_configurations(parser: ArgumentParser, arguments: Sequence[str]) -> None:
    """Refuses a configuration that is no file, or no small one, before it is read."""
    for word, following in zip(arguments, [*arguments, ""][1:], strict=True):
        name, equals, value = word.partition("=")
        path = value if equals else following
        if name == "--config" and os.path.exists(path):
            if not os.path.isfile(path):
                parser.error(f"config: {path!r} is no file")
            if os.path.getsize(path) > MOST_TEXT:
                parser.error(f"config: {path!r} has more than {MOST_TEXT >> 20} MiB")


def _load_plain(text: str) -> Any:
    """Reads YAML without aliases, by which a few lines can stand for billions of values."""
    if len(text) > MOST_TEXT:
        raise yaml.YAMLError(f"is longer than {MOST_TEXT} characters")
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            raise yaml.YAMLError("has an alias; write the value out")
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > MOST_NESTED:
            raise yaml.YAMLError("is nested too deeply")
    return get_loader("yaml")(text)
