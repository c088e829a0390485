"""Games to measure estimators on: real networks on real images, and synthetic ones.

A game is a table of all 2^n coalitions of a small grid, so that its Shapley values are exact and a
trial costs nothing. Networks are trained here, for a minute or so each, on images that scikit-learn
and scikit-image ship.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import timm
import torch
from skimage import data
from sklearn.datasets import load_digits, load_sample_images
from torch import nn
from torch.nn import functional

from lightning_shap.engine.game import CoalitionGame
from lightning_shap.engine.maskers import paint_background
from lightning_shap.engine.methods.kernel.design import every_coalition
from lightning_shap.engine.methods.kernel.estimate import estimate
from lightning_shap.engine.regions.patches import LabelledCoalitions, label_patches

BATCH = 64  # images of a training step
VIT = {"img_size": 64, "patch_size": 8, "embed_dim": 96, "depth": 4, "num_heads": 4}


@dataclass(frozen=True)
class Game:
    """A value function over coalitions of a grid of players, with its exact Shapley values."""

    name: str
    grid: tuple[int, int]
    value: Callable[[np.ndarray], np.ndarray]  # bool (R, n) -> float64 (R,)
    truth: np.ndarray  # (n,)
    truth_std: np.ndarray | None = None  # where the truth is itself an estimate
    real: bool = True

    @property
    def players(self) -> int:
        """How many players the game has."""
        return self.grid[0] * self.grid[1]


def tabulated(name: str, grid: tuple[int, int], table: np.ndarray, *, real: bool) -> Game:
    """A game given as the values of :func:`every_coalition`, (2^n,)."""
    players = grid[0] * grid[1]
    exact = exact_values(table[:, None], grid)[:, 0]
    places = 1 << np.arange(players)
    return Game(name, grid, lambda present: table[present @ places], exact, real=real)


def exact_values(table: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """Shapley values (n, K) of games given as tables, (2^n, K)."""
    coalitions = every_coalition(grid[0] * grid[1])[1:-1]
    return estimate(coalitions, table[1:-1], table[0], table[-1], grid).values


def synthetic_games(grid: tuple[int, int], seed: int = 0) -> list[Game]:
    """Additive, pairwise, third order, unanimity and maximum."""
    rng = np.random.default_rng(seed)
    present = every_coalition(grid[0] * grid[1]).astype(float)
    n = present.shape[1]
    effects = rng.standard_normal(n)
    pairs = np.triu(rng.standard_normal((n, n)), 1) / np.sqrt(n)
    threes = [rng.choice(n, 3, replace=False) for _ in range(4 * n)]
    third = sum(rng.standard_normal() * present[:, three].prod(1) for three in threes)
    needed = rng.choice(n, 5, replace=False)
    tables = {
        "additive": present @ effects,
        "pairwise": present @ effects + np.einsum("ri,ij,rj->r", present, pairs, present),
        "third order": present @ effects + third / np.sqrt(n),
        "unanimity": present[:, needed].all(1).astype(float),
        "maximum": (present * rng.uniform(0, 1, n)).max(1),
    }
    return [tabulated(name, grid, table, real=False) for name, table in tables.items()]


def photographs(size: int, count: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Random crops of photographs, standardised, (N, 3, size, size), and which one each is of."""
    china, flower = load_sample_images().images
    sources = [china, flower, data.chelsea(), data.coffee(), data.astronaut(), data.rocket()]
    sources += [data.retina(), data.immunohistochemistry(), data.hubble_deep_field()]
    rng = np.random.default_rng(seed)
    labels = rng.integers(len(sources), size=count)
    crops = []
    for label in labels:
        source = torch.from_numpy(sources[label].copy()).permute(2, 0, 1)
        side = int(min(source.shape[1:]) * rng.uniform(0.3, 0.95))
        top, left = (rng.integers(length - side + 1) for length in source.shape[1:])
        crop = source[:, top : top + side, left : left + side].float()[None]
        crops.append(functional.interpolate(crop, (size, size), mode="area"))
    return (torch.cat(crops) - 120) / 60, torch.from_numpy(labels)


