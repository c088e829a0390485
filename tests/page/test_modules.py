"""What the modules of the page compute, asked in a browser that loads them from TensorBoard."""

import json

import numpy as np
import pytest
import torch
from page_site import Page, browser, open_tab, tensorboard, train

import lightning_shap
from lightning_shap import AttributionShare
from lightning_shap.explanation.explanation import ImageExplanation
from lightning_shap.explanation.regions import Regions

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def ask(tmp_path_factory):
    """Asks a module: the body of a function of it and of what is given, which returns an answer."""
    folder = tmp_path_factory.mktemp("logs")
    train(folder, "one", epochs=1, n_samples=1, max_evals=4)
    with (
        browser(tmp_path_factory.mktemp("browser")) as chrome,
        tensorboard(folder, tmp_path_factory.mktemp("site")) as address,
    ):
        open_tab(chrome, address)

        def ask(module, body, *given):
            script = f"""
                const [name, given, done] = arguments;
                const work = (module, given) => {{ {body} }};
                const there = import(new URL(name, document.baseURI));
                there.then((module) => done(work(module, given)));"""
            return chrome.execute_async_script(script, f"./{module}", given)

        yield ask


def words_since(ask, shares):
    points = [{"name": f"epoch {at}", "share": share} for at, share in enumerate(shares)]
    return ask("pins.js", "return module.sinceWhen(given[0]);", points)


@pytest.mark.parametrize(
    ("shares", "words"),
    [
        ([0.1, 0.2, 0.1, 0.4, 0.5, 0.62], "from epoch 3 on above 30 %"),
        ([0.4, 0.1, 0.4, 0.62], "from epoch 2 on above 30 %"),  # an earlier peak does not count
        ([0.5, 0.4, 0.62], "above 30 % all along"),
        ([0.01, 0.02, 0.04], "never above 5 %"),
        ([0.01, 0.342, 0.02], "at most 34.2 %, at epoch 1; not above 5 % in the end"),
        ([0.0, 0.06], "from epoch 1 on above 5 %"),
        ([], ""),
    ],
)
def test_it_is_said_since_when_a_place_counts(ask, shares, words):
    assert words_since(ask, shares) == words


@pytest.mark.parametrize("seed", range(5))
def test_the_share_of_a_pin_is_that_of_the_metric(ask, seed):
    random = np.random.default_rng(seed)
    height, width, regions = 20, 28, 9  # an eighth of 20 is a half
    labels = random.integers(0, regions, (1, height, width)).astype(np.int32)
    values = random.normal(size=(1, regions, 1))
    left, right = sorted(random.choice(width, 2, replace=False).tolist())
    top, bottom = sorted(random.choice(height, 2, replace=False).tolist())
    box = ",".join(
        f"{side:.4f}" for side in (left / width, top / height, right / width, bottom / height)
    )
    dense = Regions.even(labels, values, 1).dense()[..., 0, 0]
    metrics = {
        f"box:{box}": AttributionShare(),
        "place:border": lightning_shap.BorderShare(),
        "place:bottom right": lightning_shap.CornerShare("bottom right"),
    }
    for text, metric in metrics.items():
        boxes = {"boxes": [(left, top, right, bottom)]} if text.startswith("box") else {}
        metric.update(torch.from_numpy(dense), **boxes)
        told = ask(
            "pins.js",
            """const [text, map, values, width, height] = given;
            const [pin] = module.pinsOf(text);
            const sizes = values.map((_, region) => map.filter((one) => one === region).length);
            const magnitude = values.reduce((sum, value) => sum + Math.abs(value), 0);
            const mask = module.maskOf(pin, { width, height });
            return module.measure({ values, sizes, magnitude }, map, mask);""",
            text,
            labels.ravel().tolist(),
            values.ravel().tolist(),
            width,
            height,
        )
        assert told["share"] == pytest.approx(float(metric.compute()), rel=1e-5), text


