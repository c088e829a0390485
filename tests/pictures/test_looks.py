"""Pictures look as they did: whoever changes a colour, a size or a distance means to."""

from pathlib import Path

import numpy as np
import pytest
from references import check_reference
from test_evolution import drawn
from test_grid import an_explanation

from lightning_shap import plot

BLOCK = 8  # pixels, of which the mean is kept: how a font's edges are drawn is not ours
SIDE = 112
NAMES = ["Blenheim spaniel, King Charles spaniel", "cat", "3"]


def explain_patches(channels=3, side=SIDE, dark=False, doubted=False, **known):
    """Two images of a slope and a square, and maps of patches, some of them in doubt."""
    rng = np.random.default_rng(2)
    down, across = np.mgrid[:side, :side] / side
    photograph = 0.2 * down + (0.0 if dark else 0.7) * across
    photograph[side // 4 : side // 2, side // 4 : side // 2] = 0.9
    data = np.repeat(np.stack([photograph, photograph.T])[..., None], channels, axis=-1)
    patches = rng.normal(size=(2, 4, 4, channels, 2)) / side**2
    values = patches.repeat(side // 4, axis=1).repeat(side // 4, axis=2)
    errors = np.full(values.shape, 0.1) / side**2
    errors[:, : side // 2] *= 10
    errors = errors if doubted else None
    return an_explanation(values, data=data, labels=np.array([0, 2]), error_std=errors, **known)


PICTURES = {
    "overlay": lambda: plot(
        explain_patches(doubted=True, class_names=np.array(NAMES)), title="a run"
    ),
    "tiles": lambda: plot(explain_patches(1, 28, dark=True, doubted=True), style="tiles"),
    "contour": lambda: plot(explain_patches(), style="contour"),
    "spotlight": lambda: plot(explain_patches(), style="spotlight"),
    "pixels": lambda: plot(explain_patches(method="gradient"), style="tiles"),
    "evolution": lambda: drawn([0.2, 0.6, 1.0], title="a run"),
}


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_looks_as_it_did(name):
    picture = PICTURES[name]()
    height, width = (side // BLOCK for side in picture.shape[:2])
    blocks = picture[: height * BLOCK, : width * BLOCK].reshape(height, BLOCK, width, BLOCK, 3)
    means = blocks.mean(axis=(1, 3)).round().astype(np.uint8)
    path = Path(__file__).parent / "references" / f"{name}.npz"
    check_reference(path, {"blocks": means, "size": np.array(picture.shape)}, 0.015)
