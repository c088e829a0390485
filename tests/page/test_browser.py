"""The page in a real browser: as a tab of a real TensorBoard, and as a file."""

import json
import re
import time
from dataclasses import replace
from types import SimpleNamespace
from xml.etree import ElementTree

import numpy as np
import pytest
from page_site import (
    CLASSES,
    Page,
    browser,
    downloaded,
    errors_of,
    open_tab,
    tensorboard,
    train,
)
from PIL import Image

import lightning_shap

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def logs(tmp_path_factory):
    """Two real runs, one of them with standard errors."""
    folder = tmp_path_factory.mktemp("logs")
    one = train(folder, "one", epochs=4, report=True)
    two = train(folder, "two", epochs=3, seed=1, method="kernel", max_evals=64)
    return SimpleNamespace(folder=folder, one=one.explanation, two=two.explanation)


@pytest.fixture(scope="module")
def chrome(tmp_path_factory):
    with browser(tmp_path_factory.mktemp("browser")) as chrome:
        yield chrome


@pytest.fixture(scope="module")
def address(logs, tmp_path_factory):
    with tensorboard(logs.folder, tmp_path_factory.mktemp("site")) as address:
        yield address


@pytest.fixture
def tab(chrome, address):
    """The tab, opened anew with the first run; the browser stays in its frame."""
    opened = open_tab(chrome, address, "#shap&p.shap.view=run%3Done")
    yield opened
    chrome.switch_to.default_content()
    chrome.set_window_size(1400, 1000)


@pytest.fixture
def page(chrome, logs):
    """The report of the first run."""
    chrome.get("about:blank")
    chrome.get((logs.folder / "one" / "shap.html").as_uri())
    return Page(chrome)


def test_the_tab_shows_every_sample_without_an_error(tab):
    assert len(tab.all(".sample")) == 4
    assert len(tab.all(".map")) == 12
    assert "(5 of 5)" in tab.text  # the untrained control and four epochs
    assert errors_of(tab.chrome) == []


def test_a_map_says_in_a_line_what_it_is_of_and_in_another_its_numbers(tab):
    spans = tab.all(".maps figcaption span")
    roles, numbers = ([span.text for span in spans[start::2]] for start in (0, 1))
    assert len(roles) == len(numbers) == 12
    assert sum(role.startswith("true") for role in roles) == 4
    assert all("\u2192" in number for number in numbers)
    assert len({span.size["height"] for span in spans}) == 1  # a longer text would break


def test_the_slider_changes_the_picture(tab):
    pictures = [tab.picture()]
    for place in (0, 2):
        tab.choose("Epoch", place)
        pictures.append(tab.picture())
    assert len({*pictures}) == 3
    tab.choose("Epoch", 4)
    assert tab.picture() == pictures[0]


def test_epochs_play_to_the_last(page):
    page.choose("Epoch", 2)
    page.one(".source button").click()
    page.until(lambda: "(5 of 5)" in page.text, "it did not play")
    page.until(lambda: "Play" in page.one(".source button").text, "it did not stop")


@pytest.mark.parametrize("which", ["one", "two"])
def test_pointed_values_are_those_of_the_arrays(tab, logs, which):
    tab.choose("Run", json.dumps([which, "shap_final/explanation"], separators=(",", ":")))
    explanation = getattr(logs, which)
    regions = explanation.regions
    _, rows, columns, _, _ = explanation.shape
    for sample, slot, y, x in [(0, 0, 3, 4), (1, 2, 16, 20), (3, 1, 31, 0)]:
        figure = tab.all(".sample")[sample].find_elements("css selector", ".map")[slot]
        tab.run(
            """const box = arguments[0].querySelector("canvas").getBoundingClientRect();
            arguments[0].dispatchEvent(new PointerEvent("pointermove", {
              clientX: box.left + arguments[1] * box.width,
              clientY: box.top + arguments[2] * box.height,
            }));""",
            figure,
            (x + 0.5) / columns,
            (y + 0.5) / rows,
        )
        region = regions.labels[sample, y, x]
        said = tab.one(".readout").text.replace("\u2212", "-")
        assert said.startswith(CLASSES[explanation.output_indexes[sample, slot]])
        value, *error = map(float, re.findall(r"[+-]?\d[\d.e+-]*", said.split(": ", 1)[1])[:2])
        expected = regions.values[sample, region, slot]
        assert value == pytest.approx(expected, rel=1e-4)
        if which == "two":
            std = regions.error_std[sample, region, slot]
            assert error[0] == pytest.approx(std, rel=0.01, abs=1e-12)
        share = abs(expected) / np.abs(regions.values[sample, :, slot]).sum()
        told = float(re.search(r"([\d.e-]+) % of all attribution", said)[1])
        assert told == pytest.approx(100 * share, rel=0.06)


