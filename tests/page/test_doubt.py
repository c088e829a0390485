"""How sure the page says that maps are: errors of places, and what half of a budget would say."""

import base64
import json
import re

import numpy as np
import pytest
import torch
from page_site import Page, browser
from skimage import data
from skimage.transform import resize

import lightning_shap
from lightning_shap.explanation.regions import Regions
from lightning_shap.page.bundle import find_data, join_modules
from lightning_shap.page.data import PageWriter
from lightning_shap.page.half_budget import compare_half
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


def open_page(chrome, explanation, folder, view, **given):
    pages = Pages()
    pages.add("run", "shap", PageWriter().make(explanation, **given), {})
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


def halves():
    """Regions of 1, -1, 4 and 0.1, of which half of the evaluations say 1, 1, 2 and 0.1."""
    labels = np.repeat(np.arange(4, dtype=np.int32), 4).reshape(1, 4, 4)
    of = [np.array(one).reshape(1, 4, 1) for one in ([1.0, -1, 4, 0.1], [1.0, 1, 2, 0.1])]
    return [Regions.even(labels, one, 1) for one in of]


def test_regions_are_steady_that_change_by_less_than_half():
    whole, half = halves()
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 1))
    like = lightning_shap.explain(model, torch.rand(1, 1, 4, 4), max_evals=8, output="value")
    given = type(like)(half, like.base_values, like.data, like.output_indexes, like.record)
    found = compare_half(whole, given)
    assert found.values[0, :, 0].tolist() == pytest.approx([1, 1, 2, 0.1])
    assert found.steady.tolist() == [[3]]  # a half exactly is not more than half
    one, other = np.array([1, -1, 4, 0.1]), np.array([1, 1, 2, 0.1])
    alike = one @ other / np.linalg.norm(one) / np.linalg.norm(other)
    assert found.alike[0, 0] == pytest.approx(alike)


@pytest.mark.integration
def test_without_errors_half_of_the_evaluations_say_what_is_doubtful(chrome, tmp_path):
    whole, half = (explained(method="partition", grid=None, max_evals=n) for n in (60, 30))
    page = open_page(chrome, whole, tmp_path, "open=0", half=half)
    facts = json.loads(find_data((tmp_path / "page.html").read_text()))
    row = facts["runs"]["run"]["shap"][0]["facts"]["rows"][0]
    steady, regions = row["half"]["steady"][0], row["regions"]
    assert 0 < steady < regions
    words = page.one(".doubt").text
    assert f"With half of them (30) {steady} of {regions} regions change by less" in words
    assert not page.run("return document.querySelector('.controls select[disabled]')")
    page.run("arguments[0].focus()", page.one(".big"))
    page.one(".big").send_keys("\ue011")  # Home
    assert "with half of the evaluations)" in page.one(".readout").text
