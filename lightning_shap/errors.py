"""Errors that know the name of an argument. They need no torch, so pictures can raise them."""

from typing import Any


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
