"""Archives: explanations as ``.npz`` files, which anything that reads NumPy's can read."""

import math
import os
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lightning_shap.errors import ArgumentError
from lightning_shap.explanation.atomic import open_regular, replace_whole
from lightning_shap.explanation.explanation import ImageExplanation
from lightning_shap.explanation.file_format import (
    ABOUT,
    ROWS,
    Stored,
    describe,
    image_contents,
    row_arrays,
)
from lightning_shap.explanation.npz import PICTURE, Container, Content, write
from lightning_shap.explanation.record import PER_MAP, Record
from lightning_shap.explanation.regions import stack_triangles, stack_values

NAME = "explanation.npz"
MAX_BYTES = 2**32
BYTES_AT_ONCE = 2**28  # of what is made of some images


def load(
    path: str | os.PathLike[str], *, rows: int | None = None, max_bytes: int = MAX_BYTES
) -> ImageExplanation:
    """Loads an explanation that the command, :func:`save` or the interactive page wrote.

    A file from elsewhere is safe to load: nothing in it is run, and its stated sizes are checked
    before anything is unpacked. Files of all earlier versions load.

    Args:
        path: ``explanation.npz``, or the directory it is in.
        rows: Only the first images, for archives that are larger than the memory.
        max_bytes: How much memory its arrays may take; a small file can unpack to a thousand times
            its size.

    Returns:
        What :func:`lightning_shap.explain` had returned: the same regions, values, record and
        names. Its ``data`` is the same where no channel of an image has more than 256 different
        values, as those of 8-bit files have not, and else within 1/510 of the channel's range. Of
        what the page kept, the values of regions, in single precision, and photographs for images.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no explanation, damaged or larger than ``max_bytes``.

    Example:
        >>> import tempfile, torch, lightning_shap
        >>> from lightning_shap.explanation.archive import save
        >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 3))
        >>> explanation = lightning_shap.explain(model, torch.rand(2, 1, 8, 8), topk=1)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = save(explanation, f"{folder}/explanation.npz")
        ...     same = lightning_shap.load(path)
        >>> bool((same.values == explanation.values).all())
        True
    """
    file = _file_at(path)
    if not file.exists():
        raise FileNotFoundError(f"path: there is no {str(file)!r}; give an explanation.npz")
    with _naming(file), open_regular(file) as content:
        container = Container(content)
        stated = _count_bytes(container, rows)
        if stated <= max_bytes:
            stored = Stored(container)
            images = len(stored) if rows is None else min(rows, len(stored))
            explanation = stored.explanation(range(images))
            _check_whole(explanation)
            return explanation
    raise ArgumentError(
        "path",
        f"{str(file)!r} unpacks to {stated / 2**30:.1f} GiB, and max_bytes allows "
        f"{max_bytes / 2**30:.1f}; give rows= to load the first images, or more max_bytes",
    )


def save(
    explanation: ImageExplanation,
    path: str | os.PathLike[str],
    *,
    about: dict[str, Any] | None = None,
    **more: np.ndarray,
) -> Path:
    """Saves an explanation as a compressed ``.npz`` file.

    Args:
        explanation: What :func:`lightning_shap.explain` returned, or a slice of it.
        path: Where to; the file appears whole or not at all.
        about: More to keep beside it, of what JSON can say.
        more: Further arrays with a row for each image.

    Returns:
        The path.
    """
    whole = explanation.whole
    rows = row_arrays(whole) | more
    part = _Part(image_contents(whole), rows, whole.record, whole.shape[3])
    return _write([part], Path(path), about or {})


def merge(
    paths: Sequence[Path], path: str | os.PathLike[str], *, about: dict[str, Any] | None = None
) -> Path:
    """Joins archives of different images into one, holding the pixels of one image at a time.

    Args:
        paths: At least one, of explanations with the same settings, in the order of the images.
        path: Where to; the file appears whole or not at all.
        about: More to keep beside it; what the first of them keeps where None.

    Returns:
        The path.
    """
    if about is None:
        with open_archive(paths[0]) as stored:
            about = stored.about["more"]
    return _write(_read_parts(paths), Path(path), about)


class _Part(NamedTuple):
    """Some images of an archive, as it keeps them."""

    images: Iterator[dict[str, Content]]
    rows: dict[str, np.ndarray | None]
    record: Record
    channels: int


def _read_parts(paths: Sequence[Path]) -> Iterator[_Part]:
    for path in paths:
        with open_archive(path) as stored:
            beside = {name: stored.read(name) for name in stored.about["beside"]}
            rows, channels = stored.row_arrays() | beside, stored.about["channels"]
            yield _Part(stored.image_contents(), rows, stored.record, channels)


class ArchiveBlocks:
    """Iterates over the explanations of an archive's images in their order, some at a time.

    Args:
        path: An ``explanation.npz``.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def __iter__(self) -> Iterator[ImageExplanation]:
        with open_archive(self._path) as stored:
            one = stored.explanation(range(1))
            size = max(1, BYTES_AT_ONCE // (8 * math.prod(one.shape)))
            for start in range(0, len(stored), size):
                yield stored.explanation(range(start, min(start + size, len(stored))))


def read_look(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Returns how to show the images of an archive: mean, std and names, where it knows them.

    Raises:
        ValueError: If it is no explanation, or damaged.
    """
    file = _file_at(path)
    with _naming(file), open_archive(file) as stored:
        model = dict(stored.about["more"].get("model", {}))
        known = {name: model[name] for name in ("mean", "std") if model.get(name) is not None}
        for name in stored.names & {"files", "names"}:
            known["names"] = stored.read(name).tolist()
        return known


