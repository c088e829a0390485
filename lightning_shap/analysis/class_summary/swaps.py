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
a blur leaves as it is, decides here what it decides in the data. And a part need not be a place:
fine detail is one too, whose swap shows a texture anywhere in the image.

Source: Shapley, "A value for n-person games" (1953); exchanging parts of two inputs is known as
interchange intervention (Geiger et al., "Causal abstractions of neural networks", 2021).
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache, partial
from math import ceil, log
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torchvision.transforms.functional import gaussian_blur

from lightning_shap.analysis.class_summary.places import (
    EDGES,
    FINE,
    STRONGEST,
    Place,
    Shares,
    edge_mask,
)
from lightning_shap.analysis.metrics.where import CORNERS, border_mask, corner_mask
from lightning_shap.engine.game import CoalitionGame
from lightning_shap.isolation.host import seed_all
from lightning_shap.isolation.isolated import isolating

if TYPE_CHECKING:
    from lightning_shap.engine.question import Question
    from lightning_shap.explanation.explanation import ImageExplanation
    from lightning_shap.explanation.record import Record

FRAME, BORDER, OUTER = 1 / 16, 1 / 8, 3 / 16  # widths of what runs around an image, of its sides
DETAIL = 1 / 32  # of the image's side, at least a pixel: the blur that takes fine detail away
NATURAL = 0.02  # shares are not known better
AT_ONCE = 32  # images of which a part is swapped together
MIDDLE = {
    "logit": 0.0,
    "probability": 0.5,
    "log-probability": log(0.5),
}  # above, a single output predicts the second class

MASKS: Mapping[str, Callable[[int, int], np.ndarray]] = {
    **{f"the {name} corner": partial(corner_mask, corner=name) for name in CORNERS},
    **{f"the {name} edge": partial(edge_mask, edge=name) for name in EDGES},
    "the outermost frame": partial(border_mask, share=FRAME),
    "the border": partial(border_mask, share=BORDER),
    "all but the middle": partial(border_mask, share=OUTER),
}
"""Parts that are places, as masks of a height and a width."""

