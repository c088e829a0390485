"""Compare what two networks look at: how alike their maps are, and both on one page.

pip install scikit-learn
python compare_models.py
"""

import torch
from sklearn.datasets import load_digits
from torch.nn import Conv2d, Flatten, Linear, MaxPool2d, Module, ReLU, Sequential
from torch.nn.functional import cross_entropy

import lightning_shap
from lightning_shap import Similarity


def train(images: torch.Tensor, labels: torch.Tensor, steps: int) -> Module:
    """Returns a small network after so many steps."""
    torch.manual_seed(0)
    model = Sequential(
        Conv2d(1, 32, 3, padding=1), ReLU(), MaxPool2d(2), Flatten(), Linear(512, 10)
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(steps):
        optimizer.zero_grad()
        cross_entropy(model(images), labels).backward()
        optimizer.step()
    return model.eval()


def main() -> None:
    """Explains the same digits by a network trained briefly and one trained longer."""
    digits = load_digits()
    images = torch.tensor(digits.images[:, None] / 16, dtype=torch.float)
    labels = torch.tensor(digits.target)
    short, long = (train(images[8:], labels[8:], steps) for steps in (20, 200))

    question = {"labels": labels[:8], "topk": 2, "method": "kernel", "grid": 4, "max_evals": 200}
    before = lightning_shap.explain(short, images[:8], **question)
    after = lightning_shap.explain(long, images[:8], **question)

    alike = Similarity()  # of the true classes' maps: 1 the same, 0 nothing in common
    alike.update(after, other=before)
    print(f"similarity {alike.compute():.2f}; noise alone leaves {alike.floor:.2f}")

    lightning_shap.report({"20 steps": before, "200 steps": after}, "compare.html")
    print("Page: compare.html")


if __name__ == "__main__":
    main()
