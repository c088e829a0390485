"""``lightning-shap``: the command, and what it says when something will not do.

Nothing heavy is imported before the flags are read, so ``--help`` and typing errors answer at once.
"""

import gc
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import NoReturn

DONE, FAILED, REFUSED, INTERRUPTED = 0, 1, 2, 130


def main(arguments: Sequence[str] | None = None) -> None:
    """Explain a trained model from the command line.

    Args:
        arguments: What follows the command's name; ``sys.argv[1:]`` where None.

    Raises:
        SystemExit: With one sentence on stderr; code 2 if something given will not do, 1 for
            whatever else goes wrong, 130 after Ctrl-C. ``--traceback`` shows where.
    """
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    _accept_any_text()
    try:
        _command(arguments)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except SystemExit as end:
        # Lightning turns an interrupt into an exit of its own.
        interrupted = isinstance(end.__context__, KeyboardInterrupt)
        sys.exit(INTERRUPTED if interrupted else end.code)
    except BrokenPipeError:  # whoever read what this prints has heard enough
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(DONE)
    except Exception as error:
        if "--traceback" in arguments:
            raise
        _fail(error)


def _command(arguments: Sequence[str]) -> None:
    from lightning_shap.command.parser import parse

    options = parse(arguments)
    with _uncollected():
        from lightning_shap.command.run import run

    run(options)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Import without the garbage collector, which takes a fifth of the time and finds nothing."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _accept_any_text() -> None:
    """Print what a stream cannot say, such as a name that is not UTF-8, in escapes."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _fail(error: Exception) -> NoReturn:
    """One sentence for an error, whoever raised it."""
    from lightning_shap.command.text import readable
    from lightning_shap.errors import ArgumentError

    message, code = str(error), REFUSED
    if not isinstance(error, ArgumentError):
        message, code = f"{type(error).__name__}: {message}".removesuffix(": "), FAILED
        message += "; --traceback shows where"
    print(f"lightning-shap: error: {readable(message, 2000)}", file=sys.stderr)
    sys.exit(code)
