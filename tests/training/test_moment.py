"""Explanations stand where Lightning logs its own epoch-end metrics, and no row runs backwards."""

import csv
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from pytorch_lightning.callbacks import LearningRateMonitor, ModelCheckpoint
from pytorch_lightning.loggers import CSVLogger
from tiny_training import (
    NO_STORY,
    KeepingLogger,
    TinyClassifier,
    fit,
    lightning_warns,
    tiny_callback,
    tiny_data,
    tiny_loaders,
    tiny_trainer,
)

from lightning_shap.training.moment import Moment

pytestmark = lightning_warns


class Measured(TinyClassifier):
    """Logs by the step and by the epoch, in training and in validation."""

    def training_step(self, batch, batch_idx):
        loss = super().training_step(batch, batch_idx)
        self.log("own/epoch_end", loss.detach(), on_step=False, on_epoch=True)
        return loss


class TwoOptimizers(Measured):
    """Steps two optimizers by hand for each batch, the second one only for every other."""

    def __init__(self):
        super().__init__()
        self.automatic_optimization = False

    def training_step(self, batch, batch_idx):
        loss = super().training_step(batch, batch_idx)
        first, second = self.optimizers()
        first.zero_grad()
        second.zero_grad()
        self.manual_backward(loss)
        first.step()
        if batch_idx % 2 == 0:
            second.step()

    def configure_optimizers(self):
        return [torch.optim.SGD(part.parameters(), lr=0.01) for part in (self.net[0], self.net[5])]


class NeverSteps(Measured):
    """Steps by hand, and never does."""

    def __init__(self):
        super().__init__()
        self.automatic_optimization = False


# Module, arguments of the trainer, rows of training data in batches of four.
SITUATIONS = {
    "automatic": (Measured, {}, 20),
    "no sanity check": (Measured, {"num_sanity_val_steps": 0}, 20),
    "two optimizers by hand": (TwoOptimizers, {}, 20),
    "no step by hand": (NeverSteps, {}, 20),
    "accumulated, the last batch left over": (Measured, {"accumulate_grad_batches": 2}, 20),
    "accumulated over an epoch": (Measured, {"accumulate_grad_batches": 5}, 20),
    "epochs of one batch": (Measured, {}, 4),
    "validated twice an epoch": (Measured, {"val_check_interval": 0.5}, 24),
    "seldom logged": (Measured, {"log_every_n_steps": 3}, 20),
    "stopped in mid-epoch": (Measured, {"max_steps": 7, "max_epochs": -1}, 20),
}


callback = partial(tiny_callback, samples=tiny_data(2).tensors, max_evals=6, **NO_STORY)


@pytest.fixture(scope="module", params=SITUATIONS)
def loggers(request, tmp_path_factory):
    """Both loggers of a training, one that keeps and one that writes what it is given."""
    kind, options, rows = SITUATIONS[request.param]
    folder = tmp_path_factory.mktemp("moment")
    loggers = KeepingLogger(), CSVLogger(folder)
    options = {"max_epochs": 3, "logger": loggers, "loaders": tiny_loaders(rows), **options}
    fit(folder, LearningRateMonitor("step"), callback(), module=kind(), **options)
    return loggers


def test_explanations_stand_beside_lightnings_own_epoch_end_metrics(loggers):
    logged = [(metrics, step) for step, metrics in loggers[0].metrics]

    def places(name):
        return [(row["epoch"], step) for row, step in logged if name in row]

    own = places("own/epoch_end")
    assert places("shap/seconds") == [(0, -1), *own]
    assert places("shap_final/seconds") == own[-1:]
    pictures = [step for key, step in loggers[0].pictures if key == "shap/attributions"]
    assert pictures == [-1, *(step for _, step in own)]


def test_rows_never_run_backwards(loggers):
    with open(f"{loggers[1].log_dir}/metrics.csv") as file:
        table = list(csv.DictReader(file))
    steps = [int(row["step"]) for row in table]
    assert steps == sorted(steps)
    ours = [row for row in table if row["shap/seconds"] or row["shap_final/seconds"]]
    assert len(ours) >= 3
    assert all(row["epoch"] for row in ours)


