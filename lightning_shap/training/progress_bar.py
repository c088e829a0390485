"""Show a bar while an explanation lasts, beside the trainer's own."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

from lightning_shap.engine.progress import DELAY, Report, show_bar
from lightning_shap.training.lightning import Trainer


@contextmanager
def report_progress(
    trainer: Trainer, shown: bool, check: Callable[[], None], watch: Report | None = None
) -> Iterator[Report]:
    """Yields what an explanation reports its progress to; that may also end the explanation.

    Beside Lightning's tqdm bars there is one more of them. Other bars, such as its rich ones, do
    not allow another, and are left alone.

    Args:
        trainer: The trainer.
        shown: Whether to show anything, which only one process does.
        check: Raises what is to end the explanation.
        watch: Called as the report is; None for nobody.

    Raises:
        InterruptedError: From the report, if the process was asked to end: an explanation must
            not use up the time that is left to save a checkpoint.
    """
    bar = trainer.progress_bar_callback
    silent = bar is None or getattr(bar, "is_disabled", False)
    names = [] if silent else [kind.__name__ for kind in type(bar).__mro__]
    is_shown = shown and trainer.is_global_zero and "TQDMProgressBar" in names
    with show_bar("Explaining", delay=DELAY) if is_shown else nullcontext() as show:

        def report(done: int, total: int) -> None:
            if trainer.received_sigterm:
                raise InterruptedError("the process was asked to end")
            check()
            if watch is not None:
                watch(done, total)
            if show is not None:
                show(done, total)

        yield report
