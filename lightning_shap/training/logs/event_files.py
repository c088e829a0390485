"""Let our events in TensorBoard's files fail without the training's."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any


@contextmanager
def writer_kept(experiment: Any) -> Iterator[None]:
    """Leaves a training the event writer that it had, even if our events were too much for a disk.

    Events are written by a thread, which dies of its first error. The next event brings that to
    light, and it would be the training's: a run would end for want of room for a picture. So what
    was written of ours is taken out of the file again, and a new thread goes on with that file:
    another file would need room of its own.

    Args:
        experiment: A ``SummaryWriter``; anything else is left alone.

    Raises:
        OSError: If our events could not be written.
    """
    if not hasattr(experiment, "all_writers"):
        yield
        return
    # What fails here is not ours. Lightning flushes whatever it logs, so there is nothing to do
    # but to know that what the file holds by now is not ours either.
    experiment.flush()
    file = _file_of(experiment)
    size = None if file is None else os.path.getsize(file)
    try:
        yield
    finally:
        try:
            experiment.flush()
        except OSError:
            if file is None or size is None or not _restored(experiment, file, size):
                # As if it was closed, which a dead one cannot be. The next event opens another.
                experiment.file_writer = experiment.all_writers = None
            raise


def _file_of(experiment: Any) -> str | None:
    """Returns where events are written, None if not on this machine or not known."""
    writer = getattr(experiment.file_writer, "event_writer", None)
    path = getattr(writer, "_file_name", None)
    return path if isinstance(path, str) and os.path.isfile(path) else None


def _restored(experiment: Any, file: str, size: int) -> bool:
    """Cuts a file back to a size and gives its writer a new thread; False if it cannot be done."""
    with suppress(OSError, AttributeError):
        # TensorBoard reads a file up to the first event that is not whole.
        os.truncate(file, size)
        writer = experiment.file_writer.event_writer
        # TensorBoard's own files are opened anew for each event, at their end. TensorFlow's, which
        # take their place where it is installed, stay open and would leave a gap.
        if writer._general_file_writer.fs_supports_append:
            dead = writer._async_writer
            room, seconds = dead._byte_queue.maxsize, dead._worker._flush_secs
            writer._async_writer = type(dead)(dead._writer, room, seconds)
            return True
    return False
