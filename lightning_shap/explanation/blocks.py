"""Archives that are larger than the memory, some images at a time and one after the other."""

import math
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from lightning_shap.explanation.archive import header, opened, read, read_record, shapes_in
from lightning_shap.explanation.explanation import ImageExplanation

BYTES_AT_ONCE = 2**28  # of attributions


class ArchiveBlocks:
    """The explanations of an archive's images in their order, some at a time.

    Going through them unpacks the archive once, whatever the memory.

    Args:
        path: An ``explanation.npz`` that :func:`lightning_shap.explanation.archive.save` or
            ``merge`` wrote, which holds values of pixels.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        images, *sizes = shapes_in(path)["values"]
        self._images = images
        self._rows = max(1, BYTES_AT_ONCE // (8 * math.prod(sizes)))

    def __iter__(self) -> Iterator[ImageExplanation]:
        base, indexes = (read(self._path, name) for name in ("base_values", "output_indexes"))
        record = read_record(self._path)
        outputs = np.arange(indexes.shape[1])
        with ExitStack() as held:
            archive = held.enter_context(opened(self._path))
            files = [held.enter_context(archive.open(f"{n}.npy")) for n in ("values", "data")]
            headers = [header(file) for file in files]
            for start in range(0, self._images, self._rows):
                images = np.arange(start, min(start + self._rows, self._images))
                values, data = (
                    np.frombuffer(
                        file.read(len(images) * math.prod(shape[1:]) * dtype.itemsize), dtype
                    ).reshape(len(images), *shape[1:])
                    for file, (shape, dtype) in zip(files, headers, strict=True)
                )
                yield ImageExplanation(
                    values,
                    base[images],
                    data,
                    indexes[images],
                    record.pick(images, outputs),
                )
