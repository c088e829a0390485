"""The parts of an explanation, sliced together, some of which are made when they are asked for."""

from typing import Any

import numpy as np
from slicer import Obj, Slicer

from lightning_shap.explanation.regions import Regions

MADE = ("values", "error_std")
PIXEL_AXES = ("row_numbers", "column_numbers", "channel_numbers")


class Parts(Slicer):
    """shap's slicer of parallel arrays, whose values and errors are made of regions.

    A slicer keeps what has no leading underscore for its arrays, so that nothing here is without.
    ``image_numbers`` and ``output_numbers`` are among them, as an explanation numbers them.
    """

    _regions: Regions | None = None

    @classmethod
    def _of(cls, regions: Regions, arrays: Slicer) -> "Parts":
        """The same arrays, with the values of some regions."""
        tracked = arrays._iter_tracked(include_aliases=True)
        parts = cls(**{name: array for name, array in tracked if name not in MADE})
        parts._regions = regions
        for axis, name in enumerate(PIXEL_AXES, start=1):
            setattr(parts, name, Obj(np.arange(regions.shape[axis]), [axis]))
        return parts

    @property
    def _are_made(self) -> bool:
        """Whether there are values by now."""
        return "values" in self._objects

    @property
    def _shape(self) -> tuple[int, ...]:
        """That of the values, made or not."""
        if self._are_made or self._regions is None:
            return np.shape(self.values)
        shape = self._regions.shape
        return shape[np.ndim(self.image_numbers) == 0 : 4 + np.ndim(self.output_numbers)]

    def _make(self) -> None:
        """Makes the values and their errors, if they are missing."""
        regions = self._regions
        if regions is None or self._are_made:
            return
        # A slice that picked one image, or one output, has no axis of them.
        picked = (
            0 if np.ndim(self.image_numbers) == 0 else slice(None),
            ...,
            0 if np.ndim(self.output_numbers) == 0 else slice(None),
        )
        values, error_std = regions.dense(), regions.dense_std()
        self._regions = None  # a slicer looks for what is there before it sets anything
        self.values = values[picked]
        self.error_std = None if error_std is None else error_std[picked]
        self._regions = regions

    def __getattr__(self, name: str) -> Any:
        if name in MADE and self._regions is not None and not self._are_made:
            self._make()
            return getattr(self, name)
        return super().__getattr__(name)

    def __getitem__(self, item: Any) -> "Parts":
        sliced: Parts = super().__getitem__(item)
        if self._regions is None:
            return sliced
        lengths = self._regions.shape[1:4]
        axes = [getattr(sliced, name) for name in PIXEL_AXES]
        if all(map(np.array_equal, axes, map(np.arange, lengths))):
            numbers = (sliced.image_numbers, sliced.output_numbers)
            sliced._regions = self._regions.picked(*map(np.atleast_1d, numbers))
            return sliced
        if self._are_made:
            return sliced
        self._make()  # pixels are cut out, and a region is all of its pixels
        return self[item]
