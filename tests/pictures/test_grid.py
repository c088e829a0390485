import html
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
import shap
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image

from lightning_shap.explanation.classes import Classes
from lightning_shap.explanation.explanation import ImageExplanation
from lightning_shap.explanation.phrases import SEPARATOR, Name, Phrase, join, number, percent
from lightning_shap.explanation.record import Record
from lightning_shap.explanation.regions import Regions
from lightning_shap.explanation.verdicts import Candidate, Verdict
from lightning_shap.pictures import lettering, pixels, sheet
from lightning_shap.pictures.captions import Captions, Heading, name_unit
from lightning_shap.pictures.grid import plot
from lightning_shap.pictures.lettering import Pen, fit, least_width, measure_width, wrap
from lightning_shap.pictures.limits import common_limit
from lightning_shap.pictures.photographs import Album
from lightning_shap.pictures.saving import save
from lightning_shap.pictures.styles import OUTLINE, STYLES

LONG = "Blenheim spaniel, King Charles spaniel with a very long name"


def an_explanation(
    values=None,
    *,
    images=2,
    side=16,
    channels=3,
    classes=3,
    maps=2,
    data=None,
    indexes=None,
    outputs=None,
    probabilities="softmax",
    output="logit",
    masker="blur(9,9)",
    labels=None,
    multi_label=False,
    method="partition",
    error_std=None,
    **known,
):
    rng = np.random.default_rng(0)
    if data is None:
        data = rng.random((images, side, side, channels))
    images = len(data)
    if values is None:
        values = rng.normal(size=(*data.shape, maps))
    if outputs is None:
        outputs = rng.normal(size=(images, classes))
    if isinstance(probabilities, str):
        scale = np.exp(outputs)
        probabilities = scale / scale.sum(1, keepdims=True)
    if indexes is None:
        indexes = np.tile(np.arange(values.shape[-1]), (images, 1))
    record = Record(
        method=method,
        max_evals=100,
        grid=None,
        masker=masker,
        output=output,
        seed=0,
        outputs=outputs,
        probabilities=probabilities,
        class_names=Classes(outputs.shape[1], values=output == "value").name(None),
        labels=labels,
        evaluations=np.full(images, 100),
        regions=np.arange(12, 12 + images),
        additivity_gap=np.zeros(indexes.shape),
        seconds=1.0,
        model_seconds=0.9,
        multi_label=multi_label,
    )
    record = replace(record, **known)
    source = values if error_std is None else Regions.separate(values, error_std)
    return ImageExplanation(source, np.zeros(indexes.shape), data, indexes, record)


def cell(picture, row, column, size=192):
    """The pixels of one cell of a grid whose header is one line."""
    x = sheet.MARGIN + column * (max(size, sheet.LEAST_COLUMN) + sheet.GUTTER)
    top = sheet.MARGIN + sheet.LEGEND_HEIGHT + sheet.ROW_GAP + sheet.HEADING
    y = top + row * (sheet.HEADING + size + sheet.ROW_GAP)
    return picture[y : y + size, x : x + size]


def photographs(*arguments, **options):
    """All photographs in one array, and their notes."""
    shown, notes = pixels.photographs(*arguments, **options)
    return np.stack([*shown]), notes


@pytest.fixture
def words(monkeypatch):
    """Every text that is drawn, in order."""
    drawn = []

    def write(draw, x, baseline, text, style):
        drawn.append(text)
        lettering.write(draw, x, baseline, text, style)

    monkeypatch.setattr(sheet, "write", write)
    return drawn


# Colours


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_no_attribution_shows_the_same_neutral_map_whatever_the_others_scale(scale):
    values = np.zeros((2, 16, 16, 3, 2))
    neutral = cell(plot(an_explanation(values)), 0, 1)
    values[1] = scale * np.random.default_rng(0).normal(size=values[1].shape)
    picture = plot(an_explanation(values))
    np.testing.assert_array_equal(cell(picture, 0, 1), neutral)
    assert (neutral == neutral[..., :1]).all(), "the neutral has no hue"
    assert neutral.min() >= 255 * (1 - pixels.SHADE) - 1, "and is light"
    assert (cell(picture, 1, 1) != neutral).any()


