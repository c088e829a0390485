"""What is known of an explanation beside its values."""

from dataclasses import dataclass

import numpy as np


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


PER_IMAGE = ("outputs", "probabilities", "labels", "evaluations", "regions", "additivity_gap")
"""The fields that have a row for each image."""
