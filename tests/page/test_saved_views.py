"""A view that is kept: as a picture, as an address, and where none was chosen; in a browser."""

import json
from itertools import combinations
from urllib.parse import parse_qs, unquote

import pytest
from page_site import Page, browser, downloaded, open_tab, shapes, tensorboard, train

import lightning_shap
from lightning_shap.pictures.captions import name_unit

pytestmark = pytest.mark.integration

LONG = [
    "a_name_without_any_blank_at_all_that_is_much_wider_than_a_picture_n01234567",
    "Great Pyrenees, also known as the Pyrenean mountain dog of the south of France",
    "cat",
]


@pytest.fixture(scope="module")
def chrome(tmp_path_factory):
    with browser(tmp_path_factory.mktemp("browser")) as chrome:
        yield chrome


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """TensorBoard with two runs, of which that with the earlier name came later."""
    folder = tmp_path_factory.mktemp("logs")
    for name in ("z first", "a later"):
        train(folder, name, epochs=2, n_samples=2, max_evals=8)
    with tensorboard(folder, tmp_path_factory.mktemp("site")) as address:
        yield address


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    """A report of names that are too long for a picture, with one map and with three."""
    from test_runs import explained

    folder = tmp_path_factory.mktemp("reports")
    images, labels = shapes(4, seed=1).tensors
    paths = {}
    for topk in (1, 3):
        given = [
            explained(images, labels, seed=seed, topk=topk, class_names=LONG) for seed in (0, 1)
        ]
        runs = {f"a run of {'some ' * 30}length": given[0], "other": given[1]}
        names = [f"{'folder_' * 12}{number}.png" for number in range(4)]
        paths[topk] = lightning_shap.report(runs, folder / f"{topk}.html", names=names)
    return paths


def opened(chrome, path, hash_=""):
    chrome.get("about:blank")
    chrome.get(path.as_uri() + hash_)
    return Page(chrome)


def said_in(address):
    """What the address of a page or of the tab says of the view."""
    hash_ = address.split("#", 1)[1]
    if hash_.startswith("shap"):
        hash_ = unquote(parse_qs(hash_)["p.shap.view"][0])
    return {name: value for name, (value,) in parse_qs(hash_).items()}


def overlap(one, other):
    (left, top, right, bottom), (x, y, end, foot) = one, other
    return left < end - 1 and x < right - 1 and top < foot - 1 and y < bottom - 1


@pytest.mark.parametrize("topk", [1, 3])
@pytest.mark.parametrize("columns", ["classes", "runs"])
def test_nothing_collides_in_a_saved_drawing(chrome, reports, tmp_path, topk, columns):
    page = opened(chrome, reports[topk], f"#columns={columns}")
    drawing = downloaded(page, tmp_path, "SVG")
    chrome.get("about:blank")
    chrome.get(drawing.as_uri())
    boxes = chrome.execute_script(
        """return [...document.querySelectorAll("text, image")].map((element) => {
          const { x, y, width, height } = element.getBBox();
          const size = element.tagName === "text" ? [y + 3, y + height - 3] : [y, y + height];
          return [x, size[0], x + width, size[1]];
        });"""
    )
    width, height = chrome.execute_script(
        "const { width, height } = document.documentElement.viewBox.baseVal; return [width, height]"
    )
    assert len(boxes) > 20
    assert [box for box in boxes if not (box[0] >= 0 and box[2] <= width + 1)] == []
    assert max(box[3] for box in boxes) <= height
    assert [pair for pair in combinations(boxes, 2) if overlap(*pair)] == []


def test_every_word_of_a_view_stands_in_its_saved_drawing(chrome, reports, tmp_path):
    page = opened(chrome, reports[3])
    words = page.run(
        """return [...document.querySelectorAll("h2 bdi, .verdict bdi, .cell bdi, .cell span")]
          .filter((element) => element.checkVisibility() && !element.querySelector("bdi"))
          .map((element) => element.title || element.textContent).filter((text) => text)"""
    )
    text = downloaded(page, tmp_path, "SVG").read_text(encoding="utf-8")
    drawn = "".join(part.split("<", 1)[0] for part in text.split(">")).replace(" ", "")
    assert len(words) > 20
    assert [one for one in words if one.replace(" ", "") not in drawn] == []