def test_a_keyboard_goes_through_the_regions(page):
    from selenium.webdriver.common.keys import Keys

    first = page.all(".map")[0]
    page.run("arguments[0].focus({focusVisible: true})", first)
    strongest = page.one(".readout").text
    assert "of all attribution" in strongest
    first.send_keys(Keys.ARROW_RIGHT)
    assert page.one(".readout").text != strongest
    first.send_keys(Keys.HOME)
    assert page.one(".readout").text == strongest
    first.send_keys(Keys.ESCAPE)
    assert page.one(".readout").text == ""


def test_names_stay_text(tab):
    assert CLASSES[0] in tab.text
    assert CLASSES[2] in tab.text
    assert tab.run("return document.querySelectorAll('main b, main script').length") == 0


def test_two_epochs_stand_side_by_side_on_one_scale(page):
    page.choose("Compare with", "control")
    assert len(page.all(".map")) == 24
    names = [caption.text for caption in page.all(".sample:first-child .maps strong")]
    assert [name[0] for name in names] == [*"AAABBB"]
    same = page.picture(0)
    page.choose("Epoch", 0)  # of the first side, whose control is the other
    assert page.picture(0) == page.picture(3) != same


def test_two_runs_stand_side_by_side(tab):
    tab.choose("Compare with", "other")
    tab.choose("Run", json.dumps(["two", "shap/explanation"], separators=(",", ":")), side=1)
    assert len(tab.all(".map")) == 24
    assert len(tab.all(".source:not([hidden])")) == 2


@pytest.mark.parametrize(
    ("label", "value"),
    [("Style", "overlay"), ("Style", "contour"), ("Strength", 30), ("Hide weak", 60)],
)
def test_a_look_changes_the_picture(page, label, value):
    before = page.picture(4)
    page.choose(label, value)
    assert page.picture(4) != before


def test_what_is_unsure_can_be_hidden(tab):
    tab.choose("Run", json.dumps(["two", "shap/explanation"], separators=(",", ":")))
    tab.choose("Epoch", 0)
    before = [tab.picture(number) for number in range(12)]
    tab.choose("Hide below", True)
    assert [tab.picture(number) for number in range(12)] != before


def test_one_class_rather_than_another(page, logs):
    page.choose("Class", "1")
    assert len(page.all(".map")) == 4
    page.choose("rather than", "2")
    assert all("rather than" in figure.text for figure in page.all(".maps figure"))


def test_what_is_predicted_rather_than_true_is_shown_image_by_image(page, logs, tmp_path):
    explanation = logs.one[:]
    explained = np.asarray(explanation.output_indexes)
    labels = explained[np.arange(4), [0, 1, 2, 1]]  # as if the first ones had been right or wrong
    explanation.record = replace(explanation.record, labels=labels)
    predicted = explanation.record.outputs.argmax(axis=1)
    wrong = np.flatnonzero(predicted != labels)
    assert 0 < len(wrong) < 4
    page.chrome.get(lightning_shap.report(explanation, tmp_path / "page.html").as_uri())
    page = Page(page.chrome)
    assert "true" in page.one(".maps figure").text
    page.choose("Class", "taken")
    figures = page.all(".maps figure")
    assert len(figures) == len(wrong)
    for figure, image in zip(figures, wrong, strict=True):
        name = f"{CLASSES[predicted[image]]} rather than {CLASSES[labels[image]]}"
        assert figure.text.startswith(name)
        maps = [explained[image].tolist().index(one[image]) for one in (predicted, labels)]
        values = explanation.regions.values[image][:, maps]
        expected = np.abs(values[:, 0] - values[:, 1]).max()
        strongest = figure.find_element("css selector", ".map").get_attribute("aria-label")
        told = re.search(r"Strongest: [+\u2212]([\d.e-]+)", strongest)[1]
        assert float(told) == pytest.approx(expected, rel=1e-3)


