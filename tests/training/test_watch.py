"""Watched places have a scalar at each epoch, are warned of once, and may end the training."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_training import KeepingLogger, TinyClassifier, tiny_loaders, tiny_trainer

from lightning_shap import ShapCallback
from lightning_shap.analysis.class_summary.parts import list_parts
from lightning_shap.analysis.class_summary.watched import read_parts
from lightning_shap.errors import ArgumentError

QUICK = {"max_evals": 8, "n_samples": 6, "metrics": [], "evolution": None, "masker": 0.0}
PLACES = ["bottom left corner", [2, 2, 4, 4]]


class ReadsTheCorner(TinyClassifier):
    """Takes an image for class 0 if its bottom left corner is bright, else for class 1."""

    def forward(self, images):
        mark = 5 * (images[:, :, -2:, :2].mean((1, 2, 3)) - 0.45)
        learnt = 0 * super().forward(images).sum()
        return torch.stack([mark, -mark, mark - 9], dim=1) + learnt


def fitted(tmp_path, model=None, epochs=3, **options):
    logger = KeepingLogger()
    callback = ShapCallback(**{**QUICK, "watch": PLACES, **options})
    trainer = tiny_trainer(tmp_path, callback, logger=logger, max_epochs=epochs)
    trainer.fit(model or ReadsTheCorner(), *tiny_loaders())
    return trainer, logger, callback


def numbers(logger, name):
    return [(step, float(row[name])) for step, row in logger.metrics if name in row]


def test_each_place_has_its_shares_at_each_explanation(tmp_path):
    with pytest.warns(UserWarning, match="decides"):
        _, logger, callback = fitted(tmp_path)
    decided = numbers(logger, "shap/watch_decides/bottom_left_corner")
    assert len(decided) == 4  # the untrained model, and three epochs
    assert all(share == pytest.approx(1) for _, share in decided)
    elsewhere = numbers(logger, "shap/watch_decides/box_2_2_4_4")
    assert all(share == pytest.approx(0, abs=1e-6) for _, share in elsewhere)
    carried = numbers(logger, "shap/watch_attribution/bottom_left_corner")
    assert [0 <= share <= 1 for _, share in carried] == [True] * 4
    assert callback.explanation.record.swap_parts == ["the bottom left corner", "box 2, 2, 4, 4"]


def test_what_decides_much_is_warned_of_once(tmp_path):
    with pytest.warns(UserWarning, match="the bottom left corner decides 100 %") as warned:
        trainer, logger, _ = fitted(tmp_path)
    assert sum("decides" in str(one.message) for one in warned) == 1
    assert trainer.current_epoch == 3
    assert "shap/watch" in str(logger.__dict__)


def test_it_stops_the_training_if_asked_to(tmp_path):
    with pytest.warns(UserWarning, match="the training stops"):
        trainer, _, _ = fitted(tmp_path, on_shortcut="stop")
    assert trainer.current_epoch == 1


def test_a_place_that_decides_little_is_no_reason_to_warn_or_stop(tmp_path, recwarn):
    trainer, _, _ = fitted(tmp_path, watch="top right corner", on_shortcut="stop")
    assert trainer.current_epoch == 3
    assert not any("decides" in str(one.message) for one in recwarn)


def test_the_class_summary_proves_what_is_watched(tmp_path):
    _, _, callback = fitted(tmp_path, epochs=1, summary=48, watch=[[2, 2, 4, 4], "right edge"])
    watched = callback.class_summary.plain["watched"]
    assert {one["part"] for one in watched} == {"box 2, 2, 4, 4", "the right edge"}
    assert any(
        "box 2, 2, 4, 4, as asked, of all classes: of 5 images" in line
        for line in callback.class_summary.lines
    )


@pytest.mark.parametrize("name", [part.name for part in list_parts()])
def test_every_part_that_is_tested_can_be_watched_with_or_without_its_article(name):
    assert [part.name for part in read_parts(name)] == [name]
    assert [part.name for part in read_parts([name.removeprefix("the ")] * 2)] == [name]


@pytest.mark.parametrize("box", [[1, 2, 5, 4], "1,2,5,4", " 1, 2, 5, 4 ", [[1, 2, 5, 4]]])
def test_a_box_is_its_pixels(box):
    (part,) = read_parts(box)
    mask = part.mask(8, 8)
    assert mask[2:4, 1:5].all()
    assert mask.sum() == 8


def test_a_mask_is_what_is_not_black_scaled_to_the_images(tmp_path):
    drawn = np.zeros((40, 40), np.uint8)
    drawn[30:, :10] = 200
    Image.fromarray(drawn).save(tmp_path / "logo.png")
    (part,) = read_parts(str(tmp_path / "logo.png"))
    assert part.name == "mask logo.png"
    assert np.array_equal(part.mask(8, 8), np.pad(np.ones((2, 2), bool), ((6, 0), (0, 6))))


def test_two_masks_of_one_name_are_refused_rather_than_one_left_out(tmp_path):
    for folder in ("left", "right"):
        (tmp_path / folder).mkdir()
        Image.new("L", (8, 8), 255).save(tmp_path / folder / "logo.png")
    with pytest.raises(ArgumentError, match=r"watch: two places are the mask logo.png; .*rename"):
        read_parts([str(tmp_path / folder / "logo.png") for folder in ("left", "right")])


def test_an_earlier_run_s_findings_can_be_watched(tmp_path):
    content = {
        "suspicions": [{"part": "the lower edge"}],
        "untested": [{"part": "tint and brightness"}],
    }
    path = tmp_path / "classes.json"
    path.write_text(json.dumps(content))
    assert [part.name for part in read_parts(str(path))] == [
        "the lower edge",
        "tint and brightness",
    ]


@pytest.mark.parametrize(
    "watch", ["the middle", [3, 3, 3, 5], [1.5], 7, [True] * 4, "no/such.png", [[1, 2, 3]]]
)
def test_what_names_no_part_is_refused_by_name(watch):
    with pytest.raises(ArgumentError, match=r"watch: got .*give"):
        ShapCallback(watch=watch)


@pytest.mark.parametrize("name", ["broken.png", "black.png", "broken.json", "other.json"])
def test_a_file_that_marks_nothing_is_refused_by_name(name, tmp_path):
    Image.new("L", (4, 4)).save(tmp_path / "black.png")
    (tmp_path / "broken.png").write_bytes(b"no image")
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "other.json").write_text('{"suspicions": [{"part": "nothing"}], "untested": []}')
    with pytest.raises(ArgumentError, match=f"watch: .*{name}"):
        ShapCallback(watch=[str(tmp_path / name)])


def test_other_arguments_are_checked_as_well():
    with pytest.raises(ArgumentError, match="watch: compares classes"):
        ShapCallback(watch="lower edge", output="value")
    with pytest.raises(ArgumentError, match="on_shortcut"):
        ShapCallback(on_shortcut="cry")
    with pytest.raises(ArgumentError, match="watch_limit: got 2"):
        ShapCallback(watch_limit=2)


def test_a_box_beyond_the_images_is_refused_and_not_said_to_decide_nothing(tmp_path):
    with pytest.warns(UserWarning, match=r"the box \[20, 20, 30, 30\], but .* 8 wide and 8 high"):
        fitted(tmp_path, epochs=1, watch=[20, 20, 30, 30])
