import json
import os

import numpy as np
import pytest
import torch
from generic_model import Generic, generic_images

import lightning_shap
from lightning_shap import explain
from lightning_shap.explanation import archive
from lightning_shap.explanation.archive import load, merge, open_archive, save
from lightning_shap.explanation.record import PER_IMAGE

shape = (2, 5, 4)


@pytest.fixture(scope="module")
def explanation():
    return explained(4)


def explained(images, seed=0, **kwargs):
    settings = {"topk": 2, "max_evals": 8, "labels": [0] * images, **kwargs}
    return explain(Generic(shape, classes=3), generic_images(images, *shape, seed=seed), **settings)


def same(one, other):
    assert np.array_equal(one.values, other.values)
    assert one.values.dtype == other.values.dtype
    assert np.array_equal(one.base_values, other.base_values)
    assert np.array_equal(one.data, other.data)
    assert np.array_equal(one.output_names, other.output_names)
    assert np.array_equal(one.output_indexes, other.output_indexes)
    for name, value in vars(one.record).items():
        assert np.array_equal(value, getattr(other.record, name)), name
    assert one.record.right == other.record.right


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"labels": None},
        {"topk": None, "targets": [2]},
        {"class_names": ["ä", "long name", "c"]},
        {"output": "value", "topk": None, "labels": [[0.5, 1, -2]] * 3},
        {"labels": [[1, 0, 1], [0, 0, 0], [0, 1, 0]], "multi_label": True},
    ],
)
def test_what_is_loaded_is_what_was_saved(tmp_path, settings):
    explanation = explained(3, **settings)
    loaded = load(save(explanation, tmp_path / "explanation.npz"))
    same(loaded, explanation)
    same(load(tmp_path), explanation)
    assert np.array_equal(loaded[1].values, explanation[1].values)


def test_equal_explanations_make_equal_bytes(tmp_path, explanation):
    one, other = (save(explanation, tmp_path / name).read_bytes() for name in ("1.npz", "2.npz"))
    assert one == other


def test_numpy_alone_reads_an_archive(tmp_path, explanation):
    save(explanation, tmp_path / "e.npz", files=np.array(["ä", "b", "c", "d"]))
    with np.load(tmp_path / "e.npz", allow_pickle=False) as stored:
        inside = stored["region_map/2"] == 1
        share = stored["per_pixel"][2, 1]
        assert (explanation.values[2][inside] == share).all()
        assert np.array_equal(stored["outputs"], explanation.record.outputs)
        assert stored["files"][0] == "ä"
        assert json.loads(str(stored["about"]))["record"]["max_evals"] == 8


def test_merged_archives_are_as_if_explained_together(tmp_path):
    names = {"class_names": ["a", "longer", "c"]}
    one, other = explained(2, **names), explained(3, seed=1, **names)
    parts = [save(one, tmp_path / "1.npz", about={"x": 1}), save(other, tmp_path / "2.npz")]
    joined = load(merge(parts, tmp_path / "e.npz"))
    for place, part in ((slice(0, 2), one), (slice(2, 5), other)):
        assert np.array_equal(joined.values[place], part.values)
        assert np.array_equal(joined.data[place], part.data)
        for name in PER_IMAGE:
            whole, share = getattr(joined.record, name), getattr(part.record, name)
            assert (whole is None) == (share is None)
            assert whole is None or np.array_equal(whole[place], share)
    assert joined.record.seconds == one.record.seconds + other.record.seconds
    with open_archive(tmp_path / "e.npz") as stored:
        assert stored.about["more"] == {"x": 1}


def test_the_first_rows_load_without_the_rest(tmp_path, explanation):
    save(explanation, tmp_path / "e.npz")
    first = load(tmp_path / "e.npz", rows=2)
    assert np.array_equal(first.values, explanation.values[:2])
    assert len(first.record.outputs) == 2
    with open_archive(tmp_path / "e.npz") as stored:
        assert len(stored.record.outputs) == 4
    lightning_shap.plot(first)


def test_a_failed_save_leaves_the_older_file(tmp_path, explanation, monkeypatch):
    path = save(explanation, tmp_path / "e.npz")
    before = path.read_bytes()
    monkeypatch.setattr(archive, "describe", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        save(explained(1), path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["e.npz"]


def test_what_is_no_explanation_is_an_error(tmp_path, explanation):
    with pytest.raises(FileNotFoundError, match=r"explanation\.npz"):
        load(tmp_path)
    for number, content in enumerate((b"", b"junk", None)):
        path = tmp_path / f"{number}.npz"
        np.savez(path, values=np.zeros(3)) if content is None else path.write_bytes(content)
        with pytest.raises(ValueError, match="is no explanation, or damaged"):
            load(path)
    whole = save(explanation, tmp_path / "e.npz").read_bytes()
    (tmp_path / "e.npz").write_bytes(whole[:-200])
    with pytest.raises(ValueError, match="damaged"):
        load(tmp_path / "e.npz")


@pytest.mark.parametrize("about", ["text", 3, [1], {"model": "text"}, {"model": [1]}])
def test_an_archive_with_text_where_a_dictionary_belongs_is_one_sentence(tmp_path, about):
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 3))
    explanation = lightning_shap.explain(model, torch.rand(2, 1, 8, 8), topk=1, max_evals=6)
    path = archive.save(explanation, tmp_path / "explanation.npz", about=about)
    with pytest.raises(ValueError, match=r"path: .* is no explanation, or damaged"):
        lightning_shap.report(path, tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()
