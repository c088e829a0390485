"""The coalition game: coalitions of present regions in, model outputs out.

The only place that calls a model. Rows of all images share its calls, masks are built where the
model lives, and outputs are accumulated in float64.
"""

import inspect
import time
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any, Protocol, TypeVar

import numpy as np
import torch

from lightning_shap.engine.last_operation import LastOperation
from lightning_shap.engine.outputs import (
    Output,
    picks_a_head,
    probabilities_of,
    say_rows,
    value_function,
)
from lightning_shap.engine.returned import Returned
from lightning_shap.errors import ArgumentError
from lightning_shap.explanation.classes import Returns
from lightning_shap.isolation.modes import evaluation_mode, module_of, outside_inference

# More rows leave the processor's caches: resnet18 at 224 px took 10 to 20 % longer with 40.
CPU_ROWS_PER_THREAD = 8
# Of larger images fewer are as fast, and leave the memory to the model: resnet18 at 448 px takes
# the same time, within 3 %, by one row or by eight.
CPU_PIXELS_PER_THREAD = 8 * 224**2

PIXELS = "pixel_values"  # what Hugging Face calls images

Result = TypeVar("Result")


class Coalitions(Protocol):
    """A list of coalitions in whatever compact form a method likes."""

    def __len__(self) -> int:
        """How many coalitions there are."""

    def masks(self, start: int, stop: int, device: torch.device) -> torch.Tensor:
        """Coalitions ``start`` to ``stop`` as booleans (rows, C or 1, H, W); True is present."""


class NoGradientError(ArgumentError):
    """The model cannot be followed from its outputs back to its images."""


