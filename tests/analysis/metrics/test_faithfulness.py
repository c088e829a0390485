"""InsertionAUC and DeletionAUC: their areas, their random control, and torchmetrics' manners."""

from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torchmetrics import MetricCollection

from lightning_shap import DeletionAUC, InsertionAUC, explain
from lightning_shap.analysis.metrics.rankings import rank_at_random, rank_pixels

METRICS = [InsertionAUC, DeletionAUC]
SEEDS = st.integers(0, 10_000)


def additive(seed: int, classes: int = 2, side: int = 4) -> tuple[nn.Module, torch.Tensor, Any]:
    """A model that adds up over pixels, some images, and its contributions (N, H, W) to class 0."""
    generator = torch.Generator().manual_seed(seed)
    linear = nn.Linear(2 * side * side, classes)
    with torch.no_grad():
        linear.weight.copy_(torch.randn(linear.weight.shape, generator=generator))
    images = torch.rand(2, 2, side, side, generator=generator)
    true = (linear.weight[0].reshape(2, side, side) * images).sum(1).detach()
    return nn.Sequential(nn.Flatten(), linear), images, true


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Dropout(), nn.Flatten(), nn.Linear(16, 3)
    )


def area(metric: Any, *args: Any, **kwargs: Any) -> float:
    metric.update(*args, **kwargs)
    return float(metric.areas()[metric.name])


def logits(kind: Any, **options: Any) -> Any:
    return kind(**{"steps": 8, "masker": 0.0, "output": "logit", "random_maps": 0, **options})


def naive_area(
    model: Any, image: torch.Tensor, empty: float, order: list[int], steps: int, removes: bool
) -> float:
    """The definition, pixel by pixel."""
    _, height, width = image.shape
    points = []
    for step in range(steps + 1):
        first = order[: round(step * height * width / steps)]
        shown = image.clone() if removes else torch.full_like(image, empty)
        for pixel in first:
            row, column = divmod(pixel, width)
            shown[:, row, column] = empty if removes else image[:, row, column]
        points.append(float(model.eval()(shown[None]).softmax(1)[0, 1].detach()))
    return sum((a + b) / 2 for a, b in pairwise(points)) / steps


@pytest.mark.parametrize("kind", METRICS)
def test_the_area_is_that_of_the_definition(kind: Any) -> None:
    model, images = network().train(), torch.rand(3, 2, 4, 4)
    attributions = torch.randn(3, 2, 4, 4)
    metric = kind(steps=5, masker=0.5, random_maps=0)
    found = area(metric, model, attributions, images, [1, 1, 1])
    expected = []
    for image, of_channels in zip(images, attributions, strict=True):
        order = of_channels.sum(0).flatten().argsort(descending=True).tolist()
        expected.append(naive_area(model, image, 0.5, order, 5, kind is DeletionAUC))
    assert found == pytest.approx(np.mean(expected), abs=1e-6)


@given(seed=SEEDS, shuffle=SEEDS)
@settings(max_examples=15, deadline=None)
def test_of_an_additive_model_no_order_beats_that_of_the_contributions(
    seed: int, shuffle: int
) -> None:
    model, images, true = additive(seed)
    other = torch.randn(true.shape, generator=torch.Generator().manual_seed(shuffle))
    best, another = (
        [area(logits(kind), model, maps, images, [0, 0]) for kind in METRICS]
        for maps in (true, other)
    )
    assert best[0] >= another[0] - 1e-5
    assert best[1] <= another[1] + 1e-5


@given(seed=SEEDS)
@settings(max_examples=15, deadline=None)
def test_of_an_additive_model_insertion_and_deletion_mirror_each_other(seed: int) -> None:
    model, images, _ = additive(seed)
    maps = torch.randn(2, 4, 4, generator=torch.Generator().manual_seed(seed + 1))
    insertion, deletion = (area(logits(kind), model, maps, images, [0, 0]) for kind in METRICS)
    with torch.no_grad():
        ends = (model(images) + model(0 * images))[:, 0].mean()
    assert insertion + deletion == pytest.approx(float(ends), abs=1e-4)


@given(seed=SEEDS)
@settings(max_examples=10, deadline=None)
def test_deletion_is_insertion_of_the_reverse_order_backwards(seed: int) -> None:
    model, images = network(), torch.rand(2, 2, 4, 4)
    maps = torch.randn(2, 4, 4, generator=torch.Generator().manual_seed(seed))
    deletion, insertion = logits(DeletionAUC), logits(InsertionAUC)
    deletion.update(model, maps, images, [0, 1])
    insertion.update(model, -maps, images, [0, 1])
    torch.testing.assert_close(deletion.curve, insertion.curve.flip(0))


