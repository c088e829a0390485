"""On a GPU: how much faster than shap, and whether training there is left as it was, to the bit.

- speed: boxes, image regions, the kernel method and gradients over bare forward passes of as many
  rows at the best batch size, half before and half after each, in float32, bfloat16, channels-last
  and under autocast, and float32 with ``precision="bf16"``; the memory that each needs and how busy
  the card is; and shap on the same card, which builds its masks on the CPU, one image at a time. A
  ratio of 1 is a card that is never waited for.
- rounds: how many rows a call may have until the card is full.
- callback: what a training takes with the callback and with ``summary=``, beside the same without,
  and what of an explanation the model takes.
- bits: trainings with and without the callback, in several precisions, layouts and compiled, must
  leave the same weights, optimizer states and random states of the GPU.

    python examples/benchmarks/gpu.py                    # ten minutes on a quiet card
    python examples/benchmarks/gpu.py --only speed --models resnet18 --images 64
    python examples/benchmarks/gpu.py --device cpu --quick     # the script itself, in some minutes

It needs torch, timm, Lightning and matplotlib beside what the package brings; without scikit-image
the images are coloured noise, without OpenCV shap has no blur, and without nvidia-ml-py nobody
knows how busy the card is. Ends with status 1 if any bit differs.
"""

import argparse
import logging
import os
import random
import statistics
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import product
from typing import Any

# What CUDA needs for sums that come out the same each time; to be set before its first use.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")

import numpy as np
import timm
import torch
from engine import WAYS, cost_of, forward, machine, network, photographs, table
from engine import ours as explain_with_ours
from engine import shaps as explain_with_shap
from pytorch_lightning import Callback, LightningModule, Trainer, seed_everything
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

from lightning_shap import ShapCallback

Tensors = dict[str, Any]


class Classifier(LightningModule):
    """A timm network, with batch norm and dropout."""

    def __init__(
        self, channels_last: bool = False, compiled: str | None = None, name: str = "resnet10t"
    ) -> None:
        super().__init__()
        self.net = timm.create_model(name, num_classes=10, drop_rate=0.2)
        if channels_last:
            self.net.to(memory_format=torch.channels_last)
        if compiled is not None:
            self.net.compile(mode=compiled)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits (N, 10)."""
        return self.net(images)

    def training_step(self, batch: list[torch.Tensor], batch_idx: int) -> torch.Tensor:
        """Cross entropy."""
        return cross_entropy(self(batch[0]), batch[1])

    def validation_step(self, batch: list[torch.Tensor], batch_idx: int) -> None:
        """Cross entropy."""
        self.log("val/loss", cross_entropy(self(batch[0]), batch[1]))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """AdamW."""
        return torch.optim.AdamW(self.parameters(), lr=1e-3)


class Witness(Callback):
    """What a training leaves behind, its optimizers before they are taken off the GPU."""

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keeps copies."""
        states = {
            f"optimizer {key} {name}": value.detach().cpu().clone()
            for key, state in trainer.optimizers[0].state_dict()["state"].items()
            for name, value in state.items()
        }
        weights = {name: value.cpu().clone() for name, value in pl_module.state_dict().items()}
        generators = {"cpu": torch.get_rng_state()}
        if torch.cuda.is_available():
            generators |= dict(enumerate(torch.cuda.get_rng_state_all()))
        generators["python"] = torch.tensor(hash(random.getstate()))
        generators["numpy"] = torch.from_numpy(np.random.get_state()[1].astype(np.int64))
        self.left: Tensors = {**weights, **states, **generators}


CASES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "float32": ({}, {}),
    "bf16-mixed": ({}, {"precision": "bf16-mixed"}),
    "16-mixed": ({}, {"precision": "16-mixed"}),
    "bf16-true": ({}, {"precision": "bf16-true"}),
    "channels-last": ({"channels_last": True}, {}),
    "channels-last, bf16-mixed": ({"channels_last": True}, {"precision": "bf16-mixed"}),
    "compiled": ({"compiled": "default"}, {}),
    "compiled with CUDA graphs": ({"compiled": "reduce-overhead"}, {}),
}


def fit(
    module: Classifier, device: str, callbacks: list[Callback], *, side: int = 64, **options: Any
) -> None:
    """Trains for two epochs of 96 images of noise."""
    data = TensorDataset(torch.rand(96, 3, side, side), torch.randint(10, (96,)))
    loader = DataLoader(data, batch_size=32, shuffle=True, drop_last=True)
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            accelerator="gpu" if device == "cuda" else "cpu",
            devices=1,
            max_epochs=2,
            callbacks=callbacks,
            default_root_dir=folder,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            **options,
        )
        trainer.fit(module, loader, DataLoader(data, batch_size=32))


