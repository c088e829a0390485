from itertools import product

import numpy as np
import pytest
import shap
import torch
from generic_model import Generic, generic_images
from hypothesis import given, settings
from hypothesis import strategies as st

from lightning_shap import explain
from lightning_shap.engine.answer import play_ends
from lightning_shap.engine.game import CoalitionGame
from lightning_shap.engine.maskers import paint_background
from lightning_shap.engine.methods.partition import partition_values
from lightning_shap.engine.regions.boxes import Box, BoxCoalitions

quick = settings(max_examples=20, deadline=None)
a_few = settings(max_examples=4, deadline=None)
everything = 10_000  # more evaluations than any of these small trees has


def shap_explanation(model, image, *, max_evals, masker, outputs, batch_size=10):
    """What shap says of one image (C, H, W), by an explainer that has seen no other."""

    def predict(pixels):
        with torch.no_grad():
            return model(torch.from_numpy(pixels).movedim(-1, 1)).numpy()

    pixels = image.movedim(0, -1).contiguous().numpy()
    explainer = shap.PartitionExplainer(predict, shap.maskers.Image(masker, pixels.shape))
    return explainer(
        pixels[None], max_evals=max_evals, batch_size=batch_size, outputs=outputs, silent=True
    )


def assert_as_shap(shape, images, max_evals, *, targets=None, topk=None, masker="blur", rows=10):
    model = Generic(shape, classes=4)
    pictures = generic_images(images, *shape)
    if masker == "blur":
        masker = f"blur({shape[2] // 2 + 1},{shape[1] // 2 + 2})"
    if rows == 10:
        ours = explain(
            model, pictures, max_evals=max_evals, targets=targets, topk=topk, masker=masker
        )
        values, base_values = ours.values, ours.base_values
    else:
        game = CoalitionGame(model, pictures, paint_background(masker, pictures))
        base_values, full = (ends[:, targets] for ends in play_ends(game))
        values = partition_values(
            game,
            np.tile(targets, (images, 1)),
            base_values,
            full,
            max_evals=max_evals,
            rows_per_round=rows,
        ).values
    max_evals -= max_evals % 2  # of an odd budget shap would spend one row too many
    outputs = list(targets) if topk is None else shap.Explanation.argsort.flip[:topk]
    for image, value, base_value in zip(pictures, values, base_values, strict=True):
        expected = shap_explanation(
            model, image, max_evals=max_evals, masker=masker, outputs=outputs, batch_size=rows
        )
        largest = np.abs(expected.values).max()
        # The order of topk is part of it: the columns would not agree in another.
        np.testing.assert_allclose(value, expected.values[0], rtol=0, atol=1e-9 * largest)
        np.testing.assert_allclose(base_value, np.ravel(expected.base_values), rtol=1e-9)


@pytest.mark.parametrize(
    ("shape", "images", "max_evals", "asked"),
    [
        ((1, 8, 8), 1, 2, {"targets": [0, 3]}),
        ((3, 7, 5), 6, 3, {"topk": 4}),
        ((3, 7, 5), 6, 50, {"topk": 2}),
        ((1, 4, 9), 1, 100, {"targets": [2]}),
        ((5, 6, 9), 1, 200, {"targets": [1, 0, 2]}),
        ((3, 16, 16), 1, 500, {"topk": 1}),
        ((5, 3, 3), 1, 1000, {"topk": 3}),
        ((1, 5, 4), 2, 1000, {"targets": [3]}),
        ((3, 1, 1), 1, 20, {"topk": 1}),
    ],
)
def test_values_are_those_of_shap(shape, images, max_evals, asked):
    assert_as_shap(shape, images, max_evals, **asked)


@pytest.mark.parametrize("rows", [1, 7, 32])
def test_values_are_those_of_shap_for_other_rounds(rows):
    assert_as_shap((3, 7, 5), 2, 60, targets=[0, 2], rows=rows)


