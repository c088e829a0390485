"""One call: images in, an explanation out."""

import time
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import torch

from lightning_shap.engine.class_names import class_names_in, name_classes, task_of
from lightning_shap.engine.game import CoalitionGame
from lightning_shap.engine.incoming import check_layout, check_model, read_backgrounds, read_images
from lightning_shap.engine.maskers import MaskerLike, background_of, describe
from lightning_shap.engine.methods.registry import METHODS, MethodName, RegionsName
from lightning_shap.engine.outputs import NAMES, Output, probabilities_of
from lightning_shap.engine.progress import Progress, counting
from lightning_shap.engine.question import Known, Question
from lightning_shap.engine.regions.boxes import Box, BoxCoalitions
from lightning_shap.engine.regions.image_tree import ImageTrees
from lightning_shap.engine.returned import Returned
from lightning_shap.engine.targets import choose_rivals, choose_targets
from lightning_shap.engine.truth import hint_at_several, known_labels, read_labels, told_by
from lightning_shap.explanation.classes import Classes, Returns
from lightning_shap.explanation.explanation import ImageExplanation
from lightning_shap.explanation.record import Record
from lightning_shap.isolation.host import seed_all
from lightning_shap.isolation.isolated import isolating, isolation_of

NOTHING = Known()


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
        images: Float tensor (N, C, H, W), prepared as the model takes them; any C >= 1. A model in
            low precision gets them rounded: give them as they are.
        method: ``"partition"`` gives the Owen values of SHAP's PartitionExplainer, ``"kernel"``
            the Shapley values of patches with error bars, ``"gradient"`` the expected
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
            pixels (width first, as in shap), ``"mean"`` (the image's mean colour), a number, a
            tensor (C, H, W) or (N, C, H, W), or a function of the images.
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
        batch_size: Rows per model call at most; on a CPU no more than eight per thread, which is
            faster. It halves itself when memory runs out.
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
        class_names=class_names,
        seed=seed,
        progress=progress,
    )
    return answer(model, images, question)


@isolating("model")
def answer(
    model: Callable[..., Any],
    images: torch.Tensor,
    question: Question,
    known: Known = NOTHING,
) -> ImageExplanation:
    """Explains a classifier's outputs as a question asks for it; see :func:`explain`.

    Args:
        model: As ``explain`` takes it.
        images: Float tensor (N, C, H, W).
        question: What is asked.
        known: What is known of labels, names and earlier calls.

    Raises:
        ValueError: If the question does not go with the model or the images.
        TypeError: If the model or the images are of the wrong kind.
        MemoryError: If not even one row fits into the memory.
    """
    started = time.perf_counter()
    check_model(model)
    images = read_images(images)
    options = question.options
    if "backgrounds" in options:
        options["backgrounds"] = read_backgrounds(question.backgrounds, images)
    check_layout(images, model)
    true = read_labels(question.labels, len(images))
    task = task_of(model)
    output, multi_label = question.output, question.multi_label
    multi_label = multi_label or task == "multi_label_classification"
    seen = Returned() if known.returned is None else known.returned

    with counting(question.progress, len(images) * question.max_evals) as advance:
        seed_all(question.seed)
        game = CoalitionGame(
            model,
            images,
            background_of(question.masker, images),
            output=output,
            returns=question.returns,
            multi_label=multi_label,
            batch_size=question.batch_size,
            progress=advance,
        )
        game.probable = False  # until it is known what probabilities are made of
        empty, full = _ends(game)
        count = full.shape[1]
        seen.join(game.returned)
        game.returned = seen  # which goes on to see what is played
        told = question.returns or told_by(
            output, task, known.labels, Classes(count, multi_label=multi_label), seen
        )
        game.returns, guessed = (told, False) if told else _taken(seen, output, multi_label)
        classes = Classes(count, values=game.returns == "values", multi_label=multi_label)
        true = known_labels(true, classes, known.labels, seen)
        hint_at_several(true, classes)
        if output == "probability":
            game.probable = True
            empty, full = (game.explained(torch.from_numpy(one)).numpy() for one in (empty, full))
        unasked = question.topk is None and question.targets is None
        chosen = choose_targets(
            question.targets,
            1 if unasked and question.against is not None else question.topk,
            true,
            full,
            classes,
            first=question.first,
            fewer_will_do=question.fewer_will_do,
        )
        class_names = question.class_names
        if classes.values and known.finds_names:
            class_names = None  # data names classes, and these are none
        if class_names is None:
            class_names = class_names_in(model, count)
        names = name_classes(class_names, classes, found=known.finds_names)
        if "regions" in options:
            trees = ImageTrees() if known.trees is None else known.trees
            options["regions"] = trees.of(images) if question.regions == "image" else None
        if question.method == "partition" and not classes.values:
            options["leading"] = question.leading
        game.against = choose_rivals(question.against, chosen, full, classes)
        every = np.arange(len(images))
        base, ends = (
            np.take_along_axis(game.compared(scores, every), chosen, axis=1)
            for scores in (empty, full)
        )
        estimator = METHODS[question.method].estimator()
        found = estimator(
            game,
            chosen,
            base,
            ends,
            max_evals=question.max_evals,
            seed=question.seed,
            **options,
        )
        base = base if found.base is None else found.base

    taken = game.returns
    if told is None and output == "logit":  # of all that was played, and not of its ends alone
        taken, guessed = _taken(seen, output, multi_label)
    evaluations, model_seconds, others = game.evaluations, game.model_seconds, game.against
    sure = _probabilities(empty, output, taken, multi_label)
    del game  # and its backgrounds, before there is a copy of the images

    record = Record(
        method=question.method,
        max_evals=question.max_evals,
        grid=found.grid,
        masker=describe(question.masker, images)
        if question.backgrounds is None
        else "own background",
        output=_explained(output, taken),
        seed=question.seed,
        outputs=full,
        probabilities=_probabilities(full, output, taken, multi_label),
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
        empty_probabilities=None if sure is None else np.take_along_axis(sure, chosen, axis=1),
        follows_image=question.regions == "image",
        multi_label=multi_label,
        isolation=isolation_of(model),
        returns=taken,
        returns_guessed=guessed,
    )
    return ImageExplanation(
        found.found,
        base,
        _as_numpy(images.movedim(1, -1)) if known.data is None else known.data,
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


def _taken(seen: Returned, output: Output, multi_label: bool) -> tuple[Returns | None, bool]:
    """What outputs are taken for, and whether that is a guess; None for scores of any kind."""
    if callable(output) and seen.operation is None:
        return None, False
    return seen.judge(multi_label)


def _explained(output: Output, returns: Returns | None) -> str:
    """What is explained, in a word."""
    if callable(output):
        return "custom"
    if output != "logit" or returns is None:
        return output
    return NAMES[returns]


def _probabilities(
    full: np.ndarray, output: Output, returns: Returns | None, multi_label: bool
) -> np.ndarray | None:
    if output == "probability":
        return full
    if returns is None or returns == "values":
        return None
    return probabilities_of(torch.from_numpy(full), returns, multi_label).numpy()


def _as_numpy(tensor: torch.Tensor) -> np.ndarray:
    if tensor.dtype == torch.bfloat16:  # which NumPy does not have
        tensor = tensor.float()
    return np.array(tensor.cpu().numpy(), order="C")  # a copy: the host may reuse its batch
