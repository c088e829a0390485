"""Samples are read without a trace in their data set, by a worker or from a copy."""

import random

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset, default_collate

from lightning_shap.training.samples import reading_process as reading

KINDS = {
    "torch": (lambda: torch.Generator().manual_seed(1), lambda g: torch.rand(1, generator=g)),
    "numpy": (lambda: np.random.default_rng(1), lambda g: g.random(1)),
    "legacy": (lambda: np.random.RandomState(1), lambda g: g.standard_normal(1)),
    "python": (lambda: random.Random(1), lambda g: [g.gauss()]),
    "everybody's": (lambda: None, lambda g: torch.rand(1)),
}


class Drawing(Dataset):
    """Draws, counts and remembers at each read."""

    def __init__(self, kind="torch"):
        self.make, self.draw = KINDS[kind]
        self.generator, self.reads, self.cache = self.make(), 0, {}

    def __len__(self):
        return 9

    def __getitem__(self, row):
        self.reads += 1
        self.cache[row] = torch.as_tensor(self.draw(self.generator)).float()
        return torch.full((1,), float(row)) + 0 * self.cache[row], row


@pytest.fixture(params=["linux", "darwin"], ids=["worker", "copy"])
def way(request, monkeypatch):
    monkeypatch.setattr(reading.sys, "platform", request.param)
    return request.param


pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


@pytest.mark.parametrize("kind", KINDS)
def test_generators_counts_and_caches_are_as_before(way, kind):
    dataset, untouched = Drawing(kind), Drawing(kind)
    before = torch.get_rng_state(), random.getstate()
    values, rows = reading.read(None, dataset, [4, 1], seed=0)
    assert values.flatten().tolist() == [4, 1]
    assert rows.tolist() == [4, 1]
    assert (dataset.reads, dataset.cache) == (0, {})
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1] == random.getstate()
    if dataset.generator is not None:
        drawn = [dataset.draw(one.generator) for one in (dataset, untouched)]
        assert np.array_equal(*map(np.asarray, drawn))


def test_the_same_seed_reads_the_same(way):
    class Noisy(Drawing):
        def __getitem__(self, row):
            return torch.rand(2), random.random()

    first, second = (reading.read(None, Noisy(), [0, 3], seed=7) for _ in range(2))
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])


def test_rows_are_collated_as_the_loader_does(way):
    loader = DataLoader(Drawing(), 2, collate_fn=lambda rows: [*default_collate(rows), "ours"])
    assert reading.read(loader, loader.dataset, [2], seed=0)[2] == "ours"


def test_what_a_data_set_raises_is_raised(way):
    class Broken(Drawing):
        def __getitem__(self, row):
            raise OSError("image file is truncated")

    with pytest.raises(OSError, match="image file is truncated"):
        reading.read(None, Broken(), [0], seed=0)
