"""The result: a ``shap.Explanation`` of images, and what is known of it beside its values."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
import shap
from slicer import Alias, Obj, Slicer

from lightning_shap.errors import ArgumentError
from lightning_shap.explanation.classes import Classes, Returns
from lightning_shap.explanation.regions import Regions, joined
from lightning_shap.explanation.slices import Parts
from lightning_shap.explanation.verdicts import verdicts_of

if TYPE_CHECKING:
    from PIL import Image

    from lightning_shap.analysis.history.conclusion import Summary

SHOWN_ROWS = 8  # of the images, where a notebook shows an explanation


@dataclass(frozen=True)
class Record:
    """How an explanation came about, kept as ``explanation.record``.

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
        empty_probabilities: float64 (N, K'), those of the explained classes for the empty image, or
            None where outputs have none, and of explanations saved before there were any.
        follows_image: Regions followed what is in each image, and were no boxes or patches.
        isolation: What kept the calls from the model: ``"copy"``, or ``"none"`` for a function with
            no module behind it.
        returns: What the model's outputs were taken for: ``"logits"``, ``"probabilities"``,
            ``"log-probabilities"`` or ``"values"``; None for a function of the user's that says
            nothing of it. Where a record of an earlier version leaves it out, as ``output`` says.
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
    returns: Returns | None = None
    returns_guessed: bool = False

    def __post_init__(self) -> None:
        if self.returns is None and self.output in RETURNED:
            object.__setattr__(self, "returns", RETURNED[self.output])

    @property
    def classes(self) -> Classes:
        """What the outputs stand for."""
        values = self.returns == "values"
        return Classes(self.outputs.shape[1], values=values, multi_label=self.multi_label)

    @property
    def predicted(self) -> np.ndarray | None:
        """Which classes are predicted for each image, bool (N, C), None if there is no saying."""
        return verdicts_of(self).predicted

    @property
    def right(self) -> list[bool | None]:
        """Whether each image's predicted classes are its true ones, None if unknown."""
        return verdicts_of(self).right

    @property
    def exact(self) -> np.ndarray:
        """Says where every coalition of an image's regions was evaluated, bool (N,).

        Values are then exact, and what ``max_evals`` allows beyond is not needed.
        """
        if self.clear is None:
            return np.zeros(len(self.regions), dtype=bool)
        found: np.ndarray = np.log2(self.evaluations) >= self.regions
        return found

    def explained(self, indexes: np.ndarray) -> np.ndarray:
        """float64 (N, K'), what the maps of some outputs (N, K') add up to; see ``against``."""
        outputs = np.take_along_axis(self.outputs, indexes, axis=1)
        if self.against is not None:
            outputs = outputs - np.take_along_axis(self.outputs, self.against[:, None], axis=1)
        return outputs

    def picked(self, images: np.ndarray, outputs: np.ndarray) -> "Record":
        """The record of some of the images and of some of the explained outputs, by index."""
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
)
"""The fields that have a row for each image."""

PER_MAP = ("additivity_gap", "clear", "relative_error", "kept", "empty_probabilities")
"""Those that have a column for each explained output as well."""


