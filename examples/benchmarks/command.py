"""The command against the same job with shap alone and against its bare passes, as processes.

    python examples/benchmarks/command.py --rounds 3

Both load `best_model.pth` into timm's xcit_nano_12_p16_224, draw four images of a folder, explain
the four highest classes with ten evaluations each and write a picture. Needs scikit-learn for the
photographs and opencv for shap's blur. The bare passes import torch and timm, load the weights and
evaluate as many rows of the same images: no command can take less.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import timm
import torch
from PIL import Image
from sklearn.datasets import load_sample_images

MODEL = "xcit_nano_12_p16_224.fb_dist_in1k"
FLAGS = ["--dataset", "photographs", "--n_samples", "4", "--max_evals", "10", "--topk", "4"]
COMMAND = ["-m", "lightning_shap", "--model_output_dir", MODEL, *FLAGS]

WITH_SHAP_ALONE = f"""
from pathlib import Path
import matplotlib
matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np, shap, timm, torch
from PIL import Image
from timm.data import create_transform, resolve_model_data_config

weights = torch.load("{MODEL}/best_model.pth", weights_only=True)["model"]
names = sorted(path.name for path in Path("photographs").iterdir())
model = timm.create_model("{MODEL}", num_classes=len(names))
model.load_state_dict(weights)
model.eval()
transform = create_transform(**resolve_model_data_config(model), is_training=False)
files = [sorted(Path("photographs", name).iterdir())[0] for name in names]
images = torch.stack([transform(Image.open(file).convert("RGB")) for file in files])
images = images.movedim(1, -1).numpy()

def predict(rows):
    with torch.no_grad():
        return model(torch.from_numpy(np.asarray(rows)).movedim(-1, 1)).numpy()

masker = shap.maskers.Image("blur(128,128)", images[0].shape)
explainer = shap.Explainer(predict, masker, output_names=names)
values = explainer(
    images, max_evals=10, batch_size=64, outputs=shap.Explanation.argsort.flip[:4]
)
values.data = (images - images.min()) / (images.max() - images.min())
shap.image_plot(values, show=False)
plt.savefig("shap_alone.png")
"""

BARE_PASSES = f"""
from pathlib import Path
import timm, torch
from PIL import Image
from timm.data import create_transform, resolve_model_data_config

weights = torch.load("{MODEL}/best_model.pth", weights_only=True)["model"]
model = timm.create_model("{MODEL}", num_classes=4)
model.load_state_dict(weights)
model.eval()
transform = create_transform(**resolve_model_data_config(model), is_training=False)
files = sorted(Path("photographs").glob("*/*"))
images = torch.stack([transform(Image.open(file).convert("RGB")) for file in files])
with torch.no_grad():
    for _ in range(5):
        model(torch.cat([images, images]))  # 4 images x 10 evaluations, 8 rows a call
"""


def main() -> None:
    """Times all three in turn, and prints the medians and their ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(folder))
        timed(["-c", WITH_SHAP_ALONE], folder)  # fills the disk cache, and numba's if it has one
        jobs = {
            "shap alone": ["-c", WITH_SHAP_ALONE],
            "bare passes": ["-c", BARE_PASSES],
            "lightning-shap": COMMAND,
        }
        runs = {name: [] for name in jobs}
        for _ in range(rounds):
            for name, arguments in jobs.items():
                runs[name].append(timed(arguments, folder))
        helps = [timed(["-m", "lightning_shap", "--help"], folder) for _ in range(rounds)]
    print(f"{torch.get_num_threads()} threads, medians of {rounds} rounds, in seconds")
    print(f"{'':16}{'wall':>8}{'CPU':>8}")
    medians = {name: np.median(times, axis=0) for name, times in (runs | {"--help": helps}).items()}
    for name, (wall, cpu) in medians.items():
        print(f"{name:16}{wall:8.2f}{cpu:8.2f}")
    for other, wanted in (("shap alone", 0.5), ("bare passes", 1.2)):
        wall, cpu = medians["lightning-shap"] / medians[other]
        print(f"/ {other:14}{wall:8.2f}{cpu:8.2f}   (at most {wanted:.2f} is wanted)")


def prepare(root: Path) -> None:
    """Four class folders of photographs' corners, and a network with a head for them."""
    torch.manual_seed(0)
    for photograph, name in zip(load_sample_images().images, ("temple", "flower"), strict=True):
        for side, columns in (("left", slice(0, 300)), ("right", slice(-300, None))):
            folder = root / "photographs" / f"{name} {side}"
            folder.mkdir(parents=True)
            Image.fromarray(photograph[:300, columns]).save(folder / "1.png")
    (root / MODEL).mkdir()
    model = timm.create_model(MODEL, num_classes=4)
    torch.save({"model": model.state_dict()}, root / MODEL / "best_model.pth")


def timed(arguments: list[str], folder: str) -> tuple[float, float]:
    """Wall-clock and CPU seconds of one Python process."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(
        [sys.executable, "-W", "ignore", *arguments],
        cwd=folder,
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ,
    )
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


if __name__ == "__main__":
    main()
