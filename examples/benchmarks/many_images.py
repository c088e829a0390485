"""Many images by the command: flat memory, a killed run that resumes, several processes.

    python examples/benchmarks/many_images.py --images 20000

Explains as many crops of photographs of 64 px by `test_resnet` of timm, once by one process and
once by two that torchrun's variables name, of which one is killed by `kill -9` in the middle and
begun again. It prints the seconds and bytes an image, how the memory of the process grew, and if
all arrays of both results are equal. Needs scikit-learn for the photographs, and Linux for the
memory.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import timm
import torch
from PIL import Image
from sklearn.datasets import load_sample_images

SIDE, CLASSES = 64, 4
FLAGS = ["--dataset", "photographs", "--n_samples", "all", "--topk", "1", "--crop_size", str(SIDE)]


def prepare(root: Path, images: int) -> None:
    """Makes class folders of crops, and a network with a head for them."""
    draw = np.random.default_rng(0)
    photographs = load_sample_images().images
    for number in range(images):
        photograph = photographs[number % 2]
        top, left = (int(draw.integers(length - SIDE)) for length in photograph.shape[:2])
        folder = root / "photographs" / f"class {number % CLASSES}"
        folder.mkdir(parents=True, exist_ok=True)
        crop = photograph[top : top + SIDE, left : left + SIDE]
        Image.fromarray(crop).save(folder / f"{number:07}.png")
    (root / "test_resnet").mkdir()
    torch.manual_seed(0)
    model = timm.create_model("test_resnet", num_classes=CLASSES)
    torch.save({"model": model.state_dict()}, root / "test_resnet" / "best_model.pth")


def begin(root: Path, output: str, evals: int, rank: int = 0, ranks: int = 1) -> subprocess.Popen:
    """Starts a process of the command."""
    variables = {"RANK": str(rank), "WORLD_SIZE": str(ranks), "LOCAL_RANK": "0"}
    command = [sys.executable, "-m", "lightning_shap", "--model_output_dir", "test_resnet", *FLAGS]
    return subprocess.Popen(
        [*command, "--max_evals", str(evals), "--output_dir", output],
        cwd=root,
        env=os.environ | (variables if ranks > 1 else {}),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def measure_memory(process: subprocess.Popen) -> float:
    """Returns the memory that a process holds, in MiB."""
    for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return float("nan")


def watch(process: subprocess.Popen, root: Path, output: str) -> list[tuple[int, float]]:
    """Returns how many shards there were, and the memory, twice a second until a process ends."""
    seen = []
    while process.poll() is None:
        time.sleep(0.5)
        try:
            seen.append((count_shards(root, output), measure_memory(process)))
        except OSError:  # it has just ended
            break
    process.wait()
    return seen


def count_shards(root: Path, output: str) -> int:
    """Returns how many shards are explained."""
    return len([*(root / output).glob(".explanation.*.shards/*.json")])


def main() -> None:
    """Prints what becomes of many images."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--evals", type=int, default=16)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        prepare(root, args.images)
        before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        seen = watch(begin(root, "one", args.evals), root, "one")
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime
        wall = time.perf_counter() - started
        files = {path.name: path.stat().st_size for path in sorted((root / "one").iterdir())}
        print(f"{args.images} images of {SIDE} px, {args.evals} evaluations each")
        print(f"one process: {wall:.0f} s, {1e3 * cpu / args.images:.1f} ms of CPU an image")
        print(
            {name: f"{size / args.images / 1024:.2f} KiB an image" for name, size in files.items()}
        )
        shards = max(count for count, _ in seen)
        for part in (0.1, 0.5, 0.9):
            at = [memory for count, memory in seen if count >= part * shards]
            print(f"memory at {part:.0%} of the shards: {at[0]:.0f} MiB")
        print(f"largest, joining and writing included: {max(memory for _, memory in seen):.0f} MiB")

        ranks = [begin(root, "two", args.evals, rank, 2) for rank in range(2)]
        while count_shards(root, "two") < shards // 2 and ranks[1].poll() is None:
            time.sleep(0.2)
        ranks[1].kill()
        ranks[0].wait()
        left = shards - count_shards(root, "two")
        ranks = [begin(root, "two", args.evals, rank, 2) for rank in range(2)]
        for process in ranks:
            process.wait()
        print(f"two processes, one killed in the middle: {left} shards were left to the next run")
        with (
            np.load(root / "one/explanation.npz") as one,
            np.load(root / "two/explanation.npz") as two,
        ):
            names = [name for name in one.files if name != "about"]
            equal = one.files == two.files and all(
                np.array_equal(one[name], two[name], equal_nan=one[name].dtype.kind == "f")
                if not name.endswith(".png")
                else one[name] == two[name]
                for name in names
            )
        print(f"all {len(names)} entries of both results are {'equal' if equal else 'NOT equal'}")


if __name__ == "__main__":
    main()
