"""Explain a network that has no classes: it predicts how much ink a digit has, and how wide it is.

pip install scikit-learn
python regression.py
"""

import torch
from sklearn.datasets import load_digits
from torch.nn import Conv2d, Flatten, Linear, MaxPool2d, ReLU, Sequential
from torch.nn.functional import mse_loss

import lightning_shap


def main() -> None:
    """Fits a small network, then explains both of its values."""
    torch.manual_seed(0)
    images = torch.tensor(load_digits().images[:, None] / 16, dtype=torch.float)
    ink = images.mean((1, 2, 3))
    width = (images.amax((1, 2)) > 0.25).float().mean(1)
    wanted = torch.stack([ink, width], dim=1)

    model = Sequential(Conv2d(1, 16, 3, padding=1), ReLU(), MaxPool2d(2), Flatten(), Linear(256, 2))
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(200):
        optimizer.zero_grad()
        mse_loss(model(images), wanted).backward()
        optimizer.step()

    explanation = lightning_shap.explain(
        model,
        images[:3],
        returns="values",  # nothing is predicted, and nothing is ranked
        labels=wanted[:3],  # the true values, for the captions
        class_names=["ink", "width"],
        method="kernel",
        masker=0.0,  # paper
    )
    lightning_shap.save(explanation, "regression.png")
    print(explanation.summary())
    print("Picture: regression.png")


if __name__ == "__main__":
    main()
