"""Archives: explanations as ``.npz`` files, which anything that reads NumPy's can read."""

import json
import math
import os
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from lightning_shap.errors import ArgumentError
from lightning_shap.explanation import compact
from lightning_shap.explanation.atomic import open_regular, replacing
from lightning_shap.explanation.explanation import ImageExplanation
from lightning_shap.explanation.record import PER_IMAGE, PER_MAP, Record

FORMAT = 1
NAME = "explanation.npz"
ABOUT = "about"

ONCE = ("class_names",)  # arrays that are the same for all images
# Large enough that they are copied part by part.
STREAMED = ("values", "data", "error_std")
KINDS = "biufU"  # what arrays may hold: numbers and text, nothing that runs code
MAX_BYTES = 2**32


def load(
    path: str | os.PathLike[str], *, rows: int | None = None, max_bytes: int = MAX_BYTES
) -> ImageExplanation:
    """Load an explanation that the command, :func:`save` or the interactive page wrote.

    A file from elsewhere is safe to load: nothing in it is run, and its stated sizes are checked
    before anything is unpacked.

    Args:
        path: ``explanation.npz``, or the directory it is in.
        rows: Only the first images, for archives that are larger than the memory.
        max_bytes: How much memory its arrays may take; a small file can unpack to a thousand times
            its size.

    Returns:
        What :func:`lightning_shap.explain` had returned: the same values, record and names. Of what
        the page kept, the values of regions, in single precision, and photographs for images.

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
    place = Path(path)
    file = place / NAME if place.is_dir() else place
    if not file.exists():
        raise FileNotFoundError(f"path: there is no {str(file)!r}; give an explanation.npz")
    with _naming(file):
        stated = _stated_bytes(file, rows)
        if stated <= max_bytes:
            return _load(file, rows)
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
    """Save an explanation as a compressed ``.npz`` file.

    Args:
        explanation: What :func:`lightning_shap.explain` returned, or some of its images or outputs,
            such as ``e[2:4]``.
        path: Where to; the file appears whole or not at all.
        about: More to keep beside it, of what JSON can say.
        more: Further arrays with a row for each image.

    Returns:
        The path.
    """
    explanation = explanation.whole
    path = Path(path)
    arrays = {**_arrays(explanation), **more}
    streamed = _streamed(explanation)
    with _writing(path) as archive:
        for name, parts in streamed.items():
            _write(archive, name, parts, len(explanation))
        for name, array in arrays.items():
            _write(archive, name, [array])
        _write_about(archive, compact.plain(explanation.record), about or {})
    return path


def merge(
    paths: Sequence[Path], path: str | os.PathLike[str], *, about: dict[str, Any] | None = None
) -> Path:
    """Join archives of different images into one, holding one of them at a time.

    Args:
        paths: At least one, of explanations with the same settings, in the order of the images.
        path: Where to; the file appears whole or not at all.
        about: More to keep beside it; what the first of them keeps where None.

    Returns:
        The path.
    """
    path = Path(path)
    abouts = [_about(part) for part in paths]
    shared = abouts[0]["record"]
    for name in ("seconds", "model_seconds"):
        shared[name] = sum(about["record"][name] for about in abouts)
    rows = sum(len(read(part, "output_indexes")) for part in paths)
    with _writing(path) as archive:
        for name in names_in(paths[0]):
            parts = (read(part, name) for part in paths)
            if name in ONCE:
                _write(archive, name, [next(parts)])
            elif name in STREAMED:
                _write(archive, name, parts, rows)
            else:  # text grows to the longest of all parts, which only the whole knows
                _write(archive, name, [np.concatenate([*parts])])
        _write_about(archive, shared, abouts[0]["more"] if about is None else about)
    return path


def names_in(path: Path) -> list[str]:
    """The arrays of an archive."""
    with opened(path) as archive:
        names = [name.removesuffix(".npy") for name in archive.namelist()]
    return [name for name in names if name != ABOUT]


def shapes_in(path: Path) -> dict[str, tuple[int, ...]]:
    """What shapes the arrays of an archive have."""
    return {name: shape for name, (shape, _) in _headers(path).items()}


def read(path: Path, name: str, rows: int | None = None) -> np.ndarray:
    """One array of an archive, or only its first rows."""
    with opened(path) as archive, archive.open(f"{name}.npy") as file:
        shape, dtype = header(file, rows)
        content = bytearray(file.read(math.prod(shape) * dtype.itemsize))
    array: np.ndarray = np.frombuffer(content, dtype).reshape(shape)
    return array


def read_record(path: Path, rows: int | None = None) -> Record:
    """The record of an archive, without its attributions."""
    there = names_in(path)

    def found(name: str) -> np.ndarray | None:
        return read(path, name, rows) if name in there else None

    return compact.record_of(_about(path), found, read(path, "class_names"))


def read_more(path: Path) -> dict[str, Any]:
    """What was kept beside the explanation as ``about``."""
    more: dict[str, Any] = _about(path)["more"]
    return more


def look_of(path: str | os.PathLike[str]) -> dict[str, Any]:
    """How to show the images of an archive: mean, std and names, as far as it knows them.

    Raises:
        ValueError: If it is no explanation, or damaged.
    """
    place = Path(path)
    file = place / NAME if place.is_dir() else place
    known: dict[str, Any] = {}
    if not file.exists():
        return known
    with _naming(file):
        model = dict(read_more(file).get("model", {}))
        known |= {name: model[name] for name in ("mean", "std") if model.get(name) is not None}
        for name in {"files", "names"} & {*names_in(file)}:
            known["names"] = read(file, name).tolist()
    return known


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


@contextmanager
def opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """Yields an archive to read, if it is a regular file."""
    with open_regular(path) as file, zipfile.ZipFile(file) as archive:
        yield archive


def _load(file: Path, rows: int | None) -> ImageExplanation:
    there = names_in(file)
    if compact.VALUES in there:
        whole = {name: read(file, name, None if name in ONCE else rows) for name in there}
        explanation = compact.restored(whole.get, _about(file))
        _check_whole(explanation)
        return explanation
    explanation = ImageExplanation(
        read(file, "values", rows),
        read(file, "base_values", rows),
        read(file, "data", rows),
        read(file, "output_indexes", rows),
        read_record(file, rows),
        read(file, "error_std", rows) if "error_std" in names_in(file) else None,
    )
    _check_whole(explanation)
    return explanation


def header(file: Any, rows: int | None = None) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """What an array says of itself, of its first rows if only these are wanted."""
    np.lib.format.read_magic(file)
    shape, in_columns, dtype = np.lib.format.read_array_header_1_0(file)
    if in_columns or dtype.kind not in KINDS:
        raise ValueError(f"it holds {dtype} in an order that was never written")
    if shape and rows is not None:
        shape = (min(rows, shape[0]), *shape[1:])
    return shape, dtype


def _stated_bytes(path: Path, rows: int | None) -> int:
    """How much memory the arrays of an archive take, by what they say of themselves."""
    total, shapes = 0, {}
    for name, (shape, dtype) in _headers(path).items():
        shapes[name] = (min(rows, shape[0]), *shape[1:]) if shape and rows is not None else shape
        total += math.prod(shapes[name]) * dtype.itemsize
    if compact.VALUES in shapes:  # whose images may share one map, and have no photographs
        pixels = shapes[compact.VALUES][0] * math.prod(shapes["region_map"][1:])
        total += pixels * compact.BYTES_PER_PIXEL
    return total


def _headers(path: Path) -> dict[str, tuple[tuple[int, ...], np.dtype[Any]]]:
    headers = {}
    with opened(path) as archive:
        for name in archive.namelist():
            with archive.open(name) as file:
                headers[name.removesuffix(".npy")] = header(file)
    return headers


def _check_whole(explanation: ImageExplanation) -> None:
    """Make sure that the parts of an explanation fit together.

    Raises:
        ValueError: If they do not.
    """
    record = explanation.record
    images, height, width, channels, explained = np.shape(explanation.values)
    outputs, classes = record.outputs.shape[1], record.classes.count
    one, by_output, by_map = (images,), (images, outputs), (images, explained)
    expected: dict[str, list[tuple[int, ...]]] = {
        "error_std": [(images, height, width, channels, explained)],
        "data": [(images, height, width, channels)],
        **{name: [by_map] for name in ("base_values", "output_indexes")},
        **{name: [by_map] for name in PER_MAP},
        **{name: [by_output] for name in ("outputs", "probabilities")},
        **{name: [one] for name in ("evaluations", "regions", "against", "swapped")},
        "labels": [one, by_output, (images, classes)],
        "swaps": [(images, 0 if record.swaps is None else record.swaps.shape[-1])],
        "class_names": [(classes,)],
    }
    arrays = {**_arrays(explanation), "error_std": explanation.error_std}
    for name, shapes in expected.items():
        array = arrays.get(name)
        if array is not None and np.shape(array) not in shapes:
            raise ValueError(f"its {name} have shape {np.shape(array)}, not {shapes[0]}")
    texts, numbers = (
        (record.method, record.masker, record.output, record.returns or ""),
        (record.max_evals, record.seed),
    )
    if not all(isinstance(text, str) for text in texts):
        raise ValueError("its record holds no text where text belongs")
    if not all(isinstance(number, (int, float)) for number in (*numbers, record.seconds)):
        raise ValueError("its record holds no numbers where numbers belong")


def _about(path: Path) -> dict[str, Any]:
    about: dict[str, Any] = json.loads(str(read(path, ABOUT)))
    if about["format"] > compact.FORMAT:
        raise ValueError(f"it was written by version {about['version']}, which is newer")
    return about


def _arrays(explanation: ImageExplanation) -> dict[str, np.ndarray]:
    record, indexes = explanation.record, np.asarray(explanation.output_indexes)
    arrays = {
        "base_values": explanation.base_values,
        "data": explanation.data,
        "output_names": np.broadcast_to(np.asarray(explanation.output_names), indexes.shape),
        "output_indexes": indexes,
        **{name: getattr(record, name) for name in (*PER_IMAGE, *ONCE)},
    }
    return {name: np.asarray(array) for name, array in arrays.items() if array is not None}


def _streamed(explanation: ImageExplanation) -> dict[str, Iterable[np.ndarray]]:
    """What has a number for every pixel, which is made of regions one image at a time."""
    regions = explanation.regions
    if regions is None:
        known = {"values": explanation.values, "error_std": explanation.error_std}
        return {name: [np.asarray(array)] for name, array in known.items() if array is not None}
    images = [slice(image, image + 1) for image in range(len(explanation))]
    errors = (part for part in map(regions.dense_std, images) if part is not None)
    values = map(regions.dense, images)
    return (
        {"values": values} if regions.error_std is None else {"values": values, "error_std": errors}
    )


@contextmanager
def _writing(path: Path) -> Iterator[zipfile.ZipFile]:
    # Attributions are constant over regions: the quickest compression already does nearly all.
    with (
        replacing(path) as partial,
        zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
    ):
        yield archive


def _write(
    archive: zipfile.ZipFile, name: str, parts: Iterable[np.ndarray], rows: int | None = None
) -> None:
    """An array as ``np.savez`` writes it, from parts that make up so many rows."""
    entry = zipfile.ZipInfo(f"{name}.npy")  # of no date, so that equal arrays give equal bytes
    entry.compress_type = zipfile.ZIP_DEFLATED
    with archive.open(entry, "w", force_zip64=True) as file:
        for number, part in enumerate(parts):
            if number == 0:
                shape = part.shape if rows is None else (rows, *part.shape[1:])
                descr = np.lib.format.dtype_to_descr(part.dtype)
                header = {"descr": descr, "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(file, header)
            file.write(np.ascontiguousarray(part).data)


def _write_about(archive: zipfile.ZipFile, record: dict[str, Any], more: dict[str, Any]) -> None:
    about = {"format": FORMAT, "version": version("lightning-shap"), "record": record, "more": more}
    text = json.dumps(about, ensure_ascii=False)
    _write(archive, ABOUT, [np.array(text)])
