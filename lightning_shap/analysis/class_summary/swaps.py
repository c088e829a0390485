"""Swaps: what is decided by a part of an image, found by exchanging it with another image's.

Of an image and one of another class, each part is swapped in turn, and what the model says of both
is compared with what it said before. A part and the rest of the image are two players of a game
whose empty coalition is the other image; what the part decides is its Shapley value in "this class
rather than the other", and the whole is what both players share:

    part = ((f(other with part) - f(other)) + (f(image) - f(image with the other's part))) / 2
    whole = f(image) - f(other)

A class's share is the sum of its parts over the sum of its wholes. An image by itself has none: one
that is hardly taken for its class would count as much as any, and a share that is cut off at 0 and
1 is no longer right on average.

So nothing stands for what is absent but what other images show there: a border of one colour, which
a blur leaves as it is, decides here what it decides in the data. And a part need not be a place
(``parts``). What the image with the other's part, the other with the image's and the image without
the part are taken for is kept as well: it is the proof (``proof``).

Source: Shapley, "A value for n-person games" (1953); exchanging parts of two inputs is known as
interchange intervention (Geiger et al., "Causal abstractions of neural networks", 2021).
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from math import log
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from lightning_shap.analysis.class_summary.parts import Part, list_parts
from lightning_shap.engine.game import CoalitionGame
from lightning_shap.engine.maskers import paint_background
from lightning_shap.engine.outputs import NAMES
from lightning_shap.isolation.host import seed_all
from lightning_shap.isolation.isolated import isolating

if TYPE_CHECKING:
    from lightning_shap.engine.question import Question
    from lightning_shap.explanation.explanation import ImageExplanation
    from lightning_shap.explanation.record import Record

AT_ONCE = 32  # images of which parts are swapped together
BYTES = 2**26  # that these take at most, if one alone does not take more
EXCHANGED, CARRIED, REMOVED = range(3)  # how an image was changed, the last axis of swap_classes
SQUARES = 6  # that are exchanged of an image, measured in examples/benchmarks/shortcuts.py: 1 to 7
CROSSED = 0.35  # of the whole that its rows decide, and its columns, for a square to be exchanged
MIDDLE = {
    "logit": 0.0,
    "probability": 0.5,
    "log-probability": log(0.5),
}  # above, a single output predicts the second class


def count_rows(parts: Sequence[Part]) -> int:
    """Returns how many model rows an image takes, of squares as many as most images need."""
    squares = sum(bool(part.lines) for part in parts)
    return 3 * (len(parts) - squares + min(squares, SQUARES)) + 1 if parts else 0


def choose_partners(labels: np.ndarray | None, count: int, seed: int) -> np.ndarray:
    """Returns with which image each swaps, int (N,): any of another class, else itself.

    Args:
        labels: int (N,), -1 where unknown, which may be any class. None is that everywhere, and so
            is what gives an image no one class.
        count: How many images, N.
        seed: Chooses them.
    """
    order = np.random.default_rng(seed).permutation(count)
    found = np.arange(count)
    is_known = labels is not None and labels.ndim == 1 and labels.dtype.kind in "iu"
    if labels is None or not is_known or (labels < 0).all():
        found[order] = np.roll(order, 1)
        return found
    for label in np.unique(labels):
        own, others = order[labels[order] == label], order[labels[order] != label]
        if len(others):
            found[own] = np.resize(others, len(own))
    return found


@isolating("model")
def measure_swaps(
    model: Callable[..., Any],
    explanation: "ImageExplanation",
    images: torch.Tensor,
    others: torch.Tensor,
    question: "Question",
    parts: Sequence[Part] | None = None,
) -> None:
    """Measures how much of "this class rather than the other image's" each part decides.

    It costs :func:`count_rows` model rows an image. The explanation's record gets ``swaps``, what
    each part decides, and ``swapped``, the whole difference, in units of the output and NaN where
    the model does not take the image for its class rather than the other's; ``swap_classes``, what
    changed images are taken for; ``swap_rivals``, what the others are; and ``swap_parts``.

    Args:
        model: That was explained.
        explanation: Of the images; the first class of each counts.
        images: (N, C, H, W), as the model takes them.
        others: (N, C, H, W), with which each is to swap.
        question: What was asked of the model.
        parts: All that there are where None.
    """
    started = time.perf_counter()
    seed_all(question.seed)
    parts = list_parts() if parts is None else parts
    game = CoalitionGame(
        model,
        images,
        others,
        output=question.output,
        returns=explanation.record.returns,
        multi_label=question.multi_label,
        batch_size=question.batch_size,
        precision=question.precision,
    )
    background = paint_background(question.masker, images)
    full, empty = explanation.record.outputs, game.play_whole(others)
    record = explanation.record
    difference, rivals = _compare_with(explanation, empty)
    alone = (images == others).flatten(1).all(dim=1).cpu().numpy()  # there was no other
    gained = difference(full) - difference(empty)
    values = np.zeros((len(images), len(parts)))
    unmoved = [_predict(record, one) for one in (full, empty, full)]
    taken = np.tile(np.stack(unmoved, axis=1)[:, None], (1, len(parts), 1))
    numbers = range(len(parts))
    for is_square in (False, True):  # squares after their lines
        columns = [number for number in numbers if bool(parts[number].lines) == is_square]
        rows = {one: _choose_rows(parts[one], parts, values, gained) for one in columns}
        for column, some, outputs in _play_parts(game, parts, rows, images, others, background):
            exchanged, carried, _ = (difference(one, some) for one in outputs)
            given, without = carried - difference(empty)[some], difference(full)[some] - exchanged
            values[some, column] = (given + without) / 2
            taken[some, column] = np.stack([_predict(record, one) for one in outputs], axis=1)
    known = (gained > 0) & np.isfinite(gained) & np.isfinite(values).all(axis=1)
    explanation.record = replace(
        record,
        swaps=np.where(known[:, None], values, np.nan),
        swapped=np.where(known, gained, np.nan),
        swap_rivals=np.where(alone, -1, rivals),
        swap_classes=taken,
        swap_parts=[part.name for part in parts],
        seconds=record.seconds + time.perf_counter() - started,
        model_seconds=record.model_seconds + game.model_seconds,
    )


def _compare_with(
    explanation: "ImageExplanation", empty: np.ndarray
) -> tuple[Callable[..., np.ndarray], np.ndarray]:
    """Returns what outputs say for one class over the other, as a function, and the others.

    Args:
        explanation: Of the images.
        empty: The outputs for the other images, (N, K).

    Returns:
        A function of outputs (n, K), and of which images they are, int (n,), all where not given,
        to float64 (n,); and the classes of the other images, int (N,).
    """
    record, every = explanation.record, np.arange(len(empty))
    rival = _predict(record, empty)
    if empty.shape[1] > 1:
        own = np.asarray(explanation.output_indexes)[:, 0]

        def compare(outputs: np.ndarray, rows: np.ndarray = every) -> np.ndarray:
            found: np.ndarray = np.subtract(
                *(outputs[np.arange(len(rows)), which[rows]] for which in (own, rival))
            )
            return found

        return compare, rival
    # A single output speaks for the second of two classes, and against the first.
    own = _predict(record, record.outputs)
    if record.labels is not None and record.labels.ndim == 1:
        own = np.where(record.labels < 0, own, record.labels)
    rival = np.where(rival < 0, 1 - own, rival)
    sign = np.where((own < 0) | (own == rival), 0, 2 * own - 1)
    return lambda outputs, rows=every: outputs[:, 0] * sign[rows], rival


def _predict(record: "Record", outputs: np.ndarray) -> np.ndarray:
    """Returns int (N,), which class outputs (N, K) predict, -1 where there is no saying."""
    if outputs.shape[1] > 1:
        return outputs.argmax(axis=1)
    returned = NAMES[record.returns or "values"]
    explained = returned if record.output == "custom" else record.output
    if explained not in MIDDLE:
        return np.full(len(outputs), -1)
    return (outputs[:, 0] > MIDDLE[explained]).astype(int)


def _choose_rows(
    part: Part, parts: Sequence[Part], values: np.ndarray, whole: np.ndarray
) -> np.ndarray:
    """Returns of which images a part is exchanged, int (n,): all, or those whose lines decide.

    That depends on what an image and its other decide, and not on their classes, so that the test
    against chance is as exact as it was.
    """
    chosen = np.ones(len(whole), bool) if not part.lines else whole > 0
    columns = {one.name: column for column, one in enumerate(parts)}
    for lines in part.lines:
        if columns.keys() >= set(lines):
            decided = values[:, [columns[name] for name in lines]].sum(axis=1)
            chosen &= decided >= CROSSED * whole
    return np.flatnonzero(chosen)


def _play_parts(
    game: CoalitionGame,
    parts: Sequence[Part],
    rows: Mapping[int, np.ndarray],
    images: torch.Tensor,
    others: torch.Tensor,
    background: torch.Tensor,
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Yields the outputs for images with parts exchanged, carried and removed.

    Parts of which there are few rows share their calls.

    Args:
        game: Plays whole pictures.
        parts: P of them.
        rows: Of which images some of them are played, int (n,), by the number of each.
        images: (N, C, H, W).
        others: With which they swap, likewise.
        background: What is there where a part is removed, likewise.

    Yields:
        The number of a part, some of its rows, int (n,), and the outputs of these, (3, n, K).
    """
    at_once = max(1, min(AT_ONCE, BYTES // (3 * images[0].nbytes))) if len(images) else 1
    columns = np.repeat([*rows], [len(some) for some in rows.values()])
    places = np.concatenate([np.empty(0, int), *rows.values()])
    for start in range(0, len(places), at_once):
        here = slice(start, start + at_once)
        runs = [(int(one), places[here][columns[here] == one]) for one in np.unique(columns[here])]
        moved = []
        for column, some in runs:
            at = torch.from_numpy(some)
            own, other, nothing = (one[at] for one in (images, others, background))
            carry = parts[column].carry
            moved += [carry(other, own), carry(own, other), carry(nothing, own)]
        played = game.play_whole(torch.cat(moved))
        ends = 3 * np.cumsum([len(some) for _, some in runs])
        for (column, some), outputs in zip(runs, np.split(played, ends[:-1]), strict=True):
            yield column, some, outputs.reshape(3, len(some), -1)