@pytest.mark.parametrize("kind", METRICS)
@given(constant=st.floats(-5, 5))
@settings(max_examples=5, deadline=None)
def test_a_constant_model_has_its_constant_as_area_and_no_gap(kind: Any, constant: float) -> None:
    metric = logits(kind, random_maps=2)
    metric.update(
        lambda x: torch.full((len(x), 2), constant),
        torch.rand(1, 4, 4),
        torch.rand(1, 1, 4, 4),
        [0],
    )
    assert float(metric.areas()[metric.name]) == pytest.approx(constant, abs=1e-5)
    assert float(metric.compute()) == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("kind", METRICS)
def test_neither_the_batch_size_nor_the_number_of_updates_changes_anything(kind: Any) -> None:
    model, images, maps = network(), torch.rand(4, 2, 4, 4), torch.randn(4, 4, 4)
    results = []
    for batch_size, parts in ((64, [4]), (3, [1, 3]), (1, [2, 2])):
        metric = kind(steps=4, batch_size=batch_size, random_maps=2)
        for own, shown in zip(maps.split(parts), images.split(parts), strict=True):
            metric.update(model, own, shown, [1] * len(own))
        results.append(metric.areas())
    torch.testing.assert_close(results[0], results[1])
    torch.testing.assert_close(results[0], results[2])


@pytest.mark.parametrize("kind", METRICS)
def test_states_of_two_processes_add_up(kind: Any) -> None:
    model, images, maps = network(), torch.rand(3, 2, 4, 4), torch.randn(3, 4, 4)
    whole, *shares = (kind(steps=4) for _ in range(3))
    whole.update(model, maps, images, [0, 1, 2])
    shares[0].update(model, maps[:1], images[:1], [0])
    shares[1].update(model, maps[1:], images[1:], [1, 2])
    shares[0].merge_state(shares[1])
    torch.testing.assert_close(shares[0].compute(), whole.compute())
    torch.testing.assert_close(shares[0].areas(), whole.areas())


def test_ties_go_in_reading_order() -> None:
    ranks = rank_pixels(np.array([[0.0, 1.0, 1.0], [2.0, 0.0, 1.0]]))
    assert ranks.tolist() == [[4, 1, 2], [0, 5, 3]]


@given(seed=SEEDS, regions=st.integers(1, 9))
@settings(max_examples=20, deadline=None)
def test_a_random_map_keeps_the_regions_and_shuffles_their_order(seed: int, regions: int) -> None:
    random = np.random.default_rng(seed)
    region = np.sort(random.integers(regions, size=30)).reshape(5, 6)
    heights = random.permutation(regions).astype(float)
    ranks = rank_at_random(heights[region], np.random.default_rng(seed))
    for number in np.unique(region):
        inside = np.sort(ranks[region == number])
        assert np.ptp(inside) == len(inside) - 1  # one region after the other
    other = rank_at_random(np.exp(heights)[region] + 1, np.random.default_rng(seed))
    np.testing.assert_array_equal(ranks, other)  # the values themselves do not matter
    assert sorted(ranks.ravel()) == list(range(30))


def test_a_random_order_does_not_depend_on_the_order_of_the_regions() -> None:
    region = np.repeat(np.arange(6), 4).reshape(4, 6)
    first, second = (
        rank_at_random(np.random.default_rng(n).permutation(6)[region], np.random.default_rng(0))
        for n in (1, 2)
    )
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("kind", METRICS)
def test_the_gap_is_what_a_good_map_is_better_than_random_ones(kind: Any) -> None:
    model, images, true = additive(3, side=6)
    good, bad = (logits(kind, random_maps=20) for _ in range(2))
    good.update(model, true, images, [0, 0])
    bad.update(model, -true, images, [0, 0])
    assert good.compute() > 1
    assert bad.compute() < -1
    areas = good.areas()
    sign = -1 if kind is DeletionAUC else 1
    gap = sign * (areas[good.name] - areas[f"{good.name}_random"])
    torch.testing.assert_close(good.compute(), gap)
    torch.testing.assert_close(areas[f"{good.name}_gap"], gap)


def test_an_explanation_brings_images_and_classes_along() -> None:
    model, images = network().train(), torch.rand(3, 2, 4, 4)
    explanation = explain(model, images, max_evals=30, topk=2)
    first = area(InsertionAUC(steps=4), model, explanation)
    maps, classes = explanation.values.sum(3), explanation.output_indexes
    by_hand = [
        area(InsertionAUC(steps=4), model, maps[..., k], images, classes[:, k]) for k in (0, 1)
    ]
    assert first == pytest.approx(by_hand[0], abs=1e-6)
    second = area(InsertionAUC(steps=4), model, explanation[..., 1])
    assert second == pytest.approx(by_hand[1], abs=1e-6)


def test_a_plain_explanation_of_shaps_will_do() -> None:
    model, images, true = additive(1)
    plain = SimpleNamespace(
        values=np.moveaxis(np.stack([true, true], 1), 1, -1)[:, :, :, None, 0] * np.ones(2) / 2,
        data=images.movedim(1, -1).numpy(),
        base_values=None,
        output_indexes=None,
    )
    found = area(logits(InsertionAUC), model, plain)
    assert found == pytest.approx(area(logits(InsertionAUC), model, true, images, [0, 0]))


