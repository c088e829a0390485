"""Which method, at what budget? Faithfulness and exact error of every method, side by side.

    python examples/benchmarks/methods.py            # about ten minutes on two cores

For a convolutional network, a ViT and an XCiT, each trained here for a minute on real images:
how much better than random maps the insertion and deletion curves of the predicted class are
(higher is better; probability, 32 steps, blurred pixels), and the squared error of the
attributions, summed over the patches of a 4 x 4 grid, to that grid's exact Shapley values.
"""

import argparse
from collections import defaultdict

import numpy as np
import torch
from games import VIT, exact_game, photographs, trained

from lightning_shap import DeletionAUC, InsertionAUC, explain
from lightning_shap.engine.methods.registry import METHODS
from lightning_shap.engine.regions.patches import label_patches

NETWORKS = {
    "convolutional": ("test_resnet", {}),
    "ViT": ("vit_tiny_patch16_224", VIT),
    "XCiT": ("xcit_nano_12_p16_224", {"img_size": 64}),
}
GRID = (4, 4)


def patch_sums(values: np.ndarray) -> np.ndarray:
    """Attributions (H, W, C) summed over the patches of the grid, (n,)."""
    labels = label_patches(GRID, values.shape[:2])
    return np.bincount(labels.ravel(), values.sum(-1).ravel())


def main() -> None:
    """Train, explain, measure, print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60, help="training of each network")
    parser.add_argument("--images", type=int, default=12, help="images for the curves")
    parser.add_argument("--exact", type=int, default=3, help="images with exact Shapley values")
    parser.add_argument("--budgets", type=int, nargs="+", default=[20, 50, 100, 200, 500])
    args = parser.parse_args()

    found: dict[tuple[str, str, int], list[float]] = defaultdict(list)
    images, labels = photographs(64, 2000)
    for kind, (name, options) in NETWORKS.items():
        network = trained(name, images, labels, seconds=args.seconds, **options)
        shown = images[-args.images :]
        truths = [exact_game(kind, network, image, GRID).truth for image in shown[: args.exact]]
        for method in METHODS:
            for budget in args.budgets:
                torch.manual_seed(0)
                explanation = explain(network, shown, method=method, max_evals=budget, topk=1)
                metrics = (InsertionAUC(steps=32), DeletionAUC(steps=32))
                for metric in metrics:
                    metric.update(network, explanation)
                    found[kind, f"{method} {metric.name}", budget].append(float(metric.compute()))
                for truth, values in zip(truths, explanation.values[..., 0], strict=False):
                    off = ((patch_sums(values) - truth) ** 2).sum() / (truth**2).sum()
                    found[kind, f"{method} error", budget].append(float(off))
        print(f"measured {kind}", flush=True)

    columns = [f"{method} {what}" for method in METHODS for what in ("ins", "del", "err")]
    print("\n| network | evaluations | " + " | ".join(columns) + " |")
    print("| --- " * (2 + len(columns)) + "|")
    for kind in NETWORKS:
        for budget in args.budgets:
            cells = [
                f"{np.mean(found[kind, f'{method} {what}', budget]):.3f}"
                for method in METHODS
                for what in ("insertion_auc", "deletion_auc", "error")
            ]
            print(f"| {kind} | {budget} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
