"""The record of an explanation: how it came about, and what is known of it beside its values."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from lightning_shap.explanation.classes import Classes, Returns
from lightning_shap.explanation.phrases import count, join
from lightning_shap.explanation.verdicts import Verdicts


@dataclass(frozen=True)
class Record:
    """Says how an explanation came about; it is kept as ``explanation.record``.

    A slice of an explanation has the record of its images, and one of a single image has a row.
    Seconds are always those of the whole.

    Attributes:
        method: As asked for, such as ``"partition"``.
        max_evals: Model rows an image was allowed.
        grid: Patches (rows, columns) of the kernel method, else None.
        masker: What absent regions showed, in words.
        output: What was explained: ``"logit"``, ``"probability"``, ``"log-probability"``,
            ``"value"`` or ``"custom"``.
        seed: Seed of everything random.
        outputs: float64 (N, K), every output of the model for the full images.
        probabilities: float64 (N, K), or None where outputs are values, or a function of the user's
            made them in a way that says nothing.
        class_names: str (C,), of what the outputs stand for: K classes, two where a single output
            stands for the second, or K values.
        labels: int (N,), the true classes, -1 where unknown; bool (N, C), where an image may have
            several; float64 (N, K), the true values where outputs are values; or None.
        evaluations: int (N,), model rows spent on each image.
        regions: int (N,), distinct regions these resolved.
        additivity_gap: float64 (N, K'), |sum of values + base value - output|.
        seconds: The whole explanation.
        model_seconds: What of it the model took.
        multi_label: Several classes may be true at once.
        clear: float64 (N, K'), the share of regions whose value is more than two standard errors
            from zero, or None where the method knows no errors.
        relative_error: float64 (N, K'), the regions' median standard error relative to the largest
            value, or None likewise.
        against: int (N,), of contrasts the output that each explained one is compared with, by
            index, or None. What was explained is then the difference of the two.
        kept: bool (N, K'), which maps are of classes that are explained in all epochs of a
            training, whatever is predicted, or None outside of one.
        swaps: float64 (N, P), what each part of an image decides, in units of the output, or
            None; see :mod:`lightning_shap.analysis.class_summary.swaps`. Only a summary of classes
            measures it.
        swapped: float64 (N,), the whole difference that parts were measured against, above 0, or
            None. Where the model does not take an image for its class rather than the other's,
            both are NaN.
        swap_classes: int (N, P, 3), what each image is taken for with the other's part, what the
            other is with the image's, and the image without the part; or None.
        swap_rivals: int (N,), what the other image is taken for, -1 where there is no saying, and
            where the image itself stood in for the other; or None.
        swap_parts: str (P,), what the parts are called, or None.
        empty_probabilities: float64 (N, K'), those of the explained classes for the empty image, or
            None where outputs have none, and of explanations saved before there were any.
        follows_image: Regions followed what is in each image, and were no boxes or patches.
        isolation: What kept the calls from the model: ``"copy"``, or ``"none"`` for a function with
            no module behind it.
        returns: What the model's outputs were taken for: ``"logits"``, ``"probabilities"``,
            ``"log-probabilities"`` or ``"values"``; None for a function of the user's that says
            nothing of it. Where a record of an earlier version leaves it out, as ``output`` says.
        precision: In which the model was called; ``"as trained"`` is its own.
        returns_guessed: That is a guess: nobody said so, and what made them was not seen.
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
    multi_label: bool = False
    isolation: str = "none"
    follows_image: bool = False
    clear: np.ndarray | None = None
    relative_error: np.ndarray | None = None
    against: np.ndarray | None = None
    kept: np.ndarray | None = None
    empty_probabilities: np.ndarray | None = None
    swaps: np.ndarray | None = None
    swapped: np.ndarray | None = None
    swap_classes: np.ndarray | None = None
    swap_rivals: np.ndarray | None = None
    swap_parts: Sequence[str] | None = None
    returns: Returns | None = None
    returns_guessed: bool = False
    precision: str = "as trained"

    def __post_init__(self) -> None:
        if self.returns is None and self.output in RETURNED:
            object.__setattr__(self, "returns", RETURNED[self.output])

    @property
    def classes(self) -> Classes:
        """Tells what the outputs stand for."""
        values = self.returns == "values"
        return Classes(self.outputs.shape[1], values=values, multi_label=self.multi_label)

    def judge(self) -> Verdicts:
        """Judges the images: what is true of each, and what the model makes of it."""
        return Verdicts(
            self.classes, self.outputs, self.probabilities, self.labels, self.class_names
        )

    @property
    def brief(self) -> str:
        """Returns in two lines what is right, and how that was found."""
        verdicts = self.judge()
        judged = [right for right in verdicts.right if right is not None]
        right = f", {sum(judged)} of {len(judged)} right" if judged else ""
        how = join(
            f"{self.method}, {count(self.evaluations, 'evaluation')}",
            f"{self.output}s".replace("ys", "ies") * (self.output != "custom"),
            self.masker,
        )
        return f"{verdicts[0].words or verdicts[0].prediction}{right}\n{how}"

    @property
    def predicted(self) -> np.ndarray | None:
        """Returns the predicted classes of each image, bool (N, C), None if there is no saying."""
        return self.judge().predicted

    @property
    def right(self) -> list[bool | None]:
        """Tells if each image's predicted classes are its true ones, None where unknown."""
        return self.judge().right

    @property
    def exact(self) -> np.ndarray:
        """Says where every coalition of an image's regions was evaluated, bool (N,).

        Values are then exact, and what ``max_evals`` allows beyond is not needed.
        """
        if self.clear is None:
            return np.zeros(len(self.regions), dtype=bool)
        enough: np.ndarray = np.log2(self.evaluations) >= self.regions
        if self.relative_error is None:  # of a file that does not say
            return enough
        return enough & (self.relative_error == 0).all(axis=1)

    def sum_maps(self, indexes: np.ndarray) -> np.ndarray:
        """Returns what the maps of some outputs (N, K') add up to, float64; see ``against``."""
        outputs = np.take_along_axis(self.outputs, indexes, axis=1)
        if self.against is not None:
            outputs = outputs - np.take_along_axis(self.outputs, self.against[:, None], axis=1)
        return outputs

    def derive_probabilities(self) -> np.ndarray:
        """Returns what a softmax, or a sigmoid, makes of outputs that are logits, (N, K)."""
        if self.classes.independent:
            return 1 / (1 + np.exp(-self.outputs))
        powers: np.ndarray = np.exp(self.outputs - self.outputs.max(axis=1, keepdims=True))
        return powers / powers.sum(axis=1, keepdims=True)

    def pick(self, images: np.ndarray, outputs: np.ndarray) -> "Record":
        """Returns the record of some images and some of the explained outputs, by index."""
        arrays = {name: getattr(self, name) for name in PER_IMAGE}
        kept = {name: array[images] for name, array in arrays.items() if array is not None}
        kept |= {name: kept[name][:, outputs] for name in PER_MAP if name in kept}
        return replace(self, **kept)


RETURNED: dict[str, Returns] = {
    "logit": "logits",
    "probability": "probabilities",
    "value": "values",
}
"""What a model returned whose record does not say so, by what was explained."""

PER_IMAGE = (
    "outputs",
    "probabilities",
    "labels",
    "evaluations",
    "regions",
    "additivity_gap",
    "clear",
    "relative_error",
    "against",
    "kept",
    "empty_probabilities",
    "swaps",
    "swapped",
    "swap_classes",
    "swap_rivals",
)
"""The fields that have a row for each image."""

PER_MAP = ("additivity_gap", "clear", "relative_error", "kept", "empty_probabilities")
"""Those that have a column for each explained output as well."""
