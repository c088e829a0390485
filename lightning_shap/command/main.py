"""``lightning-shap``: the command, and the one sentence that it ends with if it fails.

Nothing heavy is imported before flags and paths are checked, so ``--help`` and mistakes in typing
answer at once.
"""

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import NoReturn

DONE, FAILED, REFUSED, INTERRUPTED = 0, 1, 2, 130


def main(arguments: Sequence[str] | None = None) -> None:
    """Explains a trained model from the command line.

    Args:
        arguments: All that follows the command's name; ``sys.argv[1:]`` where None.

    Raises:
        SystemExit: With one sentence on stderr; code 2 if something given will not do, 1 for
            whatever else goes wrong, 130 after Ctrl-C. ``--traceback`` shows where.
    """
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    for stream in (sys.stdout, sys.stderr):  # a name that is not UTF-8 is printed in escapes
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        _run(arguments)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except BrokenPipeError:  # whoever read the output has closed it
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(DONE)
    except Exception as error:
        if "--traceback" in arguments:
            raise
        _fail(error)


def _run(arguments: Sequence[str]) -> None:
    from lightning_shap.command.parser import parse

    options = parse(arguments)
    from lightning_shap.command.paths import find_places

    places = find_places(options)
    from lightning_shap.command.run import run

    run(options, places)


def _fail(error: Exception) -> NoReturn:
    """Ends the command with one sentence for an error."""
    from lightning_shap.command.untrusted import clean
    from lightning_shap.errors import ArgumentError

    message, code = str(error), REFUSED
    if not isinstance(error, ArgumentError):
        message, code = f"{type(error).__name__}: {message}".removesuffix(": "), FAILED
        message += "; --traceback shows where"
    print(f"lightning-shap: error: {clean(message, 2000)}", file=sys.stderr)
    sys.exit(code)