@given(st.floats(-2, 2), st.floats(1e-6, 1e6))
def test_colours_of_opposite_signs_are_equally_strong(share, limit):
    positive, negative = pixels.colours(np.array([share, -share]) * limit, limit)
    assert lightness(positive) == pytest.approx(lightness(negative), abs=0.01)
    if abs(share) > 0.01:
        raising, lowering = (positive, negative) if share > 0 else (negative, positive)
        assert raising[0] > raising[2]
        assert lowering[2] > lowering[0]


def lightness(colour):
    """OKLab's L."""
    linear = np.where(colour > 10, ((colour / 255 + 0.055) / 1.055) ** 2.4, colour / 255 / 12.92)
    cones = np.array(
        [
            [0.4122214708, 0.5363325363, 0.0514459929],
            [0.2119034982, 0.6806995451, 0.1073969566],
            [0.0883024619, 0.2817188376, 0.6299787005],
        ]
    )
    return np.cbrt(cones @ linear) @ [0.2104542553, 0.7936177850, -0.0040720468]


def test_stronger_is_never_lighter():
    for sign in (1, -1):
        ramp = pixels.colours(sign * np.linspace(0, 1, 300), 1).astype(int)
        assert (np.diff(ramp.sum(1)) <= 0).all()
    assert pixels.colours(np.zeros(1), 1).tolist() == [[255, 255, 255]]


def test_one_scale_rules_the_whole_grid():
    values = np.zeros((2, 16, 16, 1, 2))
    values[0, ..., 0], values[1, ..., 1] = 1.0, 0.25
    picture = plot(an_explanation(values, data=np.ones((2, 16, 16, 1))))
    assert cell(picture, 0, 1)[96, 96].tolist() == pixels.colours(np.ones(1), 1)[0].tolist()
    assert cell(picture, 1, 2)[96, 96].tolist() == pixels.colours(np.ones(1), 4)[0].tolist()


def test_the_limit_is_printed_with_both_signs(words):
    plot(an_explanation(np.full((2, 16, 16, 1, 2), 0.125), channels=1))
    assert {"\N{MINUS SIGN}0.32 lowers", "raises +0.32"} <= set(words)  # of 2.56 pixels


def test_a_few_extreme_pixels_do_not_rule_the_scale_but_a_lone_one_does():
    maps = np.full((100, 100), 0.5)
    maps[0, 0] = 100
    assert common_limit(maps) == 0.5
    assert common_limit(np.where(maps > 1, maps, 0)) == 100


def test_channels_add_up():
    values = np.zeros((1, 16, 16, 3, 1))
    values[..., 0, :], values[..., 1, :] = 2.0, -2.0
    cancelled = cell(plot(an_explanation(values, images=1)), 0, 1)
    assert (cancelled == cancelled[..., :1]).all()


