"""Metrics over maps have the same numbers by regions and by pixels, alone and in collections."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from torch import nn
from torchmetrics import MetricCollection

from lightning_shap import explain
from lightning_shap.analysis.metrics.similarity import Similarity
from lightning_shap.analysis.metrics.trust import (
    ClearShare,
    MissingShare,
    RelativeError,
    ResolvedRegions,
)
from lightning_shap.analysis.metrics.where import (
    CORNERS,
    AttributionEntropy,
    AttributionShare,
    BorderShare,
    CornerShare,
    TopShare,
)
from lightning_shap.explanation.maps import read_maps

OF_ONE = [BorderShare, CornerShare, TopShare, AttributionEntropy]
OF_RECORDS = [RelativeError, ClearShare, ResolvedRegions, MissingShare]
METHODS = ["partition", "kernel", "gradient"]


def explained(method: str = "partition", weights: int = 0, **options: Any) -> Any:
    torch.manual_seed(weights)
    model = nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(400, 3))
    images = torch.rand(4, 2, 12, 12, generator=torch.Generator().manual_seed(7))
    given: dict[str, Any] = {"max_evals": 40, "topk": 2, "labels": [0, 1, 2, 0], "masker": 0.0}
    return explain(model, images, method=method, **{**given, **options})  # type: ignore[arg-type]


def value(metric: Any, *arguments: Any, **named: Any) -> float:
    metric.update(*arguments, **named)
    return float(metric.compute())


def pixels_of(explanation: Any) -> np.ndarray:
    return np.stack(
        [read_maps(explanation).get(image)[0] for image in range(len(explanation.data))]
    )


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", OF_ONE)
def test_regions_have_the_number_of_their_pixels(kind: Any, method: str) -> None:
    explanation = explained(method)
    plain = pixels_of(explanation)
    assert value(kind(), explanation) == pytest.approx(value(kind(), plain), abs=1e-6)
    assert value(kind(), explanation) == pytest.approx(value(kind(), plain[:, None]), abs=1e-6)


@pytest.mark.parametrize("pair", [("partition", "partition"), ("kernel", "partition")])
def test_similarity_of_regions_is_that_of_their_pixels(pair: tuple[str, str]) -> None:
    one, other = explained(pair[0]), explained(pair[1], weights=1)
    found = value(Similarity(), one, other=other)
    expected = []
    for a, b in zip(pixels_of(one).reshape(4, -1), pixels_of(other).reshape(4, -1), strict=True):
        expected.append(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
    assert found == pytest.approx(np.mean(expected), abs=1e-6)


def test_an_explanation_resembles_itself_and_not_its_negative() -> None:
    plain = pixels_of(explained())
    assert value(Similarity(), plain, other=plain) == pytest.approx(1)
    assert value(Similarity(), plain, other=5 * plain) == pytest.approx(1)
    assert value(Similarity(), plain, other=-plain) == pytest.approx(-1)


def test_the_same_classes_are_compared_wherever_they_stand() -> None:
    one = explained(topk=None, labels=None, targets=[0, 1])
    other = explained(topk=None, labels=None, targets=[1, 0], weights=0)
    for output in (0, 1):
        metric = Similarity()
        assert value(metric, one[..., output], other=other) == pytest.approx(1)
        assert metric.maps == 4
    neither = explained(topk=None, labels=None, targets=[2])
    assert np.isnan(value(Similarity(), one, other=neither))


def test_what_differs_by_its_errors_alone_is_at_the_noise_floor() -> None:
    # From two evaluations a patch on, seeds choose other coalitions, with errors of their own.
    grid = {"method": "kernel", "max_evals": 40, "grid": 4}
    seeds = [explained(seed=seed, **grid) for seed in range(9)]
    below = 0
    for one, other in pairwise(seeds):
        metric = Similarity()
        similarity = value(metric, one, other=other)
        assert metric.floor < 0.999
        below += similarity < metric.floor
    assert below <= 2
    trained = explained(weights=3, **grid)
    metric = Similarity()
    assert value(metric, seeds[0], other=trained) < metric.floor


def test_noise_alone_brings_one_in_twenty_below_the_floor() -> None:
    metric = Similarity()
    metric.floor_variance, metric.floored = torch.tensor(1.0), torch.tensor(1)
    assert norm.cdf(float(metric.floor)) == pytest.approx(1 / 20, abs=2e-3)


@pytest.mark.parametrize("method", ["partition", "gradient"])
def test_without_errors_of_chance_there_is_no_noise_floor(method: str) -> None:
    """What a walk of a tree did not look at is alike for both, and leaves its maps the same."""
    metric = Similarity()
    metric.update(explained(method), other=explained(method, weights=1))
    assert metric.floor.isnan()
    assert value(Similarity(), explained(method), other=explained(method)) == pytest.approx(1)


@given(
    st.lists(st.floats(-5, 5), min_size=36, max_size=36),
    st.sampled_from([1 / 8, 1 / 6, 1 / 3]),
)
@settings(max_examples=25, deadline=None)
def test_shares_are_those_of_the_masked_pixels(numbers: list[float], part: float) -> None:
    plain = np.array(numbers).round(2).reshape(1, 6, 6)
    magnitude = np.abs(plain)
    total = magnitude.sum()
    if total == 0:
        return
    width = max(1, round(part * 6))
    inner = magnitude[:, width:-width, width:-width].sum()
    assert value(BorderShare(part), plain) == pytest.approx(1 - inner / total, abs=1e-5)
    boxes = [[[0, 0, 6, width], [0, 0, width, 6]]]
    mask = np.zeros((6, 6), bool)
    mask[:width], mask[:, :width] = True, True
    by_boxes = value(AttributionShare(), plain, boxes=boxes)
    assert by_boxes == pytest.approx(magnitude[0][mask].sum() / total, abs=1e-5)
    assert by_boxes == pytest.approx(value(AttributionShare(), plain, masks=mask), abs=1e-6)
    assert 0 <= value(AttributionEntropy(), plain) <= 1 + 1e-6
    assert value(TopShare(1 / 36), plain) == pytest.approx(magnitude.max() / total, abs=1e-5)


def test_each_corner_is_its_own() -> None:
    plain = np.zeros((1, 8, 8))
    plain[0, 0, 7] = 1
    found = {corner: value(CornerShare(corner), plain) for corner in CORNERS}
    assert found == {corner: float(corner == "top right") for corner in CORNERS}


def test_records_say_how_sure_they_are() -> None:
    partition, gradient = explained("partition"), explained("gradient")
    kernel = explained("kernel", max_evals=64, grid=4)
    for sure in (partition, kernel):
        error, clear = sure.record.relative_error[:, 0], sure.record.clear[:, 0]
        assert value(RelativeError(), sure) == pytest.approx(error.mean())
        assert value(ClearShare(), sure) == pytest.approx(clear.mean())
    assert np.isnan(value(RelativeError(), gradient))
    assert value(ResolvedRegions(), partition) == pytest.approx(partition.record.regions.mean())
    assert value(MissingShare(), partition) < 1e-6
    outputs = np.take_along_axis(gradient.record.outputs, gradient.output_indexes, 1)
    missing = gradient.record.additivity_gap / np.abs(outputs - gradient.base_values)
    assert value(MissingShare(), gradient) == pytest.approx(missing[:, 0].mean(), rel=1e-5)
    with pytest.raises(ValueError, match="no record"):
        RelativeError().update(pixels_of(kernel))


def test_a_collection_keeps_metrics_apart_and_gives_each_its_arguments() -> None:
    now, before = explained(), explained(weights=1)
    metrics = {kind.__name__: kind() for kind in (*OF_ONE, *OF_RECORDS)}
    metrics |= {corner: CornerShare(corner) for corner in CORNERS}
    metrics |= {"Similarity": Similarity(), "AttributionShare": AttributionShare()}
    collection = MetricCollection(dict(metrics))
    mask = np.zeros((12, 12), bool)
    mask[3:6] = True
    for _ in range(2):
        collection.update(now, other=before, masks=mask)
    found = collection.compute()
    for kind in (*OF_ONE, *OF_RECORDS):
        assert float(found[kind.__name__]) == pytest.approx(value(kind(), now), nan_ok=True)
    for corner in CORNERS:
        assert float(found[corner]) == pytest.approx(value(CornerShare(corner), now))
    assert float(found["Similarity"]) == pytest.approx(value(Similarity(), now, other=before))
    assert float(found["AttributionShare"]) == pytest.approx(
        value(AttributionShare(), now, masks=mask)
    )


@pytest.mark.parametrize("kind", [*OF_ONE, *OF_RECORDS, Similarity])
def test_ranks_that_share_the_images_have_the_number_of_one(kind: Any) -> None:
    now, before = explained("kernel"), explained("kernel", weights=1)

    def of(images: slice) -> Any:
        metric = kind()
        metric.update(now[images], **({"other": before[images]} if kind is Similarity else {}))
        return metric

    whole, ranks = of(slice(None)), [of(slice(0, 1)), of(slice(1, 4))]
    for name, reduce in whole._reductions.items():  # as torchmetrics does after its gather
        setattr(ranks[0], name, reduce(torch.stack([getattr(rank, name) for rank in ranks])))
    assert float(ranks[0].compute()) == pytest.approx(float(whole.compute()), rel=1e-5)


def test_wrong_arguments_are_named() -> None:
    plain = np.ones((2, 4, 4))
    for complaint, call in {
        "explanation": lambda: BorderShare().update(np.ones(4)),
        "holds NaN": lambda: BorderShare().update(np.full((1, 2, 2), np.nan)),
        "other": lambda: Similarity().update(plain, other=np.ones((2, 5, 4))),
        "masks, boxes": lambda: AttributionShare().update(plain),
        "boxes": lambda: AttributionShare().update(plain, boxes=[[0, 0, 1, 1]]),
        "masks": lambda: AttributionShare().update(plain, masks=np.ones((3, 4, 4), bool)),
        "width": lambda: BorderShare(0.7),
        "corner": lambda: CornerShare("middle"),  # type: ignore[arg-type]
        "part": lambda: TopShare(0),
    }.items():
        with pytest.raises(ValueError, match=f"^explanation: {complaint}|^{complaint}"):
            call()
