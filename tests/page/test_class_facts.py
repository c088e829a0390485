"""The class summary on the page: its matrix, its suspicious parts and their proof, in its words."""

import json
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from page_site import Page, browser
from swap_noise import measure_swaps_among

import lightning_shap
from lightning_shap.analysis.class_summary.summary import ClassSummary
from lightning_shap.engine.question import Question
from lightning_shap.page.class_facts import MOST_IMAGES, choose_images, list_classes

SIDE, MARK = 16, 4
NAMES = ["sky", "cat", "grass"]


class ReadsTheCorner(torch.nn.Module):
    """Class 1 is a mark in a corner; the others differ in their upper and lower half."""

    def forward(self, images):
        mark = images[:, :, :MARK, :MARK].mean((1, 2, 3))
        upper = images[:, :, :8, MARK:].mean((1, 2, 3))
        lower = images[:, :, 8:, MARK:].mean((1, 2, 3))
        return torch.stack([upper - lower, 2 * mark, lower - upper], dim=1)


@pytest.fixture(scope="module")
def found():
    """An explanation with swaps, of 45 images, whose last one is called what it is not."""
    return explain_marked(mistaken=[-1])


def explain_marked(mistaken):
    images = torch.rand(45, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(0)) / 4
    labels = torch.arange(45) % 3
    images[labels == 0, :, :8, MARK:] += 0.5
    images[labels == 2, :, 8:, MARK:] += 0.5
    images[labels == 1, :, :MARK, :MARK] = 1
    labels[mistaken] = 0
    settings = {"topk": 2, "max_evals": 60, "masker": 0.0, "class_names": NAMES}
    found = lightning_shap.explain(ReadsTheCorner(), images, labels=labels, **settings)
    measure_swaps_among(ReadsTheCorner(), found, images, Question(masker=0.0))
    return found


@pytest.fixture(scope="module")
def summary(found):
    return ClassSummary([found], watched=["the lower edge"])


def test_facts_say_what_the_summary_says(summary):
    facts = json.loads(json.dumps(list_classes(summary)))
    assert facts["images"] == 45
    assert facts["confusion"] == [[0, 0, 15], [0, 2, 1], [1, 1, 15], [2, 2, 14]]
    first, *others = facts["parts"]
    assert (first["state"], first["part"], first["class"]) == (
        "suspicious",
        "the top left corner",
        1,
    )
    assert {one["state"] for one in others} == {"watched"}
    said = "\n".join(summary.lines)
    for part in facts["parts"]:
        assert part["claim"] in said
        for rate in part["rates"]:
            assert rate["words"] in said
            assert rate["low"] <= rate["share"] <= rate["high"]
    assert not set(facts["lines"]) - set(summary.lines)
    proof = summary.suspicions[0].proof.plain
    told = [[rate[name] for name in ("share", "low", "high", "images")] for rate in first["rates"]]
    names = ("before", "exchanged", "removed", "carried")
    assert told == [[proof[n][k] for k in ("share", "low", "high", "images")] for n in names]


def test_what_is_withdrawn_is_said_to_be(summary, monkeypatch):
    monkeypatch.setattr(summary, "withdrawn", summary.suspicions)
    monkeypatch.setattr(summary, "suspicions", [])
    part = list_classes(summary)["parts"][0]
    assert part["state"] == "withdrawn"
    assert part["claim"].endswith("withdrawn, as hardly a decision depends on it")


@pytest.mark.parametrize(
    ("part", "pin"),
    [
        ("the top left corner", "place:top left"),
        ("box 4, 0, 12, 8", "box:0.2500,0.0000,0.7500,0.5000"),
        ("row 2 of 8", f"area:16x16_{'.'.join(['w', 'w', '5c'])}"),
        ("fine detail", None),
    ],
)
def test_the_place_of_a_part_is_a_pin(summary, monkeypatch, part, pin):
    [suspicion] = summary.suspicions
    other = replace(suspicion, part=replace(suspicion.part, name=part))
    monkeypatch.setattr(summary, "suspicions", [other])
    assert list_classes(summary)["parts"][0]["pin"] == pin


