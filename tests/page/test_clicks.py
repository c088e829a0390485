"""Five questions of somebody new, in a real TensorBoard, and how many clicks each answer takes."""

import re
from pathlib import Path

import pytest
from page_site import browser, errors_of, open_tab, tensorboard, train_by_marks

pytestmark = pytest.mark.integration

MARK = (0.1, 0.1)  # shares of the sides, within the mark


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """A run whose training images tell their class by a mark, and one where marks tell nothing."""
    folder = tmp_path_factory.mktemp("logs")
    train_by_marks(folder, "by mark", telling=True)
    train_by_marks(folder, "by shape", telling=False)
    train_by_marks(folder, "kernel", telling=True, epochs=1, method="kernel", max_evals=64)
    with tensorboard(folder, tmp_path_factory.mktemp("site")) as address:
        yield address


@pytest.fixture(scope="module")
def chrome(tmp_path_factory):
    with browser(tmp_path_factory.mktemp("browser")) as chrome:
        yield chrome


class Newcomer:
    """Opens the tab, and counts clicks."""

    def __init__(self, chrome, address, view):
        chrome.switch_to.default_content()
        self.page, self.clicks = open_tab(chrome, address, f"#shap&p.shap.view={view}"), 0

    def click(self, element):
        self.clicks += 1
        self.page.change(element.click)

    def click_map(self, x, y):
        """A place of the map that is open."""
        self.clicks += 1
        big = self.page.one(".big")
        self.page.change(lambda: self.page.point(big, x, y, "pointerdown", "pointerup"))

    def read(self, selector, until):
        self.page.until(
            lambda: re.search(until, self.page.one(selector).text),
            f"{selector} never says {until}",
        )
        return self.page.one(selector).text


def test_what_it_looks_at_takes_a_click(chrome, address):
    user = Newcomer(chrome, address, "run%3Dby%2520mark")
    user.click(user.page.all(".sample .map")[0])
    big = user.page.one(".big")
    assert big.size["width"] > 600
    assert "Strongest: " in big.get_attribute("aria-label")
    assert user.clicks == 1


def test_when_it_began_to_look_at_the_mark_takes_two(chrome, address):
    user = Newcomer(chrome, address, "run%3Dby%2520mark")
    user.click(user.page.all(".sample .map")[0])
    user.click_map(*MARK)
    assert re.match(r"(from epoch \d+ on )?above \d+ %", user.read(".since", "above"))
    assert user.clicks == 2


def test_which_runs_are_right_for_the_wrong_reason_takes_two(chrome, address):
    user = Newcomer(chrome, address, "run%3Dby%2520mark")
    user.click(user.page.all(".sample .map")[0])
    user.click_map(*MARK)
    user.read(".runs", "kernel")
    user.page.until(lambda: len(user.page.all(".runs tbody tr")) == 3, "runs are missing")
    shares = {}
    for row in user.page.all(".runs tbody tr"):
        name, right, share = (part.text for part in row.find_elements("css selector", "th, td"))
        shares[name] = "\u2713" in right, float(re.match(r"[\d.]+", share)[0])
    assert shares["by mark"][0]
    assert shares["by mark"][1] > 3 * shares["by shape"][1]
    assert user.clicks == 2


def test_which_are_wrong_and_why_takes_two(chrome, address):
    user = Newcomer(chrome, address, "run%3Dby%2520shape%26step%3D-1")
    wrong = int(re.search(r"(\d+) mistake", user.page.one("[data-panel=mistakes]").text)[1])
    assert 0 < wrong < 6
    user.click(user.page.one("[data-panel=mistakes]"))
    assert len(user.page.all(".sample")) == wrong
    errors = user.page.run(
        "return [...document.querySelectorAll('.sample .verdict')].map((one) => one.textContent)"
    )
    told = [re.search(r"predicted .* ([\d.]+) % · true .* ([\d.]+) %", one) for one in errors]
    ahead = [float(one[1]) - float(one[2]) for one in told]
    assert ahead == sorted(ahead, reverse=True)
    user.click(user.page.one(".confused"))
    assert len(user.page.all(".sample")) <= wrong
    assert all("rather than" in row.text for row in user.page.all(".sample"))
    assert len(user.page.all(".sample .cell:nth-child(2) .map:not([hidden])")) >= 1
    assert user.clicks == 2


