"""One call: images in, a ``shap.Explanation`` out."""

import time
from collections.abc import Callable, Sequence
from typing import Any, Literal, get_args

import numpy as np
import torch

from lightning_shap.arguments import (
    checked_choice,
    checked_class_names,
    checked_count,
    checked_grid,
    checked_images,
    checked_labels,
    checked_model,
    checked_targets,
    known_labels,
)
from lightning_shap.explanation import ImageExplanation, Record
from lightning_shap.game import CoalitionGame
from lightning_shap.isolation.isolated import isolating, isolation_of
from lightning_shap.isolation.random_states import Draws
from lightning_shap.maskers import MaskerLike, background_of, describe
from lightning_shap.methods.attribution import Attribution
from lightning_shap.methods.partition import partition_values
from lightning_shap.outputs import Output, probabilities_of
from lightning_shap.progress import Progress, counting
from lightning_shap.regions.boxes import Box, BoxCoalitions

Method = Literal["partition", "kernel", "gradient", "deep"]


@isolating("model")
def explain(
    model: Callable[..., Any],
    images: torch.Tensor,
    *,
    method: Method = "partition",
    max_evals: int = 500,
    targets: int | Sequence[int] | np.ndarray | torch.Tensor | None = None,
    topk: int | None = None,
    labels: Sequence[int] | np.ndarray | torch.Tensor | None = None,
    masker: MaskerLike = "blur",
    grid: int | tuple[int, int] | None = None,
    backgrounds: torch.Tensor | Literal["samples"] | None = None,
    output: Output = "logit",
    multi_label: bool = False,
    batch_size: int = 64,
    class_names: Sequence[str] | None = None,
    seed: int = 0,
    progress: Progress = False,
) -> ImageExplanation:
    """Explains a classifier's outputs for some images with SHAP.

    What is called is a copy of the model, in evaluation mode without gradients, on its own device
    and in its own precision, compiled parts as they are written; the model itself never notices.
    The same arguments give the same bytes, whatever ran before.

    Args:
        model: ``nn.Module``, ``LightningModule`` or function from images (N, C, H, W) to (N, K), to
            a tuple that begins with that, or to an object with ``.logits``.
        images: Float tensor (N, C, H, W), prepared as the model takes them; any C >= 1.
        method: ``"partition"`` gives the Owen values of SHAP's PartitionExplainer, ``"kernel"``
            the Shapley values of a grid of patches with error bars; ``"gradient"`` and ``"deep"``
            are shap's GradientExplainer and DeepExplainer.
        max_evals: Model rows an image may cost, the empty and the full image included, as in shap.
            ``"kernel"`` spends 4098 at most, unless more cover every coalition.
        targets: Indices of the classes to explain: one, (K',) for all images or (N, K') for each.
        topk: Explain each image's highest outputs, best first. With neither ``targets`` nor
            ``topk``, all classes are explained.
        labels: The true classes (N,), -1 where unknown. With ``topk`` they are explained first,
            before the highest others; they are kept for the pictures.
        masker: What absent regions show: ``"blur"`` (4/7 of the sides), ``"blur(kh,kw)"`` in
            pixels, ``"mean"`` (the image's mean colour), a number, a tensor (C, H, W) or
            (N, C, H, W), or a function of the images.
        grid: Patches of ``"kernel"``, a side or (rows, columns); None for what the budget resolves.
        backgrounds: What ``"gradient"`` and ``"deep"`` start from: images (B, C, H, W), or
            ``"samples"`` for the images themselves; None for what the masker shows.
        output: What is explained: ``"logit"``, which is the output as it is, ``"probability"``, or
            a function from the model's raw output to (N, K).
        multi_label: Several classes may be true at once: a probability is a sigmoid, not a softmax.
        batch_size: Rows per model call at most; on a CPU no more than eight per thread, which is
            faster. It halves itself when memory runs out.
        class_names: K names; two will do for a model with one output.
        seed: Seed of whatever is random in the method or in the model.
        progress: True for a bar once it lasts, or a function of (rows done, rows allowed).

    Returns:
        A ``shap.Explanation``: ``values`` (N, H, W, C, K'), ``base_values`` (N, K'), ``data``
        (N, H, W, C), ``output_indexes`` (N, K'), ``output_names`` (K',) where all images share
        them and else (N, K'), ``compute_time`` in seconds, and ``record`` with what else is known.
        ``values.sum((1, 2, 3)) + base_values`` is the model's output.

    Raises:
        ValueError: If an argument's value will not do; the message names it and says what will.
        TypeError: If an argument is of the wrong kind.
        MemoryError: If not even one row fits into the memory.

    Example:
        >>> import torch, lightning_shap
        >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 3))
        >>> explanation = lightning_shap.explain(model, torch.rand(2, 1, 8, 8), topk=1)
        >>> explanation.values.shape
        (2, 8, 8, 1, 1)
    """
    started = time.perf_counter()
    checked_model(model)
    images = checked_images(images)
    max_evals = checked_count("max_evals", max_evals, least=2, why="the empty and the full image")
    batch_size = checked_count("batch_size", batch_size, least=1)
    seed = checked_count("seed", seed, least=0)
    checked_choice("method", method, get_args(Method))
    patches = checked_grid(grid, method)
    if backgrounds is not None and method not in ("gradient", "deep"):
        raise ValueError(f"backgrounds: {method!r} has none; give a masker instead")
    if targets is not None and topk is not None:
        raise ValueError("targets, topk: both were given; give the classes or how many, not both")
    true = checked_labels(labels, len(images))

    with counting(progress, len(images) * max_evals) as advance:
        game = CoalitionGame(
            model,
            images,
            background_of(masker, images),
            output=output,
            multi_label=multi_label,
            batch_size=batch_size,
            progress=advance,
            draws=Draws(seed),
        )
        empty, full = _ends(game)
        true = known_labels(true, labels, full.shape[1])
        chosen = checked_targets(targets, topk, true, full)
        names = checked_class_names(class_names, full.shape[1])
        if output == "logit" and _are_probabilities(full) and _are_probabilities(empty):
            output = "probability"  # the model ends in a softmax
        base, ends = (np.take_along_axis(scores, chosen, axis=1) for scores in (empty, full))
        budget = {"max_evals": max_evals, "seed": seed}
        found = _estimate(method, game, chosen, base, ends, budget, patches, backgrounds)
        base = base if found.base is None else found.base

    record = Record(
        method=method,
        max_evals=max_evals,
        grid=found.grid,
        masker=describe(masker, images) if backgrounds is None else "own background",
        output=output if isinstance(output, str) else "custom",
        seed=seed,
        outputs=full,
        probabilities=_probabilities(full, output, multi_label),
        class_names=names,
        labels=true,
        evaluations=game.evaluations,
        regions=found.regions,
        additivity_gap=np.abs(found.values.sum((1, 2, 3)) + base - ends),
        seconds=time.perf_counter() - started,
        model_seconds=game.model_seconds,
        isolation=isolation_of(model),
    )
    return ImageExplanation(
        found.values,
        base,
        _as_numpy(images.movedim(1, -1)),
        chosen,
        record,
        found.error_std,
    )