def test_a_rim_decides_and_contrast_does_not():
    """The same digit looks the same however its pixels were scaled."""
    digit = np.zeros((16, 16, 3), dtype=np.uint8)
    digit[4:12, 6:10] = 250
    looks = [digit, 100 + digit // 5, 250 - digit]  # plain, of low contrast, a negative
    unders = [np.asarray(pixels.draw_underlays([Image.fromarray(look)])[0]) for look in looks]
    np.testing.assert_array_equal(unders[0], unders[1])
    np.testing.assert_array_equal(unders[0], unders[2])


def test_dark_images_lie_under_their_maps_as_negatives_all_or_none():
    digit = np.zeros((8, 8, 3), dtype=np.uint8)
    digit[2:6, 3:5] = 255
    bold = np.full((8, 8, 3), 255, dtype=np.uint8)
    bold[:3] = 0
    images = [Image.fromarray(image) for image in (digit, bold, digit)]
    under, under_bold, _ = (np.asarray(image) for image in pixels.draw_underlays(images))
    assert under_bold[0, 0].tolist() == [255, 255, 255]
    assert under[0, 0].tolist() == [255, 255, 255]
    assert 255 * (1 - pixels.SHADE) - 1 <= under[3, 3, 0] < 255


# Sizes


@given(st.integers(1, 2000), st.integers(1, 2000))
def test_cells_are_of_a_common_size_and_keep_the_aspect_ratio(height, width):
    shown_width, shown_height = pixels.cell_size(height, width)
    assert 128 < max(shown_width, shown_height) <= 256
    scale = max(shown_width, shown_height) / max(height, width)
    assert abs(shown_width - scale * width) <= 1
    assert abs(shown_height - scale * height) <= 1


@pytest.mark.parametrize("side", [8, 28, 32, 64, 96])
def test_pixels_of_a_small_image_stay_crisp_squares(side):
    data = np.random.default_rng(0).random((1, side, side, 3))
    size, _ = pixels.cell_size(side, side)
    picture = plot(an_explanation(data=data, maps=1))
    squares = np.rint(data[0] * 255).repeat(size // side, 0).repeat(size // side, 1)
    np.testing.assert_array_equal(cell(picture, 0, 0, size), squares)


def test_a_reduced_map_shows_no_sign_that_is_not_there():
    values = np.zeros((600, 600))
    values[200:330, 150:415] = 1.0
    shown = pixels.reduce_map(values, pixels.cell_size(600, 600))
    assert shown.min() == 0
    assert shown.max() == 1


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 3), st.integers(1, 4), st.integers(1, 40), st.integers(1, 40))
def test_any_grid_of_any_shape_is_drawn(images, maps, height, width):
    data = np.random.default_rng(0).random((images, height, width, 1))
    picture = plot(an_explanation(data=data, maps=maps, classes=5), title="epoch 3 · step 141")
    assert picture.dtype == np.uint8
    assert picture.shape[2] == 3


def test_some_rows_are_shown_and_said_to_be_some(words):
    shorter = plot(an_explanation(images=4), rows=[0])
    assert "1 of 4 images" in " ".join(words)
    assert len(shorter) < len(plot(an_explanation(images=4)))


# Photographs


def test_mean_and_std_undo_the_normalisation():
    data = np.random.default_rng(0).random((1, 16, 16, 3))
    mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    plain = photographs(data)
    undone = photographs((data - mean) / std, mean, std)
    np.testing.assert_array_equal(undone[0], plain[0])
    assert undone[1] == plain[1] == []


@given(st.floats(1e-3, 1e3), st.floats(-1e3, 1e3))
def test_other_ranges_are_stretched_and_the_picture_says_so(scale, shift):
    data = np.random.default_rng(0).random((2, 4, 4, 3)) * scale + shift
    assume(data.min() < 0 or data.max() > 1)
    shown, notes = photographs(data)
    assert notes == ["contrast stretched"]
    assert shown.min((1, 2, 3)).tolist() == [0, 0]
    assert shown.max((1, 2, 3)).tolist() == [255, 255]


def test_an_image_of_one_colour_is_stretched_to_mid_grey():
    assert (photographs(np.full((1, 4, 4, 1), 7.0))[0] == 128).all()


def test_bytes_are_shown_as_they_are():
    data = np.arange(192, dtype=np.uint8).reshape(1, 8, 8, 3)
    shown, notes = photographs(data)
    np.testing.assert_array_equal(shown, data)
    assert notes == []


@pytest.mark.parametrize(
    ("count", "channels", "shown", "notes"),
    [
        (1, None, [0, 0, 0], []),
        (2, None, [0, 0, 0], ["channel 0 of 2"]),
        (3, None, [0, 1, 2], []),
        (3, (2, 1, 0), [2, 1, 0], ["channels 2, 1, 0 of 3"]),
        (13, None, [0, 1, 2], ["channels 0, 1, 2 of 13"]),
        (13, (12, 4, 0), [12, 4, 0], ["channels 12, 4, 0 of 13"]),
        (13, 7, [7, 7, 7], ["channel 7 of 13"]),
    ],
)
def test_channels_are_chosen_and_named(count, channels, shown, notes):
    data = np.random.default_rng(0).random((1, 4, 4, count))
    photograph, found = photographs(data, channels=channels)
    np.testing.assert_array_equal(photograph, np.rint(data[..., shown] * 255))
    assert found == notes


