"""The callback from configuration files and command lines: both LightningCLIs, and Hydra."""

import re
from importlib import import_module
from typing import get_args

import hydra
import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from tiny_training import lightning_warns, tiny_data, tiny_loaders
from torch.utils.data import IterableDataset

from lightning_shap import ShapCallback
from lightning_shap.engine.methods.registry import MethodName
from lightning_shap.errors import ArgumentError

pytestmark = lightning_warns

between_jsonargparse_and_lightning = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def brightness(raw):
    """Scores that a configuration names by their import path; its annotations say nothing."""
    return raw.sum(1, keepdim=True)


@pytest.fixture
def cli(tiny, monkeypatch):
    """What a user's script with LightningCLI does with some arguments."""
    monkeypatch.setattr("sys.argv", ["fit.py"])

    def parse(*args):
        return import_module(f"{tiny.pl.__name__}.cli").LightningCLI(
            tiny.TinyClassifier,
            run=False,
            args=[str(arg) for arg in args],
            save_config_callback=None,
            seed_everything_default=False,
        )

    return parse


def callback_of(cli):
    (ours,) = [one for one in cli.trainer.callbacks if isinstance(one, ShapCallback)]
    return ours


CONFIG = """
trainer:
  accelerator: cpu
  max_epochs: 1
  logger: false
  enable_progress_bar: false
  enable_checkpointing: false
  enable_model_summary: false
  callbacks:
    {dash} class_path: lightning_shap.ShapCallback
      init_args:
        samples: [0, 5]
        max_evals: 12
        masker: {masker}
        targets: {targets}
        class_names: [left, middle, right]
        mean: [0.5]
        std: [0.25]
        module: net
        explain_checkpoint: best
        on_error: raise
        save_dir: {folder}
        time_budget: {budget}
"""


@between_jsonargparse_and_lightning
@pytest.mark.parametrize("dash", ["-", " "], ids=["in a list", "alone"])
@pytest.mark.parametrize(
    ("masker", "targets", "budget"), [("blur", "[1, 0]", "10%"), ("0.5", "2", "3.5")]
)
def test_lightning_cli_reads_every_argument_from_yaml(cli, tmp_path, masker, targets, budget, dash):
    config = tmp_path / "config.yaml"
    given = {"masker": masker, "targets": targets, "budget": budget, "folder": tmp_path}
    config.write_text(CONFIG.format(**given, dash=dash))
    read = cli("--config", config)
    ours = callback_of(read)
    assert ours.samples == [0, 5]
    assert ours.time_budget == ("10%" if budget == "10%" else 3.5)
    assert ours.question.masker == ("blur" if masker == "blur" else 0.5)
    assert ours.question.targets == ([1, 0] if targets == "[1, 0]" else 2)
    assert (ours.mean, ours.std) == ([0.5], [0.25])
    ours.explain_checkpoint = None
    read.trainer.fit(read.model, *tiny_loaders())
    assert len(ours.explanation) == 2
    assert list((tmp_path / "shap_final").glob("*.png"))


@between_jsonargparse_and_lightning
def test_lightning_cli_reads_numbers_from_the_command_line(cli):
    given = {
        "masker": "0.5",
        "time_budget": "5",
        "n_samples": "4",
        "samples": "[0, 5]",
        "method": "kernel",
        "grid": "[4, 5]",
        "targets": "2",
        "mean": "0.5",
        "std": "[0.25]",
        "class_names": "['1', '2', '3']",
        "explain_untrained": "false",
        "tag": "7",
        "output": f"{__name__}.brightness",
    }
    quiet = ["--trainer.logger=false", "--trainer.callbacks=lightning_shap.ShapCallback"]
    ours = callback_of(
        cli(*quiet, *(f"--trainer.callbacks.{name}={value}" for name, value in given.items()))
    )
    assert ours.question.masker == 0.5
    assert ours.time_budget == 5
    assert ours.n_samples == 4
    assert ours.samples == [0, 5]
    assert ours.question.grid == (4, 5)
    assert ours.question.targets == 2
    assert (ours.mean, ours.std) == (0.5, [0.25])
    assert ours.class_names == ["1", "2", "3"]
    assert ours.explain_untrained is False
    assert ours.tag == "7"
    assert ours.question.output is brightness


@between_jsonargparse_and_lightning
@pytest.mark.parametrize("choice", ["mistakes", "mixed"])
def test_what_chooses_the_samples_may_be_configured(cli, choice):
    quiet = ["--trainer.logger=false", "--trainer.callbacks=lightning_shap.ShapCallback"]
    ours = callback_of(cli(*quiet, f"--trainer.callbacks.samples={choice}"))
    assert ours.samples == choice


