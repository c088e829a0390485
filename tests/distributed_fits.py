"""Trains over several processes and leaves what each rank saw; run by ``test_distributed.py``."""

import argparse
import os
import signal
import time
import warnings
from datetime import timedelta
from pathlib import Path
from unittest.mock import patch

import torch
from tiny_training import (
    FaultyClassifier,
    KeepingLogger,
    Stream,
    TinyClassifier,
    pl,
    tiny_data,
    tiny_trainer,
)
from torch import distributed
from torch.utils.data import DataLoader, Dataset
from torchmetrics.classification import MulticlassAccuracy

from lightning_shap import ShapCallback
from lightning_shap.isolation.isolated import isolated
from lightning_shap.training import shared_explainer as shares


def no_fault(number, scores):
    """Processes that are spawned cannot be sent a lambda."""


class Still(FaultyClassifier):
    """Learns nothing, so that however its batches are dealt out, its weights are the same."""

    def __init__(self, fault=no_fault):
        super().__init__(fault, dropout=0.0, learning_rate=0.0)

    def on_train_epoch_start(self):
        self.net[1].eval()


class Fails(Still):
    """Fails on one rank alone, before, at or after its first calls."""

    def __init__(self, rank=1, call=2, error=RuntimeError):
        super().__init__(self.fail)
        self.rank, self.call, self.error = rank, call, error

    def fail(self, number, scores):
        if self.trainer.global_rank == self.rank and number >= self.call:
            raise self.error("of its own")


class OddBatches(Still):
    """One rank's validation batches hold nothing that looks like images."""

    def on_before_batch_transfer(self, batch, dataloader_idx):
        if self.trainer.global_rank == 1 and (
            self.trainer.validating or self.trainer.sanity_checking
        ):
            return [batch[0].flatten(1), batch[1]]
        return batch

    def validation_step(self, batch, batch_idx):
        pass


class Gathering(Still):
    """Asks the other ranks in its forward."""

    def forward(self, images):
        scores = super().forward(images)
        return scores + 0 * self.all_gather(scores.mean()).mean()


class Measuring(Still):
    """Its forward updates a metric that is synchronised at each step."""

    def __init__(self):
        super().__init__()
        self.accuracy = MulticlassAccuracy(num_classes=3, dist_sync_on_step=True)

    def forward(self, images):
        scores = super().forward(images)
        self.accuracy(scores, scores.argmax(1))
        return scores


class Slow(Still):
    """Takes longer for an explanation than the process group waits."""

    def __init__(self):
        super().__init__(self.wait)

    def wait(self, number, scores):
        if self.trainer.global_rank == 1:
            time.sleep(0.4)


class Terminated(Still):
    """The first rank is asked to end in mid-explanation, and asks the others, as Lightning does."""

    def __init__(self):
        super().__init__(self.end)

    def end(self, number, scores):
        if number == 2 and self.trainer.global_rank == 0:
            os.kill(os.getpid(), signal.SIGTERM)


class TerminatedAlone(Still):
    """The second rank alone is asked to end, in the explanation at the end of the first epoch."""

    def __init__(self):
        super().__init__(self.end)

    def end(self, number, scores):
        trainer = self.trainer
        explains = trainer.training and not torch.is_grad_enabled() and trainer.global_step == 3
        if explains and trainer.global_rank == 1:
            os.kill(os.getpid(), signal.SIGTERM)


class TerminatedBefore(Still):
    """The second rank alone is asked to end, in a validation, after which all explain."""

    def on_validation_batch_end(self, outputs, batch, batch_idx):
        if self.trainer.global_rank == 1 and not self.trainer.sanity_checking:
            os.kill(os.getpid(), signal.SIGTERM)


class StopsAlone(Still):
    """The second rank alone stops the training, in mid-epoch or at its end."""

    def __init__(self, batch):
        super().__init__()
        self.batch = batch

    def on_train_batch_end(self, outputs, batch, batch_idx):
        if self.trainer.global_rank == 1 and batch_idx == self.batch:
            self.trainer.should_stop = True


class StopsAtOnce(Still):
    """The second rank alone stops the training before its first batch."""

    def on_train_epoch_start(self):
        super().on_train_epoch_start()
        self.trainer.should_stop = self.trainer.global_rank == 1


class Unequal(Dataset):
    """Of another length on each rank."""

    def __init__(self, *lengths):
        self.lengths, self.data = lengths, tiny_data(100, seed=1)

    def __len__(self):
        here = distributed.is_initialized()
        return self.lengths[distributed.get_rank() if here else 0]

    def __getitem__(self, row):
        return self.data[row]


