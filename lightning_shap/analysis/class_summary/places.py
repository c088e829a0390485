"""Places of an image, the same for all images, and what share of what decides lies in them."""

from dataclasses import dataclass
from functools import cache, cached_property
from typing import Literal

import numpy as np
from PIL import Image

from lightning_shap.analysis.metrics.where import CORNERS, border_mask, corner_mask
from lightning_shap.explanation.maps import Maps

Measure = Literal["attribution", "swap"]
"""How a share was measured: as attribution that lies in a place, or by swapping what is there."""

GRID = 8  # cells a side that maps are reduced to; the border is one cell wide, a corner two
FINE = 2 * GRID  # cells a side that places are drawn on
EDGES = ("upper", "lower", "left", "right")
STRONGEST = "the strongest corner of each image"


@dataclass(frozen=True)
class Place:
    """A place in an image, where what decides may lie.

    Attributes:
        name: In words.
        cells: bool (FINE, FINE), its cells; of the strongest corner, those of all four.
        measure: What its shares are shares of.
        natural: The share that is not suspicious in any case.
    """

    name: str
    cells: np.ndarray
    measure: Measure
    natural: float

    @property
    def area(self) -> float:
        """The share of the image that it has."""
        return float(self.cells.mean()) / (len(CORNERS) if self.name == STRONGEST else 1)


@dataclass(frozen=True)
class Shares:
    """Holds the share of what decides about each image that lies in each place.

    Attributes:
        places: P of them.
        values: float64 (N, P), NaN where an image says nothing.
    """

    places: tuple[Place, ...]
    values: np.ndarray

    @cached_property
    def ways(self) -> np.ndarray:
        """Returns int (4, P): each place as it is, and mirrored across, down, and both."""
        numbers = {
            (place.measure, place.cells.tobytes()): number
            for number, place in enumerate(self.places)
        }
        found = np.tile(np.arange(len(self.places)), (4, 1))
        for way, axes in enumerate(((1,), (0,), (0, 1)), start=1):
            for number, place in enumerate(self.places):
                turned = np.flip(place.cells, axes).tobytes()
                # What looks the same either way round is itself, whatever else looks like it.
                if turned != place.cells.tobytes():
                    found[way, number] = numbers[place.measure, turned]
        return found

    @cached_property
    def symmetric(self) -> np.ndarray:
        """Returns bool (P,), which places are the same however the image is mirrored."""
        same: np.ndarray = (self.ways == self.ways[0]).all(axis=0)
        return same


@cache
def list_places() -> tuple[Place, ...]:
    """Returns where attribution is looked for: corners, edges, the border, and single cells."""
    found = [_place(f"the {name} corner", corner_mask(FINE, FINE, name)) for name in CORNERS]
    corners = np.logical_or.reduce([place.cells for place in found])
    found += [_place(f"the {name} edge", edge_mask(FINE, FINE, name)) for name in EDGES]
    found.append(_place("the border", border_mask(FINE, FINE)))
    # Whichever is the strongest has more than its area by itself.
    found.append(Place(STRONGEST, corners, "attribution", 2 * found[0].area))
    for row, column in np.ndindex(GRID, GRID):
        mask = np.zeros((GRID, GRID), bool)
        mask[row, column] = True
        name = f"row {row + 1}, column {column + 1} of {GRID} x {GRID}"
        found.append(_place(name, np.kron(mask, np.ones((2, 2), bool))))
    return tuple(found)


def reduce_to_grid(maps: Maps) -> np.ndarray:
    """Returns the share of each first map's magnitude in each cell, float64 (N, GRID, GRID).

    A map of zeros says nothing of any place, and is even.
    """
    cells = np.stack([_reduce(maps.get(image)[0]) for image in range(maps.source.shape[0])])
    totals = cells.sum(axis=(1, 2), keepdims=True)
    return np.where(totals > 0, cells / np.where(totals > 0, totals, 1), 1 / GRID**2)


def share_attribution(cells: np.ndarray) -> Shares:
    """Returns the share of each image's attribution in each place.

    Args:
        cells: (N, GRID, GRID), as :func:`reduce_to_grid`.
    """
    places = list_places()
    fine = np.kron(cells, np.full((1, 2, 2), 1 / 4)).reshape(len(cells), -1)
    masks = np.stack([place.cells for place in places]).reshape(len(places), -1)
    shares: np.ndarray = fine @ masks.T.astype(np.float64)
    strongest = [place.name for place in places].index(STRONGEST)
    shares[:, strongest] = shares[:, : len(CORNERS)].max(axis=1)
    return Shares(places, shares)


def edge_mask(height: int, width: int, edge: str, share: float = 1 / 8) -> np.ndarray:
    """Returns bool (H, W), the border's part along one edge, of at least a pixel's width."""
    down, across = (max(1, round(share * side)) for side in (height, width))
    mask = np.zeros((height, width), bool)
    rows = {"upper": slice(None, down), "lower": slice(height - down, None)}
    columns = {"left": slice(None, across), "right": slice(width - across, None)}
    mask[rows.get(edge, slice(None)), columns.get(edge, slice(None))] = True
    return mask


def _reduce(one: np.ndarray) -> np.ndarray:
    """Returns the mean magnitude in each cell; cells need not begin at whole pixels."""
    image = Image.fromarray(np.abs(one).astype(np.float32))
    return np.asarray(image.resize((GRID, GRID), Image.Resampling.BOX), dtype=np.float64)


def _place(name: str, cells: np.ndarray) -> Place:
    return Place(name, cells, "attribution", float(cells.mean()))
