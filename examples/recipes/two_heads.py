"""Explain one head of a network that has two: which digit it is, and whether it is odd.

pip install scikit-learn
python two_heads.py
"""

import torch
from pytorch_lightning import LightningModule, Trainer, seed_everything
from sklearn.datasets import load_digits
from torch.nn import Conv2d, Flatten, Linear, MaxPool2d, ReLU, Sequential
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, Dataset, Subset

from lightning_shap import ShapCallback


class Digits(Dataset):
    """Rows that are dictionaries, with a label for each head."""

    def __init__(self) -> None:
        digits = load_digits()
        self.images = torch.tensor(digits.images[:, None] / 16, dtype=torch.float)
        self.digits = torch.tensor(digits.target)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, row: int) -> dict[str, torch.Tensor]:
        digit = self.digits[row]
        return {"image": self.images[row], "digit": digit, "odd": digit % 2}


class TwoHeads(LightningModule):
    """A trunk and two heads."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = Sequential(Conv2d(1, 32, 3, padding=1), ReLU(), MaxPool2d(2), Flatten())
        self.digit, self.odd = Linear(512, 10), Linear(512, 2)

    def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        """Returns the logits of both heads, (N, 10) and (N, 2)."""
        features = self.trunk(images)
        return {"digit": self.digit(features), "odd": self.odd(features)}

    def training_step(self, batch: dict[str, torch.Tensor], batch_idx: int) -> torch.Tensor:
        """Returns the sum of both heads' cross entropies."""
        outputs = self(batch["image"])
        return sum(cross_entropy(outputs[head], batch[head]) for head in ("digit", "odd"))

    def validation_step(self, batch: dict[str, torch.Tensor], batch_idx: int) -> None:
        """Logs the loss over the validation set."""
        self.log("val/loss", self.training_step(batch, batch_idx))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Returns AdamW."""
        return torch.optim.AdamW(self.parameters(), lr=3e-3)


def odd_head(outputs: dict[str, torch.Tensor]) -> torch.Tensor:
    """Picks the logits of the head to explain."""
    return outputs["odd"]


def main() -> None:
    """Trains both heads and explains the second."""
    seed_everything(0)
    data = Digits()
    train, validation = Subset(data, range(1437)), Subset(data, range(1437, 1797))
    shap = ShapCallback(
        n_samples=4,
        output=odd_head,
        returns="logits",  # what odd_head returns, so that pictures can state probabilities
        labels="odd",  # the labels that belong to this head
        class_names=["even", "odd"],
        masker="mean",  # a blurred digit would be taken for odd
        save_dir="runs/two_heads",
    )
    trainer = Trainer(accelerator="cpu", max_epochs=5, callbacks=[shap], logger=False)
    trainer.fit(
        TwoHeads(), DataLoader(train, batch_size=64, shuffle=True), DataLoader(validation, 64)
    )
    print("Pictures: runs/two_heads")


if __name__ == "__main__":
    main()
