"""Maskers paint absent regions: as a blur, a colour, a background, other images or inpainted."""

import re
from collections.abc import Callable, Sequence
from numbers import Real
from typing import Any

import numpy as np
import torch

from lightning_shap.engine.incoming import all_finite, strip_class
from lightning_shap.engine.inpainting import INPAINTING, Inpainting, check_inpainting
from lightning_shap.engine.regions.masks import list_runs
from lightning_shap.errors import ArgumentError, ArgumentTypeError, blame, show

Masker = Callable[[torch.Tensor], torch.Tensor]
"""From images (N, C, H, W) to what their absent pixels show, in the same shape."""

MaskerLike = str | float | torch.Tensor | Masker

# SHAP's image examples blur 224 px photographs with a kernel of 128: the same share of any image.
BLUR_SHARE = 4 / 7

SAMPLES = "samples"
NAMES = "'blur', 'blur(kw,kh)', 'mean', 'samples', 'inpaint_telea', 'inpaint_ns'"
ROWS_PER_DRAW = 20
DRAWS = 4  # of other images, over which the outputs of every coalition are averaged


def paint_backgrounds(
    masker: MaskerLike,
    images: torch.Tensor,
    *,
    rows: int,
    seed: int,
    pool: torch.Tensor | None = None,
) -> list[torch.Tensor | Inpainting]:
    """Returns what absent pixels show: one background, or of ``"samples"`` several in turn.

    Args:
        masker: As :func:`paint_background` takes it, a key of :data:`.inpainting.INPAINTING`, or
            ``"samples"`` for other images.
        images: Float tensor (N, C, H, W).
        rows: Evaluations of an image; with few of them there are fewer backgrounds.
        seed: Chooses other images, by their places.
        pool: Images (P, C, H, W) to choose them from, these among them; these alone where None.

    Raises:
        ArgumentError: As :func:`paint_background`, or if there is no other image.
    """
    if isinstance(masker, str) and masker in INPAINTING:
        return [Inpainting(masker)]
    if not isinstance(masker, str) or masker != SAMPLES:
        return [paint_background(masker, images)]
    pool = images if pool is None else strip_class(pool).to(images)
    if len(pool) < 2:
        raise ArgumentError(
            "masker",
            "'samples' of one image would be itself; give two images or more, or a tensor of one "
            "that absent regions show",
        )
    # By places in the pool, so that it does not matter which of them are explained together.
    found = [(pool == image).flatten(1).all(1).int().argmax() for image in images]
    own = torch.stack(found).tolist()
    others = 1 + np.random.default_rng(seed).permutation(len(pool) - 1)
    shifts = others[: max(1, min(DRAWS, rows // ROWS_PER_DRAW))].tolist()
    return [pool[[(place + shift) % len(pool) for place in own]] for shift in shifts]


def paint_background(masker: MaskerLike, images: torch.Tensor) -> torch.Tensor:
    """Returns what the absent pixels of ``images`` show.

    Args:
        masker: ``"blur"`` (kernel 4/7 of the image's sides), ``"blur(kw,kh)"`` (width and height of
            the kernel in pixels, as in shap and ``cv2.blur``), ``"mean"`` (each image's mean
            colour), a number, a tensor of shape (C, H, W) or (N, C, H, W), or a function of the
            images.
        images: Float tensor (N, C, H, W).

    Returns:
        A tensor of the images' shape, dtype and device.

    Raises:
        ValueError: If the masker is unknown, of another shape or not finite.
        TypeError: If it is of another kind.
    """
    check_masker(masker)
    background: object = _paint(masker, images)
    if not isinstance(background, torch.Tensor):
        raise ArgumentTypeError(
            "masker", f"its function returned {type(background).__name__}, not a tensor"
        )
    background = strip_class(background)
    if background.shape not in (images.shape, images.shape[1:]):
        raise ArgumentError(
            "masker",
            f"has shape {tuple(background.shape)}, images have {tuple(images.shape)}; "
            f"give (C, H, W) = {tuple(images.shape[1:])} or (N, C, H, W) = {tuple(images.shape)}",
        )
    with blame("masker", f"got a tensor that is none to show ({background.layout})"):
        background = background.to(images).expand_as(images)
    if not all_finite(background):
        raise ArgumentError("masker", "holds NaN or infinite pixels; give finite ones")
    return background


def check_masker(masker: Any) -> None:
    """Refuses what can be no masker, as far as that can be told before there are images.

    Raises:
        ValueError: If its name is unknown.
        TypeError: If it is of another kind.
    """
    if isinstance(masker, str):
        check_inpainting(masker)
        if is_painted(masker):
            _read_kernel(masker, (1, 1))
    elif isinstance(masker, (bool, type)) or not (
        isinstance(masker, (Real, torch.Tensor)) or callable(masker)
    ):
        raise ArgumentTypeError(
            "masker",
            f"got {show(masker)}; give {NAMES}, a number, a tensor (C, H, W) or "
            "(N, C, H, W), or a function of the images",
        )


def is_painted(masker: Any) -> bool:
    """Returns whether a masker paints one background, whatever is present of an image."""
    return not isinstance(masker, str) or masker not in (SAMPLES, *INPAINTING)


def describe(masker: Any, images: torch.Tensor) -> str:
    """Returns the masker in a few words, as a picture's caption says it."""
    if isinstance(masker, str):
        if not is_painted(masker):
            return masker
        kernel = _read_kernel(masker, images.shape[-2:])
        return masker if kernel is None else f"blur({kernel[0]},{kernel[1]})"
    if isinstance(masker, Real):
        return f"constant {float(masker):g}"
    return "own background" if isinstance(masker, torch.Tensor) else "own masker"


def blur(images: torch.Tensor, kernel: tuple[int, int]) -> torch.Tensor:
    """Returns the mean over a window of ``kernel`` = (width, height) pixels, edges mirrored.

    Gives the numbers of ``cv2.blur(image, kernel)``. It is two running means in float64, down and
    across, made on the host, once per explanation: a pixel costs the same whatever the
    kernel, and beside the result there is one channel of one image in double precision.
    """
    from scipy.ndimage import uniform_filter1d

    width, height = kernel
    exact = images.detach().cpu()
    if exact.dtype not in (torch.float32, torch.float64):  # SciPy filters no other dtypes
        exact = exact.float()
    blurred = torch.empty(exact.shape, dtype=exact.dtype)
    for channel, result in zip(
        exact.flatten(0, 1).numpy(), blurred.flatten(0, 1).numpy(), strict=True
    ):
        # What SciPy calls "mirror" does not repeat the edge pixel.
        down = uniform_filter1d(channel, height, axis=0, output=np.float64, mode="mirror")
        uniform_filter1d(down, width, axis=1, output=result, mode="mirror")
    return blurred.to(images)


def _paint(masker: Any, images: torch.Tensor) -> Any:
    if isinstance(masker, str):
        kernel = _read_kernel(masker, images.shape[-2:])
        return (
            images.mean((2, 3), keepdim=True).expand_as(images)
            if kernel is None
            else blur(images, kernel)
        )
    if isinstance(masker, Real):
        return torch.full_like(images, float(masker))
    if isinstance(masker, torch.Tensor):
        return strip_class(masker).detach()
    with blame("masker", "its function fails on the images"):
        return masker(images)


def _read_kernel(name: str, size: Sequence[int]) -> tuple[int, int] | None:
    """Returns the kernel (width, height) that a name asks for on images (height, width).

    It is None for ``"mean"``, which has no kernel.
    """
    if name == "mean":
        return None
    if name == "blur":
        height, width = size
        return max(1, round(width * BLUR_SHARE)), max(1, round(height * BLUR_SHARE))
    match = re.fullmatch(r"blur\(\s*([1-9]\d{0,3})\s*,\s*([1-9]\d{0,3})\s*\)", name)
    if match is None:
        raise ArgumentError(
            "masker",
            f"unknown {name!r}; give {NAMES}, with a kernel of 1 to 9999 whole pixels a side, a "
            "number or a tensor",
        )
    return int(match[1]), int(match[2])


def blend(
    images: torch.Tensor,
    backgrounds: torch.Tensor | Inpainting,
    owners: np.ndarray,
    present: torch.Tensor,
) -> torch.Tensor:
    """Returns images where they are present, and their backgrounds elsewhere, (R, C, H, W).

    Args:
        images: (N, C, H, W).
        backgrounds: Likewise, or what makes them of what is present.
        owners: int (R,), which image each row is of; rows that follow one another are fast.
        present: (R, C or 1, H, W), booleans or ones and zeros.
    """
    shown = images.new_empty(len(owners), *images.shape[1:])
    if present.dtype == torch.bool:
        present = present.view(torch.uint8)  # which becomes a float three times as fast
    weights = present.to(shown.dtype)
    for image, rows in list_runs(owners):
        # All rows of an image at once, without a copy of it for each. A blend is exact at weights
        # of 0 and 1, and on a CPU several times as fast as `where`.
        painted = (
            backgrounds.fill(images[image], present[rows].bool())
            if isinstance(backgrounds, Inpainting)
            else backgrounds[image]
        )
        torch.lerp(painted, images[image], weights[rows], out=shown[rows])
    return shown
