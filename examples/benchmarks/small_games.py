"""Games of small networks, trained for a minute or not at all: what estimators are not made with.

    python examples/benchmarks/small_games.py games
    python examples/benchmarks/small_games.py games --drawn 101 102 103   # any number of others
    python examples/benchmarks/accuracy.py --tables games --seeds 8 --budgets 16 32 64

Writes a table for each into a folder, float32 (2^n,): an output of the network, mostly its highest,
for every coalition of the patches of an image at 32 px, or of a photograph for EfficientNet-Lite2.
A name ends with the patches down and across. About twenty minutes of one core for all; ``--only``
makes some.
"""

import argparse
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from games import digits, outputs_of, photographs
from pretrained import ROWS, network
from shipped import square
from torch import nn

from lightning_shap.engine.methods.kernel.design import every_coalition

SIDE = 32
# The network and its image, patches down and across, masker, and which output, from the highest on.
Play = tuple[nn.Module, torch.Tensor, tuple[int, int], str | float, int]


def convolutions(channels: int, classes: int, seed: int) -> nn.Module:
    """Three convolutions and a linear layer, untrained."""
    torch.manual_seed(seed)
    layers: list[nn.Module] = []
    for before, after in ((channels, 16), (16, 32), (32, 32)):
        layers += [nn.Conv2d(before, after, 3, 2, 1), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(128, classes))


def perceptron(channels: int, classes: int, seed: int) -> nn.Module:
    """Three linear layers, untrained."""
    torch.manual_seed(seed)
    first = [nn.Flatten(), nn.Linear(channels * SIDE**2, 64), nn.GELU()]
    return nn.Sequential(*first, nn.Linear(64, 64), nn.GELU(), nn.Linear(64, classes))


def fit(network: nn.Module, images: torch.Tensor, labels: torch.Tensor, steps: int) -> nn.Module:
    """Trains a network for some steps of 64 images."""
    torch.manual_seed(0)
    optimiser = torch.optim.AdamW(network.train().parameters(), lr=2e-3)
    for _ in range(steps):
        batch = torch.randint(len(images), (64,))
        loss = nn.functional.cross_entropy(network(images[batch]), labels[batch])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return network.eval()


def timms(name: str, channels: int, classes: int, seed: int = 0) -> nn.Module:
    """A network of timm's, untrained."""
    torch.manual_seed(seed)
    return timm.create_model(name, in_chans=channels, num_classes=classes).eval()


def games() -> Iterator[tuple[str, Callable[[], Play]]]:
    """Names, and what makes the network and says what is played."""
    crops, numbers = photographs(SIDE, 1200, seed=3), digits(SIDE)
    images, written = crops[0], numbers[0]

    def learnt(kind: Any, data: tuple[torch.Tensor, torch.Tensor], steps: int, seed: int) -> Any:
        return fit(kind(data[0].shape[1], int(data[1].max()) + 1, seed), *data, steps)

    def learnt_timm(name: str, data: tuple[torch.Tensor, torch.Tensor]) -> nn.Module:
        return fit(timms(name, data[0].shape[1], int(data[1].max()) + 1), *data, 120)

    cnn, mlp = convolutions, perceptron
    convnext, effnet, resnet = "test_convnext", "test_efficientnet", "test_resnet"
    made: dict[str, Callable[[], Play]] = {
        "cnn_crops": lambda: (learnt(cnn, crops, 400, 7), images[42], (5, 3), "blur", 0),
        "cnn_digits": lambda: (learnt(cnn, numbers, 400, 0), written[8], (4, 4), -1.0, 0),
        "lite2_coffee": lambda: (network(2), square("coffee", 128), (3, 4), "mean", 0),
        "mlp_crops": lambda: (learnt(mlp, crops, 120, 0), images[20], (4, 4), "blur", 0),
        "random_convnext": lambda: (timms(convnext, 3, 10, 2), images[33], (4, 3), "mean", 0),
        "random_resnet": lambda: (timms(resnet, 3, 10, 1), images[31], (3, 4), "blur", 0),
        "convnext_digits": lambda: (learnt_timm(convnext, numbers), written[21], (3, 4), "blur", 1),
        "effnet_crops": lambda: (learnt_timm(effnet, crops), images[12], (3, 4), "mean", 0),
        "resnet_digits": lambda: (learnt_timm(resnet, numbers), written[5], (4, 3), "blur", 0),
        "held_cnn_crops": lambda: (learnt(cnn, crops, 400, 8), images[43], (3, 3), "mean", 0),
        "held_cnn_digits": lambda: (learnt(cnn, numbers, 400, 1), written[30], (4, 4), "blur", 0),
        "held_lite2_rocket": lambda: (network(2), square("rocket", 96), (3, 4), "mean", 0),
        "held_mlp_digits": lambda: (learnt(mlp, numbers, 120, 0), written[4], (4, 4), -1.0, 0),
        "held_random_cnn": lambda: (cnn(3, 9, 5).eval(), images[35], (4, 4), "mean", 0),
        "held_random_mlp": lambda: (mlp(3, 9, 3).eval(), images[36], (4, 4), "blur", 0),
        "held_resnet_crops": lambda: (learnt_timm(resnet, crops), images[7], (3, 4), "blur", 0),
    }
    yield from made.items()


def draw(seed: int) -> Play:
    """Draws a small network of any kind, trained for a while or not at all, and an image."""
    rng = np.random.default_rng(seed)
    images, labels = photographs(SIDE, 1200, seed=seed) if rng.random() < 0.6 else digits(SIDE)
    channels, classes, weights = images.shape[1], int(labels.max()) + 1, int(rng.integers(1000))
    kinds = [perceptron, convolutions]
    kinds += [partial(timms, f"test_{name}") for name in ("convnext", "efficientnet", "resnet")]
    model = kinds[rng.integers(len(kinds))](channels, classes, weights)
    steps = int(rng.choice([0, 60, 200]))
    model = fit(model, images, labels, steps) if steps else model.eval()
    grid = [(3, 3), (3, 4), (4, 3), (5, 2), (2, 7), (4, 4)][rng.integers(6)]
    image, masker = images[rng.integers(len(images))], ["blur", "mean", -1.0][rng.integers(3)]
    return model, image, grid, masker, int(rng.random() < 0.2)


def table(play: Play) -> np.ndarray:
    """The output for every coalition, float32 (2^n,)."""
    model, image, grid, masker, rank = play
    outputs = outputs_of(model, image, grid, masker)
    present = every_coalition(grid[0] * grid[1])
    asked = np.argsort(-outputs(present[-1:])[0])[rank]
    parts = [present[start : start + ROWS] for start in range(0, len(present), ROWS)]
    return np.concatenate([outputs(part)[:, asked] for part in parts]).astype(np.float32)


def main() -> None:
    """Make the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", default="", help="games whose names hold this text")
    parser.add_argument("--drawn", type=int, nargs="+", help="seeds: other games, drawn by them")
    args = parser.parse_args()
    torch.set_num_threads(1)
    args.folder.mkdir(exist_ok=True)
    drawn = [(f"drawn{seed}", partial(draw, seed)) for seed in args.drawn or ()]
    for name, make in drawn or games():
        if args.only in name:
            play = make()
            rows, columns = play[2]
            np.save(args.folder / f"{name}_{rows}x{columns}.npy", table(play))
            print(name, flush=True)


if __name__ == "__main__":
    main()
