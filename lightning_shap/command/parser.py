"""The parser: a command line to options."""

import re
import sys
from argparse import ArgumentParser, ArgumentTypeError, BooleanOptionalAction
from collections.abc import Callable, Mapping, Sequence
from dataclasses import Field, fields
from typing import Any, Literal, NoReturn, get_args, get_origin

from lightning_shap import __version__
from lightning_shap.command.options import GROUPS, Options
from lightning_shap.command.untrusted import clean
from lightning_shap.engine.methods.registry import REMOVED
from lightning_shap.errors import ArgumentError, check_count

# The first word "summary" stands for more images, with fewer evaluations each.
SUMMARY = ("--summary", "--n_samples", "256", "--max_evals", "100")
HELP = re.compile(r"^ {8}(\w+): (.*?)(?=\n {8}\w|\s*\Z)", re.MULTILINE | re.DOTALL)


def parse(arguments: Sequence[str]) -> Options:
    """Returns the options that a command line asks for.

    Raises:
        SystemExit: With code 2 and a sentence on stderr; with 0 after ``--help`` and its like.
    """
    parser = _Parser(
        prog="lightning-shap",
        description="Explain a trained image classifier with SHAP.",
        epilog="Example: lightning-shap runs/resnet18 --dataset photographs --n_samples 4 --topk 4",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    parser.add_argument(
        "--traceback", action="store_true", help="Show where in the code an error comes from."
    )
    parser.add_argument(
        "model", nargs="?", help="Directory of a trained model, or one file of weights."
    )
    for name, group in GROUPS.items():
        section, about = parser.add_argument_group(name), dict(HELP.findall(group.__doc__))
        for option in fields(group):
            words = " ".join(about[option.name].split())
            section.add_argument(
                f"--{option.name}", default=option.default, help=words, **_choose_kind(option)
            )
    if arguments[:1] == ["summary"]:
        arguments = [*SUMMARY, *arguments[1:]]  # later flags have the last say
    given = vars(parser.parse_args(arguments))
    if (place := given.pop("model")) is not None:
        if given["model_output_dir"] is not None:
            parser.error(f"unexpected {place!r}: --model_output_dir names the model already")
        given["model_output_dir"] = place
    if given["model_output_dir"] is None:
        parser.error("give the directory of a trained model, or its file of weights")
    if given["summary"] and any(given[name] is not None for name in ("topk", "targets", "against")):
        parser.error(
            "summary: explains each true class and the highest other; leave topk, targets and "
            "against out"
        )
    if not given["summary"] and (given["cure"] or given["watch"] is not None):
        parser.error("watch, cure: belong to a summary; say summary as the first word")
    if given["region"] is not None and len(given["region"]) != 4:
        parser.error(
            f"region: got {len(given['region'])} numbers; give left, top, right and bottom"
        )
    for option in (option for group in GROUPS.values() for option in fields(group)):
        given[option.name] = _unwrap(option, given[option.name])
    groups = {
        name: group(**{option.name: given[option.name] for option in fields(group)})
        for name, group in GROUPS.items()
    }
    return Options(**groups)


class _Parser(ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Ends the command with one sentence, without the list of all flags."""
        message = re.sub(r"^argument --(\w+)[^:]*: ", r"\1: ", message)
        print(f"lightning-shap: error: {clean(message, 2000)}", file=sys.stderr)
        sys.exit(2)


def _choose_kind(option: "Field[Any]") -> dict[str, Any]:
    """Returns the arguments of ``add_argument`` that read an option's type."""
    if option.type is bool:
        return {"action": BooleanOptionalAction}
    is_union = get_origin(option.type) not in (None, list, Literal)
    parts = get_args(option.type) if is_union else (option.type,)
    words = [word for part in parts if get_origin(part) is Literal for word in get_args(part)]
    lists = [part for part in parts if get_origin(part) in (list, tuple)]
    kinds = {int, float, str} & {*parts, *(kind for part in lists for kind in get_args(part))}
    read = _make_reader(kinds, words, option.metadata)
    return {"type": read, "nargs": "+" if lists else None}


def _make_reader(
    kinds: set[type], words: Sequence[str], limits: Mapping[str, Any]
) -> Callable[[str], Any]:
    """Returns a reader of texts that are of some kinds, or one of some words."""
    number = ["a whole number"] if int in kinds else ["a number"] if float in kinds else []
    *first, last = [*number, *map(repr, words)] or ["text"]
    wanted = f"{', '.join(first)} or {last}" if first else last

    def read(text: str) -> Any:
        try:
            if text in words:
                return text
            if int in kinds:
                return check_count("", int(text), **{"least": 0, **limits})
            if float in kinds:
                return float(text)
        except ArgumentError as error:
            raise ArgumentTypeError(error.problem) from error
        except ValueError:
            pass
        if text in REMOVED and "partition" in words:
            raise ArgumentTypeError(f"{text!r} {REMOVED[text]}")
        if str not in kinds:
            raise ArgumentTypeError(f"got {text!r}; give {wanted}")
        if not text:
            raise ArgumentTypeError("got ''; give a value, or leave it out")
        return text

    return read


def _unwrap(option: "Field[Any]", value: Any) -> Any:
    """Returns the one item of a list, where an option is one whole number or several."""
    alone = isinstance(value, list) and len(value) == 1 and int in get_args(option.type)
    return value[0] if alone else value
