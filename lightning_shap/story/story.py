"""The story of one training: its chapters, the numbers of each, and how it ended."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lightning_shap.maps import Maps
from lightning_shap.story.chapter import Chapter
from lightning_shap.story.numbers import MetricName, numbers_of_maps
from lightning_shap.story.summary import Summary, summary_of

if TYPE_CHECKING:
    from lightning_shap.explanation import ImageExplanation

MOST = 64  # epochs that are kept; once there are more, every second one goes


class Story:
    """Takes in one explanation after the other.

    Args:
        metrics: The numbers that are wanted.
    """

    def __init__(self, metrics: Sequence[MetricName]) -> None:
        self.metrics = metrics
        self.begin()

    def begin(self) -> None:
        """A new training."""
        self.control: Chapter | None = None
        self.epochs: list[Chapter] = []  # explained ones, in their order
        self._added = 0
        self._stride = 1  # all but the latest epoch are every so manieth one

    @property
    def chapters(self) -> list[Chapter]:
        """The control, where there is one, and the epochs."""
        return [*([] if self.control is None else [self.control]), *self.epochs]

    def add(
        self, explanation: "ImageExplanation", title: str, *, is_control: bool = False
    ) -> dict[str, float]:
        """Keeps an epoch, or the control, and returns its numbers by name."""
        if any(len(one.verdicts) != len(explanation.record.outputs) for one in self.chapters):
            self.begin()  # there are more samples now, as once a sanity check is over
        numbers = self.numbers(explanation, self._latest)
        chapter = Chapter.of(explanation, title, is_control=is_control)
        if is_control:
            self.control = chapter
        else:
            self._keep(chapter)
        return numbers

    def _keep(self, chapter: Chapter) -> None:
        if self.epochs and (self._added - 1) % self._stride:
            self.epochs.pop()
        self.epochs.append(chapter)
        self._added += 1
        if len(self.epochs) > MOST:
            self.epochs = self.epochs[::2]
            self._stride *= 2

    def numbers(
        self, explanation: "ImageExplanation", previous: Maps | None = None
    ) -> dict[str, float]:
        """The numbers of an explanation that is no epoch's, as the final one."""
        same = self.control is not None and len(self.control.verdicts) == len(
            explanation.record.outputs
        )
        control = self.control.maps if self.control is not None and same else None
        return numbers_of_maps(explanation, previous, control, self.metrics)

    def end(self, final: "ImageExplanation", half: "ImageExplanation | None" = None) -> Summary:
        """How it ended.

        Args:
            final: The explanation of the model that the training leaves behind.
            half: One of half the evaluations, for a method that knows no standard errors.
        """
        return summary_of(self.control, self.epochs, final, half)

    @property
    def _latest(self) -> Maps | None:
        return self.epochs[-1].maps if self.epochs else None
