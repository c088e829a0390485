"""Lightning has two names, ``pytorch_lightning`` and ``lightning.pytorch``: either will do."""

import ast
import subprocess
import sys
from functools import partial
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning_utilities.core import rank_zero
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tiny_training import NO_STORY, lightning_warns, same, tiny_callback, tiny_data, tiny_loaders

import lightning_shap
from lightning_shap import ShapCallback
from lightning_shap.training import lightning

pytestmark = lightning_warns

TESTS = Path(__file__).parents[1]
LIGHTNINGS = {"pytorch_lightning", "lightning", "lightning_fabric", "lightning_utilities"}


callback = partial(tiny_callback, **NO_STORY)


def test_the_callback_is_one_of_either_copy():
    for name in lightning.NAMES:
        assert issubclass(ShapCallback, import_module(name).Callback)


def test_a_trainer_takes_it_outside_of_a_list(tiny):
    ours = callback()
    quiet = {"logger": False, "enable_checkpointing": False, "accelerator": "cpu"}
    trainer = tiny.pl.Trainer(callbacks=ours, **quiet)
    assert ours in trainer.callbacks


def test_averaged_weights_best_checkpoint_and_loggers(tiny, tmp_path):
    callbacks, loggers = tiny.pl.callbacks, tiny.pl.loggers
    keeper = callbacks.ModelCheckpoint(tmp_path / "kept", monitor="val/loss")
    given = tiny_data(3).tensors
    ours = callback(samples=given, explain_checkpoint="best", explain_untrained=False)

    class Witness(tiny.pl.Callback):
        def on_fit_end(self, trainer, pl_module):
            self.best = ours.explanation.record.outputs

    seen = Witness()
    trainer = tiny.tiny_trainer(
        tmp_path,
        *(ours, seen, callbacks.EMAWeightAveraging(decay=0.5), keeper),
        logger=[loggers.TensorBoardLogger(tmp_path / "tb"), loggers.CSVLogger(tmp_path / "csv")],
        enable_checkpointing=True,
        enable_progress_bar=True,
    )
    module = tiny.TinyClassifier()
    trainer.fit(module, *tiny_loaders())

    def outputs(weights):
        twin = tiny.TinyClassifier().eval()
        twin.load_state_dict(weights)
        with torch.no_grad():
            return twin(given[0]).double().numpy()

    best = torch.load(keeper.best_model_path, weights_only=True)["state_dict"]
    np.testing.assert_allclose(seen.best, outputs(best), rtol=0, atol=1e-5)
    board, table = trainer.loggers
    board.experiment.flush()
    events = EventAccumulator(board.log_dir).Reload()
    for tag, steps in {"shap": [4, 9], "shap_final": [9], "shap_best": [9]}.items():
        assert [event.step for event in events.Images(f"{tag}/attributions")] == steps
        assert len(list((Path(table.log_dir) / tag).glob("*.png"))) == len(steps)


def test_a_resumed_run_explains_the_same(tiny, tmp_path):
    def fit(epochs, folder, ckpt_path=None):
        keeper = tiny.pl.callbacks.ModelCheckpoint(tmp_path, filename="{epoch}", save_top_k=-1)
        ours = callback(explain_untrained=False)
        trainer = tiny.tiny_trainer(
            tmp_path / folder, ours, keeper, max_epochs=epochs, enable_checkpointing=True
        )
        loaders = tiny_loaders(val=12)
        trainer.fit(tiny.TinyClassifier(), *loaders, ckpt_path=ckpt_path, weights_only=True)
        return ours.explanation

    begun = fit(1, "begun")
    resumed = fit(2, "resumed", tmp_path / "epoch=0.ckpt")
    assert same(begun.data, resumed.data)


def test_training_is_the_same_to_the_bit(tiny, tmp_path):
    def weights(*ours):
        tiny.pl.seed_everything(5, verbose=False)
        module = tiny.TinyClassifier()
        tiny.tiny_trainer(tmp_path, *ours).fit(module, *tiny_loaders())
        return dict(module.state_dict())

    assert same(weights(callback()), weights())