def test_values_are_those_of_shap_for_a_constant_masker():
    assert_as_shap((3, 7, 5), 2, 60, topk=2, masker=0.25)


@pytest.mark.slow
@pytest.mark.parametrize("channels", [1, 3, 5])
@pytest.mark.parametrize("sides", [(8, 8), (7, 7), (5, 12), (13, 6), (1, 9), (32, 32)])
def test_values_are_those_of_shap_everywhere(channels, sides):
    budgets, asked = [2, 3, 4, 11, 100, 501, 1000], [{"targets": [2, 0]}, {"topk": 3}]
    for images, max_evals, ask in product([1, 6], budgets, asked):
        assert_as_shap((channels, *sides), images, max_evals, **ask)
    for rows, max_evals in product([2, 5, 64], [30, 301]):
        assert_as_shap((channels, *sides), 1, max_evals, targets=[1], rows=rows)


shapes = st.tuples(st.integers(1, 4), st.integers(1, 7), st.integers(1, 7))


@quick
@given(shapes, st.integers(1, 3), st.integers(2, 80), st.integers(0, 99))
def test_values_and_base_value_add_up_to_the_output(shape, images, max_evals, seed):
    model, pictures = Generic(shape, seed=seed), generic_images(images, *shape, seed=seed)
    explanation = explain(model, pictures, max_evals=max_evals, masker="mean")
    outputs = model(pictures).detach().numpy()
    sums = explanation.values.sum((1, 2, 3)) + explanation.base_values
    np.testing.assert_allclose(sums, outputs, rtol=1e-9, atol=1e-12)
    assert (explanation.record.additivity_gap < 1e-12).all()


@quick
@given(shapes, st.integers(2, 80), st.integers(0, 99))
def test_regions_are_the_distinct_values_and_evaluations_keep_to_the_budget(shape, evals, seed):
    model, pictures = Generic(shape, classes=1, seed=seed), generic_images(1, *shape, seed=seed)
    explanation = explain(model, pictures, max_evals=evals, masker=0.0)
    record = explanation.record
    assert record.regions[0] == len(np.unique(explanation.values))
    # A node costs two rows, so that the last of an odd budget is left.
    assert 2 <= record.evaluations[0] <= evals
    if record.evaluations[0] < evals - 1:  # the tree came to its end first
        assert record.regions[0] == np.prod(shape)


@a_few
@given(st.integers(0, 99))
def test_an_additive_model_is_explained_exactly(seed):
    weights = torch.randn(2, 3, 3, 4, generator=torch.Generator().manual_seed(seed)).double()
    pictures = generic_images(2, 3, 3, 4, seed=seed)

    def model(images):
        return torch.einsum("nchw,kchw->nk", images, weights)

    explanation = explain(model, pictures, max_evals=everything, masker=0.5, batch_size=512)
    expected = torch.einsum("nchw,kchw->nhwck", pictures - 0.5, weights).numpy()
    np.testing.assert_allclose(explanation.values, expected, atol=1e-12)


@a_few
@given(st.integers(0, 99))
def test_a_pixel_the_model_ignores_gets_nothing(seed):
    ignored = torch.rand(1, 4, 4, generator=torch.Generator().manual_seed(seed)) < 0.3
    network, pictures = Generic((1, 4, 4), seed=seed), generic_images(1, 1, 4, 4, seed=seed)
    explanation = explain(
        lambda images: network(images * ~ignored), pictures, max_evals=everything, masker=0.5
    )
    np.testing.assert_allclose(explanation.values[0, ignored[0].numpy()], 0, atol=1e-12)


@pytest.mark.parametrize("max_evals", [4, 5, 30, 200])
def test_a_half_the_model_ignores_gets_nothing_from_the_first_cut_on(max_evals):
    network, pictures = Generic((3, 4, 8)), generic_images(2, 3, 8, 8)
    explanation = explain(
        lambda images: network(images[:, :, 4:]), pictures, max_evals=max_evals, masker="blur"
    )
    assert (explanation.values[:, :4] == 0).all()


