"""Keep classes and scale from one picture of a run to the next, so that they can be compared."""

from dataclasses import replace
from typing import Any

import numpy as np

from lightning_shap.engine.methods.registry import RegionsName
from lightning_shap.engine.question import Question
from lightning_shap.explanation.explanation import ImageExplanation
from lightning_shap.pictures.limits import RunningLimit

MOST_KEPT = 2  # the true class, and one beside it
USUAL_TOPK = 3  # these, and the highest other
USUAL_REGIONS: RegionsName = "image"  # for the eye; rectangles are what explain returns unasked


class FixedClasses:
    """Keeps the classes that samples are explained for in all epochs, and the scale of pictures.

    Were each epoch explained for its own highest outputs, a column of the pictures would be of one
    class now and of another then, and its change would say nothing; were all columns kept, what is
    predicted later might have no map. So the first columns stay: the true class, or the highest
    without a label, and one that was likely beside it. All others are each epoch's own.

    They are those of the first epoch that was explained, since an untrained model ranks classes at
    random.

    Attributes:
        limit: The scale of all epochs.
        classes: int (N, K'), those explained first, best first; None until then.
        against: int (N,), what they are compared with, None unless that was asked for.
    """

    def __init__(self) -> None:
        self.limit = RunningLimit()
        self.classes: np.ndarray | None = None
        self.against: np.ndarray | None = None

    def keep(self, explanation: ImageExplanation, *, is_control: bool = False) -> None:
        """Keeps to the classes of the first explanation of the samples by a trained model.

        What a class is compared with is that of the control already, which has no other map.
        """
        record = explanation.record
        if self.classes is None and (not is_control or record.against is not None):
            self.classes, self.against = np.asarray(explanation.output_indexes), record.against

    def narrow(self, question: Question, samples: int) -> Question:
        """Returns what to ask of all samples, so many: for the classes kept first, once known."""
        if self.classes is None or len(self.classes) != samples:
            return question
        kept = self.classes[:, : _count_kept(self.classes.shape[1])]
        return question.begin_with(kept, self.against)

    def mark(self, explanation: ImageExplanation, question: Question) -> None:
        """Notes in an explanation which of its maps are kept, where others are not."""
        indexes = np.asarray(explanation.output_indexes)
        record, (images, maps) = explanation.record, indexes.shape
        kept = _count_kept(maps)
        everything = maps in (kept, record.outputs.shape[1])
        if self.classes is None or question.topk is None or everything:
            return
        if np.array_equal(indexes[:, :kept], self.classes[:, :kept]):
            columns = np.arange(maps) < kept
            explanation.record = replace(record, kept=np.tile(columns, (images, 1)))

    def state_dict(self) -> dict[str, Any]:
        """Returns what a resumed run needs to go on alike."""
        if self.classes is None:
            return {}
        against = None if self.against is None else self.against.tolist()
        return {"classes": self.classes.tolist(), "against": against, "limit": self.limit.value}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on as the run that is resumed."""
        classes, against = (
            None if state.get(name) is None else np.array(state[name], dtype=np.int64)
            for name in ("classes", "against")
        )
        limit = RunningLimit(float(state.get("limit", 0.0)))
        self.classes, self.against, self.limit = classes, against, limit


def _count_kept(maps: int) -> int:
    """Returns how many of so many maps are kept: one at least is each epoch's own."""
    return min(MOST_KEPT, max(1, maps - 1))
