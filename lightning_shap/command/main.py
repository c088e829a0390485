"""``lightning-shap``: the command line, and what it says when something will not do.

Nothing heavy is imported before the flags are read, so ``--help`` and typing errors answer at once.
"""

import gc
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from typing import NoReturn

from jsonargparse import ArgumentParser

from lightning_shap.command.options import GROUPS, Options
from lightning_shap.methods.registry import REMOVED

FLAGS = {field.name: field for group in GROUPS.values() for field in fields(group)}
LISTS = {name for name, field in FLAGS.items() if "list[" in str(field.type)}
SWITCHES = {name for name, field in FLAGS.items() if field.type is bool}


def main(arguments: Sequence[str] | None = None) -> None:
    """Explain a trained model from the command line.

    Args:
        arguments: What follows the command's name; ``sys.argv[1:]`` where None.

    Raises:
        SystemExit: With code 2 and one line on stderr if something given will not do.
    """
    options = parse(sys.argv[1:] if arguments is None else arguments)
    try:
        with _uncollected():
            from lightning_shap.command.run import run

        run(options)
    except (ValueError, TypeError, OSError, MemoryError, ImportError) as error:
        if not _is_for_the_user(error):
            raise
        _refuse(str(error))
    except KeyboardInterrupt:
        sys.exit(130)


def parse(arguments: Sequence[str]) -> Options:
    """The options that a command line and its ``--config`` files ask for."""
    parser = _Parser(
        prog="lightning-shap",
        description="Explain a trained image classifier with SHAP.",
        epilog="Example: lightning-shap --model_output_dir runs/resnet18 --dataset photographs "
        "--n_samples 4 --topk 4",
    )
    parser.add_argument("--config", action="config", help="YAML file of these options.")
    for group in GROUPS.values():
        parser.add_class_arguments(group)
    given = parser.parse_args(_in_words(arguments)).as_dict()
    groups = {
        name: group(**{field.name: given[field.name] for field in fields(group)})
        for name, group in GROUPS.items()
    }
    return Options(**groups)


class _Parser(ArgumentParser):
    """Says of a method that there was what to use instead; jsonargparse lists those there are."""

    def error(self, message: str, ex: Exception | None = None) -> None:
        """Ends the command."""
        for name, instead in REMOVED.items():
            if 'key "method"' in message and message.rstrip().endswith(f"Got value: {name}"):
                _refuse(f"method: {name!r} {instead}")
        super().error(message, ex)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Import without the garbage collector, which takes a fifth of the time and finds nothing."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _in_words(arguments: Sequence[str]) -> list[str]:
    """Familiar short forms, ``--grayscale`` and ``--targets 1 2``, as jsonargparse writes them."""
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
        elif name in LISTS and values and not values[0].startswith("["):
            words += [word for value in values for word in (f"{flag}+", value)]
        else:
            words += [flag, *values]
    return words


def _is_for_the_user(error: Exception) -> bool:
    """Whether a message begins with what was given, as all of this package's own do.

    Any other error is a fault of ours, whose traceback is worth more than a tidy line.
    """
    names, colon, _ = str(error).partition(": ")
    known = {*FLAGS, "model", "images", "labels", "explanation"}
    return bool(colon) and set(names.split(", ")) <= known


def _refuse(message: str) -> NoReturn:
    print(f"lightning-shap: error: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(2)
