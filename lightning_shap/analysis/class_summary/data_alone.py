"""The data alone: which parts of images tell their class, whatever a model makes of them.

Of each part a ridge regression guesses the class of an image from those of all others: of a place
by its pixels, of a property by its numbers. What counts of an image is how many images of other
classes are less like its class, from -1 to 1: twice the area under the ROC curve, less 1, is the
mean over a class. These shares are tested as those of swaps are, in the same parts at the same
level (:mod:`lightning_shap.analysis.class_summary.suspicions`): a part must tell one class better
than it tells others, and better than the parts that mirror it. But images of a class are guessed
from one another, and so rightly all together or not at all. So what is found must also be guessed
more surely, its class from others, than any part of any class is once the classes are dealt out to
the images anew and all is guessed again. No model is asked; so what is found is in the data, and
may or may not be used.

Leaving out one image at a time takes no more than one solution: Allen, "The relationship between
variable selection and data augmentation and a method for prediction" (1974).
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch.nn.functional import adaptive_avg_pool2d

from lightning_shap.analysis.class_summary.parts import FINE, Part, list_parts, measure_rings
from lightning_shap.analysis.class_summary.shares import Shares
from lightning_shap.analysis.class_summary.suspicions import (
    LEAST_SHARED,
    LEVEL,
    Suspicion,
    find_suspicions,
)

RIDGE = 0.1  # of the mean square of what an image shows
MOST = 512  # images, which is enough to tell; time grows with their cube
RINGS = 16  # frequencies of which the strength is known
DEALS = 99  # of the classes to the images, the fewest that can tell the level


def read_features(images: np.ndarray) -> np.ndarray:
    """Returns what images (N, H, W, C) show, float32 (N, FINE * FINE * C + RINGS)."""
    shown = torch.from_numpy(np.ascontiguousarray(np.moveaxis(images, -1, 1), np.float32))
    pooled = adaptive_avg_pool2d(shown, FINE).movedim(1, -1).flatten(1)
    power = measure_rings(torch.fft.rfft2(shown))[:, 1:]  # all but the mean
    strength = torch.log(adaptive_avg_pool2d(power[:, None], (1, RINGS)).flatten(1) + 1e-6)
    return torch.cat([pooled, strength], dim=1).numpy()


def find_telling(features: np.ndarray, labels: np.ndarray, *, seed: int = 0) -> list[Suspicion]:
    """Returns parts that tell one class far better than others, the worst first.

    Classes differ by nature in any part, so that each must surprise as what they share does.

    Args:
        features: See :func:`read_features`.
        labels: int (N,), the class of each image, below 0 where unknown.
        seed: Of the permutations.
    """
    features, labels = _pick_images(features, labels)
    found = find_suspicions(tell_classes(features, labels), seed=seed)
    found = [one for one in found if one.surprise >= LEAST_SHARED]
    if not found:
        return []
    random, parts = np.random.default_rng(seed), list_parts()
    deals = np.array([labels, *(random.permutation(labels) for _ in range(DEALS))])
    sureness = np.stack([_measure_sureness(one, deals) for one in _pick(features, parts)])
    largest = sureness[:, 1:].max(axis=(0, 2))
    classes, kept = np.unique(labels).tolist(), []
    for one in found:
        own = sureness[
            parts.index(one.part), 0, -1 if one.label is None else classes.index(one.label)
        ]
        p = float(1 + (largest >= own).sum()) / (1 + DEALS)
        if p <= LEVEL:
            kept.append(replace(one, p=max(p, one.p or p)))
    return kept


def tell_classes(features: np.ndarray, labels: np.ndarray) -> Shares:
    """Returns how well each part alone tells the class of each image, as shares.

    Args:
        features: See :func:`read_features`.
        labels: int (N,), the class of each image, below 0 where unknown.
    """
    features, labels = _pick_images(features, labels)
    parts = list_parts()
    values = np.stack([_tell(one, labels) for one in _pick(features, parts)], axis=1)
    return Shares(parts, values, labels, labels)


def _pick_images(features: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the features and labels of images of known classes, ``MOST`` at most."""
    rows = np.flatnonzero(labels >= 0)
    rows = rows[np.unique(np.linspace(0, len(rows) - 1, MOST).astype(int))] if len(rows) else rows
    return features[rows], labels[rows]


def _pick(features: np.ndarray, parts: Sequence[Part]) -> list[np.ndarray]:
    """Returns what each part shows of each image, (N, F) each."""
    pixels, strength = np.split(features, [features.shape[1] - RINGS], axis=1)
    pixels = pixels.reshape(len(features), FINE, FINE, -1)
    properties = {
        "tint and brightness": pixels.mean(axis=(1, 2)),
        "fine detail": strength[:, RINGS // 2 :],
        "sharpness": strength[:, RINGS // 4 :] - strength[:, : RINGS // 4].mean(axis=1)[:, None],
    }
    return [
        properties[part.name]
        if part.mask is None
        else pixels[:, part.cells].reshape(len(pixels), -1)
        for part in parts
    ]


def _tell(shown: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Returns how much more like its class than those of others each image is, (N,)."""
    guessed, is_class = (one[:, 0] for one in _guess(shown, labels[None]))
    found = np.full(len(labels), np.nan)
    for likely, inside in zip(guessed.T, is_class.T, strict=True):
        if inside.all():
            continue
        mine, theirs = likely[inside], np.sort(likely[~inside])
        below = np.searchsorted(theirs, mine, "left") + np.searchsorted(theirs, mine, "right")
        found[inside] = below / len(theirs) - 1
    return found


def _measure_sureness(shown: np.ndarray, deals: np.ndarray) -> np.ndarray:
    """Returns how surely each class, and then any, is guessed, (D, K + 1): 0 by chance, 1 at most.

    Args:
        shown: (N, F), of images.
        deals: int (D, N), of two classes or more to these.
    """
    guessed, inside = _guess(shown, deals)
    counts, others = inside.sum(axis=0), (~inside).sum(axis=0)
    sure = (guessed * inside).sum(axis=0) / counts - (guessed * ~inside).sum(axis=0) / others
    whole = (sure * counts).sum(axis=1, keepdims=True) / len(shown)
    return np.hstack([sure, whole])


def _guess(shown: np.ndarray, deals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns each image's classes as guessed from all others, and bool, as they are, (N, D, K)."""
    centred = shown.astype(np.float64) - shown.mean(axis=0)
    centred /= centred.std() + 1e-9
    both = np.hstack([centred, centred**2 - (centred**2).mean(axis=0)])
    inside = deals.T[:, :, None] == np.unique(deals)
    truth = (inside - inside.mean(axis=0)).reshape(len(shown), -1)
    fitted, own = _fit_ridge(both, truth)
    return ((fitted - own * truth) / (1 - own)).reshape(inside.shape), inside


def _fit_ridge(both: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns what a ridge regression says of images, (N, K), and each one's part in it, (N, 1)."""
    size, features = both.shape
    ridge = RIDGE * ((both**2).sum() / size + 1e-9)
    if features < size:  # the smaller of two systems that say the same
        solved = np.linalg.solve(both.T @ both + ridge * np.eye(features), both.T)
        return both @ (solved @ truth), np.einsum("nf,fn->n", both, solved)[:, None]
    kernel = both @ both.T
    hat = np.linalg.solve(kernel + ridge * np.eye(size), kernel)
    return hat @ truth, np.diag(hat)[:, None]
