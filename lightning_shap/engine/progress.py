"""Progress of an explanation: a function of the user's, or a bar once it is worth one."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

# Seconds; an explanation that is over by then needs no bar.
DELAY = 1.5

Report = Callable[[int, int], None]
"""Called with (rows done, rows allowed)."""

Progress = bool | Report
"""True for a bar, False for none, or a function to call instead."""


@contextmanager
def count_rows(progress: Progress, total: int) -> Iterator[Callable[[int], None] | None]:
    """Gives the game a function to call with the rows of each model call."""
    if not progress:
        yield None
        return
    with nullcontext(progress) if callable(progress) else show_bar("explaining", total) as show:
        done = 0

        def report(rows: int) -> None:
            nonlocal done
            done += rows
            show(done, total)

        yield report


@contextmanager
def show_bar(title: str, total: int | None = None, delay: float = DELAY) -> Iterator[Report]:
    """Shows a bar that appears after some seconds."""
    from tqdm.auto import tqdm

    with tqdm(total=total, desc=title, unit="row", delay=delay, leave=False) as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield show
