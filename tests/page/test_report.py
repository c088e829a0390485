"""The page as one file."""

import base64
import io
import json
import re
from fractions import Fraction

import numpy as np
import pytest
import torch

import lightning_shap
from lightning_shap import BorderShare, CornerShare
from lightning_shap.analysis.metrics.where import CORNERS
from lightning_shap.errors import ArgumentError
from lightning_shap.explanation.archive import save
from lightning_shap.explanation.explanation import ImageExplanation
from lightning_shap.explanation.regions import Regions
from lightning_shap.page import bundle
from lightning_shap.page.data import PageWriter
from lightning_shap.page.report import Pages
from lightning_shap.pictures import pixels, styles


def explained(rows=2, classes=3, side=8, **given):
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(side * side, classes))
    images = torch.rand(rows, 1, side, side, generator=torch.Generator().manual_seed(0))
    return lightning_shap.explain(model, images, max_evals=10, **given)


def carried(path):
    text = path.read_text(encoding="utf-8")
    return json.loads(re.search(r'id="explanations">(.*?)</script>', text, re.DOTALL)[1])


def test_the_file_carries_what_was_found(tmp_path):
    explanation = explained()
    data = carried(lightning_shap.report(explanation, tmp_path / "page.html"))
    ((step,),) = (tags["explanation"] for tags in data["runs"].values())
    with np.load(io.BytesIO(base64.b64decode(step["values"]))) as kept:
        assert np.allclose(kept["region_values"], explanation.regions.values, rtol=1e-6)
    assert step["facts"]["samples"] in data["samples"]


def test_several_explanations_stand_side_by_side_or_in_a_row(tmp_path):
    one, other = explained(), explained(topk=1)
    path = save(other, tmp_path / "explanation.npz")
    page = lightning_shap.report({"one": [one, other], "two": path}, tmp_path / "page.html")
    runs = carried(page)["runs"]
    assert [*runs] == ["one", "two"]
    assert [step["facts"]["step"] for step in runs["one"]["explanation"]] == [0, 1]
    assert len(runs["two"]["explanation"]) == 1


def test_no_name_ends_the_script(tmp_path):
    wild = ["</script><script>alert(1)</script>", "<!--", "]]>&amp;\u2028"]
    path = lightning_shap.report(
        {wild[0]: explained(class_names=wild)},
        tmp_path / "page.html",
        title=f"{wild[0]}\"'",
        names=wild[:2],
    )
    text = path.read_text(encoding="utf-8")
    assert text.count("<script") == 2
    assert text.count("</script") == 2
    assert "&lt;/script&gt;" in re.search("<title>(.*?)</title>", text)[1]
    assert [*carried(path)["runs"]] == [wild[0]]


