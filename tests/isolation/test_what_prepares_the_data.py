"""What prepares the data is the training's: whatever it remembers, an explanation changes none."""

import multiprocessing
import os
import signal
import threading
import time

import numpy as np
import pytest
import torch
from pytorch_lightning import LightningDataModule, seed_everything
from tiny_training import TinyClassifier, lightning_warns, same, tiny_data, tiny_trainer
from torch.utils.data import DataLoader, Dataset
from torch.utils.data import Sampler as TorchSampler

from lightning_shap import ShapCallback
from lightning_shap.training.samples import reading_process as reading

pytestmark = [
    pytest.mark.usefixtures("blank_pictures"),
    *lightning_warns,
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:ShapCallback has no samples yet"),
    pytest.mark.filterwarnings("ignore:ShapCallback logs nothing"),
    pytest.mark.filterwarnings("ignore:ShapCallback. all 2 samples are of one class"),
]

GENERATOR = torch.Generator()  # everybody's who imports this module


class Plain(LightningDataModule):
    """The same data in each run, whatever came before."""

    def __init__(self, folder):
        super().__init__()
        self.folder = folder
        self.begin()

    def begin(self):
        """Whatever a data module adds."""

    def train_dataloader(self):
        return DataLoader(tiny_data(8), 4)

    def val_dataloader(self):
        return DataLoader(tiny_data(8, seed=1), 4)


class DrawsItsSplit(Plain):
    def begin(self):
        self.rng = np.random.default_rng(3)

    def noisy(self):
        images, labels = tiny_data(8).tensors
        noise = torch.from_numpy(self.rng.normal(size=images.shape)).float()
        return DataLoader(torch.utils.data.TensorDataset(images + noise, labels), 4)

    train_dataloader = val_dataloader = noisy


class CountsItsCalls(Plain):
    def begin(self):
        self.calls = {"val": 0}

    def val_dataloader(self):
        self.calls["val"] += 1
        images, labels = tiny_data(8).tensors
        return DataLoader(torch.utils.data.TensorDataset(images * self.calls["val"], labels), 4)


class SetsAWeight(Plain):
    def val_dataloader(self):
        with torch.no_grad():
            self.trainer.lightning_module.net[0].weight.mul_(0.9)
        return super().val_dataloader()


class Rows(Dataset):
    """Read one by one."""

    def __init__(self):
        self.data = tiny_data(8)

    def __len__(self):
        return len(self.data)

    def __getitem__(self, row):
        image, label = self.data[row]
        return image + self.remembered(row), label

    def remembered(self, row):
        """What changes with each read."""
        return 0.0


class InAProcess(Rows):
    def __init__(self):
        super().__init__()
        self.reads = multiprocessing.get_context("fork").Value("i", 0)

    def remembered(self, row):
        self.reads.value += 1
        return 0.01 * self.reads.value


class InSharedMemory(Rows):
    def __init__(self):
        super().__init__()
        self.reads = torch.zeros(1).share_memory_()

    def remembered(self, row):
        return 0.01 * float(self.reads.add_(1))


class InAFile(Rows):
    path = ""

    def __init__(self):
        super().__init__()
        self.file = open(InAFile.path, "rb", buffering=0)  # noqa: SIM115 - it stays open

    def remembered(self, row):
        return 0.01 * self.file.read(1)[0]


class InItsClass(Rows):
    reads = 0

    def remembered(self, row):
        InItsClass.reads += 1
        return 0.01 * InItsClass.reads


class DrawsAnOrder(TorchSampler):
    """By a generator of its module."""

    def __init__(self, rows):
        self.rows = rows

    def __len__(self):
        return self.rows

    def __iter__(self):
        return iter(torch.randperm(self.rows, generator=GENERATOR).tolist())


class OfRows(Plain):
    """Trains and validates on one data set that remembers."""

    kind = Rows

    def begin(self):
        InItsClass.reads = 0
        InAFile.path = self.folder / "bytes"
        InAFile.path.write_bytes(bytes(range(256)) * 4)
        self.rows = self.kind()

    def train_dataloader(self):
        return DataLoader(self.rows, 4)

    def val_dataloader(self):
        return DataLoader(self.rows, 4)

    def teardown(self, stage):
        if hasattr(self.rows, "file"):
            self.rows.file.close()


