"""A disk that has no room for our events has as much for the training's own as without ours."""

import re
import shutil
import subprocess
import threading
from functools import partial

import numpy as np
import pytest
import torch
from pytorch_lightning.loggers import TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tiny_training import (
    TinyClassifier,
    fit,
    hear_warnings,
    lightning_warns,
    same,
    tiny_callback,
    tiny_data,
    tiny_loaders,
)
from torch.utils.tensorboard import SummaryWriter

import lightning_shap.training.logs.disk as logs_disk
from lightning_shap.training.logs.event_files import writer_kept
from lightning_shap.training.logs.loggers import Entry, log_entry
from lightning_shap.training.logs.texts import Settings

pytestmark = [pytest.mark.draws, *lightning_warns]

KIB = 1024


@pytest.fixture
def writers_may_die(monkeypatch):
    """The thread that writes events ends with its error, of which pytest is not to hear later."""
    before = set(threading.enumerate())
    monkeypatch.setattr(threading, "excepthook", lambda args: None)
    yield
    for thread in set(threading.enumerate()) - before:
        thread.join(timeout=5)


@pytest.fixture
def small_disk(tmp_path):
    """Makes file systems with so many KiB of room, if this process may mount any."""
    mounted = []

    def make(name, room):
        folder = tmp_path / name
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(folder)]
        if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
            pytest.skip("this process may not mount a file system of its own")
        mounted.append(folder)
        free = shutil.disk_usage(folder).free
        (folder / "filler").write_bytes(bytes(free - room * KIB))
        assert shutil.disk_usage(folder).free == room * KIB
        return folder

    yield make
    for folder in mounted:
        subprocess.run(["umount", str(folder)], check=True)


def fit_60_steps(folder, *callbacks):
    """A training of 60 steps: its weights, its own scalars, our pictures and our warnings."""
    logger = TensorBoardLogger(folder)
    torch.manual_seed(0)
    module = TinyClassifier()
    options = {"logger": logger, "max_epochs": 6, "loaders": tiny_loaders(40)}
    with hear_warnings() as warned:
        assert fit(folder, *callbacks, module=module, **options).global_step == 60
    return module.state_dict(), *read(logger.log_dir), warned


def read(folder):
    events = EventAccumulator(str(folder)).Reload()
    tags = events.Tags()
    own = [tag for tag in tags["scalars"] if not tag.startswith("shap")]
    scalars = {tag: [(one.step, one.value) for one in events.Scalars(tag)] for tag in own}
    return scalars, sum(len(events.Images(tag)) for tag in tags["images"])


callback = partial(tiny_callback, samples=tiny_data(3).tensors, on_error="warn")


# So much that a picture or two would have fitted, and then no more of the training's own.
@pytest.mark.integration
@pytest.mark.parametrize("room", [72, 84, 100])
def test_a_nearly_full_disk_is_the_trainings(small_disk, tmp_path, room):
    weights, scalars, _, _ = fit_60_steps(tmp_path)
    disk = small_disk("disk", room)
    found = fit_60_steps(disk, callback())
    assert same(found[0], weights)
    assert found[1] == scalars
    assert found[2] == 0
    (warned,) = found[3]
    assert re.search(r"writes nothing to TensorBoardLogger: its disk has \d\d KiB left", warned)


@pytest.mark.integration
@pytest.mark.usefixtures("writers_may_die")
def test_a_disk_that_fills_in_the_meantime_is_the_trainings_too(small_disk, tmp_path, monkeypatch):
    """The pictures do not fit, and the file in which they do not is the one that goes on."""
    monkeypatch.setattr(logs_disk, "RESERVE", 0)  # as if there had been room a moment ago
    weights, scalars, _, _ = fit_60_steps(tmp_path)
    disk = small_disk("disk", 24)
    found = fit_60_steps(disk, callback())
    assert same(found[0], weights)
    assert found[1] == scalars
    assert found[2] == 0
    (warned,) = found[3]
    assert "could not log to TensorBoardLogger: OSError: [Errno 28] No space left" in warned
    assert len(list(disk.rglob("events*"))) == 1


class RefusedError(OSError):
    """A disk's."""


@pytest.mark.usefixtures("writers_may_die")
@pytest.mark.parametrize("closed", [False, True])
def test_events_before_and_after_a_failure_are_whole(tmp_path, monkeypatch, closed):
    from tensorboard.compat.tensorflow_stub.io.gfile import LocalFileSystem

    write = LocalFileSystem._write

    def write_some(self, filename, content, mode):
        write(self, filename, content[:30] if failing else content, mode)
        if failing:
            raise RefusedError

    monkeypatch.setattr(LocalFileSystem, "_write", write_some)
    failing = False
    experiment = SummaryWriter(str(tmp_path))
    for step in range(40):
        experiment.add_scalar("own", step, step)  # more than its queue holds, and not flushed
    if closed:
        experiment.close()

    def fail():
        nonlocal failing
        with writer_kept(experiment):
            if closed:
                experiment.add_scalar("shap", 0, 0)  # opens a file
                experiment.flush()
            failing = True
            experiment.add_scalar("shap", 1, 40)

    with pytest.raises(RefusedError):
        fail()
    failing = False
    for step in range(40, 80):
        experiment.add_scalar("own", step, step)
    experiment.close()
    files = sorted(tmp_path.glob("events*"))
    assert len(files) == (3 if closed else 1)
    scalars = [step for file in files for step, _ in read(file)[0].get("own", ())]
    assert sorted(scalars) == list(range(80))


def test_an_explanation_and_its_settings_are_one_piece_of_writing(tmp_path, monkeypatch):
    logger, flushes = TensorBoardLogger(tmp_path), []
    flush = logger.experiment.flush
    monkeypatch.setattr(logger.experiment, "flush", lambda: flushes.append(flush()))
    picture, settings = np.zeros((8, 8, 3), np.uint8), Settings("shap", {"max_evals": 12})
    log_entry(logger, Entry(tag="shap", picture=picture, step=-1, text=settings))
    assert len(flushes) == 2  # what the training wrote, at once; what is ours
    logger.experiment.close()
    events = EventAccumulator(logger.log_dir).Reload()
    assert events.Tags()["images"] == ["shap/attributions"]
    assert events.Tags()["tensors"] == ["shap/settings/text_summary"]
