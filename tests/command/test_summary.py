"""The command's summary of classes says the same however its images are explained."""

import json

import numpy as np
import pytest
import torch
from finished_model import class_folders, flags, network, weights_in

from lightning_shap import load
from lightning_shap.command import run, shards
from lightning_shap.command.data.image_set import ImageSet
from lightning_shap.command.data.partners import Partners
from lightning_shap.command.data.reading import PreparedImages
from lightning_shap.command.main import main
from lightning_shap.pictures import photographs


@pytest.fixture
def summarised(tmp_path, monkeypatch):
    """A summary of all of nine images, and what it wrote."""
    monkeypatch.setenv("SLURM_JOB_NAME", "bash")  # Lightning must not take a cluster for its own
    dataset = class_folders(tmp_path / "data")
    directory = weights_in(tmp_path, network())

    def command(output, *more):
        out = tmp_path / output
        given = flags(directory, dataset, "--n_samples", "all", "--output_dir", out, *more)
        main(["summary", *given, "--accelerator", "cpu"])
        content = json.loads((out / "classes.json").read_text(encoding="utf-8"))
        return load(out).record, content

    return command


def test_images_swap_with_the_same_whatever_the_shards_and_in_one_go(summarised, monkeypatch):
    monkeypatch.setattr(run, "_needs_shards", lambda job: False)
    at_once, said = summarised("at once")
    monkeypatch.undo()
    monkeypatch.setenv("SLURM_JOB_NAME", "bash")
    for images in (1, 4):
        monkeypatch.setattr(shards, "SHARD_IMAGES", images)
        in_shards, in_words = summarised(f"in shards of {images}")
        assert in_words["files"] == said["files"]
        assert not np.isnan(in_shards.swapped).all()
        for name in ("swaps", "swapped"):
            one, other = getattr(at_once, name), getattr(in_shards, name)
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_all_images_count_however_few_fit_the_memory(summarised, monkeypatch):
    _, whole = summarised("whole")
    monkeypatch.setattr("lightning_shap.explanation.archive.BYTES_AT_ONCE", 2 * 8 * 32 * 32 * 3 * 2)
    monkeypatch.setattr("lightning_shap.command.results.PICTURE_BYTES", 2 * 8 * 32 * 32 * 3 * 2)
    _, in_blocks = summarised("in blocks")
    assert in_blocks == whole
    assert whole["images"] == len(whole["files"]) == 9
    assert sum(one["images"] for one in whole["classes"]) == 9


def test_every_picture_shows_the_channels_that_were_asked_for(summarised, monkeypatch):
    asked = []
    original = photographs.Photographs.__init__

    def note(self, data, mean=None, std=None, channels=None):
        asked.append(channels)
        original(self, data, mean, std, channels)

    monkeypatch.setattr(photographs.Photographs, "__init__", note)
    summarised("one channel", "--channels", "2", "--report")
    assert len(asked) >= 2
    assert {*asked} == {2}


def of_numbers(count, broken=()):
    """Images that are their numbers, some of which cannot be read."""

    def opened(index):
        if index in broken:
            raise OSError("broken")
        return index

    return ImageSet([str(number) for number in range(count)], opened, np.arange(count) % 3)


def prepared(number):
    return torch.full((1, 1, 1), float(number))


@pytest.mark.parametrize("broken", [(), (1, 4, 7), (1, 2, 4, 5, 7, 8)])
def test_for_a_partner_that_cannot_be_read_the_image_itself_stands_in(broken):
    images = of_numbers(9, broken)
    partners = Partners(images, range(9), seed=0)
    numbers = [0, 3, 6]
    own = PreparedImages(torch.stack([prepared(number) for number in numbers]), numbers, {})
    found = partners.read(own, prepared)[:, 0, 0, 0].int().tolist()
    chosen = [partners.of(number) for number in numbers]
    assert all(images.labels[number] != 0 for number in chosen)
    pairs = zip(numbers, chosen, strict=True)
    assert found == [number if other in broken else other for number, other in pairs]