def test_a_region_of_any_shape_comes_back_from_a_link(ask):
    labels = np.zeros((12, 17), dtype=int)
    labels[3:9, 2:14] = 1
    labels[5, 4] = 0
    labels[1, 1] = 2
    for region in range(3):
        text, mask = ask(
            "pins.js",
            """const [map, width, height, region] = given;
            const text = module.sayRegion(map, { width, height }, region);
            const [pin] = module.pinsOf(text);
            return [text, [...module.maskOf(pin, { width, height })]];""",
            labels.ravel().tolist(),
            17,
            12,
            region,
        )
        assert text.startswith("box:" if region == 2 else "area:")
        assert (np.array(mask).reshape(labels.shape) == (labels == region)).all()


@pytest.mark.parametrize(
    "said", ["", "box:1,0,0,1", "place:middle", "area:4x4_9", "box:a,b,c,d", ";"]
)
def test_a_pin_that_means_nothing_is_left_out(ask, said):
    assert ask("pins.js", "return module.pinsOf(given[0]);", said) == []


@pytest.mark.parametrize(("length", "most"), [(200, 13), (14, 13), (5, 8), (2, 1), (1, 4)])
def test_columns_thin_out_evenly_and_keep_the_ends(ask, length, most):
    places = ask("columns.js", "return module.thin(...given);", length, most)
    assert len(places) == min(length, most)
    assert places[-1] == length - 1
    if most > 1:
        assert places[0] == 0
        assert np.ptp(np.diff(places)) <= 1 if len(places) > 1 else True


@pytest.mark.parametrize("width", [320, 358, 900, 1248, 1888, 3800])
@pytest.mark.parametrize("wanted", [1, 4, 13, 200])
def test_cells_are_as_large_as_the_window_allows(ask, width, wanted):
    given = {"width": width, "height": 800, "wanted": wanted, "beside": 2, "rows": 8, "ratio": 1}
    fitted = ask("strip.js", "return module.fitCells(given[0]);", {**given, "isFixed": False})
    columns, size = fitted["columns"], fitted["size"]
    used = size * (columns + 2) + 6 * (columns + 1)
    assert used <= width
    is_tall = size >= 800 / 2 - 62 - 1  # two rows are seen
    assert is_tall or columns < wanted or used > width - (columns + 2)
    assert columns == wanted or size < 2 * 104


def test_a_speck_does_not_shout(ask, tmp_path):
    """A region of 0.2 % with a tenth of the attribution beside one of 12 % with the rest."""
    side = 64
    labels = np.zeros((1, side, side), dtype=np.int32)
    labels[0, :22, :22] = 1
    labels[0, 60:63, 60:63] = 2
    values = np.array([0.0, 0.9, 0.1]).reshape(1, 3, 1)
    images = torch.ones(1, 1, side, side)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(side**2, 1))
    like = lightning_shap.explain(model, images, max_evals=4, output="value")
    given = ImageExplanation(
        Regions.even(labels, values, 1),
        like.base_values,
        like.data,
        like.output_indexes,
        like.record,
    )
    path = lightning_shap.report(given, tmp_path / "page.html")
    with browser(tmp_path) as chrome:
        chrome.get(path.as_uri())
        page = Page(chrome)
        page.picture()
        levels = page.run(
            """const canvas = document.querySelector(".cell canvas"), at = canvas.width / 64;
            const context = canvas.getContext("2d");
            const level = (x, y) => context.getImageData(x * at, y * at, 1, 1).data[1];
            return [level(10, 10), level(61.5, 61.5), level(40, 20)];"""
        )
    large, speck, nothing = levels
    assert large < speck < nothing, json.dumps(levels)


@pytest.mark.parametrize("numbers", [[], [4], [3, 4, 5], [9, 0, 1, 7], [*range(0, 40, 2)]])
def test_chosen_images_come_back_from_a_link(ask, numbers):
    said, again = ask(
        "view_state.js",
        """const said = module.sayNumbers(given[0]);
        return [said, [...module.numbersOf(said)]];""",
        numbers,
    )
    assert again == sorted(numbers)
    assert len(said) <= 3 * len(numbers)


@pytest.mark.parametrize(
    "said",
    ["columns=rows&style=red&per=pixel", "every=-3&strength=900&cut=-1", f"pins={'x' * 70000}"],
)
def test_what_a_link_cannot_mean_is_left_out(ask, said):
    view, fresh = ask(
        "view_state.js", "return [module.decoded(given[0]), module.freshView()];", said
    )
    fresh["strength"] = view["strength"]
    assert view == fresh
    assert 5 <= view["strength"] <= 100
