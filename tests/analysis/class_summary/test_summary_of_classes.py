"""What many explanations say together, in words and in a picture."""

import json

import numpy as np
import pytest
import torch
from swap_noise import measure_swaps_among

import lightning_shap
from lightning_shap.analysis.class_summary.groups import gather, scale_to_shares, tell_apart
from lightning_shap.analysis.class_summary.summary import ClassSummary
from lightning_shap.analysis.class_summary.words import ONE_CLASS, write_expectation
from lightning_shap.engine.question import Question
from lightning_shap.errors import ArgumentError
from lightning_shap.explanation.archive import ArchiveBlocks, save
from lightning_shap.explanation.maps import read_maps
from lightning_shap.pictures.class_sheet import draw_class_sheet

SIDE = 16
MORE = "give summary=256, or --n_samples 256"


class ReadsTheCorner(torch.nn.Module):
    """Class 1 is a mark in a corner; the others differ in their upper and lower half."""

    def forward(self, images):
        mark = images[:, :, :4, :4].mean((1, 2, 3))
        upper, lower = images[:, :, :8, 4:].mean((1, 2, 3)), images[:, :, 8:, 4:].mean((1, 2, 3))
        return torch.stack([upper - lower, 2 * mark, lower - upper], dim=1)


def marked(images=45, channels=1):
    random = torch.Generator().manual_seed(0)
    pixels = torch.rand(images, channels, SIDE, SIDE, generator=random) / 4
    labels = torch.arange(images) % 3
    pixels[labels == 0, :, :8, 4:] += 0.5
    pixels[labels == 2, :, 8:, 4:] += 0.5
    pixels[labels == 1, :, :4, :4] = 1
    return pixels, labels


@pytest.fixture(scope="module")
def found():
    images, labels = marked()
    labels[-1] = 0  # which is a mark, and so a mistake
    return explained(
        ReadsTheCorner(), images, labels, max_evals=60, class_names=["sky", "cat", "grass"]
    )


def explained(model, images, labels, **settings):
    """An explanation with swaps."""
    settings = {"topk": 2, "max_evals": 4, "masker": 0.0} | settings
    found = lightning_shap.explain(model, images, labels=labels, **settings)
    measure_swaps_among(model, found, images, Question(masker=settings["masker"]))
    return found


@pytest.fixture(scope="module")
def survey(found):
    return ClassSummary([found])


def test_the_finding_is_said_in_words(survey):
    first = survey.suspicions[0]
    assert (first.label, first.part.name) == (1, "the top left corner")
    start = "cat: swapped between images, the top left corner decides "
    assert survey.lines[1].startswith(start)
    assert " on 6 % of the area, between other classes " in survey.lines[1]
    assert json.loads(json.dumps(survey.plain))["suspicions"][0]["class"] == "cat"


def test_suspicious_classes_come_first_then_those_with_mistakes(survey):
    assert [one.label for one in survey.classes][:2] == [1, 0]


def test_confused_pairs_are_those_of_the_predictions(survey):
    names = [survey.name(one) for one in survey.pairs]
    assert "sky as grass" in names
    assert sum(len(one.rows) for one in survey.pairs) == survey.right.count(False)


def test_typical_and_strange_images_are_of_their_class_and_no_image_is_both(survey):
    for group in survey.classes:
        shown = [*group.typical, *group.strange]
        assert len(set(shown)) == len(shown)
        assert set(shown) <= set(group.rows.tolist())


def test_a_mean_map_is_in_shares_of_each_image_s_attribution(survey, found):
    shown = gather([found], survey.classes)
    maps = [scale_to_shares(one[0]) for one in read_maps(found).values]
    assert np.isclose(np.abs(maps[0]).sum(), 1)
    for group, mean, image in zip(survey.classes, shown.means, shown.images, strict=True):
        assert np.allclose(mean, np.mean([maps[row] for row in group.rows], axis=0))
        assert np.allclose(image, found.data[group.rows].mean(axis=0))
        for row in (*group.typical, *group.strange):
            assert np.allclose(shown.map_of[row], maps[row])
            assert np.array_equal(shown.image_of[row], found.data[row])


def test_the_picture_has_a_row_for_each_class_and_pair(survey):
    picture = draw_class_sheet(survey, title="final model")
    assert picture.dtype == np.uint8
    rows = len(survey.classes) + len(survey.pairs)
    assert picture.shape[0] > rows * 144


