"""Inpainting: absent regions are filled in from what is around them, anew for each coalition."""

from importlib.util import find_spec
from typing import Any

import numpy as np
import torch

from lightning_shap.errors import ArgumentError

INPAINTING = {"inpaint_telea": "INPAINT_TELEA", "inpaint_ns": "INPAINT_NS"}
"""Names of maskers as shap has them, and of OpenCV's algorithms: Telea's, and Navier-Stokes."""

RADIUS = 3  # pixels around, as in shap


def check_inpainting(masker: Any) -> None:
    """Refuses to inpaint where OpenCV is missing."""
    if isinstance(masker, str) and masker in INPAINTING and find_spec("cv2") is None:
        raise ArgumentError(
            "masker",
            f"{masker!r} needs OpenCV, which is not installed; give 'blur', or "
            "pip install opencv-python-headless",
        )


class Inpainting:
    """A background that depends on what is present, as shap's ``"inpaint_telea"`` makes it.

    Pixels are brought to 0 to 255 for it, by the least and the largest of their image. An image
    with nothing present is filled with its mean colour.

    Args:
        masker: A key of :data:`INPAINTING`.
    """

    def __init__(self, masker: str) -> None:
        self._algorithm = INPAINTING[masker]

    def to(self, images: torch.Tensor) -> "Inpainting":
        """Returns itself; each coalition is filled in where the images are."""
        return self

    def fill(self, image: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
        """Returns what absent pixels of one image (C, H, W) show in some coalitions, (R, C, H, W).

        Args:
            image: The image.
            present: bool (R, C or 1, H, W); a pixel is absent where it is in any channel.
        """
        import cv2

        low, high = image.min(), image.max()
        scale = 255 / torch.clamp(high - low, min=torch.finfo(image.dtype).tiny)
        levels = ((image - low) * scale).round().byte().permute(1, 2, 0).cpu().numpy()
        parts = [levels] if levels.shape[2] == 3 else np.split(levels, levels.shape[2], axis=2)
        filled = image.mean((1, 2), keepdim=True).expand(len(present), *image.shape).clone()
        for row, absent in zip(filled, (~present).any(1).cpu().numpy(), strict=True):
            if absent.all():
                continue
            mask, algorithm = absent.astype(np.uint8), getattr(cv2, self._algorithm)
            painted = [
                cv2.inpaint(np.ascontiguousarray(part), mask, RADIUS, algorithm) for part in parts
            ]
            row.copy_(torch.from_numpy(np.dstack(painted)).permute(2, 0, 1).to(image) / scale + low)
        return filled
