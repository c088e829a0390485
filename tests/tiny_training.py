"""A tiny classifier, its data, a logger that keeps everything: what tests of trainings share."""

import os
import random
import warnings
from collections.abc import Mapping
from contextlib import contextmanager
from importlib import import_module
from itertools import count

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from lightning_shap import ShapCallback

# The copy of Lightning that trains here. Tests of the other import this file anew under its name.
pl = import_module(os.environ.get("LIGHTNING_COPY", "pytorch_lightning"))

CLASSES = 3

# Warnings of Lightning's own, about its dependencies and about tiny trainings.
lightning_warns = [
    pytest.mark.filterwarnings(f"ignore:{start}")
    for start in (
        ".*isinstance.treespec, LeafSpec.*:FutureWarning",
        ".*num_workers.*",
        ".*fork.*:DeprecationWarning",
        ".*in eval mode at the start of training.*",
        ".*ModelCheckpoint.*",
        ".*exists and is not empty",
        ".*smaller than the logging interval.*",
        ".*sampler has shuffling enabled.*",
        ".*have no `val_dataloader`.*",
        ".*requested to overfit.*",
        ".*grad attribute of a Tensor that is not a leaf.*",
        ".*sync_dist=True.*",
    )
]

# Our own count as errors, but for the one that two epochs of a tiny network may well deserve.
still_untrained = pytest.mark.filterwarnings("ignore:ShapCallback. the final maps still resemble")
lightning_warns.append(still_untrained)
ours_raise = [
    *lightning_warns,
    pytest.mark.filterwarnings("error:ShapCallback"),
    still_untrained,
]


# Of a callback: explanations alone, without what is learnt from several of them.
NO_STORY = {"metrics": [], "evolution": None}


class TinyClassifier(pl.LightningModule):
    """Has what makes training depend on more than the weights: dropout and batch norm."""

    def __init__(self, channels=1, side=8, dropout=0.3, learning_rate=0.02, classes=CLASSES):
        super().__init__()
        self.learning_rate = learning_rate
        self.net = nn.Sequential(
            nn.Conv2d(channels, 4, 3, padding=1),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Flatten(),
            nn.Linear(4 * side * side, classes),
        )

    def forward(self, images):
        return self.net(images)

    def loss(self, batch):
        images, labels = batch
        return cross_entropy(self(images), labels)

    def training_step(self, batch, batch_idx):
        loss = self.loss(batch)
        self.log("train/loss", loss)
        return loss

    def validation_step(self, batch, batch_idx):
        self.log("val/loss", self.loss(batch))

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=self.learning_rate)


OUTSIDE = {}


class FaultyClassifier(TinyClassifier):
    """Calls ``fault(number of the call, scores)`` whenever it is being explained.

    Both are kept outside of the module, since what is inside of it is copied and put back.
    """

    def __init__(self, fault, **arguments):
        super().__init__(**arguments)
        self.number = len(OUTSIDE)
        OUTSIDE[self.number] = {"calls": count(1)}
        self.fault = fault

    @property
    def calls(self):
        return OUTSIDE[self.number]["calls"]

    @property
    def fault(self):
        return OUTSIDE[self.number]["fault"]

    @fault.setter
    def fault(self, fault):
        OUTSIDE[self.number]["fault"] = fault

    def forward(self, images):
        scores = super().forward(images)
        busy = self.training or self.trainer.validating or self.trainer.sanity_checking
        if busy or self.number not in OUTSIDE:  # as in a process that is spawned, where none fails
            return scores
        faulty = self.fault(next(self.calls), scores)
        return scores if faulty is None else faulty


class KeepingLogger(pl.loggers.logger.Logger):
    """Keeps metrics, pictures and texts in memory, as if it sent them to Weights & Biases."""

    def __init__(self):
        super().__init__()
        self.metrics, self.pictures, self.texts = [], {}, {}

    @property
    def name(self):
        return "kept"

    @property
    def version(self):
        return 0

    @property
    def experiment(self):
        return object()

    def log_hyperparams(self, *args, **kwargs):
        pass

    def log_metrics(self, metrics, step=None):
        self.metrics.append((step, dict(metrics)))

    def log_image(self, key, images, step=None):
        self.pictures[key, step] = images[0]

    def log_text(self, key, columns, data, step=None):
        self.texts[key] = data[0][0]