def test_the_page_has_mistakes_and_examples_before_others():
    group = SimpleNamespace(typical=(90, 70), strange=(80,))
    right = [number < 95 for number in range(100)]
    many = SimpleNamespace(pairs=[], classes=[group], right=right, labels=range(100))
    chosen = choose_images(many)
    assert len(chosen) == MOST_IMAGES
    assert {*range(95, 100), 70, 80, 90} <= set(chosen)
    assert chosen == sorted(chosen)


@pytest.fixture(scope="module")
def page(found, tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    path = lightning_shap.report(found, folder / "page.html")
    with browser(folder) as chrome:
        chrome.get(path.as_uri())
        yield Page(chrome)


@pytest.mark.integration
def test_a_click_on_the_matrix_of_the_summary_shows_those_images(page, found):
    assert page.one("[data-panel=mistakes]").text == "\u2717 1 mistake \u00b7 1 suspicious part"
    page.change(page.one("[data-panel=mistakes]").click)
    page.change(page.one(".class-summary .confused").click)
    [row] = page.all(".sample")
    assert "Image 44" in row.text
    assert "grass rather than sky" in row.text
    page.change(page.one(".class-summary .confused").click)


@pytest.mark.integration
def test_a_suspicious_place_is_shown_with_its_proof(page, summary):
    if not page.one(".class-summary").is_displayed():
        page.change(page.one("[data-panel=mistakes]").click)
    card = page.one(".part.suspicious")
    words = re.sub(r"\s+", " ", card.text)
    assert "the top left corner suspicious cat" in words
    for rate in list_classes(summary)["parts"][0]["rates"]:
        assert f"{rate['words']} {rate['images']} images" in words
    page.change(card.find_element("css selector", "button").click)
    assert page.one(".opened h2").text == "Image 1"  # the first cat
    share = page.one(".pins li").text
    assert "top left corner" in share
    assert float(re.search(r"([\d.]+) % of the attribution", share)[1]) > 90
    page.change(lambda: page.press("Escape"))
    assert len(page.all(".sample")) == np.sum(np.arange(45) % 3 == 1)


@pytest.mark.integration
def test_without_mistakes_the_panel_stands_beside_all_images(tmp_path):
    path = lightning_shap.report(explain_marked(mistaken=[]), tmp_path / "page.html")
    with browser(tmp_path) as chrome:
        chrome.get(path.as_uri())
        page = Page(chrome)
        button = page.one("[data-panel=mistakes]")
        assert button.text == "\u2717 0 mistakes \u00b7 1 suspicious part"
        before = [row.text for row in page.all(".sample")]
        page.change(button.click)
        assert page.one(".part.suspicious").is_displayed()
        assert [row.text for row in page.all(".sample")] == before != []


@pytest.mark.integration
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("view", ["panel=mistakes", "panel=atlas", "panel=mistakes&open=44"])
def test_axe_finds_nothing_in_the_panels_of_many_images(page, view, theme):
    axe = pytest.importorskip("axe_core_python", reason="axe-core-python is not installed")
    media = {"features": [{"name": "prefers-color-scheme", "value": theme}]}
    page.chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    page.run("location.hash = arguments[0]; location.reload()", view)
    page.until(
        lambda: page.run("return document.documentElement.dataset.drawn > 0") and page.is_idle(),
        "the page is never done",
    )
    page.run(f"{(Path(axe.__file__).parent / 'axe.min.js').read_text()}; window.axe = axe;")
    found = page.chrome.execute_async_script("axe.run(document).then(arguments[0]);")
    said = [(one["id"], one["nodes"][0]["html"][:200]) for one in found["violations"]]
    assert said == []
    assert len(found["passes"]) > 10