def test_an_album_draws_the_same_photographs_once_and_others_anew(monkeypatch):
    drawn, album = [], Album()
    monkeypatch.setattr(pixels, "reduce_photograph", counted(pixels.reduce_photograph, drawn))
    first = an_explanation()
    values, data = first.values.copy(), first.data
    again = an_explanation(-values, data=data.copy())
    assert np.array_equal(plot(first, album=album), plot(first))
    for look in ({}, {"mean": 0.1, "std": 0.5}, {"channels": 1}):
        plot(first, album=album, **look)
        drawn.clear()
        picture = plot(again, album=album, **look)
        assert not drawn
        assert np.array_equal(picture, plot(again, **look))
        assert len(drawn) == 2
    plot(first, album=album)
    drawn.clear()
    plot(first, album=album, rows=[0])
    plot(an_explanation(values, data=data[::-1]), album=album)
    assert len(drawn) == 1 + 2


def counted(function, calls):
    def call(*arguments):
        calls.append(arguments)
        return function(*arguments)

    return call


# Words


def test_the_footer_says_how_and_how_finely(words):
    plot(an_explanation(images=3))
    footer = " ".join(words)
    for word in (
        "partition",
        "100 evaluations",
        "12\N{EN DASH}14 regions",
        "blur(9,9) masker",
        "logit",
    ):
        assert word in footer
    assert "99.5th percentile" in footer


def test_right_and_wrong_predictions_are_marked(words):
    outputs = np.array([[4.0, 0, 0], [0, 0, 4.0]])
    names = np.array(["cat", "dog", "猫x"])
    plot(an_explanation(outputs=outputs, labels=np.array([0, 1]), class_names=names))
    assert words.count("✓") == words.count("✗") == 1
    assert words[words.index("✓") + 1 :][:2] == ["cat", " 96.5 %"]
    assert words[words.index("✗") + 1 :][:3] == [
        "dog",
        " 1.8 %",
        lettering.make_legible("predicted 猫x 96.5 %"),
    ]


def test_the_true_class_stands_out_among_the_maps():
    explanation = an_explanation(indexes=np.array([[2, 0], [1, 2]]), labels=np.array([2, 2]))
    captions = Captions(explanation)
    true = [[captions.output(row, column).true for column in range(2)] for row in range(2)]
    assert true == [[True, False], [False, True]]


def test_without_labels_the_prediction_is_named():
    outputs = np.array([[0.0, 9, 0], [9, 0, 0]])
    heading = Captions(an_explanation(outputs=outputs)).image(0)
    assert heading == Heading("class 1", "predicted", ": >99.9 %")


def test_an_unknown_label_says_neither_right_nor_wrong():
    captions = Captions(an_explanation(labels=np.array([1, -1])))
    assert captions.image(0).right is not None
    assert captions.image(1) == Captions(an_explanation()).image(1)
    assert captions.image(1).right is None


def test_a_single_output_speaks_for_the_second_of_two_classes():
    positive = np.array([[0.9], [0.2]])
    explanation = an_explanation(
        maps=1,
        outputs=np.log(positive / (1 - positive)),
        probabilities=positive,
        labels=np.array([1, 1]),
        class_names=np.array(["healthy", "ill"]),
    )
    captions = Captions(explanation)
    assert captions.output(0, 0).name == "ill"
    assert captions.image(0).right
    assert captions.image(1) == Heading(
        "ill", "predicted healthy 80.0 %", " 20.0 %", true=True, right=False
    )


