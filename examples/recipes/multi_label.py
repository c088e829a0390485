"""Explain a network whose images have several classes at once.

Two digits stand side by side; the network says which of the ten are there.

    pip install scikit-learn
    python multi_label.py
"""

import torch
from pytorch_lightning import LightningModule, Trainer, seed_everything
from sklearn.datasets import load_digits
from torch.nn import Conv2d, Flatten, Linear, MaxPool2d, ReLU, Sequential
from torch.nn.functional import binary_cross_entropy_with_logits, one_hot
from torch.utils.data import DataLoader, TensorDataset, random_split

from lightning_shap import ShapCallback


class Classifier(LightningModule):
    """Ten outputs, of which several may be true."""

    def __init__(self) -> None:
        super().__init__()
        self.net = Sequential(
            Conv2d(1, 32, 3, padding=1), ReLU(), MaxPool2d(2), Flatten(), Linear(1024, 10)
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Returns a logit for each class (N, 10)."""
        return self.net(images)

    def training_step(self, batch: list[torch.Tensor], batch_idx: int) -> torch.Tensor:
        """Returns the binary cross entropy of one batch."""
        return binary_cross_entropy_with_logits(self(batch[0]), batch[1])

    def validation_step(self, batch: list[torch.Tensor], batch_idx: int) -> None:
        """Logs the loss over the validation set."""
        self.log("val/loss", binary_cross_entropy_with_logits(self(batch[0]), batch[1]))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Returns AdamW."""
        return torch.optim.AdamW(self.parameters(), lr=3e-3)


def pairs_of_digits() -> TensorDataset:
    """Returns images (N, 1, 8, 16) and rows of zeros and ones (N, 10)."""
    digits = load_digits()
    images = torch.tensor(digits.images[:, None] / 16, dtype=torch.float)
    labels = one_hot(torch.tensor(digits.target), 10)
    order = torch.randperm(len(images))
    pairs = torch.cat([images, images[order]], dim=-1)
    return TensorDataset(pairs, (labels | labels[order]).float())


def main() -> None:
    """Trains and explains both digits of each image."""
    seed_everything(0)
    train, validation = random_split(pairs_of_digits(), [1437, 360])
    shap = ShapCallback(
        n_samples=4, multi_label=True, topk=3, masker=0.0, save_dir="runs/multi_label"
    )
    trainer = Trainer(accelerator="cpu", max_epochs=10, callbacks=[shap], logger=False)
    trainer.fit(
        Classifier(), DataLoader(train, batch_size=64, shuffle=True), DataLoader(validation, 64)
    )
    print("Pictures: runs/multi_label")


if __name__ == "__main__":
    main()