def test_a_page_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch):
    path = lightning_shap.report(explained(), tmp_path / "page.html")
    before = path.read_bytes()
    monkeypatch.setattr("lightning_shap.page.report.make_html", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        lightning_shap.report(explained(), path)
    assert path.read_bytes() == before
    assert [*tmp_path.iterdir()] == [path]


@pytest.mark.parametrize("given", [[], {}, 3, "nowhere.npz"])
def test_what_is_no_explanation_is_refused(given, tmp_path):
    with pytest.raises((ArgumentError, FileNotFoundError)):
        lightning_shap.report(given, tmp_path / "page.html")


def test_an_image_that_was_picked_has_a_page_of_its_own(tmp_path):
    whole = explained()
    paths = [tmp_path / "one.html", tmp_path / "first.html"]
    for part, path in zip((whole[0], whole[:1]), paths, strict=True):
        lightning_shap.report(part, path)
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_twenty_epochs_fit_into_ten_megabytes(tmp_path):
    """Of 8 samples and 4 classes at 224 pixels, in 60 regions of no simple shape."""
    numbers = np.random.default_rng(0)
    like = explained(rows=8, classes=4)
    pages, writer = Pages(), PageWriter()
    photographs = numbers.random((8, 224, 224, 3), dtype=np.float32)
    y, x = np.mgrid[:224, :224]
    for step in range(20):
        centres = numbers.integers(0, 224, (8, 60, 2))
        near = [((y[..., None] - c[:, 0]) ** 2 + (x[..., None] - c[:, 1]) ** 2) for c in centres]
        labels = np.stack([one.argmin(axis=-1) for one in near]).astype(np.int32)
        regions = Regions.even(labels, numbers.normal(size=(8, 60, 4)), 3)
        indexes = np.tile(np.arange(4), (8, 1))
        record = like.record
        explanation = ImageExplanation(regions, np.zeros((8, 4)), photographs, indexes, record)
        pages.add("run", "tag", writer.make(explanation, step=step), {})
    size = pages.write(tmp_path / "page.html", "title").stat().st_size
    assert size < 10e6


def test_the_modules_are_joined_without_a_clash():
    """In one file they share their top level, and can import nothing."""
    names = re.findall(
        r"^(?:async )?(?:function|class|const) (\w+)", bundle.join_modules(), re.MULTILINE
    )
    assert len({*names}) == len(names)
    assert not re.search(r"^\s*(import|export)\b", bundle.join_modules(), re.MULTILINE)
    everything = [*bundle.MODULES, bundle.TAB, bundle.FILE, bundle.STYLE]
    folder = bundle.files("lightning_shap.page").joinpath("static")
    assert sorted(everything) == sorted(one.name for one in folder.iterdir())


def test_modules_import_only_those_before_them():
    known = []
    for name in (*bundle.MODULES, bundle.FILE):
        imported = re.findall(r'from "\./(\w+\.js)"', bundle.read_asset(name))
        assert {*imported} <= {*known}, name
        known.append(name)


def test_the_colours_are_those_of_the_pictures():
    script = bundle.read_asset("colours.js")
    known = {name: json.loads(value) for name, value in re.findall(r"(\w+) = (\[.*\]);", script)}
    assert (tuple(known["RAISES"]), tuple(known["LOWERS"])) == (pixels.RAISES, pixels.LOWERS)
    inks = tuple(known["RAISING"]), tuple(known["LOWERING"])
    assert inks == (styles.RAISING, styles.LOWERING)


def test_nothing_is_fetched_from_elsewhere_and_no_text_becomes_markup():
    for name in (*bundle.MODULES, bundle.TAB, bundle.FILE, bundle.STYLE):
        text = bundle.read_asset(name).replace("http://www.w3.org/2000/svg", "")
        assert "http" not in text.replace("https?", ""), name
        assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(", text)
        assert not re.search(r"@import|url\(", text), name


def test_a_tenth_of_the_scale_is_a_colour_to_every_reader():
    """On any grey, in OKLab, where 0.02 is just noticed; dichromats as in Machado et al., 2009."""
    script = bundle.read_asset("colours.js")
    faint = float(re.search(r"FAINT = ([\d.]+);", script)[1])
    readers = {
        "all": np.eye(3),
        "protan": [[0.1523, 1.0526, -0.2049], [0.1145, 0.7863, 0.0992], [-0.0039, -0.0481, 1.0520]],
        "deutan": [[0.3673, 0.8606, -0.2279], [0.2801, 0.6725, 0.0474], [-0.0118, 0.0429, 0.9689]],
    }
    opacity = 0.8 * 0.1**faint
    for ink in (styles.RAISING, styles.LOWERING):
        for grey in range(20, 236):
            ground = np.full(3, float(grey))
            laid = opacity * np.array(ink) + (1 - opacity) * ground
            for reader, seen in readers.items():
                two = [to_oklab(np.asarray(seen) @ to_linear(one)) for one in (laid, ground)]
                assert np.linalg.norm(two[0] - two[1]) > 0.0195, (ink, grey, reader)


def test_inks_are_red_and_blue_and_neither_is_stronger():
    light, strong, hue = np.transpose([describe(ink) for ink in (styles.RAISING, styles.LOWERING)])
    assert abs(light[0] - light[1]) < 0.05 * light.max()
    assert abs(strong[0] - strong[1]) < 0.05 * strong.max()
    pure = describe((255, 0, 0))[2]
    assert abs(hue[0] - pure) < 3.5, "red, as the texts say, and not orange"


def describe(ink):
    """Lightness, chroma and degrees of hue of a colour, in OKLab."""
    lightness, a, b = to_oklab(to_linear(np.array(ink, float)))
    return lightness, np.hypot(a, b), np.degrees(np.arctan2(b, a))


def to_linear(levels):
    shares = levels / 255
    return np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)


def to_oklab(linear):
    cones = np.array(
        [
            [0.4122214708, 0.5363325363, 0.0514459929],
            [0.2119034982, 0.6806995451, 0.1073969566],
            [0.0883024619, 0.2817188376, 0.6299787005],
        ]
    )
    lab = np.array(
        [
            [0.2104542553, 0.7936177850, -0.0040720468],
            [1.9779984951, -2.4285922050, 0.4505937099],
            [0.0259040371, 0.7827717662, -0.8086757660],
        ]
    )
    return lab @ np.cbrt(cones @ np.clip(linear, 0, 1))


def test_named_places_are_those_of_the_metrics():
    script = bundle.read_asset("pins.js")
    side, width = (
        float(Fraction(re.search(rf"{name} = ([\d /]+);", script)[1].replace(" ", "")))
        for name in ("CORNER_SIDE", "BORDER_WIDTH")
    )
    assert (side, width) == (CornerShare().side, BorderShare().width)
    assert tuple(json.loads(re.search(r"CORNERS = (\[.*\]);", script)[1])) == CORNERS


def test_contours_spotlights_and_hatching_are_those_of_the_pictures():
    script = bundle.read_asset("paint.js")
    for name in ("DIMMED", "FADED", "OVERLAY_SIDE"):
        told = float(re.search(rf"const {name} = ([\d.]+);", script)[1])
        assert told == getattr(styles, name), name
    lines = json.loads(re.sub(r",(\s*\])", r"\1", re.search(r"CONTOURS = ([^;]*);", script)[1]))
    assert [share for share, _ in lines] == [styles.MOST, styles.HALF]
