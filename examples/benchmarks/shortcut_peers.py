"""Other tools that look for shortcuts, for ``shortcuts.py --peers``.

pip install "cleanlab[image]"

Each names a class and a place, or a property, the worst first. Places are squares of a quarter of
the image's side, as large as those of the class summary, or what a tool says itself.
"""

import contextlib
import io
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from scipy.linalg import eigh
from shortcut_data import SIDE
from shortcut_marks import Where
from sklearn.cluster import SpectralClustering
from sklearn.neighbors import kneighbors_graph
from torch.nn.functional import avg_pool2d, interpolate

from lightning_shap import explain

WINDOW, STEP = SIDE // 4, 2  # pixels
CLUSTERS = 8  # at most, of a class
NEIGHBOURS = 7  # by which maps are alike
PROPERTIES = {
    "dark": ("tint", "brightness"),
    "light": ("tint", "brightness"),
    "grayscale": ("tint", "brightness", "channel"),
    "blurry": ("detail", "sharpness"),
    "low_information": ("detail", "sharpness"),
    "odd_size": (),
    "odd_aspect_ratio": (),
}
"""Of cleanvision, and what each may be called among our marks."""


@dataclass(frozen=True)
class Named:
    """What a tool suspects: of a class, None where it says none, a place or properties."""

    label: int | None
    place: np.ndarray | None
    words: tuple[str, ...]
    score: float


def is_meant(found: Named, label: int, where: Where) -> bool:
    """Whether what is named is what was planted; a tool without classes need not say which."""
    if isinstance(where, tuple):
        lies = any(word in said for word in where for said in found.words)
    else:
        lies = found.place is not None and (found.place & where).sum() >= found.place.sum() / 2
    return bool(lies and (found.label == label or found.label is None))


def find_window(own: torch.Tensor, others: torch.Tensor) -> tuple[np.ndarray, float]:
    """Returns where maps (n, SIDE, SIDE) have most more than others, and by what share of all."""
    means = [some / some.sum((1, 2), keepdim=True).clamp(min=1e-9) for some in (own, others)]
    more = (means[0].mean(0) - means[1].mean(0))[None, None]
    pooled = avg_pool2d(more, WINDOW, STEP)[0, 0] * WINDOW**2
    top, left = (STEP * int(one) for one in np.unravel_index(int(pooled.argmax()), pooled.shape))
    place = np.zeros((SIDE, SIDE), bool)
    place[top : top + WINDOW, left : left + WINDOW] = True
    return place, float(pooled.max())


def mean_grad_cam(net: torch.nn.Module, images: torch.Tensor, labels: torch.Tensor) -> list[Named]:
    """Returns where the mean Grad-CAM of each class has most more than that of the others.

    Source: Selvaraju et al., "Grad-CAM" (2017), at the last convolution's activation.
    """
    kept: list[torch.Tensor] = []
    last = [one for one in net.modules() if isinstance(one, torch.nn.ReLU)][-1]
    hook = last.register_forward_hook(lambda *given: kept.append(given[2]))
    scores = net(images)
    hook.remove()
    own = scores[torch.arange(len(images)), labels].sum()
    (slopes,) = torch.autograd.grad(own, kept[0])
    maps = (slopes.mean((2, 3), keepdim=True) * kept[0]).sum(1, keepdim=True).relu().detach()
    maps = interpolate(maps, size=(SIDE, SIDE), mode="bilinear")[:, 0]
    found = []
    for label in labels.unique().tolist():
        place, score = find_window(maps[labels == label], maps[labels != label])
        found.append(Named(label, place, (), score))
    return sorted(found, key=lambda one: -one.score)


