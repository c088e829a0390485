"""How sure the page says that maps are: errors of regions and of places."""

import base64
import re

import numpy as np
import pytest
import torch
from page_site import Page, browser
from skimage import data
from skimage.transform import resize

import lightning_shap
from lightning_shap.page.bundle import join_modules
from lightning_shap.page.data import PageWriter
from lightning_shap.page.report import Pages

SIDE = 48
BOXES = [(0, 0, 12, 12), (6, 18, 40, 30), (0, 0, 48, 47), (20, 20, 21, 22)]


def photographs():
    pictures = [resize(given, (SIDE, SIDE)) for given in (data.astronaut(), data.coffee())]
    return torch.from_numpy(np.stack(pictures).astype(np.float32)).movedim(-1, 1)


def network():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return torch.nn.Sequential(
            torch.nn.Conv2d(3, 16, 5, stride=3),
            torch.nn.ReLU(),
            torch.nn.Conv2d(16, 16, 5, stride=3),
            torch.nn.ReLU(),
            torch.nn.Flatten(),
            torch.nn.Linear(16 * 16, 4),
        )


def explained(**settings):
    settings = {"method": "kernel", "grid": 6, "max_evals": 90, "topk": 2} | settings
    return lightning_shap.explain(network(), photographs(), **settings)


@pytest.fixture(scope="module")
def chrome(tmp_path_factory):
    with browser(tmp_path_factory.mktemp("browser")) as chrome:
        yield chrome


def open_page(chrome, explanation, folder, view):
    pages = Pages()
    pages.add("run", "shap", PageWriter().make(explanation), {})
    path = pages.write(folder / "page.html", "doubt")
    chrome.get("about:blank")
    chrome.get(f"{path.as_uri()}#{view}")
    return Page(chrome)


@pytest.mark.integration
def test_a_pin_says_what_region_says_with_its_error(chrome, tmp_path):
    found = explained()
    boxes = [",".join(f"{side / SIDE:.4f}" for side in box) for box in BOXES]
    page = open_page(
        chrome, found, tmp_path, f"open=1&pins={';'.join(f'box:{one}' for one in boxes)}"
    )
    told = [re.sub(r"\s+", " ", one.text) for one in page.all(".pins li")]
    assert len(told) == len(BOXES)
    for box, words in zip(BOXES, told, strict=True):
        region = found.region(box).pick((1, 0))
        expected = str(region).split(" \u00b7 ")
        assert f"{expected[0]} logits \u00b7 {expected[1]} \u00b7 " in words
        assert region.error > 0


@pytest.mark.integration
def test_the_error_of_a_place_is_that_of_python(chrome, tmp_path):
    """The modules are asked, by a page that lets them be."""
    found = explained()
    values = base64.b64encode(PageWriter().make(found).values[0]).decode()
    code = join_modules().rpartition("const source = new Carried")[0]
    names = "readNpz, bytesOf, Explanation, maskOf, pinsOf, measure, standardErrorOf"
    script = f"window.page = (() => {{ {code}; return {{ {names} }}; }})();"
    (tmp_path / "page.html").write_text(f"<!DOCTYPE html><body><script>{script}</script>")
    chrome.get((tmp_path / "page.html").as_uri())
    for image in range(2):
        for slot in range(2):
            for box in BOXES:
                sides = ",".join(f"{side / SIDE:.4f}" for side in box)
                told = chrome.execute_async_script(
                    """const [text, pin, image, slot, done] = arguments;
                    const { readNpz, bytesOf, Explanation, maskOf, pinsOf } = window.page;
                    const { measure, standardErrorOf } = window.page;
                    readNpz(bytesOf(text)).then((arrays) => {
                      const explanation = new Explanation(arrays);
                      const mask = maskOf(pinsOf(pin)[0], explanation);
                      const map = explanation.mapOf(image);
                      const place = [explanation.valuesOf(image, slot), map, mask];
                      done([measure(...place).value, standardErrorOf(...place)]);
                    }).catch((error) => done(String(error)));""",
                    values,
                    f"box:{sides}",
                    image,
                    slot,
                )
                assert isinstance(told, list), told
                value, error = told
                region = found.region(box).pick((image, slot))
                assert value == pytest.approx(region.value, rel=1e-6, abs=1e-7)
                assert error == pytest.approx(region.error, rel=1e-6)


@pytest.mark.integration
def test_partition_says_how_many_regions_are_clear_and_each_ones_error(chrome, tmp_path):
    found = explained(method="partition", grid=None, max_evals=60)
    page = open_page(chrome, found, tmp_path, "open=0")
    regions = int(found.record.regions[0])
    clear = round(found.record.clear[0, 0] * regions)
    assert 0 < clear < regions
    assert f"{clear} of {regions} regions clear" in page.one(".doubt").text
    assert not page.run("return document.querySelector('.controls select[disabled]')")
    page.run("arguments[0].focus()", page.one(".big"))
    page.one(".big").send_keys("\ue011")  # Home
    assert " \u00b1 " in page.one(".readout").text
