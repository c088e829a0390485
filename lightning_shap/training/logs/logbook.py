"""What is logged of an explanation: a picture, numbers, the page's data; in the end, the story."""

from collections.abc import Callable
from typing import Any, Literal

from lightning_shap.analysis.history.history import Story
from lightning_shap.explanation.explanation import ImageExplanation
from lightning_shap.page.data import PageWriter
from lightning_shap.pictures.grid import plot
from lightning_shap.pictures.photographs import Album
from lightning_shap.pictures.styles import StyleName
from lightning_shap.training.fixed_classes import Steady
from lightning_shap.training.lightning import Trainer
from lightning_shap.training.logs.ending import conclude
from lightning_shap.training.logs.results import Results
from lightning_shap.training.messages import warn
from lightning_shap.training.moment import Moment

CONTROL = "before training"  # the title of the untrained model's picture


def resume(part: str, load: Callable[[Any], None], begin: Callable[[], None], state: Any) -> None:
    """Takes a part of a checkpoint's state; one that is unreadable is a warning, and begins anew.

    Args:
        part: What messages call it.
        load: Takes its state.
        begin: Forgets what was taken of it.
        state: As the checkpoint has it, which may be anything.
    """
    try:
        load(state)
    except Exception as error:  # a damaged archive makes NumPy, zipfile and JSON raise anything
        begin()
        warn(f"ShapCallback begins its {part} anew, as the checkpoint's is unreadable: {error}")


class Logbook:
    """Draws explanations and hands them, with their numbers, to every logger.

    Args:
        tag: The callback's; explanations under other tags are no part of the story.
        results: Where everything goes.
        steady: What stays as it is from picture to picture.
        story: What is learnt from several explanations.
        style: How maps are drawn, None for what suits the images.
        evolution: Whether to draw the story, and to animate it.
        per_sample: Whether each sample also has pictures of its own.
    """

    def __init__(
        self,
        tag: str,
        results: Results,
        steady: Steady,
        story: Story,
        style: StyleName | None,
        evolution: Literal["picture", "animated"] | None,
        per_sample: bool,
    ) -> None:
        self.tag = tag
        self.results = results
        self.steady = steady
        self.story = story
        self.style = style
        self.evolution = evolution
        self.per_sample = per_sample
        self.begin()

    def begin(self) -> None:
        """A new fit."""
        self.steady.begin()
        self.story.begin()
        self.results.begin()
        self._album = Album()
        self._page = PageWriter(self._album)

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run goes on from."""
        return {
            "pictures": self.steady.state_dict(),
            "story": self.story.state_dict(),
            "report": self.results.report_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on as the run that is resumed."""
        pictures, report, story = (state.get(part, {}) for part in ("pictures", "report", "story"))
        resume("pictures", self.steady.load_state_dict, self.steady.begin, pictures)
        resume("report", self.results.load_report_state, self.results.begin, report)
        resume("story", self.story.load_state_dict, self.story.begin, story)

    def log(
        self,
        trainer: Trainer,
        explanation: ImageExplanation,
        tag: str,
        title: str,
        *,
        look: dict[str, Any],
        faithful: dict[str, float],
    ) -> None:
        """Logs an explanation, from one process.

        Args:
            trainer: The trainer.
            explanation: Of all samples.
            tag: Under which it is logged.
            title: Over the picture.
            look: Mean, std and channels, as for :func:`lightning_shap.plot`.
            faithful: Numbers that were measured with the model.
        """
        if not trainer.is_global_zero:
            return
        # The untrained model's values are of another size, and would pale all others or be paled.
        control = title == CONTROL
        moment = Moment.untrained() if control else Moment.of(trainer)
        if tag == self.tag:
            chapter = title if control else f"epoch {moment.epoch}"
            numbers = self.story.add(explanation, chapter, is_control=control)
        else:
            numbers = self.story.numbers(explanation)
        drawn = {**look, "title": title, "style": self.style, "album": self._album}
        limit = None if control else self.steady.limit
        if control:
            drawn["notes"] = ["control, on a scale of its own"]
        picture = plot(explanation, **drawn, limit=limit)
        limit = None if limit is None else limit.as_it_is  # for a single one, it is not widened
        samples = range(len(explanation.record.outputs)) if self.per_sample else ()
        single = [plot(explanation, **drawn, limit=limit, rows=[row]) for row in samples]
        page = self._page.data(
            explanation, **look, step=moment.step, epoch=moment.epoch, title=title
        )
        numbers |= faithful
        record = explanation.record
        self.results.write(trainer, tag, record, picture, title, page, moment, numbers, single)

    def close(
        self,
        trainer: Trainer,
        final: ImageExplanation,
        half: ImageExplanation | None,
        look: dict[str, Any],
    ) -> None:
        """Logs how the training ended, from one process.

        Args:
            trainer: The trainer.
            final: Of the model that the training leaves behind.
            half: The same from half the evaluations, or None.
            look: As for :meth:`log`.
        """
        if trainer.is_global_zero:
            conclude(
                trainer,
                self.results,
                self.story,
                final,
                half,
                tag=self.tag,
                drawn=self.evolution,
                look=look,
                album=self._album,
            )
