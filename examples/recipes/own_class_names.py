"""Name the classes, and say how the images were normalised, where a data set keeps both to itself.

pip install scikit-learn
python own_class_names.py
"""

import torch
from pytorch_lightning import LightningModule, Trainer
from sklearn.datasets import load_digits
from torch.nn import Conv2d, Flatten, Linear, MaxPool2d, ReLU, Sequential
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

from lightning_shap import ShapCallback

MEAN, STD = 0.3, 0.4
NAMES = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]


class Classifier(LightningModule):
    """A small network for digits of 8 x 8 pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.net = Sequential(
            Conv2d(1, 32, 3, padding=1), ReLU(), MaxPool2d(2), Flatten(), Linear(512, 10)
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Returns the logits (N, 10)."""
        return self.net(images)

    def training_step(self, batch: list[torch.Tensor], batch_idx: int) -> torch.Tensor:
        """Returns the cross entropy of one batch."""
        return cross_entropy(self(batch[0]), batch[1])

    def validation_step(self, batch: list[torch.Tensor], batch_idx: int) -> None:
        """Logs the loss over the validation set."""
        self.log("val/loss", cross_entropy(self(batch[0]), batch[1]))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Returns AdamW."""
        return torch.optim.AdamW(self.parameters(), lr=3e-3)


def main() -> None:
    """Trains with a callback that is told what the data does not say."""
    digits = load_digits()
    images = torch.tensor(digits.images[:, None] / 16, dtype=torch.float)
    data = TensorDataset((images - MEAN) / STD, torch.tensor(digits.target))
    train, validation = torch.utils.data.random_split(data, [1437, 360])
    shap = ShapCallback(class_names=NAMES, mean=MEAN, std=STD, save_dir="runs/own_class_names")
    trainer = Trainer(accelerator="cpu", max_epochs=3, callbacks=[shap], logger=False)
    trainer.fit(
        Classifier(), DataLoader(train, batch_size=64, shuffle=True), DataLoader(validation, 64)
    )
    print("Pictures: runs/own_class_names")


if __name__ == "__main__":
    main()
