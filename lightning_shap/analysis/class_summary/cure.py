"""The cure: an augmentation that takes from a class what gives it away, as an object and as code.

What one image has is given to another of its batch, whatever that one's class is: so it says
nothing of the class any more. A place can also be blurred or covered. The code is the class itself
with what was found, and needs torch and torchvision alone.
"""

import inspect
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch
from torchvision.transforms import v2

from lightning_shap.analysis.class_summary.parts import FINE, TINT, Part
from lightning_shap.analysis.class_summary.suspicions import Suspicion
from lightning_shap.errors import ArgumentError

HEADER = '''"""Takes from images what gives their class away; written by lightning-shap.

In training_step, on a batch of float images (N, C, H, W):

    images = cure(images)

or in the collate_fn of the DataLoader. Not in validation, and not in a transform of single images,
which have no other image to exchange with; there how="cover" or "blur" will do.
"""

import torch
from torchvision.transforms import v2


'''


class Cure(v2.Transform):
    """Takes from images what gives their class away.

    Args:
        boxes: Places, (left, top, right, bottom), as shares of the sides.
        tint: Also the mean and the contrast of each colour, which are exchanged.
        detail: Also fine detail, which sharpness, texture and compression are.
        how: "exchange" gives an image what another one of its batch has; "blur" leaves a place
            without detail; "cover" fills it with the image's mean colour.
        p: The share of images that are changed. What is exchanged in all says nothing of the class;
            what is left in half of them still does.
    """

    def __init__(self, boxes=(), *, tint=False, detail=False, how="exchange", p=1.0):  # type: ignore[no-untyped-def]
        super().__init__()
        if how not in ("exchange", "blur", "cover"):
            raise ValueError(f"how: got {how!r}; give 'exchange', 'blur' or 'cover'")
        if tint and how != "exchange":
            raise ValueError(f"how: got {how!r}; a tint can only be exchanged")
        self.boxes, self.tint, self.detail, self.how, self.p = boxes, tint, detail, how, p

    def transform(self, inpt, params):  # type: ignore[no-untyped-def]
        """Returns images (N, C, H, W), or one (C, H, W), some of them changed."""
        images = inpt if inpt.ndim == 4 else inpt[None]
        if self.how == "exchange" and len(images) < 2:
            raise ValueError("Cure exchanges between images; give a batch, or how='cover'")
        means = images.mean((2, 3), keepdim=True)
        others = self.smooth(images, 8) if self.how == "blur" else means.expand_as(images)
        if self.how == "exchange":
            others = images.roll(1 + int(torch.randint(len(images) - 1, ())), 0)
        cured = images.clone()
        if self.tint:  # what was cut off at black or white shows in the contrast
            contrast, wanted = (some.std((2, 3), keepdim=True) for some in (images, others))
            cured = (images - means) * wanted / (contrast + 1e-6) + others.mean(
                (2, 3), keepdim=True
            )
        if self.detail:
            detail = others - self.smooth(others, 32)
            cured = self.smooth(cured, 32) + (detail if self.how == "exchange" else 0)
        height, width = images.shape[2:]
        for left, top, right, bottom in self.boxes:
            first, start = min(round(top * height), height - 1), min(round(left * width), width - 1)
            rows = slice(first, max(round(bottom * height), first + 1))
            columns = slice(start, max(round(right * width), start + 1))
            cured[:, :, rows, columns] = others[:, :, rows, columns]
        chosen = torch.rand(len(images), 1, 1, 1, device=images.device) < self.p
        return torch.where(chosen, cured, images).reshape(inpt.shape)

    def smooth(self, images, parts):  # type: ignore[no-untyped-def]
        """Returns images without what is smaller than a part of their side, one of so many."""
        side = min(images.shape[2:])
        sigma = max(1.0, side / parts)
        reach = min(round(3 * sigma), side - 1)
        return v2.functional.gaussian_blur(images, [2 * reach + 1] * 2, [sigma] * 2)


def make_cure(
    parts: Sequence[Part],
    *,
    how: Literal["exchange", "blur", "cover"] = "exchange",
    p: float = 1.0,
) -> Cure:
    """Returns the augmentation that takes some parts from images.

    Args:
        parts: Of a class summary's suspicions.
        how: See :class:`Cure`.
        p: Likewise.

    Raises:
        ArgumentError: If there are no parts, or ``how`` will not do.
    """
    if not parts:
        raise ArgumentError("cure", "there is nothing to cure: nothing was found suspicious")
    settings = _describe(parts)
    try:
        return Cure(**settings, how=how, p=p)
    except ValueError as error:
        raise ArgumentError("cure", str(error)) from error


def write_code(cure: Cure) -> str:
    """Returns an augmentation as Python that stands alone."""
    given = {name: getattr(cure, name) for name in ("boxes", "tint", "detail", "how", "p")}
    arguments = "".join(f"    {name}={value!r},\n" for name, value in given.items())
    source = inspect.getsource(Cure).replace("  # type: ignore[no-untyped-def]", "")
    return f"{HEADER}{source}\n\ncure = Cure(\n{arguments})\n"


def mark_places(
    found: Sequence[Suspicion], names: np.ndarray, size: tuple[int, int]
) -> dict[str, np.ndarray]:
    """Returns where the suspicious places of each class are, bool (H, W), by its name.

    Such a mask can be watched, and train a model not to attribute to what it covers. It is the same
    for all images of the class; a class without a suspicious place has none.

    Args:
        found: The suspicions.
        names: Of the classes.
        size: Height and width of the images.
    """
    masks: dict[str, np.ndarray] = {}
    for one in found:
        if one.part.mask is not None:
            name = "all classes" if one.label is None else str(names[one.label])
            masks[name] = masks.get(name, np.zeros(size, bool)) | one.part.mask(*size)
    return masks


def _describe(parts: Sequence[Part]) -> dict[str, Any]:
    names = {part.name for part in parts}
    return {
        "boxes": [box for part in parts for box in find_boxes(part.cells)],
        "tint": TINT in names,
        "detail": not names.isdisjoint({"fine detail", "sharpness"}),
    }


def find_boxes(cells: np.ndarray) -> list[tuple[float, float, float, float]]:
    """Returns the boxes that some cells (FINE, FINE) are made of, as shares of the sides."""
    found: list[tuple[float, float, float, float]] = []
    left = cells.copy()
    while left.any():
        top, start = np.argwhere(left)[0].tolist()
        row = left[top, start:]
        stop = start + (int(np.argmin(row)) if not row.all() else len(row))
        bottom = top
        while bottom < FINE and left[bottom, start:stop].all():
            bottom += 1
        left[top:bottom, start:stop] = False
        found.append((start / FINE, top / FINE, stop / FINE, bottom / FINE))
    return found
