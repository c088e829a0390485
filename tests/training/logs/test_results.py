"""A logger's failure is its own: all else of an explanation goes on."""

import json
import os
import signal
from functools import partial
from types import SimpleNamespace

import pytest
from pytorch_lightning import Callback
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger
from pytorch_lightning.loggers.logger import Logger
from tiny_training import (
    NO_STORY,
    KeepingLogger,
    TinyClassifier,
    fit,
    hear_warnings,
    lightning_warns,
    tiny_callback,
    tiny_data,
    tiny_loaders,
    tiny_trainer,
)

import lightning_shap.training.logs.disk as logs_disk

pytestmark = lightning_warns


callback = partial(
    tiny_callback, samples=tiny_data(2).tensors, max_evals=6, on_error="warn", **NO_STORY
)


def fit_and_hear(tmp_path, *callbacks, **options):
    """A training that comes to its end, and the warnings of ours that it brought."""
    options = {"max_epochs": 3, **options}
    with hear_warnings() as words:
        assert fit(tmp_path, *callbacks, **options).current_epoch == options["max_epochs"]
    return words


class WithoutExperiment(KeepingLogger):
    """Has all methods and no ``experiment``."""

    @property
    def experiment(self):
        raise AttributeError("'WithoutExperiment' object has no attribute 'experiment'")


class Minimal(Logger):
    """What Lightning's documentation asks of a logger, and no more."""

    name, version, experiment = "minimal", 0, None

    def __init__(self):
        super().__init__()
        self.metrics = []

    def log_metrics(self, metrics, step=None):
        self.metrics.append((step, metrics))

    def log_hyperparams(self, *args, **kwargs):
        pass


class Broken(Minimal):
    """Fails with what a module that is no classifier fails with."""

    def __init__(self, times=99):
        super().__init__()
        self.times, self.tries = times, 0

    def log_metrics(self, metrics, step=None):
        if any(name.startswith("shap") for name in metrics):
            self.tries += 1
            if self.tries <= self.times:
                raise AttributeError("'NoneType' object has no attribute 'log'")
        super().log_metrics(metrics, step)


class Counting(Callback):
    """Behind ours in the list: which explanations there were."""

    def __init__(self, ours):
        self.ours, self.seen = ours, []

    def on_train_epoch_end(self, trainer, pl_module):
        self.seen.append(self.ours.explanation)


def test_a_broken_logger_is_warned_of_once_and_all_else_goes_on(tmp_path):
    broken, kept, tensorboard = Broken(), KeepingLogger(), TensorBoardLogger(tmp_path)
    ours = callback(save_dir=str(tmp_path / "pictures"))
    counting = Counting(ours)
    warned = fit_and_hear(
        tmp_path, ours, counting, logger=[broken, kept, tensorboard], max_epochs=5
    )
    assert len(warned) == 1
    assert "could not log to Broken: AttributeError: 'NoneType'" in warned[0]
    assert "module=" not in warned[0]
    assert len(kept.pictures) == len(list((tmp_path / "pictures").rglob("*.png"))) == 7
    assert len({id(explanation) for explanation in counting.seen}) == 5
    assert broken.tries == 3, "after three in a row it is left alone"


def test_a_logger_that_fails_for_a_while_goes_on_without_its_settings(tmp_path):
    class Recovers(Broken, KeepingLogger):
        pass

    for times in (1, 2):
        logger = Recovers(times)
        logger.pictures, logger.texts = {}, {}
        warned = fit_and_hear(tmp_path, callback(), logger=logger)
        assert len(warned) == 1
        assert len(logger.pictures) == 5 - times
        assert not logger.texts, "they are tried once"


def test_a_logger_that_has_no_place_for_settings_has_its_pictures(tmp_path):
    class OtherText(KeepingLogger):
        def log_text(self, words):
            raise AssertionError("not to be called so")

    logger = OtherText()
    warned = fit_and_hear(tmp_path, callback(), logger=logger)
    assert len(warned) == 1
    assert "log_text() got an unexpected keyword" in warned[0]
    assert len(logger.pictures) == 5


def test_a_new_fit_tries_a_logger_again(tmp_path):
    ours, broken = callback(), Broken()
    for fits in (1, 2):
        assert len(fit_and_hear(tmp_path, ours, logger=broken, max_epochs=4)) == 1
        assert broken.tries == 3 * fits


def test_an_experiment_is_asked_for_only_where_it_is_needed(tmp_path):
    logger = WithoutExperiment()
    assert fit_and_hear(tmp_path, callback(), logger=logger) == []
    assert len(logger.pictures) == 5
    assert logger.texts


