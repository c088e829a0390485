"""Parts of an image that may decide by themselves: places in it, and properties of the whole of it.

A part is what one image can lend another: a function from images and others to the others with that
part of the images. A place lends its pixels; a property lends its number, such as the mean colour.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property, partial
from itertools import product
from math import ceil

import numpy as np
import torch
from torchvision.transforms.functional import gaussian_blur

from lightning_shap.analysis.metrics.where import CORNERS, border_mask, corner_mask

GRID = 8  # cells a side that maps are reduced to, and lines of an image that are swapped
FINE = 2 * GRID  # cells a side that places are drawn on
EDGES = ("upper", "lower", "left", "right")
WIDTHS = (1, 2, 3)  # of what runs around an image, in sixteenths of its sides
STRONGEST = 20.0  # times that a frequency is made as strong, lest noise becomes everything
TINT = "tint and brightness"  # of which every image has some, so that none shows it removed
DETAIL = 1 / 32  # of the image's side, at least a pixel: the blur that takes fine detail away

Mask = Callable[[int, int], np.ndarray]
"""What shows where a place is, bool (H, W), of a height and a width."""

Move = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""What puts a part of images (B, C, H, W) into others."""


@dataclass(frozen=True)
class Part:
    """What images can exchange.

    Attributes:
        name: In words.
        mask: Where it is; None for a property of the whole image.
        carry: Puts it from images (B, C, H, W) into others.
        is_inner: It lies where objects are, and not along the sides, where marks are.
        lines: The rows, and the columns, that it lies in: of an image of which either decide
            little, it is not exchanged.
    """

    name: str
    mask: Mask | None
    carry: Move
    is_inner: bool = False
    lines: tuple[tuple[str, ...], ...] = ()

    @property
    def area(self) -> float:
        """The share of the image that it has, all of it for a property."""
        return 1.0 if self.mask is None else float(self.cells.mean())

    @cached_property
    def cells(self) -> np.ndarray:
        """Returns bool (FINE, FINE), where it is, none of a property."""
        return np.zeros((FINE, FINE), bool) if self.mask is None else self.mask(FINE, FINE)


def edge_mask(height: int, width: int, *edges: str, share: float = 1 / 8) -> np.ndarray:
    """Returns bool (H, W), the border's part along some edges, of at least a pixel's width."""
    down, across = (max(1, round(share * side)) for side in (height, width))
    mask = np.zeros((height, width), bool)
    rows = {"upper": slice(None, down), "lower": slice(height - down, None)}
    columns = {"left": slice(None, across), "right": slice(width - across, None)}
    for edge in edges:
        mask[rows.get(edge, slice(None)), columns.get(edge, slice(None))] = True
    return mask


def line_mask(height: int, width: int, *, row: int | None = None, column: int = 0) -> np.ndarray:
    """Returns bool (H, W), one of GRID rows or else columns, of at least a pixel's width."""
    side, number = (width, column) if row is None else (height, row)
    start = round(number * side / GRID)
    lines = slice(start, max(start + 1, round((number + 1) * side / GRID)))
    mask = np.zeros((height, width), bool)
    mask[(slice(None), lines) if row is None else (lines, slice(None))] = True
    return mask


def square_mask(height: int, width: int, *, row: int, column: int) -> np.ndarray:
    """Returns bool (H, W), where two of GRID rows cross two columns, these the first of them."""
    rows = line_mask(height, width, row=row) | line_mask(height, width, row=row + 1)
    columns = line_mask(height, width, column=column) | line_mask(height, width, column=column + 1)
    return rows & columns


def make_place(name: str, mask: Mask, *, is_inner: bool = False) -> Part:
    """Returns the part that lends its pixels."""
    return Part(name, mask, partial(_carry_pixels, mask), is_inner)


@cache
def list_parts() -> tuple[Part, ...]:
    """Returns what is exchanged between images."""
    inner = range(1, GRID - 1)  # the outer lines are edges
    masks: dict[str, Mask] = {
        **{f"the {name} corner": partial(corner_mask, corner=name) for name in CORNERS},
        **{f"the {name} edge": _along(name) for name in EDGES},
        "the four corners": _mark_corners,
        "the upper and lower edges": _along("upper", "lower"),
        "the left and right edges": _along("left", "right"),
        **{name_border(width): partial(border_mask, share=width / FINE) for width in WIDTHS},
    }
    lines: dict[str, Mask] = {
        **{_name_line("row", one, *EDGES[:2]): partial(line_mask, row=one) for one in inner},
        **{_name_line("column", one, *EDGES[2:]): partial(line_mask, column=one) for one in inner},
        # Where words are, which are higher than an edge and begin anywhere.
        **{f"the {name} quarter": _along(name, share=1 / 4) for name in EDGES[:2]},
    }
    found = [make_place(name, mask) for name, mask in masks.items()]
    found += [make_place(name, mask, is_inner=True) for name, mask in lines.items()]
    ends = {0, GRID - 2}  # squares in corners are corners
    starts = [at for at in product(range(GRID - 1), repeat=2) if not ends.issuperset(at)]
    found += [_make_square(*at) for at in starts]
    found.append(Part(TINT, None, _carry_tint))
    found.append(Part("fine detail", None, _carry_detail))
    found.append(Part("sharpness", None, _carry_sharpness))
    return tuple(found)


