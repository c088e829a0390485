"""The ways to lay a map over its photograph, and what all of them have in common."""

import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from skimage.data import chelsea
from test_grid import an_explanation, words  # noqa: F401 - a fixture
from torch import nn

from lightning_shap import explain, plot
from lightning_shap.explanation.regions import Regions
from lightning_shap.pictures import sheet
from lightning_shap.pictures.limits import RunningLimit
from lightning_shap.pictures.map_cells import usual_smooth
from lightning_shap.pictures.pixels import mute
from lightning_shap.pictures.styles import OPACITY, RAISING, STYLES, usual_style

SIDE = 112
SHOWN = 2 * SIDE


def a_photograph(side=SIDE):
    return chelsea()[60 : 60 + side, 120 : 120 + side] / 255


def with_values(values, **options):
    """An explanation of the cat, of maps (K', H, W)."""
    values = np.asarray(values, float)
    by_channel = np.zeros((1, *values.shape[1:], 3, len(values)))
    by_channel[0, :, :, 0] = values.transpose(1, 2, 0)
    return an_explanation(by_channel, data=a_photograph()[None], **options)


def half(value=1.0):
    """A map of which the upper half has a value."""
    values = np.zeros((SIDE, SIDE))
    values[: SIDE // 2] = value
    return values


def cell(picture, column):
    """A cell of a single image's row, under a header of one line."""
    x = sheet.MARGIN + column * (SHOWN + sheet.GUTTER)
    y = sheet.MARGIN + sheet.LEGEND_HEIGHT + sheet.ROW_GAP + sheet.HEADING
    return picture[y : y + SHOWN, x : x + SHOWN]


def test_colour_photographs_are_overlaid_and_small_or_grey_images_tiled():
    assert usual_style(96, 64, 3) == "overlay"
    assert usual_style(95, 95, 3) == "tiles"
    assert usual_style(224, 224, 1) == "tiles"
    explanation = with_values([half()])
    np.testing.assert_array_equal(plot(explanation), plot(explanation, style="overlay"))
    assert not np.array_equal(plot(explanation), plot(explanation, style="tiles"))


def test_an_overlay_of_nothing_is_the_muted_photograph():
    picture = plot(with_values([half(), np.zeros((SIDE, SIDE))]))
    photograph = Image.fromarray(np.rint(255 * a_photograph()).astype(np.uint8))
    ground = np.asarray(mute(photograph)).repeat(2, 0).repeat(2, 1)
    np.testing.assert_array_equal(cell(picture, 2), ground)
    np.testing.assert_array_equal(cell(picture, 1)[SIDE:], ground[SIDE:])
    assert not np.ptp(ground, axis=2).any(), "which has no hue of its own"


def test_an_overlay_is_as_opaque_as_its_value_is_strong():
    picture = plot(with_values([half(1), half(0.5), half(-1)])).astype(float)
    ground = cell(plot(with_values([half(0)])), 1).astype(float)[:SIDE]
    full, weak, lowering = (cell(picture, column)[:SIDE] for column in (1, 2, 3))
    np.testing.assert_allclose(full - ground, OPACITY * (np.array(RAISING) - ground), atol=2)
    np.testing.assert_allclose(weak - ground, (full - ground) / 2, atol=2)
    assert (full[..., 0] > full[..., 2]).mean() > 0.99
    assert (lowering[..., 2] > lowering[..., 0]).mean() > 0.99


def test_every_style_draws_every_kind_of_map():
    rng = np.random.default_rng(0)
    for style in STYLES:
        for values in (half(), half(0), half(-1), rng.normal(size=(SIDE, SIDE))):
            drawn = plot(with_values([values]), style=style)
            assert drawn.dtype == np.uint8
            small = an_explanation(channels=1, side=8)
            assert plot(small, style=style).ndim == 3


def test_a_contour_encloses_what_carries_half_of_the_support():
    values = np.full((SIDE, SIDE), 0.01)
    values[40:60, 40:60] = 1  # 400 of 521 in all: more than half, less than four fifths
    drawn = cell(plot(with_values([values]), style="contour"), 1).astype(int)
    inside = drawn[84:116, 84:116]
    ground = cell(plot(with_values([half(0)]), style="contour"), 1).astype(int)
    np.testing.assert_array_equal(inside, ground[84:116, 84:116])
    assert drawn[100, 78].tolist() == list(RAISING), "the line runs around it"


def test_a_spotlight_dims_what_does_not_raise_the_output():
    drawn = cell(plot(with_values([half()]), style="spotlight"), 1).astype(int)
    photograph = cell(plot(with_values([half()])), 0).astype(int)
    np.testing.assert_allclose(drawn[:SIDE], photograph[:SIDE], atol=1)
    assert drawn[SIDE:].mean() < 0.25 * photograph[SIDE:].mean()


# Doubt


@pytest.mark.parametrize("style", STYLES)
def test_what_is_within_two_standard_errors_looks_fainter_and_is_explained(style, words):  # noqa: F811
    errors = np.zeros((1, SIDE, SIDE, 3, 1))
    sure = plot(with_values([half()], error_std=errors), style=style)
    errors[:, : SIDE // 4] = 0.2  # summed over three channels, more than half of the value
    doubted = plot(with_values([half()], error_std=errors), style=style)
    sure, doubted = cell(sure, 1).astype(int), cell(doubted, 1).astype(int)
    nothing = cell(plot(with_values([half(0)]), style=style), 1).astype(int)
    quarter = np.s_[: SIDE // 2 - 8]
    assert np.abs(doubted - nothing)[quarter].mean() < 0.7 * np.abs(sure - nothing)[
        quarter
    ].mean() + (style == "contour")
    how = {"contour": "left out", "spotlight": "left out"}.get(style, "hatched")
    assert f"{how}: within two standard errors of zero" in " ".join(words)


def test_a_hatch_is_seen_at_a_glance_and_leaves_its_colour_to_be_seen():
    """Narrow enough for the smallest cells of an evolution, wide enough for a reduced picture."""
    errors = np.zeros((1, SIDE, SIDE, 3, 1))
    errors[:, :, :] = 0.5
    lines = cell(plot(with_values([np.ones((SIDE, SIDE))], error_std=errors), style="tiles"), 1)
    row = lines[SIDE, 8:-8].astype(int)
    saturation = row.max(axis=1) - row.min(axis=1)
    strong = saturation > saturation.mean()
    starts = np.flatnonzero(~strong[:-1] & strong[1:])
    assert 4 / SHOWN < np.diff(starts).mean() / SHOWN < 1 / 14
    assert 0.4 < strong.mean() < 0.5
    assert 0.3 < saturation[~strong].mean() / saturation[strong].mean() < 0.5


def test_maps_say_how_many_regions_are_clear(words):  # noqa: F811
    plot(with_values([half(), half()], clear=np.array([[0.25, 0.5]]), regions=np.array([16])))
    assert {"4 of 16 regions clear", "8 of 16 regions clear"} <= set(words)


@pytest.mark.parametrize("clear", [None, np.array([[1.0]])])
def test_few_regions_are_said_to_be_too_coarse(words, clear):  # noqa: F811
    plot(with_values([half()], regions=np.array([4]), clear=clear))
    assert "4 regions: too coarse to locate" in words
    words.clear()
    plot(with_values([half()], regions=np.array([8]), clear=clear))
    assert not any("coarse" in word for word in words)


def test_a_missing_share_is_said_from_a_twentieth_on(words):  # noqa: F811
    outputs = np.array([[10.0, 0.0, 0.0]])
    options = {"outputs": outputs, "method": "gradient"}
    plot(with_values([half()], additivity_gap=np.array([[0.5]]), **options))
    assert "missing" not in " ".join(words)
    plot(with_values([half()], additivity_gap=np.array([[0.6]]), **options))
    assert "6 % of the change is missing" in " ".join(words)


# The scale


def test_a_running_limit_begins_with_what_the_first_picture_asks_for():
    limit = RunningLimit()
    assert [limit.widen(found) for found in (0.01, 0.5, 0.2)] == [0.01, 0.5, 0.5]


def test_a_running_limit_as_it_is_stays_so_whatever_is_drawn():
    limit = RunningLimit(0.5).as_it_is
    assert (limit.widen(2.0), limit.value) == (0.5, 0.5)
    assert RunningLimit(0.5).widen(2.0) == 2.0


def test_regions_that_follow_the_image_are_said(words):  # noqa: F811
    explanation = explain(nn.Flatten(), torch.rand(1, 1, 8, 8), regions="image", max_evals=16)
    plot(explanation)
    assert any("regions that follow the image" in word for word in words)


def test_a_running_limit_never_shrinks_and_is_said(words):  # noqa: F811
    limit = RunningLimit()
    strong, weak = with_values([half(2)]), with_values([half(1)])
    plot(strong, limit=limit)
    widest = limit.value
    picture = plot(weak, limit=limit)
    assert limit.value == widest
    assert "one scale for the run" in " ".join(words)
    np.testing.assert_array_equal(cell(picture, 1), cell(plot(weak, limit=widest), 1))
    assert not np.array_equal(cell(picture, 1), cell(plot(weak), 1))


@pytest.mark.parametrize("limit", [2.5, 0.5])
def test_the_limit_is_that_of_the_legend(words, limit):  # noqa: F811
    plot(with_values([half()]), limit=limit)
    assert f"raises +{limit}" in words


@pytest.mark.parametrize("grid", [None, (4, 4)])
def test_every_method_counts_in_the_same_unit(words, grid):  # noqa: F811
    """Half of 112 x 112 pixels at 1: a hundredth of the image holds 125.44, whatever a patch is."""
    plot(with_values([half()], grid=grid))
    assert "raises +125" in words
    assert any("logit per 1 % of the image" in word for word in words)


# Maps of single pixels


def test_maps_of_single_pixels_are_smoothed_and_others_are_not():
    noise = np.random.default_rng(0).normal(size=(SIDE, SIDE))
    pixels = [
        cell(plot(with_values([noise], method=method), style="tiles"), 1).astype(int)
        for method in ("gradient", "partition")
    ]
    steps = [np.abs(np.diff(one[::2, ::2], axis=0)).mean() for one in pixels]
    assert steps[0] < steps[1] / 2


def test_maps_of_single_pixels_are_smoothed_as_the_documentation_says():
    share = int(re.search(r"averaged\s+over 1/(\d+) of the side", plot.__doc__)[1])
    for height, width in ((224, 112), (32, 64)):
        assert usual_smooth("gradient", height, width) == max(height, width) / share


def test_smoothing_keeps_the_total():
    from lightning_shap.pictures.pixels import reduce_map

    values = np.zeros((64, 64))
    values[30:34, 20:40] = 1
    smoothed = reduce_map(values, (64, 64), 9)
    assert smoothed.sum() == pytest.approx(values.sum(), rel=1e-5)
    assert smoothed.max() < 0.8


# Arguments


def test_rows_are_shown_in_their_order(words):  # noqa: F811
    explanation = an_explanation(
        images=4, labels=np.array([0, 1, 2, 0]), class_names=np.array(["ant", "bee", "cat"])
    )
    plot(explanation, rows=[2, -3])
    marks = [number for number, word in enumerate(words) if word in ("✓", "✗")]
    assert [words[number + 1] for number in marks] == ["cat", "bee"]
    assert "2 of 4 images" in " ".join(words)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"style": "heat"}, "style: got 'heat'; give 'overlay', 'tiles', 'contour', 'spotlight'"),
        ({"style": ["tiles"]}, r"style: got \['tiles'\]"),
        ({"rows": [4]}, r"rows: got \[4\]; give numbers of images, from 0 to 0"),
        ({"rows": []}, r"rows: got \[\]"),
        ({"limit": 0}, "limit: got 0; give a positive number"),
        ({"limit": float("nan")}, "limit: got nan"),
        ({"limit": "3"}, "limit: got str"),
    ],
)
def test_an_error_names_the_argument(arguments, message):
    with pytest.raises(ValueError, match=message):
        plot(with_values([half()]), **arguments)


# The sheet


@pytest.mark.parametrize("images", [3, 4, 8])
def test_several_images_make_a_landscape(images):
    height, width, _ = plot(an_explanation(images=images, maps=3)).shape
    assert width >= height


# Regions


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([*STYLES]), st.booleans())
def test_regions_of_any_shape_are_drawn_as_their_pixels_are(seed, style, doubted):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 5, (1, 24, 30), dtype=np.int32)
    values = rng.normal(size=(1, 5, 2))
    errors = np.abs(rng.normal(size=(1, 5, 2))) if doubted else None
    regions = Regions.even(labels, values, 3, errors)
    data = rng.random((1, 24, 30, 3))
    compact = an_explanation(regions, data=data, maps=2, indexes=np.array([[0, 1]]))
    dense = an_explanation(regions.dense(), data=data, error_std=regions.dense_std())
    np.testing.assert_array_equal(plot(compact, style=style), plot(dense, style=style))