@a_few
@given(st.integers(0, 99))
def test_what_a_model_treats_alike_is_worth_alike(seed):
    network, pictures = Generic((1, 4, 4), seed=seed), generic_images(1, 1, 4, 4, seed=seed)
    pictures = pictures + pictures.flip(-1)
    explanation = explain(
        lambda images: network(images) + network(images.flip(-1)),
        pictures,
        max_evals=everything,
        masker="mean",
    )
    np.testing.assert_allclose(explanation.values, explanation.values[:, :, ::-1], atol=1e-12)


def test_ties_are_broken_by_a_fixed_rule():
    weights = torch.tensor([[1.0, 2.0], [3.0, 4.0]]).repeat(2, 2)

    def tiled(images):  # its tiles are all worth the same, but not what is within them
        return (images * weights).flatten(1).sum(1)

    explanations = []
    for seed in range(3):
        np.random.seed(seed)
        explanations.append(explain(tiled, torch.ones(1, 1, 4, 4), max_evals=20, masker=0.0))
    for other in explanations[1:]:
        assert other.values.tobytes() == explanations[0].values.tobytes()
    assert len(np.unique(explanations[0].values)) > 1  # it did choose among the tied


def test_every_image_is_explained_as_if_it_were_alone():
    model, pictures = Generic((3, 8, 8)), generic_images(5, 3, 8, 8)
    together = explain(model, pictures, max_evals=60, topk=2)
    for index, picture in enumerate(pictures):
        alone = explain(model, picture[None], max_evals=60, topk=2)
        np.testing.assert_allclose(alone.values[0], together.values[index], atol=1e-12)


def boxes():
    spans = st.tuples(st.integers(0, 6), st.integers(1, 9)).map(lambda s: (s[0], s[0] + s[1]))
    return st.tuples(spans, spans, spans).map(lambda spans: Box(*spans[0], *spans[1], *spans[2]))


def place_of(box):
    """Where it is in an array (H, W, C)."""
    return np.s_[box.top : box.bottom, box.left : box.right, box.first : box.last]


@given(boxes())
def test_halves_tile_their_box(box):
    halves = box.halve()
    if halves is None:
        assert box.size == 1
        return
    painted = np.zeros((16, 16, 16), dtype=int)
    for half in halves:
        painted[place_of(half)] += 1
        assert half.size >= 1
    whole = np.zeros_like(painted)
    whole[place_of(box)] = 1
    assert (painted == whole).all()
    assert sum(half.size for half in halves) == box.size


@quick
@given(shapes, st.data())
def test_painted_masks_are_the_boxes_pixel_by_pixel(shape, data):
    channels, height, width = shape
    whole = Box(0, height, 0, width, 0, channels)
    coalitions = []
    for _ in range(data.draw(st.integers(1, 6))):
        tiles = [whole]
        for _ in range(data.draw(st.integers(0, 12))):
            tile = data.draw(st.sampled_from(tiles))
            if tile.halve() is not None:
                tiles.remove(tile)
                tiles.extend(tile.halve())
        chosen = data.draw(st.lists(st.sampled_from(tiles), unique=True))
        coalitions.append(tuple(chosen))
    naive = np.zeros((len(coalitions), height, width, channels), dtype=bool)
    for mask, chosen in zip(naive, coalitions, strict=True):
        for tile in chosen:
            mask[place_of(tile)] = True
    start = data.draw(st.integers(0, len(coalitions) - 1))
    stop = data.draw(st.integers(start + 1, len(coalitions)))
    expected = torch.from_numpy(naive[start:stop]).movedim(-1, 1)
    masks = BoxCoalitions(coalitions, whole).masks(start, stop, torch.device("cpu"))
    assert masks.shape[1] in (1, channels)
    assert (masks.expand_as(expected) == expected).all()
