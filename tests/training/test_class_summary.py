"""The summary of the classes at the end of a training."""

import json

import pytest
import torch
from tiny_training import KeepingLogger, TinyClassifier, pl, tiny_loaders, tiny_trainer
from torch.utils.data import DataLoader, TensorDataset

from lightning_shap import ShapCallback, report
from lightning_shap.analysis.class_summary.parts import list_parts
from lightning_shap.analysis.class_summary.swaps import count_rows
from lightning_shap.errors import ArgumentError
from lightning_shap.page.bundle import find_data
from lightning_shap.training.summarizer import Summarizer

ROWS = count_rows(list_parts())
QUICK = {"max_evals": 8, "n_samples": 2, "metrics": [], "evolution": None, "masker": 0.0}


def fitted(tmp_path, val=48, **options):
    logger = KeepingLogger()
    callback = ShapCallback(**{**QUICK, **options})
    trainer = tiny_trainer(tmp_path, callback, logger=logger, max_epochs=1)
    trainer.fit(TinyClassifier(), *tiny_loaders(val=val))
    return callback, logger


def test_it_explains_as_many_validation_images_as_asked_for_and_logs_them(tmp_path, capsys):
    callback, logger = fitted(tmp_path, summary=32)
    survey = callback.class_summary
    assert len(survey.labels) == 32
    assert "shap/classes" in str(logger.__dict__)
    assert "32 images of" in capsys.readouterr().err + survey.text


def test_the_report_has_it_and_its_images_under_a_tag_of_their_own(tmp_path):
    fitted(tmp_path, summary=32, report=True, save_dir=tmp_path)
    data = json.loads(find_data((tmp_path / "shap.html").read_text()))
    [run] = data["runs"].values()
    [shown] = run["shap_classes"]
    assert shown["facts"]["classes"]["images"] == 32
    assert len(shown["facts"]["rows"]) == 32
    assert all("classes" not in one["facts"] for one in run["shap"])


def test_there_is_none_unless_it_is_asked_for(tmp_path):
    callback, logger = fitted(tmp_path)
    assert callback.class_summary is None
    assert "shap/classes" not in str(logger.__dict__)


def test_of_a_smaller_set_all_are_explained(tmp_path):
    assert len(fitted(tmp_path, val=12, summary=64)[0].class_summary.labels) == 12


def test_a_time_budget_makes_the_images_fewer_or_leaves_them_out(tmp_path):
    callback, _ = fitted(tmp_path, val=80, summary=80, time_budget=1e-6)
    assert callback.class_summary is None


@pytest.mark.parametrize("summary", [0, 31, True, "many"])
def test_what_is_no_number_of_images_is_refused_by_name(summary):
    with pytest.raises((ValueError, TypeError), match="summary: got"):
        ShapCallback(summary=summary)


def test_values_have_no_classes_to_summarise():
    with pytest.raises(ArgumentError, match="summary: compares classes"):
        ShapCallback(summary=64, output="value")


class Allows:
    """A budget for so many rows in all."""

    def __init__(self, rows):
        self.rows = rows

    def choose_evaluations(self, wanted, samples):
        return wanted if wanted * samples <= self.rows else 16


def test_a_smaller_budget_explains_fewer_images_rather_than_none(tmp_path, monkeypatch):
    rows = 40 * (QUICK["max_evals"] + ROWS)
    explain = Summarizer.explain

    def within(self, budget, spending, names):
        found = explain(self, Allows(rows), spending, names)
        assert spending.rows <= rows
        return found

    monkeypatch.setattr(Summarizer, "explain", within)
    callback, _ = fitted(tmp_path, val=80, summary=80)
    assert len(callback.class_summary.labels) == 40


@pytest.mark.parametrize(("stops", "images"), [(True, 40), (False, 81)])
def test_half_of_the_images_are_enough_where_nothing_comes_near(
    tmp_path, monkeypatch, caplog, stops, images
):
    monkeypatch.setattr("lightning_shap.training.summarizer._is_hopeless", lambda _: stops)
    with caplog.at_level("INFO"):
        callback, _ = fitted(tmp_path, val=100, summary=81)
    assert len(callback.class_summary.labels) == images
    said = "40 of 81 images are explained, as no part comes near"
    assert (said in caplog.text) == stops
    swapped = sum(one["images"] for one in callback.class_summary.plain["swaps"])
    assert images / 2 < swapped <= images  # of both halves


