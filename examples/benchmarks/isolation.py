"""What it costs that an explanation calls a copy of the model.

For each network: the time to copy it, beside that of ``copy.deepcopy``; the memory that the copy
takes while the explanation lasts; the time of a whole explanation, and what share of it the copy
and the guards around each call are. These are parts of one run: a second run without them would
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

import timm
import torch

from lightning_shap import explain
from lightning_shap.isolation import isolated, random_states
from lightning_shap.isolation.copying import ModelCopy

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
    """Adds up the time that some functions take, less that of what they are given to call."""

    def __init__(self) -> None:
        self.seconds = 0.0

    @contextmanager
    def running(self, sign: int = 1) -> Iterator[None]:
        """Counts the time of a block, or leaves it out."""
        started = time.process_time()
        try:
            yield
        finally:
            self.seconds += sign * (time.process_time() - started)


@contextmanager
def timed() -> Iterator[Clock]:
    """Measures copying and guarding wherever they happen."""
    clock, call, copied = Clock(), random_states.Draws.call, isolated.ModelCopy

    def timed_call(self: random_states.Draws, work: Callable[[], object]) -> object:
        def inner() -> object:
            with clock.running(-1):
                return work()

        with clock.running():
            return call(self, inner)

    def timed_copy(module: torch.nn.Module) -> ModelCopy:
        with clock.running(2):  # once more, as the call around it leaves it out
            return copied(module)

    random_states.Draws.call, isolated.ModelCopy = timed_call, timed_copy
    try:
        yield clock
    finally:
        random_states.Draws.call, isolated.ModelCopy = call, copied


def measured(name: str, side: int, args: argparse.Namespace) -> str:
    """A line of the table."""
    torch.manual_seed(0)
    sized = {} if "vit" not in name and "xcit" not in name else {"img_size": side}
    model = timm.create_model(name, **sized).eval()
    images = torch.rand(args.images, 3, side, side)
    plain = seconds(lambda: copy.deepcopy(model), args.repeats)
    ours = seconds(lambda: ModelCopy(model), args.repeats)
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
    print("| network | px | a copy takes | deepcopy | ours | explanation | copy and guards |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name in args.networks:
        for side in args.sides:
            print(measured(name, side, args), flush=True)


if __name__ == "__main__":
    main()