@contextmanager
def open_archive(path: Path) -> Iterator[Stored]:
    """Yields what is stored in an archive, if it is a regular file."""
    with open_regular(path) as content:
        yield Stored(Container(content))


def _write(parts: Iterable[_Part], path: Path, about: dict[str, Any]) -> Path:
    """Writes parts of the same settings as one archive."""
    rows: list[dict[str, np.ndarray | None]] = []
    levels: list[np.ndarray] = []
    records: list[Record] = []
    with replace_whole(path) as partial, zipfile.ZipFile(partial, "w") as archive:
        for part in parts:
            for contents in part.images:
                image = len(levels)
                levels.append(np.asarray(contents.pop("photograph_levels")))
                write(archive, f"photograph/{image}{PICTURE}", contents.pop("photograph"))
                for name, content in contents.items():
                    write(archive, f"{name}/{image}", content)
            rows.append(part.rows)
            records.append(part.record)
        joined = {name: _join(name, [of[name] for of in rows]) for name in rows[0]}
        beside = [name for name in joined if name not in ROWS]
        joined["photograph_levels"] = np.stack(levels)
        joined["class_names"] = records[0].class_names
        for name, array in joined.items():
            if array is not None:
                write(archive, name, array)
        record = replace(
            records[0],
            seconds=sum(one.seconds for one in records),
            model_seconds=sum(one.model_seconds for one in records),
        )
        write(archive, ABOUT, describe(record, about, channels=part.channels, beside=beside))
    return path


def _join(name: str, parts: Sequence[np.ndarray | None]) -> np.ndarray | None:
    arrays = [part for part in parts if part is not None]
    if not arrays:
        return None
    if name == "error_triangle":
        return stack_triangles(arrays) if len(arrays) == len(parts) else None
    return stack_values(arrays) if name.startswith("per_pixel") else np.concatenate(arrays)


def _file_at(path: str | os.PathLike[str]) -> Path:
    place = Path(path)
    return place / NAME if place.is_dir() else place


@contextmanager
def _naming(file: Path) -> Iterator[None]:
    """Says of any error that it is of what a file holds.

    Raises:
        ArgumentError: For whatever is raised inside.
    """
    try:
        yield
    except Exception as error:  # a damaged file makes NumPy, zipfile and JSON raise anything
        raise ArgumentError(
            "path", f"{str(file)!r} is no explanation, or damaged ({error})"
        ) from error


def _count_bytes(container: Container, rows: int | None) -> int:
    """Returns how much memory an explanation takes at most, by what its arrays say of themselves.

    Each number is counted with eight bytes, as it becomes one of float64. What is of one image, as
    ``"name/7"``, is counted where that is one of the first rows.
    """
    images = {name: name.removesuffix(PICTURE).partition("/")[2] for name in container.names}
    beyond = {name for name, of in images.items() if of.isdecimal() and int(of) >= (rows or 2**63)}
    shapes = {name: shape for name, shape in container.shapes.items() if name not in beyond}
    count = sum(math.prod(shape) for shape in shapes.values())
    if "region_values" in shapes:  # images may share one map, and may have no photographs
        count += 2 * shapes["region_values"][0] * math.prod(shapes["region_map"][1:])
    return 8 * count


def _check_whole(explanation: ImageExplanation) -> None:
    """Makes sure that the parts of an explanation fit together.

    Raises:
        ValueError: If they do not.
    """
    record = explanation.record
    images, *_, explained = explanation.shape
    outputs, classes = record.outputs.shape[1], record.classes.count
    expected: dict[str, tuple[int, ...]] = {
        **dict.fromkeys(("base_values", "output_indexes", *PER_MAP), (images, explained)),
        **dict.fromkeys(("outputs", "probabilities"), (images, outputs)),
        **dict.fromkeys(("evaluations", "regions", "against", "swapped", "swap_rivals"), (images,)),
        "data": explanation.shape[:4],
        "class_names": (classes,),
    }
    for name, shape in expected.items():
        # The record has counts of its own under the name of the explanation's regions.
        array = getattr(record, name, None) if hasattr(record, name) else getattr(explanation, name)
        if array is not None and np.shape(array) != shape:
            raise ValueError(f"its {name} have shape {np.shape(array)}, not {shape}")
    for name, widths in {
        "labels": [(), (outputs,), (classes,)],
        "swaps": [(len(record.swap_parts or ()),)],
        "swap_classes": [(len(record.swap_parts or ()), 3)],
    }.items():
        array = getattr(record, name)
        shape = (images,) if array is None else np.shape(array)
        if shape[:1] != (images,) or (array is not None and shape[1:] not in widths):
            raise ValueError(f"its {name} have shape {shape}")
    texts, numbers = (
        (record.method, record.masker, record.output, record.returns or ""),
        (record.max_evals, record.seed),
    )
    if not all(isinstance(text, str) for text in texts):
        raise ValueError("its record holds no text where text belongs")
    if not all(isinstance(number, (int, float)) for number in (*numbers, record.seconds)):
        raise ValueError("its record holds no numbers where numbers belong")
