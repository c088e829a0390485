"""Log a picture, numbers and words to any Lightning logger.

A logger is one function here. Loggers are recognised by the names of their classes, so that those
of ``pytorch_lightning`` and of ``lightning.pytorch`` both work; strangers by what they can do.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from lightning_shap.analysis.history.numbers import DESCRIPTIONS, DETAILS
from lightning_shap.explanation.atomic import replace_whole
from lightning_shap.page.data import PageData
from lightning_shap.page.tensorboard import (
    add_explanation,
    add_picture,
    add_scalar,
    is_tensorboards,
    samples_written,
)
from lightning_shap.pictures.saving import save
from lightning_shap.training.logs.disk import find_folder, name_picture

PICTURE = "attributions"
EVOLUTION = "evolution"
CLASSES = "classes"
SETTINGS = "settings"
SUMMARY = "summary"
NUMBERS = "numbers"
SHEET = "sheet"
MORE = "more"  # the end of a group of charts, after those that most people look at
WATCH = "watch"


@dataclass(frozen=True, kw_only=True)
class Text:
    """Holds words that are logged once: what was asked for, or how a training ended.

    Attributes:
        tag: The callback's.
        name: Of the words, under the tag.
        table: The words, in markdown.
        plain: As JSON has it.
    """

    tag: str
    name: str
    table: str
    plain: Mapping[str, Any]

    @property
    def key(self) -> str:
        """Returns the name that it is logged under."""
        return f"{self.tag}/{self.name}"

    @property
    def group(self) -> str:
        """Returns its name among all that is known of a run, as settings have the tag's."""
        return self.tag if self.name == SETTINGS else f"{self.tag}_{self.name}"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """Holds what is logged at one moment of a training.

    Attributes:
        tag: Under which it is logged.
        picture: uint8 (height, width, 3), or draws that once it is asked for.
        step: Where on the logger's axis it stands; -1 before the first training step.
        name: Of the picture, under the tag.
        epoch: The epoch of that step.
        title: What the picture is of, for loggers that have captions.
        numbers: What is known of an explanation, by the names to log it under.
        page: What TensorBoard's SHAP tab shows of it.
        page_tag: Under which it does, the tag unless another is given.
        text: What was asked for, or how the training ended.
        card: The picture for places that show it small, None for the picture itself.
        is_single: There are no others under this tag, as of the final model.
    """

    tag: str
    picture: np.ndarray | Callable[[], np.ndarray]
    step: int
    name: str = PICTURE
    epoch: int | None = None
    title: str | None = None
    numbers: Mapping[str, float] = field(default_factory=dict)
    page: PageData | None = None
    page_tag: str | None = None
    text: Text | None = None
    card: np.ndarray | None = None
    is_single: bool = False

    @property
    def pixels(self) -> np.ndarray:
        """Returns the picture."""
        return self.picture() if callable(self.picture) else self.picture

    @property
    def key(self) -> str:
        """Returns the name that the picture is logged under."""
        return f"{self.tag}/{self.name}"

    @property
    def row(self) -> Mapping[str, float]:
        """Returns the numbers as a row of a table, whose other rows say their epoch as well."""
        if self.epoch is None or not self.numbers:
            return self.numbers
        return {**self.numbers, "epoch": self.epoch}

    @property
    def step_from_0(self) -> int:
        """Returns the step for services that may refuse a negative one."""
        return max(self.step, 0)


def log_entry(logger: Any, entry: Entry) -> str | None:
    """Logs a picture, and what comes with it.

    Args:
        logger: Any logger of Lightning's, or of its kind.
        entry: What to log.

    Returns:
        What the logger has no place for, as the end of a sentence; None where it took everything.

    Raises:
        Exception: Whatever the logger raises.
    """
    names = [kind.__name__ for kind in type(logger).__mro__]
    write = next((_BY_NAME[name] for name in names if name in _BY_NAME), _log_to_stranger)
    return write(logger, entry)


def log_report(logger: Any, tag: str, page: Path) -> None:
    """Gives a service the interactive report of a run; loggers that write files have it there.

    Args:
        logger: Any logger of Lightning's, or of its kind.
        tag: Under which it is logged.
        page: An HTML file.

    Raises:
        Exception: Whatever the logger raises.
    """
    names = [kind.__name__ for kind in type(logger).__mro__]
    name = f"{tag}/report"
    if "WandbLogger" in names:
        import wandb

        logger.log_metrics({name: wandb.Html(str(page), inject=False)})
    elif "MLFlowLogger" in names:
        logger.experiment.log_artifact(logger.run_id, str(page), tag)
    elif "CometLogger" in names:
        logger.experiment.log_asset(str(page), file_name=f"{name}.html")
    elif {"LitLogger", "LightningLogger"} & {*names}:
        from litlogger import File

        logger.experiment[f"{name}.html"] = File(str(page))


def is_dummy(logger: Any) -> bool:
    """Returns whether a logger keeps nothing, as that of a trial run (``fast_dev_run``)."""
    return any(kind.__name__ == "DummyLogger" for kind in type(logger).__mro__)


def _log_numbers(logger: Any, numbers: Mapping[str, float], step: int) -> None:
    if numbers:
        logger.log_metrics(numbers, step=step)


