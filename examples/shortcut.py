"""Plant a shortcut in the training data and watch the explanations find it.

Every digit gets a small coloured mark in a corner whose colour gives its class away. The network
soon stops reading the digit; the share of attribution that lies on the mark shows, epoch by epoch,
while the accuracy looks better than ever. Takes about a minute on two CPU cores.

    pip install scikit-learn
    python examples/shortcut.py
"""

import argparse
from pathlib import Path

import numpy as np
import timm
import torch
from matplotlib import colormaps
from pytorch_lightning import Callback, LightningModule, Trainer, seed_everything
from pytorch_lightning.loggers import TensorBoardLogger
from sklearn.datasets import load_digits
from torch.nn.functional import cross_entropy, interpolate
from torch.utils.data import DataLoader, TensorDataset, random_split
from torchmetrics.classification import MulticlassAccuracy

from lightning_shap import ShapCallback

SIDE = 32  # pixels
MARK = 8  # pixels a side, in the upper left corner


def marked_digits() -> TensorDataset:
    """Returns digits in colour, each with the mark of its class."""
    digits = load_digits()
    images = torch.tensor(digits.images[:, None] / 16, dtype=torch.float)
    images = interpolate(images, size=(SIDE, SIDE), mode="bilinear").clamp(0, 1)
    images, labels = images.repeat(1, 3, 1, 1), torch.tensor(digits.target)
    colours = torch.tensor(colormaps["tab10"].colors, dtype=torch.float)
    images[:, :, :MARK, :MARK] = colours[labels][:, :, None, None]
    dataset = TensorDataset(images, labels)
    dataset.classes = [str(digit) for digit in range(10)]  # the pictures' captions
    return dataset


class Classifier(LightningModule):
    """A timm network for images of ten digits."""

    def __init__(self, lr: float = 2e-3) -> None:
        super().__init__()
        self.lr = lr
        self.net = timm.create_model("resnet10t", num_classes=10)
        self.accuracy = MulticlassAccuracy(10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Returns the logits (N, 10) of images (N, 3, H, W)."""
        return self.net(images)

    def training_step(self, batch: list[torch.Tensor], batch_idx: int) -> torch.Tensor:
        """Returns the cross entropy of one batch."""
        return cross_entropy(self(batch[0]), batch[1])

    def validation_step(self, batch: list[torch.Tensor], batch_idx: int) -> None:
        """Logs the accuracy over the validation set."""
        self.accuracy(self(batch[0]), batch[1])
        self.log("val/accuracy", self.accuracy)

    def configure_optimizers(self) -> dict[str, object]:
        """Returns AdamW, its rate rising and falling once over the whole training."""
        optimizer = torch.optim.AdamW(self.parameters(), lr=self.lr)
        steps = self.trainer.estimated_stepping_batches
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, self.lr, steps)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }


class MarkShare(Callback):
    """Prints how much of the true classes' attribution lies on the mark."""

    def __init__(self, shap: ShapCallback) -> None:
        self.shap = shap

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Follows the explanation of the epoch, as the later callback in the list."""
        share = share_on_mark(self.shap.explanation.values[..., 0])
        accuracy = float(trainer.callback_metrics["val/accuracy"])
        epoch = trainer.current_epoch
        print(f"\nepoch {epoch}: {share:4.0%} of the attribution on the mark, {accuracy:.1%} right")


def share_on_mark(values: np.ndarray) -> float:
    """Returns the share of the absolute attribution (N, H, W, C) that lies on the mark."""
    by_pixel = np.abs(values.sum(axis=-1))
    return float(by_pixel[:, :MARK, :MARK].sum() / by_pixel.sum())


def main() -> None:
    """Trains on marked digits and prints the mark's share at each epoch."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--logdir", type=Path, default=Path("runs/shortcut"))
    parser.add_argument("--epochs", type=int, default=6)
    args = parser.parse_args()

    seed_everything(0)
    split = torch.Generator().manual_seed(0)
    train, validation = random_split(marked_digits(), [1437, 360], generator=split)
    shap = ShapCallback(n_samples=6, topk=1, summary=256, save_dir=str(args.logdir / "pictures"))
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=args.epochs,
        logger=TensorBoardLogger(args.logdir.parent, name=args.logdir.name),
        callbacks=[shap, MarkShare(shap)],
        enable_progress_bar=False,
        log_every_n_steps=10,
    )
    print(f"the mark covers {MARK**2 / SIDE**2:.0%} of the picture")
    trainer.fit(
        Classifier(),
        DataLoader(train, batch_size=64, shuffle=True),
        DataLoader(validation, batch_size=64),
    )

    print(f"\nPictures: {args.logdir / 'pictures'}")
    print(f"To watch them: tensorboard --logdir {args.logdir} --samples_per_plugin=images=1000")


if __name__ == "__main__":
    main()