def test_values_are_said_with_what_they_should_be_and_are_neither_right_nor_wrong():
    outputs = np.array([[51.94, -0.5], [1234.56, 2e12]])
    known = {"outputs": outputs, "probabilities": None, "output": "value"}
    captions = Captions(an_explanation(**known, class_names=np.array(["age", "speed"])))
    assert name_unit(captions.record) == "value per 1 % of the image"
    assert captions.image(0) == Heading("image 0")
    assert captions.output(0, 0) == Heading("age", "0.0 → 51.9")
    assert captions.output(1, 0).detail == "0 → 1235"
    assert captions.output(1, 1).detail == "0 → 2e+12"
    captions = Captions(an_explanation(**known, labels=np.array([[48, 1], [np.nan, 0]])))
    assert captions.output(0, 0).detail == "0.0 → 51.9 · true 48"
    assert captions.output(0, 1).detail == "0.000 → \N{MINUS SIGN}0.500 · true 1"
    assert captions.output(1, 0).detail == "0 → 1235"
    assert captions.image(0) == Heading("image 0")


def test_a_single_value_has_one_name():
    known = {"outputs": np.array([[51.9], [3.0]]), "probabilities": None, "output": "value"}
    assert Captions(an_explanation(maps=1, **known)).output(0, 0).name == "output 0"
    named = an_explanation(maps=1, **known, class_names=np.array(["age"]))
    assert Captions(named).output(1, 0) == Heading("age", "0.00 → 3.00")


def test_every_true_class_of_several_is_marked():
    probabilities = np.array([[0.9, 0.2, 0.8], [0.1, 0.2, 0.3]])
    several = np.array([[True, False, True], [False, False, True]])
    known = {
        "maps": 3,
        "outputs": probabilities,
        "probabilities": probabilities,
        "multi_label": True,
        "class_names": np.array(["cat", "dog", "sofa"]),
    }
    captions = Captions(an_explanation(**known, labels=several))
    assert [captions.output(0, column).true for column in range(3)] == [True, False, True]
    assert captions.image(0) == Heading("cat, sofa", true=True, right=True)
    assert captions.image(1) == Heading(
        "sofa", "predicted no class", " 30.0 %", true=True, right=False
    )
    nothing = Captions(an_explanation(**known, labels=np.zeros((2, 3), bool)))
    assert nothing.image(0) == Heading("no class", "predicted cat, sofa", true=True, right=False)
    assert nothing.image(1) == Heading("no class", "", true=True, right=True)


def test_where_no_probability_is_known_the_output_is_said():
    values = np.full((2, 16, 16, 1, 2), -1 / 256)
    outputs = np.full((2, 3), -1.0)
    explanation = an_explanation(
        values, channels=1, outputs=outputs, probabilities=None, output="custom"
    )
    assert Captions(explanation).output(0, 0).detail == "0.00 → \N{MINUS SIGN}1.00"
    assert name_unit(explanation.record) == "output per 1 % of the image"


def test_an_explanation_without_a_record_is_refused():
    foreign = shap.Explanation(np.ones((2, 8, 8, 3, 2)), np.zeros((2, 2)), np.ones((2, 8, 8, 3)))
    with pytest.raises(ValueError, match="explanation: has no record of how it came about; give"):
        plot(foreign)


@given(st.text(max_size=80), st.integers(20, 300))
@settings(deadline=None, max_examples=30)
def test_a_name_fits_into_whatever_there_is(text, width):
    for bold in (False, True):
        style = Pen(16, "black", bold)
        assert measure_width(fit(Name(text), style, width), style) <= width


def test_a_name_is_cut_in_the_middle_and_a_short_one_is_left_alone():
    style = Pen(16, "black")
    assert fit(Name("Schäferhund"), style, 200) == "Schäferhund"
    assert fit(Name("two\nlines"), style, 200) == "two lines"
    ends = [fit(Name(f"no finding (nor{end}"), style, 110) for end in ("mal)", "ma?)")]
    assert ends[0] != ends[1]
    assert all(one.startswith("no f") and "…" in one for one in ends)


