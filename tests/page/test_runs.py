"""Several runs beside one another in a real browser: whatever belongs to one stays with it."""

import json
from urllib.parse import urlencode

import numpy as np
import pytest
import torch
from page_site import Page, browser, shapes

import lightning_shap
from lightning_shap.page.data import PageWriter

pytestmark = pytest.mark.integration

NAMES = ["square", "disc", "stripes"]
ELSEWHERE = "not among its images"
PIXELS = """
    return [...document.querySelectorAll(".sample")].map((row) => {
      const canvas = row.querySelector(".photograph canvas");
      const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
      return [row.querySelector("h2").textContent, [...data]];
    });"""


@pytest.fixture(scope="module")
def chrome(tmp_path_factory):
    with browser(tmp_path_factory.mktemp("browser")) as chrome:
        yield chrome


def network(seed=0):
    torch.manual_seed(seed)
    return torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 5, stride=4), torch.nn.Flatten(), torch.nn.Linear(4 * 49, 3)
    )


def explained(images, labels, *, seed=0, class_names=NAMES, **given):
    given = {"max_evals": 16, "topk": 2, "regions": "boxes", **given}
    if given.get("method") == "kernel":
        del given["regions"]
    names = {"class_names": class_names, "labels": labels}
    return lightning_shap.explain(network(seed), images, **names, **given)


def opened(chrome, tmp_path, explanations, **view):
    """The report of explanations, several runs of which stand side by side."""
    path = lightning_shap.report(explanations, tmp_path / "page.html")
    view = {"run": next(iter(explanations)), "tag": "explanation", "columns": "runs", **view}
    chrome.get("about:blank")
    chrome.get(f"{path.as_uri()}#{urlencode(view)}")
    return Page(chrome)


def source(run):
    return json.dumps([run, "explanation"], separators=(",", ":"))


def pictures(page):
    """The photographs that are shown, by the heading each stands under."""
    return {
        heading: np.array(data, dtype=int).reshape(32, 32, 4)[..., :3]
        for heading, data in page.run(PIXELS)
    }


def rows_of(page):
    """For each row its heading, and for each run what its map is of, or why there is none."""
    return page.run(
        """return [...document.querySelectorAll(".sample")].map((row) => [
          row.querySelector("h2").textContent,
          ...[...row.querySelectorAll(".cell")].map((cell) =>
            cell.querySelector(".lack").textContent || "map")])"""
    )


def sides():
    """Two networks whose images overlap: the last two of one are the first of the other."""
    images, labels = shapes(6, seed=1).tensors
    return {
        "ours": explained(images[:4], labels[:4].tolist()),
        "theirs": explained(images[2:], labels[2:].tolist(), seed=1),
    }


def test_only_equal_images_stand_together_and_each_on_its_own_photograph(chrome, tmp_path):
    both = sides()
    page = opened(chrome, tmp_path, both)
    assert rows_of(page) == [
        ["Image 0", "map", ELSEWHERE],
        ["Image 1", "map", ELSEWHERE],
        ["Image 2", "map", "map"],
        ["Image 3", "map", "map"],
    ]
    for number, image in enumerate(both["ours"].data):
        assert np.abs(pictures(page)[f"Image {number}"] - 255 * image).max() <= 1, number
    page.choose("Style", "spotlight")  # whose brightest region shows the photograph as it is
    page.change(page.all(".sample")[2].find_elements("css selector", ".map")[1].click)
    assert page.one(".top select").get_attribute("value") == source("theirs")
    assert page.one(".opened h2").text == "Image 0"
    shown = page.run(
        """const canvas = document.querySelector(".opened canvas[role=img]");
        const { width, height } = canvas;
        return [...canvas.getContext("2d").getImageData(0, 0, width, height).data];"""
    )
    drawn = np.array(shown).reshape(32, 32, 4)[..., :3]
    assert np.abs(drawn - 255 * both["theirs"].data[0]).max() <= 1


