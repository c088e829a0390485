"""Saving: an explanation as a file, a picture or a picture for each image."""

import os
from pathlib import Path
from typing import Any

import numpy as np

from lightning_shap.errors import ArgumentError
from lightning_shap.explanation import archive
from lightning_shap.explanation.explanation import ImageExplanation
from lightning_shap.pictures import grid


def save(
    explanation: ImageExplanation | np.ndarray, path: str | os.PathLike[str], **look: Any
) -> Path:
    """Saves an explanation.

    Args:
        explanation: What :func:`lightning_shap.explain` returned, or some of its images; or a
            picture that :func:`lightning_shap.plot` drew.
        path: Where to. A name in ``.npz`` gets all numbers, for :func:`lightning_shap.load`; one in
            ``.png`` a picture; one without an ending is a folder that gets a picture of each image,
            ``0.png``, ``1.png`` and so on. Each file appears whole or not at all.
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
        return grid.save(explanation, path)
    if ending == ".npz":
        if look:
            raise ArgumentError("look", f"got {', '.join(look)}, and numbers have no look")
        path.parent.mkdir(parents=True, exist_ok=True)
        return archive.save(explanation, path)
    if ending == ".png":
        return grid.save(grid.plot(explanation, **look), path)
    if ending:
        raise ArgumentError(
            "path", f"got {str(path)!r}; end it in .npz or .png, or name a folder without an ending"
        )
    for image in range(len(explanation.whole)):
        grid.save(grid.plot(explanation, **(look | {"rows": [image]})), path / f"{image}.png")
    return path
