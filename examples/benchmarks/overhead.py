"""What the callback adds to a training beyond the forward passes of its explanations.

Two questions:

- time: for three networks, a fit with the callback against one without, beside the time that the
  explanations spend in the model. Fits with and without take turns, and every figure is the median
  over repetitions. Two fits on a shared machine differ by more than the callback costs, so the time
  inside the callback's hooks is measured too, and what of that the model does not take, as a share
  of the fit and for each explanation, is the figure to trust; on a busy machine, in CPU time and
  with ``OMP_NUM_THREADS=1``, since threads that wait for each other count as busy.
- growth: over 50 epochs, what a leak would raise: memory, tensors, figures, hooks, threads and open
  files, and the size of the event file per epoch.

The images are crops of photographs, or digits, which a log keeps in half the room. About ten
minutes on two quiet CPU cores, ``--quick`` about two:

    python examples/benchmarks/overhead.py
    python examples/benchmarks/overhead.py --side 224 --rows 320 --networks resnet10t --quick
    python examples/benchmarks/overhead.py --side 224 --rows 64 --networks tiny --epochs 1
"""

import argparse
import gc
import os
import platform
import statistics
import tempfile
import threading
import warnings
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import timm
import torch
from engine import Cost, cost_of
from games import photographs
from pytorch_lightning import Callback, LightningModule, Trainer, seed_everything
from pytorch_lightning.loggers import TensorBoardLogger
from sklearn.datasets import load_digits
from torch import nn
from torch.nn.functional import cross_entropy, interpolate
from torch.utils.data import DataLoader, TensorDataset

from lightning_shap import ShapCallback

NETWORKS = ("resnet10t", "mobilenetv3_small_050", "convnext_atto")
HOOKS = (
    "setup",
    "on_validation_batch_start",
    "on_validation_end",
    "on_train_start",
    "on_train_batch_start",
    "on_train_epoch_end",
    "on_fit_end",
    "state_dict",
)


HOOKS_OF_START = ("setup", "on_train_start")

CLASSES = 10


class Model:
    """What the forward passes of explanations have cost so far."""

    explaining = False
    spent = Cost(0.0, 0.0)


class Classifier(LightningModule):
    """A timm network, or one that costs next to nothing beside its explanation."""

    def __init__(self, name: str, channels: int) -> None:
        super().__init__()
        if name == "tiny":
            first = [nn.Conv2d(channels, 8, 7, stride=8), nn.BatchNorm2d(8), nn.ReLU()]
            self.net = nn.Sequential(
                *first, nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(128, CLASSES)
            )
        else:
            self.net = timm.create_model(name, in_chans=channels, num_classes=CLASSES)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits (N, 10)."""
        cost, logits = cost_of(lambda: self.net(images))
        if Model.explaining:
            Model.spent = plus(Model.spent, cost)
        return logits

    def training_step(self, batch: list[torch.Tensor], batch_idx: int) -> torch.Tensor:
        """Cross entropy."""
        loss = cross_entropy(self(batch[0]), batch[1])
        self.log("train/loss", loss)
        return loss

    def validation_step(self, batch: list[torch.Tensor], batch_idx: int) -> None:
        """Cross entropy."""
        self.log("val/loss", cross_entropy(self(batch[0]), batch[1]))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """AdamW."""
        return torch.optim.AdamW(self.parameters(), lr=1e-3)


class TimedCallback(ShapCallback):
    """Keeps what its hooks cost, and what of that the model does not take."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.hooks = Cost(0.0, 0.0)
        self.explanations: list[Cost] = []  # each without the model
        self.start = Cost(0.0, 0.0)  # of all hooks up to the first step, without the model

    def __getattribute__(self, name: str) -> Any:
        attribute = super().__getattribute__(name)
        if name not in HOOKS:
            return attribute

        def timed(*args: Any, **kwargs: Any) -> Any:
            before, Model.spent, Model.explaining = self.explanation, Cost(0.0, 0.0), True
            cost, result = cost_of(lambda: attribute(*args, **kwargs))
            Model.explaining = False
            beyond = Cost(*(whole - part for whole, part in zip(cost, Model.spent, strict=True)))
            self.hooks = plus(self.hooks, beyond)
            if name in HOOKS_OF_START:
                self.start = plus(self.start, beyond)
            if self.explanation is not before:
                self.explanations.append(beyond)
            return result

        return timed


class Census(Callback):
    """Counts, at each epoch's end, what a leak would raise."""

    def __init__(self) -> None:
        self.rows: list[dict[str, float]] = []

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """One row."""
        gc.collect()
        modules = list(pl_module.modules())
        trainer.logger.experiment.flush()
        events = Path(trainer.logger.log_dir).glob("events.*")
        self.rows.append(
            {
                "memory, MiB": resident(),
                "tensors": sum(issubclass(type(o), torch.Tensor) for o in gc.get_objects()),
                "figures": len(plt.get_fignums()),
                "hooks": sum(len(m._forward_hooks) + len(m._backward_hooks) for m in modules),
                "threads": threading.active_count(),
                "open files": open_files(),
                "event file, KiB": sum(path.stat().st_size for path in events) / 1024,
            }
        )


