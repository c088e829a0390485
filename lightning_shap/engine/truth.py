"""Truth: labels that may be those of what is explained, and why others may not."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from lightning_shap.engine.incoming import read_array
from lightning_shap.engine.outputs import Output
from lightning_shap.engine.returned import Returned
from lightning_shap.errors import ArgumentError, ArgumentTypeError
from lightning_shap.explanation.classes import Classes, Returns

IGNORED = 255  # by which annotators mark what is not to be judged, as losses do by -1 or -100

WHICH = "labels= says which labels of the data are true of what is explained"


@dataclass(frozen=True)
class FoundLabels:
    """Facts known of labels that data has, of which some are explained.

    Attributes:
        chosen: Somebody said which of the data's labels they are, or gave them.
        binary: They could be of two classes, or there are none.
        highest: The highest class number among them, None where they are no classes.
    """

    chosen: bool = False
    binary: bool = True
    highest: int | None = None

    def beyond(self, classes: Classes) -> bool:
        """Returns whether there are labels of more classes than these."""
        return self.highest is not None and self.highest >= classes.count


def read_labels(labels: Any, images: int) -> np.ndarray | None:
    """Returns what is true of each image, an array of numbers with a row for each, or None."""
    if labels is None:
        return None
    array = read_array("labels", labels)
    if array.ndim not in (1, 2) or len(array) != images:
        raise ArgumentError(
            "labels", f"have shape {array.shape}; give one class for each of {images} images"
        )
    if array.dtype.kind not in "biuf":
        raise ArgumentTypeError("labels", f"got {array.dtype} values; give whole class indices")
    return array


def keep_labels(
    labels: np.ndarray | None, classes: Classes, found: FoundLabels | None, returned: Returned
) -> np.ndarray | None:
    """Returns the labels as the record keeps them, None where they are of another task.

    Args:
        labels: As :func:`read_labels` returns them, or None.
        classes: What the outputs stand for.
        found: What is known of labels that nobody gave with the images; None for given ones.
        returned: What was seen of the outputs. It notes why there is no truth.

    Raises:
        ArgumentError: If given labels do not fit.
    """
    if labels is None:
        return None
    if found is None:
        known = classes.read_labels(labels)
    else:
        if returned.is_head and not found.chosen:
            returned.note(
                "output= picks one of several heads, and the data's labels may be of another, so "
                f"nothing is marked right or wrong; {WHICH}"
            )
            return None
        if labels.ndim == 1 and labels.dtype.kind in "iu" and not classes.values:
            labels = np.where((labels == IGNORED) & (labels >= classes.count), -1, labels)
        try:
            known = classes.read_labels(labels)
        except (ValueError, TypeError):
            known = None
        if not classes.values and (known is None or found.beyond(classes)):
            returned.note(
                f"{_say_labels(labels, found)}, and there are {classes.count} classes, so nothing "
                f"is marked right or wrong; {WHICH}, and returns='values' that outputs are no "
                "classes"
            )
            return None
    return known


def hint_at_several(labels: np.ndarray | None, classes: Classes) -> None:
    """Warns of images with several true classes where probabilities are shares of one."""
    if labels is None or labels.dtype != bool or classes.multi_label:
        return
    if (labels.sum(axis=1) != 1).any():
        warnings.warn(
            "labels: some images have several classes, or none, but probabilities are shares of "
            "one; give multi_label=True if the model was trained for several",
            stacklevel=4,
        )


def find_returns(
    output: Output,
    task: str | None,
    found: FoundLabels | None,
    classes: Classes,
    returned: Returned,
) -> Returns | None:
    """Returns what a model gives by its own word, or by labels of more classes; else None.

    A single output is no binary classifier's if the data has labels for it beyond zero and one,
    and several are no classes if it has labels of more.
    """
    if output != "logit":
        return None
    if task == "regression":
        return "values"
    if found is None:
        return None
    if classes.outputs == 1:
        return None if found.binary else "values"
    if found.beyond(classes):
        returned.note(
            f"the data's labels go up to {found.highest}, and there are {classes.outputs} outputs, "
            f"so these are taken for values and not for classes; {WHICH}, and returns= what the "
            "outputs are"
        )
        return "values"
    return None


def _say_labels(labels: np.ndarray, found: FoundLabels) -> str:
    """Returns what speaks against labels, in words."""
    if found.highest is not None:
        return f"the data's labels go up to {found.highest}"
    return f"the data's labels are {labels.dtype} of shape {labels.shape}"
