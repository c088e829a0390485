"""The real clients of other loggers, offline: what they wrote is read back from where it lies.

They are an optional extra, ``pip install -e ".[test,loggers]"``, and skipped without it.
"""

import io
import json
import signal
import struct
import zipfile

import numpy as np
import pytest
from lightning_platform import Platform
from PIL import Image
from tiny_training import TinyClassifier, lightning_warns, tiny_data, tiny_loaders, tiny_trainer

from lightning_shap import ShapCallback

pytestmark = [
    pytest.mark.draws,
    *lightning_warns,
    pytest.mark.loggers,
    # The clients' own, on a Python and on libraries that are newer than they are.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

TITLES = ["before training", "epoch 0 · step 4", "epoch 1 · step 9"]


@pytest.fixture
def fit(tmp_path, monkeypatch):
    """Trains for two epochs with a logger; the pictures, as they are below ``save_dir``."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    # What clients report of themselves to their makers, they need a network for.
    monkeypatch.setenv("COMET_ERROR_TRACKING_ENABLE", "0")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")

    def train(logger, other_tag=None):
        given = {"samples": tiny_data(2).tensors, "max_evals": 6, "on_error": "raise"}
        ours = [ShapCallback(save_dir="pictures", report=True, **given)]
        if other_tag is not None:
            ours.append(ShapCallback(tag=other_tag, every_n_epochs=0, **given))
        trainer = tiny_trainer(tmp_path, *ours, logger=logger)
        trainer.fit(TinyClassifier(), *tiny_loaders())
        return [pixels(f"pictures/shap/attributions-step={step}.png") for step in (-1, 4, 9)]

    return train


def pixels(file):
    with Image.open(file) as picture:
        return np.asarray(picture.convert("RGB"))


def equal(pictures, others):
    return len(pictures) == len(others) and all(map(np.array_equal, pictures, others))


def is_report(content):
    """Compares with the report beside the pictures."""
    with open("pictures/shap.html", "rb") as file:
        return content == file.read()


def records(content):
    """The records of a W&B file, which are laid out as in LevelDB's log."""
    block, at, begun = 32768, 7, b""  # behind a header
    while at + 7 <= len(content):
        if block - at % block < 7:
            at += block - at % block
        length, kind = struct.unpack("<HB", content[at + 4 : at + 7])
        begun += content[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last of several
            yield begun
            begun = b""


def test_weights_and_biases(fit, tmp_path):
    wandb = pytest.importorskip("wandb")
    from pytorch_lightning.loggers import WandbLogger
    from wandb.proto.wandb_internal_pb2 import Record

    pictures = fit(WandbLogger(offline=True, save_dir=str(tmp_path)))
    wandb.finish()
    wandb.teardown()  # its service writes the last of the file when it ends
    (folder,) = tmp_path.glob("wandb/offline-run-*")
    (file,) = folder.glob("*.wandb")
    rows, config = [], {}
    for record in map(Record.FromString, records(file.read_bytes())):
        if record.history.item:
            items = record.history.item
            rows.append({"/".join(one.nested_key): json.loads(one.value_json) for one in items})
        config.update({one.key: json.loads(one.value_json) for one in record.config.update})

    steps = [row["trainer/global_step"] for row in rows]
    assert steps == sorted(steps)
    captions, files = "shap/attributions/captions", "shap/attributions/filenames"
    ours = [row for row in rows if captions in row]
    assert [(row["trainer/global_step"], row["epoch"]) for row in ours] == [(-1, 0), (4, 0), (9, 1)]
    assert all(row["shap/seconds"] > 0 for row in ours)
    assert [row[captions] for row in ours] == [[title] for title in TITLES]
    assert equal([pixels(folder / "files" / row[files][0]) for row in ours], pictures)
    assert config["shap"]["max_evals"] == 6
    assert config["shap"]["method"] == "partition"
    assert not list(folder.rglob("*.table.json"))
    final = [row for row in rows if "shap_final/seconds" in row]
    assert [(row["trainer/global_step"], row["epoch"]) for row in final] == [(9, 1)]
    (page,) = (folder / "files").rglob("*.html")
    assert "shap/report" in str(page)
    assert is_report(page.read_bytes())


def test_weights_and_biases_keeps_the_alert_of_a_watched_place(tmp_path, monkeypatch):
    wandb = pytest.importorskip("wandb")
    from pytorch_lightning.loggers import WandbLogger
    from wandb.proto.wandb_internal_pb2 import Record

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
    watching = ShapCallback(watch=[[0, 0, 8, 8]], watch_limit=0.5, max_evals=6, n_samples=6)
    trainer = tiny_trainer(
        tmp_path, watching, logger=WandbLogger(offline=True, save_dir=str(tmp_path)), max_epochs=1
    )
    with pytest.warns(UserWarning, match="box 0, 0, 8, 8 decides 100 %"):
        trainer.fit(TinyClassifier(), *tiny_loaders())
    wandb.finish()
    wandb.teardown()
    (file,) = tmp_path.glob("wandb/offline-run-*/*.wandb")
    found = [one.alert for one in map(Record.FromString, records(file.read_bytes()))]
    alerts = [one for one in found if one.title]
    assert [one.title for one in alerts] == ["shap/watch"]
    assert "box 0, 0, 8, 8 decides 100 % of what tells the samples' classes apart" in alerts[0].text


@pytest.mark.filterwarnings("ignore:MLFlow only allows")  # Lightning's, of names of numbers
def test_mlflow(fit, tmp_path):
    mlflow = pytest.importorskip("mlflow")
    from pytorch_lightning.loggers import MLFlowLogger

    logger = MLFlowLogger(
        tracking_uri=f"sqlite:///{tmp_path}/mlflow.db", artifact_location=str(tmp_path / "kept")
    )
    pictures = fit(logger, other_tag="größe: 2")
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    seconds = client.get_metric_history(logger.run_id, "shap/seconds")
    assert [metric.step for metric in seconds] == [-1, 4, 9]
    folder = tmp_path / "kept" / logger.run_id / "artifacts"
    found = sorted(
        (int(path.name.split("+step+")[1].split("+")[0]), path)
        for path in (folder / "images").glob("shap~attributions+*.png")
    )
    assert [step for step, _ in found] == [-1, 4, 9]
    assert equal([pixels(path) for _, path in found], pictures)
    assert "| max_evals | 6 |" in (folder / "shap/settings.md").read_text()
    assert is_report((folder / "shap/shap.html").read_bytes())
    assert len(list((folder / "images").glob("gr__e_ 2~attributions+*.png"))) == 1


def test_comet(fit, tmp_path, monkeypatch):
    pytest.importorskip("comet_ml")
    from pytorch_lightning.loggers import CometLogger

    monkeypatch.setenv("COMET_START_ONLINE", "0")  # online=False would disable the experiment
    monkeypatch.setenv("COMET_LOGGING_CONSOLE", "ERROR")
    logger = CometLogger(project="shap", offline_directory=str(tmp_path / "comet"))
    pictures = fit(logger)
    logger.experiment.end()
    (file,) = (tmp_path / "comet").glob("*.zip")
    with zipfile.ZipFile(file) as archive:
        lines = archive.read("messages.json").decode().splitlines()
        messages = [json.loads(line) for line in lines]
        uploads = [one["payload"] for one in messages if one["type"] == "file_upload"]
        found = [
            (upload["additional_params"], upload["metadata"], archive.read(upload["file_path"]))
            for upload in uploads
        ]
    ours = [one for one in found if one[0].get("figName") == "shap/attributions"]
    named = [(about["step"], named["title"], named["epoch"]) for about, named, _ in ours]
    assert named == list(zip((0, 4, 9), TITLES, (0, 0, 1), strict=True))
    assert equal([pixels(io.BytesIO(content)) for *_, content in ours], pictures)
    (settings,) = [content for _, named, content in found if named.get("name") == "shap/settings"]
    assert "| max_evals | 6 |" in settings.decode()
    (page,) = [
        content for about, _, content in found if about.get("fileName") == "shap/report.html"
    ]
    assert is_report(page)


@pytest.fixture
def signals():
    """``litlogger`` takes the signals of the process for itself."""
    kept = {one: signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGINT)}
    yield
    for one, handler in kept.items():
        signal.signal(one, handler)


@pytest.mark.usefixtures("signals")
@pytest.mark.filterwarnings("ignore:LitLogger does not support `log_graph`")
def test_litlogger(fit, tmp_path, monkeypatch):
    loggers = pytest.importorskip("pytorch_lightning.loggers")
    if not hasattr(loggers, "LitLogger"):
        pytest.skip("this Lightning has no LitLogger yet")
    with Platform() as platform:
        monkeypatch.setenv("LIGHTNING_CLOUD_URL", platform.address)  # is read by the import
        monkeypatch.setenv("LIGHTNING_USER_ID", "user")
        monkeypatch.setenv("LIGHTNING_API_KEY", "key")
        pytest.importorskip("litlogger")
        logger = loggers.LitLogger(
            str(tmp_path / "lit"), name="run", teamspace="owner/space", save_logs=False
        )
        pictures = fit(logger)
    media = [(one["name"], one.get("step")) for one in platform.media]
    assert media == [
        ("shap/attributions", 0),
        ("shap/settings", None),
        ("shap/attributions", 4),
        ("shap/attributions", 9),
        ("shap_final/attributions", 9),
        ("shap/evolution", 9),
        ("shap/summary", None),
    ]
    first, settings, *rest = [one["bytes"] for one in platform.media]
    assert equal([pixels(io.BytesIO(content)) for content in (first, *rest[:2])], pictures)
    assert "| max_evals | 6 |" in settings.decode()
    assert [step for step, _ in platform.values["shap/seconds"]] == [0, 4, 9]
    assert [step for step, _ in platform.values["shap_final/seconds"]] == [9]
    (page,) = [path for path in platform.files if path.endswith("/shap/report.html")]
    assert is_report(platform.files[page])
