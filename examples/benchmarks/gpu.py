"""On a GPU: how much faster than shap, and whether training there is left as it was, to the bit.

- speed: explanations against shap's on the same card, and against bare forward passes, in float32,
  bfloat16 and channels-last. shap builds its masks on the CPU, one image at a time.
- bits: trainings with and without the callback, in several precisions, layouts and compiled, must
  leave the same weights, optimizer states and random states of the GPU.

    python examples/benchmarks/gpu.py

Ends with status 1 if any bit differs. ``--device cpu`` tries the script itself where no GPU is.
"""

import argparse
import logging
import os
import random
import statistics
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from typing import Any

# What CUDA needs for sums that come out the same each time; to be set before its first use.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")

import numpy as np
import timm
import torch
from engine import IMAGES, best_batch_size, cost_of, forward, machine, network, photographs, table
from engine import ours as explain_with_ours
from engine import shaps as explain_with_shap
from pytorch_lightning import Callback, LightningModule, Trainer, seed_everything
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

from lightning_shap import ShapCallback

Tensors = dict[str, Any]


class Classifier(LightningModule):
    """A timm network, with batch norm and dropout."""

    def __init__(self, channels_last: bool = False, compiled: str | None = None) -> None:
        super().__init__()
        self.net = timm.create_model("resnet10t", num_classes=10, drop_rate=0.2)
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


def trained(module: dict[str, Any], options: dict[str, Any], device: str, explained: bool) -> Any:
    """What a training leaves behind, and how many graphs were compiled for it."""
    from torch._dynamo.utils import counters

    torch._dynamo.reset()
    counters.clear()
    seed_everything(0, verbose=False)
    data = TensorDataset(torch.rand(96, 3, 64, 64), torch.randint(10, (96,)))
    loader = DataLoader(data, batch_size=32, shuffle=True, drop_last=True)
    witness, callbacks = Witness(), []
    if explained:
        callbacks.append(ShapCallback(n_samples=6, max_evals=50, on_error="raise"))
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            accelerator="gpu" if device == "cuda" else "cpu",
            devices=1,
            max_epochs=2,
            deterministic="warn",
            callbacks=[*callbacks, witness],
            default_root_dir=folder,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            **options,
        )
        trainer.fit(Classifier(**module), loader, DataLoader(data, batch_size=32))
    assert not explained or callbacks[0].explanation is not None
    return witness.left, counters["stats"]["unique_graphs"]


def bit_rows(device: str, verdicts: list[bool]) -> Iterator[list[str]]:
    """A row for each case: two trainings without the callback, and one with it."""
    for name, (module, options) in CASES.items():
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


def speed_rows(args: argparse.Namespace) -> Iterator[list[str]]:
    """A row for each network, precision and budget."""
    photos = photographs(args.size).to(args.device)
    layouts: dict[str, Callable[[Any], Any]] = {
        "float32": lambda thing: thing,
        "bfloat16": lambda thing: thing.to(torch.bfloat16),
        "channels-last": lambda thing: thing.to(memory_format=torch.channels_last),
    }
    for name in args.models:
        for layout, convert in layouts.items():
            model, images = convert(network(name, args.device)), convert(photos)
            batch_size = best_batch_size(model, images)
            explain_with_ours(model, images, 10)
            for evals in args.evals:
                rows = IMAGES * evals
                bare = repeated(args.repeats, forward, model, images, rows, batch_size)
                mine = repeated(args.repeats, explain_with_ours, model, images, evals)
                cells = [f"{bare:.3f} s", f"{mine:.3f} s", f"{mine / bare:.2f}"]
                if layout == "bfloat16":  # which NumPy, and so shap, does not have
                    yield [name, layout, str(evals), *cells, "-", "-"]
                    continue
                explain_with_shap(model, images, 10)
                theirs = repeated(1, explain_with_shap, model, images, evals)
                cells += [f"{theirs:.2f} s", f"**{theirs / mine:.1f}**"]
                yield [name, layout, str(evals), *cells]


def repeated(times: int, work: Callable[..., Any], *args: Any) -> float:
    """The median of the seconds that ``work`` takes, the GPU's included."""

    def finished() -> None:
        work(*args)
        if torch.cuda.is_available():
            torch.cuda.synchronize()

    return statistics.median(cost_of(finished)[0].wall for _ in range(times))


def main() -> int:
    """Measures, compares, prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=["resnet18", "xcit_nano_12_p16_224"])
    parser.add_argument("--evals", nargs="+", type=int, default=[10, 100, 500])
    parser.add_argument("--size", type=int, default=224, help="pixels a side")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    args = parser.parse_args()
    if args.device == "cuda" and not torch.cuda.is_available():
        print("gpu.py: no CUDA device here; nothing was measured")
        return 2
    warnings.filterwarnings("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)

    print(f"{machine(args.device)}; {IMAGES} photographs of {args.size} px\n")
    columns = ["model", "layout", "evaluations", "forward passes", "ours", "ratio", "shap"]
    table([*columns, "shap / ours"], speed_rows(args))

    print("Two epochs of training with the callback and without\n")
    verdicts: list[bool] = []
    columns = ["training", "repeatable without", "the same bits with", "graphs compiled, with"]
    table(columns, bit_rows(args.device, verdicts))
    print("Every repeatable training is left as it was." if all(verdicts) else "BITS DIFFER.")
    return 0 if all(verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