def test_how_sure_a_map_is_takes_a_click(chrome, address):
    user = Newcomer(chrome, address, "run%3Dkernel")
    user.click(user.page.all(".sample .map")[0])
    assert re.search(r"\d+ of \d+ regions clear", user.page.one(".doubt").text)
    assert user.clicks == 1
    other = Newcomer(chrome, address, "run%3Dby%2520mark")
    other.click(other.page.all(".sample .map")[0])
    assert re.search(r"\d+ of \d+ regions clear", other.page.one(".doubt").text)


def test_pins_go_with_the_link_and_to_the_next_image(chrome, address):
    pins = "place%253Atop%2520left%253Bbox%253A0%252C0%252C1%252C1"
    view = f"run%3Dby%2520mark%26open%3D0%26pins%3D{pins}"
    user = Newcomer(chrome, address, view)
    page = user.page
    assert len(page.all(".pins li")) == 2
    assert "100 % of the attribution, on 100 % of the image" in page.all(".pins li")[1].text
    first = page.all(".pins li")[0].text
    page.change(lambda: page.press("j"))
    assert page.one(".opened h2").text == "Image 1"
    assert page.all(".pins li")[0].text != first
    page.change(page.one(".remove").click)
    assert len(page.all(".pins li")) == 1
    big = page.one(".big")
    page.point(big, 0.25, 0.25, "pointerdown")
    page.point(big, 0.75, 0.5, "pointermove")
    page.change(lambda: page.point(big, 0.75, 0.5, "pointerup"))
    assert "12.5 % of the image" in page.all(".pins li")[1].text


def test_keys_are_told_and_do_what_is_told(chrome, address):
    page = Newcomer(chrome, address, "run%3Dby%2520mark").page
    page.press("?")
    assert page.one("dialog").is_displayed()
    page.one("dialog button").click()
    page.change(lambda: page.press("c"))
    assert page.one(".controls").is_displayed()
    page.change(lambda: page.press("ArrowLeft"))
    assert "epoch 6" in page.one("output").text
    page.change(lambda: page.press("m"))
    assert page.one(".panel").is_displayed()


@pytest.mark.parametrize(
    "view",
    [
        "columns%3Depochs",
        "panel%3Dcontrols",
        "panel%3Dmistakes",
        "open%3D0%26pins%3Dplace%253Aborder",
    ],
)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing(chrome, address, view, theme):
    axe = pytest.importorskip("axe_core_python", reason="axe-core-python is not installed")
    page = Newcomer(chrome, address, f"run%3Dby%2520mark%26{view}").page
    page.run(
        "window.parent.document.body.classList.toggle('dark-mode', arguments[0])", theme == "dark"
    )
    page.until(page.is_idle, "the page is never done")
    page.run(f"{(Path(axe.__file__).parent / 'axe.min.js').read_text()}; window.axe = axe;")
    found = chrome.execute_async_script(
        "const done = arguments[0]; axe.run(document, { iframes: false }).then(done);"
    )
    page.run("window.parent.document.body.classList.remove('dark-mode')")
    said = [(one["id"], one["nodes"][0]["html"][:200]) for one in found["violations"]]
    assert said == []
    assert len(found["passes"]) > 10


def test_nothing_is_cut_off_in_the_frame_of_a_phone(chrome, address):
    size = {"width": 390, "height": 800, "deviceScaleFactor": 2, "mobile": False}
    chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        for view in ("", "panel%3Dcontrols", "open%3D0%26pins%3Dplace%253Aborder"):
            page = Newcomer(chrome, address, f"run%3Dby%2520mark%26{view}").page
            assert page.run("return innerWidth") == 390
            wide = page.run(
                """const isWide = (one) => one.getBoundingClientRect().right > innerWidth + 1;
                return [...document.querySelectorAll("body *")]
                  .filter((element) => element.checkVisibility() && isWide(element))
                  .map((element) => element.outerHTML.slice(0, 200))"""
            )
            assert wide == []
            assert errors_of(chrome) == []
    finally:
        chrome.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
