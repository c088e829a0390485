"""A checkpoint says what is needed to explain it as it was trained, and what it lacks is noted."""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from finished_model import ARCHITECTURE, CLASSES, class_folders, load_model, network
from hypothesis import given
from hypothesis import strategies as st
from torchvision import datasets, transforms

import lightning_shap
from lightning_shap.command.main import main
from lightning_shap.command.model.description import Description, describe_checkpoint
from lightning_shap.command.model.find import find_weights

MEAN, STD, SIDE = [0.3, 0.4, 0.5], [0.2, 0.21, 0.22], 24
EVALUATION = transforms.Compose(
    [
        transforms.Resize(28),
        transforms.CenterCrop(SIDE),
        transforms.ToTensor(),
        transforms.Normalize(MEAN, STD),
    ]
)

MODULE = '''
"""A classifier."""

import pytorch_lightning as pl
import timm

NAMES = ["a"]


class LitModel(pl.LightningModule):
    def __init__(self, backbone, classes, pretrained=True, cache_dir=None, scale=1.0):
        super().__init__()
        if pretrained or cache_dir is not None:
            raise ValueError("weights would be fetched")
        self.scale = scale
        self.net = timm.create_model(backbone, num_classes=classes)

    def forward(self, images):
        return self.scale * self.net(images)
'''


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Train nothing, save a checkpoint as the callback would, and explain it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    images = class_folders(tmp_path / "photos", each=2)
    dataset = datasets.ImageFolder(str(images), EVALUATION)
    rows = [0, 2, 4]
    model = network()
    card = {
        "architecture": ARCHITECTURE,
        "module_class": "litmodel_here.LitModel",
        "module": "net",
        "class_names": dataset.classes,
        "mean": MEAN,
        "std": STD,
        "input_size": [3, SIDE, SIDE],
        "crop_pct": SIDE / 28,
        "interpolation": "bilinear",
        "transform": repr(EVALUATION),
        "dataset": str(images),
        "files": [dataset.samples[row][0] for row in rows],
        "labels": [dataset.samples[row][1] for row in rows],
    }
    hyper_parameters = {
        "backbone": ARCHITECTURE,
        "classes": 3,
        "pretrained": True,
        "cache_dir": str(tmp_path / "cache"),
        "scale": 2.0,
    }

    def command(*more, card=card, hyper_parameters=hyper_parameters, samples=None, **others):
        content = {
            "state_dict": {f"net.{name}": value for name, value in model.state_dict().items()},
            "callbacks": {},
            "hyper_parameters": hyper_parameters,
            **others,
        }
        if card is not None:
            samples = {"indices": rows, "digest": 0} if samples is None else samples
            state = {"version": 2, "samples": samples, "classifier": card}
            content["callbacks"] = {"ShapCallback{'tag': 'shap'}": state}
        torch.save(content, tmp_path / "run.ckpt")
        quick = ["--max_evals", "6", "--topk", "1", "--no-progress"]
        main([str(tmp_path / "run.ckpt"), *quick, *map(str, more)])
        explanation = lightning_shap.load(tmp_path)
        report = json.loads((tmp_path / "explanation.json").read_text(encoding="utf-8"))
        return explanation, report, capsys.readouterr().err

    command.card, command.model, command.folder = card, model, tmp_path
    command.images = torch.stack([dataset[row][0] for row in rows])
    command.hyper_parameters = hyper_parameters
    return command


def gives(explanation, outputs):
    """The same outputs, as far as a channels-last copy of the model gives them."""
    found = torch.from_numpy(explanation.record.outputs).float()
    return torch.allclose(found, outputs, rtol=0, atol=5e-7 * float(outputs.abs().max()))


# --- what the callback knows ---------------------------------------------------------------------


def test_a_checkpoint_alone_is_explained_as_it_was_trained(run):
    explanation, report, stderr = run()
    assert torch.equal(torch.from_numpy(explanation.data).movedim(-1, 1), run.images)
    with torch.no_grad():
        assert gives(explanation, run.model(run.images))
    assert explanation.record.labels.tolist() == [0, 1, 2]
    assert explanation.record.class_names.tolist() == CLASSES
    assert [image["file"] for image in report["images"]] == run.card["files"]
    assert report["guessed"] == []
    assert stderr == ""


def test_samples_that_are_gone_are_noted(run):
    Path(run.card["files"][0]).unlink()
    explanation, report, stderr = run()
    assert len(explanation) == 2
    assert explanation.record.labels.tolist() == [1, 2]
    assert "1 of the 3 samples of the training are gone" in stderr
    assert report["skipped"] == {}


