"""What the page shows in a real browser where data is missing, late or gone."""

import json
import re
from unittest.mock import MagicMock
from urllib.request import urlopen

import pytest
from page_site import Page, browser, open_tab, plugin_path, tensorboard, train
from tensorboard_server import serving
from torch.utils.tensorboard import SummaryWriter

from lightning_shap.page import bundle

pytestmark = pytest.mark.integration

CLASSES_OF_WHOLE = "#shap&p.shap.view=run%3Dwhole%26columns%3Dclasses"
SMALL = {"n_samples": 2, "max_evals": 8}


@pytest.fixture(scope="module")
def chrome(tmp_path_factory):
    with browser(tmp_path_factory.mktemp("browser")) as chrome:
        yield chrome


@pytest.fixture(scope="module")
def logs(tmp_path_factory):
    """A run, and one whose photographs never came to its event file."""
    folder = tmp_path_factory.mktemp("logs")
    everything = MagicMock()  # is in the file already, as it is told
    everything.get.return_value.__contains__.return_value = True
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lightning_shap.page.tensorboard.samples_written", everything)
        train(folder, "lost", epochs=2, **{**SMALL, "n_samples": 3})
    train(folder, "whole", epochs=2, seed=1, report=True, **SMALL)
    return folder


@pytest.fixture(scope="module")
def address(logs, tmp_path_factory):
    with tensorboard(logs, tmp_path_factory.mktemp("site")) as address:
        yield address


def opened(chrome, path):
    chrome.get("about:blank")
    chrome.get(path.as_uri())
    return Page(chrome)


def with_data(logs, tmp_path, change):
    """The report of the run, of which something is changed."""
    text = next((logs / "whole").glob("*.html")).read_text(encoding="utf-8")
    data = json.loads(bundle.find_data(text))
    change(data)
    path = tmp_path / "page.html"
    path.write_text(bundle.make_html(json.dumps(data), "changed"), encoding="utf-8")
    return path


def test_without_photographs_the_maps_are_shown_and_it_is_said(chrome, address):
    tab = open_tab(chrome, address, "#shap&p.shap.view=run%3Dlost")
    words = tab.one(".message").text
    assert words == (
        "The photographs and names of classes of lost could not be loaded: "
        "TensorBoard answers 404 (samples)."
    )
    assert len(tab.all(".sample")) == 3
    assert tab.one(".photograph").text == "The photograph is missing."
    tab.choose("Columns", "classes")
    assert len(tab.all(".cell .map")) == 9
    names = {caption.text for caption in tab.all(".cell strong")}
    assert names == {f"class {n}" for n in range(3)}
    tab.choose("Columns", "runs")
    lacks = [
        [lack.text for lack in row.find_elements("css selector", ".cell .lack")]
        for row in tab.all(".sample")
    ]
    assert lacks == [["", "no photographs to know it by"]] * 3


@pytest.mark.parametrize("values", [None, "", "QUJD"], ids=["none", "empty", "damaged"])
def test_without_one_explanation_its_facts_are_shown_and_the_others_whole(
    chrome, logs, tmp_path, values
):
    def lose(data):
        (run,) = data["runs"].values()
        if values is None:
            del run["shap"][1]["values"]
        else:
            run["shap"][1]["values"] = values

    page = opened(chrome, with_data(logs, tmp_path, lose))
    assert page.one(".message").text.startswith(
        "The maps of epoch 0 · step 2 could not be loaded: "
    )
    lacks = [lack.text for lack in page.all(".sample:first-child .cell .lack")]
    assert lacks == ["", "", "The maps are missing.", ""]
    page.choose("Epoch", 1)
    lacks = [lack.text for lack in page.all(".sample:first-child .cell .lack")]
    assert lacks == ["The maps are missing.", "", "The maps are missing.", ""]
    assert len(page.all(".photograph canvas")) == 2
    assert "(2 of 3)" in page.one("output").text
    assert re.search(r"right|wrong", page.one(".verdict").text)


def test_without_data_there_is_a_hint_and_nothing_to_choose(chrome, tmp_path):
    with SummaryWriter(str(tmp_path / "logs" / "run")) as writer:
        writer.add_scalar("loss", 1.0, 0)

    def serves(address):
        with urlopen(f"{address}/data/plugins_listing", timeout=30) as answer:
            return b"shap" in answer.read()

    path = ":".join(map(str, plugin_path(tmp_path)))
    with serving(tmp_path / "logs", serves, path=path) as address:
        tab = open_tab(chrome, address, holds=lambda page: "no explanations" in page.text)
        assert "Trainer(callbacks=[lightning_shap.ShapCallback()])" in tab.text
        script = "return arguments[0].offsetParent !== null"
        controls = tab.all("select, input, button, a, summary")
        assert [one for one in controls if tab.run(script, one)] == []


def test_what_is_still_to_come_is_said(chrome, address):
    """Answers are held back until they are let go."""
    chrome.execute_cdp_cmd("Fetch.enable", {"patterns": [{"urlPattern": "*/shap/runs*"}]})
    try:
        tab = open_tab(chrome, address, holds=lambda page: "Loading" in page.text)
        assert tab.one("main").get_attribute("aria-busy") == "true"
        assert tab.all(".sample .map") == []
    finally:
        chrome.execute_cdp_cmd("Fetch.disable", {})
    tab.until(lambda: tab.all(".sample .map"), "nothing came")
    tab.until(tab.is_idle, "it is never done")
    assert tab.one("main").get_attribute("aria-busy") == "false"
    assert "Loading" not in tab.text


def test_slider_and_picture_agree_after_tensorboard_has_stopped(chrome, logs, tmp_path):
    with tensorboard(logs, tmp_path) as address:
        tab = open_tab(chrome, address, CLASSES_OF_WHOLE)
        latest = tab.picture()
    tab.choose("Epoch", 1)
    assert "(2 of 3)" in tab.one("output").text
    assert {lack.text for lack in tab.all(".cell .lack")} == {"The maps are missing."}
    assert tab.one(".message").text == (
        "The maps of epoch 0 · step 2 could not be loaded: TensorBoard does not answer."
    )
    tab.choose("Epoch", 2)  # which was read before
    assert tab.picture() == latest
    assert "(3 of 3)" in tab.one("output").text


def test_what_was_read_stays_while_tensorboard_is_away_and_the_rest_comes_once_it_is_back(
    chrome, address
):
    tab = open_tab(chrome, address, CLASSES_OF_WHOLE)
    before = tab.picture()
    reload = "window.parent.document.querySelector('.reload-button').click()"
    away = {"latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}
    chrome.execute_cdp_cmd("Network.enable", {})
    try:
        chrome.execute_cdp_cmd("Network.emulateNetworkConditions", {"offline": True, **away})
        tab.choose("Epoch", 1)
        assert tab.one(".cell .lack").text == "The maps are missing."
        tab.choose("Epoch", 2)
        assert tab.picture() == before
    finally:
        back = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
        chrome.execute_cdp_cmd("Network.emulateNetworkConditions", back)
    tab.choose("Epoch", 1)
    assert tab.one(".message").text == ""
    assert tab.picture() != before
    tab.run(reload)
    assert len(tab.all(".cell .map")) == 6
