"""Expected gradients: the numbers of SHAP's GradientExplainer.

A value is what changes an output on the way from a background to the image: the gradient, averaged
over points drawn along that way, times the difference of the two pixels. shap's own explainer turns
the model's modes, clears its gradients, reseeds NumPy and needs the default dtype to be single.

The values start from the background that the masker paints for each image, and the base value is
the output for it, as in all methods; with given backgrounds it is the mean output over them. From
this base the exact values would add up to the output. What is missing is the sampling error, which
shrinks with the evaluations: it is reported as the additivity gap and never hidden in the base.

Source: `shap.GradientExplainer`; Erion et al., "Improving performance of deep learning models with
axiomatic attribution priors and expected gradients", 2021.
"""

import numpy as np
import torch

from lightning_shap.engine.game import CoalitionGame, refuse_gradients
from lightning_shap.engine.methods.attribution import Attribution
from lightning_shap.engine.outputs import widen
from lightning_shap.errors import ArgumentError


def gradient_values(
    game: CoalitionGame,
    targets: np.ndarray,
    base: np.ndarray,
    full: np.ndarray,
    *,
    max_evals: int,
    seed: int = 0,
    backgrounds: torch.Tensor | None = None,
) -> Attribution:
    """Returns the expected gradients of every pixel.

    Gradients cost rows of their own for each class, a forward and a backward pass for each row, so
    that each of an image's classes gets its share of the image's rows.

    Args:
        game: The coalition game of N images.
        targets: int (N, K'), the outputs to explain.
        base: float64 (N, K'), these outputs with everything absent.
        full: float64 (N, K'), these outputs with everything present.
        max_evals: Rows an image may cost, two for ``base`` and ``full`` included.
        seed: Chooses the points between image and background; the same for every image.
        backgrounds: Images (B, C, H, W) to start from, None for what the masker paints for each.

    Returns:
        Attributions that add up to the output but for their sampling error. Each value is a region
        of its own.

    Raises:
        ValueError: If the model has no gradient, or ``max_evals`` does not reach.
    """
    images, classes = targets.shape
    given = 1 if backgrounds is None else len(backgrounds)
    for_backgrounds = 0 if backgrounds is None else -(-given // images)
    samples = (max_evals - 2 - for_backgrounds) // classes
    if samples < 1:
        raise _refuse_budget(max_evals, 2 + for_backgrounds + classes, classes, given)
    if backgrounds is not None:
        mean = np.tile(game.play_whole(backgrounds).mean(axis=0), (images, 1))
        base = np.take_along_axis(game.compare(mean, np.arange(images)), targets, axis=1)
    values = _average_gradients(game, targets, samples, backgrounds, seed)
    pixels = values[0, ..., 0].size
    return Attribution(values, np.full(images, pixels), base=base)


def _average_gradients(
    game: CoalitionGame,
    targets: np.ndarray,
    samples: int,
    backgrounds: torch.Tensor | None,
    seed: int,
) -> np.ndarray:
    """Returns the values (N, H, W, C, K'), each from so many samples."""
    ends = game.images.to(torch.promote_types(game.images.dtype, torch.float32))
    starts = (game.background if backgrounds is None else backgrounds).to(ends)
    picks, shares = _draw_points(samples, len(starts) if backgrounds is not None else 1, seed)
    images, classes = targets.shape
    channels, height, width = ends.shape[1:]
    # As precise as the model's gradients are: every pixel has a value of its own, and they may be
    # many. Only what is being added up has double precision.
    values = np.empty((images, height, width, channels, classes), _find_dtype(ends))
    sums: dict[int, torch.Tensor] = {}
    # One list of rows for all images and classes, so that the model's batches are full.
    rows, first = images * classes * samples, 0
    while first < rows:
        row = np.arange(first, min(first + game.batch_size, rows))
        pair, sample = np.divmod(row, samples)
        image, column = np.divmod(pair, classes)
        end, start = ends[image], starts[image if backgrounds is None else picks[sample]]
        share = torch.from_numpy(shares[sample]).to(ends)[:, None, None, None]
        slopes = game.gradients(image, torch.lerp(start, end, share), targets[image, column])
        parts = slopes * (end - start)
        first += len(row)
        pairs, counts = np.unique(pair, return_counts=True)
        for one, part in zip(pairs.tolist(), parts.split(counts.tolist()), strict=True):
            # On the device, which a GPU is not waited for until the last row of a map has come.
            summed = widen(part.sum(0))
            sums[one] = sums[one] + summed if one in sums else summed
            if first >= (one + 1) * samples:
                number, column = divmod(one, classes)
                found = sums.pop(one).movedim(0, -1).cpu().numpy() / samples
                if not np.isfinite(found).all():
                    raise refuse_gradients(f"has NaN or infinite gradients for image {number}")
                values[number, ..., column] = found
    return values


def _find_dtype(tensor: torch.Tensor) -> np.dtype:
    return torch.empty(0, dtype=tensor.dtype).numpy().dtype


def _draw_points(samples: int, backgrounds: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draws for each sample a background and how far on the way from it, as in shap."""
    random = np.random.RandomState(np.random.default_rng(seed).integers(2**32))
    drawn = [(random.choice(backgrounds), random.uniform()) for _ in range(samples)]
    picks, shares = zip(*drawn, strict=True)
    return np.array(picks), np.array(shares)


def _refuse_budget(max_evals: int, needed: int, classes: int, backgrounds: int) -> ArgumentError:
    fewer = " or fewer backgrounds" if backgrounds > 1 else ""
    return ArgumentError(
        "max_evals",
        f"got {max_evals}, but method 'gradient' needs {needed} an image for {classes} "
        f"class{'es' * (classes > 1)} and {backgrounds} background{'s' * bool(fewer)}; "
        f"give that many, or fewer classes by topk or targets{fewer}",
    )
