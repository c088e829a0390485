"""Show a bar while an explanation lasts, in the manner of the trainer's own."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from lightning_shap.engine.progress import DELAY, Report, show_bar
from lightning_shap.training.lightning import Trainer


@contextmanager
def report_progress(trainer: Trainer, shown: bool, check: Callable[[], None]) -> Iterator[Report]:
    """Yields what an explanation reports its progress to; that may also end the explanation.

    Beside Lightning's tqdm bars there is one more of them. Lightning's rich bars do not allow
    another, so theirs says in its description how far the explanation is. Other bars are left
    alone.

    Args:
        trainer: The trainer.
        shown: Whether to show anything, which only one process does.
        check: Raises what is to end the explanation.

    Raises:
        InterruptedError: From the report, if the process was asked to end: an explanation must
            not use up the time that is left to save a checkpoint.
    """
    with _bar(trainer, shown) as show:

        def report(done: int, total: int) -> None:
            if trainer.received_sigterm:
                raise InterruptedError("the process was asked to end")
            check()
            show(done, total)

        yield report


@contextmanager
def _bar(trainer: Trainer, shown: bool) -> Iterator[Report]:
    bar = trainer.progress_bar_callback
    silent = bar is None or getattr(bar, "is_disabled", False)
    names = [] if silent else [kind.__name__ for kind in type(bar).__mro__]
    if shown and trainer.is_global_zero and "TQDMProgressBar" in names:
        with show_bar("Explaining", delay=DELAY) as show:
            yield show
    elif shown and trainer.is_global_zero and "RichProgressBar" in names:
        with _rich_description(bar) as show:
            yield show
    else:
        yield lambda done, total: None


@contextmanager
def _rich_description(bar: object) -> Iterator[Report]:
    progress, task = (getattr(bar, name, None) for name in ("progress", "train_progress_bar_id"))
    tasks = [] if progress is None else [one for one in progress.tasks if one.id == task]
    if progress is None or not tasks or not progress.live.is_started:
        yield lambda done, total: None
        return
    description, begun = tasks[0].description, time.monotonic()

    def show(done: int, total: int) -> None:
        if time.monotonic() - begun > DELAY:
            progress.update(task, description=f"Explaining {done / total:.0%}")
            progress.refresh()

    try:
        yield show
    finally:
        progress.update(task, description=description)
