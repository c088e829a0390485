"""A training's report is its run's, whatever else lies or is written where it is."""

import json
import os
from types import SimpleNamespace

import pytest
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger
from tiny_training import NO_STORY, KeepingLogger, fit, lightning_warns, tiny_callback, tiny_data

import lightning_shap
from lightning_shap import ShapCallback
from lightning_shap.errors import ArgumentError
from lightning_shap.page.bundle import find_data, find_owner
from lightning_shap.page.data import PageWriter
from lightning_shap.page.run_report import RunReport

pytestmark = lightning_warns


class Service(KeepingLogger):
    """A logger with one folder for all runs, as Weights & Biases, Comet and MLflow have it."""

    def __init__(self, folder=None, name="project", version="k3x9", called=None):
        super().__init__()
        self.folder, self.called, self._name, self._version = folder, called, name, version

    save_dir = property(lambda self: self.folder)
    name = property(lambda self: self._name)
    version = property(lambda self: self._version)
    experiment = property(lambda self: SimpleNamespace(name=self.called))


def fit_reported(folder, logger=None, epochs=1, ckpt_path=None, keeper=None, **arguments):
    """A training with a report; returns its callback."""
    given = {**NO_STORY, "samples": tiny_data(2).tensors, "max_evals": 6, "report": True}
    ours = tiny_callback(**{**given, **arguments})
    torch.manual_seed(0)
    keepers = [] if keeper is None else [ModelCheckpoint(keeper, filename="{epoch}")]
    options = {"logger": logger, "max_epochs": epochs, "enable_checkpointing": bool(keepers)}
    fit(folder, ours, *keepers, ckpt_path=ckpt_path, **options)
    return ours


def page_in(text):
    """The runs of a report, and its title."""
    title = text.split("<title>")[1].split("</title>")[0]
    return json.loads(find_data(text))["runs"], title


def steps_in(path):
    (tags,) = page_in(path.read_text())[0].values()
    return [one["facts"]["step"] for one in tags["shap"]]


def reports_in(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*.html"))


def test_a_report_is_written_as_it_grows_and_whole_at_the_end(tmp_path):
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 3))
    explanation, writer = lightning_shap.explain(model, torch.rand(2, 1, 8, 8), max_evals=10), None
    writer, report, writes = PageWriter(), RunReport("shap"), []
    for step in range(60):
        page = writer.make(explanation, step=step)
        given = {"folder": str(tmp_path / "run"), "name": "a run", "numbers": {"loss": 1.0}}
        report.add(**given, tag="shap", page=page)
        writes.append((tmp_path / "run" / "shap.html").read_bytes())
    assert len(writes[0]) > 0
    assert len({*writes}) < 40
    assert len(steps_in(tmp_path / "run" / "shap.html")) > 54
    report.finish()
    runs, title = page_in((tmp_path / "run" / "shap.html").read_text())
    assert title == "SHAP · a run"
    assert len(runs["a run"]["shap"]) == 60
    assert runs["a run"]["shap"][0]["facts"]["numbers"]["loss"] == 1
    assert os.listdir(tmp_path / "run") == ["shap.html"]


def test_the_report_lies_beside_the_logs_and_is_called_as_the_run(tmp_path):
    fit_reported(
        tmp_path, TensorBoardLogger(tmp_path, name="digits"), epochs=2, metrics=["settled"]
    )
    text = (tmp_path / "digits" / "version_0" / "shap.html").read_text()
    runs, title = page_in(text)
    assert title == "SHAP · digits/version_0"
    tags = runs["digits/version_0"]
    assert {tag: len(steps) for tag, steps in tags.items()} == {"shap": 3, "shap_final": 1}
    numbers = tags["shap"][-1]["facts"]["numbers"]
    assert {"train/loss", "val/loss", "shap/seconds"} <= {*numbers}
    samples = json.loads(find_data(text))["samples"]
    assert [*samples] == [tags["shap"][-1]["facts"]["samples"]]


def test_each_run_of_a_service_has_a_report_of_its_own(tmp_path):
    for version in ("aaa", "bbb"):
        fit_reported(tmp_path, Service(str(tmp_path), version=version))
    assert reports_in(tmp_path) == ["project/aaa/shap.html", "project/bbb/shap.html"]


def test_a_service_without_a_folder_has_it_where_its_checkpoints_are(tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    fit_reported(tmp_path / "root", Service(version=7))
    assert reports_in(tmp_path) == ["root/project/version_7/shap.html"]


@pytest.mark.parametrize("arguments", [{"logger": False}, {"save_dir": "pictures"}])
def test_runs_in_one_folder_leave_one_another_alone(tmp_path, arguments):
    arguments = {name: str(tmp_path / v) if v else v for name, v in arguments.items()}
    for _ in range(3):
        fit_reported(tmp_path, **arguments)
    folder = tmp_path / "pictures" if "save_dir" in arguments else tmp_path
    names = ["shap-v1.html", "shap-v2.html", "shap.html"]
    assert reports_in(folder) == names
    assert len({find_owner((folder / name).read_text()) for name in names}) == 3


def test_runs_that_begin_at_once_in_one_folder_both_have_theirs_in_the_end(tmp_path, monkeypatch):
    monkeypatch.setattr("lightning_shap.page.run_report.is_free", lambda place: True)
    first, second = (ReportOf(tmp_path) for _ in range(2))
    first.add(0)
    second.add(0)  # at a path that it, too, has found to be free
    monkeypatch.undo()
    first.add(1)
    second.add(1)
    owners = {name: find_owner((tmp_path / name).read_text()) for name in os.listdir(tmp_path)}
    assert owners == {"shap.html": second.report.run, "shap-v1.html": first.report.run}
    assert steps_in(tmp_path / "shap.html") == steps_in(tmp_path / "shap-v1.html") == [0, 1]


class ReportOf:
    """The report of a run that is not trained."""

    def __init__(self, folder):
        model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 3))
        self.explanation = lightning_shap.explain(model, torch.rand(2, 1, 8, 8), max_evals=6)
        self.report, self.given = RunReport("shap"), {"folder": str(folder), "name": "run"}

    def add(self, step):
        page = PageWriter().make(self.explanation, step=step)
        self.report.add(**self.given, tag="shap", page=page, numbers={})
        self.report.finish()


