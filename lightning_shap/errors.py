"""Errors that know the name of an argument, and the checks that every room needs.

They need neither torch nor NumPy, so that pictures can raise them, and the command can check its
flags before it loads anything.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from numbers import Integral
from typing import Any

# Beyond these limits no number can be meant: it is refused before any work is done.
MOST_EVALUATIONS = 10**7  # an image of 224 x 224 pixels has 300,000 at most to spend them on
MOST_SEED = 2**63 - 1
MOST_SIDE = 2**14  # of an image in pixels, larger than any camera's

# What code raises that was given something else than it expects. Errors of a user's own kind, such
# as one that a signal handler raises to end a run, are none of these.
MISUSED = (
    *(TypeError, ValueError, ArithmeticError, LookupError, AttributeError),
    *(RuntimeError, AssertionError),
)


class ArgumentError(ValueError):
    """An argument's value will not do.

    Args:
        argument: Its name; several names joined by ``", "`` where they contradict one another.
        problem: What was given and what would do.

    Attributes:
        argument: As given.
        problem: As given.
    """

    def __init__(self, argument: str, problem: str) -> None:
        super().__init__(f"{argument}: {problem}")
        self.argument = argument
        self.problem = problem

    def __reduce__(self) -> tuple[Any, ...]:  # errors travel between processes
        return type(self), (self.argument, self.problem)


class ArgumentTypeError(ArgumentError, TypeError):
    """An argument is of the wrong kind."""


@contextmanager
def blame(argument: str, problem: str) -> Iterator[None]:
    """Says of an error which argument brought it, where that is a value or function of the user's.

    Args:
        argument: Its name.
        problem: What went wrong, to which the error's own words are added.

    Raises:
        ArgumentError: For what is raised inside, unless the memory ran out.
    """
    try:
        yield
    except ArgumentError:
        raise
    except MISUSED as error:
        if "memory" in str(error).lower():  # the engine tries again with smaller batches
            raise
        raise ArgumentError(argument, f"{problem} ({type(error).__name__}: {error})") from error


def escape(text: str) -> str:
    """Returns a text without what moves a terminal's cursor, or is no text that it can show."""
    # File names need not be UTF-8, and names of classes may hold anything.
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def show(value: Any) -> str:
    """Returns a value as it was given, if it can be shown and is not too long for a message."""
    try:
        text = " ".join(repr(value).split())
    except Exception:  # objects of others may raise anything when they are shown
        text = ""
    return text if 0 < len(text) <= 80 else f"a {type(value).__name__}"


def check_count(
    name: str, value: Any, *, least: int, most: int | None = None, why: str = ""
) -> int:
    """Returns a whole number of at least ``least`` and at most ``most``."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise ArgumentTypeError(name, f"got {show(value)}; give a whole number")
    count = int(value)
    if count < least:
        reason = f" ({why})" if why else ""
        raise ArgumentError(name, f"got {show(count)}; give at least {least}{reason}")
    if most is not None and count > most:
        raise ArgumentError(name, f"got {show(count)}; give at most {most}")
    return count


def check_choice(name: str, value: Any, choices: Sequence[Any]) -> None:
    """Makes sure of one of a few names, or None where that is one of them."""
    if not (value is None or isinstance(value, str)) or value not in choices:
        raise ArgumentError(
            name, f"unknown {show(value)}; give one of {', '.join(map(repr, choices))}"
        )


def check_switch(name: str, value: Any) -> None:
    """Makes sure of on or off, where a string such as ``"no"`` would silently count as on."""
    numpys = str(getattr(value, "dtype", "")) == "bool" and not getattr(value, "shape", ())
    if not (isinstance(value, bool) or numpys):
        raise ArgumentTypeError(name, f"got {show(value)}; give True or False")
