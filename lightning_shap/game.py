"""The coalition game: coalitions of present regions in, model outputs out.

The only place that calls a model. Rows of all images share its calls, masks are built where the
model lives, and outputs are accumulated in float64.
"""

import time
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any, Protocol

import numpy as np
import torch

from lightning_shap.isolation.modes import evaluation_mode, module_of
from lightning_shap.isolation.random_states import Draws
from lightning_shap.outputs import Output, value_function

# More rows leave the processor's caches: resnet18 at 224 px took 10 to 20 % longer with 40.
CPU_ROWS_PER_THREAD = 8


class Coalitions(Protocol):
    """A list of coalitions in whatever compact form a method likes."""

    def __len__(self) -> int:
        """How many coalitions there are."""

    def masks(self, start: int, stop: int, device: torch.device) -> torch.Tensor:
        """Coalitions ``start`` to ``stop`` as booleans (rows, C or 1, H, W); True is present."""


class CoalitionGame:
    """A model's outputs as a function of which pixels of an image are present.

    Args:
        model: Module or function from images (N, C, H, W) to an output.
        images: Float tensor (N, C, H, W), any device; moved to the model's device and dtype.
        background: What absent pixels show, of the images' shape.
        output: What is explained, see :func:`lightning_shap.outputs.value_function`.
        multi_label: Probabilities are sigmoids.
        batch_size: Rows per model call at most; fewer on a CPU, where eight rows a thread are
            fastest. Halved for good when memory runs out.
        progress: Called with the number of rows after each model call.
        draws: Through which a model is called that may draw random numbers.

    Attributes:
        evaluations: int (N,), model rows spent on each image so far.
        model_seconds: Time spent inside the model.
    """

    def __init__(
        self,
        model: Callable[..., Any],
        images: torch.Tensor,
        background: torch.Tensor,
        *,
        output: Output = "logit",
        multi_label: bool = False,
        batch_size: int = 64,
        progress: Callable[[int], None] | None = None,
        draws: Draws | None = None,
    ) -> None:
        self.model = model
        self.draws = Draws(0) if draws is None else draws
        like = _home_of(model)
        self.images = images if like is None else images.to(like)
        self.background = background.to(self.images)
        self.batch_size = batch_size
        if self.images.device.type == "cpu":
            self.batch_size = min(batch_size, CPU_ROWS_PER_THREAD * torch.get_num_threads())
        self.evaluations = np.zeros(len(images), dtype=np.int64)
        self.model_seconds = 0.0
        self.output = output
        self.multi_label = multi_label
        self.progress = progress
        self._scores = value_function(output, multi_label)

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
        outputs: list[np.ndarray] = []
        images = np.asarray(image_indices)
        start, rows = 0, len(coalitions)
        with evaluation_mode(self.model):
            while start < rows:
                calls = -(-(rows - start) // self.batch_size)
                stop = start + -(-(rows - start) // calls)  # calls of equal size waste none
                exhausted = None
                try:
                    present = coalitions.masks(start, stop, self.images.device)
                    outputs.append(self._evaluate(images[start:stop], present))
                    start = stop
                except (RuntimeError, MemoryError) as error:
                    if not out_of_memory(error):
                        raise
                    # Not the error itself, which holds on to the failed call's tensors.
                    exhausted = repr(error)
                if exhausted is not None:
                    self.halve(stop - start, exhausted)
        np.add.at(self.evaluations, images, 1)
        return np.concatenate(outputs)

    def _shown(self, images: np.ndarray, present: torch.Tensor) -> torch.Tensor:
        """The images where they are present, their backgrounds elsewhere."""
        shown = self.images.new_empty(len(images), *self.images.shape[1:])
        weights = present.to(shown.dtype)
        starts = np.flatnonzero(np.diff(images, prepend=-1)).tolist()
        for start, stop in zip(starts, [*starts[1:], len(images)], strict=True):
            # Rows of one image in a go, without a copy of it for each. A blend is exact at weights
            # of 0 and 1, and on a CPU several times as fast as `where`.
            background, image = self.background[images[start]], self.images[images[start]]
            torch.lerp(background, image, weights[start:stop], out=shown[start:stop])
        return shown

    def _evaluate(self, images: np.ndarray, present: torch.Tensor) -> np.ndarray:
        def scores_of_model() -> np.ndarray:
            shown = self._shown(images, present)  # anew at each call: a model may change its input
            started = time.perf_counter()
            scores: np.ndarray = self._scores(self.model(shown)).cpu().numpy()
            self.model_seconds += time.perf_counter() - started
            return scores

        scores = self.draws.call(scores_of_model)
        if len(scores) != len(images):
            raise ValueError(f"model: returned {len(scores)} rows for {len(images)} images")
        if not np.isfinite(scores).all():
            broken = int((~np.isfinite(scores)).any(axis=1).sum())
            raise ValueError(
                f"model: returned NaN or infinite outputs for {broken} of {len(scores)} images; "
                "there is nothing to explain until it returns finite ones"
            )
        if self.progress is not None:
            self.progress(len(scores))
        return scores

    def halve(self, rows: int, reason: str) -> None:
        """Half as many rows per model call from now on, after a call of ``rows`` was too many."""
        if rows == 1:
            raise MemoryError(f"batch_size: not even one row fits into the memory ({reason})")
        self.batch_size = max(1, rows // 2)
        if self.images.device.type == "cuda":
            torch.cuda.empty_cache()


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
