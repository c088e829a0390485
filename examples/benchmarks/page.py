"""How long the page takes, beside another version of it; and which region's colour is loudest.

pip install selenium     # and chromium with its driver
python examples/benchmarks/page.py logs logs              # 200 epochs, and 39 further runs
tensorboard --logdir logs --port 6106                     # of each version
python examples/benchmarks/page.py times http://localhost:6106 http://localhost:6107
python examples/benchmarks/page.py many logs              # 20,000 images: a run, and many.html
python examples/benchmarks/page.py points http://localhost:6106 logs/many.html
python examples/benchmarks/page.py colours                     # needs what grids.py needs
"""

import argparse
import shutil
import time
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from pretrained import network
from shipped import PHOTOGRAPHS, photograph

import lightning_shap
from lightning_shap.explanation.explanation import ImageExplanation
from lightning_shap.explanation.regions import Regions
from lightning_shap.page.data import PageWriter
from lightning_shap.page.report import Pages
from lightning_shap.page.tensorboard import add_explanation

SIDE, IMAGES, CLASSES, REGIONS = 224, 8, 1000, 60
MANY, SMALL, FEW, PARTS = 20_000, 32, 9, 30  # images, their side, classes, regions
AS_LARGE_AS = (("area", 0), ("area, from 1 % on", 0.01), ("area, from 2 % on", 0.02), ("region", 1))
IS_THERE = {  # what somebody waits for
    "points": """
        const canvas = document.querySelector(".atlas canvas");
        if (!canvas?.clientWidth) return false;
        const { width, height } = canvas;
        const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
        return data.some((level) => level > 0);""",
    "first map": """
        const drawn = [...document.querySelectorAll(".map canvas")];
        return drawn.some((one) => one.checkVisibility() && one.width != 300);""",
}
ASKED = """
    const isData = ({ name }) => !/\\.(js|css)/.test(name);
    const data = performance.getEntriesByType("resource").filter(isData);
    return data.reduce((sum, one) => sum + one.encodedBodySize, 0);"""
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


def write_many(folder: str) -> None:
    """Writes an explanation of as many small images as a data set has, as a log and as a file."""
    from torch.utils.tensorboard import SummaryWriter

    numbers = np.random.default_rng(0)
    photographs = [shrink(name, 4 * SMALL) for name in [*PHOTOGRAPHS][:FEW]]
    labels = numbers.integers(0, FEW, MANY)
    corners = numbers.integers(0, 3 * SMALL, (MANY, 2))
    images = np.stack(
        [
            photographs[label][top : top + SMALL, left : left + SMALL]
            for label, (top, left) in zip(labels, corners, strict=True)
        ]
    )
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * SMALL**2, FEW))
    rows = torch.from_numpy(images[:2]).movedim(-1, 1)
    like = lightning_shap.explain(model, rows, max_evals=8, topk=2)
    y, x = np.mgrid[:SMALL, :SMALL]
    parts = np.empty((MANY, SMALL, SMALL), np.int32)
    for part in parts:
        centres = numbers.integers(0, SMALL, (PARTS, 2))
        away = (y[..., None] - centres[:, 0]) ** 2 + (x[..., None] - centres[:, 1]) ** 2
        part[:] = away.argmin(-1)
    outputs = numbers.normal(size=(MANY, FEW))
    outputs[np.arange(MANY), labels] += 3
    chances = np.exp(outputs) / np.exp(outputs).sum(axis=1, keepdims=True)
    values = numbers.normal(size=(MANY, PARTS, 2)) + numbers.normal(size=(FEW, PARTS, 2))[labels]
    record = replace(
        like.record,
        outputs=outputs,
        probabilities=chances,
        labels=labels,
        evaluations=np.full(MANY, 100),
        regions=np.full(MANY, PARTS),
        additivity_gap=np.zeros((MANY, 2)),
        empty_probabilities=np.full((MANY, 2), 0.1),
    )
    indexes = np.argsort(-outputs, axis=1)[:, :2]
    regions, base = Regions.even(parts, values, 3), np.zeros((MANY, 2))
    made = ImageExplanation(regions, base, images, indexes, record)
    begin = time.process_time()
    page = PageWriter().make(made, step=0, epoch=0)
    pages = Pages()
    pages.add("many", "shap", page, {})
    path = pages.write(f"{folder}/many.html", "many")
    with SummaryWriter(f"{folder}/many") as log:
        add_explanation(log, "shap", page, 0, {})
    print(f"{path.stat().st_size / 1e6:.1f} MB, written in {time.process_time() - begin:.1f} s CPU")


def measure_points(places: list[str], turns: int = 3) -> None:
    """Prints how long a map of many explanations takes to open, from an address or a file."""
    chrome = open_browser()
    for place in places * turns:
        chrome.get("about:blank")
        begin = time.perf_counter()
        view = "run=many&panel=atlas"
        if place.startswith("http"):
            chrome.get(f"{place}/#shap&p.shap.view={view.replace('=', '%3D').replace('&', '%26')}")
            while not (frames := chrome.find_elements("css selector", "iframe")):
                time.sleep(0.02)
            chrome.switch_to.frame(frames[0])
        else:
            chrome.get(f"{Path(place).absolute().as_uri()}#{view}")
        found = {}
        for name, is_there in IS_THERE.items():
            while not try_script(chrome, is_there):
                time.sleep(0.01)
            found[name] = time.perf_counter() - begin
        asked = chrome.execute_script(ASKED)
        said = ", ".join(f"{name} {value:.2f} s" for name, value in found.items())
        print(f"{place[-40:]:40s} {said}, {asked / 1e6:.2f} MB asked for", flush=True)
        chrome.switch_to.default_content()
    chrome.quit()


def try_script(chrome, script: str) -> object:
    """Returns what a script returns, None while the page is not there yet."""
    from selenium.common.exceptions import WebDriverException

    try:
        return chrome.execute_script(script)
    except WebDriverException:
        return None


def measure_times(addresses: list[str], turns: int = 4) -> None:
    """Prints medians over interleaved turns, and ratios to the last address."""
    chrome = open_browser()
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


def open_browser() -> Any:
    """Returns a headless Chromium, driven by selenium."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    for argument in ("headless=new", "no-sandbox", "disable-gpu", "window-size=1920,1080"):
        options.add_argument(f"--{argument}")
    options.page_load_strategy = "none"  # what is waited for is asked for below
    driver = webdriver.ChromeService(shutil.which("chromedriver"))
    chrome = webdriver.Chrome(options=options, service=driver)
    chrome.set_script_timeout(120)
    return chrome


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
    parser.add_argument("what", choices=["logs", "times", "many", "points", "colours"])
    parser.add_argument("given", nargs="*", help="a folder, or addresses of TensorBoard")
    args = parser.parse_args()
    if args.what == "logs":
        write_logs(args.given[0])
    elif args.what == "times":
        measure_times(args.given)
    elif args.what == "many":
        write_many(args.given[0])
    elif args.what == "points":
        measure_points(args.given)
    else:
        measure_colours()


if __name__ == "__main__":
    main()