Move = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""What puts a part of images (B, C, H, W) into others."""

FINE_DETAIL = "fine detail"
PARTS = (*MASKS, FINE_DETAIL)
ROWS = 2 * len(PARTS) + 1  # model rows of an image


def choose_partners(labels: np.ndarray | None, count: int, seed: int) -> np.ndarray:
    """Returns with which image each swaps, int (N,): any of another class, else itself.

    Args:
        labels: int (N,), -1 where unknown, which may be any class, or None for that everywhere.
        count: How many images, N.
        seed: Chooses them.
    """
    order = np.random.default_rng(seed).permutation(count)
    found = np.arange(count)
    if labels is None or (labels < 0).all():
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
) -> None:
    """Measures how much of "this class rather than the other image's" each part decides.

    It costs :data:`ROWS` model rows an image. The explanation's record gets them as ``swaps``,
    float64 (N, len(PARTS)), and the whole difference as ``swapped``, float64 (N,), both in units of
    the output, and NaN where the model does not take the image for its class rather than the
    other's.

    Args:
        model: That was explained.
        explanation: Of the images; the first class of each counts.
        images: (N, C, H, W), as the model takes them.
        others: (N, C, H, W), with which each is to swap.
        question: What was asked of the model.
    """
    started = time.perf_counter()
    seed_all(question.seed)
    game = CoalitionGame(
        model,
        images,
        others,
        output=question.output,
        returns=explanation.record.returns,
        multi_label=question.multi_label,
        batch_size=question.batch_size,
    )
    full, empty = explanation.record.outputs, game.play_whole(others)
    difference = _difference(explanation, empty)
    moves: list[Move] = [*(partial(_move_place, mask) for mask in MASKS.values()), _move_detail]
    found = []
    for move in moves:
        gained = difference(_play_moved(game, move, images, others)) - difference(empty)
        lost = difference(full) - difference(_play_moved(game, move, others, images))
        found.append((gained + lost) / 2)
    parts, whole = np.stack(found, axis=1), difference(full) - difference(empty)
    known = (whole > 0) & np.isfinite(whole) & np.isfinite(parts).all(axis=1)
    record = explanation.record
    explanation.record = replace(
        record,
        swaps=np.where(known[:, None], parts, np.nan),
        swapped=np.where(known, whole, np.nan),
        seconds=record.seconds + time.perf_counter() - started,
        model_seconds=record.model_seconds + game.model_seconds,
    )


def measure_swaps_among(
    model: Callable[..., Any],
    explanation: "ImageExplanation",
    images: torch.Tensor,
    question: "Question",
) -> None:
    """Measures swaps as :func:`measure_swaps` does, each image with one of the others."""
    labels = explanation.record.labels
    labels = None if labels is None or labels.ndim != 1 else labels
    chosen = torch.from_numpy(choose_partners(labels, len(images), question.seed))
    measure_swaps(model, explanation, images, images[chosen], question)


def share_swaps(parts: np.ndarray, wholes: np.ndarray, labels: np.ndarray) -> Shares:
    """Returns the shares that parts decide, with their places and each image's strongest corner.

    An image's is in units of the mean whole of its class, so that the mean of a class is the sum of
    its parts over that of its wholes.

    Args:
        parts: (N, len(PARTS)), in units of the output, NaN where nothing is known.
        wholes: (N,), likewise.
        labels: int (N,), the class of each image.
    """
    numbers = np.unique(labels, return_inverse=True)[1].reshape(-1)
    known = ~np.isnan(wholes)
    totals = np.bincount(numbers, np.where(known, wholes, 0))
    means = totals / np.maximum(np.bincount(numbers, known), 1)
    shares = parts / np.where(known, means[numbers], 1)[:, None]
    strongest = shares[:, : len(CORNERS)].max(axis=1, keepdims=True)
    return Shares(_list_places(), np.hstack([shares, strongest]))


@cache
def _list_places() -> tuple[Place, ...]:
    found = [Place(name, mask(FINE, FINE), "swap", NATURAL) for name, mask in MASKS.items()]
    corners = np.logical_or.reduce([place.cells for place in found[: len(CORNERS)]])
    nowhere = np.zeros((FINE, FINE), bool)
    found.append(Place(FINE_DETAIL, nowhere, "swap", NATURAL))
    found.append(Place(STRONGEST, corners, "swap", NATURAL))
    return tuple(found)


def _difference(
    explanation: "ImageExplanation", empty: np.ndarray
) -> Callable[[np.ndarray], np.ndarray]:
    """Returns a function from outputs (N, K) to what they say for one class over the other, (N,).

    Args:
        explanation: Of the images.
        empty: The outputs for the other images, (N, K).
    """
    record, every = explanation.record, np.arange(len(empty))
    if empty.shape[1] > 1:
        own, rival = np.asarray(explanation.output_indexes)[:, 0], empty.argmax(axis=1)
        return lambda outputs: outputs[every, own] - outputs[every, rival]
    # A single output speaks for the second of two classes, and against the first.
    unknown = np.full(len(empty), -1)
    own = _class_of(record, record.outputs, unknown)
    if record.labels is not None and record.labels.ndim == 1:
        own = np.where(record.labels < 0, own, record.labels)
    rival = _class_of(record, empty, 1 - own)
    sign = np.where((own < 0) | (own == rival), 0, 2 * own - 1)
    return lambda outputs: outputs[:, 0] * sign


def _class_of(record: "Record", outputs: np.ndarray, otherwise: np.ndarray) -> np.ndarray:
    """Returns int (N,), which of two classes single outputs (N, 1) predict, else what is given."""
    if record.output not in MIDDLE:
        return otherwise
    return (outputs[:, 0] > MIDDLE[record.output]).astype(int)


def _play_moved(
    game: CoalitionGame, move: Move, images: torch.Tensor, others: torch.Tensor
) -> np.ndarray:
    """Returns the outputs for the others with a part of the images."""
    pairs = zip(images.split(AT_ONCE), others.split(AT_ONCE), strict=True)
    return np.concatenate([game.play_whole(move(image, other)) for image, other in pairs])


def _move_place(
    mask: Callable[[int, int], np.ndarray], images: torch.Tensor, others: torch.Tensor
) -> torch.Tensor:
    """Returns the others with what is at a place of the images."""
    place = torch.from_numpy(mask(*images.shape[-2:])).to(images.device)
    return torch.where(place, images, others)


def _move_detail(images: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    """Returns the others with the fine detail of the images."""
    return _blur(others) + (images - _blur(images))


def _blur(images: torch.Tensor) -> torch.Tensor:
    """Returns the images (N, C, H, W) without their fine detail."""
    side = min(images.shape[-2:])
    sigma = max(1.0, DETAIL * side)
    reach = min(ceil(3 * sigma), side - 1)  # a mirrored border is no wider than the image
    blurred: torch.Tensor = gaussian_blur(images.float(), [2 * reach + 1] * 2, [sigma] * 2)
    return blurred.to(images.dtype)
