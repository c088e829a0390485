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


def test_the_tab_shows_every_sample_in_every_epoch_without_an_error(tab):
    assert len(tab.all(".sample")) == 4
    heads = [head.text for head in tab.all(".head")][1:]
    assert heads == ["now: epoch 3", "untrained", *(f"epoch {n}" for n in range(4))]
    assert len(tab.all(".sample .map")) == 4 * len(heads)
    assert "(5 of 5)" in tab.text  # the untrained control and four epochs
    assert errors_of(tab.chrome) == []


def test_a_map_says_in_a_line_what_it_is_of_and_in_another_its_numbers(tab):
    tab.choose("Columns", "classes")
    spans = tab.all(".cell figcaption > span")
    roles, numbers = ([span.text for span in spans[start::2]] for start in (0, 1))
    assert len(roles) == len(numbers) == 12
    assert sum(role.startswith("true") for role in roles) == 4
    assert all("\u2192" in number for number in numbers)


def test_the_slider_changes_the_picture_of_now_and_leaves_those_of_epochs(tab):
    pictures, last = [tab.picture()], tab.picture(5)
    for place in (0, 2):
        tab.choose("Epoch", place)
        pictures.append(tab.picture())
    assert tab.picture(5) == last
    assert len({*pictures}) == 3
    tab.choose("Epoch", 4)
    assert tab.picture() == pictures[0]


def test_epochs_play_to_the_last(page):
    page.choose("Epoch", 2)
    page.one(".play").click()
    page.until(lambda: "(5 of 5)" in page.text, "it did not play")
    page.until(lambda: page.one(".play").accessible_name == "Play", "it did not stop")


@pytest.mark.parametrize("which", ["one", "two"])
def test_pointed_values_are_those_of_the_arrays(tab, logs, which):
    tab.choose("Run", json.dumps([which, "shap_final/explanation"], separators=(",", ":")))
    explanation = getattr(logs, which)
    regions = explanation.regions
    _, rows, columns, _, _ = explanation.shape
    assert tab.all(".head:not(:empty)") == []  # of a single explanation the columns are classes
    for sample, slot, y, x in [(0, 0, 3, 4), (1, 2, 16, 20), (3, 1, 31, 0)]:
        figure = tab.all(".sample")[sample].find_elements("css selector", ".map")[slot]
        tab.run("arguments[0].scrollIntoView()", figure)
        tab.point(figure, (x + 0.5) / columns, (y + 0.5) / rows)
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


def test_a_cell_opens_large_and_a_keyboard_goes_through_its_regions(page):
    from selenium.webdriver.common.keys import Keys

    page.change(page.all(".sample .map")[2].click)
    assert "epoch 0" in page.one("output").text
    assert page.all(".sample .map")[0].is_displayed() is False
    large = page.one(".big")
    assert large.size["width"] > 2.5 * 180
    page.run("arguments[0].focus({focusVisible: true})", large)
    strongest = page.one(".readout").text
    assert "of all attribution" in strongest
    large.send_keys(Keys.ARROW_RIGHT)
    assert page.one(".readout").text != strongest
    large.send_keys(Keys.HOME)
    assert page.one(".readout").text == strongest
    large.send_keys(Keys.ESCAPE)
    assert page.one(".readout").text == ""
    page.change(lambda: large.send_keys(Keys.ESCAPE))
    assert page.all(".sample .map")[0].is_displayed()


def test_another_class_of_an_open_image_is_chosen_by_its_small_map(page, logs):
    page.change(page.all(".sample .map")[0].click)
    name, picture = page.one(".of strong").text, page.picture()
    other = page.one(".thumb .map:not([aria-pressed=true])")
    page.change(other.click)
    assert page.one(".of strong").text in set(CLASSES) - {name}
    assert page.picture() != picture
    assert page.one(".thumb [aria-pressed=true]").accessible_name.startswith("Show the map of ")


def test_names_stay_text(tab):
    assert CLASSES[0] in tab.text
    assert CLASSES[2] in tab.text
    assert tab.run("return document.querySelectorAll('main b, main script, .drawer b').length") == 0