@given(st.text(min_size=1, max_size=40), st.floats(0, 1), st.integers(20, 300))
@settings(deadline=None, max_examples=30)
def test_a_number_is_never_cut(name, share, width):
    verdict = Verdict(predicted=(Candidate(0, name, share),))
    line = fit(verdict.prediction, Pen(15, "black"), width)
    assert line.endswith(percent(share))
    *_, last = wrap(join(verdict.words, "0.085 → 0.123"), Pen(15, "black"), width)
    assert last.endswith("0.123")


def test_the_least_column_has_room_for_what_is_usual():
    """So that the pictures of a run are laid out alike."""
    minus = "\N{MINUS SIGN}"
    usual = [f">99.9 % · {minus}0.085 → {minus}0.123", "128 of 196 regions clear"]
    assert {
        len(wrap(join(*one.split(SEPARATOR)), sheet.DETAIL, sheet.LEAST_COLUMN)) for one in usual
    } == {1}
    detail = Phrase("predicted ", Name(LONG), " >99.9 %")
    assert least_width(detail, sheet.DETAIL) <= sheet.LEAST_COLUMN


@pytest.mark.parametrize("scale", [1e-3, 1, 1e4, 1e20])
def test_columns_are_as_wide_as_their_numbers_need(scale, words):
    """A detail such as "-0.085 → -0.123 · true -0.1" has more than fits into the least column."""
    explanation = an_explanation(
        outputs=-1.234 * scale * np.ones((2, 3)),
        probabilities=None,
        output="value",
        labels=np.full((2, 3), -1.2345e-7 * scale),
        class_names=np.array([LONG] * 3),
    )
    picture = plot(explanation)
    wanted = Captions(explanation).output(0, 0).detail
    assert wanted in " · ".join(words)
    assert (picture[:, -sheet.MARGIN + 2 :] == 255).all()


def test_where_nothing_is_said_there_is_no_room_for_it():
    assert wrap("", sheet.DETAIL, 100) == []
    plain, noted = (
        plot(an_explanation(images=1, regions=np.array([regions]))).shape[0] for regions in (12, 4)
    )
    assert noted - plain == sheet.NOTE
    row = sheet.HEADING + 192 + sheet.ROW_GAP
    above = sheet.MARGIN + sheet.LEGEND_HEIGHT + sheet.ROW_GAP
    below = plain - above - row - sheet.MARGIN
    assert below % sheet.DETAIL_LINE == 0


def test_a_name_that_is_a_number_is_held_apart_from_its_probability(words):
    plot(an_explanation(labels=np.array([0, 2]), class_names=np.array(["0", "1", "2"])))
    place = words.index("0")
    assert words[place + 1].startswith(": ")


@pytest.mark.parametrize("name", [LONG, "W" * 500, "Schäferhund " * 9, "猫" * 60])
def test_long_names_never_leave_their_column(name):
    explanation = an_explanation(labels=np.array([0, 2]), class_names=np.array([name] * 3))
    picture = plot(explanation, title="names")
    top = sheet.MARGIN + sheet.LEGEND_HEIGHT + sheet.TITLE_LINE
    for column in range(1, 3):
        right = sheet.MARGIN + column * (sheet.LEAST_COLUMN + sheet.GUTTER)
        between = picture[top:-100, right - sheet.GUTTER + 2 : right - 2]
        assert (between == 255).all()
    titled = plot(explanation, title=name)
    assert (titled[:, -sheet.MARGIN + 2 :] == 255).all()
    assert (picture[:, -sheet.MARGIN + 2 :] == 255).all()


def test_a_character_without_a_font_is_written_as_its_number(monkeypatch):
    monkeypatch.setattr(lettering, "_file_with", lambda c, _: None if c == "猫" else "a font")
    assert lettering.make_legible("a 猫") == "a \\u732b"


# Manners


def test_the_same_input_gives_the_same_bytes():
    known = {"labels": np.array([0, 1])}
    first, second = (plot(an_explanation(**known), title="epoch 3") for _ in range(2))
    assert first.tobytes() == second.tobytes()


