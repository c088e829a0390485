"""Many images: what is known of all at once, and the rest in pieces, in a log and in a file."""

import base64
import io
import json
import re

import numpy as np
import pytest
import torch
from page_site import Page, browser, open_tab, tensorboard
from torch.utils.tensorboard import SummaryWriter

import lightning_shap
from lightning_shap.command.results import PAGE_ROWS
from lightning_shap.page.bundle import find_blobs, find_data
from lightning_shap.page.class_facts import MOST_IMAGES
from lightning_shap.page.data import PageWriter
from lightning_shap.page.points import PIECE, WHOLE, cut
from lightning_shap.page.report import Pages
from lightning_shap.page.tensorboard import add_explanation

COUNT, SIDE, CLASSES = 2 * PIECE + 7, 8, 3
PIECES = len(cut(COUNT))


@pytest.fixture(scope="module")
def given():
    random = torch.Generator().manual_seed(0)
    images = torch.rand(COUNT, 3, SIDE, SIDE, generator=random)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * SIDE**2, CLASSES))
    labels = torch.randint(CLASSES, (COUNT,), generator=random)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model[1].reset_parameters()
    return lightning_shap.explain(model, images, labels=labels, max_evals=16, topk=2)


def names():
    return [f"file {number}" for number in range(COUNT)]


@pytest.fixture(scope="module")
def page(given):
    return PageWriter().make(given, names=names())


@pytest.mark.parametrize("images", [1, WHOLE, WHOLE + 1, 1000])
def test_each_image_is_in_one_piece(images):
    parts = cut(images)
    assert [number for part in parts for number in part] == [*range(images)]
    assert (len(parts) == 1) == (images <= WHOLE)
    assert all(len(part) == PIECE for part in parts[:-1])


def test_what_is_said_of_sizes_is_so():
    """In examples/benchmarks/README.md, the guide and the changelog."""
    assert (WHOLE, PIECE) == (64, 32)
    assert (MOST_IMAGES, PAGE_ROWS) == (64, 20_000)


def test_pieces_are_those_of_the_whole(given, page):
    assert len(page.values) == len(page.samples) == page.facts["pieces"] == PIECES
    assert "rows" not in page.facts
    values, photographs, called = [], [], []
    for part, content, samples in zip(cut(COUNT), page.values, page.samples, strict=True):
        with np.load(io.BytesIO(content)) as kept, np.load(io.BytesIO(samples)) as shared:
            values.append(kept["region_values"] * kept["value_scale"][:, None])
            rows = json.loads(str(kept["about"]))["more"]["rows"]
            photographs.append(shared["photographs"])
            called += shared["names"].tolist()
        assert [row["true"][0] for row in rows] == [given.record.labels[one] for one in part]
    assert np.allclose(np.concatenate(values), given.regions.values, rtol=1e-6)
    assert called == names()
    assert np.concatenate(photographs).shape == (COUNT, SIDE, SIDE, 3)


def test_points_say_what_rows_say(given, page):
    with np.load(io.BytesIO(base64.b64decode(page.facts["points"]))) as points:
        verdicts = given.record.judge()
        assert points["explained"].tolist() == given.output_indexes.tolist()
        assert points["true"].tolist() == [
            [at, label] for at, label in enumerate(given.record.labels)
        ]
        assert points["predicted"][:, 1].tolist() == given.record.outputs.argmax(axis=1).tolist()
        assert points["right"].tolist() == verdicts.right
        chances, rows = given.record.probabilities, np.arange(COUNT)
        ahead = chances.max(axis=1) - chances[rows, given.record.labels]
        assert np.allclose(points["error"], ahead, atol=1e-6)
        assert points["places"].shape == (COUNT, 2)


def test_a_report_that_is_resumed_keeps_all_pieces(given, page, tmp_path):
    first, second = Pages(), Pages()
    first.add("run", "shap", page, {})
    text = first.write(tmp_path / "first.html", "a run").read_text()
    assert len(find_blobs(text)) == 2 * (PIECES - 1)
    second.read(text, "run", 1)
    again = second.write(tmp_path / "second.html", "a run").read_text()
    assert find_blobs(again) == find_blobs(text)
    assert find_data(again) == find_data(text)


@pytest.fixture(scope="module")
def chrome(tmp_path_factory):
    with browser(tmp_path_factory.mktemp("browser")) as chrome:
        yield chrome


def look(page, chrome, asked):
    """Looks at images of the last piece, by a link, and at the mistakes, wherever they are."""
    last = COUNT - 1
    assert re.match(rf"Image {last} file {last}\n", page.one(".opened").text)
    assert "regions clear" in page.one(".doubt").text
    assert page.one(f"[aria-label='The photograph of image {last}']").is_displayed()
    page.change(lambda: page.press("Escape"))
    asked(1)  # of the first images, and of the last ones
    page.change(page.one("[data-panel=mistakes]").click)
    errors = page.run(
        "return [...document.querySelectorAll('.sample .verdict')].map((one) => one.textContent)"
    )
    told = [re.search(r"predicted .* ([\d.]+) % · true .* ([\d.]+) %", one) for one in errors]
    ahead = [round(float(one[1]) - float(one[2]), 1) for one in told]
    assert len(ahead) == 24
    assert np.all(np.diff(ahead) <= 0.11)  # to the digit that is said
    assert "The" not in page.one(".message").text
    errors = [one for one in chrome.get_log("browser") if one["level"] == "SEVERE"]
    assert errors == []


@pytest.mark.integration
def test_a_file_shows_images_of_any_piece(chrome, page, tmp_path):
    pages = Pages()
    pages.add("run", "shap", page, {})
    path = pages.write(tmp_path / "page.html", "many")
    chrome.get(f"{path.as_uri()}#open={COUNT - 1}")
    look(Page(chrome), chrome, lambda pieces: None)


@pytest.mark.integration
def test_of_a_log_what_is_shown_is_asked_for_and_no_more(chrome, page, tmp_path):
    with SummaryWriter(tmp_path / "run") as log:
        add_explanation(log, "shap", page, 0, {})
    with tensorboard(tmp_path, tmp_path) as address:
        shown = open_tab(chrome, address, f"#shap&p.shap.view=open%3D{COUNT - 1}")

        def asked(fewer):
            script = "return performance.getEntriesByType('resource').map((one) => one.name)"
            values = {one for one in shown.run(script) if "/values?" in one}
            assert len(values) == PIECES - fewer

        look(shown, chrome, asked)
        asked(0)