def test_epochs_stand_side_by_side_on_one_scale(page):
    now, untrained = page.picture(0), page.picture(1)
    page.choose("Epoch", 0)
    assert page.picture(0) == page.picture(1) == untrained != now


def test_every_nth_epoch_can_be_asked_for(page):
    page.run("document.querySelector('[data-panel=controls]').click()")
    page.until(lambda: page.one(".controls").is_displayed(), "there are no controls")
    script = "const box = [...document.querySelectorAll('label')].find((one) => one.textContent"
    script += ".startsWith('Every')).querySelector('input'); box.value = 2;"
    page.change(lambda: page.run(f"{script} box.dispatchEvent(new Event('change'))"))
    heads = [head.text for head in page.all(".head")][2:]
    assert heads == ["untrained", "epoch 1", "epoch 3"]
    assert (
        page.run(
            "const { scrollWidth, clientWidth } = document.querySelector('main'); "
            "return scrollWidth - clientWidth"
        )
        == 0
    )


def test_runs_stand_side_by_side(tab):
    tab.choose("Columns", "runs")
    assert [head.text for head in tab.all(".head")][1:] == ["one", "two"]
    assert len(tab.all(".sample .map")) == 8


@pytest.mark.parametrize(
    ("label", "value"),
    [
        ("Style", "overlay"),
        ("Style", "contour"),
        ("Style", "spotlight"),
        ("Strength", 30),
        ("Hide weak", 60),
        ("Value", "region"),
        ("One scale for", "each"),
    ],
)
def test_a_look_changes_the_picture(page, label, value):
    page.change(page.one("[data-panel=controls]").click)
    before = page.picture(8)
    page.choose(label, value)
    assert page.picture(8) != before


def test_what_is_unsure_is_hatched_and_can_be_hidden(tab):
    tab.choose("Run", json.dumps(["two", "shap/explanation"], separators=(",", ":")))
    tab.choose("Epoch", 0)
    tab.choose("Columns", "classes")
    pictures = []
    for doubt in ("hatch", "hide", "show"):
        tab.choose("Doubtful", doubt)
        pictures.append([tab.picture(number) for number in range(12)])
    assert pictures[0] != pictures[1] != pictures[2] != pictures[0]


def test_one_class_rather_than_another(page, logs):
    page.choose("Columns", "classes")
    page.choose("Class", "1")
    assert len(page.all(".sample .map")) == 4
    page.choose("rather than", "2")
    assert all("rather than" in figure.text for figure in page.all(".cell"))


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
    assert "true" in page.one(".cell").text
    page.choose("Class", "taken")
    figures = page.all(".cell")
    assert len(figures) == len(wrong)
    for figure, image in zip(figures, wrong, strict=True):
        name = f"{CLASSES[predicted[image]]} rather than {CLASSES[labels[image]]}"
        assert figure.text.startswith(name)
        maps = [explained[image].tolist().index(one[image]) for one in (predicted, labels)]
        values = explanation.regions.values[image][:, maps]
        expected = np.abs(values[:, 0] - values[:, 1]).max()
        page.change(figure.find_element("css selector", ".map").click)
        strongest = page.one(".big").get_attribute("aria-label")
        page.change(lambda: page.press("Escape"))
        told = re.search(r"Strongest: [+\u2212]([\d.e-]+)", strongest)[1]
        assert float(told) == pytest.approx(expected, rel=1e-3)


def test_samples_are_filtered(page):
    wrong = len(page.all(".verdict .wrong"))
    page.choose("Which", "mistakes")
    assert len(page.all(".sample")) == wrong
    page.choose("Which", "all")
    page.choose("of class", "2")
    assert len(page.all(".sample")) < 4


def test_a_link_brings_the_view_back(tab):
    tab.choose("Epoch", 1)
    tab.choose("Style", "contour")
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
    assert kinds.count("image") == 1 + 4 * 7  # the scale, four images and six maps of each
    words = [element.text for element in drawing.iter()]
    assert CLASSES[0] in words


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
    page.change(lambda: page.chrome.set_window_size(390, 800))
    page.until(page.is_idle, "the page is never done")
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