def test_a_resumed_run_goes_on_with_the_steps_of_one_that_never_stopped(tmp_path):
    def train(folder, epochs, **options):
        keeper = ModelCheckpoint(folder, filename="{epoch}", save_top_k=-1)
        options = {"max_epochs": epochs, "enable_checkpointing": True, **options}
        trainer = fit(folder, callback(), keeper, module=TwoOptimizers(), **options)
        rows = trainer.logger.metrics
        return [(step, row["epoch"]) for step, row in rows if "shap/seconds" in row]

    whole = train(tmp_path / "whole", 4)
    begun = train(tmp_path / "parts", 2)
    rest = train(tmp_path / "parts", 4, ckpt_path=tmp_path / "parts" / "epoch=1.ckpt")
    assert begun + rest == whole == [(-1, 0), (4, 0), (9, 1), (14, 2), (19, 3)]


class MeasuredByStep(Measured):
    def training_step(self, batch, batch_idx):
        loss = super().training_step(batch, batch_idx)
        self.log("own/step", loss.detach(), on_step=True, on_epoch=False)
        return loss


@pytest.mark.parametrize("accumulated", [1, 2])
def test_explanations_of_a_step_stand_beside_that_steps_metrics(tmp_path, accumulated):
    options = {"log_every_n_steps": 1, "accumulate_grad_batches": accumulated, "max_epochs": 3}
    ours = callback(every_n_steps=2, every_n_epochs=0, explain_untrained=False)
    trainer = fit(tmp_path, ours, module=MeasuredByStep(), loaders=tiny_loaders(24), **options)
    logged = trainer.logger.metrics

    def places(name):
        return {step: row["epoch"] for step, row in logged if name in row}

    own, explained = places("own/step"), places("shap/seconds")
    assert [*explained] == [*range(1, 18 // accumulated, 2)]
    assert explained.items() <= own.items()


@pytest.mark.filterwarnings("ignore:You're resuming from a checkpoint that ended before")
def test_a_run_resumed_from_a_step_explains_each_step_once(tmp_path):
    def train(folder, epochs, **options):
        keepers = [
            ModelCheckpoint(folder, filename="{step}", save_top_k=-1, every_n_train_steps=3),
            ModelCheckpoint(
                folder, filename="{epoch}", save_top_k=-1, save_on_train_epoch_end=True
            ),
        ]
        options = {"max_epochs": epochs, "enable_checkpointing": True, **options}
        ours = callback(every_n_steps=3, every_n_epochs=0)
        trainer = fit(folder, ours, *keepers, loaders=tiny_loaders(24), **options)
        return [step for step, row in trainer.logger.metrics if "shap/seconds" in row]

    assert train(tmp_path, 2) == [-1, 2, 5, 8, 11]
    # A step's checkpoint is saved before it is explained, an epoch's after.
    assert train(tmp_path, 2, ckpt_path=tmp_path / "step=3.ckpt") == [2, 5, 8, 11]
    assert train(tmp_path, 3, ckpt_path=tmp_path / "epoch=1.ckpt") == [14, 17]


def test_titles_say_the_epoch_and_the_step(tmp_path, monkeypatch):
    titles = []

    class Listening(KeepingLogger):
        def log_image(self, key, images, step=None):
            titles.append((key, step))

    import lightning_shap.training.logs.logbook as module

    plot = module.plot

    def spy(*args, title, **options):
        titles.append(title)
        return plot(*args, title=title, **options)

    monkeypatch.setattr(module, "plot", spy)
    fit(tmp_path, callback(), logger=Listening(), module=TwoOptimizers())
    assert titles == [
        "before training",
        ("shap/attributions", -1),
        "epoch 0 · step 4",
        ("shap/attributions", 4),
        "epoch 1 · step 9",
        ("shap/attributions", 9),
        "final model · epoch 1 · step 9",
        ("shap_final/attributions", 9),
    ]


def test_lightning_still_counts_the_batches_that_stepped(tmp_path):
    """If this fails, Lightning has another name for the count of which ``Moment`` reads."""
    trainer = tiny_trainer(tmp_path)
    trainer.fit(TwoOptimizers(), *tiny_loaders())
    assert trainer.fit_loop.epoch_loop._batches_that_stepped == 10
    assert trainer.global_step == 16


def test_without_that_count_the_steps_of_the_optimizers_are_taken():
    progress = SimpleNamespace(current=SimpleNamespace(ready=3))
    loop = SimpleNamespace(epoch_loop=SimpleNamespace(), epoch_progress=progress)
    trainer = SimpleNamespace(fit_loop=loop, global_step=15)
    assert Moment.find(trainer) == Moment(epoch=2, step=14)
