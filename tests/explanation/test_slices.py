"""A slice of an explanation is the explanation of what was picked: words, pictures, metrics."""

import copy
import pickle
from dataclasses import fields, replace

import numpy as np
import pytest
import shap
import torch
from generic_model import Generic, generic_images

from lightning_shap import InsertionAUC, explain, load, plot
from lightning_shap.explanation.archive import save
from lightning_shap.explanation.explanation import ImageExplanation
from lightning_shap.explanation.maps import read_maps
from lightning_shap.explanation.record import PER_IMAGE, PER_MAP
from lightning_shap.explanation.regions import Regions
from lightning_shap.pictures.captions import Captions

SHAPE = (3, 6, 6)
IMAGES, OUTPUTS = 4, 2
MODEL = Generic(SHAPE, classes=5, seed=2)

# Which images and which outputs each slice leaves.
ALL = [0, 1, 2, 3]
SLICES = {
    "some images": (np.s_[2:4], [2, 3], [0, 1]),
    "the first": (np.s_[:1], [0], [0, 1]),
    "from the end": (np.s_[::-1], [3, 2, 1, 0], [0, 1]),
    "a list": ([3, 0], [3, 0], [0, 1]),
    "an array": (np.array([1, 2]), [1, 2], [0, 1]),
    "a mask": (np.array([True, False, True, False]), [0, 2], [0, 1]),
    "a tensor": (torch.tensor([2, 0]), [2, 0], [0, 1]),
    "one image": (1, [1], [0, 1]),
    "the last image": (-1, [3], [0, 1]),
    "one output": (np.s_[..., 1], ALL, [1]),
    "one output, its axis kept": (np.s_[..., 1:], ALL, [1]),
    "outputs turned around": (np.s_[..., ::-1], ALL, [1, 0]),
    "one output of some": (np.s_[1:3, ..., 0], [1, 2], [0]),
    "one map": (np.s_[2, ..., 1], [2], [1]),
    "everything": (np.s_[:], ALL, [0, 1]),
}


@pytest.fixture(scope="module", params=["own classes", "shared classes"])
def whole(request):
    classes = {"topk": OUTPUTS} if request.param == "own classes" else {"targets": [3, 1]}
    explanation = explain(
        MODEL,
        generic_images(IMAGES, *SHAPE, seed=5),
        max_evals=30,
        labels=[0, 4, -1, 2],
        class_names=["ant", "bee", "cat", "dog", "eel"],
        method="kernel",
        grid=3,
        **classes,
    )
    # No two images of which anything is known alike.
    explanation.record.evaluations[:] += np.arange(IMAGES)
    explanation.record.regions[:] += 10 * np.arange(IMAGES)
    explanation.record.clear[:] = np.arange(2 * IMAGES).reshape(IMAGES, OUTPUTS) / 9
    explanation.record = replace(
        explanation.record,
        against=np.arange(IMAGES),
        kept=np.arange(2 * IMAGES).reshape(IMAGES, OUTPUTS) % 3 == 0,
        swaps=np.arange(3.0 * IMAGES).reshape(IMAGES, 3),
        swapped=np.arange(1.0, 1 + IMAGES),
        swap_classes=np.arange(9 * IMAGES).reshape(IMAGES, 3, 3) % 5,
        swap_rivals=np.arange(IMAGES),
        swap_parts=["a corner", "an edge", "the border"],
    )
    explanation.record.additivity_gap[:] = np.arange(2 * IMAGES).reshape(IMAGES, OUTPUTS)
    return explanation


def picked(whole, images, outputs):
    """The same from the arrays themselves."""
    return ImageExplanation(
        Regions.separate(whole.values[images][..., outputs], whole.error_std[images][..., outputs]),
        whole.base_values[images][:, outputs],
        whole.data[images],
        whole.output_indexes[images][:, outputs],
        whole.record.pick(np.array(images), np.array(outputs)),
    )


def words_of(explanation):
    captions, maps = Captions(explanation), read_maps(explanation).values
    rows, columns = range(len(maps)), range(maps.shape[1])
    return (
        [captions.image(row) for row in rows],
        [[captions.output(row, column) for column in columns] for row in rows],
        captions.method([*rows]),
    )


@pytest.mark.parametrize("name", SLICES)
def test_the_record_is_sliced_along(whole, name):
    item, images, outputs = SLICES[name]
    record, known = whole[item].record, whole.record
    for field in PER_IMAGE:
        expected = getattr(known, field)[images]
        if field in PER_MAP:
            expected = expected[:, outputs]
        np.testing.assert_array_equal(getattr(record, field), expected)
    for field in {field.name for field in fields(known)} - {*PER_IMAGE}:
        assert getattr(record, field) is getattr(known, field)


@pytest.mark.parametrize("name", SLICES)
def test_a_slice_is_drawn_under_its_own_words(whole, name):
    item, images, outputs = SLICES[name]
    expected = picked(whole, images, outputs)
    assert words_of(whole[item]) == words_of(expected)
    np.testing.assert_array_equal(plot(whole[item]), plot(expected))
    of_image, of_output = words_of(whole[item])[:2]
    assert of_image == [words_of(whole)[0][row] for row in images]
    assert of_output == [[words_of(whole)[1][row][one] for one in outputs] for row in images]


@pytest.mark.parametrize("name", SLICES)
def test_metrics_of_a_slice_are_those_of_what_was_picked(whole, name):
    item, images, outputs = SLICES[name]
    values = []
    for explanation in (whole[item], picked(whole, images, outputs)):
        metric = InsertionAUC(steps=6)
        metric.update(MODEL, explanation)
        values.append(metric.areas())
        assert metric.maps == len(images)
    torch.testing.assert_close(*values)


