"""The format: all that was found is kept, in few bytes, and files of earlier versions are read."""

import io
import json
import zipfile
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch
from generic_model import Generic
from PIL import Image

from lightning_shap import explain, load, plot
from lightning_shap.analysis.history.snapshot import Snapshot
from lightning_shap.errors import ArgumentError
from lightning_shap.explanation.archive import ArchiveBlocks, merge, open_archive, read_look, save
from lightning_shap.explanation.eight_bit_images import from_levels, to_levels
from lightning_shap.explanation.maps import read_maps
from lightning_shap.explanation.npz import write
from lightning_shap.explanation.record import PER_IMAGE
from lightning_shap.page.data import PageWriter

OLD = Path(__file__).parent / "old_files"
METHODS = ("partition", "kernel", "gradient", "image_regions")
MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


def raw(name):
    with np.load(OLD / name) as arrays:
        return dict(arrays)


def eight_bit(images, side, seed=0):
    """Photographs as a loader hands them out: bytes, then scaled and normalised."""
    levels = np.random.default_rng(seed).integers(0, 256, (images, side, side, 3))
    return ((levels / np.float32(255) - MEAN) / STD).astype(np.float32)


def explained(method="partition", images=3, data=None, **settings):
    data = eight_bit(images, 8) if data is None else data
    settings = {"max_evals": 40, "topk": 2, "labels": [0] * len(data), **settings}
    model = Generic(data.shape[3:] + data.shape[1:3], classes=4)
    return explain(model, torch.from_numpy(data).movedim(-1, 1), method=method, **settings)


KINDS = {
    "boxes": {},
    "boxes of channels": {"max_evals": 600},
    "patches with errors": {"method": "kernel", "grid": (3, 2)},
    "regions of the image": {"method": "kernel", "regions": "image"},
    "pixels": {"method": "gradient", "max_evals": 4},
}


def assert_same(one, other):
    for name in ("values", "error_std", "base_values", "data", "output_indexes"):
        a, b = getattr(one, name), getattr(other, name)
        np.testing.assert_array_equal(a, b)
        assert a is None or a.dtype == b.dtype
    assert (one.regions is None) == (other.regions is None)
    if one.regions is not None:
        for field in fields(one.regions):
            np.testing.assert_array_equal(
                getattr(one.regions, field.name), getattr(other.regions, field.name)
            )
    for field in fields(one.record):
        a, b = (getattr(each.record, field.name) for each in (one, other))
        np.testing.assert_array_equal(a, b)
        assert type(a) is type(b)
        assert not isinstance(a, np.ndarray) or a.dtype == b.dtype


@pytest.mark.parametrize("kind", KINDS)
def test_regions_values_and_images_are_loaded_as_they_were_saved(tmp_path, kind):
    explanation = explained(**KINDS[kind])
    assert_same(load(save(explanation, tmp_path / "e.npz")), explanation)


def test_merged_archives_have_the_regions_of_all(tmp_path):
    few, many = explained(max_evals=10), explained(max_evals=600, data=eight_bit(2, 8, seed=1))
    paths = [save(few, tmp_path / "1.npz"), save(many, tmp_path / "2.npz")]
    whole = load(merge(paths, tmp_path / "e.npz"))
    assert whole.regions is not None
    np.testing.assert_array_equal(whole.values, np.concatenate([few.values, many.values]))
    np.testing.assert_array_equal(whole.data, np.concatenate([few.data, many.data]))


def test_merging_copies_photographs_and_draws_none_again(tmp_path, monkeypatch):
    paths = [
        save(explained(data=eight_bit(2, 8, seed=seed)), tmp_path / f"{seed}.npz")
        for seed in (1, 2)
    ]
    kept = [zipfile.ZipFile(path).read("photograph/1.png") for path in paths]
    for name in (
        "explanation.eight_bit_images.to_levels",
        "explanation.npz.Container.read_picture",
    ):
        monkeypatch.delattr(f"lightning_shap.{name}")
    whole = zipfile.ZipFile(merge(paths, tmp_path / "e.npz"))
    assert [whole.read(f"photograph/{image}.png") for image in (1, 3)] == kept