class CoalitionGame:
    """A model's outputs as a function of which pixels of an image are present.

    Args:
        model: Module or function from images (N, C, H, W) to an output.
        images: Float tensor (N, C, H, W), any device; moved to the model's device and dtype.
        background: What absent pixels show, of the images' shape.
        output: What is explained, see :func:`lightning_shap.engine.outputs.value_function`.
        returns: What the model returns; None to judge by its first outputs.
        multi_label: Probabilities of logits are sigmoids.
        batch_size: Rows per model call at most; fewer on a CPU, where eight rows a thread are
            fastest, and as many pixels of larger images. Halved for good when memory runs out.
        progress: Called with the number of rows after each model call.

    Attributes:
        evaluations: int (N,), model rows spent on each image so far, backward passes included.
        model_seconds: Time spent inside the model.
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
        progress: Callable[[int], None] | None = None,
    ) -> None:
        self.model = model
        like = _home_of(model)
        self.images = images if like is None else images.to(like)
        self.background = background.to(self.images)
        self.batch_size = batch_size
        if self.images.device.type == "cpu":
            pixels = self.images[0, 0].numel()
            threads = torch.get_num_threads()
            rows = min(CPU_ROWS_PER_THREAD * threads, CPU_PIXELS_PER_THREAD * threads // pixels)
            self.batch_size = min(batch_size, max(1, rows))
        self.evaluations = np.zeros(len(images), dtype=np.int64)
        self.model_seconds = 0.0
        self.against: np.ndarray | None = None
        self.progress = progress
        self.returned = Returned()
        self.returns = returns
        self._value = value_function(output)
        self._picks = callable(output)
        self.probable = not self._picks and output == "probability"
        self._multi_label = multi_label
        # How the scores are made.
        self._watched = returns is not None and not self._picks

    def play(self, image_indices: Sequence[int] | np.ndarray, coalitions: Coalitions) -> np.ndarray:
        """The outputs under some coalitions.

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

        def outputs(start: int, stop: int) -> np.ndarray:
            present = coalitions.masks(start, stop, self.images.device)
            return self._evaluate(self._shown(images[start:stop], present))

        found = self._in_batches(len(coalitions), outputs)
        np.add.at(self.evaluations, images, 1)
        return self.compared(np.concatenate(found), images)

    def compared(self, outputs: np.ndarray, image_indices: np.ndarray) -> np.ndarray:
        """Outputs (R, K) of some images, less the one that each image's are compared with."""
        if self.against is None:
            return outputs
        return outputs - np.take_along_axis(outputs, self.against[image_indices][:, None], axis=1)

    def play_whole(self, pictures: torch.Tensor) -> np.ndarray:
        """The outputs for pictures that are none of the images but of use to all of them.

        Args:
            pictures: (B, C, H, W), like the images.

        Returns:
            float64 (B, K). Each image is charged an equal share of the rows, rounded up.

        Raises:
            ValueError: As :meth:`play`.
            MemoryError: As :meth:`play`.
        """
        pictures = pictures.to(self.images)
        found = self._in_batches(
            len(pictures), lambda start, stop: self._evaluate(pictures[start:stop].clone())
        )
        self.evaluations += -(-len(pictures) // len(self.images))
        return np.concatenate(found)

    def gradients(
        self,
        image_indices: Sequence[int] | np.ndarray,
        pictures: torch.Tensor,
        targets: Sequence[int] | np.ndarray,
    ) -> torch.Tensor:
        """How outputs change with the pixels: a forward and a backward pass for each row.

        Args:
            image_indices: Which image each row is charged to, (R,).
            pictures: (R, C, H, W), on the images' device; as many as the memory may hold at once.
            targets: Which output of each row is followed, (R,).

        Returns:
            (R, C, H, W), of the pictures' dtype and on their device.

        Raises:
            NoGradientError: If the outputs do not follow from the pictures in a way that autograd
                knows of, or by gradients that are not finite.
            MemoryError: If not even one row fits into the memory.
        """
        images, followed = np.asarray(image_indices), np.asarray(targets)

        def slopes(start: int, stop: int) -> torch.Tensor:
            others = None if self.against is None else self.against[images[start:stop]]
            found = self._differentiate(pictures[start:stop], followed[start:stop], others)
            broken = ~found.isfinite().flatten(1).all(1).cpu().numpy()
            if broken.any():
                first = images[start:stop][broken][0]
                raise NoGradientError("model", f"has NaN or infinite gradients for image {first}")
            return found

        found = self._in_batches(len(pictures), slopes)
        np.add.at(self.evaluations, images, 1)
        return torch.cat(found)

    def _in_batches(self, rows: int, call: Callable[[int, int], Result]) -> list[Result]:
        """What ``call(start, stop)`` returns for all rows, fewer at once if memory runs out."""
        reported = 0

        def played() -> list[Result]:
            nonlocal reported
            results: list[Result] = []
            start = 0
            while start < rows:
                calls = -(-(rows - start) // self.batch_size)
                stop = start + -(-(rows - start) // calls)  # calls of equal size waste none
                exhausted = None
                try:
                    results.append(call(start, stop))
                    start = stop
                except (RuntimeError, MemoryError) as error:
                    if not out_of_memory(error):
                        raise
                    # Not the error itself, which holds on to the failed call's tensors.
                    exhausted = repr(error)
                if exhausted is not None:
                    self._halve(stop - start, exhausted)
                if self.progress is not None and start > reported:
                    self.progress(start - reported)
                reported = max(start, reported)
            return results

        with evaluation_mode(self.model):
            return played()

    def _shown(self, images: np.ndarray, present: torch.Tensor) -> torch.Tensor:
        """The images where they are present, their backgrounds elsewhere."""
        shown = self.images.new_empty(len(images), *self.images.shape[1:])
        weights = present.view(torch.uint8).to(shown.dtype)  # three times as fast as from booleans
        starts = np.flatnonzero(np.diff(images, prepend=-1)).tolist()
        for start, stop in zip(starts, [*starts[1:], len(images)], strict=True):
            # Rows of one image in a go, without a copy of it for each. A blend is exact at weights
            # of 0 and 1, and on a CPU several times as fast as `where`.
            image = int(images[start])
            torch.lerp(
                self.background[image],
                self.images[image],
                weights[start:stop],
                out=shown[start:stop],
            )
        return shown

    def _evaluate(self, shown: torch.Tensor) -> np.ndarray:
        started = time.perf_counter()
        raw = self._scores(shown).cpu()
        scores: np.ndarray = raw.numpy()
        self.model_seconds += time.perf_counter() - started
        if not np.isfinite(scores).all():
            broken = int((~np.isfinite(scores)).any(axis=1).sum())
            raise ArgumentError(
                "model",
                f"returned NaN or infinite outputs for {broken} of {len(scores)} images; "
                "there is nothing to explain until it returns finite ones",
            )
        self.returned.see(scores)
        return self.explained(raw).numpy()

    def explained(self, scores: torch.Tensor) -> torch.Tensor:
        """Returns what is explained of a model's scores (R, K): themselves, or probabilities."""
        if not self.probable:
            return scores
        if self.returns is None:
            self.returns, _ = self.returned.judge(self._multi_label)
        return probabilities_of(scores, self.returns, self._multi_label)

    def _differentiate(
        self, pictures: torch.Tensor, targets: np.ndarray, others: np.ndarray | None
    ) -> torch.Tensor:
        gradients = self._gradients(pictures, targets, others)
        if gradients is None:
            raise NoGradientError("model", "has no gradient from its images to its outputs")
        return gradients

    def _gradients(
        self, pictures: torch.Tensor, targets: np.ndarray, others: np.ndarray | None
    ) -> torch.Tensor | None:
        started = time.perf_counter()
        with outside_inference(), torch.enable_grad():
            # Clones: tensors of inference mode know no gradients, and a model that changes its
            # input in place may not do so to a leaf.
            leaf = pictures.clone().requires_grad_()
            scores = self.explained(self._scores(leaf.to(self.images.dtype, copy=True)))
            columns = torch.from_numpy(targets).to(scores.device)
            followed = scores.gather(1, columns[:, None]).sum()
            if others is not None:
                columns = torch.from_numpy(others).to(scores.device)
                followed = followed - scores.gather(1, columns[:, None]).sum()
            gradients = None
            if followed.requires_grad:
                (gradients,) = torch.autograd.grad(followed, leaf, allow_unused=True)
        if gradients is not None and gradients.device.type == "cuda":
            torch.cuda.synchronize(gradients.device)  # as the scores of :meth:`play` do
        self.model_seconds += time.perf_counter() - started
        return gradients

    def _scores(self, shown: torch.Tensor) -> torch.Tensor:
        """The only call of a model: all its scores (R, K)."""
        call = self._call if self._watched else self._watch
        scores = call(shown)
        if len(scores) != len(shown):
            raise ArgumentError("model", say_rows(len(scores), len(shown)))
        return scores

    def _call(self, shown: torch.Tensor) -> torch.Tensor:
        return self._value(raw_output(self.model, shown))

    def _watch(self, shown: torch.Tensor) -> torch.Tensor:
        """The first call, which also shows how the scores are made."""
        with LastOperation(shown) as watching:
            raw = raw_output(self.model, shown)
            with watching.picking():
                scores = self._value(raw)
        self._watched = True
        self.returned.operation = watching.made(scores)
        self.returned.is_head = self._picks and picks_a_head(raw, scores)
        return scores

    def _halve(self, rows: int, reason: str) -> None:
        """Half as many rows per model call from now on, after a call of ``rows`` was too many."""
        if rows == 1:
            raise MemoryError(f"batch_size: not even one row fits into the memory ({reason})")
        self.batch_size = max(1, rows // 2)
        if self.images.device.type == "cuda":
            torch.cuda.empty_cache()


def raw_output(model: Callable[..., Any], images: torch.Tensor) -> Any:
    """What a model returns for images (N, C, H, W), called in the way that its signature asks for.

    That is by position, unless it has a place for ``pixel_values``, as Hugging Face's models have,
    or takes nothing but keywords.
    """
    name = _keyword_of(model)
    return model(images) if name is None else model(**{name: images})


def _keyword_of(model: Callable[..., Any]) -> str | None:
    forward = model.forward if isinstance(model, torch.nn.Module) else model
    try:
        parameters = list(inspect.signature(forward).parameters.values())
    except (TypeError, ValueError):  # of compiled code
        return None
    if any(parameter.name == PIXELS for parameter in parameters):
        return PIXELS
    if not parameters or any(p.kind not in (p.KEYWORD_ONLY, p.VAR_KEYWORD) for p in parameters):
        return None
    named = [p for p in parameters if p.kind is p.KEYWORD_ONLY]
    required_first = sorted(named, key=lambda p: p.default is not p.empty)
    return required_first[0].name if named else PIXELS


def _home_of(model: Callable[..., Any]) -> torch.Tensor | None:
    """A tensor of the device and dtype that a model works in, None if it does not say."""
    module = module_of(model)
    if module is None:
        return None
    tensors = chain(module.parameters(), module.buffers())
    return next((tensor for tensor in tensors if tensor.is_floating_point()), None)


def out_of_memory(error: Exception) -> bool:
    """Whether an error says that the memory ran out, whatever its class."""
    if isinstance(error, (MemoryError, torch.cuda.OutOfMemoryError)):
        return True
    words = ("out of memory", "can't allocate memory", "not enough memory")
    return any(word in str(error).lower() for word in words)
