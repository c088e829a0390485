"""The tab's data, as a real TensorBoard serves it with and without its fast loader."""

import hashlib
import io
import json
from pathlib import Path
from types import SimpleNamespace
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import Request, urlopen

import numpy as np
import pytest
from page_site import tensorboard, train

from lightning_shap.page.plugin import ShapLoader

pytestmark = pytest.mark.integration  # starts a TensorBoard

EPOCHS = 14  # TensorBoard keeps ten of a tag, unless it is asked for more
TAG = "shap/explanation"


@pytest.fixture(scope="module")
def logs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("logs")
    callback = train(folder, "a run", epochs=EPOCHS, n_samples=2, max_evals=8)
    # Samples that are chosen after the first epoch have a control of their own, at the same step.
    chosen = {"samples": "mistakes", "n_samples": 2, "max_evals": 8}
    train(folder, "other/run", epochs=1, seed=1, **chosen)
    return SimpleNamespace(folder=folder, last=callback.explanation)


@pytest.fixture(scope="module", params=["true", "false"], ids=["fast", "plain"])
def site(request, logs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    with tensorboard(logs.folder, folder, f"--load_fast={request.param}") as address:
        yield f"{address}/data/plugin/shap"


def ask(site, route, **query):
    said = "&".join(f"{name}={quote(str(value), safe='')}" for name, value in query.items())
    with urlopen(f"{site}/{route}?{said}", timeout=30) as answer:
        content = answer.read()
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        is_json = answer.headers["Content-Type"].startswith("application/json")
    return json.loads(content) if is_json else content


def status(url, method="GET"):
    try:
        with urlopen(Request(url, method=method), timeout=30) as answer:
            return answer.status
    except HTTPError as error:
        return error.code


def test_every_epoch_is_there_without_flags(site):
    runs = ask(site, "runs")
    assert {run: [*tags] for run, tags in runs.items()} == {
        "a run": [TAG, "shap_final/explanation"],
        "other/run": [TAG, "shap_final/explanation"],
    }
    assert max(runs["a run"].values()) < max(runs["other/run"].values())  # which came later
    series = ask(site, "series", run="a run", tag=TAG)
    assert [facts["step"] for facts in series] == [-1, *range(2, 3 * EPOCHS, 3)]
    assert series[-1]["epoch"] == EPOCHS - 1
    assert "shap/where_border" in series[0]["numbers"]


def test_served_values_are_those_of_the_callback(site, logs):
    (facts,) = ask(site, "series", run="a run", tag="shap_final/explanation")
    step = facts["step"]
    content = ask(site, "values", run="a run", tag="shap_final/explanation", step=step, piece=0)
    with np.load(io.BytesIO(content)) as kept:
        values = kept["region_values"] * kept["value_scale"][:, None]
        assert np.allclose(values, logs.last.regions.values, rtol=1e-6, atol=1e-9)
        labels = logs.last.regions.labels
        assert np.array_equal(np.broadcast_to(kept["region_map"], labels.shape), labels)
    samples = ask(site, "samples", run="a run", key=facts["samples"], piece=0)
    with np.load(io.BytesIO(samples)) as kept:
        assert kept["photographs"].shape[0] == 2
        assert kept["class_names"].tolist() == logs.last.record.class_names.tolist()


def test_a_control_that_comes_again_takes_the_place_of_the_first(site):
    series = ask(site, "series", run="other/run", tag=TAG)
    assert [facts["step"] for facts in series] == [-1, 2]
    (key,) = {facts["samples"] for facts in series}
    photographs = ask(site, "samples", run="other/run", key=key, piece=0)
    assert hashlib.sha256(photographs).hexdigest().startswith(key)
    for facts in series:
        content = ask(site, "values", run="other/run", tag=TAG, step=facts["step"], piece=0)
        with np.load(io.BytesIO(content)) as kept:
            base = kept["base_values"].tolist()
        assert base == [pytest.approx(row["base"]) for row in facts["rows"]]


def test_the_curves_of_the_training_are_served(site):
    curves = ask(site, "scalars", run="a run")
    assert {"train/loss", "val/loss", "shap/where_border"} <= {*curves}
    assert len(curves["shap/where_border"]) == EPOCHS + 1


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("values?run=a%20run&tag=shap/explanation&step=1&piece=0", 404),
        ("values?run=a%20run&tag=shap/explanation&step=1e99&piece=0", 400),
        ("values?run=a%20run&tag=shap/explanation&step=" + "9" * 3000 + "&piece=0", 400),
        ("values?run=a%20run&tag=shap/explanation&step=\u0661&piece=0", 400),
        ("values?run=a%20run&tag=shap/explanation&step=-1&piece=9", 404),
        ("values?run=a%20run&tag=shap/explanation&step=-1&piece=-1", 404),
        ("values?run=a%20run&tag=shap/explanation&step=-1", 400),
        ("values?run=a%20run&tag=shap/explanation&piece=0", 400),
        ("series?run=a%20run&tag=shap/attributions", 404),
        ("series?run=../../../../etc&tag=passwd", 404),
        ("series?run=a%20run/../a%20run&tag=shap/explanation", 404),
        ("series?run=" + "a" * 5000 + "&tag=shap/explanation", 400),
        ("series?run=a%20run&run=other/run&tag=shap/explanation", 400),
        ("series", 400),
        ("samples?run=a%20run&key=../../../etc/passwd&piece=0", 404),
        ("samples?run=/etc&key=passwd&piece=0", 404),
        ("scalars?run=../..", 404),
        ("scalars?run=%00", 404),
        ("..%2f..%2fplugin.py", 404),
        ("../plugin.py", 404),
        ("plugin.py", 404),
        ("static/app.js", 404),
        ("", 404),
    ],
)
def test_only_what_tensorboard_has_read_is_served(site, path, expected):
    assert status(f"{site}/{quote(path, safe='?&=%/.')}") == expected


def test_nothing_can_be_sent(site):
    assert status(f"{site}/runs", "POST") == 405
    assert status(f"{site}/app.js", "PUT") == 405
    assert status(f"{site}/app.js", "HEAD") == 200


def test_the_flag_of_a_user_counts():
    flags = SimpleNamespace(samples_per_plugin={"images": 5})
    ShapLoader().fix_flags(flags)
    assert flags.samples_per_plugin == {"images": 5, "shap": 0}
    flags = SimpleNamespace(samples_per_plugin={"shap": 3})
    ShapLoader().fix_flags(flags)
    assert flags.samples_per_plugin == {"shap": 3}


def test_the_package_says_where_the_plugin_is():
    import tomllib

    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    module, _, name = project["entry-points"]["tensorboard_plugins"]["shap"].partition(":")
    assert (module, name) == (ShapLoader.__module__, ShapLoader.__name__)