class Sampled(Plain):
    def begin(self):
        GENERATOR.manual_seed(1)

    def train_dataloader(self):
        return DataLoader(tiny_data(8), 4, sampler=DrawsAnOrder(8))

    def val_dataloader(self):
        return DataLoader(tiny_data(8, seed=1), 4, sampler=DrawsAnOrder(8))


class Hooked(Plain):
    """Its hooks remember, and write to the module."""

    def begin(self):
        self.rng, self.calls = np.random.default_rng(3), {"prepared": 0}

    def on_after_batch_transfer(self, batch, dataloader_idx):
        self.calls["prepared"] += 1
        return batch[0] + 0.01 * self.rng.normal() + 0.01 * self.calls["prepared"], batch[1]


def of(kind):
    return type(f"Of{kind.__name__}", (OfRows,), {"kind": kind})


SPARSE = {"num_sanity_val_steps": 0, "check_val_every_n_epoch": 2, "max_epochs": 4}
KINDS = {
    "a generator of the data module, late": (DrawsItsSplit, SPARSE),
    "a counter in a dictionary, late": (CountsItsCalls, SPARSE),
    "a hook that sets a weight, late": (SetsAWeight, SPARSE),
    "a value of several processes": (of(InAProcess), {}),
    "a tensor of several processes": (of(InSharedMemory), {}),
    "the place in an open file": (of(InAFile), {}),
    "a class's number": (of(InItsClass), {}),
    "a sampler that draws from its module's generator": (Sampled, {}),
    "hooks that draw and count": (Hooked, {}),
}


def trained(kind, options, folder, *callbacks):
    folder.mkdir()
    seed_everything(7, verbose=False)
    module = TinyClassifier()
    trainer = tiny_trainer(folder, *callbacks, **{"max_epochs": 2, **options})
    trainer.fit(module, datamodule=kind(folder))
    metrics = {n: v for n, v in trainer.callback_metrics.items() if not n.startswith("shap")}
    return module.state_dict(), metrics


@pytest.mark.parametrize("name", KINDS)
def test_it_is_left_as_it_was_and_the_model_is_explained(name, tmp_path):
    kind, options = KINDS[name]
    ours = ShapCallback(n_samples=2, max_evals=6, batch_size=4, on_error="raise")
    without = trained(kind, options, tmp_path / "without")
    assert same(trained(kind, options, tmp_path / "with", ours), without)
    assert ours.explanation is not None


def test_rows_that_cannot_be_read_without_a_trace_are_said_to_be(tmp_path):
    ours = ShapCallback(samples=[1, 5], max_evals=6, on_error="raise")
    with pytest.raises(ValueError, match=r"samples: .*InAProcess.* a Synchronized .*give images"):
        trained(of(InAProcess), {}, tmp_path / "with", ours)


def test_a_reader_that_is_ended_is_not_waited_for():
    class Ends(Rows):
        def __getitem__(self, row):
            if multiprocessing.parent_process() is not None:
                os.kill(os.getpid(), signal.SIGKILL)
            return super().__getitem__(row)

    before = threading.active_count()
    images, _ = reading.read(None, Ends(), [1], seed=0)  # by a copy
    assert torch.equal(images[0], tiny_data(8)[1][0])
    assert threading.active_count() == before
    assert not multiprocessing.active_children()


def test_an_interrupt_ends_the_reader_too():
    class Stop(BaseException):
        """As Ctrl-C is."""

    class Waits(Rows):
        def __getitem__(self, row):
            time.sleep(reading.TIMEOUT)

    def stop(number, frame):
        raise Stop

    before = signal.signal(signal.SIGALRM, stop)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.5)
        with pytest.raises(Stop):
            reading.read(None, Waits(), [1], seed=0)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert not multiprocessing.active_children()


def test_lazy_layers_without_a_sanity_check_are_explained_without_a_word(tmp_path, caplog):
    class Lazy(TinyClassifier):
        def __init__(self):
            super().__init__()
            self.net[5] = torch.nn.LazyLinear(3)

    ours = ShapCallback(n_samples=2, max_evals=6, on_error="raise")
    trainer = tiny_trainer(tmp_path, ours, num_sanity_val_steps=0)
    trainer.fit(Lazy(), datamodule=Plain(tmp_path))
    assert ours.explanation is not None
    assert "could not be" not in caplog.text
