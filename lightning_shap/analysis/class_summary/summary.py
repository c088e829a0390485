"""The class summary: what a model looks at in each class of many images, in words and as JSON."""

from typing import Any

import numpy as np

from lightning_shap.analysis.class_summary.findings import Findings
from lightning_shap.analysis.class_summary.groups import Group
from lightning_shap.analysis.class_summary.means import find_tested
from lightning_shap.analysis.class_summary.power import CASES, MARKED
from lightning_shap.analysis.class_summary.suspicions import LEVEL
from lightning_shap.analysis.class_summary.words import write_lines
from lightning_shap.errors import ArgumentError


def check_comparable(returns: Any, multi_label: bool) -> None:
    """Makes sure that a summary of classes has classes to compare.

    Raises:
        ArgumentError: If outputs are values, or images have several classes.
    """
    if returns == "values" or multi_label:
        raise ArgumentError(
            "summary", "compares classes, and each image must have one; leave it out"
        )


class ClassSummary(Findings):
    """Says what was found in many images, class by class; arguments as of ``Findings``."""

    @property
    def lines(self) -> list[str]:
        """Returns what was seen, what is suspicious, and what is taken for what, a line each."""
        return write_lines(self)

    @property
    def text(self) -> str:
        """The lines as one text."""
        return "\n".join(self.lines)

    @property
    def markdown(self) -> str:
        """The lines as a list."""
        return "\n".join(f"- {line}" for line in self.lines)

    @property
    def plain(self) -> dict[str, Any]:
        """The summary as JSON has it."""
        return {
            "lines": self.lines,
            "images": len(self.labels),
            "level": LEVEL,
            "tested": [str(self.names[label]) for label in find_tested(self.labels)],
            "power": {
                "cases": CASES,
                "measure": self.power.measure,
                "places": sorted(MARKED),
                "share": self.power.share,
                "by_class": [
                    {"class": None if label is None else str(self.names[label]), "share": share}
                    for label, share in self.power.shares.items()
                ],
            },
            "suspicions": [
                {
                    "class": None if one.label is None else str(self.names[one.label]),
                    "place": one.place.name,
                    "measure": one.place.measure,
                    "share": one.share,
                    "area": one.place.area,
                    "others": one.others,
                    "mirror": one.mirror,
                    "surprise": one.surprise,
                    "p": one.p,
                    "images": one.images,
                    "known": one.known,
                }
                for one in self.suspicions
            ],
            "classes": [self._plain(one) for one in self.classes],
            "confused": [self._plain(one) for one in self.pairs],
            "swaps": [self._swaps(label) for label in np.unique(self.labels).tolist()],
        }

    def _plain(self, group: Group) -> dict[str, Any]:
        return {
            "class": str(self.names[group.label]),
            "taken_for": None if group.taken_for is None else str(self.names[group.taken_for]),
            "images": len(group.rows),
            "right": group.right,
            "typical": list(group.typical),
            "strange": list(group.strange),
        }

    def _swaps(self, label: int) -> dict[str, Any]:
        """Returns what each part decides of a class, from 0 to 1, and how many images say so."""
        columns = {
            place.name: self.shares.values[self.labels == label, column]
            for column, place in enumerate(self.shares.places)
            if place.measure == "swap"
        }
        known = {name: one[~np.isnan(one)] for name, one in columns.items()}
        return {
            "class": str(self.names[label]),
            "images": max((len(one) for one in known.values()), default=0),
            "shares": {
                name: float(np.clip(one.mean(), 0, 1)) for name, one in known.items() if len(one)
            },
        }
