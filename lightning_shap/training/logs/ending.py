"""Say how a training ended: its history in a picture and in words, logged and on the console."""

from collections.abc import Sequence

import numpy as np

from lightning_shap.analysis.history.conclusion import Summary
from lightning_shap.analysis.history.history import History
from lightning_shap.analysis.history.snapshot import Snapshot
from lightning_shap.engine.methods.registry import METHODS
from lightning_shap.explanation.explanation import ImageExplanation
from lightning_shap.pictures.evolution import MOST_ROWS, draw_animation, draw_evolution
from lightning_shap.pictures.photographs import Album
from lightning_shap.pictures.pixels import Look
from lightning_shap.training.logs.destinations import Destinations
from lightning_shap.training.logs.loggers import EVOLUTION
from lightning_shap.training.logs.texts import Ending
from lightning_shap.training.messages import inform, warn
from lightning_shap.training.time_budget import TimeBudget

LEAST_HALF = 8  # evaluations; fewer resolve nothing that could be compared
SAME = 0.9999  # a similarity, where no noise is known
CHANGED = f"{EVOLUTION}_changed"


def half_of(final: ImageExplanation, history: History, budget: TimeBudget) -> int:
    """Returns with how many evaluations to explain the final model again, 0 for not at all.

    Where a method knows no standard errors, half of the evaluations show how much of a difference
    between two maps is that of a budget and not of a model, if there is time for them.
    """
    method, half = METHODS[final.record.method], final.record.max_evals // 2
    wanted = "settled" in history.metrics and bool(history.epochs) and not method.has_error_bars
    if not wanted or half < LEAST_HALF:
        return 0
    return half if budget.evaluations(half, len(final.record.outputs)) == half else 0


def conclude(
    destinations: Destinations,
    history: History,
    final: ImageExplanation,
    half: ImageExplanation | None,
    *,
    tag: str,
    drawn: str | None,
    look: Look,
    album: Album,
) -> Summary | None:
    """Says how a training ended, where there is anything to say; from one process.

    Args:
        destinations: Where pictures and words go.
        history: Of the training.
        final: The explanation of the model that it leaves behind.
        half: Another one of half the evaluations, or None.
        tag: Under which it is logged.
        drawn: See the callback's ``evolution``.
        look: How images are shown.
        album: Keeps the photographs.
    """
    if not history.snapshots or len(history.snapshots[0].verdicts) != len(final.record.outputs):
        return None
    if not history.metrics and drawn is None:  # nobody asked for a history
        return None
    summary = history.end(final, half)
    final.training = summary
    inform("\n  ".join(["ShapCallback, this training:", *summary.lines]))
    if summary.warning is not None and "learnt" in history.metrics:
        warn(f"ShapCallback: {summary.warning}")
    if drawn is None:
        return summary
    snapshots = _with_final(history.snapshots, final, summary)
    title = "how the maps changed"
    pictures = {EVOLUTION: draw_evolution(snapshots, final, **look, album=album, title=title)}
    changed = _most_changed(snapshots)
    if changed:
        most = f"{title}, of the images whose prediction changed most"
        pictures[CHANGED] = draw_evolution(
            snapshots, final, **look, album=album, title=most, rows=changed
        )
    film = None
    if drawn == "animated":
        film = draw_animation(snapshots, final, **look, album=album, title=title)
    destinations.end(pictures, Ending(tag, summary.markdown, summary.plain), film)
    return summary


def _with_final(
    snapshots: Sequence[Snapshot], final: ImageExplanation, summary: Summary
) -> list[Snapshot]:
    """Adds the final model as a snapshot where its maps are not those of the last epoch."""
    bound = SAME if summary.floor is None else min(summary.floor, SAME)
    same = bool(summary.to_final) and summary.to_final[-1] >= bound
    return [*snapshots] if same else [*snapshots, Snapshot.of(final, "final model")]


def _most_changed(snapshots: Sequence[Snapshot]) -> list[int]:
    """Returns the images whose prediction changed most often, where not all are shown anyway."""
    predicted = [one.predicted for one in snapshots if one.predicted is not None]
    if not predicted or len(predicted[0]) <= MOST_ROWS:
        return []
    classes = np.stack(predicted)
    changes = (classes[1:] != classes[:-1]).any(axis=2).sum(axis=0)
    most = np.argsort(-changes, kind="stable")[:MOST_ROWS]
    return sorted(most[changes[most] > 0].tolist())
