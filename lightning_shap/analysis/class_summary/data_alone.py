"""The data alone: which parts of images tell their class, whatever a model makes of them.

Of each part a ridge regression guesses the class of an image from those of all others: of a place
by its pixels, of a property by its numbers. What counts of an image is how many images of other
classes are less like its class, from -1 to 1: twice the area under the ROC curve, less 1, is the
mean over a class. These shares are tested as those of swaps are, in the same parts at the same
level (:mod:`lightning_shap.analysis.class_summary.suspicions`): a part must tell one class better
than it tells others, and better than the parts that mirror it. No model is asked; so what is found
is in the data, and may or may not be used.

Leaving out one image at a time takes no more than one solution: Allen, "The relationship between
variable selection and data augmentation and a method for prediction" (1974).
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch.nn.functional import adaptive_avg_pool2d

from lightning_shap.analysis.class_summary.parts import FINE, Part, list_parts, measure_rings
from lightning_shap.analysis.class_summary.shares import Shares
from lightning_shap.analysis.class_summary.suspicions import (
    LEAST_SHARED,
    Suspicion,
    find_suspicions,
)

RIDGE = 0.1  # of the mean square of what an image shows
MOST = 512  # images, which is enough to tell; time grows with their cube
RINGS = 16  # frequencies of which the strength is known


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
    found = find_suspicions(tell_classes(features, labels), seed=seed)
    return [one for one in found if one.surprise >= LEAST_SHARED]


def tell_classes(features: np.ndarray, labels: np.ndarray) -> Shares:
    """Returns how well each part alone tells the class of each image, as shares.

    Args:
        features: See :func:`read_features`.
        labels: int (N,), the class of each image, below 0 where unknown.
    """
    rows = np.flatnonzero(labels >= 0)
    rows = rows[np.unique(np.linspace(0, len(rows) - 1, MOST).astype(int))] if len(rows) else rows
    labels, parts = labels[rows], list_parts()
    shown = _pick(features[rows], parts)
    values = np.stack([_tell(one, labels) for one in shown], axis=1)
    return Shares(parts, values, labels, labels)


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
    centred = shown.astype(np.float64) - shown.mean(axis=0)
    centred /= centred.std() + 1e-9
    both = np.hstack([centred, centred**2 - (centred**2).mean(axis=0)])
    numbers = np.unique(labels, return_inverse=True)[1].reshape(-1)
    truth = np.eye(numbers.max() + 1)[numbers]
    truth -= truth.mean(axis=0)
    fitted, own = _fit_ridge(both, truth)
    guessed = (fitted - own * truth) / (1 - own)
    found = np.full(len(labels), np.nan)
    for number in range(truth.shape[1]):
        inside = numbers == number
        if inside.all():
            continue
        mine, theirs = guessed[inside, number], np.sort(guessed[~inside, number])
        below = np.searchsorted(theirs, mine, "left") + np.searchsorted(theirs, mine, "right")
        found[inside] = below / len(theirs) - 1
    return found


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
