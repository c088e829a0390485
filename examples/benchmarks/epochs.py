"""Would the last epoch's explanation sharpen the next? What explaining again and again can use.

    python examples/benchmarks/epochs.py             # about a quarter of an hour on two cores

Networks are trained here for some epochs, and after each all coalitions of a 3 x 4 grid are
evaluated, so that every estimate below is compared with exact Shapley values. With N evaluations
an epoch and the same coalitions in all of them, as the callback has it, three ways to use the past:

- pooled: the process's hyper-parameters are fitted to this epoch's outputs and the last one's;
- rotating: other coalitions in each epoch; they estimate by how much the game differs from the
  one that the last explanation describes;
- anchored: every fifth epoch evaluates 4 N coalitions, and what that changes is added to the
  estimates of the next four. This is compared with as many evaluations spread evenly, 1.6 N.

Printed are squared errors relative to those of N evaluations alone, geometric means over images
and epochs; and of the change from one epoch to the next, the squared error with the same coalitions
relative to that with others in each epoch.
"""

import argparse
from itertools import islice

import numpy as np
from games import BATCH, VIT, exact_values, outputs_of, photographs, training

from lightning_shap.engine.methods.kernel.design import every_coalition
from lightning_shap.engine.methods.kernel.estimate import design, estimate

GRID = (3, 4)
PLAYERS = GRID[0] * GRID[1]
EVERY = every_coalition(PLAYERS)
PLACES = 1 << np.arange(PLAYERS)
NETWORKS = {
    "test_resnet": {},
    "test_convnext": {},
    "vit_tiny_patch16_224": VIT,
    "xcit_nano_12_p16_224": {"img_size": 64, "depth": 4},
}
ANCHOR_EVERY, ANCHOR_TIMES = 5, 4
FIRST = 2  # epoch that counts: before, a network changes beyond recognition


def estimated(table: np.ndarray, evaluations: int, seed: int = 0) -> np.ndarray:
    """Shapley values (n, K) from some of a game's values, (2^n, K)."""
    coalitions = design(GRID, evaluations, seed)
    return estimate(coalitions, table[coalitions @ PLACES], table[0], table[-1], GRID).values


def rotating(tables: list[np.ndarray], evaluations: int) -> list[np.ndarray]:
    """Each epoch's values from the last one's, and from other coalitions of what is different."""
    values = np.zeros((PLAYERS, tables[0].shape[1]))
    found = []
    for seed, table in enumerate(tables):
        values = values + estimated(table - EVERY @ values, evaluations, seed)
        found.append(values)
    return found


def anchored(
    tables: list[np.ndarray], evaluations: int, alone: list[np.ndarray]
) -> list[np.ndarray]:
    """Each epoch's own values, corrected by what more evaluations changed at the last anchor."""
    found, correction = [], 0.0
    for epoch, (table, values) in enumerate(zip(tables, alone, strict=True)):
        if epoch % ANCHOR_EVERY == FIRST:
            correction = estimated(table, ANCHOR_TIMES * evaluations) - values
        found.append(values + correction)
    return found


def compared(tables: list[np.ndarray], evaluations: int) -> dict[str, float]:
    """Logarithms of the errors of each way relative to that of each epoch alone."""
    truths = [exact_values(table, GRID) for table in tables]
    evenly = round(evaluations * (1 + (ANCHOR_TIMES - 1) / ANCHOR_EVERY))
    alone = [estimated(table, evaluations) for table in tables]
    others = [estimated(table, evaluations, seed) for seed, table in enumerate(tables)]
    pairs = zip([tables[0], *tables], tables, strict=False)
    ways = {
        "pooled": [
            estimated(np.hstack([now, last]), evaluations)[:, : now.shape[1]] for last, now in pairs
        ],
        "rotating": rotating(tables, evaluations),
        "anchored": anchored(tables, evaluations, alone),
        "evenly": [estimated(table, evenly) for table in tables],
    }
    base = log_errors(alone, truths)
    result = {
        name: float((log_errors(found, truths) - base).mean()) for name, found in ways.items()
    }
    changes = [
        log_errors(np.diff(found, axis=0), np.diff(truths, axis=0)) for found in (alone, others)
    ]
    return result | {"change": float((changes[0] - changes[1]).mean())}


def log_errors(found: list[np.ndarray], truths: list[np.ndarray]) -> np.ndarray:
    """Of each epoch that counts, the logarithm of the squared error."""
    return np.log(((np.array(found) - np.array(truths)) ** 2).sum((1, 2)))[FIRST:]


def main() -> None:
    """Trains, explains after each epoch in every way, prints one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--images", type=int, default=3, help="of each network")
    parser.add_argument("--budgets", type=int, nargs="+", default=[24, 48, 96])
    args = parser.parse_args()
    if args.epochs < FIRST + 2:
        parser.error(f"--epochs: got {args.epochs}; give at least {FIRST + 2}, of which two count")

    crops, labels = photographs(64, 2000)
    ways = ("pooled", "rotating", "anchored", "evenly", "change")
    print("| network | evaluations | " + " | ".join(ways) + " |")
    print("| --- " * (2 + len(ways)) + "|")
    for name, options in NETWORKS.items():
        steps = training(name, crops, labels, **options)
        tables: list[list[np.ndarray]] = [[] for _ in range(args.images)]
        epoch = len(crops) // BATCH
        for network, _ in islice(steps, epoch - 1, epoch * args.epochs, epoch):
            for image, kept in zip(crops, tables, strict=False):
                kept.append(outputs_of(network, image, GRID)(EVERY))
        for budget in args.budgets:
            found = []
            for kept, label in zip(tables, labels.tolist(), strict=False):
                others = [c for c in np.argsort(-kept[-1][-1]) if c != label]
                explained = [label, *others[:2]]
                found.append(compared([table[:, explained] for table in kept], budget))
            cells = [f"{np.exp(np.mean([one[way] for one in found])):.2f}" for way in ways]
            print(f"| {name} | {budget} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
