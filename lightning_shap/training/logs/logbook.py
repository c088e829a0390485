"""Log an explanation: a picture, numbers, the page's data; in the end, how the training went."""

from collections.abc import Sequence
from functools import cache, partial
from typing import Any

import numpy as np

from lightning_shap.analysis.history.conclusion import Summary
from lightning_shap.analysis.history.history import History
from lightning_shap.analysis.history.snapshot import Snapshot
from lightning_shap.engine.methods.registry import METHODS
from lightning_shap.explanation.explanation import ImageExplanation
from lightning_shap.page.data import PageWriter, list_numbers
from lightning_shap.pictures.card import draw_card
from lightning_shap.pictures.evolution import (
    MOST_ROWS,
    draw_animation,
    draw_evolution,
    draw_evolution_card,
)
from lightning_shap.pictures.grid import plot
from lightning_shap.pictures.limits import RunningLimit
from lightning_shap.pictures.photographs import Album
from lightning_shap.pictures.pixels import Look
from lightning_shap.training.configuration import Configuration
from lightning_shap.training.lightning import Trainer
from lightning_shap.training.logs.destinations import Destinations
from lightning_shap.training.logs.loggers import EVOLUTION, SUMMARY, Entry, Text
from lightning_shap.training.messages import inform, warn
from lightning_shap.training.moment import Moment
from lightning_shap.training.time_budget import TimeBudget
from lightning_shap.training.watch import Watch

CONTROL = "before training"  # the title of the untrained model's picture
CHANGED = f"{EVOLUTION}_changed"
LEAST_HALF = 8  # evaluations; fewer resolve nothing that could be compared
SAME = 0.9999  # a similarity, where no noise is known


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
        self.watch = Watch(asked, trainer)
        self._album = Album()
        self._page = PageWriter(self._album)

    def log(
        self,
        explanation: ImageExplanation,
        tag: str,
        title: str,
        look: Look,
        limit: RunningLimit | None,
        measured: dict[str, float],
    ) -> None:
        """Logs an explanation.

        Args:
            explanation: Of all samples.
            tag: Under which it is logged.
            title: Over the picture.
            look: How images are shown.
            limit: The scale of all epochs, None for a scale of its own.
            measured: Numbers that were measured with the model.
        """
        control = title == CONTROL
        said = None if control or tag != self.asked.tag else self.watch.warn(explanation)
        if not self.trainer.is_global_zero:
            return
        measured = {**measured, **self.watch.measure(explanation)}
        # The untrained model's values are of another size, and would pale all others or be paled.
        moment = Moment(0, -1) if control else Moment.find(self.trainer)
        if tag == self.asked.tag:
            by_step = self.asked.every_n_steps > 0
            name = f"step {moment.step}" if by_step else f"epoch {moment.epoch}"
            snapshot = title if control else name
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
        style = {"style": self.asked.style, "album": self._album}
        card = draw_card(explanation, **look, **style, limit=limit)
        limit = None if limit is None else limit.as_it_is  # for a single one, it is not widened
        record = explanation.record
        samples = range(len(record.outputs)) if self.asked.per_sample else ()
        picture = cache(partial(plot, explanation, **drawn, limit=limit))  # where it is shown
        single = [plot(explanation, **drawn, limit=limit, rows=[row]) for row in samples]
        step, epoch = moment.step, moment.epoch
        entry = Entry(
            tag=tag,
            picture=picture,
            title=title,
            numbers=list_numbers(tag, record, {**numbers, **measured}),
            page=self._page.make(explanation, **look, step=step, epoch=epoch, title=title),
            step=step,
            epoch=epoch,
            card=card,
            is_single=tag != self.asked.tag,
        )
        self.destinations.write(entry, record, single)
        if said is not None:
            self.destinations.end({said.name: picture()}, said)

    def close(self, final: ImageExplanation, half: ImageExplanation | None, look: Look) -> None:
        """Logs how the training ended.

        Args:
            final: Of the model that the training leaves behind.
            half: The same from half the evaluations, or None.
            look: How images are shown.
        """
        history, drawn = self.history, self.asked.evolution
        samples = len(final.record.outputs)
        if not self.trainer.is_global_zero or not history.snapshots:
            return
        if len(history.snapshots[0].verdicts) != samples:
            return
        if not history.metrics and drawn is None:  # nobody asked for a history
            return
        summary = history.end(final, half)
        final.training = summary
        inform("\n  ".join(["ShapCallback, this training:", *summary.lines]))
        if summary.warning is not None and "changed" in history.metrics:
            warn(f"ShapCallback: {summary.warning}")
        if drawn is None:
            return
        snapshots, title = _add_final(history.snapshots, final, summary), "how the maps changed"
        given: dict[str, Any] = {**look, "album": self._album}
        pictures = {EVOLUTION: draw_evolution(snapshots, final, **given, title=title)}
        changed = _find_most_changed(snapshots)
        card = draw_evolution_card(snapshots, final, **given, rows=changed)
        if changed and samples > MOST_ROWS:
            most = f"{title}, of the images whose prediction changed most"
            pictures[CHANGED] = draw_evolution(snapshots, final, **given, title=most, rows=changed)
        film = None
        if drawn == "animated":
            film = draw_animation(snapshots, final, **given, title=title)
        words = Text(tag=self.asked.tag, name=SUMMARY, table=summary.markdown, plain=summary.plain)
        self.destinations.end(pictures, words, film, cards={EVOLUTION: card})


def choose_half(final: ImageExplanation, history: History, budget: TimeBudget) -> int:
    """Returns with how many evaluations to explain the final model again, 0 for not at all.

    Where a method does not err by chance, half of the evaluations show how much of a difference
    between two maps is that of a budget and not of a model, if there is time for them.
    """
    method, half = METHODS[final.record.method], final.record.max_evals // 2
    wanted = "settled" in history.metrics and bool(history.epochs) and not method.errs_by_chance
    if not wanted or half < LEAST_HALF:
        return 0
    return half if budget.choose_evaluations(half, len(final.record.outputs)) == half else 0


def _add_final(
    snapshots: Sequence[Snapshot], final: ImageExplanation, summary: Summary
) -> list[Snapshot]:
    """Adds the final model as a snapshot where its maps are not those of the last epoch."""
    bound = SAME if summary.floor is None else min(summary.floor, SAME)
    same = bool(summary.to_final) and summary.to_final[-1] >= bound
    return [*snapshots] if same else [*snapshots, Snapshot.of(final, "final model")]


def _find_most_changed(snapshots: Sequence[Snapshot]) -> list[int]:
    """Returns the images whose prediction changed most often, as many as are shown."""
    predicted = [one.predicted for one in snapshots if one.predicted is not None]
    if not predicted:
        return []
    classes = np.stack(predicted)
    changes = (classes[1:] != classes[:-1]).any(axis=2).sum(axis=0)
    most = np.argsort(-changes, kind="stable")[:MOST_ROWS]
    return sorted(most[changes[most] > 0].tolist())
