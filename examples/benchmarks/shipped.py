"""Photographs that packages ship: nothing is downloaded when they are read.

pip install scikit-image scikit-learn matplotlib
pip install --no-deps gradio ultralytics imgaug # for the photographs in their wheels alone
"""

import importlib.util
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from skimage import transform

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet

# In which package, where in it.
PHOTOGRAPHS = {
    "astronaut": ("skimage", "data/astronaut.png"),
    "coffee": ("skimage", "data/coffee.png"),
    "chelsea": ("skimage", "data/chelsea.png"),
    "rocket": ("skimage", "data/rocket.jpg"),
    "motorcycle": ("skimage", "data/motorcycle_left.png"),
    "camera": ("skimage", "data/camera.png"),
    "flower": ("sklearn", "datasets/images/flower.jpg"),
    "china": ("sklearn", "datasets/images/china.jpg"),
    "admiral": ("matplotlib", "mpl-data/sample_data/grace_hopper.jpg"),
    "tower": ("gradio", "media_assets/images/tower.jpg"),
    "cub": ("gradio", "test_data/cheetah2.jpg"),
    "sprint": ("gradio", "media_assets/images/cheetah.jpg"),
    "cheetah": ("gradio", "media_assets/images/cheetah1.jpg"),
    "lion": ("gradio", "media_assets/images/lion.jpg"),
    "bus": ("ultralytics", "assets/bus.jpg"),
    "coaches": ("ultralytics", "assets/zidane.jpg"),
}

# Looked at only once what is measured by the others was chosen.
OTHERS = {
    "quokka": ("imgaug", "quokka.jpg"),
    "groot": ("gradio", "media_assets/images/groot.jpeg"),
    "coins": ("skimage", "data/coins.png"),
    "moon": ("skimage", "data/moon.png"),
    "galaxies": ("skimage", "data/hubble_deep_field.jpg"),
    "retina": ("skimage", "data/retina.jpg"),
    "tissue": ("skimage", "data/ihc.png"),
    "clock": ("skimage", "data/clock_motion.png"),
}


def photograph(name: str) -> Image.Image:
    """One of :data:`PHOTOGRAPHS` or :data:`OTHERS`, in RGB."""
    package, inside = (PHOTOGRAPHS | OTHERS)[name]
    found = importlib.util.find_spec(package)  # not imported: its dependencies may be missing
    if found is None or found.origin is None:
        raise ModuleNotFoundError(f"{name} is a photograph of the package {package}")
    return Image.open(Path(found.origin).parent / inside).convert("RGB")


def square(
    name: str, size: int, *, where: float = 0.5, part: float = 1.0, mirrored: bool = False
) -> torch.Tensor:
    """A square of a photograph, standardised, (3, size, size).

    Args:
        name: Which photograph.
        size: Its side in pixels, scaled with anti-aliasing.
        where: Its place, from 0 (top left) to 1 (bottom right).
        part: Its side as a share of the photograph's shorter one.
        mirrored: Left and right change places.
    """
    pixels = np.asarray(photograph(name))
    side = int(min(pixels.shape[:2]) * part)
    top, left = (int((length - side) * where) for length in pixels.shape[:2])
    cut = pixels[top : top + side, left : left + side]
    cut = cut[:, ::-1] if mirrored else cut
    small = transform.resize(cut, (size, size), anti_aliasing=True)
    return torch.from_numpy((small - MEAN) / STD).float().permute(2, 0, 1)
