"""The answer to a question: game, outputs, targets, attributions, and the record of all that."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from lightning_shap.engine.class_names import find_class_names, find_task, name_classes
from lightning_shap.engine.game import CoalitionGame
from lightning_shap.engine.incoming import check_layout, check_model, read_backgrounds, read_images
from lightning_shap.engine.maskers import describe, paint_backgrounds
from lightning_shap.engine.methods.registry import METHODS
from lightning_shap.engine.outputs import NAMES, Output, make_probabilities
from lightning_shap.engine.progress import count_rows
from lightning_shap.engine.question import Known, Question
from lightning_shap.engine.regions.boxes import Box, BoxCoalitions
from lightning_shap.engine.regions.image_tree import ImageTrees
from lightning_shap.engine.returned import Returned
from lightning_shap.engine.sampled_game import SampledGame
from lightning_shap.engine.targets import choose_rivals, choose_targets
from lightning_shap.engine.truth import find_returns, hint_at_several, keep_labels, read_labels
from lightning_shap.explanation.classes import Classes, Returns
from lightning_shap.explanation.explanation import ImageExplanation
from lightning_shap.explanation.record import Record
from lightning_shap.isolation.host import seed_all
from lightning_shap.isolation.isolated import is_copy, isolating

NOTHING = Known()


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
    task = find_task(model)
    output, multi_label = question.output, question.multi_label
    multi_label = multi_label or task == "multi_label_classification"
    seen = Returned() if known.returned is None else known.returned

    with count_rows(question.progress, len(images) * question.max_evals) as advance:
        seed_all(question.seed)
        backgrounds = paint_backgrounds(
            question.masker,
            images,
            rows=question.max_evals,
            seed=question.seed,
            pool=known.pool,
        )
        game = SampledGame(
            model,
            images,
            backgrounds,
            output=output,
            returns=question.returns,
            multi_label=multi_label,
            batch_size=question.batch_size,
            precision=question.precision,
            progress=advance,
        )
        game.probable = False  # until it is known what probabilities are made of
        empty, full = play_ends(game)
        count = full.shape[1]
        seen.join(game.returned)
        game.returned = seen  # which goes on to see what is played
        told = question.returns or find_returns(
            output, task, known.labels, Classes(count, multi_label=multi_label), seen
        )
        game.returns, guessed = (told, False) if told else _judge_outputs(seen, output, multi_label)
        classes = Classes(count, values=game.returns == "values", multi_label=multi_label)
        true = keep_labels(true, classes, known.labels, seen)
        hint_at_several(true, classes)
        if output == "probability":
            game.probable = True
            empty, full = (game.convert(torch.from_numpy(one)).numpy() for one in (empty, full))
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
            class_names = find_class_names(model, count)
        names = name_classes(class_names, classes, found=known.finds_names)
        if "regions" in options:
            trees = ImageTrees() if known.trees is None else known.trees
            options["regions"] = trees.grow(images) if question.regions == "image" else None
        if question.method == "partition" and not classes.values:
            options["leading"] = question.leading
        game.against = choose_rivals(question.against, chosen, full, classes)
        every = np.arange(len(images))
        base, ends = (
            np.take_along_axis(game.compare(scores, every), chosen, axis=1)
            for scores in (empty, full)
        )
        estimator = METHODS[question.method].estimator()
        found = estimator(
            game,
            chosen,
            base,
            ends,
            max_evals=question.max_evals // len(backgrounds),
            seed=question.seed,
            **options,
        )
        base = base if found.base is None else found.base

    taken = game.returns
    if told is None and output == "logit":  # of all that was played, and not of its ends alone
        taken, guessed = _judge_outputs(seen, output, multi_label)
    evaluations, model_seconds, others = game.evaluations, game.model_seconds, game.against
    sure = _find_probabilities(empty, output, taken, multi_label)
    del game  # and its backgrounds, before there is a copy of the images

    record = Record(
        method=question.method,
        max_evals=question.max_evals,
        grid=found.grid,
        masker=describe(question.masker, images)
        if question.backgrounds is None
        else "own background",
        output=_name_explained(output, taken),
        seed=question.seed,
        outputs=full,
        probabilities=_find_probabilities(full, output, taken, multi_label),
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
        isolation="copy" if is_copy(model) else "none",
        returns=taken,
        returns_guessed=guessed,
        precision=question.precision,
    )
    return ImageExplanation(
        found.found,
        base,
        _copy_to_numpy(images.movedim(1, -1)) if known.data is None else known.data,
        chosen,
        record,
    )


def play_ends(game: CoalitionGame) -> tuple[np.ndarray, np.ndarray]:
    """Returns the outputs (N, K) of the empty and of the full images."""
    images, channels, height, width = game.images.shape
    whole = Box(0, height, 0, width, 0, channels)
    coalitions = BoxCoalitions([(), (whole,)] * images, whole)
    outputs = game.play(np.repeat(np.arange(images), 2), coalitions)
    return outputs[0::2], outputs[1::2]


def _judge_outputs(
    seen: Returned, output: Output, multi_label: bool
) -> tuple[Returns | None, bool]:
    """Returns what outputs are taken for, None for scores of any kind, and if that is a guess."""
    if callable(output) and seen.operation is None:
        return None, False
    return seen.judge(multi_label)


def _name_explained(output: Output, returns: Returns | None) -> str:
    """Returns what is explained, in a word."""
    if callable(output):
        return "custom"
    if output != "logit" or returns is None:
        return output
    return NAMES[returns]


def _find_probabilities(
    full: np.ndarray, output: Output, returns: Returns | None, multi_label: bool
) -> np.ndarray | None:
    if output == "probability":
        return full
    if returns is None or returns == "values":
        return None
    return make_probabilities(torch.from_numpy(full), returns, multi_label).numpy()


def _copy_to_numpy(tensor: torch.Tensor) -> np.ndarray:
    if tensor.dtype == torch.bfloat16:  # which NumPy does not have
        tensor = tensor.float()
    return np.array(tensor.cpu().numpy(), order="C")  # a copy: the host may reuse its batch