def digits(size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """scikit-learn's handwritten digits, enlarged, (N, 1, size, size), and their labels."""
    images, labels = load_digits(return_X_y=True)
    small = torch.from_numpy(images.reshape(-1, 1, 8, 8)).float() / 8 - 1
    return functional.interpolate(small, (size, size), mode="bilinear"), torch.from_numpy(labels)


def training(
    name: str, images: torch.Tensor, labels: torch.Tensor, **options: object
) -> Iterator[tuple[nn.Module, float]]:
    """A timm network that learns from scratch: it and its loss, after every step."""
    torch.manual_seed(0)
    channels, classes = images.shape[1], int(labels.max()) + 1
    network = timm.create_model(name, in_chans=channels, num_classes=classes, **options)
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3, weight_decay=0.02)
    while True:
        batch = torch.randint(len(images), (BATCH,))
        shift = torch.randint(-4, 5, (2,)).tolist()
        seen = torch.roll(images[batch], shift, (2, 3))
        loss = functional.cross_entropy(network.train()(seen), labels[batch], label_smoothing=0.05)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        yield network.eval(), loss.item()


def trained(
    name: str, images: torch.Tensor, labels: torch.Tensor, *, seconds: float, **options: object
) -> nn.Module:
    """A timm network trained from scratch for some seconds."""
    started = time.perf_counter()
    steps = training(name, images, labels, **options)
    network, loss = next(step for step in steps if time.perf_counter() - started > seconds)
    print(f"trained {name} to a loss of {loss:.2f}", flush=True)
    return network


def networks(seconds: float) -> Iterator[tuple[str, nn.Module, torch.Tensor]]:
    """Names, trained networks of several kinds, and images that they know."""
    crops, sources = photographs(64, 2000)
    numbers, labels = digits(32)
    for name, images, truth, options in (
        ("test_resnet", crops, sources, {}),
        ("test_convnext", crops, sources, {}),
        ("vit_tiny_patch16_224", crops, sources, VIT),
        ("xcit_nano_12_p16_224", crops, sources, {"img_size": 64, "depth": 4}),
        ("test_resnet", numbers, labels, {}),
    ):
        kind = "photographs" if images is crops else "digits"
        network = trained(name, images, truth, seconds=seconds, **options)
        yield f"{name.split('_patch')[0].split('_p16')[0]}, {kind}", network, images


def outputs_of(
    network: nn.Module, image: torch.Tensor, grid: tuple[int, int], masker: str | float = "blur"
) -> Callable[[np.ndarray], np.ndarray]:
    """All outputs (R, K) of a network for coalitions (R, n) of an image."""
    image = image[None]
    game = CoalitionGame(network, image, paint_background(masker, image), batch_size=256)
    patches = label_patches(grid, tuple(image.shape[2:]))
    return lambda present: game.play([0] * len(present), LabelledCoalitions(present, patches))


def coalition_values(
    network: nn.Module, image: torch.Tensor, grid: tuple[int, int]
) -> Callable[[np.ndarray], np.ndarray]:
    """The value function of an image's highest output."""
    play = outputs_of(network, image, grid)
    best = int(play(np.ones((1, grid[0] * grid[1]), dtype=bool))[0].argmax())
    return lambda present: play(present)[:, best]


def exact_game(name: str, network: nn.Module, image: torch.Tensor, grid: tuple[int, int]) -> Game:
    """A network's game with its exact Shapley values, every coalition evaluated once."""
    value = coalition_values(network, image, grid)
    return tabulated(name, grid, value(every_coalition(grid[0] * grid[1])), real=True)


def long_run_game(
    name: str, network: nn.Module, image: torch.Tensor, grid: tuple[int, int], orders: int
) -> Game:
    """A network's game with Shapley values averaged over many random orders and their reverses."""
    value = coalition_values(network, image, grid)
    players = grid[0] * grid[1]
    rng = np.random.default_rng(12345)
    total, square = np.zeros(players), np.zeros(players)
    for _ in range(orders):
        forth = rng.permutation(players)
        gains = np.zeros(players)
        for order in (forth, forth[::-1]):
            present = order.argsort()[None] < np.arange(players + 1)[:, None]
            gains[order] += np.diff(value(present)) / 2
        total, square = total + gains, square + gains**2
    mean = total / orders
    std = np.sqrt((square / orders - mean**2) / (orders - 1))
    return Game(name, grid, value, mean, std)
