"""Over several processes the pictures are those of one, and no rank waits for another for ever."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from distributed_fits import CASES, PARTING
from pytorch_lightning.strategies import DDPStrategy, FSDPStrategy, ModelParallelStrategy
from tiny_training import same

from lightning_shap.training.ranks import find_obstacle

HERE = Path(__file__).parents[1]

# What float32 sums in other batches may differ by, as a share of the largest value.
ROUNDING = 1e-5

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="starts its processes by forking"),
]


def run(
    folder, processes, cases, strategy="ddp_fork", timeout=300, copy="pytorch_lightning", well=True
):
    """Trains the cases one after the other in a process of their own, with a copy of Lightning.

    They are to end within the time-out, and well unless that is not to be had.
    """
    folder.mkdir()
    command = [sys.executable, "-W", "ignore", HERE / "distributed_fits.py", folder, processes]
    paths = [str(HERE), os.environ.get("PYTHONPATH", "")]
    with subprocess.Popen(
        [*map(str, command), *cases, "--strategy", strategy],
        env={
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "LIGHTNING_COPY": copy,
            "PYTHONPATH": os.pathsep.join(paths),
        },
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            _, problems = process.communicate(timeout=timeout)
        finally:
            with suppress(ProcessLookupError):  # ranks that hang, too
                os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 0 or not well, problems[-3000:]
    return folder


SAME_PICTURES = (
    "even",
    "uneven",
    "a rank with none",
    "fewer rows than samples",
    "samples by index",
    "samples given",
    "no sanity check",
    "sparse validation",
    "no validation",
    "mistakes",
    "mixed",
    "summary",
    "summary by halves",
    "stream",
    "best checkpoint",
    "everything measured",
)


OF_BOTH_NAMES = ("uneven", "samples by index", "no sanity check", "best checkpoint")


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    return run(tmp_path_factory.mktemp("one") / "fits", 1, (*SAME_PICTURES, "watched"))


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    cases = [name for name in CASES if name not in PARTING]
    return run(tmp_path_factory.mktemp("two") / "fits", 2, cases)


@pytest.fixture(scope="module")
def two_of_the_other_name(tmp_path_factory):
    cases = (*OF_BOTH_NAMES, "fails on rank 1", "trained", "trained without")
    folder = tmp_path_factory.mktemp("other") / "fits"
    return run(folder, 2, cases, copy="lightning.pytorch")


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    return run(tmp_path_factory.mktemp("three") / "fits", 3, ("uneven", "a rank with none"))


def notes(folder, name, ranks):
    stem = name.replace(" ", "_")
    return [torch.load(folder / f"{stem}-{rank}.pt", weights_only=True) for rank in range(ranks)]


@pytest.mark.parametrize("name", SAME_PICTURES)
def test_two_processes_explain_what_one_does(name, one, two):
    check_same_pictures(name, one, two, 2)


def test_what_is_watched_is_of_all_samples_whichever_process_has_them(one, two):
    (alone,) = notes(one, "watched", 1)
    first, second = notes(two, "watched", 2)
    shares = alone["watched"][0]
    assert shares["shap/watch_decides/box_0_0_8_8"] == pytest.approx(1)
    assert first["watched"][0] == pytest.approx(shares, abs=1e-4)
    assert alone["epochs"] == first["epochs"] == second["epochs"] < 4
    assert sum("the training stops" in one for one in first["messages"]) == 1
    assert not any("the training stops" in one for one in second["messages"])


@pytest.mark.parametrize("name", OF_BOTH_NAMES)
def test_either_copy_of_lightning_explains_the_same(name, one, two_of_the_other_name):
    check_same_pictures(name, one, two_of_the_other_name, 2)


@pytest.mark.parametrize("name", ["uneven", "a rank with none"])
def test_three_processes_explain_what_one_does(name, one, three):
    check_same_pictures(name, one, three, 3)


def check_same_pictures(name, one, several, ranks):
    (alone,) = notes(one, name, 1)
    first, *others = notes(several, name, ranks)
    assert same(first["images"], alone["images"])
    assert first["classes"] == alone["classes"]
    values, expected = first["values"].numpy(), alone["values"].numpy()
    np.testing.assert_allclose(values, expected, rtol=0, atol=ROUNDING * np.abs(expected).max())
    assert [key for key, _ in first["pictures"]] == [key for key, _ in alone["pictures"]]
    for other in others:
        assert other["pictures"] == [], "written once"
    assert not any(note["messages"] for note in (first, *others))


@pytest.mark.parametrize(("name", "images"), [("summary", 32), ("summary by halves", 64)])
def test_two_processes_summarise_what_one_does(one, two, name, images):
    (alone,) = notes(one, name, 1)
    first, other = notes(two, name, 2)
    assert f"{images} images of 3 classes" in alone["texts"]["shap/classes_summary"]
    assert first["texts"] == alone["texts"]
    assert [key for key, _ in first["pictures"] if key.endswith("/classes")] == ["shap/classes"]
    assert other["texts"] == {}


def test_two_processes_measure_what_one_does(one, two):
    (alone,) = notes(one, "everything measured", 1)
    first, other = notes(two, "everything measured", 2)
    assert other["numbers"] == []
    assert other["texts"] == {}
    assert len(first["numbers"]) == len(alone["numbers"]) == 2
    for row, expected in zip(first["numbers"], alone["numbers"], strict=True):
        assert row.keys() == expected.keys()
        assert "shap/faithful_insertion" in row
        of_time = {name for name in row if name.endswith("seconds")}
        for name in row.keys() - of_time:
            assert row[name] == pytest.approx(expected[name], abs=1e-4), name
    assert first["texts"]["shap/summary"] == alone["texts"]["shap/summary"]


FAILING = {
    "fails on rank 1": "on rank 1, RuntimeError: of its own",
    "out of memory on rank 1": "on rank 1, MemoryError",
    "odd batches on rank 1": "on rank 1, ArgumentError: samples: found ",
    "unpicklable": "on rank 1, ",
}


@pytest.mark.parametrize("name", FAILING)
def test_what_fails_on_one_rank_fails_on_all_and_training_goes_on(name, two):
    check_failed_on_all(name, two)


def test_what_fails_on_one_rank_fails_on_all_under_the_other_name(two_of_the_other_name):
    check_failed_on_all("fails on rank 1", two_of_the_other_name)


def check_failed_on_all(name, two):
    first, second = notes(two, name, 2)
    # One process warns, for all.
    assert FAILING[name] in first["messages"][0]
    assert second["messages"] == []
    for note in (first, second):
        assert note["training"]
        assert note["epochs"] == (5 if name == "fails on rank 1" else 2)
        assert note["seconds"] < 30
    assert len(first["messages"]) == 3
    # Of two epochs the third failure is that of the final model.
    last = "stops trying" if name == "fails on rank 1" else "the training is done"
    assert last in first["messages"][-1]
    assert same(first["weights"], second["weights"])


def test_a_logger_that_fails_costs_no_rank_its_explanation(two):
    first, second = notes(two, "logger fails", 2)
    (warned,) = first["messages"]
    assert "could not log to BrokenLogger: ConnectionError: no route to the server" in warned
    assert second["messages"] == []
    assert first["values"] is not None
    assert same(first["values"], second["values"])


@pytest.mark.parametrize(("name", "samples"), [("4 and 100 rows", 4), ("7 and 6 rows", 7)])
def test_the_first_rank_decides_where_ranks_have_data_of_their_own(name, samples, two):
    first, second = notes(two, name, 2)
    assert len(first["images"]) == samples
    assert same(first["values"], second["values"])
    assert first["messages"] == second["messages"] == []


@pytest.mark.parametrize("name", ["gathers in forward", "metric in forward"])
def test_a_forward_that_talks_to_other_ranks_is_declined_in_one_sentence(name, two):
    first, second = notes(two, name, 2)
    assert [words for words in first["messages"] if "talks to other ranks" in words] == first[
        "messages"
    ]
    assert len(first["messages"]) == 1
    assert second["messages"] == first["pictures"] == []
    assert first["epochs"] == second["epochs"] == 2


def test_explanations_may_take_longer_than_the_process_group_waits(two):
    first, second = notes(two, "slow", 2)
    assert first["messages"] == second["messages"] == []
    assert len(first["pictures"]) == 4  # the evolution among them


@pytest.mark.parametrize("name", PARTING)
def test_ranks_that_part_do_not_wait_for_each_other(name, tmp_path):
    # Ranks whose peers are gone end by an error, or by an abort of gloo's.
    folder = run(tmp_path / "fits", 2, [name], "ddp", timeout=240, well=False)
    stem = name.replace(" ", "_")
    assert not (folder / f"{stem}-0.pt").exists(), "before the end of the training"
    # In between, collectives of the training's own meet wrongly.
    if name in ("stops at the end", "stops at once"):
        assert (folder / f"{stem}-1.pt").exists(), "it ends its training, without an explanation"


def test_an_error_that_is_to_be_raised_ends_all_ranks(two):
    assert "of its own" in (two / "raised_on_rank_1.error").read_text()


def test_ranks_agree_on_what_the_time_allows(two):
    first, second = notes(two, "time budget", 2)
    assert first["epochs"] == second["epochs"] == 4
    assert first["messages"] == second["messages"] == []
    assert same(first["values"], second["values"])


@pytest.mark.parametrize("fits", ["two", "two_of_the_other_name"])
def test_distributed_training_is_the_same_to_the_bit(fits, request):
    two = request.getfixturevalue(fits)
    for with_it, without in zip(
        notes(two, "trained", 2), notes(two, "trained without", 2), strict=True
    ):
        assert same(with_it["weights"], without["weights"])
        assert same(with_it["optimizers"], without["optimizers"])
    assert with_it["values"] is not None
    assert without["values"] is None


@pytest.mark.parametrize(
    ("strategy", "reason"),
    [(DDPStrategy(), None), (FSDPStrategy(), "whole"), (ModelParallelStrategy(), "whole")],
    ids=lambda value: type(value).__name__,
)
def test_strategies_that_shard_the_model_are_declined(strategy, reason):
    found = find_obstacle(SimpleNamespace(strategy=strategy, world_size=1))
    assert found is None if reason is None else reason in found


def test_ranks_that_meet_elsewhere_are_declined():
    strategy = SimpleNamespace()
    assert "torch.distributed" in find_obstacle(SimpleNamespace(strategy=strategy, world_size=8))


@pytest.mark.slow
@pytest.mark.parametrize(("strategy", "name"), [("ddp", "uneven"), ("ddp_spawn", "samples given")])
def test_processes_may_start_in_other_ways(strategy, name, one, tmp_path):
    check_same_pictures(name, one, run(tmp_path / "fits", 2, [name], strategy), 2)