class RankStream(Stream):
    """Every rank's part of a stream."""

    def __iter__(self):
        if distributed.is_initialized():
            self.rank, self.ranks = distributed.get_rank(), distributed.get_world_size()
        return super().__iter__()


class Unpicklable(ShapCallback):
    """Its explanation cannot travel from one rank."""

    def setup(self, trainer, pl_module, stage):
        super().setup(trainer, pl_module, stage)
        explainer = self._session.explainer
        explain = explainer.explain

        def explain_with_secret(*asked, **options):
            with patch.object(shares, "isolated", with_secret if trainer.global_rank else isolated):
                return explain(*asked, **options)

        explainer.explain = explain_with_secret


def with_secret(model, work):
    explanation, *rest = isolated(model, work)
    explanation.secret = lambda: None
    return explanation, *rest


class BrokenLogger(KeepingLogger):
    """Raises at each picture."""

    def log_image(self, key, images, step=None):
        raise ConnectionError("no route to the server")


class SlowRank(pl.Callback):
    """Makes the clocks of the ranks disagree about what is affordable."""

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if trainer.global_rank == 1:
            time.sleep(0.05)


# Cases in which the ranks part, and which end with an error of the training's.
PARTING = (
    "terminated",
    "terminated alone",
    "terminated before",
    "stops at the end",
    "stops in between",
    "stops at once",
)
FEW, LASTING = {"n_samples": 4, "batch_size": 2}, {"max_epochs": 50}

UNSHARED = {"use_distributed_sampler": False}

# Module, arguments of the callback, arguments of the trainer, the validation set or its length.
CASES = {
    "even": (Still, {"n_samples": 6}, {}, 12),
    "uneven": (Still, {"n_samples": 5}, {}, 12),
    "a rank with none": (Still, {"n_samples": 1}, {}, 12),
    "fewer rows than samples": (Still, {"n_samples": 8}, {}, 5),
    "samples by index": (Still, {"samples": [7, 2, 9]}, {}, 12),
    "samples given": (Still, {"samples": tiny_data(3, seed=4).tensors}, {}, 12),
    "no validation": (Still, {"n_samples": 4}, {}, 0),
    "mistakes": (Still, {"n_samples": 5, "samples": "mistakes"}, {"max_epochs": 2}, 13),
    "summary": (Still, {"n_samples": 4, "summary": 32}, {}, 40),
    "summary by halves": (Still, {"n_samples": 4, "summary": 64}, {}, 80),
    "mixed": (Still, {"n_samples": 8, "samples": "mixed"}, {}, 40),
    "no sanity check": (Still, {"n_samples": 4}, {"num_sanity_val_steps": 0}, 12),
    "sparse validation": (
        Still,
        {"n_samples": 4},
        {"num_sanity_val_steps": 0, "check_val_every_n_epoch": 2},
        12,
    ),
    "stream": (Still, {"n_samples": 5}, {}, RankStream(tiny_data(12, seed=1))),
    "4 and 100 rows": (Still, {"n_samples": 8}, UNSHARED, Unequal(4, 100)),
    "7 and 6 rows": (Still, {"n_samples": 8}, UNSHARED, Unequal(7, 6)),
    "gathers in forward": (Gathering, {"n_samples": 3}, {"max_epochs": 2}, 12),
    "metric in forward": (Measuring, {"n_samples": 3}, {"max_epochs": 2}, 12),
    "watched": (
        Still,
        {"n_samples": 6, "watch": [[0, 0, 8, 8], "lower edge"], "on_shortcut": "stop"},
        {"max_epochs": 4},
        12,
    ),
    "slow": (Slow, {"n_samples": 2, "batch_size": 2}, {"timeout": 2}, 12),
    "terminated": (Terminated, {"n_samples": 4, "batch_size": 2}, {"max_epochs": 3}, 12),
    "terminated alone": (TerminatedAlone, FEW, LASTING, 12),
    "terminated before": (TerminatedBefore, FEW, LASTING, 12),
    "stops at the end": (lambda: StopsAlone(2), FEW, LASTING, 12),
    "stops in between": (lambda: StopsAlone(0), FEW, LASTING, 12),
    "stops at once": (StopsAtOnce, FEW, LASTING, 12),
    "best checkpoint": (Still, {"n_samples": 3, "explain_checkpoint": "best"}, {}, 12),
    "everything measured": (
        Still,
        {"n_samples": 5, "metrics": ["settled", "changed", "where", "sure", "faithful"]},
        {},
        12,
    ),
    "fails on rank 1": (Fails, {"n_samples": 4}, {"max_epochs": 5}, 12),
    "out of memory on rank 1": (
        lambda: Fails(error=torch.OutOfMemoryError),
        {"n_samples": 4},
        {"max_epochs": 2},
        12,
    ),
    "odd batches on rank 1": (
        OddBatches,
        {"n_samples": 4},
        {"max_epochs": 2},
        RankStream(tiny_data(12, seed=1)),
    ),
    "logger fails": (Still, {"n_samples": 4}, {"logger": BrokenLogger(), "max_epochs": 2}, 12),
    "raised on rank 1": (Fails, {"n_samples": 4, "on_error": "raise"}, {}, 12),
    "time budget": (Still, {"n_samples": 4, "time_budget": "30%"}, {"max_epochs": 4}, 12),
    "unpicklable": (Still, {"n_samples": 4}, {"max_epochs": 2}, 12),
    "trained": (TinyClassifier, {"n_samples": 4}, {"max_epochs": 2}, 12),
    "trained without": (TinyClassifier, None, {"max_epochs": 2}, 12),
}


