"""Saving: an explanation as a file, a picture or a picture for each image."""

import os
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lightning_shap.errors import ArgumentError
from lightning_shap.explanation import archive
from lightning_shap.explanation.atomic import replace_whole
from lightning_shap.explanation.explanation import ImageExplanation
from lightning_shap.pictures.grid import plot

COMPRESSION = 1  # of files: the others are a fifth smaller, and take two to five times as long


def save(
    explanation: ImageExplanation | np.ndarray, path: str | os.PathLike[str], **look: Any
) -> Path:
    """Saves an explanation.

    Args:
        explanation: What :func:`lightning_shap.explain` returned, or some of its images; or a
            picture that :func:`lightning_shap.plot` drew, uint8 (height, width, 3).
        path: Where to. A name in ``.npz`` gets all numbers, for :func:`lightning_shap.load`; one in
            ``.png`` a picture; one without an ending is a folder that gets a picture of each image,
            ``0.png``, ``1.png`` and so on. Folders that are missing are made. Each file appears
            whole or not at all.
        look: Arguments of :func:`lightning_shap.plot`, for pictures.

    Returns:
        The path.

    Raises:
        ArgumentError: If the ending is another, or the explanation will not do.
        OSError: If a file cannot be written.

    Example:
        >>> import tempfile, torch, lightning_shap
        >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 3))
        >>> explanation = lightning_shap.explain(model, torch.rand(2, 1, 8, 8), topk=1)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     each = lightning_shap.save(explanation, f"{folder}/each", style="tiles")
        ...     sorted(file.name for file in each.iterdir())
        ['0.png', '1.png']
    """
    path = Path(path)
    ending = path.suffix.lower()
    if isinstance(explanation, np.ndarray):
        _write(explanation, path)
    elif ending == ".npz":
        if look:
            raise ArgumentError("look", f"got {', '.join(look)}, and numbers have no look")
        path.parent.mkdir(parents=True, exist_ok=True)
        archive.save(explanation, path)
    elif ending == ".png":
        _write(plot(explanation, **look), path)
    elif ending:
        raise ArgumentError(
            "path", f"got {str(path)!r}; end it in .npz or .png, or name a folder without an ending"
        )
    else:
        for image in range(len(explanation.whole)):
            _write(plot(explanation, **(look | {"rows": [image]})), path / f"{image}.png")
    return path


def _write(picture: np.ndarray, path: Path) -> None:
    """Writes a picture, uint8 (height, width, 3), as a PNG file."""
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        raise ArgumentError(
            "picture", f"is {picture.dtype} of shape {picture.shape}; give uint8 (height, width, 3)"
        )
    if path.suffix.lower() != ".png":
        raise ArgumentError("path", f"must end in .png, got {str(path)!r}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replace_whole(path) as partial:
            Image.fromarray(picture).save(partial, format="PNG", compress_level=COMPRESSION)
    except OSError as error:
        reason = error.strerror or error
        raise OSError(error.errno, f"path: cannot write {str(path)!r}: {reason}") from error
