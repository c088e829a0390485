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

    worked = 50.0  # by the processors

    def perf_counter(self):
        return self.now

    def process_time(self):
        return self.worked + self.now


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


def test_time_that_the_processors_spent_counts_where_the_clock_says_less(clock):
    budget = TimeBudget("10%")
    explained(budget, clock, 500, 8)
    clock.now += 1000
    assert explained(budget, clock, 500, 8)[0] == 500
    with budget.spend():
        clock.worked += 2000
    assert explained(budget, clock, 500, 8)[0] == 0


def words_of(caplog, run):
    with caplog.at_level("INFO"):
        run()
    messages = [record.message for record in caplog.records]
    return [words for words in messages if words.startswith("ShapCallback:")]


def test_a_training_with_a_budget_says_what_it_lowers_once_and_explains_an_epoch(tmp_path, caplog):
    class Epochs(Callback):
        def on_train_epoch_start(self, trainer, pl_module):
            time.sleep(0.05)

    module = FaultyClassifier(lambda number, scores: time.sleep(0.02))
    asked = {"max_evals": 64, "time_budget": "3%", "on_error": "raise"}
    ours = ShapCallback(n_samples=2, **asked, **NO_STORY)
    trainer = tiny_trainer(tmp_path, Epochs(), ours, max_epochs=8)
    words = words_of(caplog, lambda: trainer.fit(module, *tiny_loaders()))
    assert words[0] == (
        "ShapCallback: 16 evaluations of 64 for 'before training', to keep to time_budget='3%'"
    )
    assert words[1].startswith("ShapCallback: an explanation takes 32 model rows, about ")
    assert words[2].startswith(
        "ShapCallback: time_budget='3%' lowered the evaluations of 3 explanations of 10 and left "
        "out 7; they took "
    )
    assert len(words) == 3
    steps = [step for key, step in trainer.logger.pictures if key == "shap/attributions"]
    assert steps == [-1, 4]
    final = [step for key, step in trainer.logger.pictures if key.startswith("shap_final")]
    assert final == [39]


@pytest.mark.parametrize(("share", "said"), [(0.09, False), (0.11, True)])
def test_explanations_of_more_than_a_tenth_of_the_training_name_a_budget(
    clock, caplog, share, said
):
    budget = TimeBudget(None)

    def train():
        for _ in range(3):
            clock.now += 100 * (1 - share)
            with budget.spend(trains=True) as spending:
                spending.rows, spending.model_seconds = 800, 1.0
                clock.now += 100 * share

    cost = f"ShapCallback: an explanation takes 800 model rows, about {100 * share:.2g} s"
    advice = ", 11 % of the training's time; time_budget='10%' keeps them to a tenth of it"
    assert words_of(caplog, train) == [cost + advice * said]


def test_a_long_explanation_says_its_cost_while_it_is_made(clock, caplog):
    budget = TimeBudget(None)

    def explain():
        with budget.spend() as spending:
            clock.now += 0.5
            spending.watch(10, 800)
            clock.now += 1.5
            spending.watch(20, 800)
            raise InterruptedError

    with pytest.raises(InterruptedError):
        words_of(caplog, explain)
    assert caplog.messages == ["ShapCallback: an explanation takes 800 model rows, about 80 s"]


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
        assert session_of(ours).budget._fixed[0] == pytest.approx(fixed, abs=1e-9)
    explanations = 4  # the control, two epochs, the final model
    extra = (seconds[True] - seconds[False]) / explanations / samples / PER_ROW
    assert extra == pytest.approx(ROWS) == 32


def test_fewer_evaluations_than_a_grid_needs_are_spent_on_patches_that_they_resolve():
    question = ShapCallback(method="kernel", grid=20, max_evals=400).question
    assert question.shorten(399).grid is None
    assert question.shorten(399).regions == "boxes"
    assert question.shorten(400).grid == (20, 20)
