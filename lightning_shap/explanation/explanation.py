"""The result: what each region of an image adds to an output, and what is known beside that."""

import sys
from base64 import b64encode
from functools import cached_property
from html import escape
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np

from lightning_shap.explanation.contribution import Contribution, Place, measure_place
from lightning_shap.explanation.maps import read_maps
from lightning_shap.explanation.record import Record
from lightning_shap.explanation.regions import Regions

if TYPE_CHECKING:
    import shap
    from PIL import Image

SHOWN_ROWS = 8  # of the images, where a notebook shows an explanation
_MADE = ("values", "error_std")  # what is made of regions when it is asked for


class ImageExplanation:
    """Holds what some outputs of a model were found to owe to each part of N images.

    It slices as an array of its ``values`` does: ``e[2:4]``, ``e[0]``, ``e[..., 1]``, and by name,
    ``e[..., "cat"]``, where all images explain the same classes. Below, (N, H, W, C, K') loses an
    axis that was picked by a number.

    Values of regions are made into those of pixels when ``values`` or ``error_std`` is asked for.
    Until then they take four bytes a pixel, and not eight for each of its channels and outputs.
    These arrays are read-only: whoever changes values makes an explanation of their own, of the
    same record, and of a slice's ``whole``.

    ``shap.image_plot`` takes it as it is; :meth:`to_shap` returns a ``shap.Explanation`` for all
    else that shap can do.

    Args:
        values: What each region adds, or the values of all pixels, (N, H, W, C, K').
        base_values: float64 (N, K').
        data: The images, (N, H, W, C).
        output_indexes: Indices of the explained outputs, int (N, K').
        record: How the explanation came about.

    Attributes:
        record: Says how it came about; that of a slice is of its images and outputs.
        training: Says how the training ended that this is the final explanation of; None for any
            other, and for a slice.
        is_one_image: An image was picked by its number, so that there is no axis of images.
    """

    def __init__(
        self,
        values: np.ndarray | Regions,
        base_values: np.ndarray,
        data: np.ndarray,
        output_indexes: np.ndarray,
        record: Record,
    ) -> None:
        # Every axis is there; those that were picked away are left out where somebody looks.
        self._source, self._base = values, base_values
        self._images, self._indexes = data, output_indexes
        self.record = record
        self.training: Any = None
        self.is_one_image = self._is_one_output = False

    @property
    def regions(self) -> Regions | None:
        """Returns what was found of each region of all its images, None where pixels have values.

        A slice has those of its images and outputs, with the pixels that it keeps.
        """
        return self._source if isinstance(self._source, Regions) else None

    @cached_property
    def values(self) -> np.ndarray:
        """Returns the values of all pixels, float64 (N, H, W, C, K')."""
        source = self._source
        return _read_only(self._seen(source.dense() if isinstance(source, Regions) else source))

    @cached_property
    def error_std(self) -> np.ndarray | None:
        """Returns the standard errors of ``values``, None where they are unknown."""
        found = None if self.regions is None else self.regions.dense_std()
        return None if found is None else _read_only(self._seen(found))

    @property
    def base_values(self) -> np.ndarray:
        """Returns what the model says of the empty images, float64 (N, K')."""
        return self._seen(self._base)

    @property
    def output_indexes(self) -> np.ndarray:
        """Returns the indices of the explained outputs, int (N, K')."""
        return self._seen(self._indexes)

    @property
    def data(self) -> np.ndarray:
        """Returns the images as the model took them, (N, H, W, C)."""
        return self._images[0] if self.is_one_image else self._images

    @property
    def output_names(self) -> Any:
        """Returns the names of the explained classes: a list (K') for all images, or (N, K')."""
        if not self._explains_the_same:
            return self._seen(self._names)
        return self._names[0, 0] if self._is_one_output else list(self._names[0])

    @property
    def shape(self) -> tuple[int, ...]:
        """Returns the shape of the values, (N, H, W, C, K')."""
        shape = self._source.shape
        return shape[self.is_one_image : 4 + (not self._is_one_output)]

    @property
    def whole(self) -> "ImageExplanation":
        """Returns it with all axes: an image or an output that was picked is the only one."""
        if not (self.is_one_image or self._is_one_output):
            return self
        return ImageExplanation(self._source, self._base, self._images, self._indexes, self.record)

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        return f"<explanation {' x '.join(map(str, self.shape))}\n{self.record.brief}>"

    def __getitem__(self, item: Any) -> "ImageExplanation":
        asked_images, *pixels, asked_outputs = self._of_each_axis(item)
        images, is_one_image = _numbers(asked_images, len(self._base))
        outputs, is_one_output = self._output_numbers(asked_outputs)
        for pixel in pixels:
            if pixel != slice(None):
                raise IndexError(
                    f"got {pixel!r} for rows, columns or channels, and whole images are explained; "
                    "cut e.values and e.data"
                )
        source = self._source
        part = ImageExplanation(
            source.pick(images, outputs)
            if isinstance(source, Regions)
            else source[images][..., outputs],
            self._base[images][:, outputs],
            self._images[images],
            self._indexes[images][:, outputs],
            self.record.pick(images, outputs),
        )
        part.is_one_image = self.is_one_image or is_one_image
        part._is_one_output = self._is_one_output or is_one_output
        return part

    def region(self, place: Place) -> Contribution:
        """Returns what a place contributes to each output, with its standard error.

        Errors of single regions must not be added up: they correlate, and that is counted.

        Args:
            place: A box (left, top, right, bottom) in pixels, the right and bottom edges excluded;
                a point (x, y), for the region it lies in; or a mask, booleans (H, W) for all images
                or (N, H, W). A region that is partly inside counts with that part.

        Raises:
            ValueError: If it is none of these, or holds no pixel.

        Example:
            >>> import torch, lightning_shap
            >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 3))
            >>> explanation = lightning_shap.explain(
            ...     model, torch.rand(2, 1, 8, 8), topk=1, method="kernel", grid=4, max_evals=60
            ... )
            >>> explanation.region((0, 0, 8, 4)).error.shape
            (2, 1)
            >>> print(explanation[0, ..., 0].region((0, 0, 8, 8)).words)
            100 % of the change
        """
        change = self.record.sum_maps(self._indexes) - self._base
        return measure_place(read_maps(self), place, change).pick(self._at)

    def plot(self, **look: Any) -> "Image.Image":
        """Draws it, with arguments of :func:`lightning_shap.plot`."""
        from PIL import Image

        from lightning_shap import plot

        return Image.fromarray(plot(self, **look))

    def _repr_png_(self) -> bytes:
        content = BytesIO()
        self.plot(rows=range(len(self.record.outputs))[:SHOWN_ROWS]).save(content, "PNG")
        return content.getvalue()

    def _repr_html_(self) -> str:
        """Shows the first images in a notebook, and three lines on all."""
        picture = b64encode(self._repr_png_()).decode()
        return f'<img src="data:image/png;base64,{picture}"><pre>{escape(repr(self))}</pre>'

    def summary(self) -> str:
        """Says in a few lines what is right, where the model looks, and how sure that is.

        Of the final explanation that a callback made, also how the training got there.
        """
        from lightning_shap import summarize

        return summarize(self)

    def to_shap(self) -> "shap.Explanation":
        """Returns a ``shap.Explanation`` of the same values, for shap's arithmetic and plots."""
        import shap

        return shap.Explanation(
            self.values,
            self.base_values,
            self.data,
            output_names=self.output_names,
            error_std=self.error_std,
            compute_time=self.record.seconds,
        )

    @property
    def output_dims(self) -> tuple[int, ...]:
        """Returns the axes of ``values`` that are outputs, which shap's plots ask for."""
        return tuple(range(self.data.ndim, len(self.shape)))

    @property  # type: ignore[misc]  # there is nothing to set
    def __class__(self) -> type:
        """Returns ``shap.Explanation`` once shap is loaded: its plots look at nothing but that."""
        return getattr(sys.modules.get("shap"), "Explanation", type(self))

    def __reduce__(self) -> tuple[Any, ...]:
        # By its real type, and without what can be made again.
        state = {name: value for name, value in vars(self).items() if name not in _MADE}
        return object.__new__, (type(self),), state

    @property
    def _names(self) -> np.ndarray:
        return self.record.class_names[self.record.classes.find(self._indexes)]

    @property
    def _explains_the_same(self) -> bool:
        return bool((self._indexes == self._indexes[:1]).all())

    @property
    def _at(self) -> tuple[int | slice, int | slice]:
        """Returns what leaves out the axes that were picked away, of images and of outputs."""
        return 0 if self.is_one_image else slice(None), 0 if self._is_one_output else slice(None)

    def _seen(self, array: np.ndarray) -> np.ndarray:
        """Leaves out the axes of an array (N, ..., K') that were picked away."""
        image, output = self._at
        found: np.ndarray = array[image, ..., output]
        return found[()]  # a single number is no array

    def _of_each_axis(self, item: Any) -> list[Any]:
        """Returns what an index asks of each of the five axes, also of those picked away."""
        parts = list(item) if isinstance(item, tuple) else [item]
        axes = [*([0] * (not self.is_one_image)), 1, 2, 3, *([4] * (not self._is_one_output))]
        for place, part in enumerate(parts):
            if part is Ellipsis:
                parts[place : place + 1] = [slice(None)] * (len(axes) - len(parts) + 1)
                break
        if len(parts) > len(axes):
            raise IndexError(f"got {len(parts)} indices for the {len(axes)} axes of {self.shape}")
        found: list[Any] = [slice(None)] * 5
        for axis, part in zip(axes, parts, strict=False):
            found[axis] = part
        return found

    def _output_numbers(self, item: Any) -> tuple[np.ndarray, bool]:
        """Returns which outputs are asked for, by place or name, and if it is one by itself."""
        names = item if isinstance(item, list) else [item]
        if not any(isinstance(name, str) for name in names):
            return _numbers(item, self._source.shape[-1])
        if not self._explains_the_same:
            raise IndexError(
                f"{names[0]!r}: images explain classes of their own; pick outputs by their place, "
                "as in e[..., 0]"
            )
        known = self._names[0].tolist()
        for name in set(names) - set(known):
            raise IndexError(f"{name!r}: is none of {known}")
        return np.array([known.index(name) for name in names]), isinstance(item, str)


def _numbers(item: Any, count: int) -> tuple[np.ndarray, bool]:
    """Returns which of so many places an index picks, and if it is one without an axis."""
    found = np.arange(count)[item if isinstance(item, (int, slice)) else np.asarray(item)]
    if found.ndim > 1:
        raise IndexError(f"got {item!r}; give a number, a slice, a list of numbers or a mask")
    return np.atleast_1d(found), found.ndim == 0


def _read_only(array: np.ndarray) -> np.ndarray:
    view = array.view()
    view.flags.writeable = False
    return view
