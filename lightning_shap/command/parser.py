"""The parser: a command line and its ``--config`` files to options."""

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, NoReturn, get_args

import yaml
from jsonargparse import ArgumentParser, get_loader, set_loader

from lightning_shap import __version__
from lightning_shap.command.options import GROUPS, Options
from lightning_shap.command.refusal import refusal
from lightning_shap.command.text import readable
from lightning_shap.errors import ArgumentError, checked_count

FLAGS = {field.name: field for group in GROUPS.values() for field in fields(group)}
LISTS = {name for name, field in FLAGS.items() if "list[" in str(field.type)}
ALONE = {name for name in LISTS if int in get_args(FLAGS[name].type)}  # one number is no list
SWITCHES = {name for name, field in FLAGS.items() if field.type is bool}

# What the first word "summary" stands for: more images, with fewer evaluations each.
SUMMARY = ("--summary", "--n_samples", "256", "--max_evals", "100")

MOST_TEXT = 2**20  # of a configuration, or of one value
MOST_NESTED = 8
PLAIN_YAML = "plain_yaml"


def parse(arguments: Sequence[str]) -> Options:
    """The options that a command line and its ``--config`` files ask for.

    Raises:
        ArgumentError: If a value is beyond its limits.
        SystemExit: With code 2 and what is wrong on stderr; with 0 after ``--help`` and its like.
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
    given = parser.parse_args(_in_words(_with_word(arguments))).as_dict()
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
    """Answers what does not fit with what would do; jsonargparse lists Python's types."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Ends the command with one sentence, whatever the message quotes."""
        message = refusal(message, {name: field.type for name, field in FLAGS.items()})
        print(f"lightning-shap: error: {readable(message, 2000)}", file=sys.stderr)
        sys.exit(2)


def _with_word(arguments: Sequence[str]) -> Sequence[str]:
    """A first word that stands for several flags, written out; later flags have the last say."""
    return [*SUMMARY, *arguments[1:]] if arguments[:1] == ["summary"] else arguments


def _in_words(arguments: Sequence[str]) -> list[str]:
    """Familiar short forms, ``--grayscale`` and ``--targets 1 2``, as jsonargparse writes them.

    Its own ``nargs`` would do for the words alone: with it, ``[1, 2]`` is a list in a list, and
    ``targets: 3`` in a configuration is an error.
    """
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
    """Refuse what cannot be meant before anything is loaded for it.

    Raises:
        ArgumentError: If a text is empty, or a number beyond its limits.
    """
    for name, value in given.items():
        if value == "":
            raise ArgumentError(name, "got ''; give a value, or leave it out")
        limits = FLAGS[name].metadata if name in FLAGS else {}
        for number in value if isinstance(value, (list, tuple)) else [value]:
            if limits and isinstance(number, int):
                checked_count(name, number, **limits)


def _check_configurations(parser: ArgumentParser, arguments: Sequence[str]) -> None:
    """Refuse what is no file, or no small one, before it is read."""
    for word, following in zip(arguments, [*arguments, ""][1:], strict=True):
        name, equals, value = word.partition("=")
        path = value if equals else following
        if name == "--config" and os.path.exists(path):
            if not os.path.isfile(path):
                parser.error(f"config: {path!r} is no file")
            if os.path.getsize(path) > MOST_TEXT:
                parser.error(f"config: {path!r} has more than {MOST_TEXT >> 20} MiB")


def _load_plain(text: str) -> Any:
    """YAML without aliases, by which a few lines can stand for billions of values."""
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