def test_each_run_has_its_own_verdict(chrome, tmp_path):
    both = sides()
    for run, explanation in both.items():
        page = opened(chrome, tmp_path, both, run=run, columns="classes")
        said = [header.text for header in page.all(".sample > header")]
        record = explanation.record
        for number, right in enumerate(record.right):
            words = said[number]
            assert ("✓ right" in words, "✗ wrong" in words) == (right, not right)
            taken = NAMES[int(record.outputs[number].argmax())]
            probability = 100 * record.probabilities[number].max()
            assert f"{taken} {probability:.1f} %" in words


def test_what_the_facts_note_of_an_image_is_said(chrome, tmp_path):
    """Here that the empty image alone is taken for the class."""
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 32 * 32, 3))
    with torch.no_grad():
        model[1].weight.fill_(0)
        model[1].weight[0] = -1e-3
        model[1].bias.copy_(torch.tensor([9.0, 0.0, 0.0]))
    images = shapes(1, seed=1).tensors[0]
    given = {"max_evals": 8, "topk": 1, "masker": 0, "class_names": NAMES}
    explanation = lightning_shap.explain(model, images, **given)
    (row,) = PageWriter().make(explanation).facts["rows"]
    assert row["note"]
    page = opened(chrome, tmp_path, {"one": explanation}, columns="classes")
    assert row["note"] in page.one(".verdict").text


def test_images_of_which_none_is_the_same_have_no_map_of_the_other_run(chrome, tmp_path):
    (ours, labels), (theirs, others) = (shapes(3, seed=seed).tensors for seed in (1, 2))
    both = {"a": explained(ours, labels.tolist()), "b": explained(theirs, others.tolist())}
    page = opened(chrome, tmp_path, both)
    assert rows_of(page) == [[f"Image {number}", "map", ELSEWHERE] for number in range(3)]


def test_an_image_that_comes_twice_stands_with_one_image_each_time(chrome, tmp_path):
    images, labels = shapes(2, seed=1).tensors
    twice, once = images[[0, 0, 1]], images[[1, 0]]
    page = opened(
        chrome, tmp_path, {"a": explained(twice, None), "b": explained(once, labels[[1, 0]])}
    )
    assert [row[1:] for row in rows_of(page)] == [
        ["map", "map"],
        ["map", ELSEWHERE],
        ["map", "map"],
    ]


def test_classes_are_the_same_by_their_names_not_their_numbers(chrome, tmp_path):
    images, labels = shapes(3, seed=1).tensors
    turned = NAMES[::-1]
    both = {
        "ours": explained(images, labels, topk=3),
        "theirs": explained(images, 2 - labels, seed=1, class_names=turned, topk=3),
    }
    for number, name in enumerate(NAMES):
        page = opened(chrome, tmp_path, both, shown=number)
        labelled = page.run(
            "return [...document.querySelectorAll('.cell .map')].map((map) => map.ariaLabel)"
        )
        assert [label.split(", ")[1] for label in labelled] == [name] * 6
        page.run("arguments[0].scrollIntoView()", page.all(".cell .map")[1])
        page.point(page.all(".cell .map")[1], 0.5, 0.5)
        theirs = both["theirs"]
        region = theirs.regions.labels[0, 16, 16]
        slot = theirs.output_indexes[0].tolist().index(turned.index(name))
        said = page.one(".readout").text.replace("\u2212", "-")
        assert said.startswith(f"{name}: ")
        told = float(said.split(": ")[1].split()[0])
        assert told == pytest.approx(theirs.regions.values[0, region, slot], rel=1e-3)


