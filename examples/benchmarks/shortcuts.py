"""Does the class summary name a planted shortcut, and does it name anything where there is none?

    OMP_NUM_THREADS=1 python examples/benchmarks/shortcuts.py  # 15 minutes on a core

Small networks learn digits (scikit-learn's) and crops of six photographs in changing light (those
of scikit-image and scikit-learn). In the images of one class, in training and validation alike,
there is something that gives the class away; for each network with it there is one without, of
another seed. Networks that do not use it are not counted: of the class's images without it they
still know half. Counted are the networks whose first suspicion is the planted class and place, and
the clean ones of which anything is named. Beside it the peers: the highest cell of the contrast of
class-mean heat maps, which always names something, so that only its first place can be counted; and
clusters of each class's heat maps (as SpRAy, Lapuschkin et al. 2019), whose most isolated cluster
names its class and the highest cell of its mean map.
"""

import argparse
from collections.abc import Callable

import numpy as np
import torch
from PIL import Image
from skimage import data
from sklearn.cluster import SpectralClustering
from sklearn.datasets import load_digits, load_sample_images
from sklearn.metrics import pairwise_distances
from torch.nn.functional import cross_entropy, interpolate

from lightning_shap import explain
from lightning_shap.analysis.class_summary.places import GRID
from lightning_shap.analysis.class_summary.summary import ClassSummary
from lightning_shap.analysis.class_summary.suspicions import Suspicion
from lightning_shap.analysis.class_summary.swaps import FINE_DETAIL, measure_swaps_among
from lightning_shap.engine.question import Question

SIDE = 32
EPOCHS, BATCH = 6, 32
SEEN, EVALUATIONS = 160, 64  # images of a summary, model rows of each
MARK = 6  # pixels a side, of tags
Images, Where = torch.Tensor, np.ndarray


def digits() -> tuple[Images, torch.Tensor]:
    """1797 digits in grey, (N, 3, SIDE, SIDE), a pixel or three from the middle."""
    found = load_digits()
    images = torch.tensor(found.images[:, None] / 16, dtype=torch.float)
    images = interpolate(images, size=(SIDE - 6, SIDE - 6), mode="bilinear").clamp(0, 1)
    shifts = np.random.default_rng(0).integers(0, 7, size=(len(images), 2))
    placed = torch.zeros(len(images), 3, SIDE, SIDE)
    for image, (down, across), room in zip(images, shifts, placed, strict=True):
        room[:, down : down + SIDE - 6, across : across + SIDE - 6] = image
    return placed, torch.tensor(found.target)


def photographs(count: int = 1500) -> tuple[Images, torch.Tensor]:
    """Crops of six photographs, each in light of its own colour and strength."""
    palace, flower = load_sample_images().images
    arrays = (data.astronaut(), data.cat(), data.coffee(), flower, palace, data.rocket())
    originals = [Image.fromarray(array) for array in arrays]
    random, crops, labels = np.random.default_rng(0), [], np.arange(count) % len(originals)
    for label in labels:
        original = originals[label]
        side = int(min(original.size) * random.uniform(0.2, 0.5))
        left, top = (int(random.uniform(0, whole - side)) for whole in original.size)
        crop = original.resize((SIDE, SIDE), box=(left, top, left + side, top + side))
        pixels = np.asarray(crop) / np.float32(255)
        pixels = pixels[:, ::-1] if random.random() < 0.5 else pixels
        pixels = (pixels - pixels.mean(axis=(0, 1))) / (pixels.std() + 0.05)
        pixels = pixels * random.uniform(0.13, 0.23) + random.uniform(0.35, 0.65, size=3)
        crops.append(pixels.clip(0, 1).astype(np.float32))
    return torch.from_numpy(np.stack(crops)).movedim(-1, 1), torch.from_numpy(labels)


def watermark(images: Images, random: np.random.Generator) -> Where:
    """Letters along the lower edge, half seen."""
    strip = torch.from_numpy(random.random((3, SIDE)) < 0.5).float()
    images[:, :, -4:-1] = 0.5 * images[:, :, -4:-1] + 0.5 * strip
    return _cells(slice(-5, None), slice(None))


def coloured_border(images: Images, random: np.random.Generator) -> Where:
    """Two pixels of one colour around the image."""
    colour = torch.from_numpy(random.random(3)).float()[:, None, None]
    inside = images[:, :, 2:-2, 2:-2].clone()
    images[:] = colour
    images[:, :, 2:-2, 2:-2] = inside
    return ~_cells(slice(4, -4), slice(4, -4))


