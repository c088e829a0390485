"""The metrics beside those of Quantus and captum: the same numbers where definitions agree.

    pip install quantus captum scikit-learn
    python examples/benchmarks/metrics.py            # half a minute on two cores

A small network learns scikit-learn's digits. Held-out digits are explained by expected gradients,
so that no two pixels have the same value and every ranking is the only one. Each metric is then
taken of these maps, by this package and by its peer; printed is a table of the largest difference
over all images, and of the size of the numbers.
"""

import warnings
from collections.abc import Iterator

import numpy as np
import quantus
import torch
from captum.attr import GradientShap
from captum.metrics import infidelity
from games import digits
from torch import nn
from torch.nn import functional

from lightning_shap import AttributionEntropy, AttributionShare, DeletionAUC, Similarity, explain
from lightning_shap.engine.maskers import paint_background

np.trapz = np.trapezoid  # Quantus 0.6 asks for it under the name that NumPy 2.4 dropped

IMAGES, SIZE, STEPS = 32, 16, 8
Row = tuple[str, str, np.ndarray, np.ndarray]  # ours, the peer's, and their numbers by image


def learnt(images: torch.Tensor, labels: torch.Tensor, steps: int) -> nn.Module:
    """A small network after some steps."""
    torch.manual_seed(0)
    network = nn.Sequential(
        *(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.Flatten()),
        nn.Linear(32 * (SIZE // 2) ** 2, 10),
    )
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3)
    for _ in range(steps):
        rows = torch.randint(len(images), (64,))
        optimiser.zero_grad()
        functional.cross_entropy(network(images[rows]), labels[rows]).backward()
        optimiser.step()
    return network.eval()


def one_by_one(metric, *given) -> np.ndarray:
    """A metric of ours for each image by itself."""
    numbers = []
    for row in range(len(given[0])):
        metric.reset()
        metric.update(*(one[row : row + 1] for one in given))
        numbers.append(float(metric.compute()))
    return np.array(numbers)


def rows(network: nn.Module, before: nn.Module, images: torch.Tensor) -> Iterator[Row]:
    """All pairs of metrics."""
    with torch.no_grad():
        classes = network(images).argmax(1)
    targets = classes[:, None]
    asked = {"method": "gradient", "max_evals": 60, "targets": targets}
    found, control = explain(network, images, **asked), explain(before, images, **asked)
    maps, others = (torch.from_numpy(one.values.sum((3, 4))) for one in (found, control))
    plain = maps.numpy()
    pairs = [(a.ravel(), b.ravel()) for a, b in zip(plain, others.numpy(), strict=True)]

    yield (
        "`Similarity()`",
        "1 - Quantus `similarity_func.cosine`",
        one_by_one(Similarity(), maps, others),
        np.array([1 - quantus.cosine(*pair) for pair in pairs]),
    )
    mask = np.zeros((len(images), SIZE, SIZE), dtype=bool)
    mask[:, 4:12, 4:12] = True
    as_is = {"abs": True, "normalise": False, "disable_warnings": True}
    given = {
        "model": network,
        "x_batch": images.numpy(),
        "y_batch": classes.numpy(),
        "a_batch": plain[:, None].copy(),
        "s_batch": mask[:, None],
        "device": "cpu",
    }
    ours = one_by_one(AttributionShare(), maps, mask)
    for peer in (quantus.RelevanceMassAccuracy, quantus.AttributionLocalisation):
        yield (
            "`AttributionShare(masks)`",
            f"Quantus `{peer.__name__}(abs=True)`",
            ours,
            np.array(peer(**as_is)(**given)),
        )
    yield (
        "`AttributionEntropy()` x log(pixels)",
        "Quantus `Complexity()`",
        one_by_one(AttributionEntropy(), maps) * np.log(SIZE**2),
        np.array(quantus.Complexity(normalise=False, disable_warnings=True)(**given)),
    )
    flipping = {"features_in_step": SIZE**2 // STEPS, "normalise": False, "disable_warnings": True}
    # Quantus' "black" is the least pixel of each image; a number is taken as it is.
    flipping["perturb_baseline"] = -1.0
    curves = np.array(quantus.PixelFlipping(**flipping)(**given, softmax=True))
    areas = np.array(quantus.PixelFlipping(**flipping, return_auc_per_sample=True)(**given))
    deletion, ours, whole = DeletionAUC(steps=STEPS, masker=-1.0, random_maps=0), [], []
    for row in range(len(images)):
        deletion.reset()
        deletion.update(network, maps[row : row + 1], images[row : row + 1], targets[row : row + 1])
        ours.append(deletion.curve.numpy()[1:])
        whole.append(float(deletion.compute()))
    yield ("`DeletionAUC().curve[1:]`", "Quantus `PixelFlipping`", np.array(ours), curves)
    with torch.no_grad():
        unchanged = network(images).softmax(1).numpy()[np.arange(len(images)), classes]
    yield (
        "`DeletionAUC(random_maps=0)`",
        "Quantus `PixelFlipping(return_auc_per_sample=True)` / steps + the first step",
        np.array(whole),
        (areas + (unchanged + curves[:, 0]) / 2) / STEPS,  # its curve begins after that step
    )
    values = torch.tensor(found.values[..., 0]).movedim(-1, 1).float()
    blurred = paint_background("blur", images)
    blurred = blurred if isinstance(blurred, torch.Tensor) else torch.as_tensor(blurred)
    delta = GradientShap(network).compute_convergence_delta(
        values, blurred.float(), images, target=classes
    )
    yield (
        "`record.additivity_gap`",
        "captum `compute_convergence_delta`, magnitude",
        found.record.additivity_gap[:, 0],
        delta.abs().numpy(),
    )
    print(
        "captum `infidelity` of the same maps (no counterpart here):",
        f"{float(infidelity(network, noisy, images, values, target=classes).mean()):.3g}",
    )


def noisy(inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """What captum's example perturbs images with."""
    noise = 0.1 * torch.randn(inputs.shape)
    return noise, inputs - noise


def main() -> None:
    """Prints the table."""
    warnings.simplefilter("ignore")
    images, labels = digits(SIZE)
    images = images + 1e-4 * torch.rand(images.shape, generator=torch.Generator().manual_seed(0))
    network = learnt(images[IMAGES:], labels[IMAGES:], 400)
    before = learnt(images, labels, 0)
    print("| ours | peer | largest difference | of numbers up to |")
    print("| --- | --- | --- | --- |")
    for ours, peer, one, two in rows(network, before, images[:IMAGES]):
        difference, size = np.abs(one - two).max(), np.abs(two).max()
        print(f"| {ours} | {peer} | {difference:.1e} | {size:.2f} |", flush=True)


if __name__ == "__main__":
    main()
