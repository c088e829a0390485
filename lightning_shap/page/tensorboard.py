"""TensorBoard's event files: pictures, and explanations where its readers find them for the page.

Pictures take a tenth of what TensorBoard's own writer takes for them. Each explanation is two
values of one event. The facts are a *tensor*, of which TensorBoard reads all steps at once; the
rest is a *blob sequence*, which it reads one by one as they are asked for: the values and, with the
first explanation of some images, what all of them share, each of many images in pieces.
"""

import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

import google_crc32c
import numpy as np

from lightning_shap.page.data import PageData, dump_json
from lightning_shap.pictures.encoded import encode

PLUGIN = "shap"
EXPLANATION, FACTS = "explanation", "facts"  # the ends of tags

samples_written: WeakKeyDictionary[Any, set[str]] = WeakKeyDictionary()
"""The keys of the samples that the event files of a writer hold, by the writer."""


def add_scalar(experiment: Any, tag: str, value: float, step: int, description: str | None) -> None:
    """Adds a number to a TensorBoard writer, with what it says of it beside its chart."""
    from tensorboard.compat.proto.summary_pb2 import DATA_CLASS_SCALAR, Summary, SummaryMetadata

    known = SummaryMetadata(
        plugin_data=SummaryMetadata.PluginData(plugin_name="scalars"),
        summary_description=description or "",
        data_class=DATA_CLASS_SCALAR,  # or TensorBoard leaves the description out
    )
    one = Summary.Value(tag=tag, simple_value=value, metadata=known)
    write_summary(experiment, Summary(value=[one]), step)


def add_picture(experiment: Any, tag: str, picture: np.ndarray, step: int) -> None:
    """Adds a picture to a TensorBoard writer and has it written, as its ``add_image`` would.

    That converts a picture to floats and back and makes a PNG of it, and the writer's checksum,
    byte by byte in Python, takes as long again.

    Args:
        experiment: A ``SummaryWriter``, or what has an ``add_image`` like it.
        tag: Under which it is shown.
        picture: uint8 (height, width, 3).
        step: Where it stands on the slider.
    """
    if not is_tensorboards(experiment):
        experiment.add_image(tag, picture, step, dataformats="HWC")
        return
    from tensorboard.compat.proto.summary_pb2 import Summary

    height, width, channels = picture.shape
    image = Summary.Image(
        height=height, width=width, colorspace=channels, encoded_image_string=encode(picture)
    )
    write_summary(experiment, Summary(value=[Summary.Value(tag=tag, image=image)]), step)


def add_explanation(
    experiment: Any, tag: str, page: PageData, step: int, numbers: Mapping[str, float]
) -> None:
    """Adds an explanation to a TensorBoard writer, for the page; nothing to one of other makes.

    Args:
        experiment: A ``SummaryWriter``.
        tag: The callback's.
        page: The explanation.
        step: Where it stands.
        numbers: What is logged beside it.
    """
    if not is_tensorboards(experiment):
        return
    from tensorboard.compat.proto.summary_pb2 import (
        DATA_CLASS_BLOB_SEQUENCE,
        DATA_CLASS_TENSOR,
        Summary,
    )

    blobs = [*page.values]
    if page.key not in samples_written.get(experiment, ()):
        blobs += page.samples
    text = dump_json(page.add_numbers(numbers)).encode("utf-8", "backslashreplace")
    values = [
        _make_value(f"{tag}/{FACTS}", [text], DATA_CLASS_TENSOR),
        _make_value(f"{tag}/{EXPLANATION}", blobs, DATA_CLASS_BLOB_SEQUENCE),
    ]
    write_summary(experiment, Summary(value=values), step)


def _make_value(tag: str, texts: list[bytes], data_class: int) -> Any:
    from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
    from tensorboard.compat.proto.tensor_pb2 import TensorProto
    from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
    from tensorboard.compat.proto.types_pb2 import DT_STRING

    shape = TensorShapeProto(dim=[TensorShapeProto.Dim(size=len(texts))])
    tensor = TensorProto(dtype=DT_STRING, tensor_shape=shape, string_val=texts)
    plugin_data = SummaryMetadata.PluginData(plugin_name=PLUGIN)
    metadata = SummaryMetadata(plugin_data=plugin_data, data_class=data_class)
    return Summary.Value(tag=tag, tensor=tensor, metadata=metadata)


def is_tensorboards(experiment: Any) -> bool:
    """Tells if a writer is TensorBoard's own; tensorboardX has records of its own."""
    kinds = [kind.__module__ for kind in type(experiment).__mro__]
    return "torch.utils.tensorboard.writer" in kinds


def write_summary(experiment: Any, summary: Any, step: int) -> None:
    """Has a ``Summary`` written by a writer of TensorBoard's own."""
    writer = experiment._get_file_writer()
    with _checksum_quickly(writer):
        writer.add_summary(summary, step)
        writer.flush()  # while the checksums are quick


@contextmanager
def _checksum_quickly(writer: Any) -> Iterator[None]:
    """Has this one writer's records checksummed by us; the same bytes reach its file.

    A writer that is made otherwise than we know goes on by itself.
    """
    from tensorboard.summary.writer.record_writer import RecordWriter

    records = writer
    for name in ("event_writer", "_async_writer", "_writer"):
        records = getattr(records, name, None)
    file = getattr(records, "_writer", None)
    if type(records) is not RecordWriter or not hasattr(file, "write"):
        yield
        return
    records.write = partial(_write_record, file)
    try:
        yield
    finally:
        del records.write


def _write_record(file: Any, data: bytes) -> None:
    length = struct.pack("<Q", len(data))
    file.write(length + _mask(length) + data + _mask(data))


def _mask(data: bytes) -> bytes:
    """Returns a checksum that may itself stand in checksummed data, as TensorFlow masks it."""
    checksum = google_crc32c.value(data)
    rotated = checksum >> 15 | checksum << 17
    return struct.pack("<I", (rotated + 0xA282EAD8) & 0xFFFFFFFF)