def test_samples_are_filtered(page):
    wrong = len(page.all(".wrong"))
    page.choose("Images", "mistakes")
    assert len(page.all(".sample")) == wrong
    page.choose("Images", "all")
    page.choose("of class", "2")
    assert len(page.all(".sample")) < 4


def test_a_link_brings_the_view_back(tab):
    tab.choose("Style", "contour")
    tab.choose("Epoch", 1)
    link, picture = tab.one(".tools a").get_attribute("href"), tab.picture(2)
    tab.chrome.switch_to.default_content()
    again = open_tab(tab.chrome, *link.split("/#", 1)[:1], "#" + link.split("/#", 1)[1])
    assert again.picture(2) == picture
    assert "(2 of 5)" in again.text


def test_a_link_that_means_nothing_does_no_harm(chrome, address):
    said = "#shap&p.shap.view=run%3D..%252F..%26step%3D1e999%26style%3D%3Cb%3E%26shown%3D77"
    chrome.get("about:blank")
    chrome.get(f"{address}/{said}")
    time.sleep(3)
    assert errors_of(chrome) == []


def test_values_can_be_downloaded_and_loaded(page, logs, tmp_path):
    page.choose("Run", json.dumps(["one", "shap_final"], separators=(",", ":")))
    same, ours = lightning_shap.load(downloaded(page, tmp_path, "NPZ")), logs.one
    assert same.output_names.tolist() == ours.output_names.tolist()
    sums, expected = same.values.sum(axis=3), ours.values.sum(axis=3)
    assert np.allclose(sums, expected, atol=1e-6 * np.abs(expected).max())
    assert np.allclose(same.data, ours.data, atol=0.51 / 255)


def test_the_view_can_be_downloaded_as_a_picture(page, tmp_path):
    pixels = np.asarray(Image.open(downloaded(page, tmp_path, "PNG")).convert("RGB")).astype(int)
    assert ((pixels[..., 0] - pixels[..., 2]) > 60).sum() > 500  # red
    assert ((pixels[..., 2] - pixels[..., 0]) > 60).sum() > 500  # and blue
    drawing = ElementTree.parse(downloaded(page, tmp_path, "SVG"))
    kinds = [element.tag.rpartition("}")[2] for element in drawing.iter()]
    assert kinds.count("image") == 1 + 4 * 4  # the scale, four images and three maps of each
    assert CLASSES[0] in [element.text for element in drawing.iter()]


def test_a_run_that_goes_on_appears_after_a_reload(chrome, tmp_path):
    train(tmp_path, "early", epochs=1, n_samples=2, max_evals=6)
    with tensorboard(tmp_path, tmp_path, "--reload_interval=1") as address:
        tab = open_tab(chrome, address)
        assert "late" not in tab.text
        train(tmp_path, "late", epochs=1, n_samples=2, max_evals=6)
        time.sleep(5)
        chrome.switch_to.default_content()
        chrome.find_element("css selector", ".reload-button").click()
        chrome.switch_to.frame(chrome.find_elements("css selector", "iframe")[0])
        tab.until(lambda: "late" in tab.text, "the new run did not appear")


def test_it_follows_the_theme_of_tensorboard(tab):
    def paper():
        return tab.run("return getComputedStyle(document.body).backgroundColor")

    before = paper()
    tab.run("window.parent.document.body.classList.toggle('dark-mode')")
    tab.until(lambda: paper() != before, "the theme did not change")
    tab.run("window.parent.document.body.classList.toggle('dark-mode')")


def test_nothing_is_cut_off_on_a_phone(page):
    page.chrome.set_window_size(390, 800)
    try:
        wide = page.run(
            """return [...document.querySelectorAll("body *")].filter((element) =>
              element.getBoundingClientRect().right > innerWidth + 1).map((e) => e.outerHTML)"""
        )
        assert wide == []
    finally:
        page.chrome.set_window_size(1400, 1000)


def test_the_file_asks_for_nothing_and_runs_nothing_else(page):
    requests = page.run("return performance.getEntriesByType('resource').map((e) => e.name)")
    assert [name for name in requests if not name.startswith(("data:", "blob:"))] == []
    page.run(
        """const script = document.createElement("script");
        script.textContent = "window.ran = true";
        document.body.append(script);"""
    )
    assert page.run("return window.ran") is None
    refused = errors_of(page.chrome)
    assert [one for one in refused if "Content Security Policy" not in one["message"]] == []
