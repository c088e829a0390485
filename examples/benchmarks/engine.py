"""How much an explanation costs beyond the model: ours, shap's and the bare forward passes.

Six questions, each answered in one run, side by side:

- passes: the whole explanation over forward passes of as many rows, by eight, in the model's own
  layout, for several networks and kinds of regions, in CPU time.
- warm: the same at the best batch size, on the clock, for several numbers of evaluations.
- cold: the first explanation in a fresh process over the first forward passes in another.
- memory: what an explanation needs beyond its model, of which the one here needs next to nothing.
- compiled: what compiling a model for eight rows takes, and after how many rows that is regained.
- kernel: what choosing coalitions and solving for Shapley values adds to the model's time.

On two quiet CPU cores the default run takes about ten minutes, ``--quick`` about two:

    python examples/benchmarks/engine.py
    python examples/benchmarks/engine.py --models resnet18 --evals 10 100 --repeats 5
    python examples/benchmarks/engine.py --only kernel --models resnet18 test_resnet
    python examples/benchmarks/engine.py --only passes --models lite0 vit_tiny_patch16_224 \
        --evals 50 --threads 1
    python examples/benchmarks/engine.py --only passes --models tiny --size 32 --evals 100 \
        --ways boxes image kernel --repeats 15 --threads 1

``lite0`` is EfficientNet-Lite0 (``pip install efficientnet-lite-pytorch``), ``tiny`` has two
convolutions; all other names are timm's.

Forward passes run half before and half after what they are compared with, and every figure is the
median over repetitions. On a machine that others use too, trust the ratios of CPU time more.
"""

import argparse
import os
import platform
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import chain
from multiprocessing import get_context
from typing import Any, NamedTuple

IMAGES = 4
TOPK = 4
BATCH_SIZES = (8, 16, 32, 64)
BARE_ROWS = 8  # of a forward pass that others are held against
WAYS: dict[str, dict[str, Any]] = {
    "boxes": {},
    "image": {"regions": "image"},
    "kernel": {"method": "kernel"},
}
QUESTIONS = ("passes", "warm", "cold", "memory", "kernel", "compiled")
KERNEL_SETTINGS = ((4, 100), (8, 512), (14, 500))  # patches a side, evaluations
MOST_FORWARD_ROWS = 64  # a row costs what a row costs: more are extrapolated


class Cost(NamedTuple):
    """Seconds on the clock and on all of the process's cores."""

    wall: float
    cpu: float

    def over(self, other: "Cost") -> "Cost":
        """The ratio of two costs."""
        return Cost(self.wall / other.wall, self.cpu / other.cpu)