def test_the_host_is_left_as_it_was():
    plt.switch_backend("svg")
    figure = plt.figure()
    before = matplotlib.rcParams.copy(), np.random.get_state()[1].tolist()
    explanation = an_explanation(class_names=np.array(["猫", "a", "b"]))
    data, values = explanation.data.copy(), explanation.values.copy()
    plot(explanation)
    assert matplotlib.get_backend() == "svg"
    assert plt.get_fignums() == [figure.number]
    plt.close(figure)
    assert (matplotlib.rcParams.copy(), np.random.get_state()[1].tolist()) == before
    np.testing.assert_array_equal(explanation.data, data)
    np.testing.assert_array_equal(explanation.values, values)


@pytest.mark.integration
def test_pictures_need_neither_torch_nor_shap_nor_pyplot():
    code = (
        "import sys, lightning_shap.pictures.grid; "
        "heavy = {'torch', 'shap', 'pytorch_lightning', 'lightning', 'matplotlib.pyplot'}; "
        "print(*heavy & set(sys.modules))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert loaded.stdout.strip() == ""


# Files


def test_a_saved_picture_reads_back(tmp_path):
    picture = plot(an_explanation())
    path = save(picture, tmp_path / "new" / "folders" / "picture.png")
    assert path == tmp_path / "new" / "folders" / "picture.png"
    np.testing.assert_array_equal(np.asarray(Image.open(path)), picture)
    assert [p.name for p in path.parent.iterdir()] == ["picture.png"]


def test_a_picture_appears_whole_or_not_at_all(tmp_path, monkeypatch):
    path = save(np.zeros((4, 4, 3), np.uint8), tmp_path / "picture.png")
    before = path.read_bytes()

    def broken(self, file, **options):
        Path(file).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", broken)
    with pytest.raises(OSError, match=r"path: cannot write .*picture\.png.*No space left"):
        save(np.ones((4, 4, 3), np.uint8), path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["picture.png"]


def test_a_path_that_cannot_be_is_an_error_that_names_it(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="path: cannot write"):
        save(np.zeros((4, 4, 3), np.uint8), tmp_path / "file" / "picture.png")
    with pytest.raises(ValueError, match=r"path: must end in \.png, got .*jpg"):
        save(np.zeros((4, 4, 3), np.uint8), tmp_path / "picture.jpg")
    with pytest.raises(ValueError, match="picture: is float64"):
        save(np.zeros((4, 4, 3)), tmp_path / "picture.png")


# Errors


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"mean": [0.5]}, "std: is missing"),
        ({"std": [0.5]}, "mean: is missing"),
        ({"mean": [0.5, 0.5], "std": 1}, "mean: has 2 numbers, the images 3 channels"),
        ({"mean": 0.5, "std": [0, 1, 1]}, "std: got"),
        ({"channels": (0, 1)}, r"channels: got \(0, 1\).*0 to 2"),
        ({"channels": 3}, "channels: got 3"),
        ({"rows": [2]}, r"rows: got \[2\]"),
    ],
)
def test_an_error_names_the_argument(arguments, message):
    with pytest.raises(ValueError, match=message):
        plot(an_explanation(), **arguments)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("part", ["values", "data"])
def test_what_is_not_finite_is_not_drawn(part, bad):
    whole = an_explanation()
    values, data = whole.values.copy(), whole.data.copy()
    {"values": values, "data": data}[part][1, 2, 3] = bad
    explanation = an_explanation(values, data=data)
    with pytest.raises(ValueError, match=rf"explanation: its {part} hold NaN or .* images \[1\]"):
        plot(explanation)


@pytest.mark.parametrize("style", STYLES)
def test_a_place_is_outlined_in_every_cell_and_what_it_contributes_is_said(style, words):
    explanation = an_explanation(images=1, side=100)
    said = f"inside: {explanation[0, ..., 1].region((30, 20, 60, 70)).words}"
    picture = plot(explanation, style=style, region=(30, 20, 60, 70))
    assert said in words
    tall = ((picture == OUTLINE).all(2).sum(0) >= 50).nonzero()[0]  # sides are 100 pixels high
    assert len(np.split(tall, np.flatnonzero(np.diff(tall) > 1) + 1)) == 2 * 3


