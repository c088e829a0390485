"""How long the page takes, beside another version of it; and which region's colour is loudest.

pip install selenium     # and chromium with its driver
python examples/benchmarks/page.py logs logs              # 200 epochs, and 39 further runs
tensorboard --logdir logs --port 6106                     # of each version
python examples/benchmarks/page.py times http://localhost:6106 http://localhost:6107
python examples/benchmarks/page.py colours                     # needs what grids.py needs
"""

import argparse
import time
from dataclasses import replace
from statistics import median

import numpy as np
import torch
from pretrained import network
from shipped import PHOTOGRAPHS, photograph

import lightning_shap
from lightning_shap.explanation.explanation import ImageExplanation
from lightning_shap.explanation.regions import Regions
from lightning_shap.page.data import PageWriter
from lightning_shap.page.tensorboard import add_explanation

SIDE, IMAGES, CLASSES, REGIONS = 224, 8, 1000, 60
AS_LARGE_AS = (("area", 0), ("area, from 1 % on", 0.01), ("area, from 2 % on", 0.02), ("region", 1))
STEPS = """
    const slider = document.querySelector("input[type=range]");
    const done = arguments[0], times = [], drawn = () => document.documentElement.dataset.drawn;
    (async () => {
      for (let place = 50; place < 110; place += 3) {
        const [before, begin] = [drawn(), performance.now()];
        slider.value = place;
        slider.dispatchEvent(new Event("input"));
        while (drawn() === before) await new Promise((go) => setTimeout(go, 1));
        times.push(performance.now() - begin);
      }
      done(times);
    })();"""


def shrink(name: str, side: int) -> np.ndarray:
    """Returns the middle of a photograph, float32 (side, side, 3) from 0 to 1."""
    picture = photograph(name)
    left, top = ((length - min(picture.size)) / 2 for length in picture.size)
    box = (left, top, left + min(picture.size), top + min(picture.size))
    return np.asarray(picture.resize((side, side), box=box), np.float32) / 255


def write_logs(folder: str) -> None:
    """Writes explanations of random values, of runs as long as somebody may have."""
    from torch.utils.tensorboard import SummaryWriter

    numbers = np.random.default_rng(0)
    names = [*PHOTOGRAPHS][:IMAGES]
    images = np.stack([shrink(name, SIDE) for name in names])
    model = torch.nn.Sequential(
        torch.nn.AdaptiveAvgPool2d(4), torch.nn.Flatten(), torch.nn.Linear(48, CLASSES)
    )
    rows = torch.from_numpy(images).movedim(-1, 1)
    called = [f"class {number} of {'many ' * 36}" for number in range(CLASSES)]
    like = lightning_shap.explain(model, rows, max_evals=8, topk=3, class_names=called)
    y, x = np.mgrid[:SIDE, :SIDE]
    centres = numbers.integers(0, SIDE, (IMAGES, REGIONS, 2))
    away = [(y[..., None] - c[:, 0]) ** 2 + (x[..., None] - c[:, 1]) ** 2 for c in centres]
    labels = np.stack([one.argmin(-1) for one in away]).astype(np.int32)
    record = replace(like.record, labels=np.arange(IMAGES), regions=np.full(IMAGES, REGIONS))
    writer = PageWriter()
    for run, epochs in [("long", 200), *((f"run {number:02d}", 5) for number in range(39))]:
        with SummaryWriter(f"{folder}/{run}") as log:
            for epoch in range(epochs):
                regions = Regions.even(labels, numbers.normal(size=(IMAGES, REGIONS, 3)), 3)
                indexes = like.output_indexes
                made = ImageExplanation(regions, like.base_values, images, indexes, record)
                page = writer.make(made, step=epoch, epoch=epoch)
                add_explanation(log, "shap", page, epoch, {})


def measure_times(addresses: list[str], turns: int = 4) -> None:
    """Prints medians over interleaved turns, and ratios to the last address."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    for argument in ("headless=new", "no-sandbox", "disable-gpu", "window-size=1920,1080"):
        options.add_argument(f"--{argument}")
    chrome = webdriver.Chrome(options=options)
    chrome.set_script_timeout(120)
    found: dict[str, dict[str, list[float]]] = {address: {} for address in addresses}
    for address in addresses * turns:
        chrome.get("about:blank")
        begin = time.perf_counter()
        chrome.get(f"{address}/#shap&p.shap.view=run%3Dlong")
        while not (frames := chrome.find_elements("css selector", "iframe")):
            time.sleep(0.02)
        chrome.switch_to.frame(frames[0])
        painted = "return [...document.querySelectorAll('.map canvas')].some((c) => c.width != 300)"
        while not chrome.execute_script(painted):
            time.sleep(0.02)
        kept = found[address]
        kept.setdefault("first map, s", []).append(time.perf_counter() - begin)
        while chrome.execute_script("return document.querySelector('main').ariaBusy") == "true":
            time.sleep(0.1)
        for name in ("step to be read, ms", "step read before, ms"):
            kept.setdefault(name, []).extend(chrome.execute_async_script(STEPS))
        chrome.switch_to.default_content()
    chrome.quit()
    for name in found[addresses[-1]]:
        medians = [median(found[address][name]) for address in addresses]
        said = "  ".join(f"{one:8.3g} ({one / medians[-1]:.2f})" for one in medians)
        print(f"{name:22s} {said}")


def measure_colours() -> None:
    """Prints how large the region of the strongest colour is, and how far colour is from value."""
    model = network(1)
    images = np.stack([shrink(name, 240) for name in [*PHOTOGRAPHS][:6]])
    rows = (torch.from_numpy(images).movedim(-1, 1) - 0.498) / 0.502
    regions = lightning_shap.explain(model, rows, topk=1, max_evals=100, regions="image").regions
    for name, least in (
        ("area", 0),
        ("area, 1 % or more", 0.01),
        ("area, 2 %", 0.02),
        ("region", 1),
    ):
        areas, shares, off = [], [], []
        for image in range(len(images)):
            there = regions.sizes[image] > 0
            size = regions.sizes[image][there] / regions.sizes[image].sum()
            value = np.abs(regions.values[image, there, 0])
            strength = value / np.maximum(size, least)
            order = np.argsort(-strength)
            full = strength[order[np.searchsorted(np.cumsum(size[order]), 0.005)]]
            ink = np.minimum(strength / full, 1) * size
            areas.append(size[order[0]])
            shares.append(value[order[0]] / value.sum())
            off.append(np.abs(ink / ink.sum() - value / value.sum()).sum() / 2)
        print(
            f"value per {name:18s} loudest region: {min(areas):.2%} of the area at least, "
            f"{min(shares):.1%} of the attribution; colour is off by {np.mean(off):.1%}"
        )


def main() -> None:
    """Does what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["logs", "times", "colours"])
    parser.add_argument("given", nargs="*", help="a folder, or addresses of TensorBoard")
    args = parser.parse_args()
    if args.what == "logs":
        write_logs(args.given[0])
    elif args.what == "times":
        measure_times(args.given)
    else:
        measure_colours()


if __name__ == "__main__":
    main()