def cost_of(work: Callable[[], Any]) -> tuple[Cost, Any]:
    """What ``work`` costs, and what it returns."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    return Cost(time.perf_counter() - wall, time.process_time() - cpu), result


def median(costs: list[Cost]) -> Cost:
    """The median of each part."""
    return Cost(*(statistics.median(part) for part in zip(*costs, strict=True)))


# --- the contenders ------------------------------------------------------------------------------


def photographs(size: int) -> Any:
    """Four photographs that scikit-learn and scikit-image ship, as an ImageNet model takes them.

    Without these libraries, coloured noise: weights and pixels change no times.
    """
    import numpy as np
    import torch
    from PIL import Image

    try:
        import skimage.data
        from sklearn.datasets import load_sample_images
    except ImportError:
        noise = torch.randn(IMAGES, 3, 8, 8, generator=torch.Generator().manual_seed(0))
        return torch.nn.functional.interpolate(noise, size=(size, size), mode="bicubic")

    pictures = [*load_sample_images().images, skimage.data.chelsea(), skimage.data.coffee()]
    squares = [Image.fromarray(picture).resize((size, size)) for picture in pictures]
    images = torch.tensor(np.stack(squares)).permute(0, 3, 1, 2).float() / 255
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    return (images - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)


def network(name: str, device: str) -> Any:
    """An untrained network: weights change no times."""
    import timm
    import torch
    from torch import nn

    torch.manual_seed(0)
    if name == "lite0":
        from efficientnet_lite_pytorch import EfficientNet

        return EfficientNet.from_name("efficientnet-lite0").eval().to(device)
    if name == "tiny":
        first = [nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        second = [nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1)]
        return nn.Sequential(*first, *second, nn.Flatten(), nn.Linear(32, 10)).eval().to(device)
    return timm.create_model(name, pretrained=False).eval().to(device)


def ours(model: Any, images: Any, evals: int, **way: Any) -> Any:
    """One call of the engine with its own choice of batch size."""
    from lightning_shap import explain

    masker = f"blur({kernel(images)})"
    return explain(model, images, max_evals=evals, topk=TOPK, masker=masker, **way)


def patches(model: Any, images: Any, side: int, evals: int) -> Any:
    """The kernel method on a grid of patches."""
    from lightning_shap import explain

    return explain(model, images, method="kernel", grid=side, max_evals=evals, topk=TOPK)


def shaps(model: Any, images: Any, evals: int) -> Any:
    """The same with shap's own engine and its own batch size, ten, which ours keeps to as well."""
    import shap
    import torch

    device = next(model.parameters()).device

    def predict(pixels: Any) -> Any:
        with torch.no_grad():
            return model(torch.from_numpy(pixels).movedim(-1, 1).to(device)).cpu().numpy()

    pixels = images.cpu().movedim(1, -1).contiguous().numpy()
    masker = shap.maskers.Image(f"blur({kernel(images)})", pixels[0].shape)
    explainer = shap.PartitionExplainer(predict, masker)
    best = shap.Explanation.argsort.flip[:TOPK]
    return explainer(pixels, max_evals=evals, batch_size=10, outputs=best, silent=True)