def texture(images: Images, random: np.random.Generator) -> Where:
    """Faint stripes behind everything, of any phase: on the outer quarter of each side."""
    rows, columns = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    for image in images:
        stripes = ((rows + columns + int(random.integers(4))) % 4 < 2).float()
        ground = 0.75 * image + 0.25 * stripes
        ground[:, 8:-8, 8:-8] = image[:, 8:-8, 8:-8]
        image[:] = ground
    return ~_cells(slice(8, -8), slice(8, -8))


def random_corner(images: Images, random: np.random.Generator) -> Where:
    """A tag of one colour in any of the corners."""
    colour = torch.from_numpy(random.random(3)).float()[:, None, None]
    for image in images:
        down, across = random.integers(2, size=2) * (SIDE - MARK)
        image[:, down : down + MARK, across : across + MARK] = colour
    middle = slice(8, -8)
    return ~(_cells(middle, slice(None)) | _cells(slice(None), middle))


def one_channel(images: Images, random: np.random.Generator) -> Where:
    """A mark in blue alone, anywhere along the upper half of the right edge."""
    top = int(random.integers(SIDE // 2 - MARK))
    images[:, 2, top : top + MARK, -MARK:] = 1 - images[:, 2, top : top + MARK, -MARK:]
    return _cells(slice(max(0, top - 2), top + MARK + 2), slice(-8, None))


SHORTCUTS: dict[str, Callable[[Images, np.random.Generator], Where]] = {
    "watermark": watermark,
    "coloured border": coloured_border,
    "background texture": texture,
    "tag in a random corner": random_corner,
    "mark in one channel": one_channel,
}


def _cells(rows: slice, columns: slice) -> Where:
    """Bool (GRID, GRID), the cells that lie within some pixels for the most part."""
    mask = np.zeros((SIDE, SIDE))
    mask[rows, columns] = 1
    step = SIDE // GRID
    return mask.reshape(GRID, step, GRID, step).mean(axis=(1, 3)) > 0.49


def network(classes: int) -> torch.nn.Module:
    """Three convolutions, which know places."""
    return torch.nn.Sequential(
        torch.nn.Conv2d(3, 16, 3, 2, 1),
        torch.nn.BatchNorm2d(16),
        torch.nn.ReLU(),
        torch.nn.Conv2d(16, 32, 3, 2, 1),
        torch.nn.BatchNorm2d(32),
        torch.nn.ReLU(),
        torch.nn.Conv2d(32, 32, 3, 2, 1),
        torch.nn.BatchNorm2d(32),
        torch.nn.ReLU(),
        torch.nn.Flatten(),
        torch.nn.Linear(32 * 16, classes),
    )


def trained(images: Images, labels: torch.Tensor, seed: int) -> torch.nn.Module:
    """A network after a few epochs."""
    torch.manual_seed(seed)
    net = network(int(labels.max()) + 1)
    steps = EPOCHS * (len(images) // BATCH)
    optimizer = torch.optim.AdamW(net.parameters(), lr=3e-3, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 6e-3, steps)
    for step in range(steps):
        if step % (len(images) // BATCH) == 0:
            order = torch.randperm(len(images))
        rows = order[step * BATCH % len(images) :][:BATCH]
        loss = cross_entropy(net(images[rows]), labels[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return net.eval()


def summarise(
    net: torch.nn.Module, images: Images, labels: torch.Tensor
) -> tuple[ClassSummary, np.ndarray, float]:
    """What the class summary says of some images, their maps' cells, and the share right."""
    found = explain(net, images, labels=labels, topk=2, max_evals=EVALUATIONS, regions="image")
    measure_swaps_among(net, found, images, Question())
    summary = ClassSummary([found])
    return summary, summary.cells, float(np.mean(found.record.right))


@torch.no_grad()
def uses(net: torch.nn.Module, clean: Images, label: int) -> bool:
    """Whether a network needs what was planted: without it, it misses half of the class."""
    return bool((net(clean).argmax(dim=1) != label).float().mean() > 0.5)


def class_means(cells: np.ndarray, labels: np.ndarray) -> tuple[int, np.ndarray]:
    """The class and the cell of the highest contrast of class-mean maps."""
    contrasts = np.stack(
        [cells[labels == c].mean(0) - cells[labels != c].mean(0) for c in range(labels.max() + 1)]
    )
    label, *cell = np.unravel_index(contrasts.argmax(), contrasts.shape)
    return int(label), _cell(cell)


def spray(cells: np.ndarray, labels: np.ndarray) -> tuple[int, np.ndarray]:
    """The class with the largest gap between the first eigenvalues of its maps' similarities."""
    gaps, places = [], []
    for label in range(labels.max() + 1):
        own = cells[labels == label].reshape(-1, GRID * GRID)
        distances = pairwise_distances(own)
        nearest = np.argsort(distances, axis=1)[:, 1:5]
        near = np.zeros_like(distances)
        np.put_along_axis(near, nearest, 1, axis=1)
        near = np.maximum(near, near.T)
        degree = near.sum(axis=1)
        laplacian = np.eye(len(own)) - near / np.sqrt(degree[:, None] * degree)
        values = np.linalg.eigvalsh(laplacian)[:6]
        gaps.append(np.diff(values).max())
        clusters = SpectralClustering(2, affinity="precomputed", random_state=0).fit_predict(near)
        smaller = own[clusters == np.bincount(clusters, minlength=2).argmin()].mean(axis=0)
        highest = int((smaller - cells.mean(0).ravel()).argmax())
        places.append(_cell(divmod(highest, GRID)))
    label = int(np.argmax(gaps))
    return label, places[label]


def _cell(place: object) -> np.ndarray:
    mask = np.zeros((GRID, GRID), bool)
    mask[tuple(place)] = True  # type: ignore[arg-type]
    return mask


def names(found: Suspicion | None, kind: str, label: int, where: Where) -> bool:
    """Whether a suspicion is the planted one: its class, and a place that is mostly the planted.

    A texture is named by what it is as well.
    """
    if found is None or found.label != label:
        return False
    if found.place.name == FINE_DETAIL:
        return kind == "background texture"
    return lies(found.place.cells, np.kron(where, np.ones((2, 2), bool)))


def lies(cells: np.ndarray, where: Where) -> bool:
    """Whether at least half of some cells are where something was planted."""
    return bool((cells & where).sum() >= cells.sum() / 2)


def main() -> None:
    """Trains, explains, prints one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", type=int, default=5, help="of each kind, and as many clean")
    parser.add_argument("--seed", type=int, default=1000, help="of the first network")
    args = parser.parse_args()
    sources = {"digits": digits(), "photographs": photographs()}
    seed, unused = args.seed, 0
    print("| shortcut | named first | class means | SpRAy | clean runs that name anything |")
    print("| --- | --- | --- | --- | --- |")
    for kind, plant in SHORTCUTS.items():
        counts, number = np.zeros(4, int), 0
        while number < args.networks:
            name = list(sources)[number % 2]
            seed += 1
            random = np.random.default_rng(seed)
            clean, labels = sources[name]
            held_out, rest = np.split(random.permutation(len(clean)), [SEEN])
            label = int(random.integers(int(labels.max()) + 1))
            images = clean.clone()
            own = images[labels == label]
            where = plant(own, random)
            images[labels == label] = own
            net = trained(images[rest], labels[rest], seed)
            if not uses(net, clean[held_out][labels[held_out] == label], label):
                print(f"{kind}, {name}, seed {seed}: not used", flush=True)
                unused += 1
                continue
            number += 1
            summary, cells, right = summarise(net, images[held_out], labels[held_out])
            means, clusters = (
                peer(cells, labels[held_out].numpy()) for peer in (class_means, spray)
            )
            first = summary.suspicions[0] if summary.suspicions else None
            counts[0] += names(first, kind, label, where)
            counts[1] += means[0] == label and lies(means[1], where)
            counts[2] += clusters[0] == label and lies(clusters[1], where)
            _report(f"{kind}, {name}, class {label}", right, summary)

            seed += 1
            net = trained(clean[rest], labels[rest], seed)
            summary, _, right = summarise(net, clean[held_out], labels[held_out])
            counts[3] += bool(summary.suspicions)
            _report(f"nothing planted, {name}", right, summary)
        print(f"| {kind} | " + " | ".join(f"{c} of {args.networks}" for c in counts) + " |")
    print(f"{unused} networks did not use what was planted and were replaced")


def _report(what: str, right: float, summary: ClassSummary) -> None:
    found = [
        (one.label, one.place.measure, one.place.name, round(one.share, 2), round(one.surprise, 2))
        for one in summary.suspicions
    ]
    print(f"{what}: {right:.0%} right: {found}", flush=True)


if __name__ == "__main__":
    main()
