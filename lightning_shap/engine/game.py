"""The coalition game: coalitions of present regions in, model outputs out.

The only place that calls a model. Rows of all images share its calls, masks are built where the
model lives, and outputs are accumulated in float64.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Protocol, TypeVar

import numpy as np
import torch

from lightning_shap.engine.last_operation import LastOperation
from lightning_shap.engine.maskers import blend
from lightning_shap.engine.model_call import ModelCall, choose_rows, find_home, is_out_of_memory
from lightning_shap.engine.outputs import Output, is_head, make_probabilities, make_scorer
from lightning_shap.engine.precision import PrecisionName, calling, cast
from lightning_shap.engine.regions.masks import send
from lightning_shap.engine.returned import Returned
from lightning_shap.errors import ArgumentError
from lightning_shap.explanation.classes import Returns
from lightning_shap.isolation.isolated import is_copy
from lightning_shap.isolation.modes import evaluation_mode, outside_inference

Result = TypeVar("Result")


class Coalitions(Protocol):
    """A list of coalitions in whatever compact form a method likes."""

    def __len__(self) -> int:
        """Returns how many coalitions there are."""

    def masks(self, start: int, stop: int, device: torch.device) -> torch.Tensor:
        """Returns some coalitions, (rows, C or 1, H, W): True or one is present."""


class CoalitionGame:
    """A model's outputs as a function of which pixels of an image are present.

    Args:
        model: Module or function from images (N, C, H, W) to an output.
        images: Float tensor (N, C, H, W), any device; moved to the model's device and dtype.
        background: What absent pixels show, of the images' shape.
        output: What is explained, see :func:`lightning_shap.engine.outputs.make_scorer`.
        returns: What the model returns; None to judge by its first outputs.
        multi_label: Probabilities of logits are sigmoids.
        batch_size: Rows per model call at most; fewer on a CPU, where the first call shows how many
            are fast. Halved for good when memory runs out.
        precision: In which the model is called.
        progress: Called with the number of rows after each model call.

    Attributes:
        evaluations: int (N,), model rows spent on each image so far, backward passes included.
        model_seconds: Time spent inside the model, or waiting for its outputs.
        against: int (N,), which output of each image all others are compared with: what is played
            is then their difference. None for the outputs themselves.
        returned: What was seen of the model's outputs.
        returns: What they are, None where that is not known yet. Set it before ``probable``.
        probable: Probabilities of the outputs are played, and not these themselves.
    """

    def __init__(
        self,
        model: Callable[..., Any],
        images: torch.Tensor,
        background: torch.Tensor,
        *,
        output: Output = "logit",
        returns: Returns | None = None,
        multi_label: bool = False,
        batch_size: int = 64,
        precision: PrecisionName = "as trained",
        progress: Callable[[int], None] | None = None,
    ) -> None:
        self.model = model
        cast(model, precision)
        like = find_home(model)
        self.images = images if like is None else images.to(like)
        self._precision = partial(calling, self.images.device, precision)
        with self._precision():
            self._call = ModelCall(model)
        self.background = background.to(self.images)
        self._most_rows = batch_size
        self.batch_size = min(batch_size, choose_rows(self.images))
        self.evaluations = np.zeros(len(images), dtype=np.int64)
        self.model_seconds = 0.0
        self.against: np.ndarray | None = None
        self.progress = progress
        self.returned, self.returns = Returned(), returns
        self._value, self._picks = make_scorer(output), callable(output)
        self.probable = not self._picks and output == "probability"
        self._multi_label = multi_label
        self._watched = False

    def play(self, image_indices: Sequence[int] | np.ndarray, coalitions: Coalitions) -> np.ndarray:
        """Returns the outputs under some coalitions.

        Args:
            image_indices: Which image each coalition is of, (R,).
            coalitions: The R coalitions.

        Returns:
            float64 (R, K): row r is the output for image ``image_indices[r]`` of which only
            coalition r is present.

        Raises:
            ValueError: If the model returns NaN, infinities or another number of rows.
            MemoryError: If not even one row fits into the memory.
        """
        images = np.asarray(image_indices)

        def scores(start: int, stop: int) -> torch.Tensor:
            present = coalitions.masks(start, stop, self.images.device)
            return self._evaluate(blend(self.images, self.background, images[start:stop], present))

        outputs = self._take(self._call_in_batches(len(coalitions), scores))
        np.add.at(self.evaluations, images, 1)
        return self.compare(outputs, images)

    def compare(self, outputs: np.ndarray, image_indices: np.ndarray) -> np.ndarray:
        """Returns outputs (R, K) of some images, less the one that an image's are compared with."""
        if self.against is None:
            return outputs
        return outputs - np.take_along_axis(outputs, self.against[image_indices][:, None], axis=1)

    def play_whole(self, pictures: torch.Tensor) -> np.ndarray:
        """Returns the outputs for other pictures, whose rows all images share.

        Args:
            pictures: (B, C, H, W), like the images.

        Returns:
            float64 (B, K). Each image is charged an equal share of the rows, rounded up.

        Raises:
            ValueError: As :meth:`play`.
            MemoryError: As :meth:`play`.
        """
        pictures = pictures.to(self.images)
        found = self._call_in_batches(
            len(pictures), lambda start, stop: self._evaluate(pictures[start:stop].clone())
        )
        self.evaluations += -(-len(pictures) // len(self.images))
        return self._take(found)

    def gradients(
        self,
        image_indices: Sequence[int] | np.ndarray,
        pictures: torch.Tensor,
        targets: Sequence[int] | np.ndarray,
    ) -> torch.Tensor:
        """Returns how outputs change with the pixels, by a forward and a backward pass a row.

        Args:
            image_indices: Which image each row is charged to, (R,).
            pictures: (R, C, H, W), on the images' device; as many as the memory may hold at once.
            targets: Which output of each row is followed, (R,).

        Returns:
            (R, C, H, W), of the pictures' dtype and on their device, which may still be busy with
            them.

        Raises:
            ArgumentError: If the outputs do not follow from the pictures in a way that autograd
                knows of.
            MemoryError: If not even one row fits into the memory.
        """
        images, followed = np.asarray(image_indices), np.asarray(targets)

        def slopes(start: int, stop: int) -> torch.Tensor:
            others = None if self.against is None else self.against[images[start:stop]]
            return self._differentiate(pictures[start:stop], followed[start:stop], others)

        found = self._call_in_batches(len(pictures), slopes)
        np.add.at(self.evaluations, images, 1)
        return torch.cat(found)

    def _call_in_batches(self, rows: int, call: Callable[[int, int], Result]) -> list[Result]:
        """Returns what ``call(start, stop)`` returns for all rows; fewer at once if need be."""
        results: list[Result] = []
        start = 0
        with evaluation_mode(self.model, is_copy=is_copy(self.model)), self._precision():
            while start < rows:
                calls = -(-(rows - start) // self.batch_size)
                stop = start + -(-(rows - start) // calls)  # calls of equal size waste none
                exhausted = None
                try:
                    results.append(call(start, stop))
                except (RuntimeError, MemoryError) as error:
                    if not is_out_of_memory(error):
                        raise
                    # Not the error itself, which holds on to the failed call's tensors.
                    exhausted = repr(error)
                if exhausted is not None:
                    self._halve(stop - start, exhausted)
                    continue
                if self.progress is not None:
                    self.progress(stop - start)
                start = stop
        return results

    @contextmanager
    def _clock(self) -> Iterator[None]:
        """Adds to the time spent inside the model."""
        started = time.perf_counter()
        yield
        self.model_seconds += time.perf_counter() - started

    def _evaluate(self, shown: torch.Tensor) -> torch.Tensor:
        """Returns all scores (R, K), on the device, which may still be busy with them."""
        with self._clock():
            return self._scores(shown)

    def _take(self, found: list[torch.Tensor]) -> np.ndarray:
        """Returns what is explained of the scores of some calls, for which it waits once."""
        with self._clock():
            raw = torch.cat(found).cpu()
        scores: np.ndarray = raw.numpy()
        broken = int((~np.isfinite(scores)).any(axis=1).sum())
        if broken:
            raise ArgumentError(
                "model",
                f"returned NaN or infinite outputs for {broken} of {len(scores)} images; "
                "there is nothing to explain until it returns finite ones",
            )
        self.returned.see(scores)
        return self.convert(raw).numpy()

    def convert(self, scores: torch.Tensor) -> torch.Tensor:
        """Returns what is explained of a model's scores (R, K): themselves, or probabilities."""
        if not self.probable:
            return scores
        if self.returns is None:
            self.returns, _ = self.returned.judge(self._multi_label)
        return make_probabilities(scores, self.returns, self._multi_label)

    def _differentiate(
        self, pictures: torch.Tensor, targets: np.ndarray, others: np.ndarray | None
    ) -> torch.Tensor:
        """Returns the gradients (R, C, H, W) of the targets, or of what they have over others."""
        with self._clock(), outside_inference(), torch.enable_grad():
            # Clones: tensors of inference mode know no gradients, and a model that changes its
            # input in place may not do so to a leaf.
            leaf = pictures.clone().requires_grad_()
            scores = self.convert(self._scores(leaf.to(self.images.dtype, copy=True)))
            followed = _pick(scores, targets)
            if others is not None:
                followed = followed - _pick(scores, others)
            gradients = None
            if followed.requires_grad:
                (gradients,) = torch.autograd.grad(followed, leaf, allow_unused=True)
        if gradients is None:
            raise refuse_gradients("has no gradient from its images to its outputs")
        return gradients

    def _scores(self, shown: torch.Tensor) -> torch.Tensor:
        """Returns all scores (R, K) of the model; nothing else calls it."""
        scores = self._value(self._call(shown)) if self._watched else self._watch(shown)
        if len(scores) != len(shown):
            raise ArgumentError(
                "model",
                f"returned {len(scores)} rows for {len(shown)} images; return one for each, or "
                "give `output` a function that makes one of an ensemble's members, as their mean",
            )
        return scores

    def _watch(self, shown: torch.Tensor) -> torch.Tensor:
        """Returns the scores of the first call, which shows how they are made and at what size."""
        with LastOperation(shown) as watching, self._call.watch_norms(shown) as folder:
            scores = self._value(raw := self._call(shown))
        folder.fold(lambda images: self._value(self._call(images)), scores)
        self._watched = True
        self.batch_size = min(self._most_rows, choose_rows(shown, watching.largest // len(shown)))
        self.returned.operation = watching.made(scores)
        self.returned.is_head = self._picks and is_head(raw, scores)
        return scores

    def _halve(self, rows: int, reason: str) -> None:
        """Halves the rows per model call from now on, after a call of ``rows`` was too many."""
        if rows == 1:
            raise MemoryError(f"batch_size: not even one row fits into the memory ({reason})")
        self.batch_size = self._most_rows = max(1, rows // 2)
        if self.images.device.type == "cuda":
            torch.cuda.empty_cache()


def refuse_gradients(problem: str) -> ArgumentError:
    """Returns the error of a model whose gradients will not do."""
    return ArgumentError(
        "model", f"{problem}; give method 'partition' or 'kernel', which need none"
    )


def _pick(scores: torch.Tensor, columns: np.ndarray) -> torch.Tensor:
    """Returns the sum of one score of each row."""
    return scores.gather(1, send(columns, scores.device)[:, None]).sum()