def test_a_logger_without_pictures_has_its_numbers_and_is_warned_of_once(tmp_path):
    logger = Minimal()
    (warned,) = fit_and_hear(tmp_path, callback(), logger=logger)
    assert warned == (
        "ShapCallback found that Minimal takes numbers, but no pictures; "
        "give save_dir= to have them as files"
    )
    assert [step for step, row in logger.metrics if "shap/seconds" in row] == [-1, 4, 9, 14]


def test_loggers_of_one_class_are_kept_apart(tmp_path):
    warned = fit_and_hear(tmp_path, callback(), logger=[Broken(), KeepingLogger(), Broken()])
    assert ["Broken (loggers[0])" in warned[0], "Broken (loggers[2])" in warned[1]] == [True, True]
    assert len(warned) == 2


def test_on_error_raise_raises_a_loggers_error_once_all_others_have_theirs(tmp_path):
    kept, ours = KeepingLogger(), callback(on_error="raise")
    trainer = tiny_trainer(tmp_path, ours, logger=[Broken(), kept])
    with pytest.raises(AttributeError, match="no attribute 'log'") as caught:
        trainer.fit(TinyClassifier(), *tiny_loaders())
    assert caught.value.__notes__ == ["ShapCallback was logging to Broken"]
    assert list(kept.pictures) == [("shap/attributions", -1)]
    assert ours.explanation is not None


class DeadlineError(Exception):
    """A user's."""


def test_what_a_signal_raises_while_logging_is_the_trainings(tmp_path):
    def handler(number, frame):
        raise DeadlineError

    class Slow(KeepingLogger):
        def log_image(self, key, images, step=None):
            os.kill(os.getpid(), signal.SIGUSR2)

    previous = signal.signal(signal.SIGUSR2, handler)
    try:
        trainer = tiny_trainer(tmp_path, callback(), logger=Slow())
        with pytest.raises(DeadlineError):
            trainer.fit(TinyClassifier(), *tiny_loaders())
    finally:
        signal.signal(signal.SIGUSR2, previous)


def test_nobody_to_explain_for_is_said_once(tmp_path):
    ours = callback()
    (warned,) = fit_and_hear(tmp_path, ours, logger=False)
    assert warned == (
        "ShapCallback logs nothing: the Trainer has no logger. Give it one, or the "
        "callback save_dir=, unless another callback uses ShapCallback.explanation"
    )
    assert ours.explanation is not None
    assert fit_and_hear(tmp_path, callback(save_dir=str(tmp_path / "pictures")), logger=False) == []


def test_a_trial_run_is_no_cause_for_a_warning(tmp_path, caplog):
    with caplog.at_level("INFO"):
        assert fit_and_hear(tmp_path, callback(), fast_dev_run=True, max_epochs=1) == []
    logged = [record.message for record in caplog.records if "ShapCallback" in record.message]
    assert len(logged) == 1
    assert "keeps no logs of a trial run" in logged[0]


def test_a_csv_logger_has_settings_and_pictures_beside_its_numbers(tmp_path):
    logger = CSVLogger(tmp_path)
    fit_and_hear(tmp_path, callback(max_evals=8), logger=logger, max_epochs=1)
    folder = tmp_path / "lightning_logs" / "version_0"
    settings = json.loads((folder / "shap" / "settings.json").read_text())
    assert (settings["max_evals"], settings["method"]) == (8, "partition")
    pictures = sorted(path.name for path in (folder / "shap").glob("*.png"))
    assert pictures == ["attributions-step=-1.png", "attributions-step=4.png"]


def test_a_logger_that_writes_elsewhere_leaves_no_folder_of_that_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    warned = fit_and_hear(tmp_path, callback(), logger=CSVLogger("memory://bucket"))
    assert "CSVLogger has no folder on this machine for pictures" in warned[0]
    assert not (tmp_path / "memory:").exists()


def test_a_disk_that_is_all_but_full_is_left_to_the_training(tmp_path, monkeypatch):
    """Until there is room again, each place is left alone by itself, with one message."""
    looks = []

    def disk_usage(path):
        looks.append(path)
        return SimpleNamespace(free=10**5 if len(looks) < 4 else 10**9)

    monkeypatch.setattr(logs_disk.shutil, "disk_usage", disk_usage)
    ours = callback(save_dir=str(tmp_path / "pictures"))
    warned = fit_and_hear(tmp_path, ours, max_epochs=5)
    assert warned == [
        "ShapCallback writes nothing to save_dir: its disk has 97 KiB left, and the last 32 MiB "
        "are the training's; it writes again when there is more room"
    ]
    assert len(list((tmp_path / "pictures").rglob("*.png"))) == 4