@pytest.mark.parametrize("name", SLICES)
def test_shaps_image_plot_draws_a_slice(whole, name):
    plt = pytest.importorskip("matplotlib.pyplot")
    item, images, outputs = SLICES[name]
    shap.image_plot(whole[item], show=False)
    *panels, _ = plt.gcf().axes  # the last is the colour bar
    assert len(panels) == len(images) * (1 + len(outputs))
    titles = [panel.get_title() for panel in panels if panel.get_title()]
    names = np.broadcast_to(whole.output_names, (IMAGES, OUTPUTS))[images][:, outputs]
    shared = isinstance(whole.output_names, list)
    assert titles == (names[0] if shared else names.ravel()).tolist()
    drawn = [panel.images[1].get_array() for panel in panels if len(panel.images) == 2]
    expected = whole.values[images][..., outputs].sum(3).transpose(0, 3, 1, 2)
    np.testing.assert_allclose(drawn, expected.reshape(-1, *expected.shape[2:]))
    plt.close("all")


def test_a_slice_of_a_slice_is_one_slice(whole):
    for twice, once in [
        (whole[1:][1:3], whole[2:4]),
        (whole[1:][0], whole[1]),
        (whole[[3, 1]][::-1][..., 1], whole[[1, 3]][..., 1]),
        (whole[..., ::-1][..., 0], whole[..., 1]),
        (whole[2][..., 1], whole[2, ..., 1]),
        (copy.copy(whole[1:])[1:], whole[2:]),
        (copy.deepcopy(whole[1:])[1:], whole[2:]),
        (pickle.loads(pickle.dumps(whole[1:]))[1:], whole[2:]),
    ]:
        np.testing.assert_array_equal(twice.values, once.values)
        assert words_of(twice) == words_of(once)
        for field in PER_IMAGE:
            np.testing.assert_array_equal(getattr(twice.record, field), getattr(once.record, field))


def test_a_record_that_was_replaced_is_the_one_that_is_sliced(whole):
    other = copy.copy(whole[1:])
    other.record = replace(other.record, seed=7, regions=np.array([5, 6, 7]))
    assert other[1:].record.regions.tolist() == [6, 7]
    assert other[-1, ..., 0].record.regions.tolist() == [7]
    assert other[2].record.seed == 7


@pytest.mark.parametrize(
    "item",
    [
        *(np.s_[:, :, :, 0], np.s_[:, 2], np.s_[0, :, :, 0], np.s_[:, :, 1, ..., 0]),
        *(np.s_[1:3, 1:4, 2:], np.s_[:, :, :, :1]),
    ],
)
def test_rows_columns_and_channels_are_not_cut(whole, item):
    with pytest.raises(IndexError, match="rows, columns or channels, and whole images are"):
        whole[item]


@pytest.mark.parametrize("item", [4, -5, [0, 9], np.s_[:, :, :, :, :, 0], [[0, 1]], "ant"])
def test_an_index_of_nothing_is_refused(whole, item):
    with pytest.raises(IndexError):
        whole[item]


@pytest.mark.parametrize("axis", [0, 1, 2, 4])
def test_averages_that_shap_makes_are_not_drawn_under_the_words_of_one_image(whole, axis):
    with pytest.raises(ValueError, match="explanation: has values"):
        plot(whole.to_shap().mean(axis))


@pytest.mark.parametrize("name", ["everything", "one image", "one output", "one map"])
def test_shap_takes_a_slice_over(whole, name):
    part = whole[SLICES[name][0]]
    theirs = part.to_shap()
    assert type(theirs) is shap.Explanation
    for field in ("values", "base_values", "data", "error_std"):
        np.testing.assert_array_equal(getattr(theirs, field), getattr(part, field))
    np.testing.assert_array_equal(theirs.output_names, part.output_names)
    np.testing.assert_array_equal((2 * part.values), (theirs * 2).values)


def test_outputs_are_picked_by_name_where_all_images_have_them(whole):
    if isinstance(whole.output_names, list):
        assert words_of(whole[:, :, :, :, "bee"]) == words_of(whole[..., 1])
        assert words_of(whole[:, :, :, :, ["bee", "dog"]]) == words_of(whole[..., ::-1])
        with pytest.raises(IndexError, match="'cat': is none of"):
            whole[:, :, :, :, "cat"]
    else:
        with pytest.raises(IndexError, match=r"'bee': images explain classes of their own"):
            whole[:, :, :, :, "bee"]


def test_a_slice_can_be_saved_and_has_all_its_axes_again(whole, tmp_path):
    again = load(save(whole[1:3], tmp_path / "some.npz"))
    np.testing.assert_array_equal(again.values, whole.values[1:3])
    assert words_of(again) == words_of(whole[1:3])
    for part, kept in ((whole[0], whole[:1]), (whole[..., 0], whole[..., :1])):
        again = load(save(part, tmp_path / "one.npz"))
        assert again.shape == kept.shape
        np.testing.assert_array_equal(again.values, kept.values)


@pytest.mark.parametrize(("max_evals", "exact"), [(16, True), (50, True), (15, False)])
def test_values_are_exact_and_said_to_be_once_every_coalition_is_evaluated(max_evals, exact):
    found = explain(
        MODEL, generic_images(2, *SHAPE, seed=5), method="kernel", grid=2, max_evals=max_evals
    )
    assert (found.record.exact == exact).all()
    assert found.record.evaluations.max() <= 16
    words = ", ".join(Captions(found).method([0, 1]))
    assert ("every coalition: exact" in words) == exact
    boxes = explain(MODEL, generic_images(2, *SHAPE, seed=5), max_evals=max_evals)
    assert not boxes.record.exact.any()
