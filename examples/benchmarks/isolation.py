"""What copies of models cost, and which models of which library are copied.

Without an argument: for each network the time to copy it, beside that of ``copy.deepcopy``; the
memory that the copy takes while the explanation lasts; the time of a whole explanation, and what
share of it the copy and its audit are. About two minutes:

    python examples/benchmarks/isolation.py

With libraries: how many of their models are copied, how many refused, and how many of the copies
give other values than the original or leave it changed: a bit of its tensors, an attribute that is
another object, the state of a random generator. About ten minutes for all of them; what is not
installed is left out:

    pip install transformers monai segmentation_models_pytorch torchgeo open_clip_torch peft
    python examples/benchmarks/isolation.py --libraries all

Times are the processor's in one thread, the least of a few, so that other work on the machine is
left out.
"""

import argparse
import copy
import platform
import statistics
import time
import warnings
from collections import Counter
from collections.abc import Callable
from typing import Any

import libraries
import numpy as np
import timm
import torch

from lightning_shap import explain
from lightning_shap.errors import ArgumentError
from lightning_shap.isolation.isolated import isolated
from lightning_shap.isolation.modes import evaluation_mode

NETWORKS = (
    "resnet10t",
    "resnet18",
    "convnext_atto",
    "vit_small_patch16_224",
    "xcit_nano_12_p16_224",
)


def seconds(work: Callable[[], object], repeats: int) -> float:
    """Returns the least time of some runs."""
    taken = []
    for _ in range(repeats):
        started = time.process_time()
        work()
        taken.append(time.process_time() - started)
    return min(taken)


def copied(model: Any) -> None:
    """Copies a model as an explanation does, audits the copy and throws it away."""
    isolated(model, lambda twin: None)


def mebibytes(module: torch.nn.Module) -> float:
    """Returns how large the weights and buffers are."""
    tensors = (*module.parameters(), *module.buffers())
    return sum(tensor.nbytes for tensor in tensors) / 2**20


def row_of_costs(name: str, side: int, args: argparse.Namespace) -> str:
    """Returns a line of the first table."""
    torch.manual_seed(0)
    sized = {} if "vit" not in name and "xcit" not in name else {"img_size": side}
    model = timm.create_model(name, **sized).eval()
    images = torch.rand(args.images, 3, side, side)
    plain = seconds(lambda: copy.deepcopy(model), args.repeats)
    ours = seconds(lambda: copied(model), args.repeats)
    ask = {"max_evals": args.evals, "topk": 3}
    explain(model, images, **ask)
    whole = seconds(lambda: explain(model, images, **ask), 1)
    return (
        f"| {name} | {side} | {mebibytes(model):.0f} MiB | {1000 * plain:.0f} ms "
        f"| {1000 * ours:.0f} ms | {whole:.1f} s | {ours / whole:.1%} |"
    )


# --- libraries -----------------------------------------------------------------------------------


def state_of(model: Any) -> list[Any]:
    """Returns what a copy might change: bits of tensors, attributes' identities, generators."""
    parts = list(model.modules())
    attributes = [sorted((name, id(value)) for name, value in vars(part).items()) for part in parts]
    held = [
        sorted((name, id(value)) for name, value in (vars(part).get(table) or {}).items())
        for part in parts
        for table in ("_parameters", "_buffers", "_modules", "_forward_hooks")
    ]
    tensors = [*model.parameters(), *model.buffers()]
    tensors += [one for part in parts for one in vars(part).values() if torch.is_tensor(one)]
    return [
        attributes,
        held,
        [bits(tensor) for tensor in tensors if not isinstance(tensor, libraries.UNBUILT)],
        [part.training for part in parts],
        torch.get_rng_state().numpy().tobytes(),
        np.random.get_state()[1].tobytes(),
    ]


