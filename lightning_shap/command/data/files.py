"""Image files: which they are, and how they are opened."""

import os
from pathlib import Path

from PIL import Image

# The formats of eight bits that torchvision's and timm's image folders take.
SUFFIXES = {".jpg", ".jpeg", ".png", ".ppm", ".pgm", ".bmp", ".tif", ".tiff", ".webp"}
# Formats that such files may have in truth. To read others, such as EPS, Pillow runs programs.
FORMATS = {"AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "MPO", "PNG", "PPM", "TIFF", "WEBP"}
DEEP = ("I", "F", "I;16", "I;16B")  # Pillow's modes of more than eight bits, which it would clip
PICTURE = "explanation.png"
MOST_PIXELS = 2**27  # a small file can unpack to a thousand times its size


def is_image(path: Path) -> bool:
    """Returns True for a file that is an image by its name, unless this package wrote it."""
    ours = path.name == PICTURE or path.name.startswith(".")
    return path.suffix.lower() in SUFFIXES and not ours and os.path.isfile(path)


def open_image(path: str | Path) -> Image.Image:
    """Opens an image file of eight bits a channel.

    Raises:
        ValueError: If it is no image, or larger than any should be. A damaged file makes Pillow
            raise anything else, too.
    """
    with Image.open(path) as picture:
        width, height = picture.size
        if picture.format not in FORMATS:
            raise ValueError(f"is {picture.format} in truth; give {', '.join(sorted(FORMATS))}")
        if picture.mode in DEEP:
            raise ValueError(
                "has more than eight bits a channel; save it with eight, or read it yourself "
                "and call lightning_shap.explain"
            )
        if width * height > MOST_PIXELS:
            raise ValueError(
                f"may be a decompression bomb: it states {width * height / 1e6:.0f} million "
                f"pixels, and {MOST_PIXELS / 1e6:.0f} are allowed"
            )
        picture.load()
        return picture
