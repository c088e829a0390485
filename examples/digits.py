"""Train a small network on handwritten digits and watch, epoch by epoch, what it looks at.

Everything is real and ships with the packages: 1,797 digits from scikit-learn, a network from
timm. Takes about a minute on two CPU cores.

    python examples/digits.py
"""

import argparse
from pathlib import Path
from typing import Any

import timm
import torch
from pytorch_lightning import LightningModule, Trainer, seed_everything
from pytorch_lightning.loggers import TensorBoardLogger
from sklearn.datasets import load_digits
from torch.nn.functional import cross_entropy, interpolate
from torch.utils.data import DataLoader, TensorDataset, random_split
from torchmetrics.classification import MulticlassAccuracy

from lightning_shap import ShapCallback


class DigitClassifier(LightningModule):
    """A timm network for images of ten digits.

    Args:
        architecture: By timm's name.
        in_chans: Channels of the images.
        lr: The highest learning rate.
        black: The share of training images that are black, and may be any digit. Where none is, an
            image without ink is a 1 for sure, whatever is hidden looks like one, and the map of a
            1 is blue.
    """

    def __init__(
        self,
        architecture: str = "resnet10t",
        in_chans: int = 1,
        lr: float = 2e-3,
        black: float = 0.0,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.net = timm.create_model(architecture, in_chans=in_chans, num_classes=10)
        self.accuracy = MulticlassAccuracy(10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Returns the logits (N, 10) of images (N, C, H, W)."""
        return self.net(images)

    def training_step(self, batch: list[torch.Tensor], batch_idx: int) -> torch.Tensor:
        """Returns the cross entropy of one batch."""
        images, labels = batch
        if self.hparams.black:
            images = images * (torch.rand(len(images), 1, 1, 1) >= self.hparams.black).to(images)
        loss = cross_entropy(self(images), labels)
        self.log("train/loss", loss)
        return loss

    def validation_step(self, batch: list[torch.Tensor], batch_idx: int) -> None:
        """Logs the accuracy over the validation set."""
        images, labels = batch
        self.accuracy(self(images), labels)
        self.log("val/accuracy", self.accuracy, prog_bar=True)

    def configure_optimizers(self) -> dict[str, Any]:
        """Returns AdamW, its rate rising and falling once over the whole training."""
        optimizer = torch.optim.AdamW(self.parameters(), lr=self.hparams.lr)
        steps = self.trainer.estimated_stepping_batches
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, self.hparams.lr, steps)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }


def digit_loaders(side: int) -> tuple[DataLoader, DataLoader]:
    """Returns training and validation digits, enlarged from 8 to ``side`` pixels."""
    digits = load_digits()
    images = torch.tensor(digits.images[:, None] / 16, dtype=torch.float)
    images = interpolate(images, size=(side, side), mode="bilinear").clamp(0, 1)
    dataset = TensorDataset(images, torch.tensor(digits.target))
    dataset.classes = [str(digit) for digit in range(10)]  # the pictures' captions
    split = torch.Generator().manual_seed(0)
    train, validation = random_split(dataset, [1437, 360], generator=split)
    return DataLoader(train, batch_size=64, shuffle=True), DataLoader(validation, batch_size=64)


def main() -> None:
    """Trains, explains, says how to look."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--logdir", type=Path, default=Path("runs/digits"))
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--side", type=int, default=32, help="pixels a side")
    parser.add_argument("--samples", type=int, default=8, help="digits to explain")
    parser.add_argument("--evals", type=int, default=200, help="model rows a digit may cost")
    args = parser.parse_args()

    seed_everything(0)
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=args.epochs,
        logger=TensorBoardLogger(args.logdir.parent, name=args.logdir.name),
        callbacks=[
            ShapCallback(
                n_samples=args.samples,
                max_evals=args.evals,
                masker=0.0,  # black, which this network takes for no digit
                save_dir=str(args.logdir / "pictures"),
            )
        ],
        log_every_n_steps=10,
    )
    trainer.fit(DigitClassifier(black=0.1), *digit_loaders(args.side))

    print(f"\nPictures: {args.logdir / 'pictures'}")
    print(f"To watch them: tensorboard --logdir {args.logdir} --samples_per_plugin=images=1000")


if __name__ == "__main__":
    main()