@pytest.mark.parametrize("rows", [1, 7, 100])
def test_an_archive_says_and_shows_the_same_some_images_at_a_time(
    survey, found, rows, tmp_path, monkeypatch
):
    path = save(found, tmp_path / "explanation.npz")
    monkeypatch.setattr("lightning_shap.explanation.archive.BYTES_AT_ONCE", rows * 8 * SIDE**2 * 2)
    blocks = ArchiveBlocks(path)
    assert len([*blocks]) == -(-len(found) // rows)
    read = ClassSummary(blocks)
    assert read.plain == survey.plain
    assert np.array_equal(draw_class_sheet(read), draw_class_sheet(survey))


def some(labels, images=None, model=None, **more):
    """A survey of images of noise, of the classes that are given."""
    images = marked(len(labels))[0] if images is None else images
    return ClassSummary([explained(model or ReadsTheCorner(), images, labels, **more)])


def of_noise(labels):
    """A survey in which nothing stands out: of noise, which a model reads all over."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(SIDE**2, 3))
    return some(labels, torch.rand(len(labels), 1, SIDE, SIDE), model)


def test_an_image_without_a_label_counts_by_its_prediction_and_is_not_judged(found):
    labels = np.arange(45) % 3
    labels[::2] = -1
    partly, unknown = some(labels), some(np.full(45, -1))
    predicted = found.record.predicted.argmax(1)
    assert (partly.labels == np.where(labels < 0, predicted, labels)).all()
    assert [one is None for one in partly.right] == (labels < 0).tolist()
    assert (unknown.labels == predicted).all()
    assert set(unknown.right) == {None}
    assert "right" not in unknown.lines[0]
    for survey in (partly, unknown):
        assert draw_class_sheet(survey).dtype == np.uint8


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ([0, 1], "too few images to test, which takes 5 at least"),
        (
            [0, 1, 2] * 4,
            f"3 of 3 classes have fewer than 5 images and are not tested by themselves: {MORE}",
        ),
        (
            [0, 1] * 6 + [2],
            f"1 of 3 classes has fewer than 5 images and is not tested by itself: {MORE}",
        ),
        ([0] * 12, "all images are of one class, which has no others to be compared with"),
        ([0] * 12 + [1], "sky is not tested by itself: fewer than 5 images are of other classes"),
    ],
)
def test_what_was_not_tested_is_named(labels, words):
    lines = some(np.array(labels), class_names=["sky", "cat", "grass"]).lines
    assert words in lines
    tested = [line for line in lines if line.startswith("no part stands out")]
    alone = len(labels) >= 5 and len(set(labels)) < 3
    assert not tested or "in all images together" in tested[0] or not alone


def test_one_image_is_one_image_of_one_class():
    survey = some(np.array([0]))
    assert survey.lines[0].startswith("1 image of 1 class, ")
    picture = draw_class_sheet(survey)
    wrong = draw_class_sheet(
        some(np.array([1]))
    )  # whose pair is the class over again, and has no row
    assert wrong.shape[0] == picture.shape[0]


@pytest.fixture
def words(monkeypatch):
    """What is written into pictures."""
    written = []
    monkeypatch.setattr(
        "lightning_shap.pictures.sheet.write", lambda *given: written.append(given[3])
    )
    return written


def test_the_picture_says_that_no_place_stands_out_and_how_many_classes_it_leaves_out(words):
    draw_class_sheet(of_noise(np.arange(120) % 3))
    assert any("no part stands out (tested at 1 %" in line for line in words)
    assert not any("not shown" in line for line in words)

    class Many(torch.nn.Module):
        def forward(self, images):
            return ReadsTheCorner()(images).repeat(1, 4)

    draw_class_sheet(some(np.arange(36) % 11, model=Many()))
    assert any("3 more classes not shown" in line for line in words)


def test_the_picture_tells_a_class_s_share_from_that_of_others(survey, words):
    draw_class_sheet(survey)
    assert any(
        "the top left corner decides" in line and "in other classes" in line for line in words
    )


def test_headings_are_over_columns_that_show_something(words):
    draw_class_sheet(some(np.array([0])))
    assert "typical" in words
    assert "strange" not in words


def test_classes_of_one_name_are_told_apart():
    assert tell_apart(["cat", "dog", "cat"]).tolist() == ["cat (0)", "dog", "cat (2)"]
    survey = some(np.ones(12, int), class_names=["cat", "dog", "cat"])
    taken = [line for line in survey.lines if "taken for" in line]
    assert taken
    assert all(len(set(line.partition(":")[0].split(" taken for "))) == 2 for line in taken)


def test_what_has_no_classes_is_refused_by_name():
    found = lightning_shap.explain(
        ReadsTheCorner(), marked(6)[0], output="value", max_evals=10, masker=0.0
    )
    with pytest.raises(ArgumentError, match="explanation: has no single predicted class"):
        ClassSummary([found])


def test_that_nothing_is_found_comes_with_what_would_have_been(words):
    survey = of_noise(np.arange(120) % 3)
    (line,) = [line for line in survey.lines if line.startswith("no part stands out")]
    share = survey.power.share
    assert (
        f"a corner or an edge that decides {100 * share:.0f} % of a class would have been found"
        in line
    )
    assert survey.plain["power"]["share"] == share
    draw_class_sheet(survey)
    assert f"{100 * share:.0f} % of a class would have been found" in " ".join(words)


def test_where_nothing_could_be_found_that_is_said_instead(words, monkeypatch):
    monkeypatch.setattr("lightning_shap.analysis.class_summary.power.CASES", 1.1)
    survey = of_noise(np.arange(45) % 3)
    said = f"too few images to tell whether a part stands out: {MORE}"
    assert said in survey.lines
    assert not any("no part stands out" in line for line in survey.lines)
    assert survey.plain["power"]["share"] is None
    draw_class_sheet(survey)
    assert said in " ".join(words)


def test_images_of_several_true_classes_are_refused_and_not_called_mistakes():
    several = np.eye(3, dtype=bool)[np.arange(12) % 3] | (np.arange(12) % 2 == 0)[:, None]
    with pytest.warns(UserWarning, match="several classes"):
        found = explained(ReadsTheCorner(), marked(12)[0], several)
    with pytest.raises(ArgumentError, match="labels: images may have several true classes"):
        ClassSummary([found])


def test_of_one_class_nothing_is_promised_beforehand():
    assert write_expectation(np.zeros(60, int), 60) == ONE_CLASS
    assert "would be named" in write_expectation(np.arange(60) % 2, 60)
