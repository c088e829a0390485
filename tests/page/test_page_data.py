"""The page's data: small, and true to what was found."""

import io
import zipfile

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import lightning_shap
from lightning_shap.errors import ArgumentError
from lightning_shap.explanation.explanation import ImageExplanation
from lightning_shap.explanation.npz import pack
from lightning_shap.explanation.regions import Regions
from lightning_shap.page.data import PageWriter, dump_json
from lightning_shap.pictures.limits import PERCENTILE


def network(side, channels=3, classes=5):
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(channels * side**2, classes))


def images(rows, side, channels=3):
    return torch.rand(rows, channels, side, side, generator=torch.Generator().manual_seed(1))


def explained(rows=3, side=12, **given):
    given = {"topk": 2, "max_evals": 20, "labels": [0] * rows, **given}
    return lightning_shap.explain(network(side), images(rows, side), **given)


def loaded(explanation, folder, **look):
    """As it comes back from what the page has, both parts of it together."""
    page = PageWriter().make(explanation, **look)
    path = folder / "both.npz"
    with zipfile.ZipFile(path, "w") as both:
        for part in (page.values[0], page.samples[0]):
            with zipfile.ZipFile(io.BytesIO(part)) as archive:
                for name in archive.namelist():
                    both.writestr(name, archive.read(name))
    return lightning_shap.load(path)


@pytest.mark.parametrize("method", ["partition", "kernel"])
def test_what_is_kept_is_what_was_found(tmp_path, method):
    explanation = explained(method=method)
    same = loaded(explanation, tmp_path)
    largest = np.abs(explanation.values.sum(axis=3)).max()
    # Each channel has its even share of a region's value.
    assert np.allclose(
        same.values.sum(axis=3), explanation.values.sum(axis=3), atol=1e-6 * largest, rtol=0
    )
    if method == "kernel":
        assert np.allclose(same.regions.error_std, explanation.regions.error_std, rtol=1e-6)
    assert np.array_equal(same.output_names, explanation.output_names)
    assert np.array_equal(same.output_indexes, explanation.output_indexes)
    assert np.array_equal(same.base_values, explanation.base_values)
    for name, value in vars(explanation.record).items():
        kept = getattr(same.record, name)
        if name in ("outputs", "probabilities"):
            assert np.allclose(kept, value, atol=1e-6)
        else:
            assert np.array_equal(kept, value), name
    assert np.allclose(same.data, explanation.data, atol=0.5 / 255)


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_regions_of_any_shape_are_kept(data):
    """They need not be rectangles, nor connected, nor all be there."""
    most = data.draw(st.sampled_from([1, 7, 300]))
    numbers = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    labels = numbers.integers(0, most, (3, 12, 12)).astype(np.int32)
    values = numbers.normal(size=(3, most, 2)) * 10.0 ** data.draw(st.integers(-9, 9))
    values *= (np.arange(most) <= labels.max())[None, :, None]
    like = explained()
    explanation = ImageExplanation(
        Regions.even(labels, values, 3),
        like.base_values,
        like.data,
        like.output_indexes,
        like.record,
    )
    page = PageWriter().make(explanation)
    with np.load(io.BytesIO(page.values[0])) as kept:
        there = [np.unique(one) for one in labels]
        maps = np.broadcast_to(kept["region_map"], labels.shape)
        assert np.array_equal(maps, labels)
        for image, regions in enumerate(there):
            found = kept["region_values"][image, regions] * kept["value_scale"][image]
            assert np.allclose(found, values[image, regions], rtol=1e-6)


def test_an_epoch_takes_few_bytes():
    explanation = lightning_shap.explain(
        network(224), images(8, 224), topk=3, max_evals=500, labels=[0] * 8
    )
    page = PageWriter().make(explanation)
    assert len(page.values[0]) + len(dump_json(page.add_numbers({}))) < 40_000


def test_values_of_pixels_are_summed_up_over_cells(tmp_path):
    explanation = explained(side=150, method="gradient", max_evals=4)
    page = PageWriter().make(explanation)
    assert page.facts["cell"] == 3
    same = loaded(explanation, tmp_path)
    totals, kept = (one.values.sum((1, 2, 3)) for one in (explanation, same))
    assert np.allclose(kept, totals, atol=1e-3 * np.abs(explanation.values).sum((1, 2, 3)).max())
    cell = (slice(None), slice(0, 3), slice(0, 3))
    one, other = (e.values[cell].sum((1, 2, 3)) for e in (explanation, same))
    assert np.allclose(one, other, atol=1e-3 * same.regions.values.max())


def test_all_epochs_share_photographs_and_names():
    writer, explanation = PageWriter(), explained()
    one, other = (writer.make(explanation, step=step) for step in (1, 2))
    assert one.samples is other.samples
    assert one.key == other.key
    assert writer.make(explained(class_names=[*"abcde"])).key != one.key


def test_the_limit_is_that_of_the_pixels():
    explanation = explained(rows=4, side=40)
    density = np.abs(explanation.values.sum(axis=3))
    limit = PageWriter().make(explanation).facts["limit"]
    assert limit == pytest.approx(np.percentile(density, PERCENTILE, method="inverted_cdf"))


def test_a_row_says_what_was_explained_predicted_and_true():
    explanation = explained(class_names=[*"abcde"])
    facts = PageWriter().make(explanation).facts
    record = explanation.record
    for row, output, right in zip(facts["rows"], record.outputs, record.right, strict=True):
        assert row["true"] == [0]
        assert row["predicted"] == [output.argmax()]
        assert row["right"] is right
        assert row["outputs"][0] == pytest.approx(output[0], rel=1e-6)
        assert sum(row["probabilities"].values()) < 1 + 1e-6


def archive_of(folder, **changes):
    page = PageWriter().make(explained())
    with np.load(io.BytesIO(page.values[0])) as arrays:
        path = folder / "changed.npz"
        path.write_bytes(pack({**arrays, **changes}))
    return path


@pytest.mark.parametrize(
    "changes",
    [
        {"region_map": np.full((1, 12, 12), 9999)},
        {"region_map": np.full((1, 12, 12), -1)},
        {"region_map": np.zeros((2, 12, 12), dtype=int)},
        {"region_map": np.zeros(5, dtype=int)},
        {"base_values": np.zeros((7, 7))},
        {"value_scale": np.zeros(3)},
        {"photographs": np.zeros((3, 0, 0, 3), dtype=np.uint8)},
        {"photographs": np.zeros((2, 4, 4, 3), dtype=np.uint8)},
    ],
)
def test_parts_that_do_not_fit_together_are_refused(tmp_path, changes):
    assert len(lightning_shap.load(archive_of(tmp_path))) == 3
    with pytest.raises(ArgumentError, match="no explanation, or damaged"):
        lightning_shap.load(archive_of(tmp_path, **changes))


def test_one_map_for_many_images_counts_for_each_of_them(tmp_path):
    path = archive_of(
        tmp_path,
        region_map=np.zeros((1, 3000, 3000), dtype=np.uint8),
        region_values=np.zeros((1000, 1, 1), dtype=np.float32),
    )
    with pytest.raises(ArgumentError, match="unpacks to"):
        lightning_shap.load(path)
