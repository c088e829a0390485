"""InsertionAUC and DeletionAUC are metrics as torchmetrics and Lightning know them."""

import inspect
import os
import pickle
import subprocess
import sys
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_training import TinyClassifier, lightning_warns, tiny_data, tiny_trainer
from torch import nn
from torch.utils.data import DataLoader
from torchmetrics import MetricCollection
from torchmetrics.wrappers import BootStrapper, MetricTracker, MinMaxMetric

from lightning_shap import DeletionAUC, InsertionAUC, explain
from lightning_shap.analysis.metrics.faithfulness import _AreaUnderCurve
from lightning_shap.analysis.metrics.mean_of_maps import ExplanationMetric

pytestmark = lightning_warns

METRICS = [InsertionAUC, DeletionAUC]


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3))


@pytest.fixture
def given() -> dict[str, Any]:
    """What an update takes, each argument by its name."""
    generator = torch.Generator().manual_seed(0)
    return {
        "explanation": torch.randn(4, 4, 4, generator=generator),
        "images": torch.rand(4, 2, 4, 4, generator=generator),
        "targets": torch.tensor([0, 1, 2, 0]),
        "model": network(),
    }


def value_of(kind: Any, given: dict[str, Any], **options: Any) -> torch.Tensor:
    metric = kind(steps=4, **options)
    metric.update(**given)
    return metric.compute()


@pytest.mark.parametrize("kind", METRICS)
@pytest.mark.parametrize("random_maps", [0, 2])
def test_it_is_one_number(kind: Any, random_maps: int, given: dict[str, Any]) -> None:
    metric = kind(steps=4, random_maps=random_maps)
    batch = metric(**given)
    assert isinstance(batch, torch.Tensor)
    assert batch.shape == ()
    torch.testing.assert_close(batch, metric.compute())
    metric(**{**given, "explanation": -given["explanation"]})
    assert metric.compute() != batch
    torch.testing.assert_close(pickle.loads(pickle.dumps(metric)).compute(), metric.compute())
    torch.testing.assert_close(deepcopy(metric).areas(), metric.areas())
    metric.reset()
    torch.testing.assert_close(metric(**given), batch)
    assert not list(metric.parameters())  # a model is never kept


def test_its_states_are_annotated_attributes() -> None:
    states = {*InsertionAUC(steps=4)._defaults}
    classes = (_AreaUnderCurve, ExplanationMetric)
    annotated = {k: v for one in classes for k, v in inspect.get_annotations(one).items()}
    assert states == {name for name, kind in annotated.items() if kind is torch.Tensor}


def test_which_direction_is_better_follows_from_what_is_measured() -> None:
    better = {kind: [kind(random_maps=n).higher_is_better for n in (0, 1)] for kind in METRICS}
    assert better == {InsertionAUC: [True, True], DeletionAUC: [False, True]}


def test_arithmetic_of_metrics(given: dict[str, Any]) -> None:
    insertion, deletion = (value_of(kind, given) for kind in METRICS)
    both = InsertionAUC(steps=4) + DeletionAUC(steps=4)
    difference = InsertionAUC(steps=4) - DeletionAUC(steps=4)
    half = 0.5 * InsertionAUC(steps=4)
    for metric in (both, difference, half):
        metric.update(**given)
    torch.testing.assert_close(both.compute(), insertion + deletion)
    torch.testing.assert_close(difference.compute(), insertion - deletion)
    torch.testing.assert_close(half.compute(), insertion / 2)


@pytest.mark.parametrize("random_maps", [0, 1])
def test_a_tracker_finds_the_best_step(random_maps: int, given: dict[str, Any]) -> None:
    metrics = MetricCollection([kind(steps=4, random_maps=random_maps) for kind in METRICS])
    tracker = MetricTracker(metrics, maximize=None)
    for sign in (1, -1, 0.5):
        tracker.increment()
        tracker.update(**{**given, "explanation": sign * given["explanation"]})
    steps = {name: values.tolist() for name, values in tracker.compute_all().items()}
    best, which = tracker.best_metric(return_step=True)
    for name, values in steps.items():
        falls = name == "DeletionAUC" and not random_maps
        assert best[name] == (min if falls else max)(values)
        assert which[name] == values.index(best[name])
    alone = MetricTracker(InsertionAUC(steps=4, random_maps=random_maps), maximize=None)
    alone.increment()
    alone.update(**given)
    assert alone.best_metric() == float(value_of(InsertionAUC, given, random_maps=random_maps))


