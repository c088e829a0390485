"""Quote a number with its error: how much of a digit's score its upper half contributes.

Standard errors of single patches are in ``error_std``. Those of several patches are correlated and
must not be added up: for the sum over a place, explain with a few seeds and take their spread.

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
    """Trains a small network, explains one digit with several seeds, and prints both errors."""
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

    # One patch: its value and its standard error are the sums over its own pixels.
    patch = np.s_[0, 4:8, 12:16, :, 0]
    value = explanations[0].values[patch].sum()
    error = explanations[0].error_std[patch].sum()
    print(f"one patch:      {value:.2f} +- {error:.2f}")

    # A place of several patches: the spread over seeds.
    sums = np.array([e.values[0, :16, :, :, 0].sum() for e in explanations])
    error = sums.std(ddof=1) / np.sqrt(SEEDS)
    whole = float(explanations[0].record.outputs[0, labels[0]] - explanations[0].base_values[0, 0])
    print(f"the upper half: {sums.mean():.2f} +- {error:.2f}, of {whole:.2f} in all")


if __name__ == "__main__":
    main()
