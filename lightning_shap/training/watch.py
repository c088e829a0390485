"""Watch places during a training: how much they decide at each explained epoch, and since when."""

import re
from collections.abc import Mapping

import numpy as np

from lightning_shap.analysis.class_summary.parts import Part
from lightning_shap.analysis.metrics.where import measure_shares
from lightning_shap.explanation.explanation import ImageExplanation
from lightning_shap.explanation.maps import read_maps
from lightning_shap.explanation.phrases import whole_percent
from lightning_shap.training.configuration import Configuration
from lightning_shap.training.lightning import Trainer
from lightning_shap.training.logs.loggers import WATCH, Text
from lightning_shap.training.messages import warn
from lightning_shap.training.moment import Moment


class Watch:
    """Measures what watched parts decide of the samples, and says once that one decides much.

    Args:
        asked: What the callback was given.
        trainer: That may be stopped.
    """

    def __init__(self, asked: Configuration, trainer: Trainer) -> None:
        self.asked = asked
        self.trainer = trainer
        self._told: set[str] = set()

    def measure(self, explanation: ImageExplanation) -> dict[str, float]:
        """Returns the watched shares of an explanation, by the names to log them under."""
        return {
            f"{WATCH}_{measure}/{_shorten(part.name)}": share
            for part in self.asked.watched
            for measure, share in measure_part(explanation, part).items()
            if not np.isnan(share)
        }

    def warn(self, explanation: ImageExplanation) -> Text | None:
        """Warns of parts that decide much for the first time, and stops the training if asked to.

        All ranks must call it, with the explanation of all samples.

        Returns:
            What to log of it.
        """
        shares = {
            part.name: measure_part(explanation, part)["decides"] for part in self.asked.watched
        }
        much = {
            name: share
            for name, share in shares.items()
            if share >= self.asked.watch_limit and name not in self._told
        }
        if not much:
            return None
        self._told |= set(much)
        moment = Moment.find(self.trainer)
        lines = [
            f"{name} decides {whole_percent(share)} of what tells the samples' classes apart in "
            f"{moment}, which is at least watch_limit={self.asked.watch_limit:g}"
            for name, share in much.items()
        ]
        if self.asked.on_shortcut == "stop":
            self.trainer.should_stop = True
            lines[-1] += "; the training stops"
        warn(f"ShapCallback: {'; '.join(lines)}")
        listed = "\n".join(f"- {line}" for line in lines)
        return Text(tag=self.asked.tag, name=WATCH, table=listed, plain={"lines": lines, **much})


def measure_part(explanation: ImageExplanation, part: Part) -> Mapping[str, float]:
    """Returns the share that a part decides of all images, and that of attribution that it has.

    Either is NaN where nothing is known. A property has no attribution.
    """
    record, shares = explanation.record, {"decides": float("nan")}
    if record.swaps is not None and record.swapped is not None and record.swap_parts is not None:
        whole = np.nansum(record.swapped)
        part_of_it = np.nansum(record.swaps[:, [*record.swap_parts].index(part.name)])
        shares["decides"] = float(np.clip(part_of_it / whole, 0, 1)) if whole > 0 else float("nan")
    if part.mask is not None:
        maps = read_maps(explanation)
        count, height, width = maps.source.shape[:3]
        inside = np.broadcast_to(part.mask(height, width), (count, height, width))
        found = measure_shares(maps, inside)
        known = found[~np.isnan(found)]
        shares["attribution"] = float(known.mean()) if len(known) else float("nan")
    return shares


def _shorten(name: str) -> str:
    return re.sub(r"[^\w.-]+", "_", name.removeprefix("the ")).strip("_")
