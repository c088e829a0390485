"""How close estimators of Shapley values come for a number of evaluations, ours and all others.

    python examples/benchmarks/accuracy.py --quick   # about three minutes
    python examples/benchmarks/accuracy.py           # every network and budget; 25 on two cores
    python examples/benchmarks/accuracy.py --tables games   # of pretrained.py, nothing trained
    python examples/benchmarks/accuracy.py --tables games --newest newest.npz   # and of newest.py

Prints, for every game and budget, each estimator's squared error relative to the squared norm of
the exact values, averaged over seeds; ours as a ratio to the best peer; how often our 95 %
intervals hold the exact value, of a patch and of a box of several; and how wide they are beside
those that as large errors would need. Needs the `benchmarks` extra.
"""

import argparse
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import combinations, islice
from pathlib import Path

import numpy as np
from games import Game, exact_game, long_run_game, networks, synthetic_games
from peers import PEERS, attempt, ours
from pretrained import tables

from lightning_shap.engine.methods.kernel.estimate import ShapleyEstimate
from lightning_shap.explanation.contribution import find_pixels, measure_place
from lightning_shap.explanation.maps import Maps
from lightning_shap.explanation.regions import Regions

KERNEL_SHAP = ("shap Kernel", "captum KernelShap", "KernelSHAP", "KernelSHAP paired")
SLOW = ("ProxySPEX",)  # seconds for one estimate
MOST_BOXES = 200  # of those that a finer grid has
WIDTH = 1.96  # of a 95 % interval, in standard errors
NOTHING = 1e-6  # relative error below which a game counts as solved


@dataclass
class Row:
    """One game at one budget."""

    game: Game
    budget: int
    errors: dict[str, list[float]] = field(default_factory=dict)
    inside: list[float] = field(default_factory=list)
    in_boxes: list[float] = field(default_factory=list)
    variances: list[float] = field(default_factory=list)
    squares: list[float] = field(default_factory=list)

    def add(self, name: str, values: np.ndarray) -> None:
        """Counts one estimate; the truth's own error, where it has one, is taken off."""
        own = 0.0 if self.game.truth_std is None else (self.game.truth_std**2).sum()
        off = ((values - self.game.truth) ** 2).sum() - own
        self.errors.setdefault(name, []).append(float(off / (self.game.truth**2).sum()))

    @property
    def means(self) -> dict[str, float]:
        """Mean error of every estimator that worked for all seeds it was given."""
        return {name: float(np.mean(errors)) for name, errors in self.errors.items()}

    @property
    def width(self) -> float:
        """Our standard errors to our errors, of both the root mean squares."""
        return float(np.sqrt(np.mean(self.variances) / max(np.mean(self.squares), 1e-30)))

    @property
    def best(self) -> tuple[str, float]:
        """The peer of smallest mean error."""
        peers = {name: error for name, error in self.means.items() if name != "ours"}
        return min(peers.items(), key=lambda item: item[1], default=("none", np.nan))

    def ratio_to(self, peers: Iterable[str] | None = None) -> float | None:
        """Our error to that of the best of some peers or all; what is rounding counts as equal."""
        named = set(self.means) - {"ours"} if peers is None else peers
        theirs = [self.means[name] for name in named if name in self.means]
        if not theirs:
            return None
        return max(self.means["ours"], NOTHING) / max(min(theirs), NOTHING)


def measure(
    game: Game,
    budget: int,
    seeds: range,
    slow_seeds: int,
    names: Iterable[str],
    newest: dict[str, np.ndarray],
) -> Row:
    """All estimators on one game at one budget; the newest's values are known, by their names."""
    row = Row(game, budget)
    for seed in seeds:
        found = ours(game, budget, seed)
        values, std = found.values[:, 0], found.std[:, 0]
        row.add("ours", values)
        if game.truth_std is not None:
            std = np.hypot(std, game.truth_std)
        slack = 1e-9 * np.abs(game.truth).max()
        row.inside += list(np.abs(values - game.truth) <= WIDTH * std + slack)
        row.variances += list(std**2)
        row.squares += list((values - game.truth) ** 2)
        off, error = sum_boxes(game, found)
        row.in_boxes += list(np.abs(off) <= WIDTH * error + slack)
        for name in names:
            if name in SLOW and seed >= seeds.start + slow_seeds:
                continue
            peer = attempt(PEERS[name], game, budget, seed)
            if peer is not None:
                row.add(name, peer)
        here = f"{game.name}/{budget}/{seed}/"
        for key in (key for key in newest if key.startswith(here)):
            row.add(key.removeprefix(here), newest[key])
    return row