def _estimate(
    method: Method,
    game: CoalitionGame,
    targets: np.ndarray,
    base: np.ndarray,
    full: np.ndarray,
    budget: dict[str, int],
    grid: tuple[int, int] | None,
    backgrounds: torch.Tensor | Literal["samples"] | None,
) -> Attribution:
    """Hands the game to its method; all but the default are imported when asked for."""
    if method == "partition":
        return partition_values(game, targets, base, full, max_evals=budget["max_evals"])
    if method == "kernel":
        from lightning_shap.methods.kernel.estimator import kernel_values

        return kernel_values(game, targets, base, full, grid=grid, **budget)
    from lightning_shap.methods.gradient import deep_values, gradient_values

    values = gradient_values if method == "gradient" else deep_values
    return values(game, targets, backgrounds=backgrounds, **budget)


def _ends(game: CoalitionGame) -> tuple[np.ndarray, np.ndarray]:
    """The outputs (N, K) of the empty and of the full images."""
    images, channels, height, width = game.images.shape
    whole = Box(0, height, 0, width, 0, channels)
    coalitions = BoxCoalitions([(), (whole,)] * images, whole)
    outputs = game.play(np.repeat(np.arange(images), 2), coalitions)
    return outputs[0::2], outputs[1::2]


def _probabilities(full: np.ndarray, output: Output, multi_label: bool) -> np.ndarray | None:
    if output == "probability":
        return full
    if output == "logit":
        return probabilities_of(torch.from_numpy(full), multi_label).numpy()
    return None


def _are_probabilities(outputs: np.ndarray) -> bool:
    """Whether the outputs (N, K) of each image are shares of one already."""
    sums = outputs.sum(1)
    return outputs.shape[1] > 1 and bool(outputs.min() >= 0 and np.allclose(sums, 1, atol=1e-3))


def _as_numpy(tensor: torch.Tensor) -> np.ndarray:
    if tensor.dtype == torch.bfloat16:  # which NumPy does not have
        tensor = tensor.float()
    return np.array(tensor.cpu().numpy(), order="C")  # a copy: the host may reuse its batch