def test_a_collection_keeps_both_apart_even_if_they_were_equal_once() -> None:
    metrics = MetricCollection(
        [InsertionAUC(steps=4, masker=0.0), DeletionAUC(steps=4, masker=0.0)]
    )
    images, maps = torch.rand(1, 2, 4, 4), torch.rand(1, 4, 4)
    metrics.update(lambda x: torch.zeros(len(x), 2), maps, images=images, targets=[0])
    metrics.update(lambda x: 9 * x.mean((2, 3)), maps, images=images, targets=[0])
    together = {name: metric.areas() for name, metric in metrics.items()}
    for kind in METRICS:
        alone = kind(steps=4, masker=0.0)
        alone.update(lambda x: torch.zeros(len(x), 2), maps, images=images, targets=[0])
        alone.update(lambda x: 9 * x.mean((2, 3)), maps, images=images, targets=[0])
        torch.testing.assert_close(together[kind.__name__], alone.areas())
        torch.testing.assert_close(metrics.compute()[kind.__name__], alone.compute())
    assert together["DeletionAUC"]["deletion_auc"] != together["InsertionAUC"]["insertion_auc"]


def test_a_collection_keeps_metrics_of_other_settings_apart() -> None:
    """Even if a constant model made all their curves equal at first."""
    kinds = {"blur": {}, "mean": {"masker": "mean"}, "more": {"random_maps": 3}}
    metrics = MetricCollection({name: InsertionAUC(steps=4, **own) for name, own in kinds.items()})
    images, maps = torch.rand(1, 2, 4, 4), torch.rand(1, 4, 4)
    models = [lambda x: torch.zeros(len(x), 2), network()]
    for model in models:
        metrics.update(model, maps, images=images, targets=[0])
    for name, own in kinds.items():
        alone = InsertionAUC(steps=4, **own)
        for model in models:
            alone.update(model, maps, images=images, targets=[0])
        torch.testing.assert_close(metrics[name].areas(), alone.areas())
    assert len({float(value) for value in metrics.compute().values()}) == 3


@pytest.mark.parametrize("kind", METRICS)
def test_it_leaves_model_and_random_states_alone(kind: Any) -> None:
    model = network().train()
    model[0].eval()
    modes = [part.training for part in model.modules()]
    noise, numpy = torch.get_rng_state(), np.random.get_state()[1].tolist()
    with torch.no_grad():
        kind(steps=2).update(model, np.zeros((1, 4, 4)), torch.ones(1, 2, 4, 4), [0])
    assert [part.training for part in model.modules()] == modes
    assert torch.equal(torch.get_rng_state(), noise)
    assert np.random.get_state()[1].tolist() == numpy


@pytest.mark.parametrize(("random_maps", "targets", "rows"), [(0, 1, 9), (1, 1, 16), (2, 2, 23)])
def test_an_image_costs_the_rows_it_says(random_maps: int, targets: int, rows: int) -> None:
    seen: list[int] = []

    def model(images: torch.Tensor) -> torch.Tensor:
        seen.append(len(images))
        return images.mean((2, 3))

    explanation = explain(model, torch.rand(3, 2, 4, 4), max_evals=8, targets=list(range(targets)))
    seen.clear()
    logits(InsertionAUC, random_maps=random_maps).update(model, explanation)
    assert sum(seen) == 3 * rows


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"steps": 0}, "steps: got 0; give at least 2"),
        ({"steps": 1}, r"steps: got 1; give at least 2 \(with one, every map has the same curve\)"),
        ({"output": "probabilities"}, "output: got 'probabilities'"),
        ({"random_maps": -1}, "random_maps: got -1"),
        ({"batch_size": 0}, "batch_size: got 0"),
        ({"steps": 17}, "steps: got 17; give at most the images' 16 pixels"),
        ({"targets": None}, "images, targets: are needed with plain attributions"),
        ({"targets": [0.5]}, "targets: have shape .* whole class index"),
        ({"targets": [0, 0]}, r"targets: have shape \(2, 1\)"),
        ({"targets": [2]}, "targets: hold 2, but the model has 2 classes"),
        ({"explanation": torch.zeros(1, 4, 5)}, "a map of the same pixels"),
        ({"explanation": torch.zeros(4, 4)}, r"attributions \(N, H, W\) or"),
        ({"explanation": torch.full((1, 4, 4), torch.nan)}, "NaN or infinite attributions"),
    ],
)
def test_bad_input_is_named(options: dict[str, Any], sentence: str) -> None:
    given_ = {
        "explanation": torch.zeros(1, 4, 4),
        "images": torch.zeros(1, 2, 4, 4),
        "targets": [0],
        "model": lambda x: x.mean((2, 3)),
    }
    call = {name: options.get(name, value) for name, value in given_.items()}
    settings_ = {"steps": 4} | {k: v for k, v in options.items() if k not in call}
    with pytest.raises(ValueError, match=sentence):
        InsertionAUC(**settings_).update(**call)