def bits(tensor: torch.Tensor) -> bytes:
    """Returns the bytes of a tensor, whatever its kind."""
    plain = tensor.detach()
    plain = plain.int_repr() if plain.is_quantized else plain
    return plain.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def numbers_of(output: Any) -> list[torch.Tensor]:
    """Returns all tensors of an output, however they are packed."""
    if torch.is_tensor(output):
        return [output]
    parts = output.values() if hasattr(output, "values") else output
    if parts is None or not hasattr(parts, "__iter__") or isinstance(parts, str):
        return []
    return [tensor for part in parts for tensor in numbers_of(part)]


def called(model: Any, images: Any) -> list[torch.Tensor]:
    """Returns a model's outputs, in the mode that it is in and with the same draws."""
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(1)
        return [tensor.clone() for tensor in numbers_of(model(images.clone()))]


def explained_as(twin: Any, images: Any) -> list[torch.Tensor]:
    """Returns a copy's outputs, in the mode in which explanations call it."""
    with evaluation_mode(twin):
        return called(twin, images)


def end_of(model: Any, images: Any) -> str:
    """Copies a model, calls copy and original, and returns what became of it."""
    before = state_of(model)
    twice = []
    try:
        isolated(model, lambda twin: twice.append(images is None or explained_as(twin, images)))
    except ArgumentError as error:
        return f"refused: {error}"
    if state_of(model) != before:
        return "changed"
    if images is not None:
        expected = called(model, images)
        alike = [torch.equal(*pair) for pair in zip(twice[0], expected, strict=True)]
        if not (alike and all(alike)):
            return "other values"
    return "copied"


def row_of_library(library: str, args: argparse.Namespace) -> str:
    """Returns a line of the second table; what is no copy is printed at once."""
    ends: Counter[str] = Counter()
    ratios, ours = [], []
    for name, make, images in libraries.MODELS[library]():
        torch.manual_seed(0)
        try:
            model = libraries.evaluated(make())
            given = images() if callable(images) else images
            if given is not None:
                called(model, given)
        except Exception as error:  # of the library's
            print(f"  {library}, {name}: not built, {type(error).__name__}: {error}"[:200])
            ends["not built"] += 1
            continue
        end = end_of(model, given)
        ends[end.partition(":")[0]] += 1
        if end != "copied":
            print(f"  {library}, {name}: {end}", flush=True)
            continue
        ours.append(seconds(lambda model=model: copied(model), args.repeats))
        try:
            plain = seconds(lambda model=model: copy.deepcopy(model), args.repeats)
            ratios.append(ours[-1] / plain)
        except Exception:  # it has no deep copy
            ends["no deepcopy"] += 1
    tried = sum(ends.values()) - ends["not built"] - ends["no deepcopy"]
    columns = [ends[end] for end in ("copied", "refused", "other values", "changed", "no deepcopy")]
    costs = f"{1000 * statistics.median(ours):.0f} ms | {statistics.median(ratios):.1f}"
    return f"| {library} | {tried} | {' | '.join(map(str, columns))} | {costs} |"


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--libraries", nargs="+", choices=["all", *libraries.MODELS])
    parser.add_argument("--networks", nargs="+", default=NETWORKS)
    parser.add_argument("--sides", nargs="+", type=int, default=(64, 224), help="pixels a side")
    parser.add_argument("--images", type=int, default=4)
    parser.add_argument("--evals", type=int, default=50, help="max_evals")
    parser.add_argument("--repeats", type=int, default=7)
    args = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")

    print(f"{platform.processor() or platform.machine()}, one thread, torch {torch.__version__},")
    if args.libraries:
        asked = libraries.MODELS if "all" in args.libraries else args.libraries
        print("what is not copied, then the table\n")
        rows = [row_of_library(library, args) for library in asked]
        print("\n| library | models | copied | refused | other values | original changed ", end="")
        print("| deepcopy refuses | copy and audit, median | of deepcopy |")
        print("\n".join(["| --- " * 9 + "|", *rows]))
        return
    print(f"{args.images} images, {args.evals} evaluations\n")
    print("| network | px | a copy takes | deepcopy | ours | explanation | copy and audit |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name in args.networks:
        for side in args.sides:
            print(row_of_costs(name, side, args), flush=True)


if __name__ == "__main__":
    main()