def sum_boxes(game: Game, found: ShapleyEstimate) -> tuple[np.ndarray, np.ndarray]:
    """How far sums over all boxes of several patches are off, and their standard errors."""
    rows, columns = game.grid
    boxes = [
        (left, top, right, bottom)
        for top, bottom in combinations(range(rows + 1), 2)
        for left, right in combinations(range(columns + 1), 2)
        if 1 < (bottom - top) * (right - left) < game.players
    ]
    boxes = boxes[:: max(1, len(boxes) // MOST_BOXES)]
    labels = np.arange(game.players, dtype=np.int32).reshape(1, *game.grid)
    triangle = found.correlation[np.triu_indices(game.players, 1)]
    off = found.values - game.truth[:, None]
    regions = Regions.even(labels, off[None], 1, found.std[None], triangle[None])
    maps, change = Maps(regions, np.zeros((1, *game.grid, 1))), np.ones((1, 1))
    sums = [measure_place(maps, box, change) for box in boxes]
    value, error = (
        np.array([getattr(each, name)[0, 0] for each in sums]) for name in ("value", "error")
    )
    if game.truth_std is not None:
        squares = game.truth_std**2
        error = np.sqrt(error**2 + [squares @ find_pixels(box, maps).ravel() for box in boxes])
    return value, error


def report(row: Row, *, everyone: bool) -> None:
    """One line, and one more for every peer if they are wanted."""
    name, error = row.best
    ratio, covered, boxes = row.ratio_to() or np.nan, np.mean(row.inside), np.mean(row.in_boxes)
    print(
        f"{row.game.name:42s} {row.budget:5d}  ours {row.means['ours']:9.2e}  "
        f"best {error:9.2e} {name:18s} ratio {ratio:6.3f}  covered {covered:.2f} "
        f"boxes {boxes:.2f} width {row.width:.2f}",
        flush=True,
    )
    if everyone:
        for peer, mean in sorted(row.means.items(), key=lambda item: item[1]):
            print(f"{'':50s}{peer:20s} {mean:9.2e}")


def summary(rows: list[Row]) -> None:
    """Geometric means over the games of each kind, budget by budget."""
    print(
        "\n| games | evaluations | ours / best peer | worst game "
        "| ours / best KernelSHAP | worst game | covered | worst game | boxes | worst game "
        "| width |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    kinds = sorted({(row.game.real, row.game.grid) for row in rows}, reverse=True)
    for real, grid in kinds:
        for budget in sorted({row.budget for row in rows}):
            chosen = [
                r for r in rows if (r.game.real, r.game.grid, r.budget) == (real, grid, budget)
            ]
            if not chosen:
                continue
            ratios = [ratio for row in chosen if (ratio := row.ratio_to()) is not None]
            kernel = [ratio for row in chosen if (ratio := row.ratio_to(KERNEL_SHAP)) is not None]
            print(
                f"| {'real' if real else 'synthetic'} {grid[0]} x {grid[1]} | {budget} "
                f"| {_mean(ratios):.3f} | {max(ratios, default=np.nan):.3f} "
                f"| {_mean(kernel):.3f} | {max(kernel, default=np.nan):.3f} "
                f"| {np.mean([inside for row in chosen for inside in row.inside]):.3f} "
                f"| {min(np.mean(row.inside) for row in chosen):.3f} "
                f"| {np.mean([inside for row in chosen for inside in row.in_boxes]):.3f} "
                f"| {min(np.mean(row.in_boxes) for row in chosen):.3f} "
                f"| {_mean([row.width for row in chosen]):.2f} |"
            )


def _mean(ratios: list[float]) -> float:
    """Their geometric mean."""
    return float(np.exp(np.log(ratios).mean())) if ratios else np.nan


def main() -> None:
    """Trains the networks, tabulates their games and compares the estimators on them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one network, few budgets and seeds")
    parser.add_argument(
        "--budgets", type=int, nargs="+", default=[16, 32, 64, 128, 256, 512, 1024, 2048]
    )
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first_seed", type=int, default=0)
    parser.add_argument("--slow_seeds", type=int, default=1, help=f"for {', '.join(SLOW)}")
    parser.add_argument("--images", type=int, default=2, help="of each network")
    parser.add_argument("--networks", type=int, default=5, help="how many of them")
    parser.add_argument("--train_seconds", type=float, default=40)
    parser.add_argument("--grid", type=int, default=4, help="a side, exact; 0: the finer only")
    parser.add_argument("--fine_grid", type=int, default=8, help="with long-run values; 0: none")
    parser.add_argument(
        "--fine_orders", type=int, default=1500, help="random orders of the long run"
    )
    parser.add_argument("--fine_seeds", type=int, default=3, help="on the finer grid")
    parser.add_argument("--peers", nargs="*", default=list(PEERS), choices=list(PEERS))
    parser.add_argument("--newest", type=Path, help="estimates of newest.py")
    parser.add_argument("--tables", type=Path, help="a folder of tables, instead of all games here")
    parser.add_argument("--everyone", action="store_true", help="print every peer's error")
    options = parser.parse_args()
    if options.quick:
        options.budgets, options.seeds, options.slow_seeds = [32, 128, 512], 3, 0
        options.networks, options.images, options.train_seconds = 1, 1, 15
        options.fine_orders, options.fine_seeds = 150, 1

    grid, fine = (options.grid,) * 2, (options.fine_grid,) * 2
    newest = dict(np.load(options.newest)) if options.newest else {}
    rows: list[Row] = []

    def compare(game: Game, budgets: Iterable[int], count: int) -> None:
        seeds = range(options.first_seed, options.first_seed + count)
        for budget in budgets:
            row = measure(game, budget, seeds, options.slow_seeds, options.peers, newest)
            report(row, everyone=options.everyone)
            rows.append(row)

    if options.tables:
        for game in tables(options.tables):
            compare(game, options.budgets, options.seeds)
        summary(rows)
        return
    for game in synthetic_games(grid) if options.grid else ():
        compare(game, options.budgets, options.seeds)
    chosen = islice(networks(options.train_seconds), options.networks)
    for number, (name, network, images) in enumerate(chosen):
        for index in range(options.images if options.grid else 0):
            title = f"{name}, image {index}"
            compare(exact_game(title, network, images[index], grid), options.budgets, options.seeds)
        if options.fine_grid and (number == 0 or not options.grid):
            game = long_run_game(
                f"{name}, {fine[0]} x {fine[1]}", network, images[0], fine, options.fine_orders
            )
            own = (game.truth_std**2).sum() / (game.truth**2).sum()
            print(f"{game.name}: the truth's own relative squared error is {own:.1e}")
            least = 8 * game.players if options.grid else 0
            budgets = [budget for budget in options.budgets if budget >= least]
            compare(game, budgets, options.fine_seeds)
    summary(rows)


if __name__ == "__main__":
    main()