def test_a_file_that_is_no_report_is_left_alone(tmp_path):
    (tmp_path / "shap.html").write_text("<title>of somebody else</title>")
    (tmp_path / "shap-v1.html").mkdir()
    (tmp_path / "shap-v2.html").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "shap-v3.html")
    fit_reported(tmp_path, logger=False)
    assert (tmp_path / "shap.html").read_text() == "<title>of somebody else</title>"
    assert (tmp_path / "shap-v1.html").is_dir()
    assert not (tmp_path / "nowhere").exists()
    assert find_owner((tmp_path / "shap-v4.html").read_text())


def test_a_resumed_run_never_shows_another_ones_maps_as_its_own(tmp_path, caplog):
    fit_reported(tmp_path, logger=False, keeper=tmp_path / "a")
    kept, report = tmp_path / "a" / "epoch=0.ckpt", tmp_path / "shap.html"
    fit_reported(tmp_path, logger=False, keeper=tmp_path / "b")
    assert reports_in(tmp_path) == ["shap-v1.html", "shap.html"]
    fit_reported(tmp_path, logger=False, epochs=2, ckpt_path=kept)
    assert steps_in(report) == [-1, 4, 9]
    assert reports_in(tmp_path) == ["shap-v1.html", "shap.html"]
    os.replace(tmp_path / "shap-v1.html", report)  # as a version without ids left it
    others = report.read_bytes()
    with caplog.at_level("INFO"):
        fit_reported(tmp_path, logger=False, epochs=2, ckpt_path=kept)
    assert report.read_bytes() == others
    assert steps_in(tmp_path / "shap-v1.html") == [9]
    said = [one.message for one in caplog.records if "anew" in one.message]
    assert said == [
        f"ShapCallback begins its report anew: {report} is not that of the run that is resumed"
    ]


def test_a_run_that_is_resumed_before_it_explains_still_finds_its_report(tmp_path):
    arguments = {"logger": False, "keeper": tmp_path / "kept", "every_n_epochs": 3}
    for epochs, resumed in ((3, None), (4, "epoch=2.ckpt"), (6, "epoch=3.ckpt")):
        ckpt_path = None if resumed is None else tmp_path / "kept" / resumed
        fit_reported(tmp_path, epochs=epochs, ckpt_path=ckpt_path, **arguments)
    assert steps_in(tmp_path / "shap.html") == [-1, 14, 29]


def test_logs_that_are_elsewhere_have_no_report_and_one_sentence_says_what_to_give(tmp_path):
    with pytest.warns(UserWarning, match="memory://reports/.* is no folder of this machine; give"):
        fit_reported(tmp_path, Service("memory://reports"), on_error="warn")
    fit_reported(tmp_path, Service("memory://reports"), save_dir=str(tmp_path / "here"))
    assert reports_in(tmp_path) == ["here/shap.html"]


def test_logs_at_an_address_of_this_machine_have_it_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fit_reported(tmp_path, CSVLogger(f"file://{tmp_path}/logs"))
    assert reports_in(tmp_path) == ["logs/lightning_logs/version_0/shap.html"]


def test_a_folder_of_trainings_at_such_an_address_has_it_there_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fit_reported(f"file://{tmp_path}/root", False)
    assert reports_in(tmp_path) == ["root/shap.html"]


def test_an_address_that_nothing_can_write_to_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.warns(UserWarning, match="could not log to the report: .*nosuch") as caught:
        fit_reported(tmp_path, Service("nosuch://bucket"), epochs=2, on_error="warn")
    assert len([one for one in caught if "report" in str(one.message)]) == 1
    assert os.listdir(tmp_path) == []


def test_a_folder_for_pictures_that_is_elsewhere_is_refused():
    with pytest.raises(ArgumentError, match="save_dir: got 's3://bucket/pictures'; give a folder"):
        ShapCallback(save_dir="s3://bucket/pictures")


@pytest.mark.parametrize("called", ["baseline", None])
def test_a_run_is_called_as_its_logger_calls_it(tmp_path, called):
    fit_reported(tmp_path, Service(str(tmp_path), called=called))
    text = (tmp_path / "project" / "k3x9" / "shap.html").read_text()
    assert page_in(text)[1] == f"SHAP · {called or 'project/k3x9'}"


def test_a_run_without_a_name_is_called_as_its_folder(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    fit_reported("", logger=False)
    assert page_in((tmp_path / "here" / "shap.html").read_text())[1] == "SHAP · here"