class ImageExplanation(shap.Explanation):
    """A ``shap.Explanation`` whose classes may differ from image to image.

    shap's own class loses its way when it slices one that has ``output_indexes``, or as many images
    as channels (shap 0.51): it guesses which axes are the outputs', and guesses again at each copy.
    Here the last axis is the outputs', and a copy is a copy; the record is sliced along.

    Values of regions are made into those of pixels when ``values`` or ``error_std`` is asked for.
    Until then they take four bytes a pixel, and not eight for each of its channels and outputs.

    Args:
        values: What each region adds, or the values of all pixels, (N, H, W, C, K').
        base_values: float64 (N, K').
        data: The images, (N, H, W, C).
        output_indexes: Indices of the explained outputs, int (N, K').
        record: How the explanation came about.
        error_std: Standard error of each pixel's value, or None; regions have their own.
    """

    record: Record
    training: "Summary | None" = None  # how the training ended that this explanation is the last of
    _s: Slicer

    def __init__(
        self,
        values: np.ndarray | Regions,
        base_values: np.ndarray,
        data: np.ndarray,
        output_indexes: np.ndarray,
        record: Record,
        error_std: np.ndarray | None = None,
    ) -> None:
        regions = values if isinstance(values, Regions) else None
        super().__init__(
            values if regions is None else np.broadcast_to(0.0, regions.shape),
            base_values,
            data,
            error_std=error_std,
            compute_time=record.seconds,
        )
        if regions is not None:
            self._s = Parts._of(regions, self._s)
        self.output_dims: tuple[int, ...] = (4,)
        self.record = record
        self._number_axes(*output_indexes.shape)
        output_names = record.class_names[record.classes.of(output_indexes)]
        shared = bool((output_indexes == output_indexes[0]).all())
        self._s.base_values = Obj(base_values, [0, 4])
        self._s.output_indexes = Obj(output_indexes, [0, 4])
        # Names that all images share can be sliced by: `explanation[:, :, :, :, "cat"]`. They stay
        # NumPy's strings, since image_plot reshapes a single one.
        self._s.output_names = (
            Alias(list(output_names[0]), 4) if shared else Obj(output_names, [0, 4])
        )

    @property
    def regions(self) -> Regions | None:
        """What was found of each region; None where every pixel is a region of its own.

        A slice has those of its images, and of its outputs, as long as it keeps all their pixels.
        """
        return getattr(self._s, "_regions", None)

    @property
    def is_compact(self) -> bool:
        """Whether values are those of regions still, and nobody has asked for those of pixels."""
        return self.regions is not None and not self._s._are_made

    @property
    def shape(self) -> tuple[int, ...]:
        """That of the values."""
        return self._s._shape if self.is_compact else np.shape(self._s.values)

    @property
    def values(self) -> np.ndarray:
        """The values of all pixels, float64 (N, H, W, C, K')."""
        return self._s.values

    @values.setter
    def values(self, values: np.ndarray) -> None:
        if self.regions is not None:  # what is set now is not what they add
            self._s._make()
            self._s._regions = None
        self._s.values = values

    def __getitem__(self, item: Any) -> "ImageExplanation":
        self._check_names_in(item)
        sliced: ImageExplanation = super().__getitem__(item)
        # shap keeps the axes of the outputs as they were; image_plot would take channels for them.
        sliced.output_dims = tuple(range(sliced.data.ndim, len(sliced.shape)))
        images, outputs = sliced._s.image_numbers, sliced._s.output_numbers
        sliced.record = self.record.picked(np.atleast_1d(images), np.atleast_1d(outputs))
        sliced._number_axes(*(len(axis) if np.ndim(axis) else None for axis in (images, outputs)))
        return sliced

    def _number_axes(self, images: int | None, outputs: int | None) -> None:
        """Numbers images and outputs, so that a slice shows which it picked; None is no axis."""
        self._s.image_numbers = 0 if images is None else Obj(np.arange(images), [0])
        self._s.output_numbers = (
            0 if outputs is None else Obj(np.arange(outputs), list(self.output_dims))
        )

    def _check_names_in(self, item: Any) -> None:
        """Names pick outputs only where all images have the same."""
        parts = item if isinstance(item, tuple) else (item,)
        flat = (one for part in parts for one in (part if isinstance(part, list) else [part]))
        for name in (one for one in flat if isinstance(one, str)):
            if np.ndim(self.output_names) == 2:
                raise IndexError(
                    f"{name!r}: images explain classes of their own; pick outputs by their place, "
                    "as in e[..., 0]"
                )
            if name not in np.atleast_1d(self.output_names):
                raise IndexError(
                    f"{name!r}: is none of {np.atleast_1d(self.output_names).tolist()}"
                )

    @property
    def is_one_image(self) -> bool:
        """Whether an image was picked by its number, so that no axis of images is left."""
        return np.ndim(self._s.image_numbers) == 0

    def plot(self, **look: Any) -> "Image.Image":
        """The picture of it, which a notebook shows.

        Args:
            look: Arguments of :func:`lightning_shap.plot`.
        """
        from PIL import Image

        from lightning_shap.pictures.grid import plot

        return Image.fromarray(plot(self, **look))

    def _repr_png_(self) -> bytes | None:
        """What a notebook shows of it: the picture of the first images."""
        content = BytesIO()
        try:
            self.plot(max_rows=SHOWN_ROWS).save(content, "PNG")
        except ArgumentError:  # of values that are no maps any more, such as a mean over images
            return None
        return content.getvalue()

    def summary(self) -> str:
        """What it says in a few lines: what is right, where the model looks, how sure that is.

        Of the final explanation that a callback made, also how the training got there.
        """
        from lightning_shap.analysis.history.conclusion import (
            lines_of,  # metrics of explanations need torch
        )

        lines = lines_of(self) if self.training is None else self.training.lines
        return "\n".join(lines)

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
    regions = [share.regions for share in shares if share.is_compact and share.regions is not None]
    compact = len(regions) == len(shares)
    return ImageExplanation(
        joined(regions).picked(order, np.arange(first.shape[-1]))
        if compact
        else together([share.values for share in shares]),
        together([share.base_values for share in shares]),
        together([share.data for share in shares]),
        together([share.output_indexes for share in shares]),
        record,
        None if compact else together([share.error_std for share in shares]),
    )
