"""Ten more data sets for ``shortcuts.py``, written when the rules stood; nobody looked at them."""

from collections.abc import Callable

import numpy as np
import torch
from PIL import Image, ImageDraw
from shortcut_data import SIDE, Data, _stack, crops, mnist
from sklearn.datasets import load_digits
from torch.nn.functional import interpolate

PHOTOGRAPHS = (
    "astronaut.png",
    "chelsea.png",
    "coffee.png",
    "rocket.jpg",
    "gradio/media_assets/images/lion.jpg",
    "gradio/media_assets/images/tower.jpg",
    "ultralytics/assets/bus.jpg",
)


def _ground(count: int) -> np.ndarray:
    """Crops of photographs, each of any of them, in eight bits, (N, SIDE, SIDE, 3)."""
    images, _ = crops(*PHOTOGRAPHS, part=(0.2, 0.6), light=False, count=count)
    order = np.random.default_rng(7).permutation(count)
    return (images.movedim(1, -1).numpy()[order] * 255).round().astype(np.uint8)


def digits_on_photographs() -> Data:
    """Digits as the difference to a photograph, as in MNIST-M."""
    found = load_digits()
    random = np.random.default_rng(0)
    small = interpolate(torch.tensor(found.images[:, None] / 16), size=(36, 36), mode="bilinear")
    grounds, images = _ground(len(small)), []
    for ground, digit in zip(grounds, small[:, 0].clamp(0, 1).numpy(), strict=True):
        down, across = random.integers(0, SIDE - 36, size=2)
        ink = np.zeros((SIDE, SIDE, 1), np.float32)
        ink[down : down + 36, across : across + 36, 0] = digit
        images.append(np.abs(ground / np.float32(255) - ink).astype(np.float32))
    return _stack(images, found.target.astype(np.int64))


