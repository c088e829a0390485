"""Plant a shortcut in the training data and watch the explanations find it.

Every digit gets a small coloured mark in a corner whose colour gives its class away. The network
soon stops reading the digit; the share of attribution that lies on the mark shows, epoch by epoch,
while the accuracy looks better than ever. Takes about a minute on two CPU cores.

    python examples/shortcut.py
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from digits import DigitClassifier, digit_loaders
from matplotlib import colormaps
from pytorch_lightning import Callback, LightningModule, Trainer, seed_everything
from pytorch_lightning.loggers import TensorBoardLogger
from torch.utils.data import DataLoader, TensorDataset

from lightning_shap import ShapCallback

MARK = 8  # pixels a side, in the upper left corner


def marked(loader: DataLoader, shuffle: bool) -> DataLoader:
    """The digits of a loader in colour, each with the mark of its class."""
    images, labels = (torch.stack(column) for column in zip(*loader.dataset, strict=True))
    images = images.repeat(1, 3, 1, 1)
    colours = torch.tensor(colormaps["tab10"].colors, dtype=torch.float)
    images[:, :, :MARK, :MARK] = colours[labels][:, :, None, None]
    dataset = TensorDataset(images, labels)
    dataset.classes = [str(digit) for digit in range(10)]
    return DataLoader(dataset, batch_size=loader.batch_size, shuffle=shuffle)


class MarkShare(Callback):
    """Prints how much of the true classes' attribution lies on the mark."""

    def __init__(self, shap: ShapCallback) -> None:
        self.shap = shap

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """After the explanation of the epoch, as the later callback in the list."""
        share = share_on_mark(self.shap.explanation.values[..., 0])
        accuracy = float(trainer.callback_metrics["val/accuracy"])
        epoch = trainer.current_epoch
        print(f"\nepoch {epoch}: {share:4.0%} of the attribution on the mark, {accuracy:.1%} right")


def share_on_mark(values: np.ndarray) -> float:
    """Share of the absolute attribution (N, H, W, C) that lies on the mark."""
    by_pixel = np.abs(values.sum(axis=-1))
    return float(by_pixel[:, :MARK, :MARK].sum() / by_pixel.sum())


def main() -> None:
    """Train on marked digits and print the mark's share at each epoch."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--logdir", type=Path, default=Path("runs/shortcut"))
    parser.add_argument("--epochs", type=int, default=6)
    args = parser.parse_args()

    seed_everything(0)
    train, validation = digit_loaders(side=32)
    shap = ShapCallback(n_samples=6, topk=1, summary=256, save_dir=str(args.logdir / "pictures"))
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=args.epochs,
        logger=TensorBoardLogger(args.logdir.parent, name=args.logdir.name),
        callbacks=[shap, MarkShare(shap)],
        enable_progress_bar=False,
        log_every_n_steps=10,
    )
    print(f"the mark covers {MARK**2 / 32**2:.0%} of the picture")
    model = DigitClassifier(in_chans=3)
    trainer.fit(model, marked(train, shuffle=True), marked(validation, shuffle=False))

    if shap.summary.survey is not None:
        print("\nThe finding, of 256 images:", shap.summary.survey.lines[1], sep="\n")
    print(f"\nPictures: {args.logdir / 'pictures'}")
    print(f"To watch them: tensorboard --logdir {args.logdir} --samples_per_plugin=images=1000")


if __name__ == "__main__":
    main()