def trained(module: dict[str, Any], options: dict[str, Any], device: str, explained: bool) -> Any:
    """What a training leaves behind, and how many graphs were compiled for it."""
    from torch._dynamo.utils import counters

    torch._dynamo.reset()
    counters.clear()
    seed_everything(0, verbose=False)
    witness, callbacks = Witness(), []
    if explained:
        callbacks.append(ShapCallback(n_samples=6, max_evals=50, on_error="raise"))
    fit(Classifier(**module), device, [*callbacks, witness], deterministic="warn", **options)
    assert not explained or callbacks[0].explanation is not None
    return witness.left, counters["stats"]["unique_graphs"]


def callback_rows(args: argparse.Namespace) -> Iterator[list[str]]:
    """A row for each network: a training without the callback, with it, and with a summary."""
    asked = {"n_samples": args.images, "max_evals": args.evals, "on_error": "raise"}
    for name in args.models:
        ways: dict[str, list[float]] = {"without": [], "with": [], "summary": []}
        for _ in range(1 + args.repeats):  # the first is to warm up
            for way, taken in ways.items():
                callbacks = [] if way == "without" else [ShapCallback(**asked)]
                if way == "summary":
                    callbacks = [ShapCallback(**asked, summary=32)]
                seed_everything(0, verbose=False)
                work = partial(fit, Classifier(name=name), args.device, callbacks, side=args.size)
                taken.append(seconds(work))
                if way == "with":
                    record = callbacks[0].explanation.record
        plain, *more = (statistics.median(taken[1:] or taken) for taken in ways.values())
        cells = [f"{plain:.2f} s", *(f"{one - plain:+.2f} s" for one in more)]
        inside = record.model_seconds / record.seconds
        yield [name, *cells, f"{record.seconds:.2f} s", f"{inside:.0%}"]


def bit_rows(args: argparse.Namespace, verdicts: list[bool]) -> Iterator[list[str]]:
    """A row for each case: two trainings without the callback, and one with it."""
    device = args.device
    for name, (module, options) in list(CASES.items())[: 1 if args.quick else None]:
        if device == "cpu" and (options.get("precision") == "16-mixed" or "compiled" in module):
            continue  # half precision is CUDA's, and compiling for a CPU takes minutes
        first, _ = trained(module, options, device, explained=False)
        again, graphs = trained(module, options, device, explained=False)
        with_it, graphs_with_it = trained(module, options, device, explained=True)
        repeatable, same = identical(first, again), identical(again, with_it)
        verdicts.append((same or not repeatable) and graphs == graphs_with_it)
        says = {True: "yes", False: "NO"}
        yield [name, says[repeatable], says[same], f"{graphs} / {graphs_with_it}"]


def identical(one: Tensors, other: Tensors) -> bool:
    """Whether all tensors are the same bits."""
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


BATCH_SIZES = (32, 64, 128, 256, 512)
LAYOUTS: dict[str, Callable[[Any], Any]] = {
    "float32": lambda thing: thing,
    "autocast": lambda thing: thing,
    "precision='bf16'": lambda thing: thing,
    "bfloat16": lambda thing: thing.to(torch.bfloat16),
    "channels-last": lambda thing: thing.to(memory_format=torch.channels_last),
}


def seconds(work: Callable[[], Any]) -> float:
    """The seconds that ``work`` takes, the GPU's included."""

    def finished() -> None:
        work()
        if torch.cuda.is_available():
            torch.cuda.synchronize()

    return cost_of(finished)[0].wall


@contextmanager
def watching_use(device: str) -> Iterator[list[float]]:
    """Collects ten times a second what share of the time the card was busy; nothing on a CPU."""
    shares: list[float] = []
    ended = threading.Event()

    def watch() -> None:
        try:
            while not ended.wait(0.1):
                shares.append(torch.cuda.utilization() / 100)
        except (ModuleNotFoundError, RuntimeError, AssertionError):
            shares.clear()  # no nvidia-ml-py, or a driver that does not say

    watcher = threading.Thread(target=watch, daemon=True)
    if device == "cuda":
        watcher.start()
    yield shares
    ended.set()
    if device == "cuda":
        watcher.join()