def test_methods_share_a_scale_and_outputs_of_another_unit_have_one_of_their_own(chrome, tmp_path):
    images, labels = shapes(2, seed=1).tensors
    runs = {
        "partition": explained(images, labels),
        "kernel": explained(images, labels, method="kernel", max_evals=40),
        "probability": explained(images, labels, output="probability"),
    }
    page = opened(chrome, tmp_path, runs)
    ours, theirs = (legend.text for legend in page.all(".legend"))
    assert ours.endswith(" logit per 1 % of the image")
    assert theirs.endswith(" probability per 1 % of the image")
    page = opened(chrome, tmp_path, runs, columns="classes", run="probability")
    (legend,) = page.all(".legend")
    assert legend.text == theirs
    fulls = []
    for run in ("partition", "kernel"):
        page = opened(chrome, tmp_path, runs, columns="classes", run=run)
        fulls.append(float(page.one(".legend").text.split("±")[1].split()[0]))
    assert float(ours.split("±")[1].split()[0]) == max(fulls)


def test_the_slider_goes_through_explanations_of_other_images(chrome, tmp_path):
    """Curves are of one image: those of others are no part of them."""
    images, labels = shapes(6, seed=1).tensors
    parts = [images[:3], images[:3], images[3:]]
    page = opened(
        chrome,
        tmp_path,
        {"all": [explained(part, labels[:3], seed=at) for at, part in enumerate(parts)]},
        columns="epochs",
    )
    last = pictures(page)
    assert rows_of(page) == [[f"Image {n}", "map", ELSEWHERE, ELSEWHERE, "map"] for n in range(3)]
    page.choose("Epoch", 0)
    first = pictures(page)
    for number in range(3):
        heading = f"Image {number}"
        expected = [255 * part[number].permute(1, 2, 0).numpy() for part in (parts[0], parts[2])]
        for drawn, image in zip((first[heading], last[heading]), expected, strict=True):
            assert np.abs(drawn - image).max() <= 1
    page.change(page.all(".sample .map")[0].click)
    page.until(lambda: page.all(".curves .chart"), "there are no curves")
    page.until(
        lambda: "2 points" in page.one(".curves .chart").get_attribute("aria-label"),
        "the curve is of other points",
    )


def test_a_lasso_on_the_map_of_all_shows_the_images_within(chrome, tmp_path):
    images, labels = shapes(48, seed=1).tensors
    explanation = explained(images, labels.tolist())
    page = opened(chrome, tmp_path, {"one": explanation}, columns="classes", panel="atlas")
    (step,) = json.loads(page.run("return document.getElementById('explanations').textContent"))[
        "runs"
    ]["one"]["explanation"]
    places = np.array(step["facts"]["places"])
    within = np.flatnonzero(places[:, 0] > 0)
    assert 0 < len(within) < 48
    corners = [(0.5, -0.1), (1.1, -0.1), (1.1, 1.1), (0.5, 1.1), (0.5, 1.1)]
    kinds = ["pointerdown", *["pointermove"] * 3, "pointerup"]
    right = [(kind, x, y) for kind, (x, y) in zip(kinds, corners, strict=True)]
    script = """
        const canvas = document.querySelector(".atlas canvas");
        const box = canvas.getBoundingClientRect();
        for (const [kind, x, y] of arguments[0]) {
          const place = { clientX: box.left + x * box.width, clientY: box.top + y * box.height };
          canvas.dispatchEvent(new PointerEvent(kind, { ...place, pointerId: 1, bubbles: true }));
        }"""
    page.change(lambda: page.run(script, right))
    if page.one(".more").is_displayed():
        page.change(page.one(".more").click)
    shown = [int(heading.text.split()[1]) for heading in page.all(".sample h2")]
    assert shown == within.tolist()
    page.change(page.one(".atlas button").click)
    assert len(page.all(".sample")) >= 24


def test_of_one_class_those_images_are_shown_that_have_its_map(chrome, tmp_path):
    images, labels = shapes(6, seed=1).tensors
    explanation = explained(images, labels.tolist(), topk=1)
    which = np.asarray(explanation.output_indexes)[:, 0]
    page = opened(chrome, tmp_path, {"one": explanation}, columns="classes", shown=int(which[0]))
    shown = [int(heading.text.split()[1]) for heading in page.all(".sample h2")]
    assert shown == np.flatnonzero(which == which[0]).tolist()
    assert page.all(".lack:not([hidden])") == []
