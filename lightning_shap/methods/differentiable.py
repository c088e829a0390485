"""What shap's gradient explainers see of a model, and where they start from."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

import numpy as np
import torch

from lightning_shap.game import CoalitionGame, out_of_memory
from lightning_shap.isolation.modes import default_dtype, evaluation_mode
from lightning_shap.isolation.random_states import seeded
from lightning_shap.methods.attribution import Attribution
from lightning_shap.methods.deep_copy import HookableCopy
from lightning_shap.outputs import value_function
from lightning_shap.regions.boxes import Box, BoxCoalitions

Backgrounds = torch.Tensor | Literal["samples"] | None
"""Images (B, C, H, W), the explained images themselves, or what the masker paints for each."""

# shap holds half a dozen arrays of as many images, which must not grow with the budget.
SAMPLES_AT_ONCE = 64

# shap makes its samples in the default dtype, and NumPy has no bfloat16. The model sees the host's.
SHAPS_DTYPE = torch.float32


class Scores(torch.nn.Module):
    """What shap takes for the model: the explained outputs of one image at a time.

    It has no sub-module, so that shap's ``eval()`` and ``zero_grad()`` reach nothing.

    Args:
        game: The coalition game, which knows the model and keeps the accounts.
        count: How many outputs of an image are explained, K'.
    """

    def __init__(self, game: CoalitionGame, count: int) -> None:
        super().__init__()
        self.game = game
        self.count = count
        self.image = 0
        self.targets: torch.Tensor | None = None
        self.score = value_function(game.output, game.multi_label)
        self.hosts_dtype = torch.get_default_dtype()

    def ask(self, image: int, targets: np.ndarray) -> None:
        """From now on these outputs (K') of this image are explained."""
        self.image = image
        self.targets = torch.from_numpy(targets).to(self.game.images.device)

    @contextmanager
    def no_question(self) -> Iterator[None]:
        """For shap's constructors, which run all backgrounds only to count the outputs."""
        targets, self.targets = self.targets, None
        try:
            yield
        finally:
            self.targets = targets

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """The explained outputs (rows, K')."""
        if self.targets is None:
            return images.new_zeros(len(images), self.count)
        started = time.perf_counter()
        # shap works in single precision. A copy, since a model may change its input in place.
        with default_dtype(self.hosts_dtype):
            scores = self.scores_of(images.to(self.game.images.dtype, copy=True))
        if not scores.requires_grad:
            raise no_gradient()
        # The backward pass is the model's too: checkpointing runs its forward once more there.
        scores.register_hook(lambda _: torch.set_default_dtype(self.hosts_dtype))
        images.register_hook(lambda _: self._book(len(images), started))
        return scores[:, self.targets.to(scores.device)]

    def scores_of(self, images: torch.Tensor) -> torch.Tensor:
        """All outputs (rows, K) of the model."""
        return self.score(self.game.model(images))

    def _book(self, rows: int, started: float) -> None:
        """Called when the gradient has arrived."""
        torch.set_default_dtype(SHAPS_DTYPE)
        game = self.game
        if game.images.device.type == "cuda":
            torch.cuda.synchronize(game.images.device)  # which shap does next anyway
        game.model_seconds += time.perf_counter() - started
        game.evaluations[self.image] += rows
        if game.progress is not None:
            game.progress(rows)


class DeepScores(Scores):
    """The same of a copy of the model, among whose modules shap may walk.

    Args:
        game: The coalition game.
        count: How many outputs of an image are explained, K'.
        copy: The model's copy.
    """

    def __init__(self, game: CoalitionGame, count: int, copy: HookableCopy) -> None:
        super().__init__(game, count)
        self.copy = copy
        self.softmax, self.sigmoid = torch.nn.Softmax(dim=1), torch.nn.Sigmoid()
        if game.output == "probability":  # which it gets as modules, for shap has rules for those
            self.score = value_function("logit")

    def scores_of(self, images: torch.Tensor) -> torch.Tensor:
        """All outputs (rows, K) of the copy."""
        scores = self.score(self.copy(images))
        if self.game.output != "probability":
            return scores
        alone = self.game.multi_label or scores.shape[1] == 1
        return self.sigmoid(scores) if alone else self.softmax(scores)


class Starts:
    """The backgrounds, and the outputs for them.

    Args:
        game: The coalition game of N images.
        targets: int (N, K'), the outputs to explain.
        given: Backgrounds for all images, else the game's own.

    Attributes:
        count: Backgrounds of an image, B.
        rows: Rows that an image's share of the outputs for given backgrounds costs.
    """

    def __init__(self, game: CoalitionGame, targets: np.ndarray, given: Backgrounds) -> None:
        self.game = game
        self.targets = targets
        self.shared = _checked(given, game.images)
        self.count = 1 if self.shared is None else len(self.shared)
        self.rows = 0 if self.shared is None else -(-self.count // len(targets))

    def of(self, image: int) -> torch.Tensor:
        """The backgrounds (B, C, H, W) of an image."""
        return self.game.background[image : image + 1] if self.shared is None else self.shared

    def base(self) -> np.ndarray | None:
        """Mean outputs (N, K') over given backgrounds; None where it is that of empty images."""
        if self.shared is None:
            return None
        game, (_, channels, height, width) = self.game, self.shared.shape
        whole = Box(0, height, 0, width, 0, channels)
        full = BoxCoalitions([(whole,)] * self.count, whole)
        theirs = CoalitionGame(
            game.model,
            self.shared,
            self.shared,
            output=game.output,
            multi_label=game.multi_label,
            batch_size=game.batch_size,
            progress=game.progress,
            draws=game.draws,
        )
        outputs = theirs.play(np.arange(self.count), full)
        game.evaluations += self.rows
        game.model_seconds += theirs.model_seconds
        base: np.ndarray = outputs.mean(axis=0)[self.targets]
        return base


def explained(
    scores: Scores,
    starts: Starts,
    mean_of: Callable[[torch.Tensor, torch.Tensor], np.ndarray],
    seed: int,
) -> Attribution:
    """The attributions of all images, with autograd on and everything of the host's put back.

    Args:
        scores: What shap takes for the model.
        starts: The backgrounds.
        mean_of: From an image (1, C, H, W) and its backgrounds (B, C, H, W), in single precision,
            to its values (C, H, W, K').
        seed: Seed of whatever is random.
    """
    game, targets = scores.game, starts.targets
    count, channels, height, width = game.images.shape
    values = np.empty((count, height, width, channels, targets.shape[1]))
    with seeded(seed):
        base = starts.base()
        with (
            evaluation_mode(game.model),
            torch.inference_mode(False),
            torch.enable_grad(),
        ):
            for index in range(count):
                scores.ask(index, targets[index])
                # Clones, since tensors of inference mode know no gradients.
                pair = game.images[index : index + 1].clone().float(), starts.of(index).clone()
                found = _with_fewer_rows(game, mean_of, pair[0], pair[1].float())
                if not np.isfinite(found).all():
                    raise ValueError(
                        f"model: has NaN or infinite gradients for image {index}; give method "
                        "'partition' or 'kernel', which need no gradients"
                    )
                values[index] = np.moveaxis(found, 0, 2)
    return Attribution(values, np.full(count, height * width * channels), base=base)


def no_gradient() -> ValueError:
    """The model's outputs do not follow from its images in a way that autograd knows of."""
    return ValueError(
        "model: has no gradient from its images to its outputs; give method 'partition' or "
        "'kernel', which need none"
    )


def _with_fewer_rows(
    game: CoalitionGame,
    mean_of: Callable[[torch.Tensor, torch.Tensor], np.ndarray],
    image: torch.Tensor,
    background: torch.Tensor,
) -> np.ndarray:
    """Tries with half the rows a call, again and again, when the memory runs out."""
    while True:
        try:
            with default_dtype(SHAPS_DTYPE):
                return mean_of(image, background)
        except (RuntimeError, MemoryError) as error:
            if "used in the graph" in str(error):
                raise no_gradient() from error
            if not out_of_memory(error):
                raise
            exhausted = repr(error)  # the error itself holds on to the failed call's tensors
        game.halve(min(game.batch_size, SAMPLES_AT_ONCE), exhausted)


def _checked(given: Backgrounds, images: torch.Tensor) -> torch.Tensor | None:
    if given is None:
        return None
    if isinstance(given, str) and given == "samples":
        if len(images) < 2:
            raise ValueError("backgrounds: 'samples' of one image are itself; give two or more")
        return images
    if not isinstance(given, torch.Tensor):
        raise TypeError(
            f"backgrounds: got {given!r}; give 'samples', a tensor (B, C, H, W), "
            "or None for what the masker paints"
        )
    if given.ndim != 4 or given.shape[1:] != images.shape[1:] or not len(given):
        raise ValueError(
            f"backgrounds: have shape {tuple(given.shape)}; give some images (B, C, H, W) with "
            f"(C, H, W) = {tuple(images.shape[1:])}"
        )
    given = given.detach().to(images)
    if not given.isfinite().all():
        raise ValueError("backgrounds: hold NaN or infinite pixels; give finite ones")
    return given
