"""With which image each of a summary is swapped, in which parts, and what so many can show."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from lightning_shap.command.data.folders import ImageSet

if TYPE_CHECKING:
    from lightning_shap.analysis.class_summary.parts import Part


def read_watched(watch: Sequence[str] | None) -> Sequence["Part"]:
    """Returns the parts that are watched.

    Raises:
        ArgumentError: If what is given names none.
    """
    if watch is None:
        return ()
    from lightning_shap.analysis.class_summary.watched import read_parts

    return read_parts(watch)


def draw_partners(images: ImageSet, order: Sequence[int], seed: int) -> dict[int, int]:
    """Returns with which image each is swapped, by number."""
    from lightning_shap.analysis.class_summary.swaps import choose_partners

    labels = None if images.labels is None else images.labels[np.array(order)]
    chosen = choose_partners(labels, len(order), seed)
    return {number: order[other] for number, other in zip(order, chosen, strict=True)}


def expect(images: ImageSet, order: Sequence[int]) -> str:
    """Returns what a summary of some images can show, in words."""
    from lightning_shap.analysis.class_summary.words import write_expectation

    labels = None if images.labels is None else images.labels[np.array(order)]
    return write_expectation(labels, len(order))
