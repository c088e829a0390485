"""The result: a ``shap.Explanation`` of images, and what is known of it beside its values."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import shap
from slicer import Alias, Obj


@dataclass(frozen=True)
class Record:
    """How an explanation came about, kept as ``explanation.record``.

    Attributes:
        method: ``"partition"``, ``"kernel"``, ``"gradient"`` or ``"deep"``.
        max_evals: Model rows an image was allowed.
        grid: Patches (rows, columns) of the kernel method, else None.
        masker: What absent regions showed, in words.
        output: What was explained: ``"logit"``, ``"probability"`` or ``"custom"``.
        seed: Seed of everything random.
        outputs: float64 (N, K), the explained output of every class for the full images.
        probabilities: float64 (N, K), or None where the output is a function of the user's.
        class_names: str (K,), names of all classes; two where a single output speaks of the second.
        labels: int (N,), the true classes, -1 where unknown, or None.
        evaluations: int (N,), model rows spent on each image.
        regions: int (N,), distinct regions these resolved.
        additivity_gap: float64 (N, K'), |sum of values + base value - output|.
        seconds: The whole explanation.
        model_seconds: What of it the model took.
        isolation: What kept the calls from the model: ``"copy"``, ``"restored"`` where it would not
            be copied, ``"none"`` for a function with no module behind it.
    """

    method: str
    max_evals: int
    grid: tuple[int, int] | None
    masker: str
    output: str
    seed: int
    outputs: np.ndarray
    probabilities: np.ndarray | None
    class_names: np.ndarray
    labels: np.ndarray | None
    evaluations: np.ndarray
    regions: np.ndarray
    additivity_gap: np.ndarray
    seconds: float
    model_seconds: float
    isolation: str = "none"


PER_IMAGE = ("outputs", "probabilities", "labels", "evaluations", "regions", "additivity_gap")
"""The fields that have a row for each image."""


class ImageExplanation(shap.Explanation):
    """A ``shap.Explanation`` whose classes may differ from image to image.

    shap's own class loses its way when it slices one that has ``output_indexes``, or as many images
    as channels (shap 0.51): it guesses which axes are the outputs', and guesses again at each copy.
    Here the last axis is the outputs', said once, and a copy is a copy.

    Args:
        values: float64 (N, H, W, C, K').
        base_values: float64 (N, K').
        data: The images, (N, H, W, C).
        output_indexes: Indices of the explained outputs, int (N, K').
        record: How the explanation came about.
        error_std: Standard error of each value, or None.
    """

    record: Record

    def __init__(
        self,
        values: np.ndarray,
        base_values: np.ndarray,
        data: np.ndarray,
        output_indexes: np.ndarray,
        record: Record,
        error_std: np.ndarray | None = None,
    ) -> None:
        super().__init__(
            values, base_values, data, error_std=error_std, compute_time=record.seconds
        )
        self.output_dims: tuple[int, ...] = (4,)
        self.record = record
        unspoken = len(record.class_names) - record.outputs.shape[1]
        output_names = record.class_names[output_indexes + unspoken]
        shared = bool((output_indexes == output_indexes[0]).all())
        self._s.base_values = Obj(base_values, [0, 4])
        self._s.output_indexes = Obj(output_indexes, [0, 4])
        # Names that all images share can be sliced by: `explanation[:, :, :, :, "cat"]`. They stay
        # NumPy's strings, since image_plot reshapes a single one.
        self._s.output_names = (
            Alias(list(output_names[0]), 4) if shared else Obj(output_names, [0, 4])
        )

    def __getitem__(self, item: Any) -> "ImageExplanation":
        sliced: ImageExplanation = super().__getitem__(item)
        # shap keeps the axes of the outputs as they were; image_plot would take channels for them.
        sliced.output_dims = tuple(range(sliced.data.ndim, sliced.values.ndim))
        return sliced

    def __copy__(self) -> "ImageExplanation":
        twin = object.__new__(type(self))
        # A slicer of its own: shap's arithmetic writes its results into a copy.
        twin.__dict__.update(self.__dict__, _s=self._s[...], op_history=list(self.op_history))
        return twin


def interleaved(shares: Sequence[ImageExplanation]) -> ImageExplanation:
    """One explanation of images that were dealt out in turn: 0, 2, 4, ... and 1, 3, 5, ..."""
    first, *others = shares
    if not others:
        return first
    places = [np.arange(len(share)) * len(shares) + turn for turn, share in enumerate(shares)]
    order = np.argsort(np.concatenate(places))

    def together(arrays: list[Any]) -> Any:
        return None if arrays[0] is None else np.concatenate(arrays)[order]

    records = [share.record for share in shares]
    record = replace(
        first.record,
        **{name: together([getattr(r, name) for r in records]) for name in PER_IMAGE},
        seconds=max(r.seconds for r in records),
        model_seconds=max(r.model_seconds for r in records),
    )
    return ImageExplanation(
        together([share.values for share in shares]),
        together([share.base_values for share in shares]),
        together([share.data for share in shares]),
        together([share.output_indexes for share in shares]),
        record,
        together([share.error_std for share in shares]),
    )