def resident() -> float:
    """MiB of memory in use, 0 where the system does not say."""
    path = Path("/proc/self/statm")
    pages = int(path.read_text().split()[1]) if path.exists() else 0
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def open_files() -> int:
    """How many files are open, 0 where the system does not say."""
    path = Path("/proc/self/fd")
    return len(list(path.iterdir())) if path.exists() else 0


def plus(one: Cost, other: Cost) -> Cost:
    """Both costs together."""
    return Cost(one.wall + other.wall, one.cpu + other.cpu)


def loaders(args: argparse.Namespace) -> tuple[DataLoader, DataLoader]:
    """Images for training and validation."""
    if args.images == "photographs":
        images, labels = photographs(args.side, args.rows)
        images = images * 0.5  # in the range of normalised pixels
    else:
        digits = load_digits()
        images = torch.tensor(digits.images[:, None] / 16, dtype=torch.float)[: args.rows]
        images = interpolate(images, size=(args.side, args.side), mode="bilinear").clamp(0, 1)
        labels = torch.tensor(digits.target)[: args.rows]
    data = TensorDataset(images, labels)
    return DataLoader(data, batch_size=32, shuffle=True), DataLoader(data, batch_size=32)


def fit(name: str, callbacks: list[Callback], folder: str, args: argparse.Namespace) -> Cost:
    """What a fit costs."""
    seed_everything(0, verbose=False)
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=args.epochs,
        callbacks=callbacks,
        logger=TensorBoardLogger(folder),
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
        log_every_n_steps=10,
    )
    data = loaders(args)
    module = Classifier(name, data[0].dataset[0][0].shape[0])
    cost, _ = cost_of(lambda: trainer.fit(module, *data))
    return cost


def measure_time(name: str, folder: str, args: argparse.Namespace) -> str:
    """A line of the table."""
    brief = argparse.Namespace(**{**vars(args), "rows": 64, "epochs": 1})
    fit(name, [TimedCallback(max_evals=4)], folder, brief)
    without, with_it, shares, each, starts = [], [], [], [], []
    for _ in range(args.repeats):
        without.append(fit(name, [], folder, args))
        callback = TimedCallback(n_samples=8, max_evals=args.evals, on_error="raise")
        with_it.append(fit(name, [callback], folder, args))
        shares.append(callback.hooks.over(with_it[-1]))
        each += callback.explanations
        starts.append(callback.start)
    fits = statistics.median(cost.wall for cost in without)
    more = statistics.median(cost.wall for cost in with_it)
    share = Cost(*(statistics.median(part) for part in zip(*shares, strict=True)))
    one, start = (
        Cost(*(statistics.median(part) for part in zip(*costs, strict=True)))
        for costs in (each, starts)
    )
    return (
        f"| {name} | {fits:.1f} s | {more:.1f} s | {share.wall:.1%} | {share.cpu:.1%} "
        f"| {one.wall:.3f} s | {one.cpu:.3f} s | {start.cpu:.3f} s |"
    )


def measure_growth(folder: str, epochs: int, args: argparse.Namespace) -> list[str]:
    """The table of what a leak would raise, after some epochs."""
    census = Census()
    brief = argparse.Namespace(**{**vars(args), "epochs": epochs, "rows": 64})
    callback = ShapCallback(n_samples=8, max_evals=50, on_error="raise")
    fit("mobilenetv3_small_050", [callback, census], folder, brief)
    marks = [row for row in (4, 9, 24, epochs - 1) if row < epochs]
    lines = [
        "| after epoch | " + " | ".join(str(mark + 1) for mark in marks) + " |",
        "| --- |" + " --- |" * len(marks),
    ]
    for name in census.rows[0]:
        values = [census.rows[mark][name] for mark in marks]
        lines.append(f"| {name} | " + " | ".join(f"{value:.0f}" for value in values) + " |")
    first, last = census.rows[marks[0]], census.rows[marks[-1]]
    grown = (last["event file, KiB"] - first["event file, KiB"]) / (marks[-1] - marks[0])
    return [*lines, "", f"The event file grows by {grown:.0f} KiB an epoch."]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", default=NETWORKS)
    parser.add_argument("--images", choices=("photographs", "digits"), default="photographs")
    parser.add_argument("--side", type=int, default=64, help="pixels a side")
    parser.add_argument("--rows", type=int, default=1797, help="images of an epoch")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--evals", type=int, default=100, help="max_evals")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--leak-epochs", type=int, default=50)
    parser.add_argument("--quick", action="store_true")
    args = parser.parse_args()
    if args.quick:
        args.rows, args.repeats, args.leak_epochs = min(args.rows, 640), 1, 12
    warnings.filterwarnings("ignore")

    print(f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads,")
    print(f"torch {torch.__version__}, {args.side} px, 8 samples, {args.evals} evaluations,")
    print(f"{args.epochs} epochs of {args.rows} {args.images}, medians of {args.repeats} fits\n")
    print("Of all but the model, in the callback's hooks: their share of the fit, and what one")
    print("explanation and all before the first step take, on the clock and in CPU time.\n")
    print("| network | fit | with callback | share | share, CPU | one | one, CPU | start, CPU |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        for name in args.networks:
            print(measure_time(name, folder, args), flush=True)
        if args.leak_epochs:
            print("\n" + "\n".join(measure_growth(folder, args.leak_epochs, args)))


if __name__ == "__main__":
    main()
