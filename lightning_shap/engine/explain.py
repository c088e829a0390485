"""One call: a model and images in, an explanation out; its arguments in words."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import torch

from lightning_shap.engine.answer import answer
from lightning_shap.engine.maskers import MaskerLike
from lightning_shap.engine.methods.registry import MethodName, RegionsName
from lightning_shap.engine.outputs import Output
from lightning_shap.engine.precision import PrecisionName
from lightning_shap.engine.progress import Progress
from lightning_shap.engine.question import Question
from lightning_shap.explanation.classes import Returns
from lightning_shap.explanation.explanation import ImageExplanation


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
    returns: Returns | None = None,
    multi_label: bool = False,
    batch_size: int = 64,
    precision: PrecisionName = "as trained",
    class_names: Sequence[str] | None = None,
    seed: int = 0,
    progress: Progress = False,
) -> ImageExplanation:
    """Explains a classifier's outputs for some images with SHAP.

    What is called is a copy of the model, in evaluation mode without gradients, on its own device
    and unless asked otherwise in its own precision, compiled parts as they are written; the model
    itself never notices. The same arguments give the same bytes, whatever ran before. On a CPU the
    copy's convolutions are kept channels-last, and do the work of the batch norms that follow them,
    which is faster and changes outputs by rounding alone; two rows more are called to prove it.

    Args:
        model: ``nn.Module``, ``LightningModule`` or function from images (N, C, H, W) to (N, K), to
            a tuple that begins with that, or to an object with ``.logits``. If it has a place for
            ``pixel_values``, it gets the images by that name.
        images: Float tensor (N, C, H, W), prepared as the model takes them; any C >= 1. A model in
            low precision gets them rounded: give them as they are.
        method: ``"partition"`` gives the Owen values of SHAP's PartitionExplainer, ``"kernel"``
            the Shapley values of patches, both with error bars, ``"gradient"`` the expected
            gradients of SHAP's GradientExplainer.
        max_evals: Model rows an image may cost, the empty and the full image included, as in shap.
            ``"kernel"`` evaluates every coalition where so many allow it, else 4098 at most.
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
            pixels (width first, as in shap), ``"mean"`` (the image's mean colour), ``"samples"``
            (four other images in turn, over which outputs are averaged, as many coalitions fewer),
            shap's ``"inpaint_telea"`` or ``"inpaint_ns"`` (from what is around them; needs OpenCV),
            a number, a tensor (C, H, W) or (N, C, H, W), or a function of the images.
        grid: Patches of ``"kernel"``, a side or (rows, columns); None for what the budget resolves.
        regions: Of ``"partition"``, ``"boxes"`` for SHAP's halved rectangles, ``"image"`` for a
            tree of regions that follow the image; of ``"kernel"``, ``"boxes"`` for patches,
            ``"image"`` for as many regions that follow the image. None for boxes.
        backgrounds: What ``"gradient"`` starts from: images (B, C, H, W), or ``"samples"`` for
            the images themselves; None for what the masker shows.
        output: What is explained: ``"logit"``, which is the output as it is, ``"probability"``, or
            a function from the model's raw output to (N, K). ``"value"`` is the output as it is,
            with ``returns="values"``.
        returns: What the model's outputs are, or what a function for ``output`` makes of them:
            ``"logits"``, ``"probabilities"``, ``"log-probabilities"``, or ``"values"`` of a model
            without classes, as in a regression, of which nothing is predicted or ranked. None finds
            out: by the operation that makes them, such as a sigmoid, else by their values; a
            Hugging Face model says itself whether it is a regression.
        multi_label: Several classes may be true at once: a probability is a sigmoid, not a softmax.
        batch_size: Rows per model call at most; on a CPU no more than keep the largest tensor of a
            call at 20 MiB, which is faster. It halves itself when memory runs out.
        precision: Of the calls: ``"as trained"``, ``"float32"``, or ``"bf16"``, autocast to
            bfloat16, which is faster where the hardware knows it and less exact everywhere.
        class_names: K names; two, or that of the second, for a model with one output. None for
            those that the model carries, as Hugging Face's do in their ``id2label``.
        seed: Seed of whatever is random in the method or in the model.
        progress: True for a bar once it lasts, or a function of (rows done, rows allowed).

    Returns:
        An explanation, which ``shap.image_plot`` takes: ``values`` (N, H, W, C, K'),
        ``base_values`` (N, K'), ``data`` (N, H, W, C), ``output_indexes`` (N, K'), ``output_names``
        (K',) where all images share them and else (N, K'), and ``record`` with what else is known.
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
    question = Question(
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
        returns=returns,
        multi_label=multi_label,
        batch_size=batch_size,
        precision=precision,
        class_names=class_names,
        seed=seed,
        progress=progress,
    )
    return answer(model, images, question)
