"""Shap's own GradientExplainer and DeepExplainer, made safe.

shap's explainers turn the model's modes, clear its gradients, hang hooks and attributes on its
modules and reseed NumPy. So they never meet the model: :mod:`.differentiable` answers for it and
puts the rest back, and DeepExplainer walks through a copy, :mod:`.deep_copy`.

Both methods go from an image to a background. If that is the one the masker paints for each image,
their base value is the output for it, as in all methods; with given backgrounds it is the mean
output over them. This is the base from which the exact values would add up to the output. What is
missing is reported as the additivity gap and never hidden in the base: in "gradient" it is the
sampling error, which shrinks with the evaluations; in "deep" it is what shap's rules do not cover.

Source: `shap.GradientExplainer` (expected gradients), `shap.DeepExplainer` (DeepLIFT).
"""

import numpy as np
import shap
import torch

from lightning_shap.game import CoalitionGame
from lightning_shap.methods.attribution import Attribution
from lightning_shap.methods.deep_copy import HookableCopy
from lightning_shap.methods.differentiable import (
    SAMPLES_AT_ONCE,
    Backgrounds,
    DeepScores,
    Scores,
    Starts,
    explained,
)


def gradient_values(
    game: CoalitionGame,
    targets: np.ndarray,
    *,
    max_evals: int,
    backgrounds: Backgrounds = None,
    seed: int = 0,
) -> Attribution:
    """Expected gradients, by shap's GradientExplainer.

    Gradients cost rows of their own for each class, a forward and a backward pass for each row, so
    that each of an image's classes gets its share of the image's rows.

    Args:
        game: The coalition game of N images.
        targets: int (N, K'), the outputs to explain.
        max_evals: Rows an image may cost, two for the empty and the full image included.
        backgrounds: What to start from: images (B, C, H, W) for all, ``"samples"`` for the
            explained images themselves, None for what the masker paints for each image.
        seed: Chooses the points between image and background; the same for every image.

    Returns:
        Attributions that add up to the output but for their sampling error. Each value is a region
        of its own.

    Raises:
        ValueError: If the model has no gradient, or ``max_evals`` does not reach.
    """
    starts = Starts(game, targets, backgrounds)
    samples = (max_evals - 2 - starts.rows) // targets.shape[1]
    if samples < 1:
        raise _too_few("gradient", max_evals, 2 + starts.rows + targets.shape[1], starts)
    sizes = [min(SAMPLES_AT_ONCE, samples - at) for at in range(0, samples, SAMPLES_AT_ONCE)]
    seeds = np.random.default_rng(seed).integers(2**32, size=len(sizes))
    scores = Scores(game, targets.shape[1])

    def mean_of(image: torch.Tensor, background: torch.Tensor) -> np.ndarray:
        total = np.zeros((*image.shape[1:], targets.shape[1]))
        with scores.no_question():
            explainer = shap.GradientExplainer(scores, background, batch_size=game.batch_size)
        for size, rseed in zip(sizes, seeds, strict=True):
            values = explainer.shap_values(image, nsamples=size, rseed=int(rseed))
            total += size / samples * values[0]
        return total

    return explained(scores, starts, mean_of, seed)


def deep_values(
    game: CoalitionGame,
    targets: np.ndarray,
    *,
    max_evals: int,
    backgrounds: Backgrounds = None,
    seed: int = 0,
) -> Attribution:
    """DeepLIFT values averaged over the backgrounds, by shap's DeepExplainer.

    An image costs two rows for each class and background, however many more ``max_evals`` allows.

    Args:
        game: The coalition game of N images.
        targets: int (N, K'), the outputs to explain.
        max_evals: Rows an image may cost, two for the empty and the full image included.
        backgrounds: See :func:`gradient_values`.
        seed: Seed of whatever is random in the model.

    Returns:
        Attributions that add up to the output as far as the model is made of modules that shap has
        a rule for; it follows the plain gradient of functions such as ``torch.relu``, and the
        additivity gap tells. A probability is explained by its rule for a softmax module. Each
        value is a region of its own.

    Raises:
        ValueError: If shap cannot handle the model, naming the module, or ``max_evals`` does not
            reach.
    """
    starts = Starts(game, targets, backgrounds)
    cost = 2 + starts.rows + 2 * starts.count * targets.shape[1]
    if cost > max_evals:
        raise _too_few("deep", max_evals, cost, starts)
    copy = HookableCopy(game.model)
    scores = DeepScores(game, targets.shape[1], copy)

    def mean_of(image: torch.Tensor, background: torch.Tensor) -> np.ndarray:
        total = np.zeros((*image.shape[1:], targets.shape[1]))
        for some in background.split(max(1, game.batch_size // 2)):
            with scores.no_question():
                explainer = shap.DeepExplainer(scores, some)
            with copy.naming_what_fails():
                values = explainer.shap_values(image, check_additivity=False)
            total += len(some) / len(background) * values[0]
        return total

    return explained(scores, starts, mean_of, seed)


def _too_few(method: str, max_evals: int, needed: int, starts: Starts) -> ValueError:
    classes, backgrounds = starts.targets.shape[1], starts.count
    fewer = " or fewer backgrounds" if backgrounds > 1 else ""
    return ValueError(
        f"max_evals: got {max_evals}, but method {method!r} needs {needed} an image for "
        f"{classes} class{'es' * (classes > 1)} and {backgrounds} background{'s' * bool(fewer)}; "
        f"give that many, or fewer classes by topk or targets{fewer}"
    )