@pytest.mark.parametrize("method", ["kernel", "gradient"])
def test_an_archive_is_read_in_blocks(tmp_path, monkeypatch, method):
    explanation = explained(method, images=5, max_evals=16)
    path = save(explanation, tmp_path / "e.npz")
    monkeypatch.setattr(
        "lightning_shap.explanation.archive.BYTES_AT_ONCE", 16 * explanation[:1].values.nbytes // 8
    )
    blocks = [*ArchiveBlocks(path)]
    assert [len(block) for block in blocks] == [2, 2, 1]
    for start, block in zip((0, 2, 4), blocks, strict=True):
        assert_same(block, explanation[start : start + 2])


# Photographs


@pytest.mark.parametrize("channels", [1, 2, 3, 5])
def test_images_of_at_most_256_values_a_channel_are_exact(channels):
    numbers = np.random.default_rng(0)
    values = np.sort(numbers.normal(size=256)).astype(np.float32)
    data = values[numbers.integers(0, 256, (20, 30, channels))]
    again = from_levels(*read_back(data), data.shape)
    assert again.dtype == data.dtype
    np.testing.assert_array_equal(again, data)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_other_images_are_within_a_510th_of_each_channels_range(channels):
    scale = 10.0 ** np.arange(channels)
    data = np.random.default_rng(0).normal(size=(40, 30, channels)) * scale
    off = np.abs(from_levels(*read_back(data), data.shape) - data).max((0, 1))
    span = data.max((0, 1)) - data.min((0, 1))
    assert (off <= span / 510 * (1 + 1e-9)).all()
    assert (off > span / 600).all()


def read_back(data):
    png, levels = to_levels(data)
    return np.asarray(Image.open(io.BytesIO(png))), levels


def test_an_image_takes_the_bytes_of_its_png_and_few_more(tmp_path):
    """Which are 98 of 100 bytes of the image in float32 less than version 1 took."""
    y, x = np.mgrid[:224, :224] / 224
    smooth = np.stack([np.sin(9 * x + 3 * y), x * y, np.cos(7 * y)], axis=-1) * 100 + 128
    levels = smooth.clip(0, 255).astype(np.uint8)
    data = ((levels / np.float32(255) - MEAN) / STD).astype(np.float32)[None]
    explanation = explained(data=data, max_evals=100)
    png = io.BytesIO()
    Image.fromarray(levels).save(png, "PNG")
    path = save(explanation, tmp_path / "e.npz")
    assert path.stat().st_size < len(png.getvalue()) + 12_000


# Files of earlier versions


@pytest.mark.parametrize("name", [*METHODS, "single_output"])
def test_version_1_is_read(name):
    path = OLD / f"{name}.1.npz"
    old, explanation = raw(path.name), load(path)
    assert json.loads(str(old["about"]))["format"] == 1
    for field in ("values", "base_values", "data", "output_indexes"):
        np.testing.assert_array_equal(getattr(explanation, field), old[field])
    np.testing.assert_array_equal(
        np.broadcast_to(explanation.output_names, old["output_names"].shape), old["output_names"]
    )
    if "error_std" in old:
        np.testing.assert_array_equal(explanation.error_std, old["error_std"])
    for field in PER_IMAGE:
        np.testing.assert_array_equal(getattr(explanation.record, field), old.get(field))
    assert plot(explanation).ndim == 3
    assert len(load(path, rows=1)) == 1


def test_what_version_1_knew_beside_the_explanation_is_read():
    path = OLD / "partition.1.npz"
    with open_archive(path) as stored:
        assert stored.about["more"]["dataset"] == "set"
    assert read_look(path)["names"] == ["ä/1.png", "bee/2.png"]
    assert read_look(path)["mean"] == MEAN.tolist()


@pytest.mark.parametrize("name", METHODS)
def test_version_2_is_read(name):
    """It has the same values as version 1, in single precision, and photographs for images."""
    old, explanation, exact = (
        raw(f"{name}.2.npz"),
        load(OLD / f"{name}.2.npz"),
        load(OLD / f"{name}.1.npz"),
    )
    assert json.loads(str(old["about"]))["format"] == 2
    np.testing.assert_allclose(
        read_maps(explanation).values,
        read_maps(exact).values,
        atol=1e-6 * np.abs(exact.values).max() * 3,
    )
    np.testing.assert_allclose(explanation.data * 255, old["photographs"], atol=1e-4)
    np.testing.assert_allclose(
        explanation.record.probabilities, exact.record.probabilities, rtol=1e-5
    )
    assert explanation.record.class_names.tolist() == ["ä", "bee", "cat", "long name"]
    assert (explanation.error_std is None) == ("region_std" not in old)


