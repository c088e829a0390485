"""Two explanations beside one another in a real browser: whatever belongs to one stays with it."""

import json

import numpy as np
import pytest
import torch
from page_site import Page, browser, shapes

import lightning_shap
from lightning_shap.page.data import PageWriter

pytestmark = pytest.mark.integration

NAMES = ["square", "disc", "stripes"]
PIXELS = """
    return [...document.querySelectorAll(".view")].map((view) => {
      const canvas = view.querySelector(".photograph canvas");
      const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
      return [view.querySelector("h2").textContent, [...data]];
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


def opened(chrome, tmp_path, explanations):
    """The report of explanations, two of which are compared."""
    path = lightning_shap.report(explanations, tmp_path / "page.html")
    chrome.get("about:blank")
    chrome.get(path.as_uri())
    page = Page(chrome)
    if len(explanations) > 1:
        page.choose("Compare with", "other")
        page.choose("Run", source([*explanations][1]), side=1)
    return page


def source(run):
    return json.dumps([run, "explanation"], separators=(",", ":"))


def pictures(page):
    """The photographs that are shown, by the heading each stands under."""
    return {
        heading: np.array(data, dtype=int).reshape(32, 32, 4)[..., :3]
        for heading, data in page.run(PIXELS)
    }


def rows_of(page):
    """The headings of the rows, those of a row together."""
    return page.run(
        """return [...document.querySelectorAll(".sample")].map((row) =>
          [...row.querySelectorAll("h2")].map((heading) => heading.textContent))"""
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
        ["A · Image 0"],
        ["A · Image 1"],
        ["A · Image 2", "B · Image 0"],
        ["A · Image 3", "B · Image 1"],
        ["B · Image 2"],
        ["B · Image 3"],
    ]
    assert "A and B have 2 images in common" in page.one(".message").text
    for letter, run in zip("AB", both, strict=True):
        for number, image in enumerate(both[run].data):
            drawn = pictures(page)[f"{letter} · Image {number}"]
            assert np.abs(drawn - 255 * image).max() <= 1, (letter, number)


def test_each_side_has_its_own_verdict(chrome, tmp_path):
    both = sides()
    page = opened(chrome, tmp_path, both)
    said = dict(
        page.run(
            """return [...document.querySelectorAll(".view > header")].map((header) =>
              [header.querySelector("h2").textContent, header.innerText])"""
        )
    )
    for letter, run in zip("AB", both, strict=True):
        record = both[run].record
        for number, right in enumerate(record.right):
            words = said[f"{letter} · Image {number}"]
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
    page = opened(chrome, tmp_path, {"one": explanation})
    assert row["note"] in page.one(".verdict").text


def test_images_of_which_none_is_the_same_stand_one_above_the_other(chrome, tmp_path):
    (ours, labels), (theirs, others) = (shapes(3, seed=seed).tensors for seed in (1, 2))
    both = {"a": explained(ours, labels.tolist()), "b": explained(theirs, others.tolist())}
    page = opened(chrome, tmp_path, both)
    assert rows_of(page) == [[f"{letter} · Image {number}"] for letter in "AB" for number in "012"]
    assert "A and B have no image in common" in page.one(".message").text
    page.choose("Compare with", "")
    assert rows_of(page) == [["Image 0"], ["Image 1"], ["Image 2"]]
    assert page.one(".message").text == ""


def test_an_image_that_comes_twice_stands_with_one_image_each_time(chrome, tmp_path):
    images, labels = shapes(2, seed=1).tensors
    twice, once = images[[0, 0, 1]], images[[1, 0]]
    page = opened(
        chrome, tmp_path, {"a": explained(twice, None), "b": explained(once, labels[[1, 0]])}
    )
    assert rows_of(page) == [
        ["A · Image 0", "B · Image 1"],
        ["A · Image 1"],
        ["A · Image 2", "B · Image 0"],
    ]


def test_classes_are_the_same_by_their_names_not_their_numbers(chrome, tmp_path):
    images, labels = shapes(3, seed=1).tensors
    turned = NAMES[::-1]
    both = {
        "ours": explained(images, labels, topk=3),
        "theirs": explained(images, 2 - labels, seed=1, class_names=turned, topk=3),
    }
    page = opened(chrome, tmp_path, both)
    for name in NAMES:
        page.choose("Class", str(NAMES.index(name)))
        captions = [caption.text for caption in page.all(".maps strong")]
        assert captions == [f"A · {name}", f"B · {name}"] * 3
    page.choose("Class", "each")
    for row in page.all(".sample"):
        first, second = (
            [one.text[4:] for one in view.find_elements("css selector", ".maps strong")]
            for view in row.find_elements("css selector", ".view")
        )
        assert first == second


def test_methods_share_a_scale_and_outputs_of_another_unit_have_one_of_their_own(chrome, tmp_path):
    images, labels = shapes(2, seed=1).tensors
    both = {
        "partition": explained(images, labels),
        "kernel": explained(images, labels, method="kernel", max_evals=40),
        "probability": explained(images, labels, output="probability"),
    }
    page = opened(chrome, tmp_path, both)
    (legend,) = page.all(".legend")
    assert legend.text.endswith(" logit per 1 % of the image")
    page.choose("Run", source("probability"), side=1)
    ours, theirs = (legend.text for legend in page.all(".legend"))
    assert ours.startswith("A")
    assert ours.endswith(" logit per 1 % of the image")
    assert theirs.startswith("B")
    assert theirs.endswith(" probability per 1 % of the image")
    page.choose("Compare with", "")
    assert page.one(".legend").text.split("±")[1] == ours.split("±")[1]
    page.choose("Run", source("probability"))
    assert page.one(".legend").text.split("±")[1] == theirs.split("±")[1]


def test_the_slider_goes_through_explanations_of_other_images(chrome, tmp_path):
    """Curves are of one image: those of others are no part of them."""
    images, labels = shapes(6, seed=1).tensors
    parts = [images[:3], images[:3], images[3:]]
    page = opened(
        chrome,
        tmp_path,
        {"all": [explained(part, labels[:3], seed=at) for at, part in enumerate(parts)]},
    )
    last = pictures(page)
    assert page.all(".chart") == []
    page.choose("Epoch", 0)
    first = pictures(page)
    assert len(page.all(".curve .chart")) == 3
    assert "2 points" in page.one(".curve .chart").get_attribute("aria-label")
    for number in range(3):
        heading = f"Image {number}"
        expected = [255 * part[number].permute(1, 2, 0).numpy() for part in (parts[0], parts[2])]
        for drawn, image in zip((first[heading], last[heading]), expected, strict=True):
            assert np.abs(drawn - image).max() <= 1
