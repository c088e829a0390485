"""Quote a number with its error: how much of a digit's score its upper half contributes.

Standard errors of single patches are in ``error_std``. Those of several patches correlate and must
not be added up: ``explanation.region`` returns the sum over a box, a mask or the patch at a point
with its error. Estimates with other seeds scatter about as far as that says.

    pip install scikit-learn
    python number_with_error.py
"""

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch.nn import Conv2d, Flatten, Linear, MaxPool2d, ReLU, Sequential
from torch.nn.functional import cross_entropy, interpolate

import lightning_shap

SEEDS = 5


def main() -> None:
    """Trains a small network, explains one digit, and prints what two places contribute."""
    torch.manual_seed(0)
    digits = load_digits()
    images = torch.tensor(digits.images[:, None] / 16, dtype=torch.float)
    images, labels = interpolate(images, scale_factor=4), torch.tensor(digits.target)
    model = Sequential(
        Conv2d(1, 16, 5, stride=2),
        ReLU(),
        Conv2d(16, 32, 3),
        ReLU(),
        MaxPool2d(2),
        Flatten(),
        Linear(1152, 10),
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(60):
        optimizer.zero_grad()
        cross_entropy(model(images[1:]), labels[1:]).backward()
        optimizer.step()

    explanations = [
        lightning_shap.explain(
            model,
            images[:1],
            targets=int(labels[0]),
            method="kernel",
            grid=8,
            max_evals=200,
            masker=0.0,
            seed=seed,
        )
        for seed in range(SEEDS)
    ]

    first = explanations[0][0, ..., 0]  # of the only image, for the only class
    print(f"one patch:      {first.region((13, 5))}")
    print(f"the upper half: {first.region((0, 0, 32, 16))}")

    sums = np.array([e[0, ..., 0].region((0, 0, 32, 16)).value for e in explanations])
    print(f"{SEEDS} seeds scatter by {sums.std(ddof=1):.2f} around {sums.mean():.2f}")


if __name__ == "__main__":
    main()
