"""A disk that has no room for our events has as much for the training's own as without ours."""

import re
import shutil
import subprocess
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

from lightning_shap.training.logs.loggers import Entry, Text, log_entry

pytestmark = [pytest.mark.draws, *lightning_warns]

KIB = 1024


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


def test_an_explanation_and_its_settings_are_one_piece_of_writing(tmp_path, monkeypatch):
    logger, flushes = TensorBoardLogger(tmp_path), []
    flush = logger.experiment.flush
    monkeypatch.setattr(logger.experiment, "flush", lambda: flushes.append(flush()))
    picture = np.zeros((8, 8, 3), np.uint8)
    settings = Text(tag="shap", name="settings", table="| max_evals |", plain={"max_evals": 12})
    log_entry(logger, Entry(tag="shap", picture=picture, step=-1, text=settings))
    assert len(flushes) == 1
    logger.experiment.close()
    events = EventAccumulator(logger.log_dir).Reload()
    assert events.Tags()["images"] == ["shap/attributions"]
    assert events.Tags()["tensors"] == ["shap/settings/text_summary"]