def test_more_samples_come_from_the_folder_of_the_training(run):
    explanation, report, _ = run("--n_samples", "6")
    assert len(explanation) == 6
    assert report["dataset"] == run.card["dataset"]
    assert report["accuracy"] is not None


def test_a_data_set_that_is_given_comes_first(run):
    others = class_folders(run.folder / "others", each=1)
    _, report, _ = run("--dataset", others)
    assert report["dataset"] == str(others)
    assert len(report["images"]) == 3


def test_without_images_the_command_says_what_to_give(run, capsys):
    for card in (None, {**run.card, "files": ["/nowhere.png"], "dataset": "/nowhere"}):
        with pytest.raises(SystemExit) as end:
            run(card=card)
        assert end.value.code == 2
        assert "give --dataset" in capsys.readouterr().err


def test_flags_know_better_than_the_checkpoint(run):
    explanation, report, _ = run(
        *["--crop_size", 16, "--mean", 0.5, "--std", 0.25, "--class_names", "a", "b", "c"]
    )
    assert explanation.shape[1:4] == (16, 16, 3)
    assert (report["model"]["mean"], report["model"]["std"]) == ([0.5] * 3, [0.25] * 3)
    assert explanation.record.class_names.tolist() == ["a", "b", "c"]


def test_of_two_networks_the_one_that_is_named_is_explained(run):
    teacher = {f"ema.{name}": 0 * value for name, value in run.model.state_dict().items()}
    state = {f"net.{name}": value for name, value in run.model.state_dict().items()}
    explanation, report, stderr = run(state_dict={**teacher, **state})
    with torch.no_grad():
        assert gives(explanation, run.model(run.images))
    assert "below 'state_dict.net.'" in report["model"]["source"]
    assert "not that below 'state_dict.ema.'; --module ema takes the other" in stderr
    explanation, *_ = run("--module", "ema", state_dict={**teacher, **state})
    assert not np.any(explanation.record.outputs)


@pytest.mark.parametrize(
    ("transform", "mode", "share"),
    [
        ("Compose(\n  Resize(size=(24, 24), interpolation=bilinear)\n)", "squash", None),
        ("Compose(\n  Resize(size=[24, 24], interpolation=bilinear)\n)", "squash", None),
        ("Compose(\n  Resize(size=24, interpolation=bilinear)\n)", None, None),
        ("ToTensor()", None, 1.0),  # images came as large as the model took them
    ],
)
def test_how_images_were_resized_is_read_from_the_transform(transform, mode, share):
    description = _described({"transform": transform})
    assert description.crop_mode == mode
    assert description.crop_pct == share


def _described(card):
    return describe_checkpoint({"callbacks": {"ShapCallback{'tag': 'x'}": {"classifier": card}}})


# --- what has to be guessed ----------------------------------------------------------------------

nothing = {"card": None, "hyper_parameters": {"backbone": ARCHITECTURE}}


def test_what_is_guessed_is_noted_and_stays_with_the_results(run, monkeypatch):
    notes = []

    def plot(*args, **kwargs):
        notes.extend(kwargs["notes"])
        return lightning_shap.plot(*args, **kwargs)

    monkeypatch.setattr("lightning_shap.command.results.plot", plot)
    _, report, stderr = run("--dataset", run.card["dataset"], **nothing)
    names = [guess.partition(":")[0] for guess in report["guessed"]]
    assert names == ["size", "crop", "mean, std", "order of classes"]
    assert f"timm's {ARCHITECTURE}" in stderr
    assert "--crop_size, --mean and --std, --class_names in its order" in stderr
    assert notes == ["guessed: size, crop, mean, std, order of classes"]


def test_the_note_comes_before_the_run(run, monkeypatch, capsys):
    printed = []

    def explain(*args, **kwargs):
        printed.append(capsys.readouterr().err)
        raise KeyboardInterrupt

    monkeypatch.setattr("lightning_shap.command.job.answer", explain)
    with pytest.raises(SystemExit) as end:
        run("--dataset", run.card["dataset"], **nothing)
    assert end.value.code == 130
    assert "guessed" in printed[0]


