"""Pictures in TensorBoard's event files, at a tenth of what its own writer takes for them."""

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import google_crc32c
import numpy as np

from lightning_shap.pictures.encoded import encode


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


def is_tensorboards(experiment: Any) -> bool:
    """Whether a writer is TensorBoard's own; tensorboardX has records of its own."""
    kinds = [kind.__module__ for kind in type(experiment).__mro__]
    return "torch.utils.tensorboard.writer" in kinds


def write_summary(experiment: Any, summary: Any, step: int) -> None:
    """Has a ``Summary`` written by a writer of TensorBoard's own."""
    writer = experiment._get_file_writer()
    with _quick_checksums(writer):
        writer.add_summary(summary, step)
        writer.flush()  # while the checksums are quick


@contextmanager
def _quick_checksums(writer: Any) -> Iterator[None]:
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
    file.write(length + _masked(length) + data + _masked(data))


def _masked(data: bytes) -> bytes:
    """A checksum that may itself stand in checksummed data, as TensorFlow masks it."""
    checksum = google_crc32c.value(data)
    rotated = checksum >> 15 | checksum << 17
    return struct.pack("<I", (rotated + 0xA282EAD8) & 0xFFFFFFFF)