@between_jsonargparse_and_lightning
def test_a_count_where_rows_are_asked_for_is_answered_in_our_words(cli):
    quiet = ["--trainer.logger=false", "--trainer.callbacks=lightning_shap.ShapCallback"]
    with pytest.raises(ValueError, match=re.escape("give n_samples=5 or samples=[5]")):
        cli(*quiet, "--trainer.callbacks.samples=5")


@between_jsonargparse_and_lightning
def test_help_says_what_every_argument_may_be(cli, capsys):
    with pytest.raises(SystemExit) as end:
        cli("--trainer.callbacks.help=lightning_shap.ShapCallback")
    assert end.value.code == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "known subclasses" not in shown, "of tensors, or of data sets"
    for name, parameter in ShapCallback.__init__.__annotations__.items():
        assert name == "return" or f"--trainer.callbacks.{name} " in shown, parameter
    for may_be in (
        *get_args(MethodName),
        "blur",
        "blur(kw,kh)",
        "mean",
        "logit",
        "probability",
        "value",
    ):
        assert f'"{may_be}"' in shown
    assert " See " not in shown


def of_hydra(yaml):
    given = OmegaConf.create({"_target_": "lightning_shap.ShapCallback"})
    return hydra.utils.instantiate(OmegaConf.merge(given, OmegaConf.create(yaml)))


def test_hydra_configures_it(monkeypatch):
    monkeypatch.setenv("GRID", "4")
    ours = of_hydra(
        """
        samples: [0, 5]
        method: kernel
        grid: ["${oc.decode:${oc.env:GRID}}", 5]
        targets: [1, 0]
        masker: 0.5
        mean: [0.5]
        std: [0.25]
        class_names: ["1", "2", "3"]
        """
    )
    assert ours.samples == [0, 5]
    assert ours.question.grid == (4, 5)
    assert ours.question.targets == [1, 0]
    assert ours.question.masker == 0.5
    assert (ours.mean, ours.std) == ([0.5], [0.25])
    assert ours.class_names == ["1", "2", "3"]
    assert all(type(names) is list for names in (ours.class_names, ours.mean, ours.std))


@pytest.mark.parametrize(
    ("name", "given"),
    [
        *(
            ("targets", "2"),
            ("targets", ["1"]),
            ("channels", "1"),
            ("mean", "0.5"),
            ("std", ["0.5"]),
        ),
        *(("n_samples", "5"), ("masker", "0.5"), ("grid", "4")),
        *(("time_budget", "3.5"), ("multi_label", "true"), ("topk", "2"), ("against", "1")),
    ],
)
def test_numbers_and_switches_in_strings_are_refused_by_name(name, given):
    more = {"mean": [0.5], "std": [0.5]} if name in ("mean", "std") else {}
    method = "kernel" if name == "grid" else "partition"
    with pytest.raises(ArgumentError, match=f"{name}: .*{re.escape(repr(given))}"):
        ShapCallback(method=method, **{**more, name: given})


def test_too_many_arguments_by_position_and_unknown_names_are_refused_as_ever():
    with pytest.raises(TypeError, match="takes from 1 to 2 positional arguments but 3 were given"):
        ShapCallback(8, [0, 5])
    with pytest.raises(TypeError, match="unexpected keyword argument 'max_eval'"):
        ShapCallback(max_eval=5)


class Stream(IterableDataset):
    def __iter__(self):
        return iter(tiny_data(3))


@pytest.mark.parametrize(
    ("samples", "words"),
    [
        (5, "got 5, which may be how many or which one; give n_samples=5 or samples=[5]"),
        ("5", "got '5'; give indices of"),
        (True, "got True; give indices of the validation set such as [0, 5], a data set"),
        ("val/cat", "got 'val/cat'; give indices of"),
        ([], "got none; give indices of"),
        ([0, 1.5], "got [0, 1.5]; give indices of"),
        (["cat"], "got ['cat']; give indices of"),
        ({"indices": [0]}, "got dict; give indices of"),
        (Stream(), "got Stream; give indices of"),
    ],
)
def test_samples_of_another_kind_are_refused_with_what_would_do(samples, words):
    with pytest.raises(ArgumentError, match=re.escape(f"samples: {words}")) as refused:
        ShapCallback(samples=samples)
    assert refused.value.argument == "samples"


@pytest.mark.parametrize(
    "samples",
    [[0, 5], (0, 5), np.array([0, 5]), [np.int64(0), 5], torch.tensor([0, 5])],
    ids=repr,
)
def test_rows_may_be_named_by_any_whole_numbers(samples):
    given = ShapCallback(samples=samples).samples
    assert given == [0, 5]
    assert all(type(row) is int for row in given)


@pytest.mark.parametrize("name", ["explain_untrained", "multi_label", "progress"])
def test_a_switch_is_on_or_off_and_nothing_else(name):
    with pytest.raises(ArgumentError, match=f"{name}: got 'no'; give True or False"):
        ShapCallback(**{name: "no"})