@pytest.mark.parametrize("name", METHODS)
def test_the_page_has_what_its_reader_has_known_since_version_2(name):
    explanation = load(OLD / f"{name}.1.npz")
    page = PageWriter().make(explanation)
    arrays = {}
    for part in (*page.values, *page.samples):
        with np.load(io.BytesIO(part)) as known:
            arrays |= dict(known)
    assert arrays.keys() >= {"region_map", "region_values", "value_scale", "photographs", "names"}
    assert {array.dtype.kind for array in arrays.values()} <= {*"biufU"}


@pytest.mark.parametrize("name", [*METHODS, "cells"])
def test_epochs_in_older_checkpoints_are_read(name):
    path = OLD / f"{name}.chapter.npz"
    old, chapter = raw(path.name), Snapshot.unpack(path.read_bytes())
    source = chapter.maps.source
    if "values" in old:
        np.testing.assert_array_equal(source, old["values"])
    else:
        for field in ("labels", "per_pixel", "per_pixel_std"):
            np.testing.assert_array_equal(getattr(source, field), old.get(field))
    about = json.loads(str(old["about"]))
    assert (chapter.title, chapter.is_control) == (about["title"], about["is_control"])
    again = Snapshot.unpack(chapter.packed)
    np.testing.assert_array_equal(again.maps.values, chapter.maps.values)
    assert again.verdicts == chapter.verdicts
    assert again.packed == chapter.packed


def test_a_picture_that_holds_more_than_its_pixels_is_refused(tmp_path):
    path = save(explained(), tmp_path / "e.npz")
    with zipfile.ZipFile(path) as whole, zipfile.ZipFile(tmp_path / "bomb.npz", "w") as bomb:
        for name in whole.namelist():
            more = bytes(2**20) * (name == "photograph/1.png")
            bomb.writestr(name, whole.read(name) + more, zipfile.ZIP_DEFLATED)
    with pytest.raises(ArgumentError, match=r"photograph/1\.png is larger than its pixels need"):
        load(tmp_path / "bomb.npz")


@pytest.mark.parametrize(
    "changes",
    [
        {"photograph_levels": np.zeros((3, 3, 4))},
        {"photograph_levels": np.zeros((3, 2, 256))},
        {"per_pixel": np.zeros((2, 9, 1, 2))},
        {"per_pixel": np.zeros((3, 1, 1, 2))},
        {"region_map/1": np.full((8, 8), 99, dtype=np.uint8)},
        {"region_map/1": np.zeros((8, 9), dtype=np.uint8)},
        {"region_map/1": np.zeros((9, 9), dtype=np.uint8)},
        {"region_map/2": None},
        {"base_values": np.zeros((3, 1))},
        {"output_indexes": np.zeros((4, 2), dtype=int)},
        {"outputs": np.zeros((3, 5))},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_parts_that_do_not_fit_together_are_refused(tmp_path, changes):
    path = save(explained(), tmp_path / "e.npz")
    with zipfile.ZipFile(path) as whole, zipfile.ZipFile(tmp_path / "odd.npz", "w") as odd:
        for name in whole.namelist():
            if name.removesuffix(".npy") not in changes:
                odd.writestr(name, whole.read(name))
        for name, content in changes.items():
            if content is not None:
                write(odd, name, content)
    with pytest.raises(ArgumentError, match="no explanation, or damaged"):
        load(tmp_path / "odd.npz")


def test_a_newer_version_is_refused(tmp_path):
    path = save(explained(), tmp_path / "e.npz")
    with np.load(path) as arrays:
        about = json.loads(str(arrays["about"]))
        changed = {name: arrays[name] for name in arrays.files if name[-4:] not in (".png", "bout")}
    about |= {"format": 4, "version": "9.0"}
    np.savez(tmp_path / "new.npz", about=json.dumps(about), **changed)
    with pytest.raises(ValueError, match=r"it was written by version 9\.0, which is newer"):
        load(tmp_path / "new.npz")
