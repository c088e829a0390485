"""A stand-in for a GPU: how often an explanation waits for the device, and what it reads from it.

Tensors on the meta device have shapes and no numbers, so that whatever waits for a device's numbers
fails there.
"""

from collections import Counter

import numpy as np
import pytest
import torch
from generic_model import generic_images
from torch.overrides import TorchFunctionMode

from lightning_shap import explain
from lightning_shap.analysis.metrics.rankings import Rankings
from lightning_shap.engine.game import CoalitionGame
from lightning_shap.engine.regions.boxes import Box, BoxCoalitions
from lightning_shap.engine.regions.image_tree import grow_tree
from lightning_shap.engine.regions.nodes import NodeCoalitions
from lightning_shap.engine.regions.patches import LabelledCoalitions, label_patches

shape = (3, 8, 8)
whole = Box(0, 8, 0, 8, 0, 3)
owners = np.array([0, 0, 0, 1, 1])
pictures = generic_images(2, *shape).float()
elsewhere = torch.device("meta")


def network():
    torch.manual_seed(0)
    layers = torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.Flatten()
    return torch.nn.Sequential(*layers, torch.nn.Linear(144, 3))


def boxes():
    return BoxCoalitions([whole.halve()[:1]] * 5, whole)


def split_channels():
    return BoxCoalitions([(whole._replace(last=2),)] * 5, whole)


def nodes():
    trees = [grow_tree(picture) for picture in pictures.numpy()]
    places = torch.from_numpy(np.stack([tree.places for tree in trees])).to(elsewhere)
    return NodeCoalitions([(3, 5)] * 5, owners, trees, places)


def patches():
    return LabelledCoalitions(np.ones((5, 4), bool), label_patches((2, 2), (8, 8)))


def rankings():
    ranks = np.tile(np.arange(64).reshape(8, 8), (2, 1, 1))
    return Rankings(ranks, owners, np.arange(5), removes=True)


@pytest.mark.parametrize("coalitions", [boxes, split_channels, nodes, patches, rankings])
def test_a_round_waits_for_nothing_until_its_outputs_are_taken(coalitions, monkeypatch):
    rounds = []

    def take(game, found):
        rounds.append([(scores.device, len(scores)) for scores in found])
        return np.zeros((5, 3))

    monkeypatch.setattr(CoalitionGame, "_take", take)
    images = pictures.to(elsewhere)
    game = CoalitionGame(network().to(elsewhere), images, torch.zeros_like(images), batch_size=2)
    game.play(owners, coalitions())
    assert rounds == [[(elsewhere, 2), (elsewhere, 2), (elsewhere, 1)]]


WAITS = {"cpu", "item", "tolist", "__bool__", "__int__", "__float__", "__index__", "equal"}
WAITS |= {"nonzero", "argwhere", "unique", "masked_select", "allclose"}


class Waits(TorchFunctionMode):
    """Counts what would wait for a device."""

    def __init__(self):
        super().__init__()
        self.counts = Counter()

    def __torch_function__(self, func, types, args=(), kwargs=None):
        name = getattr(func, "__name__", "")
        if name in WAITS:
            self.counts[name] += 1
        return func(*args, **kwargs or {})


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"regions": "image"},
        {"method": "kernel", "grid": 3},
        {"method": "kernel", "regions": "image"},
        {"method": "gradient"},
    ],
    ids=str,
)
def test_waits_are_as_many_whatever_the_number_of_calls(asked):
    def waits(batch_size):
        with Waits() as seen:
            explain(network(), pictures, max_evals=42, topk=2, batch_size=batch_size, **asked)
        return seen.counts

    assert waits(3) == waits(64)


@pytest.mark.parametrize(("regions", "rows"), [("boxes", 10), ("image", 20)])
def test_a_round_of_so_many_rows_waits_once(regions, rows):
    def waits(evaluations):
        with Waits() as seen:
            explain(network(), pictures, max_evals=evaluations, topk=2, regions=regions)
        return seen.counts

    assert waits(100 + rows) - waits(100) == Counter(cpu=1)
    assert waits(100 + rows // 2) - waits(100) <= Counter(cpu=1)
    assert waits(100 + 2 * rows) - waits(100) == Counter(cpu=2)
