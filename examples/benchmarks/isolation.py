"""What it costs that an explanation calls a copy of the model.

For each network: the time to copy it, beside that of ``copy.deepcopy``; the memory that the copy
takes while the explanation lasts; the time of a whole explanation, and what share of it the copy
and its audit are. These are parts of one run: a second run without them would
differ from the first by more than they take.

Times are the processor's in one thread, the least of a few, so that other work on the machine is
left out. About two minutes:

    python examples/benchmarks/isolation.py
"""

import argparse
import copy
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import timm
import torch

from lightning_shap import explain
from lightning_shap.isolation import isolated
from lightning_shap.isolation.copying import Copy

NETWORKS = (
    "resnet10t",
    "resnet18",
    "convnext_atto",
    "vit_small_patch16_224",
    "xcit_nano_12_p16_224",
)


def seconds(work: Callable[[], object], repeats: int) -> float:
    """The least time of some runs."""
    taken = []
    for _ in range(repeats):
        started = time.process_time()
        work()
        taken.append(time.process_time() - started)
    return min(taken)


def mebibytes(module: torch.nn.Module) -> float:
    """How large the weights and buffers are."""
    tensors = (*module.parameters(), *module.buffers())
    return sum(tensor.nbytes for tensor in tensors) / 2**20


class Clock:
    """Adds up the time that copies take."""

    def __init__(self) -> None:
        self.seconds = 0.0


@contextmanager
def timed() -> Iterator[Clock]:
    """Measures copying wherever it happens."""
    clock = Clock()

    class Timed(Copy[Any]):
        def __init__(self, original: Any, **options: Any) -> None:
            started = time.process_time()
            super().__init__(original, **options)
            clock.seconds += time.process_time() - started

    isolated.Copy = Timed
    try:
        yield clock
    finally:
        isolated.Copy = Copy


def measured(name: str, side: int, args: argparse.Namespace) -> str:
    """A line of the table."""
    torch.manual_seed(0)
    sized = {} if "vit" not in name and "xcit" not in name else {"img_size": side}
    model = timm.create_model(name, **sized).eval()
    images = torch.rand(args.images, 3, side, side)
    plain = seconds(lambda: copy.deepcopy(model), args.repeats)
    ours = seconds(lambda: Copy(model), args.repeats)
    ask = {"max_evals": args.evals, "topk": 3}
    explain(model, images, **ask)
    started = time.process_time()
    with timed() as clock:
        explain(model, images, **ask)
    whole = time.process_time() - started
    return (
        f"| {name} | {side} | {mebibytes(model):.0f} MiB | {1000 * plain:.0f} ms "
        f"| {1000 * ours:.0f} ms | {whole:.1f} s | {clock.seconds / whole:.1%} |"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", default=NETWORKS)
    parser.add_argument("--sides", nargs="+", type=int, default=(64, 224), help="pixels a side")
    parser.add_argument("--images", type=int, default=4)
    parser.add_argument("--evals", type=int, default=50, help="max_evals")
    parser.add_argument("--repeats", type=int, default=7)
    args = parser.parse_args()
    torch.set_num_threads(1)

    print(f"{platform.processor() or platform.machine()}, one thread, torch {torch.__version__},")
    print(f"{args.images} images, {args.evals} evaluations\n")
    print("| network | px | a copy takes | deepcopy | ours | explanation | copy and audit |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name in args.networks:
        for side in args.sides:
            print(measured(name, side, args), flush=True)


if __name__ == "__main__":
    main()
