"""Places of an image, the same for all images: where a class's attribution may be suspicious."""

from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image

from lightning_shap.maps import Maps
from lightning_shap.metrics.where import CORNERS, border_mask, corner_mask

GRID = 8  # cells a side; the border is one cell wide, a corner two
EDGES = ("upper", "lower", "left", "right")
STRONGEST = "the strongest corner of each image"


@dataclass(frozen=True)
class Place:
    """Where attribution may lie.

    Attributes:
        name: In words.
        cells: bool (GRID, GRID), its cells; of the strongest corner, those of all four.
        area: The share of an even map that it has at most.
        expected: The share from which on it may be suspicious at all.
    """

    name: str
    cells: np.ndarray
    area: float
    expected: float


@cache
def places() -> tuple[Place, ...]:
    """All places: corners, edges, the border, the strongest corner, and single cells."""
    found = [_place(f"the {name} corner", corner_mask(GRID, GRID, name)) for name in CORNERS]
    corners = np.logical_or.reduce([place.cells for place in found])
    found += [_place(f"the {name} edge", _edge(name)) for name in EDGES]
    found.append(_place("the border", border_mask(GRID, GRID)))
    # Whichever is the strongest has more than its area by itself.
    found.append(Place(STRONGEST, corners, found[0].area, 2 * found[0].area))
    for row, column in np.ndindex(GRID, GRID):
        mask = np.zeros((GRID, GRID), bool)
        mask[row, column] = True
        found.append(_place(f"row {row + 1}, column {column + 1} of {GRID} x {GRID}", mask))
    return tuple(found)


def on_grid(maps: Maps) -> np.ndarray:
    """float64 (N, GRID, GRID): what share of the magnitude of each first map lies in each cell.

    A map of zeros says nothing of any place, and is even.
    """
    cells = np.stack([_reduced(maps.of(image)[0]) for image in range(maps.source.shape[0])])
    totals = cells.sum(axis=(1, 2), keepdims=True)
    return np.where(totals > 0, cells / np.where(totals > 0, totals, 1), 1 / GRID**2)


def shares_of(cells: np.ndarray) -> np.ndarray:
    """float64 (N, P): the share of each image's attribution in each place.

    Args:
        cells: (N, GRID, GRID), as :func:`on_grid`.
    """
    masks = np.stack([place.cells for place in places()]).reshape(len(places()), -1)
    shares: np.ndarray = cells.reshape(len(cells), -1) @ masks.T.astype(np.float64)
    strongest = [place.name for place in places()].index(STRONGEST)
    shares[:, strongest] = shares[:, : len(CORNERS)].max(axis=1)
    return shares


@cache
def mirrored() -> np.ndarray:
    """Int (3, P): each place's image under each mirroring: across, down, and both."""
    numbers = {place.cells.tobytes(): number for number, place in enumerate(places())}
    # The strongest corner looks like itself, whichever way round.
    flips = (np.fliplr, np.flipud, lambda cells: np.flipud(np.fliplr(cells)))
    return np.array(
        [
            [numbers[np.ascontiguousarray(flip(place.cells)).tobytes()] for place in places()]
            for flip in flips
        ]
    )


def _reduced(one: np.ndarray) -> np.ndarray:
    """The mean magnitude in each cell; cells need not begin at whole pixels."""
    image = Image.fromarray(np.abs(one).astype(np.float32))
    return np.asarray(image.resize((GRID, GRID), Image.Resampling.BOX), dtype=np.float64)


def _place(name: str, cells: np.ndarray) -> Place:
    area = float(cells.mean())
    return Place(name, cells, area, area)


def _edge(name: str) -> np.ndarray:
    mask = np.zeros((GRID, GRID), bool)
    place = 0 if name in ("upper", "left") else GRID - 1
    if name in ("upper", "lower"):
        mask[place] = True
    else:
        mask[:, place] = True
    return mask