def letters_on_photographs(count: int = 1800) -> Data:
    """Letters in ink of any bright colour, anywhere on a darkened photograph."""
    random, labels = np.random.default_rng(0), np.arange(count) % 9
    images = []
    for ground, label in zip(_ground(count), labels, strict=True):
        image = Image.fromarray(ground // 2)
        where = tuple(random.integers(2, SIDE - 30, size=2).tolist())
        ink = tuple(int(value) for value in random.integers(150, 256, size=3))
        ImageDraw.Draw(image).text(where, "CGJMNPUXZ"[label], fill=ink, font_size=28)
        images.append(np.asarray(image))
    return _stack(images, labels)


def hues(classes: int = 5, count: int = 1500) -> Data:
    """A disc anywhere on noise, of another hue in each class: they differ in colour by nature."""
    random, labels, images = np.random.default_rng(0), np.arange(count) % classes, []
    for label in labels:
        image = Image.fromarray(random.integers(40, 200, (SIDE, SIDE, 3)).astype(np.uint8))
        hue = int(255 * (label + random.uniform(0.1, 0.9)) / classes)
        ink = Image.new("HSV", (1, 1), (hue, int(random.integers(150, 256)), 220)).convert("RGB")
        x, y = random.uniform(8, SIDE - 8, size=2)
        size = random.uniform(5, 9)
        box = (x - size, y - size, x + size, y + size)
        ImageDraw.Draw(image).ellipse(box, fill=ink.getpixel((0, 0)))
        images.append(np.asarray(image))
    return _stack(images, labels)


def pairs(count: int = 1600) -> Data:
    """A disc above a square, below it, left or right of it."""
    random, labels, images = np.random.default_rng(0), np.arange(count) % 4, []
    for label in labels:
        image = Image.fromarray(random.integers(50, 120, (SIDE, SIDE, 3)).astype(np.uint8))
        pen = ImageDraw.Draw(image)
        x, y = random.uniform(16, SIDE - 16, size=2)
        angle = label * np.pi / 2 + random.normal(0, 0.25)
        inks = [tuple(int(value) for value in random.integers(140, 256, size=3)) for _ in "12"]
        u, v = 9 * np.cos(angle), 9 * np.sin(angle)
        pen.ellipse((x + u - 5, y + v - 5, x + u + 5, y + v + 5), fill=inks[0])
        pen.rectangle((x - u - 4, y - v - 4, x - u + 4, y - v + 4), fill=inks[1])
        images.append(np.asarray(image))
    return _stack(images, labels)


def clocks(classes: int = 6, count: int = 1500) -> Data:
    """A dial in the middle, always, whose one hand points to a sixth of it."""
    random, labels, images = np.random.default_rng(0), np.arange(count) % classes, []
    for label in labels:
        ground = random.normal(random.uniform(60, 150), 8, (SIDE, SIDE, 3)).clip(0, 255)
        image = Image.fromarray(ground.astype(np.uint8))
        pen = ImageDraw.Draw(image)
        size, middle = random.uniform(15, 21), SIDE / 2
        box = (middle - size, middle - size, middle + size, middle + size)
        pen.ellipse(box, fill=(235, 235, 225), outline=(20, 20, 20))
        angle = 2 * np.pi * (label + random.uniform(0.15, 0.85)) / classes
        tip = (middle + 0.85 * size * np.sin(angle), middle - 0.85 * size * np.cos(angle))
        pen.line((middle, middle, *tip), fill=(20, 20, 20), width=2)
        images.append(np.asarray(image))
    return _stack(images, labels)


def plaids(classes: int = 5, count: int = 1500) -> Data:
    """Checks of two colours, coarser in each class, turned and moved at will."""
    random, labels, images = np.random.default_rng(0), np.arange(count) % classes, []
    down, across = np.mgrid[:SIDE, :SIDE]
    for label in labels:
        angle, period = random.uniform(0, np.pi / 2), 3 * 1.4**label * random.uniform(0.93, 1.07)
        u = (np.cos(angle) * down + np.sin(angle) * across + random.uniform(0, 40)) // period
        v = (np.cos(angle) * across - np.sin(angle) * down + random.uniform(0, 40)) // period
        inks = random.uniform(0.1, 0.9, size=(2, 3))
        pixels = inks[((u + v) % 2).astype(int)] + random.normal(0, 0.05, (SIDE, SIDE, 3))
        images.append(pixels.clip(0, 1).astype(np.float32))
    return _stack(images, labels)


def ships(classes: int = 4, count: int = 1500) -> Data:
    """A hull with one to four sails on a horizon: light above, dark below, objects in one band."""
    random, labels, images = np.random.default_rng(0), np.arange(count) % classes, []
    for label in labels:
        level = int(random.integers(26, 33))
        pixels = random.normal(0, 10, (SIDE, SIDE, 3)) + random.uniform(170, 225, size=3)
        pixels[level:] -= random.uniform(80, 130)
        image = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
        pen = ImageDraw.Draw(image)
        left, wide = int(random.integers(2, 15)), int(random.integers(26, 31))
        ink = tuple(int(value) for value in random.integers(0, 110, size=3))
        deck, keel = [(left, level - 3), (left + wide, level - 3)], level + 4
        pen.polygon([*deck, (left + wide - 5, keel), (left + 5, keel)], fill=ink)
        for sail in range(label + 1):
            x = left + (sail + 0.7) * wide / (label + 1.4)
            pen.polygon([(x, level - 3), (x, level - 16), (x + 5, level - 3)], fill=ink)
        images.append(np.asarray(image))
    return _stack(images, labels)


LATE: dict[str, Callable[[], Data]] = {
    "digits on photographs": digits_on_photographs,
    "letters on photographs": letters_on_photographs,
    "hues": hues,
    "pairs": pairs,
    "clocks": clocks,
    "plaids": plaids,
    "ships": ships,
    "animals": lambda: crops(
        "gradio/media_assets/images/lion.jpg",
        "gradio/media_assets/images/cheetah1.jpg",
        "gradio/test_data/cheetah2.jpg",
        "chelsea.png",
        "horse.png",
        part=(0.3, 0.55),
        light=False,
    ),
    "three or eight": lambda: mnist((3, 8)),
    "loops": lambda: mnist((0, 6, 8, 9)),
}
