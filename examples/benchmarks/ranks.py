"""Does any rank hang: distributed trainings that are disturbed, each with the callback and without.

In each trial one rank, or all of them, is sent SIGTERM or SIGKILL, stops the training, raises an
error or is slow, at a moment that is drawn: before the first batch, within an epoch, in a
validation, in the middle of an explanation, between it and the next epoch, at the end. A hang is a
trial that takes 20 s longer than the same one without the callback; one that takes longer than
``--limit`` without it is the training's own. Ranks are processes of their own that meet by gloo, as
torchrun starts them; a third of the trials is started by Lightning itself, as ``ddp_fork``, and a
few as ``ddp`` and ``ddp_spawn``, which take long to begin and have three times the limit.

About twenty minutes for sixty trials; ``--part 0/2`` and ``--part 1/2`` may run side by side:

    python examples/benchmarks/ranks.py
"""

import argparse
import itertools
import json
import logging
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

from distributed_fits import Still
from tiny_training import pl, tiny_data, tiny_trainer
from torch.utils.data import DataLoader

from lightning_shap import ShapCallback

MORE = 20.0  # seconds that the same trial may take longer with the callback
EVENTS = ("terminate", "terminate all", "stop", "error", "slow", "kill")
MOMENTS = ("start", "first", "batch", "validation", "explaining", "after", "next", "end", "timed")
HOOKS = {
    "start": "on_fit_start",
    "first": "on_train_start",
    "batch": "on_train_batch_end",
    "validation": "on_validation_batch_end",
    "after": "on_train_epoch_end",
    "next": "on_train_epoch_start",
    "end": "on_train_end",
}
STARTS = {**dict.fromkeys((1, 4, 8, 11, 14), "ddp_fork"), 5: "ddp", 15: "ddp_spawn"}
EPOCHS, ROWS, BATCH = 4, 24, 2
CALLS = itertools.count(1)


class Disturbed(Still):
    """Learns nothing; takes its time where it is explained, and lets the trial happen there."""

    def __init__(self, trial: dict[str, Any]) -> None:
        super().__init__()
        self.trial = trial
        self.fault = self.explained

    def explained(self, number: int, scores: torch.Tensor) -> None:
        """Is called when an explanation calls it; that of the untrained model does not count."""
        time.sleep(0.02)
        is_due = self.trial["moment"] == "explaining" and self.trainer.global_step > 0
        if is_due and next(CALLS) == self.trial["call"]:
            happen(self.trial, self.trainer)


class Moments(pl.Callback):
    """Lets the trial happen at a hook, behind the callback under trial."""

    def __init__(self, trial: dict[str, Any], with_it: bool) -> None:
        moment = trial["moment"]
        if moment == "explaining" and not with_it:  # where there is no explanation, in its place
            moment = "after"
        name = HOOKS.get(moment)
        if name is not None:
            setattr(self, name, self.hook)
        self.trial, self.done = trial, False

    def hook(self, trainer: Any, *args: Any, **kwargs: Any) -> None:
        """Is any of the hooks, by its name."""
        late = trainer.current_epoch >= self.trial["epoch"] or self.trial["moment"] == "end"
        late = late and (self.trial["moment"] != "batch" or args[-1] >= self.trial["batch"])
        if late and not trainer.sanity_checking and not (self.done and self.trial["once"]):
            self.done = True
            happen(self.trial, trainer)


def happen(trial: dict[str, Any], trainer: Any) -> None:
    """Does to this rank what the trial says."""
    if trainer.global_rank != trial["rank"] and "all" not in trial["event"]:
        return
    event = trial["event"].split()[0]
    if event in ("terminate", "kill"):
        os.kill(os.getpid(), signal.SIGTERM if event == "terminate" else signal.SIGKILL)
    elif event == "stop":
        trainer.should_stop = True
    elif event == "slow":
        time.sleep(trial["seconds"])
    else:
        raise RuntimeError("of the trial's")


def fit(trial: dict[str, Any], with_it: bool, folder: str) -> None:
    """Trains in this process, which is a rank, or becomes one."""
    warnings.filterwarnings("ignore")
    logging.disable(logging.CRITICAL)
    torch.set_num_threads(1)
    pl.seed_everything(3, verbose=False)
    ours = [ShapCallback(4, max_evals=20, batch_size=4, progress=False)] if with_it else []
    started = {"strategy": trial["strategy"], "devices": trial["ranks"], "max_epochs": EPOCHS}
    trainer = tiny_trainer(folder, *ours, Moments(trial, with_it), **started)
    if trial["moment"] == "timed":
        act = threading.Timer(trial["seconds"], happen, (trial, trainer))
        act.daemon = True
        act.start()
    trainer.fit(
        Disturbed(trial),
        DataLoader(tiny_data(ROWS), BATCH),
        DataLoader(tiny_data(ROWS, seed=1), BATCH),
    )


