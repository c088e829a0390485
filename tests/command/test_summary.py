"""The command's summary of classes says the same however its images are explained."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from finished_model import class_folders, flags, network, weights_in
from PIL import Image

from lightning_shap import load
from lightning_shap.analysis.class_summary import swaps
from lightning_shap.analysis.class_summary.parts import list_parts
from lightning_shap.analysis.class_summary.suspicions import Suspicion
from lightning_shap.command import shards
from lightning_shap.command.data.folders import ImageSet
from lightning_shap.command.job import Job
from lightning_shap.command.main import main
from lightning_shap.command.swapping import draw_partners
from lightning_shap.page.bundle import find_data


@pytest.fixture
def summarised(tmp_path, monkeypatch):
    """A summary of all of nine images, and what it wrote."""
    dataset = class_folders(tmp_path / "data")
    directory = weights_in(tmp_path, network())

    def command(output, *more):
        out = tmp_path / output
        given = flags(directory, dataset, "--n_samples", "all", "--output_dir", out, *more)
        main(["summary", *given])
        content = json.loads((out / "classes.json").read_text(encoding="utf-8"))
        return load(out).record, content

    return command


def test_the_page_of_a_summary_has_it_and_all_images(summarised, tmp_path):
    _, content = summarised("paged", "--report")
    page = (tmp_path / "paged" / "explanation.html").read_text(encoding="utf-8")
    [[shown]] = json.loads(find_data(page))["runs"].popitem()[1].values()
    classes = shown["facts"]["classes"]
    assert classes["images"] == content["images"] == len(shown["facts"]["rows"]) == 9
    assert classes["lines"] == content["lines"]  # nothing is suspicious of nine images
    assert sum(count for *_, count in classes["confusion"]) == 9


def test_images_swap_with_the_same_whatever_the_shards_and_in_one_go(summarised, monkeypatch):
    monkeypatch.setattr(shards, "SHARD_IMAGES", 9)
    at_once, said = summarised("at once")
    for images in (1, 4):
        monkeypatch.setattr(shards, "SHARD_IMAGES", images)
        in_shards, in_words = summarised(f"in shards of {images}")
        assert in_words["files"] == said["files"]
        assert not np.isnan(in_shards.swapped).all()
        for name in ("swaps", "swapped", "swap_classes", "swap_rivals"):
            one, other = getattr(at_once, name), getattr(in_shards, name)
            if name == "swap_classes":  # by rounding a square is tried at its bound, or not
                squares = np.array([bool(part.lines) for part in list_parts()])
                assert (one[:, squares] == other[:, squares]).mean() > 0.99
                one, other = one[:, ~squares], other[:, ~squares]
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_a_run_that_watches_another_place_takes_no_shards_that_did_not(summarised, monkeypatch):
    monkeypatch.setattr(shards, "SHARD_IMAGES", 5)
    measure, calls = swaps.measure_swaps, []

    def stops(*given):
        calls.append(given)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return measure(*given)

    monkeypatch.setattr(swaps, "measure_swaps", stops)
    with pytest.raises(SystemExit):
        summarised("out", "--watch", "8,8,16,24")
    record, _ = summarised("out", "--watch", "0,0,16,24")
    assert record.swap_parts[-1] == "box 0, 0, 16, 24"
    monkeypatch.setattr(swaps, "measure_swaps", measure)
    whole, _ = summarised("whole", "--watch", "0,0,16,24")
    np.testing.assert_allclose(record.swaps, whole.swaps, rtol=1e-4, atol=1e-5)


def test_all_images_count_however_few_fit_the_memory(summarised, monkeypatch):
    _, whole = summarised("whole")
    monkeypatch.setattr("lightning_shap.explanation.archive.BYTES_AT_ONCE", 2 * 8 * 32 * 32 * 3 * 2)
    monkeypatch.setattr("lightning_shap.command.results.PICTURE_BYTES", 2 * 8 * 32 * 32 * 3 * 2)
    _, in_blocks = summarised("in blocks")
    assert in_blocks == whole
    assert whole["images"] == len(whole["files"]) == 9
    assert sum(one["images"] for one in whole["classes"]) == 9


def test_what_is_watched_is_proved_whatever_is_suspicious(summarised, capsys):
    _, said = summarised("watched", "--watch", "lower edge", "8,8,16,24")
    assert {one["part"] for one in said["watched"]} == {"the lower edge", "box 8, 8, 16, 24"}
    assert "box 8, 8, 16, 24, as asked, of all classes: of " in capsys.readouterr().out
    with pytest.raises(SystemExit):
        summarised("refused", "--watch", "the middle")
    assert "watch: got 'the middle'" in capsys.readouterr().err


def test_the_cure_of_what_was_found_is_written_as_code_and_masks(
    summarised, monkeypatch, tmp_path, capsys
):
    summarised("healthy", "--cure")
    assert not (tmp_path / "healthy" / "classes_cure.py").exists()
    assert "no classes_cure.py was written" in capsys.readouterr().out
    (edge,) = (part for part in list_parts() if part.name == "the upper edge")
    one = Suspicion(1, edge, 0.9, 0.1, 0.1, 1.0, 0.8, 0.001, 3, 3)
    rooms = "lightning_shap.analysis.class_summary"
    monkeypatch.setattr(f"{rooms}.findings.find_suspicions", lambda shares, seed: [one])
    monkeypatch.setattr(f"{rooms}.proof.HOLDS", -1.0)
    summarised("ill", "--cure")
    written = {}
    exec((tmp_path / "ill" / "classes_cure.py").read_text(encoding="utf-8"), written)
    assert written["cure"].boxes == [(0.0, 0.0, 1.0, 0.125)]
    marked = np.load(tmp_path / "ill" / "classes_masks.npz")
    assert marked["classes"].tolist() == ["cat"]
    assert marked["masks"].shape == (1, 32, 32)
    assert marked["masks"][0, :4].all()
    assert not marked["masks"][0, 4:].any()


@pytest.mark.parametrize("broken", [(), (1, 4, 7), (1, 2, 4, 5, 7, 8)])
def test_for_a_partner_that_cannot_be_read_the_image_itself_stands_in(tmp_path, broken):
    names = [str(tmp_path / f"{number}.png") for number in range(9)]
    for number, name in enumerate(names):
        Image.new("L", (8, 8), number).save(name)
        if number in broken:
            Path(name).write_bytes(b"no image")
    images = ImageSet(names, np.arange(9) % 3)
    job = SimpleNamespace(
        images=images,
        partners=draw_partners(images, range(9), seed=0),
        prepare=lambda picture: torch.tensor(picture.getpixel((0, 0))),
        options=SimpleNamespace(data=SimpleNamespace(num_workers=2)),
    )
    numbers = [0, 3, 6]
    found = Job.read(job, numbers).partners.tolist()
    chosen = [job.partners[number] for number in numbers]
    assert all(images.labels[number] != 0 for number in chosen)
    pairs = zip(numbers, chosen, strict=True)
    assert found == [number if other in broken else other for number, other in pairs]