def test_hyper_parameters_of_plain_lightning_checkpoints_are_read(run):
    module = {"backbone": ARCHITECTURE, "mean": MEAN, "std": torch.tensor(STD)}
    data = {"img_size": SIDE, "crop_pct": SIDE / 28, "interpolation": "bilinear"}
    _, report, _ = run(
        *["--dataset", run.card["dataset"]],
        card=None,
        hyper_parameters=module,
        datamodule_hyper_parameters=data,
    )
    assert report["guessed"] == [f"order of classes: that of the folders ({', '.join(CLASSES)})"]
    assert report["model"]["size"] == [SIDE, SIDE]
    assert report["model"]["std"] == pytest.approx(STD)


def test_what_the_user_told_the_callback_holds_for_the_command(run):
    card = {**run.card, "returns": "log-probabilities", "multi_label": True}
    _, report, _ = run(card=card)
    assert report["settings"]["explanation"]["returns"] == "log-probabilities"
    assert report["settings"]["explanation"]["multi_label"] is True
    _, report, _ = run("--returns", "logits", card=card)
    assert report["settings"]["explanation"]["returns"] == "logits"


@pytest.mark.parametrize(
    ("settings", "as_timm"),
    [
        ({"class_map": ""}, True),
        ({"class_map": "", "dataset": ""}, True),
        ({"class_map": "classes.txt"}, False),
        ({"class_map": "", "dataset": "torch/image_folder"}, False),
    ],
)
def test_timms_own_training_script_numbers_folders_as_timm_does(run, settings, as_timm):
    for name in ("Zebra", "apple", "bee"):
        class_folders(run.folder / "animals", [name], each=1)
    arguments = argparse.Namespace(model=ARCHITECTURE, mean=MEAN, std=STD, **settings)
    explanation, report, _ = run(
        *["--dataset", run.folder / "animals"],
        **{"card": None, "hyper_parameters": {}, "args": arguments, "arch": ARCHITECTURE},
    )
    names = explanation.record.class_names.tolist()
    assert names == (["apple", "bee", "Zebra"] if as_timm else ["Zebra", "apple", "bee"])
    guessed = any(guess.startswith("order of classes") for guess in report["guessed"])
    assert guessed != as_timm


def test_the_folder_in_plain_hyper_parameters_is_explained(run):
    data = {"data_dir": run.card["dataset"]}
    _, report, _ = run(card=None, datamodule_hyper_parameters=data)
    assert report["dataset"] == run.card["dataset"]


def test_a_file_may_not_name_a_data_set_of_the_web(run, capsys):
    with pytest.raises(SystemExit) as end:
        run(card=None, datamodule_hyper_parameters={"dataset": "some/pets"})
    assert end.value.code == 2
    assert "give --dataset" in capsys.readouterr().err


# --- the class -----------------------------------------------------------------------------------


def whole(run, module="litmodel_here", **more):
    """The card of a LightningModule that is the classifier itself."""
    return {**run.card, "module_class": f"{module}.LitModel", "module": None, **more}


@pytest.mark.parametrize("path", ["litmodel_here.LitModel", "os.path", "no_such.LitModel", ".."])
def test_no_code_is_imported_on_a_files_word(run, path, monkeypatch):
    (run.folder / "litmodel_here.py").write_text(MODULE)
    monkeypatch.setattr(
        "lightning_shap.command.model.load.import_builder",
        lambda path: pytest.fail(f"imports {path}"),
    )
    explanation, report, stderr = run(card={**whole(run), "module_class": path})
    with torch.no_grad():  # the network inside it, without the rest of its forward
        assert gives(explanation, run.model(run.images))
    assert report["guessed"][0].startswith("forward: ")
    assert f"--model_class {path} runs its own" in stderr
    assert "litmodel_here" not in sys.modules


def test_a_class_that_the_user_names_runs_its_own_forward(run):
    (run.folder / "litmodel_named.py").write_text(MODULE)
    card = whole(run, "litmodel_named")
    explanation, report, _ = run("--model_class", "litmodel_named.LitModel", card=card)
    with torch.no_grad():
        assert gives(explanation, 2 * run.model(run.images))
    assert report["guessed"] == []
    assert not (run.folder / "cache").exists()