def _make_square(row: int, column: int) -> Part:
    """Returns a square of two lines a side, of which one covers any mark of one line's size."""
    mask = partial(square_mask, row=row, column=column)
    is_inner = all(0 < start < GRID - 2 for start in (row, column))
    rows, columns = (range(start, start + 2) for start in (row, column))
    words = [" and ".join(str(one + 1) for one in lines) for lines in (rows, columns)]
    return Part(
        f"the square of rows {words[0]}, columns {words[1]} of {GRID}",
        mask,
        partial(_carry_pixels, mask),
        is_inner,
        (
            tuple(_name_line("row", one, *EDGES[:2]) for one in rows),
            tuple(_name_line("column", one, *EDGES[2:]) for one in columns),
        ),
    )


def _name_line(word: str, number: int, first: str, last: str) -> str:
    """Returns what one of GRID lines is called, of which the outer ones are edges."""
    edges = {0: first, GRID - 1: last}
    return f"the {edges[number]} edge" if number in edges else f"{word} {number + 1} of {GRID}"


def name_border(sixteenths: int) -> str:
    """Returns what a border of such a width is called."""
    return f"the border ({sixteenths}/{FINE} of each side)"


def _mark_corners(height: int, width: int) -> np.ndarray:
    marked: np.ndarray = np.logical_or.reduce([corner_mask(height, width, one) for one in CORNERS])
    return marked


def _along(*edges: str, share: float = 1 / 8) -> Mask:
    return lambda height, width: edge_mask(height, width, *edges, share=share)


def _carry_pixels(mask: Mask, images: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    place = torch.from_numpy(mask(*images.shape[-2:])).to(images.device)
    return torch.where(place, images, others)


def _carry_tint(images: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    return others + images.mean((2, 3), keepdim=True) - others.mean((2, 3), keepdim=True)


def _carry_detail(images: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    return _blur(others) + (images - _blur(images))


def _carry_sharpness(images: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    """Returns the others with fine frequencies as strong as in the images, ring by ring."""
    height, width = others.shape[-2:]
    wanted, spectrum = (torch.fft.rfft2(some.float()) for some in (images, others))
    powers = measure_rings(wanted), measure_rings(spectrum)
    gains = (powers[0] / (powers[1] + 1e-9)).sqrt().clamp(max=STRONGEST)
    gains[:, : max(1, min(height, width) // GRID)] = 1
    changed = spectrum * gains[:, _number_rings(spectrum)][:, None]
    return torch.fft.irfft2(changed, s=(height, width)).to(others.dtype)


def measure_rings(spectrum: torch.Tensor) -> torch.Tensor:
    """Returns the power of a half spectrum (N, C, H, W // 2 + 1) by its frequency, (N, R)."""
    rings = _number_rings(spectrum).flatten()
    power = spectrum.abs().square().mean(1).flatten(1)
    return power.new_zeros(len(power), int(rings.max()) + 1).index_add_(1, rings, power)


def _number_rings(spectrum: torch.Tensor) -> torch.Tensor:
    """Returns how often each wave of a half spectrum fits into the image, int (H, W // 2 + 1)."""
    height, half = spectrum.shape[-2:]
    down = torch.fft.fftfreq(height, device=spectrum.device)[:, None] * height
    return torch.hypot(down, torch.arange(half, device=spectrum.device)).round().long()


def _blur(images: torch.Tensor) -> torch.Tensor:
    """Returns the images (N, C, H, W) without their fine detail."""
    side = min(images.shape[-2:])
    sigma = max(1.0, DETAIL * side)
    reach = min(ceil(3 * sigma), side - 1)  # a mirrored border is no wider than the image
    blurred: torch.Tensor = gaussian_blur(images.float(), [2 * reach + 1] * 2, [sigma] * 2)
    return blurred.to(images.dtype)
