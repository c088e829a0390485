"""Groups of images: those of a class, or those of one that are taken for another; their maps."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from lightning_shap.analysis.class_summary.parts import GRID
from lightning_shap.explanation.maps import Maps, read_maps

if TYPE_CHECKING:
    from lightning_shap.explanation.explanation import ImageExplanation

EXAMPLES = 2  # typical images, and as many strange ones


@dataclass(frozen=True)
class Group:
    """Some images: those of a class, or those of one that are taken for another.

    Attributes:
        label: Their class.
        taken_for: The class that they are taken for, None for all images of the class.
        rows: The images, int (n,).
        right: How many of them are known to be classified rightly.
        judged: Of how many that is known.
        typical: Those whose maps are most like the mean of them all, the best first.
        strange: Those whose maps are least like it, the least first.
    """

    label: int
    taken_for: int | None
    rows: np.ndarray
    right: int
    judged: int
    typical: tuple[int, ...]
    strange: tuple[int, ...]


def make_group(
    rows: np.ndarray,
    label: int,
    taken_for: int | None,
    right: Sequence[bool | None],
    cells: np.ndarray,
) -> Group:
    """Returns a group with the images that are most and least like the mean of them all.

    Args:
        rows: Its images, int (n,), of N.
        label: Their class.
        taken_for: The class that they are taken for, None for all images of the class.
        right: N times if that is right, None where that is not known.
        cells: float64 (N, GRID, GRID), see :func:`reduce_to_grid`.
    """
    judged = [one for row in rows.tolist() if (one := right[row]) is not None]
    order = rows[np.argsort(-_measure_likeness(cells[rows]), kind="stable")].tolist()
    typical, strange = order[:EXAMPLES], order[EXAMPLES:][::-1][:EXAMPLES]
    return Group(label, taken_for, rows, sum(judged), len(judged), tuple(typical), tuple(strange))


def _measure_likeness(cells: np.ndarray) -> np.ndarray:
    """Returns the cosine of each image's cells (n, GRID, GRID) and the mean of all."""
    flat = cells.reshape(len(cells), -1)
    mean = flat.mean(axis=0)
    norms = np.linalg.norm(flat, axis=1) * np.linalg.norm(mean)
    likeness: np.ndarray = flat @ mean / np.maximum(norms, 1e-12)
    return likeness


@dataclass(frozen=True)
class Shown:
    """Means over groups, and single images.

    Maps are shares of the magnitude of an image's map.

    Attributes:
        means: float64 (G, H, W), the mean of each group's first maps.
        contrasts: float64 (G, H, W), the mean of what speaks for the first class rather than the
            second, None where there is no second.
        images: float64 (G, H, W, C), the mean of the images.
        map_of: float64 (H, W), the first map of single images, by their numbers.
        image_of: (H, W, C), these images.
    """

    means: np.ndarray
    contrasts: np.ndarray | None
    images: np.ndarray
    map_of: dict[int, np.ndarray]
    image_of: dict[int, np.ndarray]


def gather(explanations: Iterable["ImageExplanation"], groups: Sequence[Group]) -> Shown:
    """Returns what some groups show, of explanations that are gone through once.

    Args:
        explanations: Of all images in their order.
        groups: At least one.
    """
    within: dict[int, list[int]] = {}
    for number, group in enumerate(groups):
        for row in group.rows.tolist():
            within.setdefault(row, []).append(number)
    examples = {row for group in groups for row in (*group.typical, *group.strange)}
    sums: list[np.ndarray] = []
    map_of, image_of, first = {}, {}, 0
    for explanation in explanations:
        maps = read_maps(explanation)
        for place, image in enumerate(maps.images):
            row = first + place
            if row not in within:
                continue
            of_image = maps.get(place)
            own = scale_to_shares(of_image[0])
            rest = [] if len(of_image) < 2 else [scale_to_shares(of_image[0] - of_image[1])]
            added = [own, image, *rest]
            sums = sums or [np.zeros((len(groups), *np.shape(one))) for one in added]
            for number in within[row]:
                for total, one in zip(sums, added, strict=True):
                    total[number] += one
            if row in examples:
                map_of[row], image_of[row] = own, np.array(image)
        first += len(maps.images)
    counts = np.array([len(group.rows) for group in groups], dtype=np.float64)
    means, images, *contrasts = [
        total / counts.reshape(-1, *[1] * (total.ndim - 1)) for total in sums
    ]
    return Shown(means, contrasts[0] if contrasts else None, images, map_of, image_of)


def scale_to_shares(one: np.ndarray) -> np.ndarray:
    """Returns a map (H, W) as shares of its magnitude, zeros where it has none."""
    return one / (np.abs(one).sum() or 1)


def reduce_to_grid(maps: Maps) -> np.ndarray:
    """Returns the share of each first map's magnitude in each cell, float64 (N, GRID, GRID).

    A map of zeros says nothing of any place, and is even. Cells need not begin at whole pixels.
    """
    magnitudes = [np.abs(maps.get(image)[0]) for image in range(maps.source.shape[0])]
    cells = np.array(
        [
            Image.fromarray(one.astype(np.float32)).resize((GRID, GRID), Image.Resampling.BOX)
            for one in magnitudes
        ],
        dtype=np.float64,
    )
    totals = cells.sum(axis=(1, 2), keepdims=True)
    return np.where(totals > 0, cells / np.where(totals > 0, totals, 1), 1 / GRID**2)


def tell_apart(names: Iterable[str]) -> np.ndarray:
    """Returns names str (C,), no two the same: equal ones get the number of their class."""
    names = list(map(str, names))
    often = Counter(names)
    return np.array(
        [f"{name} ({number})" if often[name] > 1 else name for number, name in enumerate(names)]
    )
