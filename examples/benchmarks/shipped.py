"""Photographs that packages ship: nothing is downloaded when they are read.

pip install scikit-image scikit-learn matplotlib
pip install --no-deps gradio ultralytics imgaug # for the photographs in their wheels alone
apt-get download gcompris-qt-data && dpkg -x gcompris-qt-data_*.deb gcompris
export GCOMPRIS=gcompris/usr/share/gcompris-qt/rcc
"""

import importlib.util
import io
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from skimage import transform

MEAN, STD = (127 / 255,) * 3, (128 / 255,) * 3  # of what EfficientNet-Lite was trained with

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

# In which file of GCompris, and which of its pictures of 200 px or more: animals and things.
ANIMALS = {
    "duck": ("explore_farm_animals", 0),
    "cow": ("explore_farm_animals", 1),
    "sheep": ("explore_farm_animals", 2),
    "kitten": ("explore_farm_animals", 4),
    "hens": ("explore_farm_animals", 5),
    "shepherd": ("explore_farm_animals", 7),
    "owl": ("explore_farm_animals", 8),
    "wallaby": ("explore_world_animals", 0),
    "moose": ("explore_world_animals", 1),
    "iguana": ("explore_world_animals", 2),
    "crocodile": ("explore_world_animals", 3),
    "hedgehog": ("explore_world_animals", 4),
    "macaw": ("explore_world_animals", 5),
    "koala": ("explore_world_animals", 6),
    "lemurs": ("explore_world_animals", 7),
    "dragon": ("explore_world_animals", 8),
    "bear": ("explore_world_animals", 9),
    "bison": ("explore_world_animals", 10),
    "jaguar": ("explore_world_animals", 12),
    "panda": ("explore_world_animals", 13),
    "mill": ("categorization", 3),
    "scissors": ("categorization", 31),
    "hammer": ("categorization", 39),
    "screwdriver": ("categorization", 50),
    "pufferfish": ("categorization", 64),
    "anemonefish": ("categorization", 68),
    "goldfish": ("categorization", 79),
    "cup": ("categorization", 115),
    "baseball": ("categorization", 116),
}


def photograph(name: str) -> Image.Image:
    """One of :data:`PHOTOGRAPHS`, :data:`OTHERS` or :data:`ANIMALS`, in RGB."""
    if name in ANIMALS:
        file, place = ANIMALS[name]
        return _pictures(Path(os.environ["GCOMPRIS"], f"{file}.rcc").read_bytes())[place]
    package, inside = (PHOTOGRAPHS | OTHERS)[name]
    found = importlib.util.find_spec(package)  # not imported: its dependencies may be missing
    if found is None or found.origin is None:
        raise ModuleNotFoundError(f"{name} is a photograph of the package {package}")
    return Image.open(Path(found.origin).parent / inside).convert("RGB")


def _pictures(resource: bytes) -> list[Image.Image]:
    """All WebP pictures of 200 px or more in a resource file of Qt, as they follow one another."""
    found: list[Image.Image] = []
    for at in _places(resource, b"RIFF"):
        if resource[at + 8 : at + 12] == b"WEBP":
            length = int.from_bytes(resource[at + 4 : at + 8], "little") + 8
            picture = Image.open(io.BytesIO(resource[at : at + length]))
            if min(picture.size) >= 200:
                found.append(picture)
    return [picture.convert("RGB") for picture in found]


def _places(text: bytes, part: bytes) -> Iterator[int]:
    at = text.find(part)
    while at >= 0:
        yield at
        at = text.find(part, at + len(part))


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
