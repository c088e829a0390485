"""What stays as it is from one picture of a run to the next, so that they can be compared."""

from typing import Any

import numpy as np

from lightning_shap.explanation import ImageExplanation
from lightning_shap.pictures.limits import RunningLimit
from lightning_shap.training.question import Question


class Steady:
    """The classes that a run's samples are explained for, and the scale of its pictures.

    The highest outputs change with the weights. Explained anew in each epoch, a column of the
    pictures would be of one class now and of another then, and its change would say nothing.

    Attributes:
        limit: The scale of all epochs.
        classes: int (N, K'), of each sample, None until the first explanation.
        against: int (N,), what they are compared with, None unless that was asked for.
    """

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """A new fit."""
        self.limit = RunningLimit()
        self.classes: np.ndarray | None = None
        self.against: np.ndarray | None = None

    def keep(self, explanation: ImageExplanation) -> None:
        """Keep to the classes of the first explanation of the samples."""
        if self.classes is None:
            self.classes = np.asarray(explanation.output_indexes)
            self.against = explanation.record.against

    def question(self, question: Question, samples: int) -> Question:
        """What to ask of so many samples, all that there are: the classes by name, once known."""
        if self.classes is None or len(self.classes) != samples:
            return question
        return question.of_classes(self.classes, self.against)

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs to go on alike."""
        if self.classes is None:
            return {}
        against = None if self.against is None else self.against.tolist()
        return {"classes": self.classes.tolist(), "against": against, "limit": self.limit.value}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on as the run that is resumed."""
        classes, against = state.get("classes"), state.get("against")
        self.classes = None if classes is None else np.array(classes, dtype=np.int64)
        self.against = None if against is None else np.array(against, dtype=np.int64)
        self.limit = RunningLimit(float(state.get("limit", 0.0)))