def batch_rows(args: argparse.Namespace, fastest: dict[str, int]) -> Iterator[list[str]]:
    """A row for each network: rows a second by the rows of a call."""
    for name in args.models:
        model, images = network(name, args.device), photographs(args.size).to(args.device)
        rates = {}
        for size in args.batches:
            work = partial(forward, model, images, 2 * size, size)
            work()
            rates[size] = 2 * size / min(seconds(work) for _ in range(3))
        fastest[name] = max(rates, key=lambda size: rates[size])
        yield [name, *(f"{rate:.0f}" for rate in rates.values())]


def speed_rows(args: argparse.Namespace, fastest: dict[str, int]) -> Iterator[list[str]]:
    """A row for each network, precision and way to explain."""
    few = photographs(args.size).to(args.device)
    photos = few.repeat(-(-args.images // len(few)), 1, 1, 1)[: args.images]
    for name, (layout, convert) in product(args.models, LAYOUTS.items()):
        model, images, most = convert(network(name, args.device)), convert(photos), fastest[name]
        device = torch.device(args.device).type
        context = torch.autocast(device, torch.bfloat16, enabled=layout == "autocast")
        rows = args.images * args.evals
        bare = partial(forward, model, images, rows // 2, most)
        for way, options in {**WAYS, "gradient": {"method": "gradient"}}.items():
            if layout.startswith("precision"):
                options = {**options, "precision": "bf16"}
            mine = partial(explain_with_ours, model, images, args.evals, batch_size=most, **options)
            with context:
                with watching_use(device) as shares:
                    mine()
                if device == "cuda":
                    torch.cuda.reset_peak_memory_stats()
                pairs = [
                    [seconds(work) for work in (bare, mine, bare)] for _ in range(args.repeats)
                ]
            memory = torch.cuda.max_memory_allocated() / 2**20 if device == "cuda" else 0
            ratio = statistics.median(own / (before + after) for before, own, after in pairs)
            taken = statistics.median(own for _, own, _ in pairs)
            busy = f"{statistics.mean(shares):.0%}" if shares else "not known"
            theirs = "-"
            if way == "boxes" and layout == "float32":
                try:
                    explain_with_shap(model, images, 10)  # which compiles code of its own
                    work = partial(explain_with_shap, model, images, args.evals)
                    theirs = f"{seconds(work):.2f} s"
                except ImportError:
                    theirs = "needs OpenCV"
            yield [
                name,
                layout,
                way,
                f"{taken:.3f} s",
                f"**{ratio:.2f}**",
                f"{memory:.0f}",
                busy,
                theirs,
            ]


def main() -> int:
    """Measures, compares, prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=["resnet18", "xcit_nano_12_p16_224"])
    parser.add_argument("--evals", type=int, default=100)
    parser.add_argument("--images", type=int, default=8)
    questions = ["speed", "callback", "bits"]
    parser.add_argument("--only", nargs="+", default=questions, choices=questions)
    parser.add_argument("--size", type=int, default=224, help="pixels a side")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--quick", action="store_true", help="a small network, few of everything")
    args = parser.parse_args()
    args.batches = BATCH_SIZES
    if args.quick:
        args.models, args.evals, args.images, args.size = ["test_resnet"], 16, 2, 64
        args.repeats, args.batches = 1, BATCH_SIZES[:1]
    if args.device == "cuda" and not torch.cuda.is_available():
        print("gpu.py: no CUDA device here; nothing was measured")
        return 2
    warnings.filterwarnings("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)

    print(f"{machine(args.device)}; {args.images} images of {args.size} px\n")
    if "speed" in args.only:
        print("Forward passes, rows a second by the rows of a call\n")
        fastest: dict[str, int] = {}
        table(["model", *map(str, args.batches)], batch_rows(args, fastest))
        print(f"{args.evals} evaluations over forward passes of as many rows\n")
        columns = ["model", "precision", "way", "ours", "ratio", "peak MiB", "card busy", "shap"]
        table(columns, speed_rows(args, fastest))
    if "callback" in args.only:
        print("Two epochs of 96 images: what the callback adds, the control and the final model's")
        print("explanation included, what it adds with a summary, and an explanation by itself\n")
        columns = ["model", "without", "callback", "with a summary of 32", "an explanation"]
        table([*columns, "in the model"], callback_rows(args))
    if "bits" not in args.only:
        return 0

    print("Two epochs of training with the callback and without\n")
    verdicts: list[bool] = []
    columns = ["training", "repeatable without", "the same bits with", "graphs compiled, with"]
    table(columns, bit_rows(args, verdicts))
    print("Every repeatable training is left as it was." if all(verdicts) else "BITS DIFFER.")
    return 0 if all(verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