def test_what_it_does_not_explain_is_said_once_by_either(tiny, tmp_path):
    trainer = tiny.tiny_trainer(tmp_path, callback(on_error="warn", explain_checkpoint="best"))
    with pytest.warns(UserWarning, match="give it a ModelCheckpoint"):
        trainer.fit(tiny.TinyClassifier(), *tiny_loaders())


# Alone, broken, and in another order


def test_one_file_alone_says_where_lightning_comes_from():
    package = Path(lightning_shap.__file__).parent
    importing = set()
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            named = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                named = [node.module]
            if {name.partition(".")[0] for name in named} & LIGHTNINGS:
                importing.add(path.relative_to(package).as_posix())
    assert importing == {"training/lightning.py"}


ALONE = """
import os, sys
from importlib import import_module
name, tests, folder, *missing = sys.argv[1:]
sys.modules.update(dict.fromkeys(missing))  # as if they were not installed
sys.path.insert(0, tests)
os.environ.update(LIGHTNING_COPY=name, SLURM_JOB_NAME="bash")
import lightning_shap
from finished_model import class_folders, flags, network, weights_in
from pathlib import Path
from lightning_shap.command.main import main
from tiny_training import TinyClassifier, tiny_loaders, tiny_trainer

folder = Path(folder)
ours = lightning_shap.ShapCallback(
    n_samples=2, max_evals=6, on_error="raise", metrics=[], evolution=None
)
assert isinstance(ours, import_module(name).Callback)
trainer = tiny_trainer(folder, ours, max_epochs=1)
trainer.fit(TinyClassifier(), *tiny_loaders())
assert len(trainer.logger.pictures) == 3

model, data = weights_in(folder, network()), class_folders(folder / "data")
main(flags(model, data, "--accelerator", "cpu", "--n_samples", "all"))
assert len(lightning_shap.load(model)) == 9
assert not any(sys.modules.get(other) for other in missing)
"""


@pytest.mark.integration
@pytest.mark.parametrize(
    ("name", "missing"),
    [
        ("pytorch_lightning", ["lightning"]),
        ("lightning.pytorch", ["pytorch_lightning", "lightning_fabric"]),
    ],
)
def test_one_copy_alone_is_enough_for_callback_and_command(name, missing, tmp_path):
    command = [sys.executable, "-W", "ignore", "-c", ALONE, name, TESTS, tmp_path, *missing]
    done = subprocess.run(
        [*map(str, command)], capture_output=True, text=True, check=False, timeout=180
    )
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.fixture
def copies(tmp_path, monkeypatch):
    """Writes packages that do what Lightning's two do when they are imported, and imports them."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(lightning, "NAMES", ("first_copy", "second_copy"))
    monkeypatch.setattr(rank_zero, "log", None)
    claims = "from lightning_utilities.core import rank_zero; rank_zero.log = __name__\n"

    def found(*, host=(), broken=(), missing=()):
        for name in lightning.NAMES:
            monkeypatch.delitem(sys.modules, name, raising=False)
            if name not in missing:
                fault = "raise AttributeError('numpy has no Inf')" if name in broken else ""
                (tmp_path / f"{name}.py").write_text(claims + fault)
        for name in host:
            import_module(name)
        return [copy.__name__ for copy in lightning._import_copies()]

    yield found
    for name in lightning.NAMES:
        sys.modules.pop(name, None)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ((), ["first_copy", "second_copy"]),
        (("first_copy",), ["first_copy", "second_copy"]),
        (("second_copy",), ["second_copy", "first_copy"]),
    ],
)
def test_both_copies_are_found_and_messages_stay_with_the_one_in_use(copies, host, expected):
    assert copies(host=host) == expected
    assert rank_zero.log == expected[0]


@pytest.mark.parametrize("fault", ["broken", "missing"])
@pytest.mark.parametrize(
    ("fails", "remains"), [("first_copy", "second_copy"), ("second_copy", "first_copy")]
)
def test_a_copy_that_cannot_be_imported_does_not_cost_the_other(copies, fault, fails, remains):
    assert copies(**{fault: [fails]}) == [remains]
    assert rank_zero.log == remains


def test_without_any_copy_it_says_what_was_tried(copies):
    words = "needs Lightning.*No module named 'first_copy'.*AttributeError: numpy has no Inf"
    with pytest.raises(ImportError, match=words):
        copies(missing=["first_copy"], broken=["second_copy"])