def test_without_a_network_of_timms_the_command_says_which_class_to_give(run, capsys):
    card = whole(run, architecture=None)
    with pytest.raises(SystemExit) as end:
        run(card=card, hyper_parameters={})
    assert end.value.code == 2
    assert "give --model_class litmodel_here.LitModel" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "value", "given"),
    [
        ("pretrained", True, False),
        ("backbone_pretrained", True, False),
        ("weights", "IMAGENET1K_V1", None),
        ("checkpoint_path", "x.pth", None),
        ("width", 3, 3),
        ("widths", [3, 4], [3, 4]),
        ("layer", "relu", "relu"),
        ("nested", {"a": 1}, {"a": 1}),
    ],
)
def test_hyper_parameters_build_a_class_and_fetch_nothing(name, value, given):
    assert _built(name, value).given[name] == given


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("cache_dir", "cache"),
        ("data_root", "data"),
        ("backbone", "hf-hub:timm/x"),
        ("model_id", "http://127.0.0.1/x"),
        ("x", "../../x"),
        ("x", {"url": "x"}),
        ("x", ["a/b"]),
        ("x", object()),
    ],
)
def test_hyper_parameters_name_no_places(name, value):
    assert name not in _built(name, value).given
    assert _built(name, value, trusted=True).given[name] == value


def _built(name, value, **kwargs):
    from lightning_shap.command.model.checkpoints import Checkpoint
    from lightning_shap.command.model.custom_class import build_own

    class Own(torch.nn.Module):
        def __init__(self, **given):
            super().__init__()
            self.given = given

    return build_own(Own, Checkpoint(Path("x"), {}, {name: value}), **kwargs)


# --- Lightning's own folders ---------------------------------------------------------------------


@pytest.fixture
def training(tmp_path):
    """Checkpoints of a real training, some of them better than others."""

    class Training(pl.LightningModule):
        def __init__(self):
            super().__init__()
            self.net = torch.nn.Linear(4, 2)

        def training_step(self, batch, index):
            return self.net(batch).square().mean()

        def validation_step(self, batch, index):
            self.log("score", [0.0, 0.2, 0.9, 0.1][self.trainer.current_epoch])

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), 0.1)

    def fit(**saved):
        loader = torch.utils.data.DataLoader(torch.rand(4, 4), 4)
        pl.Trainer(
            max_epochs=4,
            default_root_dir=str(tmp_path),
            logger=pl.loggers.CSVLogger(str(tmp_path)),
            callbacks=[pl.callbacks.ModelCheckpoint(**saved)],
            accelerator="cpu",
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            log_every_n_steps=1,
        ).fit(Training(), loader, loader)
        return tmp_path

    return fit


def test_the_best_checkpoint_of_a_training_is_taken(training):
    folder = training(monitor="score", mode="max", save_top_k=3)
    for place in (folder, folder / "lightning_logs", folder / "lightning_logs" / "version_0"):
        found = find_weights(place)
        assert found.path.name == "epoch=2-step=3.ckpt"
        assert found.note == "the best of 3 checkpoints by score"


def test_without_a_best_one_the_last_is_taken(training):
    found = find_weights(training(save_top_k=-1) / "lightning_logs" / "version_0")
    assert found.path.name == "epoch=3-step=4.ckpt"
    assert found.note == "the last of 4 checkpoints"


def test_of_several_versions_the_last_is_taken(training):
    for _ in range(3):
        folder = training()
    versions = folder / "lightning_logs"
    assert "version_2" in str(find_weights(folder).path)
    (versions / "version_1").rename(versions / "version_10")
    assert "version_10" in str(find_weights(folder).path)


# --- whatever a file says ------------------------------------------------------------------------

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=10)
    | st.binary(max_size=4)
    | st.sampled_from([torch.ones(3), torch.tensor(2), torch.zeros(1, 3, 4, 4), np.ones(2)]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=8,
)
names = st.sampled_from([*Description.__dataclass_fields__, "input_size", "img_size", "data_dir"])


@given(st.dictionaries(names, values), st.dictionaries(names, values), values)
def test_a_description_is_made_of_checked_values_whatever_a_file_says(card, settings, samples):
    description = describe_checkpoint(
        {
            "callbacks": {"ShapCallback{'tag': 'a'}": {"classifier": card, "samples": samples}},
            "hyper_parameters": settings,
            "arch": samples,
        }
    )
    assert description.architecture is None or isinstance(description.architecture, str)
    assert description.size is None or all(1 <= side <= 4096 for side in description.size)
    assert description.mean is None or np.isfinite(description.mean).all()
    assert description.std is None or min(description.std) > 0
    assert description.crop_pct is None or 0 < description.crop_pct <= 1
    for text in (description.class_names or [])[:5]:
        assert text.isprintable()


def test_the_description_is_of_the_pickle_too(tmp_path):
    path = tmp_path / ARCHITECTURE / "x.ckpt"
    path.parent.mkdir()
    torch.save({"state_dict": network().state_dict(), "hyper_parameters": {"mean": 0.5}}, path)
    assert load_model(path).description.mean == (0.5,)