def draw_trials(number: int, seed: int) -> list[dict[str, Any]]:
    """Returns different trials: each event with each moment, then the same with other details."""
    draw = random.Random(seed)
    pairs = [(event, moment) for moment in MOMENTS for event in EVENTS]
    draw.shuffle(pairs)
    trials = []
    for place in range(number):
        event, moment = pairs[place % len(pairs)]
        if moment == "timed" and event in ("error", "stop", "slow"):  # not from another thread
            event = draw.choice(("terminate", "terminate all", "kill"))
        ranks = draw.choice((2, 2, 3))
        trials.append(
            {
                **{"event": event, "moment": moment, "ranks": ranks, "rank": draw.randrange(ranks)},
                **{"epoch": draw.randrange(3), "batch": draw.randrange(3), "once": event != "slow"},
                "call": draw.randrange(2, 30),
                "seconds": draw.uniform(0.5, 4.0) if moment == "timed" else draw.uniform(0.2, 2.0),
                "strategy": STARTS.get(place % 20, "torchrun"),
            }
        )
    return trials


# --- processes -----------------------------------------------------------------------------------


def as_torchrun(trial: dict[str, Any], with_it: bool, folder: str) -> list[int]:
    """Starts ranks as torchrun does, by forking this process, which has all imported.

    Or one process, that forks the others.
    """
    forks = trial["strategy"] == "ddp_fork"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    children = []
    for rank in range(1 if forks else trial["ranks"]):
        child = os.fork()
        if child:
            children.append(child)
            continue
        os.setsid()
        place = {"RANK": rank, "LOCAL_RANK": rank, "GROUP_RANK": 0}
        sizes = dict.fromkeys(("WORLD_SIZE", "LOCAL_WORLD_SIZE"), trial["ranks"])
        meet = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "TORCHELASTIC_RUN_ID": "trial"}
        if forks:
            become(trial, with_it, folder)
        os.environ.update({name: str(it) for name, it in {**place, **sizes, **meet}.items()})
        become({**trial, "strategy": "ddp"}, with_it, folder)
    return children


def become(trial: dict[str, Any], with_it: bool, folder: str) -> None:
    """Is a rank to the end of the process."""
    log = os.open(Path(folder, f"log{os.getpid()}"), os.O_WRONLY | os.O_CREAT)
    os.dup2(log, 1)
    os.dup2(log, 2)
    code = 0
    try:
        fit(trial, with_it, folder)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException as error:
        os.write(2, f"{type(error).__name__}: {error}".encode())
        code = 1
    os._exit(code)


def as_lightning(trial: dict[str, Any], with_it: bool, folder: str) -> list[int]:
    """Starts a process that starts the others."""
    words = [
        sys.executable,
        "-W",
        "ignore",
        __file__,
        "--one",
        json.dumps([trial, with_it, folder]),
    ]
    log = open(Path(folder, "log"), "wb")  # noqa: SIM115 - the process's own
    process = subprocess.Popen(words, stdout=log, stderr=log, start_new_session=True)
    process.returncode = 0  # it is waited for by its number
    return [process.pid]


def duration(trial: dict[str, Any], with_it: bool, limit: float) -> tuple[float, list[int | None]]:
    """Returns how long a trial takes, at most the limit, and the ranks' exit codes."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        start = as_torchrun if trial["strategy"] in ("torchrun", "ddp_fork") else as_lightning
        began = time.monotonic()
        children = start(trial, with_it, folder)
        codes: dict[int, int | None] = dict.fromkeys(children)
        while None in codes.values() and time.monotonic() - began < limit:
            for child in [child for child, code in codes.items() if code is None]:
                done, status = os.waitpid(child, os.WNOHANG)
                codes[child] = os.waitstatus_to_exitcode(status) if done else None
            time.sleep(0.02)
        taken = time.monotonic() - began
        for child, code in codes.items():
            with suppress(ProcessLookupError):
                os.killpg(child, signal.SIGKILL)
            if code is None:
                os.waitpid(child, 0)
        return taken, list(codes.values())


def main() -> None:
    """Runs the trials one after the other, counts and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=float, default=40, help="seconds without the callback")
    parser.add_argument("--part", default="0/1", help="such as 1/2: every second trial")
    parser.add_argument("--only", type=int, nargs="+", help="numbers of trials")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        fit(*json.loads(args.one))
        return
    place, parts = map(int, args.part.split("/"))
    ends: Counter[str] = Counter()
    print("| | event | moment | ranks | started by | s without | with | exit codes |")
    print("| --- " * 8 + "|")
    trials = [*enumerate(draw_trials(args.trials, args.seed))][place::parts]
    for number, trial in trials:
        if args.only and number not in args.only:
            continue
        limit = args.limit * (3 if trial["strategy"] in ("ddp", "ddp_spawn") else 1)
        without, before = duration(trial, False, limit)
        with_it, after = duration(trial, True, without + MORE)
        end = "ended"
        if without >= limit:
            end = "hangs without it too" if None in after else "hangs without it alone"
        elif None in after:
            end = "HANGS"
        ends[end] += 1
        print(
            f"| {number} | {trial['event']} {trial['rank']} | {trial['moment']} {trial['epoch']} "
            f"| {trial['ranks']} | {trial['strategy']} | {without:.1f} | {with_it:.1f} "
            f"| {before} {after} {end if end != 'ended' else ''} |",
            flush=True,
        )
    print(f"{sum(ends.values())} trials: {dict(ends)}")
    sys.exit(bool(ends["HANGS"]))


if __name__ == "__main__":
    main()
