"""Errors that know the name of an argument. They need no torch, so pictures can raise them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

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
def naming(argument: str, problem: str) -> Iterator[None]:
    """Say of an error which argument brought it, where that is a value or function of the user's.

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


def escaped(text: str) -> str:
    """Returns a text without what moves a terminal's cursor, or is no text that it can show."""
    # File names need not be UTF-8, and names of classes may hold anything.
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def shown(value: Any) -> str:
    """A value as it was given, if it can be shown and is not too long for a message."""
    try:
        text = " ".join(repr(value).split())
    except Exception:  # objects of others may raise anything when they are shown
        text = ""
    return text if 0 < len(text) <= 80 else f"a {type(value).__name__}"
