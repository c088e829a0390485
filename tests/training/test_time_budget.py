"""Explanations keep to the time they are given."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as some
from pytorch_lightning import Callback
from tiny_training import (
    NO_STORY,
    FaultyClassifier,
    TinyClassifier,
    lightning_warns,
    session_of,
    tiny_loaders,
    tiny_trainer,
)

from lightning_shap import ShapCallback
from lightning_shap.analysis.history.numbers import ROWS
from lightning_shap.engine import game
from lightning_shap.training import time_budget as room
from lightning_shap.training.time_budget import LEAST, TimeBudget

pytestmark = lightning_warns


class Clock:
    """Time that passes only when asked to."""

    now = 100.0

    def perf_counter(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(room, "time", clock)
    return clock


def explained(budget, clock, wanted, samples, per_row=0.001, fixed=0.1, **arguments):
    """One explanation: the evaluations it had and the seconds it took."""
    allowed = budget.choose_evaluations(wanted, samples, **arguments)
    if not allowed:
        return 0, 0.0
    began = clock.now
    with budget.spend() as spending:
        spending.rows, spending.model_seconds = allowed * samples, allowed * samples * per_row
        clock.now += fixed + spending.model_seconds
    return allowed, clock.now - began


def test_no_budget_allows_everything(clock):
    budget = TimeBudget(None)
    assert [explained(budget, clock, 500, 8)[0] for _ in range(5)] == [500] * 5


@given(
    share=some.sampled_from([1, 5, 10, 30]),
    epoch=some.floats(0.5, 100),
    per_row=some.floats(1e-5, 1e-2),
)
def test_a_share_of_the_time_is_kept(share, epoch, per_row):
    clock = Clock()
    room.time, kept = clock, room.time
    try:
        budget, spent, began = TimeBudget(f"{share}%"), 0.0, clock.now
        _, control = explained(budget, clock, 500, 8, per_row)
        for _ in range(60):
            clock.now += epoch
            spent += explained(budget, clock, 500, 8, per_row)[1]
    finally:
        room.time = kept
    # The first one has to be made to know what one costs.
    assert spent <= share / 100 * (clock.now - began) + 1e-6 or spent == 0
    assert control <= 0.1 + LEAST * 8 * per_row + 1e-9


def test_with_time_enough_all_evaluations_come_back(clock):
    budget = TimeBudget("20%")
    allowed = []
    for _ in range(12):
        allowed.append(explained(budget, clock, 500, 8)[0])
        clock.now += 30
    assert allowed[0] == LEAST
    assert allowed[-1] == 500


def test_evaluations_are_halved_before_epochs_are_skipped(clock):
    budget = TimeBudget("10%")
    allowed = []
    for _ in range(40):
        allowed.append(explained(budget, clock, 500, 8)[0])
        clock.now += 6
    assert set(allowed) <= {0, LEAST, 31, 62, 125, 250, 500}
    assert sum(one > LEAST for one in allowed) > 0


def test_seconds_are_for_each_explanation(clock):
    budget = TimeBudget(1.5)
    assert explained(budget, clock, 500, 8)[0] == LEAST
    allowed, seconds = explained(budget, clock, 500, 8)
    assert allowed == 125
    assert seconds <= 1.5


def test_the_final_model_is_never_skipped(clock):
    budget = TimeBudget("1%")
    explained(budget, clock, 500, 8)
    assert explained(budget, clock, 500, 8)[0] == 0
    assert explained(budget, clock, 500, 8, needed=True)[0] == LEAST


def test_a_failure_spends_time_too(clock):
    budget = TimeBudget("50%")
    explained(budget, clock, 100, 1)

    def fail():
        with budget.spend():
            clock.now += 1000
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    clock.now += 10
    assert explained(budget, clock, 100, 1)[0] == 0


def test_a_training_with_a_budget_says_what_it_lowers_and_skips(tmp_path, caplog):
    class Epochs(Callback):
        def on_train_epoch_start(self, trainer, pl_module):
            time.sleep(0.05)

    module = FaultyClassifier(lambda number, scores: time.sleep(0.02))
    asked = {"max_evals": 64, "time_budget": "10%", "on_error": "raise"}
    ours = ShapCallback(n_samples=2, **asked, **NO_STORY)
    trainer = tiny_trainer(tmp_path, Epochs(), ours, max_epochs=4)
    with caplog.at_level("INFO"):
        trainer.fit(module, *tiny_loaders())
    messages = [record.message for record in caplog.records if "ShapCallback" in record.message]
    assert "16 evaluations of 64 for 'before training'" in messages[0]
    assert any("no evaluations of 64 for 'epoch" in words for words in messages)
    assert all("time_budget='10%'" in words for words in messages)
    final = [step for key, step in trainer.logger.pictures if key.startswith("shap_final")]
    assert final == [19]


PER_ROW = 0.001  # seconds


class Slow(TinyClassifier):
    """Each row takes its time, outside of training."""

    def forward(self, images):
        trainer = self._trainer
        if not (self.training or trainer is None or trainer.validating or trainer.sanity_checking):
            room.time.now += PER_ROW * len(images)
        return super().forward(images)


def test_faithfulness_costs_the_rows_that_are_stated_and_the_budget_counts_them(
    tmp_path, clock, monkeypatch
):
    monkeypatch.setattr(game, "time", clock)
    samples, seconds = 5, {}
    for metrics in ([], ["faithful"]):
        began = clock.now
        quick = {"n_samples": samples, "max_evals": 50, "metrics": metrics, "evolution": None}
        ours = ShapCallback(**quick, time_budget=1000.0, on_error="raise")
        tiny_trainer(tmp_path, ours, max_epochs=2).fit(Slow(), *tiny_loaders(val=12))
        seconds[bool(metrics)] = clock.now - began
        fixed = ROWS * samples * PER_ROW if metrics else 0
        assert session_of(ours).budget._fixed == pytest.approx(fixed, abs=1e-9)
    explanations = 4  # the control, two epochs, the final model
    extra = (seconds[True] - seconds[False]) / explanations / samples / PER_ROW
    assert extra == pytest.approx(ROWS) == 32


def test_fewer_evaluations_than_a_grid_needs_are_spent_on_patches_that_they_resolve():
    question = ShapCallback(method="kernel", grid=20, max_evals=400).question
    assert question.shorten(399).grid is None
    assert question.shorten(399).regions == "boxes"
    assert question.shorten(400).grid == (20, 20)