class Notes(pl.Callback):
    """What this rank saw, written down where ``fit`` ends."""

    def __init__(self, path, ours):
        self.path, self.ours, self.began = path, ours, time.monotonic()
        self.explanations = []

    def setup(self, trainer, pl_module, stage):
        self.caught = warnings.catch_warnings(record=True)
        self.messages = self.caught.__enter__()
        warnings.simplefilter("always")

    def on_train_end(self, trainer, pl_module):
        self.optimizers = [optimizer.state_dict() for optimizer in trainer.optimizers]

    def teardown(self, trainer, pl_module, stage):
        messages = [str(one.message) for one in self.messages if "ShapCallback" in str(one.message)]
        # What learns nothing explains as it did before training, and that is said.
        messages = [words for words in messages if "still resemble" not in words]
        self.caught.__exit__(None, None, None)
        explanation = None if self.ours is None else self.ours.explanation
        notes = {
            "values": None if explanation is None else torch.tensor(explanation.values),
            "images": None if explanation is None else torch.from_numpy(explanation.data),
            "classes": None if explanation is None else explanation.output_indexes.tolist(),
            "pictures": [list(key) for key in trainer.logger.pictures],
            "numbers": [dict(row) for _, row in trainer.logger.metrics if "shap/regions" in row],
            "watched": [
                {key: value for key, value in row.items() if "/watch_" in key}
                for _, row in trainer.logger.metrics
                if "shap/regions" in row
            ],
            "texts": dict(trainer.logger.texts),
            "messages": messages,
            "seconds": time.monotonic() - self.began,
            "epochs": trainer.current_epoch,
            "training": pl_module.net.training,
            "weights": pl_module.state_dict(),
            "optimizers": self.optimizers,
        }
        torch.save(notes, self.path.with_name(f"{self.path.name}-{trainer.global_rank}.pt"))


def fit(name, processes, folder, strategy):
    """One case, on so many processes."""
    pl.seed_everything(3, verbose=False)
    module, arguments, options, rows = CASES[name]
    kind = Unpicklable if name == "unpicklable" else ShapCallback
    ours = None if arguments is None else kind(**{"max_evals": 20, **arguments})
    callbacks = [Notes(folder / name.replace(" ", "_"), ours), SlowRank()]
    if name == "best checkpoint":
        callbacks.append(pl.callbacks.ModelCheckpoint(folder / "kept", monitor="train/loss"))
        options = {**options, "enable_checkpointing": True}
    options = dict(options)
    timeout = timedelta(seconds=options.pop("timeout", 1800))
    if processes > 1:
        if strategy == "ddp_fork":
            strategy = pl.strategies.DDPStrategy(start_method="fork", timeout=timeout)
        options = {**options, "strategy": strategy, "devices": processes}
    ours = [] if ours is None else [ours]
    trainer = tiny_trainer(folder, *ours, *callbacks, **{"max_epochs": 1, **options})
    loaders = [DataLoader(tiny_data(12), 2)]
    if rows:
        loaders.append(DataLoader(tiny_data(rows, seed=1) if isinstance(rows, int) else rows, 2))
    try:
        trainer.fit(module(), *loaders)
    except Exception as error:
        (folder / f"{name.replace(' ', '_')}.error").write_text(f"{type(error).__name__}: {error}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("processes", type=int)
    parser.add_argument("cases", nargs="+", choices=CASES)
    parser.add_argument("--strategy", default="ddp_fork")
    args = parser.parse_args()
    torch.set_num_threads(1)
    for name in args.cases:
        fit(name, args.processes, args.folder, args.strategy)


if __name__ == "__main__":
    main()
