"""One call: images in, a ``shap.Explanation`` out."""

import time
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import torch

from lightning_shap.arguments import (
    checked_backgrounds,
    checked_class_names,
    checked_count,
    checked_grid,
    checked_images,
    checked_labels,
    checked_layout,
    checked_method,
    checked_model,
    checked_options,
    checked_progress,
    checked_regions,
    checked_switch,
    checked_targets,
    known_labels,
)
from lightning_shap.class_names import class_names_in, task_of
from lightning_shap.classes import Classes
from lightning_shap.contrast import Against, checked_against, compared_with
from lightning_shap.errors import ArgumentError
from lightning_shap.explanation import ImageExplanation, Record
from lightning_shap.game import CoalitionGame
from lightning_shap.isolation.isolated import isolating, isolation_of
from lightning_shap.isolation.random_states import Draws
from lightning_shap.limits import MOST_EVALUATIONS, MOST_SEED
from lightning_shap.maskers import MaskerLike, background_of, describe
from lightning_shap.methods.registry import MethodName, RegionsName
from lightning_shap.outputs import Output, probabilities_of
from lightning_shap.progress import Progress, counting
from lightning_shap.regions.boxes import Box, BoxCoalitions
from lightning_shap.regions.image_tree import ImageTrees


def explain(
    model: Callable[..., Any],
    images: torch.Tensor,
    *,
    method: MethodName = "partition",
    max_evals: int = 500,
    targets: int | Sequence[int] | np.ndarray | torch.Tensor | None = None,
    topk: int | None = None,
    against: Literal["runner-up"] | int | Sequence[int] | np.ndarray | None = None,
    labels: Sequence[Any] | np.ndarray | torch.Tensor | None = None,
    masker: MaskerLike = "blur",
    grid: int | tuple[int, int] | None = None,
    regions: RegionsName | None = None,
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
            a tuple that begins with that, or to an object with ``.logits``. If it has a place for
            ``pixel_values``, or takes nothing but keywords, it gets the images by that name.
        images: Float tensor (N, C, H, W), prepared as the model takes them; any C >= 1.
        method: ``"partition"`` gives the Owen values of SHAP's PartitionExplainer, ``"kernel"``
            the Shapley values of patches with error bars, ``"gradient"`` the expected
            gradients of SHAP's GradientExplainer.
        max_evals: Model rows an image may cost, the empty and the full image included, as in shap.
            ``"kernel"`` spends 4098 at most, unless more cover every coalition.
        targets: Indices of the classes to explain: one, (K',) for all images or (N, K') for each.
        topk: Explain each image's highest outputs, best first. With neither ``targets`` nor
            ``topk``, all classes are explained.
        against: Explain why one class rather than another: what raised the difference of their
            outputs. ``"runner-up"`` compares with each image's highest other output, a number with
            that class, (N,) numbers with one for each image. One class of each image is explained:
            ``targets``, or the first that ``topk`` would give. An image whose class is the one
            that it would be compared with is compared with its runner-up.
        labels: The true classes (N,), -1 where unknown, or zeros and ones (N, K) where an image may
            have several. With ``topk`` they are explained first, before the highest others; they
            are kept for the pictures. Of outputs that are values, the true values, (N,) or (N, K).
        masker: What absent regions show: ``"blur"`` (4/7 of the sides), ``"blur(kw,kh)"`` in
            pixels (width first, as in shap), ``"mean"`` (the image's mean colour), a number, a
            tensor (C, H, W) or (N, C, H, W), or a function of the images.
        grid: Patches of ``"kernel"``, a side or (rows, columns); None for what the budget resolves.
        regions: Of ``"partition"``, ``"boxes"`` for SHAP's halved rectangles, ``"image"`` for a
            tree of regions that follow the image; of ``"kernel"``, ``"boxes"`` for patches,
            ``"image"`` for as many segments of that tree. None for boxes.
        backgrounds: What ``"gradient"`` starts from: images (B, C, H, W), or ``"samples"`` for
            the images themselves; None for what the masker shows.
        output: What is explained: ``"logit"``, which is the output as it is, ``"probability"``, or
            a function from the model's raw output to (N, K). ``"value"`` is the output as it is of
            a model that has no classes, as in a regression: nothing is predicted or ranked. A
            Hugging Face model whose ``problem_type`` is regression is known to be one.
        multi_label: Several classes may be true at once: a probability is a sigmoid, not a softmax.
        batch_size: Rows per model call at most; on a CPU no more than eight per thread, which is
            faster. It halves itself when memory runs out.
        class_names: K names; two, or that of the second, for a model with one output. None for
            those that the model carries, as Hugging Face's do in their ``id2label``.
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
    return explain_found(
        model,
        images,
        method=method,
        max_evals=max_evals,
        targets=targets,
        topk=topk,
        against=against,
        labels=labels,
        masker=masker,
        grid=grid,
        regions=regions,
        backgrounds=backgrounds,
        output=output,
        multi_label=multi_label,
        batch_size=batch_size,
        class_names=class_names,
        seed=seed,
        progress=progress,
    )


@isolating("model")
def explain_found(  # noqa: D417 - the other arguments are those of explain
    model: Callable[..., Any],
    images: torch.Tensor,
    *,
    method: MethodName,
    max_evals: int,
    targets: int | Sequence[int] | np.ndarray | torch.Tensor | None,
    topk: int | None,
    labels: Sequence[Any] | np.ndarray | torch.Tensor | None,
    masker: MaskerLike,
    grid: int | tuple[int, int] | None,
    regions: RegionsName | None,
    output: Output,
    multi_label: bool,
    batch_size: int,
    class_names: Sequence[str] | None,
    seed: int,
    progress: Progress,
    against: Against = None,
    backgrounds: torch.Tensor | Literal["samples"] | None = None,
    fewer_will_do: bool = False,
    labels_are_found: bool = False,
    labels_are_binary: bool = True,
    names_are_found: bool = False,
    data: np.ndarray | None = None,
    trees: ImageTrees | None = None,
) -> ImageExplanation:
    """:func:`explain`, where not all that is known of a model was given by somebody.

    Args:
        fewer_will_do: Of a model with fewer outputs than ``topk``, all are explained; of outputs
            that are values, which have no highest ones, the first.
        labels_are_found: Data has the labels, which may be those of another task: what does not fit
            the model is left out.
        labels_are_binary: Those that the data has could be of two classes. This counts all there
            are, and these may be only some.
        names_are_found: Data has the class names, which may be those of another task as well.
        data: The images as the explanation is to keep them, (N, H, W, C); copied where None.
        trees: The trees of images that were explained before.
    """
    started = time.perf_counter()
    checked_model(model)
    images = checked_images(images)
    max_evals = checked_count(
        "max_evals", max_evals, least=2, most=MOST_EVALUATIONS, why="the empty and the full image"
    )
    batch_size = checked_count("batch_size", batch_size, least=1)
    seed = checked_count("seed", seed, least=0, most=MOST_SEED)
    checked_switch("multi_label", multi_label)
    checked_progress(progress)
    estimator = checked_method(method).estimator()
    options = checked_options(
        method,
        grid=checked_grid(grid),
        regions=checked_regions(regions),
        backgrounds=checked_backgrounds(backgrounds, images),
    )
    if targets is not None and topk is not None:
        raise ArgumentError("targets, topk", "both were given; give the classes or how many")
    if checked_against(against) is not None and targets is None and topk is None:
        topk = 1
    checked_layout(images, model)
    true = checked_labels(labels, len(images))
    task = task_of(model)
    multi_label = multi_label or task == "multi_label_classification"

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
        if output == "logit":
            output = _known_output(task, labels_are_binary, empty, full)
        count = full.shape[1]
        classes = Classes(count, values=output == "value", multi_label=multi_label)
        true = known_labels(true, classes, found=labels_are_found)
        chosen = checked_targets(targets, topk, true, full, classes, fewer_will_do=fewer_will_do)
        if classes.values and names_are_found:
            class_names = None  # data names classes, and these are none
        if class_names is None:
            class_names = class_names_in(model, count)
        names = checked_class_names(class_names, classes, found=names_are_found)
        if "regions" in options:
            trees = ImageTrees() if trees is None else trees
            options["regions"] = trees.of(images) if regions == "image" else None
        game.against = compared_with(against, chosen, full, classes)
        every = np.arange(len(images))
        base, ends = (
            np.take_along_axis(game.compared(scores, every), chosen, axis=1)
            for scores in (empty, full)
        )
        found = estimator(game, chosen, base, ends, max_evals=max_evals, seed=seed, **options)
        base = base if found.base is None else found.base

    evaluations, model_seconds, others = game.evaluations, game.model_seconds, game.against
    del game  # and its backgrounds, before there is a copy of the images

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
        evaluations=evaluations,
        regions=found.regions,
        additivity_gap=np.abs(found.totals + base - ends),
        seconds=time.perf_counter() - started,
        model_seconds=model_seconds,
        clear=found.clear,
        relative_error=found.relative_error,
        against=others,
        follows_image=regions == "image",
        multi_label=multi_label,
        isolation=isolation_of(model),
    )
    return ImageExplanation(
        found.found,
        base,
        _as_numpy(images.movedim(1, -1)) if data is None else data,
        chosen,
        record,
    )


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


def _known_output(task: str | None, binary: bool, empty: np.ndarray, full: np.ndarray) -> Output:
    """What a model's outputs (N, K) are, where that is sure: values, probabilities or else logits.

    A single output is no binary classifier's if the data has labels for it beyond zero and one.
    """
    if task == "regression" or (full.shape[1] == 1 and not binary):
        return "value"
    # Of a model that ends in a softmax.
    return "probability" if _are_probabilities(full) and _are_probabilities(empty) else "logit"


def _are_probabilities(outputs: np.ndarray) -> bool:
    """Whether the outputs (N, K) of each image are shares of one already."""
    sums = outputs.sum(1)
    return outputs.shape[1] > 1 and bool(outputs.min() >= 0 and np.allclose(sums, 1, atol=1e-3))


def _as_numpy(tensor: torch.Tensor) -> np.ndarray:
    if tensor.dtype == torch.bfloat16:  # which NumPy does not have
        tensor = tensor.float()
    return np.array(tensor.cpu().numpy(), order="C")  # a copy: the host may reuse its batch
