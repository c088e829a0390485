"""What low precision means for maps: a model in bfloat16 against the same in float32.

A small network learns briefly to tell which channel of noise with a picture's spectrum holds a
square. Then it is explained as it is, with ``precision="bf16"``, rounded to bfloat16 with float32
images, rounded with rounded images, and as it is with rounded images. What is printed is how the
maps of true classes correlate with those of float32, image by image, and their time of the
processor's over that of float32. A machine whose flags name neither amx_bf16 nor avx512_bf16 has no
fast arithmetic for it.

Two to eight minutes a network:

    python examples/benchmarks/precision.py resnet10t --epochs 3
    python examples/benchmarks/precision.py vit_tiny_patch16_224 --epochs 2
"""

import argparse
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch

from lightning_shap import explain

SIDE, CLASSES = 224, 3


def pictures(count: int, random: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Images (N, 3, SIDE, SIDE) and the channel that holds a square in each (N,)."""
    squared = np.add.outer(np.fft.fftfreq(SIDE) ** 2, np.fft.fftfreq(SIDE) ** 2)
    squared[0, 0] = 1
    noise = np.fft.fft2(random.standard_normal((count, 3, SIDE, SIDE)))
    images = np.fft.ifft2(noise / squared**0.6).real
    images = (images / images.std()).astype(np.float32)
    labels = random.integers(0, CLASSES, count)
    for image, label in zip(images, labels, strict=True):
        top, left = random.integers(20, SIDE - 100, 2)
        image[label, top : top + 70, left : left + 70] += 2.5
    return torch.from_numpy(images), torch.from_numpy(labels)


def trained(name: str, epochs: int, images: torch.Tensor, labels: torch.Tensor) -> Any:
    """A network that has seen the images so many times."""
    torch.manual_seed(0)
    net = timm.create_model(name, num_classes=CLASSES)
    optimizer = torch.optim.AdamW(net.parameters(), 3e-4 if "vit" in name else 1e-3)
    for _ in range(epochs):
        for rows in torch.randperm(len(images)).split(16):
            loss = torch.nn.functional.cross_entropy(net(images[rows]), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return net.eval()


def main() -> None:
    """Train, explain and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", help="of a network of timm's")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--evals", type=int, default=100)
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--asked", action="store_true", help="only precision='bf16'")
    args = parser.parse_args()
    random = np.random.default_rng(0)
    net = trained(args.name, args.epochs, *pictures(64, random))
    images, labels = pictures(args.images, random)
    low = timm.create_model(args.name, num_classes=CLASSES)
    low.load_state_dict(net.state_dict())
    low = low.eval().bfloat16()
    rounded = images.bfloat16()
    cases: dict[str, tuple[Any, torch.Tensor, dict[str, Any]]] = {
        "precision='bf16'": (net, images, {"precision": "bf16"}),
        "bfloat16 model, float32 images": (low, images, {}),
        "bfloat16 model, rounded images": (low, rounded, {}),
        "float32 model, rounded images": (net, rounded.float(), {}),
    }
    print(f"{args.name}: correlation with the maps of the float32 model and images, each image")
    print(f"fast arithmetic: {', '.join(fast_arithmetic()) or 'none'}\n")
    for method in ("partition", "kernel"):
        for regions in ("image", "boxes"):

            def maps(model: Any, pixels: torch.Tensor, **more: Any) -> tuple[Any, float]:
                began = time.process_time()
                found = explain(
                    model,
                    pixels,
                    method=method,  # noqa: B023 - called at once
                    regions=regions,  # noqa: B023
                    max_evals=args.evals,
                    targets=labels[:, None],
                    **more,
                )
                taken = time.process_time() - began
                return found.values.sum((3, 4)).reshape(len(pixels), -1), taken

            exact, _ = maps(net, images)
            for case, (model, pixels, more) in list(cases.items())[: 1 if args.asked else None]:
                _, plain = maps(net, images)
                found, taken = maps(model, pixels, **more)
                agree = [np.corrcoef(pair)[0, 1] for pair in zip(exact, found, strict=True)]
                each = " ".join(f"{one:.2f}" for one in agree)
                middle = f"{statistics.median(agree):.3f}"
                print(
                    f"{method:9} {regions:5} {case:32} {each} | {middle} | {taken / plain:.2f}",
                    flush=True,
                )


def fast_arithmetic() -> list[str]:
    """What the processor has for bfloat16, by the names of Linux."""
    path = Path("/proc/cpuinfo")
    flags = {*path.read_text().split()} if path.exists() else set()
    return sorted(flags & {"amx_bf16", "avx512_bf16"})


if __name__ == "__main__":
    main()
