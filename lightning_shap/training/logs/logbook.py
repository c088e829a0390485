"""Log an explanation: a picture, numbers, the page's data; in the end, how the training went."""

from typing import Any

from lightning_shap.analysis.history.history import History
from lightning_shap.explanation.explanation import ImageExplanation
from lightning_shap.page.data import PageWriter, numbers_of
from lightning_shap.pictures.grid import plot
from lightning_shap.pictures.limits import RunningLimit
from lightning_shap.pictures.photographs import Album
from lightning_shap.pictures.pixels import Look
from lightning_shap.training.configuration import Configuration
from lightning_shap.training.lightning import Trainer
from lightning_shap.training.logs.destinations import Destinations
from lightning_shap.training.logs.ending import conclude
from lightning_shap.training.logs.loggers import Entry
from lightning_shap.training.moment import Moment

CONTROL = "before training"  # the title of the untrained model's picture


class Logbook:
    """Draws the explanations of a fit and hands them, with their numbers, to every logger.

    Args:
        asked: What the callback was given. Explanations under other tags are no part of the
            history.
        trainer: The trainer. Its first process logs alone.
    """

    def __init__(self, asked: Configuration, trainer: Trainer) -> None:
        self.asked = asked
        self.trainer = trainer
        self.destinations = Destinations(asked, trainer)
        self.history = History(asked.metrics or ())
        self._album = Album()
        self._page = PageWriter(self._album)

    def log(
        self,
        explanation: ImageExplanation,
        tag: str,
        title: str,
        look: Look,
        limit: RunningLimit | None,
        faithful: dict[str, float],
    ) -> None:
        """Logs an explanation.

        Args:
            explanation: Of all samples.
            tag: Under which it is logged.
            title: Over the picture.
            look: How images are shown.
            limit: The scale of all epochs, None for a scale of its own.
            faithful: Numbers that were measured with the model.
        """
        if not self.trainer.is_global_zero:
            return
        # The untrained model's values are of another size, and would pale all others or be paled.
        control = title == CONTROL
        moment = Moment.untrained() if control else Moment.of(self.trainer)
        if tag == self.asked.tag:
            snapshot = title if control else f"epoch {moment.epoch}"
            numbers = self.history.add(explanation, snapshot, is_control=control)
        else:
            numbers = self.history.numbers(explanation)
        drawn: dict[str, Any] = {
            **look,
            "title": title,
            "style": self.asked.style,
            "album": self._album,
            "notes": ["control, on a scale of its own"] if control else [],
        }
        picture = plot(explanation, **drawn, limit=limit)
        limit = None if limit is None else limit.as_it_is  # for a single one, it is not widened
        record = explanation.record
        samples = range(len(record.outputs)) if self.asked.per_sample else ()
        single = [plot(explanation, **drawn, limit=limit, rows=[row]) for row in samples]
        step, epoch = moment.step, moment.epoch
        entry = Entry(
            tag=tag,
            picture=picture,
            title=title,
            numbers=numbers_of(tag, record, {**numbers, **faithful}),
            page=self._page.data(explanation, **look, step=step, epoch=epoch, title=title),
            step=step,
            epoch=epoch,
        )
        self.destinations.write(entry, record, single)

    def close(self, final: ImageExplanation, half: ImageExplanation | None, look: Look) -> None:
        """Logs how the training ended.

        Args:
            final: Of the model that the training leaves behind.
            half: The same from half the evaluations, or None.
            look: How images are shown.
        """
        if self.trainer.is_global_zero:
            conclude(
                self.destinations,
                self.history,
                final,
                half,
                tag=self.asked.tag,
                drawn=self.asked.evolution,
                look=look,
                album=self._album,
            )