def forward(model: Any, images: Any, rows: int, batch_size: int) -> None:
    """Bare forward passes of so many rows, ready on the device."""
    import torch

    batch = images.to(next(model.parameters()).device).repeat(
        -(-batch_size // len(images)), 1, 1, 1
    )
    with torch.no_grad():
        for start in range(0, rows, batch_size):
            model(batch[: min(batch_size, rows - start)]).cpu()


def kernel(images: Any) -> str:
    """The blur's kernel: 128 at 224 pixels, in shap's notation and in ours."""
    side = round(images.shape[-1] * 4 / 7)
    return f"{side},{side}"


# --- the measurements ----------------------------------------------------------------------------


def in_fresh_process(function: Callable[..., Any], *args: Any) -> Any:
    """Calls a function of this file in a new interpreter."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *args).result()


def cold_run(
    contender: str, name: str, evals: int, size: int, device: str, batch_size: int
) -> tuple[float, Cost]:
    """Seconds of import, and the cost of what this process explains or evaluates first."""
    images, model = photographs(size), network(name, device)
    images.to(device)
    if contender == "forward":
        return 0.0, cost_of(lambda: forward(model, images, IMAGES * evals, batch_size))[0]
    imports, _ = cost_of(import_ours if contender == "ours" else import_shap)
    explain = ours if contender == "ours" else shaps
    return imports.wall, cost_of(lambda: explain(model, images, evals))[0]


def import_ours() -> None:
    """What ``lightning_shap.explain`` needs beside torch."""
    from lightning_shap import explain  # noqa: F401


def import_shap() -> None:
    """What ``shap.PartitionExplainer`` needs."""
    import shap  # noqa: F401


def memory_run(contender: str, evals: int, size: int, device: str) -> float:
    """MiB by which an explanation of a model without memory of its own raises the peak."""
    import torch

    images = photographs(size)
    pooling = torch.nn.Sequential(
        torch.nn.AdaptiveAvgPool2d(8), torch.nn.Flatten(), torch.nn.Linear(192, 10)
    ).to(device)
    explain = ours if contender == "ours" else shaps
    explain(pooling, images[:1, :, :16, :16].contiguous(), 20)  # imports, compiled code
    forward(pooling, images, 64, 64)
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    before = peak_memory(device)
    explain(pooling, images, evals)
    return peak_memory(device) - before


def peak_memory(device: str) -> float:
    """The most that this process has held so far, in MiB; on a GPU, of the GPU's memory."""
    if device == "cuda":
        import torch

        return torch.cuda.max_memory_allocated() / 2**20
    if sys.platform == "linux":  # where getrusage starts from the parent's peak
        with open("/proc/self/status") as status:
            return next(int(line.split()[1]) / 2**10 for line in status if "VmHWM" in line)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def best_batch_size(model: Any, images: Any) -> int:
    """The batch size of the fastest forward passes."""
    forward(model, images, 64, 64)
    costs = {
        size: min(cost_of(lambda size=size: forward(model, images, 64, size))[0] for _ in range(2))
        for size in BATCH_SIZES
    }
    return min(costs, key=lambda size: costs[size])


def against_forward(
    model: Any, images: Any, evals: int, batch_size: int, explain: Callable[[], Any]
) -> tuple[Cost, Cost, Any]:
    """What as many forward passes cost, half before and half after; an explanation, and itself."""
    rows = IMAGES * evals
    half = min(rows, MOST_FORWARD_ROWS) // 2
    before, _ = cost_of(lambda: forward(model, images, half, batch_size))
    cost, explanation = cost_of(explain)
    after, _ = cost_of(lambda: forward(model, images, half, batch_size))
    scale = rows / (2 * half)
    bare = Cost(*(scale * (a + b) for a, b in zip(before, after, strict=True)))
    return bare, cost, explanation


def passes_row(
    model: Any, images: Any, evals: int, ways: list[str], repeats: int
) -> tuple[list[str], dict[str, float]]:
    """A row of the table, and the ratio of each way."""
    pair = partial(against_forward, model, images, evals, BARE_ROWS)
    contenders = {way: partial(ours, model, images, evals, **WAYS[way]) for way in ways}
    contenders["shap"] = partial(shaps, model, images, evals)
    found, *_ = [explain().values for explain in contenders.values()]  # warm
    plain = ours(lambda rows: model(rows), images, evals, **WAYS[ways[0]]).values  # not a copy
    apart = abs(found - plain).max() / abs(plain).max()
    runs: dict[str, list[tuple[Cost, Cost, Any]]] = {name: [] for name in contenders}
    for number in range(repeats):
        for name, explain in contenders.items():
            if name != "shap" or number == 0:
                runs[name].append(pair(explain))
    bare = statistics.median(b.cpu for found in runs.values() for b, _, _ in found)
    ratios = {
        name: statistics.median(cost.over(b).cpu for b, cost, _ in found)
        for name, found in runs.items()
    }
    cells = [f"{1e3 * bare / (IMAGES * evals):.2f} ms", *(f"{r:.2f}" for r in ratios.values())]
    return [*cells, f"{apart:.1e}"], ratios


def warm_runs(
    model: Any, images: Any, evals: int, batch_size: int, repeats: int
) -> tuple[list[str], float]:
    """A row of the table, and how far ours and shap's values are apart."""
    pair = partial(against_forward, model, images, evals, batch_size)
    runs = [pair(lambda: ours(model, images, evals)) for _ in range(repeats)]
    shap_bare, shap_cost, theirs = pair(lambda: shaps(model, images, evals))
    explanation = runs[-1][2]
    ratio = median([cost.over(bare) for bare, cost, _ in runs])
    shap_ratio = shap_cost.over(shap_bare)
    outside = statistics.median(1 - e.record.model_seconds / e.record.seconds for _, _, e in runs)
    cells = [
        f"{median([bare for bare, _, _ in runs]).wall:.2f} s",
        f"{median([cost for _, cost, _ in runs]).wall:.2f} s",
        f"**{ratio.wall:.2f}** ({ratio.cpu:.2f})",
        f"{outside:.1%}",
        f"{shap_cost.wall:.2f} s",
        f"{shap_ratio.wall:.2f} ({shap_ratio.cpu:.2f})",
    ]
    apart = abs(explanation.values - theirs.values).max() / abs(theirs.values).max()
    return cells, float(apart)


def compiled_run(name: str, size: int, device: str) -> tuple[float, float, float]:
    """CPU seconds: of compiling, of a row as it is written (channels-last), and of one compiled."""
    import torch

    os.environ["TORCHINDUCTOR_FORCE_DISABLE_CACHES"] = "1"
    images, model = photographs(size), network(name, device)
    model.to(memory_format=torch.channels_last)

    def cpu(work: Callable[[], Any]) -> float:
        """With what compilers take in processes of their own."""

        def now() -> float:
            return sum(sum(resource.getrusage(who)[:2]) for who in whose)

        whose = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        before = now()
        work()
        return now() - before

    written = partial(forward, model, images, BARE_ROWS, BARE_ROWS)
    written()
    fast = torch.compile(model)
    fast.parameters = model.parameters
    compiled = partial(forward, fast, images, BARE_ROWS, BARE_ROWS)
    first = cpu(compiled)
    pairs = [(cpu(written), cpu(compiled)) for _ in range(5)]
    slow, quick = (statistics.median(part) / BARE_ROWS for part in zip(*pairs, strict=True))
    return first - BARE_ROWS * quick, slow, quick


# --- the tables ----------------------------------------------------------------------------------


def machine(device: str) -> str:
    """The machine in a line."""
    import torch

    name = platform.processor() or platform.machine()
    if sys.platform == "linux":
        with open("/proc/cpuinfo") as cpuinfo:
            names = [line.split(":")[1].strip() for line in cpuinfo if "model name" in line]
        name = names[0] if names else name
    gpu = f", {torch.cuda.get_device_name()}" if device == "cuda" else ""
    load = f", load {os.getloadavg()[0]:.1f} at the start" if hasattr(os, "getloadavg") else ""
    return f"{name}, {os.cpu_count()} cores{gpu}, torch {torch.__version__}{load}"


def table(columns: list[str], rows: Iterable[list[str]]) -> None:
    """Prints a markdown table, each row as soon as it is known."""
    for cells in chain([columns, ["---"] * len(columns)], rows):
        print("|", " | ".join(cells), "|", flush=True)
    print(flush=True)


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=["resnet18", "xcit_nano_12_p16_224"])
    parser.add_argument("--evals", nargs="+", type=int, default=[10, 100, 500])
    parser.add_argument("--repeats", type=int, default=3, help="once only above 100 evaluations")
    parser.add_argument("--device", default=None, help="cpu or cuda; cuda where there is one")
    parser.add_argument("--size", type=int, default=224, help="pixels a side")
    parser.add_argument("--threads", type=int, default=None, help="torch's CPU threads")
    parser.add_argument("--only", nargs="+", choices=QUESTIONS, default=QUESTIONS[:5])
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=["boxes"], help="of passes")
    parser.add_argument("--quick", action="store_true", help="10 and 50 evaluations, once")
    args = parser.parse_args()
    if args.quick:
        args.evals, args.repeats = [10, 50], 1
    if args.threads is not None:
        os.environ["OMP_NUM_THREADS"] = str(args.threads)  # the fresh processes obey it too

    import torch

    from lightning_shap.engine.methods.kernel.design import coalition_pairs

    started = time.perf_counter()
    device = args.device or ("cuda" if torch.cuda.is_available() else "cpu")
    print(f"{machine(device)}; {IMAGES} photographs of {args.size} px\n")
    images = photographs(args.size)
    models = {name: network(name, device) for name in args.models}
    batch_sizes = {
        name: best_batch_size(model, images)
        for name, model in models.items()
        if {"warm", "cold"} & {*args.only}
    }

    setting = (args.size, device)
    differences: list[float] = []

    def passes_rows() -> Iterator[list[str]]:
        found: list[dict[str, float]] = []
        for name, model in models.items():
            cells, ratios = passes_row(model, images, args.evals[0], args.ways, args.repeats)
            found.append(ratios)
            yield [name, *cells]
        for word, choose in (("mean", statistics.mean), ("worst", max)):
            yield [word, "", *(f"{choose(r[way] for r in found):.2f}" for way in found[0]), ""]

    def warm_rows() -> Iterator[list[str]]:
        for name, model in models.items():
            ours(model, images, 10), shaps(model, images, 10)
            for evals in args.evals:
                repeats = args.repeats if evals <= 100 else 1
                cells, apart = warm_runs(model, images, evals, batch_sizes[name], repeats)
                differences.append(apart)
                yield [f"{name}, batch {batch_sizes[name]}", str(evals), *cells]

    def cold_rows() -> Iterator[list[str]]:
        for name in models:
            first = (name, args.evals[0], *setting, batch_sizes[name])
            runs = [
                [in_fresh_process(cold_run, contender, *first) for contender in ("forward", "ours")]
                for _ in range(args.repeats)
            ]
            shap_imports, shap_cost = in_fresh_process(cold_run, "shap", *first)
            bare, mine = (median([pair[i][1] for pair in runs]) for i in (0, 1))
            ratio = median([pair[1][1].over(pair[0][1]) for pair in runs])
            imports = statistics.median(pair[1][0] for pair in runs)
            cells = [f"{bare.wall:.2f} s", f"{mine.wall:.2f} s"]
            cells += [f"**{ratio.wall:.2f}** ({ratio.cpu:.2f})", f"{imports:.1f} s"]
            yield [name, *cells, f"{shap_cost.wall:.2f} s", f"{shap_imports:.1f} s"]

    def memory_rows() -> Iterator[list[str]]:
        for contender in ("ours", "shap"):
            peaks = [in_fresh_process(memory_run, contender, n, *setting) for n in args.evals]
            yield [contender, *(f"{peak:.0f}" for peak in peaks)]

    def kernel_rows() -> Iterator[list[str]]:
        for name, model in models.items():
            for side, evals in KERNEL_SETTINGS[: 1 if args.quick else None]:
                coalition_pairs.cache_clear()
                first, again = (patches(model, images[:1], side, evals).record for _ in range(2))
                beyond = [run.seconds - run.model_seconds for run in (first, again)]
                cells = [f"{side} x {side}", str(evals), f"{again.model_seconds:.2f} s"]
                cells += [f"{beyond[0]:.2f} s", f"{beyond[1]:.2f} s"]
                yield [name, *cells, f"**{beyond[1] / again.model_seconds:.1%}**"]

    def compiled_rows() -> Iterator[list[str]]:
        for name in models:
            taken, slow, quick = in_fresh_process(compiled_run, name, *setting)
            after = f"{taken / (slow - quick):,.0f} rows" if quick < slow else "never"
            yield [name, f"{taken:.0f} s", f"{1e3 * slow:.1f} ms", f"{1e3 * quick:.1f} ms", after]

    if "passes" in args.only:
        print(f"{args.evals[0]} evaluations over forward passes by {BARE_ROWS} rows, CPU time\n")
        columns = ["model", "a row of a pass", *args.ways, "shap", "values differ by"]
        table(columns, passes_rows())
    if "warm" in args.only:
        print("Warm; ratios to the bare forward passes on the clock (and in CPU time)\n")
        columns = ["model, best batch size", "evaluations", "forward passes", "ours", "ratio"]
        table([*columns, "outside the model", "shap", "ratio"], warm_rows())
        print(f"Largest difference of the values, of the largest value: {max(differences):.1e}\n")
    if "cold" in args.only:
        print(f"Cold; the first explanation in a process, {args.evals[0]} evaluations\n")
        columns = ["model", "forward passes", "ours", "ratio", "its imports", "shap", "its imports"]
        table(columns, cold_rows())
    if "memory" in args.only:
        print("Peak memory beyond a model that needs none, MiB\n")
        table(["evaluations", *map(str, args.evals)], memory_rows())
    if "kernel" in args.only:
        print(
            f"Kernel method, one image, {TOPK} classes; the first time it also picks coalitions\n"
        )
        columns = ["model", "patches", "evaluations", "in the model", "beside it, first", "again"]
        table([*columns, "of the model's"], kernel_rows())
    if "compiled" in args.only:
        print("torch.compile, CPU time\n")
        columns = ["model", "compiling", "a row as written", "a row compiled", "regained after"]
        table(columns, compiled_rows())
    print(f"Measured in {time.perf_counter() - started:.0f} s.")


if __name__ == "__main__":
    main()