def test_a_long_name_is_cut_in_its_middle_and_whole_where_it_is_pointed_at(chrome, reports):
    page = opened(chrome, reports[3])
    names = page.run(
        """return [...document.querySelectorAll(".cell bdi")].map((one) =>
          [one.textContent, one.title])"""
    )
    cut = {title: text for text, title in names if title}
    assert {*cut} == {*LONG[:2]}
    for whole, short in cut.items():
        head, tail = short.split("\u2026")
        assert whole.startswith(head)
        assert whole.endswith(tail)
        assert len(short) == 28


def test_the_unit_is_that_of_the_pictures(chrome, reports, tmp_path):
    from test_runs import explained

    unit = name_unit(explained(*shapes(2, seed=1).tensors).record)
    assert opened(chrome, reports[1]).one(".legend").text.endswith(unit)


def test_the_address_of_a_file_follows_the_view(chrome, reports):
    page = opened(chrome, reports[3])
    page.choose("Style", "contour")
    page.choose("Class", "2")
    said, picture = said_in(chrome.current_url), page.picture(1)
    assert (said["style"], said["shown"]) == ("contour", "2")
    chrome.refresh()
    again = Page(chrome)
    assert again.picture(1) == picture
    assert said_in(chrome.current_url) == said


def test_the_address_of_the_tab_follows_the_view(chrome, site):
    tab = open_tab(chrome, site, "#shap&p.shap.view=run%3Dz%20first")
    tab.choose("Epoch", 1)
    picture = tab.picture()
    said = said_in(tab.run("return window.parent.location.href"))
    assert said["run"] == "z first"
    assert said["step"] == "2"
    chrome.switch_to.default_content()
    chrome.refresh()
    again = open_tab(chrome, None)
    assert again.picture() == picture
    again.run("window.parent.location.hash = '#shap&p.shap.view=run%3Da%20later'")
    again.until(
        lambda: again.one(".top select").get_attribute("value")[2] == "a", "it did not follow"
    )
    chrome.switch_to.default_content()


def test_the_address_of_another_tab_is_left_alone(chrome, site):
    tab = open_tab(chrome, site)
    tab.run("window.parent.history.replaceState(null, '', '#scalars')")
    tab.choose("Style", "contour")
    assert tab.run("return window.parent.location.hash") == "#scalars"
    chrome.switch_to.default_content()


def test_the_run_that_grew_last_opens_first(chrome, site):
    tab = open_tab(chrome, site)
    run, _ = json.loads(tab.one(".top > select").get_attribute("value"))
    assert run == "a later"
    chrome.switch_to.default_content()


def test_images_are_counted_from_0_as_in_pictures_and_arrays(chrome, reports):
    page = opened(chrome, reports[1])
    headings = [heading.text for heading in page.all(".sample h2")]
    assert [heading.split()[:2] for heading in headings] == [["Image", n] for n in "0123"]


def test_back_and_forward_go_through_what_was_chosen(chrome, reports):
    page = opened(chrome, reports[3])
    page.choose("Columns", "runs")
    page.choose("Strength", 50)  # which is no step of its own
    page.change(page.all(".sample .map")[1].click)
    said = [said_in(chrome.current_url)]
    assert said[0]["open"] == "0"
    for name in ("open", "columns"):
        page.change(chrome.back)
        said.append(said_in(chrome.current_url))
        assert name not in said[-1]
    page.change(chrome.forward)
    page.change(chrome.forward)
    assert said_in(chrome.current_url) == said[0]
    assert page.one(".big").is_displayed()


def test_links_from_before_there_were_columns_show_what_they_compared(chrome, reports):
    runs = f"run=a+run+of+{'some+' * 30}length&run2=other&tag=explanation&tag2=explanation"
    page = opened(chrome, reports[3], f"#{runs}&compare=other&clear=true&shown=2&style=contour")
    assert [head.text[-5:] for head in page.all(".head")][1:] == ["ength", "other"]
    said = said_in(chrome.current_url)
    assert (said["doubt"], said["columns"]) == ("hide", "runs")
    assert {
        label.rsplit(", ")[-3]
        for label in page.run(
            "return [...document.querySelectorAll('.cell .map')].map((one) => one.ariaLabel)"
        )
    } == {"cat"}