def cluster_maps(net: torch.nn.Module, images: torch.Tensor, labels: torch.Tensor) -> list[Named]:
    """Returns the most marked cluster of each class's maps, the most clearly clustered class first.

    Source: Lapuschkin et al., "Unmasking Clever Hans predictors" (2019): spectral clustering of
    maps that are made small, and the gap of eigenvalues, which says how clearly a class falls
    apart. Maps are expected gradients in place of layer-wise relevance. What a person would see in
    the clusters is the window where one has most more than all other classes.
    """
    made = explain(net, images, labels=labels, topk=1, max_evals=32, method="gradient")
    maps = torch.from_numpy(np.abs(np.asarray(made.values)[..., 0]).sum(-1)).float()
    small = interpolate(maps[:, None], size=(16, 16), mode="area").flatten(1).numpy()
    small = small / np.maximum(np.linalg.norm(small, axis=1, keepdims=True), 1e-9)
    found = []
    for label in labels.unique().tolist():
        rows = np.flatnonzero(labels.numpy() == label)
        graph = kneighbors_graph(small[rows], min(NEIGHBOURS, len(rows) - 1)).toarray()
        alike = np.maximum(graph, graph.T)
        scale = 1 / np.sqrt(alike.sum(1))
        values = eigh(np.eye(len(rows)) - scale[:, None] * alike * scale, eigvals_only=True)
        gaps = np.diff(values[: CLUSTERS + 1])
        count = 1 + int(gaps.argmax())
        groups = np.zeros(len(rows), int)
        if count > 1:
            made_of = SpectralClustering(count, affinity="precomputed", random_state=0)
            groups = made_of.fit_predict(alike)
        others = maps[labels != label]
        windows = [find_window(maps[rows[groups == one]], others) for one in np.unique(groups)]
        place, _ = max(windows, key=lambda one: one[1])
        found.append(Named(label, place, (), float(gaps.max())))
    return sorted(found, key=lambda one: -one.score)


def ask_datalab(images: torch.Tensor, labels: torch.Tensor) -> list[Named]:
    """Returns the properties that Datalab reports as correlated with labels, by its threshold."""
    from cleanlab import Datalab
    from datasets import Dataset, Features, Value
    from datasets import Image as Pixels

    shown = [
        Image.fromarray((one.movedim(0, -1).numpy() * 255).round().astype(np.uint8))
        for one in images
    ]
    data = Dataset.from_dict(
        {"image": shown, "label": labels.tolist()},
        features=Features({"image": Pixels(), "label": Value("int64")}),
    )
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        lab = Datalab(data=data, label_name="label", image_key="image", verbosity=0)
        every: dict[str, dict[str, object]] = {name: {} for name in PROPERTIES}
        lab.find_issues(issue_types={"image_issue_types": every, "spurious_correlations": {}})
        said = lab.get_info("spurious_correlations")
    table = said["correlations_df"].sort_values("score")
    return [
        Named(None, None, PROPERTIES[name.removesuffix("_score")], 1 - score)
        for name, score in zip(table["property"], table["score"], strict=True)
        if score < said["threshold"]
    ]


def name_all(
    net: torch.nn.Module, images: torch.Tensor, labels: torch.Tensor
) -> dict[str, list[Named]]:
    """Returns what each tool names, the worst first."""
    return {
        "class-mean Grad-CAM": mean_grad_cam(net, images, labels),
        "clustered maps (SpRAy)": cluster_maps(net, images, labels),
        "Datalab, no model": ask_datalab(images, labels),
    }


Mark = tuple[int, Where]
"""A class and where its mark is."""


def write_table(
    marks: list[Mark], planted: list[dict[str, list[Named]]], clean: list[dict[str, list[Named]]]
) -> None:
    """Prints how often each tool names what was planted, and how often it names anything without.

    What ranks and has no bound of its own names something always. So that it can be compared, the
    last column counts what it names first with more certainty than anything in a clean network.
    """
    print("| tool | first | class first | among the first three | clean, accused | above clean |")
    print("| --- | --- | --- | --- | --- | --- |")
    for tool in planted[0]:
        counts = np.zeros(4, int)
        bound = max((one.score for said in clean for one in said[tool][:1]), default=-np.inf)
        for (label, where), said in zip(marks, planted, strict=True):
            right = [is_meant(one, label, where) for one in said[tool][:3]]
            first = said[tool][:1]
            counts += [
                right[:1] == [True],
                any(one.label == label for one in first),
                any(right),
                right[:1] == [True] and first[0].score > bound,
            ]
        accused = sum(bool(said[tool]) for said in clean)
        shown = [f"{count} of {len(planted)}" for count in counts]
        shown.insert(3, f"{accused} of {len(clean)}")
        print(f"| {tool} | " + " | ".join(shown) + " |", flush=True)