def tiny_data(rows=20, channels=1, side=8, seed=0):
    """Images whose class is the third of them that is bright."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(CLASSES, (rows,), generator=generator)
    images = 0.3 * torch.rand(rows, channels, side, side, generator=generator)
    for row, label in enumerate(labels.tolist()):
        images[row, :, :, label * (side // CLASSES) : (label + 1) * (side // CLASSES)] += 0.6
    return TensorDataset(images, labels)


def tiny_loaders(train=20, val=8, batch_size=4, **options):
    """Loaders for training, shuffled, and for validation."""
    return (
        DataLoader(tiny_data(train), batch_size, shuffle=True, **options),
        DataLoader(tiny_data(val, seed=1), batch_size, **options),
    )


class Stream(IterableDataset):
    """Rows that come one after the other, without numbers; each rank has its own."""

    def __init__(self, dataset, rank=0, ranks=1):
        self.dataset, self.rank, self.ranks = dataset, rank, ranks

    def __iter__(self):
        return (self.dataset[row] for row in range(self.rank, len(self.dataset), self.ranks))


def streamed(rows=8, batch_size=4, **options):
    """A training loader, and a stream for validation."""
    return tiny_loaders()[0], DataLoader(Stream(tiny_data(rows, seed=1)), batch_size, **options)


class KeepsSessions(pl.Callback):
    """Keeps what a ShapCallback throws away at the end of a fit, for tests to look at."""

    def setup(self, trainer, pl_module, stage):
        for callback in trainer.callbacks:
            if getattr(callback, "_session", None) is not None:
                callback.kept_session = callback._session  # a global would keep the whole run


def session_of(callback):
    """The session of a callback's latest fit."""
    return callback.kept_session


def tiny_trainer(tmp_path, *callbacks, logger=None, **options):
    """A trainer without noise."""
    quiet = {
        "accelerator": "cpu",
        "max_epochs": 2,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "enable_checkpointing": False,
        "log_every_n_steps": 1,
        "default_root_dir": str(tmp_path),
    }
    logger = KeepingLogger() if logger is None else logger
    return pl.Trainer(
        **{**quiet, **options}, logger=logger, callbacks=[*callbacks, KeepsSessions()]
    )


def tiny_callback(**arguments):
    """A callback that explains three samples coarsely and raises whatever fails in it."""
    return ShapCallback(**{"n_samples": 3, "max_evals": 12, "on_error": "raise", **arguments})


def fit(folder, *callbacks, module=None, loaders=None, ckpt_path=None, **options):
    """Trains a tiny classifier on tiny data, or what is given; returns the trainer."""
    trainer = tiny_trainer(folder, *callbacks, **options)
    module = TinyClassifier() if module is None else module
    loaders = tiny_loaders() if loaders is None else loaders
    trainer.fit(module, *loaders, ckpt_path=ckpt_path, weights_only=True)
    return trainer


@contextmanager
def hear_warnings():
    """Collects the words of our own warnings, every one of them, for whoever asks afterwards."""
    words = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield words
    words += [str(one.message) for one in caught if "ShapCallback" in str(one.message)]


def same(one, other):
    """Whether two nested structures hold the same to the bit."""
    if isinstance(one, torch.Tensor):
        return (
            isinstance(other, torch.Tensor)
            and one.dtype == other.dtype
            and one.shape == other.shape
            and _bytes(one) == _bytes(other)
        )
    if isinstance(one, np.ndarray):
        return isinstance(other, np.ndarray) and np.array_equal(one, other, equal_nan=True)
    if isinstance(one, Mapping):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and (one == other or (one != one and other != other))


def _bytes(tensor):
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def random_states():
    """Where the random generators stand."""
    return random.getstate(), np.random.get_state(), torch.get_rng_state()
