"""Eight states of the page, each looked at once, and held since by a hash of what is seen.

A change that is meant: look at the picture that the failure names, and note the hash that it says.
"""

import io
from dataclasses import replace
from urllib.parse import urlencode

import numpy as np
import pytest
import torch
from page_site import Page, browser
from PIL import Image

import lightning_shap
from lightning_shap.explanation.explanation import ImageExplanation
from lightning_shap.explanation.regions import Regions
from lightning_shap.page.data import PageWriter
from lightning_shap.page.report import Pages

pytestmark = pytest.mark.integration

SIDE, EPOCHS, IMAGES, CLASSES = 96, 14, 6, 3
FAR = 20  # of 256 bits; another state is further away, another machine's letters are nearer

STATES = {
    "epochs": {},
    "night": {"style": "tiles"},
    "runs": {"columns": "runs"},
    "classes": {"columns": "classes", "panel": "controls"},
    "contour": {"style": "contour", "columns": "classes"},
    "spotlight": {"style": "spotlight", "columns": "classes"},
    "mistakes": {"step": "2", "panel": "mistakes", "filter": "mistakes", "shown": "taken"},
    "opened": {"open": "1", "pins": "place:top left;box:0.5,0.5,1,1"},
}
SEEN = {
    "epochs": "34053aa96aa96aa94aa9685d6aa96aa92b556aa92aa92aa56aa96aa92aa9e955",
    "night": "4a084552415a8056a81d00aa82de924d9aaaa896952e942a0016856a857e04aa",
    "runs": "340503d0ac5cac5ca95ca95ca95ca95ca95c4aac4aac4aac4aac4abc4aac4aac",
    "classes": "7405e525a525a5adc52da52d31b3a693a613e6d326d36693cd920a5b0b4b0a4b",
    "contour": "b0d5aaafaaab2aabaaabaaabaaab04c7556e556f544f5532552a552a0ce75555",
    "spotlight": "b06daa37a8352039a233a335a77304c75557557544574537453346330ce75555",
    "mistakes": "3580f2a922bb22a9a2a96a9b02ab02ab0aa502a902a902a502a902a902a90a91",
    "opened": "34051e381e3f0c330c232c632e6d1c6b0e6a0e660e6a0e750c750c710c3e0c21",
}


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """Of numbers alone: no network, whose weights another version would draw otherwise."""
    numbers = np.random.default_rng(0)
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    photographs = np.stack(
        [
            np.stack([np.sin(6 * x + row) ** 2, y, (x - 0.5) ** 2 + (y - row / 6) ** 2 < 0.09], -1)
            for row in range(IMAGES)
        ]
    ).astype(np.float32)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * SIDE**2, CLASSES))
    images = torch.from_numpy(photographs).movedim(-1, 1)
    names = ["cat", "dog", "a_class_of_a_very_long_name_that_nobody_can_read_at_once_n0123456"]
    like = lightning_shap.explain(model, images, max_evals=8, topk=CLASSES, class_names=names)
    rows = np.arange(IMAGES)
    labels = (np.floor(8 * y) * 8 + np.floor(8 * x)).astype(np.int32)[None].repeat(IMAGES, 0)
    pages, writer = Pages(), PageWriter()
    for number, run in enumerate(("one", "another")):
        drift = numbers.normal(size=(2, IMAGES, 64, CLASSES))
        for step in range(EPOCHS):
            along = step / (EPOCHS - 1)
            values = (1 - along) * drift[0] + along * drift[1] + 6 * along * _bump(rows)
            regions = Regions.even(labels, values, 3, np.full_like(values, 0.4))
            outputs = np.eye(CLASSES)[(rows + (step < 4) + number * (rows > 3)) % CLASSES] * 3
            chances = np.exp(outputs) / np.exp(outputs).sum(axis=1, keepdims=True)
            record = replace(
                like.record,
                method="kernel",
                outputs=outputs,
                probabilities=chances,
                labels=rows % CLASSES,
                regions=np.full(IMAGES, 64),
                clear=np.full((IMAGES, CLASSES), 0.5),
                seconds=1.0,
                model_seconds=1.0,
            )
            indexes = np.tile(np.arange(CLASSES), (IMAGES, 1))
            base = np.zeros((IMAGES, CLASSES))
            given = ImageExplanation(regions, base, photographs, indexes, record)
            pages.add(run, "shap", writer.make(given, step=step, epoch=step), {})
    return pages.write(tmp_path_factory.mktemp("report") / "page.html", "states")


def _bump(rows):
    """Values of the regions that are around another place for each image."""
    place = np.arange(64)
    down, across = place // 8, place % 8
    near = (down - 1 - rows[:, None]) ** 2 + (across - 3) ** 2
    return np.exp(-near / 4)[:, :, None] * np.array([1.0, -0.6, 0.3])


@pytest.fixture(scope="module")
def chrome(tmp_path_factory):
    with browser(tmp_path_factory.mktemp("browser")) as chrome:
        yield chrome


def see(chrome, report, name):
    """A state of the page as a picture."""
    theme = "dark" if name == "night" else "light"
    media = {"features": [{"name": "prefers-color-scheme", "value": theme}]}
    chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    size = {"width": 1280, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    chrome.get("about:blank")
    chrome.get(f"{report.as_uri()}#{urlencode({'run': 'one', 'tag': 'shap', **STATES[name]})}")
    page = Page(chrome)
    if name == "opened":
        page.until(lambda: len(page.all(".runs tbody tr")) == 2, "runs are missing")
    chrome.execute_async_script("setTimeout(arguments[0], 500)")
    return Image.open(io.BytesIO(chrome.get_screenshot_as_png()))


def hash_of(picture):
    """256 bits: whether it becomes lighter from place to place."""
    small = np.asarray(picture.convert("L").resize((17, 16), Image.Resampling.BOX), dtype=int)
    return np.packbits(small[:, 1:] > small[:, :-1]).tobytes().hex()


def distance(one, other):
    return (int(one, 16) ^ int(other, 16)).bit_count()


@pytest.mark.parametrize("name", STATES)
def test_a_state_looks_as_it_did_when_somebody_looked_at_it(chrome, report, name, tmp_path):
    picture = see(chrome, report, name)
    path = tmp_path / f"{name}.png"
    picture.save(path)
    now = hash_of(picture)
    assert distance(now, SEEN.get(name, "0")) <= FAR, f"look at {path}: {name} is {now}"


def test_no_state_is_taken_for_another():
    hashes = [*SEEN.values()]
    assert len(hashes) == len(STATES) == 8
    apart = [distance(a, b) for at, a in enumerate(hashes) for b in hashes[:at]]
    assert min(apart) > FAR