@pytest.mark.parametrize(("classes", "images"), [(3, 32), (8, 64)])
def test_half_of_the_images_are_not_enough_where_they_test_fewer_classes(
    tmp_path, monkeypatch, classes, images
):
    monkeypatch.setattr("lightning_shap.training.summarizer._is_hopeless", lambda _: True)
    data = TensorDataset(torch.rand(64, 1, 8, 8), torch.arange(64) % classes)
    callback = ShapCallback(**QUICK, summary=64)
    trainer = tiny_trainer(tmp_path, callback, max_epochs=1)
    trainer.fit(TinyClassifier(classes=8), DataLoader(data, 16), DataLoader(data, 16))
    assert len(callback.class_summary.labels) == images


@pytest.mark.parametrize("options", [{"summary": 63}, {"summary": 80, "watch": "fine detail"}])
def test_few_images_and_what_is_watched_are_explained_in_one_go(tmp_path, monkeypatch, options):
    def fails(_):
        raise AssertionError("asked")

    monkeypatch.setattr("lightning_shap.training.summarizer._is_hopeless", fails)
    callback, _ = fitted(tmp_path, val=80, **options)
    assert len(callback.class_summary.labels) == options["summary"]


def test_a_summary_that_fails_says_that_the_training_is_done(tmp_path, monkeypatch):
    def fails(*args, **options):
        raise RuntimeError("nothing to draw on")

    monkeypatch.setattr("lightning_shap.training.summarizer.draw_class_sheet", fails)
    with pytest.warns(UserWarning, match="nothing to draw on; the training is done") as warned:
        callback, _ = fitted(tmp_path, summary=32)
    assert callback.explanation is not None
    assert not any("retry" in str(one.message) for one in warned)


def test_parts_are_swapped_with_images_of_other_classes(tmp_path):
    callback, _ = fitted(tmp_path, summary=48)
    swaps = callback.class_summary.plain["swaps"]
    assert 0 < sum(one["images"] for one in swaps) <= 48
    names = {part.name for part in list_parts()}
    assert all(names == {*one["shares"]} for one in swaps if one["images"])


class Values(TinyClassifier):
    """Learns numbers, of which there are no classes."""

    def loss(self, batch):
        images, labels = batch
        return (self(images).mean(1) - labels * 7).square().mean()


def test_values_are_not_explained_for_a_summary_that_cannot_be(tmp_path, capsys, caplog):
    torch.manual_seed(0)  # of some networks the edge decides enough to be warned of
    callback = ShapCallback(**QUICK, summary=32, watch="left edge")
    trainer = tiny_trainer(tmp_path, callback, max_epochs=1)
    train, val = (
        DataLoader(TensorDataset(images, 7 * labels), 8)
        for images, labels in (loader.dataset.tensors for loader in tiny_loaders())
    )
    with pytest.warns(UserWarning, match="taken for values"):
        trainer.fit(Values(), train, val)
    said = capsys.readouterr().err + caplog.text
    assert callback.class_summary is None
    assert "has no summary of the classes" in said
    assert "would be named" not in said
    report(callback.explanation, tmp_path / "report.html")  # which has no classes either


def test_a_second_fit_does_not_begin_with_what_the_first_one_found(tmp_path):
    callback, _ = fitted(tmp_path, summary=32)
    assert callback.class_summary is not None
    seen = []

    class Later(pl.Callback):
        def on_fit_start(self, trainer, pl_module):
            seen.append((callback.explanation, callback.class_summary))

    trainer = tiny_trainer(tmp_path, callback, max_epochs=1)
    trainer.callbacks.append(Later())
    trainer.fit(TinyClassifier(), *tiny_loaders())
    assert seen == [(None, None)]
    assert callback.explanation is not None
