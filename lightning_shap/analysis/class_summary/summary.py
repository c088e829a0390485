"""The class summary: what a model looks at in each class of many images, in words and as JSON."""

from typing import Any, Literal

import numpy as np

from lightning_shap.analysis.class_summary.cure import Cure, make_cure
from lightning_shap.analysis.class_summary.findings import Findings
from lightning_shap.analysis.class_summary.groups import Group
from lightning_shap.analysis.class_summary.means import find_tested
from lightning_shap.analysis.class_summary.power import CASES, MARKED
from lightning_shap.analysis.class_summary.suspicions import LEVEL, Suspicion
from lightning_shap.analysis.class_summary.words import write_lines
from lightning_shap.errors import ArgumentError


def check_comparable(returns: Any, multi_label: bool, *, by: str = "summary") -> None:
    """Makes sure that what swaps parts between classes has classes to compare.

    Raises:
        ArgumentError: If outputs are values, or images have several classes.
    """
    if returns == "values" or multi_label:
        raise ArgumentError(by, "compares classes, and each image must have one; leave it out")


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

    def cure(
        self, *, how: Literal["exchange", "blur", "cover"] = "exchange", p: float = 1.0
    ) -> Cure:
        """Returns an augmentation that takes from images what was found, see :class:`Cure`.

        Args:
            how: What an image has instead.
            p: The share of images that are changed.

        Raises:
            ArgumentError: If nothing was found.
        """
        return make_cure([one.part for one in (*self.suspicions, *self.facts)], how=how, p=p)

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
                "places": sorted(MARKED),
                "share": self.power.share,
                "by_class": [
                    {"class": None if label is None else str(self.names[label]), "share": share}
                    for label, share in self.power.shares.items()
                ],
            },
            "suspicions": [self._suspicion(one) for one in self.suspicions],
            "untested": [self._suspicion(one) for one in self.facts],
            "withdrawn": [self._suspicion(one) for one in self.withdrawn],
            "in_data": [
                {
                    "class": self._label(one.label),
                    "part": one.part.name,
                    "share": one.share,
                    "others": one.others,
                    "p": one.p,
                    "used": self.uses(one),
                }
                for one in self.in_data
            ],
            "watched": [
                {"part": name, "class": self._label(label), **proof.plain}
                for name, proofs in self.watched.items()
                for label, proof in proofs.items()
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

    def _label(self, label: int | None) -> str | None:
        return None if label is None else str(self.names[label])

    def _suspicion(self, one: Suspicion) -> dict[str, Any]:
        assert one.proof is not None  # findings have all been proved
        return {
            "class": self._label(one.label),
            "part": one.part.name,
            "share": one.share,
            "area": None if one.part.mask is None else one.part.area,
            "others": one.others,
            "mirror": one.mirror,
            "surprise": one.surprise,
            "p": one.p,
            "images": one.images,
            "swaps": one.known,
            "proof": one.proof.plain,
        }

    def _swaps(self, label: int) -> dict[str, Any]:
        """Returns what each part decides of a class, from 0 to 1, and how many images say so."""
        own = self.shares.values[self.shares.labels == label]
        known = own[~np.isnan(own).any(axis=1)]
        means = known.mean(axis=0).clip(0, 1).tolist() if len(known) else []
        names = [part.name for part in self.shares.parts]
        return {
            "class": str(self.names[label]),
            "images": len(known),
            "shares": dict(zip(names, means, strict=False)),
        }