def test_without_doubt_nothing_is_hatched_and_no_words_of_it_are_left(words):
    values = np.ones((2, 16, 16, 3, 1))
    explanation = an_explanation(values, maps=1, error_std=10 * values)
    hatched = plot(explanation)
    assert any("two standard errors" in text for text in words)
    words.clear()
    plain = plot(explanation, doubt=False)
    assert not any("two standard errors" in text for text in words)
    shape = [min(pair) for pair in zip(plain.shape, hatched.shape, strict=True)]
    assert (plain[: shape[0], : shape[1]] != hatched[: shape[0], : shape[1]]).any()


@pytest.mark.parametrize("style", STYLES)
def test_a_dark_picture_is_dark_around_its_cells_and_its_words_are_seen(style):
    explanation = an_explanation(labels=np.array([0, 1]), side=100)
    light, dark = (plot(explanation, style=style, background=one) for one in ("light", "dark"))
    assert light.shape == dark.shape
    paper = np.array([13, 17, 23])
    assert (dark == paper).all(2).mean() > 0.2
    assert ((light == 255).all(2) == (dark == paper).all(2)).mean() > 0.93
    assert dark[-60:].max() > 140  # the footer
    assert light[-60:].min() < 110


@pytest.mark.parametrize(
    ("argument", "value"), [("background", "grey"), ("background", None), ("doubt", "no")]
)
def test_other_backgrounds_and_doubts_are_refused_by_name(argument, value):
    with pytest.raises(ValueError, match=f"{argument}: "):
        plot(an_explanation(), **{argument: value})


def test_a_long_title_keeps_a_distance_from_the_legend():
    picture = plot(an_explanation(images=1, maps=1), title="a long title of many words " * 3)
    ink = (picture < 250).any(2).any(1)
    bar = int(np.flatnonzero((picture.std(2) > 30).sum(1) > 100)[0])  # where colours begin
    above = int(np.flatnonzero(ink[: bar - 2]).max())
    assert bar - above > 12


@pytest.mark.parametrize("style", ["contour", "spotlight"])
def test_styles_without_the_other_sign_say_so(style, words):
    plot(an_explanation(), style=style)
    assert any("only what raises the output is shown" in text for text in words)


def test_an_explanation_that_is_made_of_anothers_record_keeps_its_words(words):
    explanation = an_explanation(labels=np.array([0, 1]))
    plot(explanation)
    said = [text for text in words if text.endswith("%") or "predicted" in text]
    words.clear()
    plot(
        ImageExplanation(
            explanation.values.copy(),
            explanation.base_values,
            explanation.data,
            explanation.output_indexes,
            explanation.record,
        )
    )
    assert said
    assert [text for text in words if text.endswith("%") or "predicted" in text] == said


@pytest.mark.parametrize(
    ("output", "words"),
    [("probability", "probabilities"), ("log-probability", "log-probabilities")],
)
def test_what_was_explained_is_called_by_its_name(output, words):
    assert f" · {words} · " in repr(an_explanation(output=output))


def test_values_are_shown_where_there_is_nothing_to_predict():
    explanation = an_explanation(output="value", probabilities=None)
    first = float(explanation.record.outputs[0, 0])
    assert repr(explanation).splitlines()[1] == number(first)


def test_a_notebook_shows_a_picture_and_three_lines():
    explanation = an_explanation(labels=np.array([0, 1]))
    lines = repr(explanation).splitlines()
    assert len(lines) == 3
    assert "of 2 right" in lines[1]
    assert "partition, 100 evaluations" in lines[2]
    shown = explanation._repr_html_()
    assert shown.startswith('<img src="data:image/png;base64,')
    assert html.escape(lines[1]) in shown
    one = repr(explanation[0, ..., 1]).splitlines()
    assert len(one) == 3