def _log_to_tensorboard(logger: Any, entry: Entry) -> None:
    # The training's own scalar "epoch" is left alone: TensorBoard has no rows to add it to.
    experiment = logger.experiment
    if entry.is_single and entry.numbers:  # each would be a chart of one dot
        experiment.add_text(f"{entry.tag}/{NUMBERS}", _write_table(entry), entry.step)
    elif is_tensorboards(experiment):
        for name, value in entry.numbers.items():
            own = name.removeprefix(f"{entry.tag}/")
            tag = f"{entry.tag}_{MORE}/{own}" if own in DETAILS else name
            add_scalar(experiment, tag, value, entry.step, DESCRIPTIONS.get(own))
    else:
        _log_numbers(logger, entry.numbers, entry.step)
    shown = entry.pixels if entry.card is None else entry.card
    add_picture(experiment, entry.key, shown, entry.step)
    if entry.is_single and entry.card is not None:
        sheet = "/" if entry.name == PICTURE else f"/{entry.name}_"
        add_picture(experiment, f"{entry.tag}{sheet}{SHEET}", entry.pixels, entry.step)
    if entry.text is not None:
        experiment.add_text(entry.text.key, entry.text.table, entry.step)
    if entry.page is not None:
        add_explanation(
            experiment, entry.page_tag or entry.tag, entry.page, entry.step, entry.numbers
        )
    experiment.flush()
    if entry.page is not None:  # only now is it sure that they are in the file
        samples_written.setdefault(experiment, set()).add(entry.page.key)


def _write_table(entry: Entry) -> str:
    """Returns an entry's numbers as a table in markdown, with what they say."""
    rows = ["| number | | says |", "| --- | --- | --- |"]
    for name, value in entry.numbers.items():
        own = name.removeprefix(f"{entry.tag}/")
        rows.append(f"| {own} | {value:.4g} | {DESCRIPTIONS.get(own, '')} |")
    return "\n".join(rows)


def _log_to_wandb(logger: Any, entry: Entry) -> None:
    import wandb

    picture = wandb.Image(entry.pixels, caption=entry.title)
    logger.log_metrics({**entry.row, entry.key: [picture]}, step=entry.step)
    if entry.text is not None:
        config = {entry.text.group: entry.text.plain}
        logger.experiment.config.update(config, allow_val_change=True)
        if entry.text.name == WATCH:
            logger.experiment.alert(title=entry.text.key, text=entry.text.table)


def _log_to_mlflow(logger: Any, entry: Entry) -> None:
    _log_numbers(logger, entry.numbers, entry.step)
    client, run = logger.experiment, logger.run_id
    key = re.sub(r"[^a-zA-Z0-9_\-./ ]", "_", entry.key)  # it refuses others
    client.log_image(run_id=run, image=entry.pixels, key=key, step=entry.step)
    if entry.text is not None:
        client.log_text(run, entry.text.table, f"{entry.text.key}.md")


def _log_to_comet(logger: Any, entry: Entry) -> None:
    step, experiment = entry.step_from_0, logger.experiment
    _log_numbers(logger, entry.row, step)
    about = {"title": entry.title, "epoch": entry.epoch}
    experiment.log_image(entry.pixels, name=entry.key, step=step, metadata=about)
    if entry.text is not None:
        experiment.log_text(entry.text.table, step=step, metadata={"name": entry.text.key})


def _log_to_litlogger(logger: Any, entry: Entry) -> None:
    from litlogger import Image
    from litlogger import Text as Words

    step, experiment = entry.step_from_0, logger.experiment
    _log_numbers(logger, entry.numbers, step)
    with TemporaryDirectory() as folder:
        # A file: of an array it would keep every picture in memory as long as the run lasts.
        path = save(entry.pixels, name_picture(folder, "picture", step))
        experiment[entry.key].append(Image(str(path), description=entry.title or ""), step=step)
    if entry.text is not None:
        experiment[entry.text.key] = Words(entry.text.table)


def _log_to_files(logger: Any, entry: Entry) -> str | None:
    _log_numbers(logger, entry.row, entry.step)
    folder = find_folder(logger)
    if folder is None:
        return "has no folder on this machine for pictures"
    save(entry.pixels, name_picture(folder, entry.key, entry.step))
    if entry.text is not None:
        path = folder / f"{entry.text.key}.json"
        path.parent.mkdir(parents=True, exist_ok=True)  # the picture may have another tag
        with replace_whole(path) as partial:
            partial.write_text(f"{json.dumps(entry.text.plain, indent=2)}\n")
    return None


def _log_to_stranger(logger: Any, entry: Entry) -> str | None:
    """Logs to a logger of the user's own, by the methods that it shares with Lightning's."""
    if hasattr(logger, "log_image"):
        _log_numbers(logger, entry.row, entry.step)
        logger.log_image(key=entry.key, images=[entry.pixels], step=entry.step)
        if entry.text is not None and hasattr(logger, "log_text"):
            text = [[entry.text.table]]
            logger.log_text(key=entry.text.key, columns=["text"], data=text, step=entry.step)
        return None
    if hasattr(getattr(logger, "experiment", None), "add_image"):
        _log_to_tensorboard(logger, entry)
        return None
    if getattr(logger, "log_dir", None) is not None:
        return _log_to_files(logger, entry)
    _log_numbers(logger, entry.row, entry.step)
    return "takes numbers, but no pictures"


_BY_NAME: dict[str, Callable[[Any, Entry], str | None]] = {
    "TensorBoardLogger": _log_to_tensorboard,
    "WandbLogger": _log_to_wandb,
    "MLFlowLogger": _log_to_mlflow,
    "CometLogger": _log_to_comet,
    "LitLogger": _log_to_litlogger,
    "LightningLogger": _log_to_litlogger,  # its name in litlogger's own package
    "CSVLogger": _log_to_files,
    "DummyLogger": lambda logger, entry: None,
}