def test_least_and_most_are_kept(given: dict[str, Any]) -> None:
    metric = MinMaxMetric(InsertionAUC(steps=4))
    seen = []
    for sign in (1, -1):
        metric.update(**{**given, "explanation": sign * given["explanation"]})
        seen.append(float(metric.compute()["raw"]))
    found = metric.compute()
    assert (float(found["min"]), float(found["max"])) == (min(seen), max(seen))


def test_bootstraps_spread_around_the_value(given: dict[str, Any]) -> None:
    torch.manual_seed(1)
    strapped = BootStrapper(
        InsertionAUC(steps=4), num_bootstraps=40, raw=True, sampling_strategy="multinomial"
    )
    strapped.update(**given)
    found = strapped.compute()
    assert found["raw"].shape == (40,)
    assert found["std"] > 0
    error = abs(found["mean"] - value_of(InsertionAUC, given))
    assert error < 4 * found["std"] / 40**0.5


def test_it_draws_itself(given: dict[str, Any]) -> None:
    plt = pytest.importorskip("matplotlib.pyplot")
    metric = InsertionAUC(steps=4)
    values = [metric(**given), metric(**given)]
    for drawn in (None, values[0], values):
        figure, axes = metric.plot(drawn)
        heights = np.concatenate([np.atleast_1d(line.get_ydata()) for line in axes.lines])
        assert float(values[0]) in heights.astype(np.float32)
        plt.close(figure)
    collection = MetricCollection([InsertionAUC(steps=4), DeletionAUC(steps=4)])
    collection.update(**given)
    drawings = collection.plot()
    assert len(drawings) == 2
    for figure, _ in drawings:
        plt.close(figure)


class Measured(TinyClassifier):
    """Logs how faithful its explanations are, in each way that Lightning offers."""

    def __init__(self) -> None:
        super().__init__()
        self.insertion = InsertionAUC(steps=4)
        self.both = MetricCollection(
            [InsertionAUC(steps=4), DeletionAUC(steps=4)], prefix="faithful/"
        )
        self.logged: list[dict[str, float]] = []
        self.by_hand: list[list[float]] = []

    def on_validation_epoch_start(self) -> None:
        self.again = [kind(steps=4) for kind in METRICS]

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        explanation = explain(self.net, batch[0], max_evals=12, topk=1)
        for metric in (self.insertion, self.both, *self.again):
            metric.update(self.net, explanation)
        self.log("ins", self.insertion)
        self.log_dict(self.both)

    def on_validation_epoch_end(self) -> None:
        self.by_hand.append([float(metric.compute()) for metric in self.again])
        self.log_dict(self.again[0].areas())

    def on_train_epoch_end(self) -> None:
        metrics = self.trainer.callback_metrics
        self.logged.append({name: float(value) for name, value in metrics.items()})


def test_lightning_logs_it_at_the_end_of_each_epoch(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = Measured()
    trainer = tiny_trainer(tmp_path, max_epochs=2, num_sanity_val_steps=0)
    trainer.fit(module, DataLoader(tiny_data(12), 4), DataLoader(tiny_data(6, seed=1), 3))
    assert len(module.logged) == len(module.by_hand) == 2
    for logged, (insertion, deletion) in zip(module.logged, module.by_hand, strict=True):
        assert logged["ins"] == pytest.approx(insertion, abs=1e-6)
        assert logged["faithful/InsertionAUC"] == pytest.approx(insertion, abs=1e-6)
        assert logged["faithful/DeletionAUC"] == pytest.approx(deletion, abs=1e-6)
        assert logged["insertion_auc_gap"] == pytest.approx(insertion, abs=1e-6)
    assert module.by_hand[0] != module.by_hand[1]  # each epoch's own


@pytest.mark.integration
@pytest.mark.skipif(not hasattr(os, "fork"), reason="starts its processes by forking")
def test_two_processes_have_the_value_of_one(tmp_path: Path, given: dict[str, Any]) -> None:
    torch.save(given, tmp_path / "given.pt")
    script = Path(__file__).parents[2] / "measuring_processes.py"
    subprocess.run([sys.executable, script, tmp_path], check=True, timeout=300)
    whole = InsertionAUC(steps=4)
    whole.update(**given)
    of_ranks = [torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1)]
    for found in of_ranks:
        torch.testing.assert_close(found["value"], whole.compute())
        torch.testing.assert_close(found["areas"], whole.areas())
        for kind in METRICS:
            torch.testing.assert_close(found["collection"][kind.__name__], value_of(kind, given))
    together = (3 * of_ranks[0]["curve"] + of_ranks[1]["curve"]) / 4
    torch.testing.assert_close(together, whole.curve)
