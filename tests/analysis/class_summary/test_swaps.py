"""Swaps show which part of an image decides, whatever the model makes of it."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from swap_noise import measure_swaps_among
from torchvision.transforms.functional import gaussian_blur

import lightning_shap
from lightning_shap.analysis.class_summary.parts import list_parts, name_border
from lightning_shap.analysis.class_summary.summary import ClassSummary
from lightning_shap.analysis.class_summary.swaps import (
    CARRIED,
    CROSSED,
    EXCHANGED,
    REMOVED,
    choose_partners,
    count_rows,
    measure_swaps,
)
from lightning_shap.engine.question import Question
from lightning_shap.explanation.archive import merge, save
from lightning_shap.explanation.join import interleave

SIDE = 16
FINE_DETAIL = "fine detail"
PARTS = [part.name for part in list_parts()]
MASKS = {part.name: part.mask for part in list_parts() if part.mask is not None}
LINES = {part.name: part.lines for part in list_parts()}
QUESTION = Question(batch_size=8)


class Reads(torch.nn.Module):
    """As many outputs as functions of the images, each their mean."""

    def __init__(self, *functions):
        super().__init__()
        self.functions = functions

    def forward(self, images):
        return torch.stack([f(images).flatten(1).mean(1) for f in self.functions], dim=1)


def corner(images):
    return images[:, :, :4, :4]


def stripes(images):
    return (images[..., 1:] - images[..., :-1]).abs()


def rest(images):
    return images[:, :, 4:, 4:]


def measured(model, images, labels, topk=2):
    found = lightning_shap.explain(model, images, labels=labels, topk=topk, max_evals=4)
    measure_swaps_among(model, found, images, QUESTION)
    return found


def share(found, part):
    """What a part decides of each image, as a share of the whole."""
    return found.record.swaps[:, PARTS.index(part)] / found.record.swapped


def test_the_part_that_a_model_reads_decides_all_and_others_nothing():
    labels = torch.arange(6) % 2
    images = torch.zeros(6, 1, SIDE, SIDE)
    images[labels == 0, :, :4, :4] = 1
    images[labels == 1, :, 4:, 4:] = 0.1
    found = measured(Reads(corner, lambda x: 0.5 - corner(x)), images, labels)
    assert np.allclose(share(found, "the top left corner"), 1)
    assert np.allclose(share(found, "the bottom right corner"), 0)


def test_a_texture_anywhere_is_fine_detail():
    labels = torch.arange(8) % 2
    images = torch.rand(8, 1, 1, 1).expand(8, 1, SIDE, SIDE).clone()
    images[labels == 1, :, :, ::2] += 0.5
    found = measured(Reads(lambda x: 0.1 - stripes(x), stripes), images, labels)
    assert (share(found, FINE_DETAIL) > 0.8).all()


def test_fine_detail_is_what_a_blur_by_a_32nd_of_the_side_takes_away():
    side, period = 65, 16
    wave = torch.cos(2 * np.pi * torch.arange(side) / period).double()
    images = torch.stack([wave, -wave]).view(2, 1, 1, side).expand(2, 1, side, side).clone()
    model = Reads(lambda x: x * wave, lambda x: -x * wave)
    found = measured(model, images, torch.arange(2))
    kept = np.exp(-((2 * np.pi / period * side / 32) ** 2) / 2)  # of a wave by a Gaussian blur
    assert np.allclose(share(found, FINE_DETAIL), 1 - kept, atol=0.02)


@pytest.mark.parametrize(
    ("part", "width"),
    [(name_border(1), 1 / 16), (name_border(2), 1 / 8), (name_border(3), 3 / 16)],
)
def test_what_runs_around_an_image_takes_the_stated_share_of_its_sides(part, width):
    mask = MASKS[part](64, 128)
    down, across = round(64 * width), round(128 * width)
    assert mask.sum() == mask.size - (64 - 2 * down) * (128 - 2 * across)
    assert not mask[down:-down, across:-across].any()


def test_the_shares_of_an_additive_model_are_its_differences():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(SIDE**2, 3)).double()
    images, others = torch.rand(2, 5, 1, SIDE, SIDE, dtype=torch.float64)
    found = lightning_shap.explain(model, images, topk=1, max_evals=4)
    measure_swaps(model, found, images, others, QUESTION)
    own, rival = found.output_indexes[:, 0], model(others).argmax(1)
    for image in range(5):
        if own[image] == rival[image]:
            assert np.isnan(found.record.swaps[image]).all()
            continue
        weight = (model[1].weight[own[image]] - model[1].weight[rival[image]]).view(SIDE, SIDE)
        terms = (weight * (images[image, 0] - others[image, 0])).detach().numpy()
        for part, mask in MASKS.items():
            decided, whole = found.record.swaps[image], found.record.swapped[image]
            assert np.isnan(whole) == np.isnan(decided).any() == (terms.sum() <= 0)
            if not np.isnan(whole):
                assert np.isclose(whole, terms.sum())
                played = all(
                    sum(terms[MASKS[line](SIDE, SIDE)].sum() for line in lines) >= CROSSED * whole
                    for lines in LINES[part]
                )
                expected = terms[mask(SIDE, SIDE)].sum() if played else 0
                assert np.isclose(decided[PARTS.index(part)], expected)


def test_what_changed_images_are_taken_for_is_kept():
    labels = torch.arange(6) % 2
    images = torch.full((6, 1, SIDE, SIDE), 0.2)
    images[labels == 1, :, :4, :4] = 1
    found = lightning_shap.explain(
        Reads(lambda x: 0.5 - corner(x), corner), images, labels=labels, topk=2, max_evals=4
    )
    measure_swaps_among(
        Reads(lambda x: 0.5 - corner(x), corner), found, images, replace(QUESTION, masker=0.0)
    )
    record, own = found.record, labels.numpy()
    read, other = (PARTS.index(f"the {name} corner") for name in ("top left", "bottom right"))
    assert (record.swap_rivals == 1 - own).all()
    assert (record.swap_classes[:, read, EXCHANGED] == 1 - own).all()
    assert (record.swap_classes[:, read, CARRIED] == own).all()
    assert (record.swap_classes[:, read, REMOVED] == 0).all()  # an empty corner is of class 0
    assert (record.swap_classes[:, other, EXCHANGED] == own).all()
    assert (record.swap_classes[:, other, CARRIED] == 1 - own).all()
    assert (record.swap_classes[:, other, REMOVED] == own).all()


def test_of_a_single_output_both_classes_are_known():
    labels = torch.arange(6) % 2
    images = labels.view(6, 1, 1, 1) * torch.ones(6, 1, SIDE, SIDE)
    found = measured(Reads(lambda x: corner(x) - 0.5), images, labels, topk=1)
    assert np.allclose(share(found, "the top left corner"), 1)


@pytest.mark.parametrize("output", ["logit", "probability"])
@given(arrays(int, 24, elements=st.integers(-1, 1)), st.integers(0, 9))
@settings(max_examples=8, deadline=None)
def test_a_single_output_says_what_two_that_are_apart_by_it_say(output, labels, seed):
    """Of images that are taken for the other class as well, and of some without a label."""
    torch.manual_seed(seed)
    images, one = torch.rand(24, 1, 8, 8), torch.nn.Linear(64, 1)

    def logit(images):
        return one(images.flatten(1)) - one(torch.full((1, 64), 0.5))

    def two(images):
        return torch.cat([torch.zeros(len(images), 1), logit(images)], dim=1)

    question = replace(QUESTION, output=output)
    records = []
    for model, topk in ((logit, 1), (two, 2)):
        found = lightning_shap.explain(
            model, images, labels=labels, topk=topk, max_evals=4, output=output
        )
        measure_swaps_among(model, found, images, question)
        records.append(found.record)
    factor = 1 if output == "logit" else 2  # probabilities of both classes move
    for name in ("swaps", "swapped"):
        single, both = (getattr(record, name) for record in records)
        assert np.allclose(factor * single, both, atol=1e-5, equal_nan=True)


def test_a_single_output_predicts_the_same_class_as_a_probability_and_as_its_logarithm():
    torch.manual_seed(0)
    images, one = torch.rand(24, 1, 8, 8) - 0.5, torch.nn.Linear(64, 1, bias=False)
    labels = torch.arange(24) % 3 - 1
    known = []
    for ending in (torch.nn.Sigmoid(), torch.nn.LogSigmoid()):
        model = torch.nn.Sequential(torch.nn.Flatten(), one, ending)
        found = measured(model, images, labels, topk=1)
        known.append(~np.isnan(found.record.swapped))
    assert found.record.output == "log-probability"
    assert np.array_equal(*known)
    assert 0 < known[0].sum() < 24


def test_a_single_output_of_a_function_predicts_by_what_it_is_said_to_return():
    """As the record does, or each changed image would be called wrong."""
    labels = torch.arange(12) % 2
    images = labels.view(12, 1, 1, 1) * torch.ones(12, 1, SIDE, SIDE)
    asked = {"output": lambda found: found["score"], "returns": "logits"}
    model = lambda images: {"score": corner(images).mean((1, 2, 3))[:, None] - 0.5}  # noqa: E731
    found = lightning_shap.explain(model, images, labels=labels, max_evals=4, **asked)
    measure_swaps_among(model, found, images, Question(**asked))
    assert found.record.output == "custom"
    assert (found.record.swap_rivals == 1 - labels.numpy()).all()
    exchanged, carried, _ = found.record.swap_classes[:, PARTS.index("the top left corner")].T
    assert (exchanged == 1 - labels.numpy()).all()
    assert (carried == labels.numpy()).all()


def test_images_that_are_taken_for_the_other_class_are_left_out_of_a_single_output_too():
    labels = torch.arange(6) % 2
    images = labels.view(6, 1, 1, 1) * torch.ones(6, 1, SIDE, SIDE)
    found = measured(Reads(lambda x: 0.5 - corner(x)), images, labels, topk=1)
    assert np.isnan(found.record.swaps).all()
    assert np.isnan(found.record.swapped).all()


def test_an_image_without_another_class_says_nothing():
    images = torch.rand(4, 1, SIDE, SIDE)
    found = measured(Reads(corner, rest), images, torch.zeros(4, dtype=torch.long))
    assert np.isnan(found.record.swaps).all()


def count_played(read, images, labels, parts):
    rows = []

    def model(images):
        rows.append(len(images))
        return read(images)

    found = lightning_shap.explain(model, images, labels=labels, topk=2, max_evals=4)
    rows.clear()
    others = images[torch.from_numpy(choose_partners(labels.numpy(), len(images), 0))]
    measure_swaps(model, found, images, others, QUESTION, parts)
    return sum(rows), found


def test_it_costs_the_stated_rows():
    images, labels = torch.rand(6, 1, SIDE, SIDE), torch.arange(6) % 2
    lines = [part for part in list_parts() if not part.lines]
    rows, _ = count_played(Reads(corner, rest), images, labels, lines)
    assert rows == 6 * count_rows(lines) == 6 * (3 * len(lines) + 1)
    assert count_rows(list_parts()) == count_rows(lines) + 3 * 6  # squares, about so many an image


def test_a_square_is_exchanged_only_where_its_rows_and_its_columns_decide():
    """A sticker in the middle, which all of class 1 has, in two rows and in two columns."""
    images, labels = torch.zeros(8, 1, SIDE, SIDE), torch.arange(8) % 2
    images[labels == 1, :, 6:10, 6:10] = 1.0
    read = Reads(lambda images: 0.1 - images, lambda images: images)
    lines = [part for part in list_parts() if not part.lines]
    rows, found = count_played(read, images, labels, list_parts())
    mine = "the square of rows 4 and 5, columns 4 and 5 of 8"
    assert np.allclose(share(found, mine), 1)
    played = rows - 8 * count_rows(lines)
    assert 0 < played < 3 * 8 * 12  # of 45 squares the few that overlap with the sticker
    assert np.allclose(share(found, "the square of rows 6 and 7, columns 2 and 3 of 8"), 0)
    assert CROSSED == 0.35


def test_a_square_that_is_watched_alone_is_exchanged_everywhere():
    images, labels = torch.rand(6, 1, SIDE, SIDE), torch.arange(6) % 2
    square = next(part for part in list_parts() if part.lines)
    rows, found = count_played(Reads(corner, rest), images, labels, [square])
    known = int((~np.isnan(found.record.swapped)).sum())
    assert rows == 6 + 3 * known


def test_sharpness_is_exchanged_without_what_is_seen():
    torch.manual_seed(0)
    sharp, other = torch.rand(2, 4, 3, SIDE, SIDE)
    soft = gaussian_blur(other, [5, 5], [0.7, 0.7])
    part = next(part for part in list_parts() if part.name == "sharpness")
    sharpened = part.carry(sharp, soft)
    assert torch.allclose(part.carry(soft, soft), soft, atol=1e-5)
    assert stripes(soft).mean() < 0.5 * stripes(sharp).mean()
    assert stripes(sharpened).mean() > 0.8 * stripes(sharp).mean()
    coarse = torch.nn.functional.avg_pool2d
    assert torch.allclose(coarse(sharpened, 8), coarse(soft, 8), atol=0.05)


@pytest.mark.parametrize("side", [1, 2, 5, 9, 33])
def test_images_of_any_size_can_be_swapped(side):
    images, labels = torch.rand(4, 3, side, side + 1), torch.arange(4) % 2
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * side * (side + 1), 3))
    found = measured(model, images, labels)
    assert found.record.swaps.shape == (4, len(PARTS))


@given(arrays(int, st.integers(0, 30), elements=st.integers(-1, 4)), st.integers(0, 9))
def test_each_image_swaps_with_one_of_another_class_where_there_is_one(labels, seed):
    found = choose_partners(labels, len(labels), seed)
    assert (found == choose_partners(labels, len(labels), seed)).all()
    several = len(set(labels.tolist())) > 1
    assert all(labels[a] != labels[b] for a, b in enumerate(found)) or not several


@pytest.mark.parametrize("labels", [None, np.full(9, -1)])
def test_where_no_class_is_known_each_image_swaps_with_any_other(labels):
    found = choose_partners(labels, 9, 0)
    assert sorted(found) == list(range(9))
    assert (found != np.arange(9)).all()


def test_a_slice_and_an_archive_keep_them(tmp_path):
    images, labels = torch.rand(4, 1, SIDE, SIDE), torch.arange(4) % 2
    found = measured(Reads(corner, rest), images, labels)
    path = save(found, tmp_path / "explanation.npz")
    kept = lightning_shap.load(path).record
    assert np.array_equal(kept.swaps, found.record.swaps, equal_nan=True)
    assert np.array_equal(kept.swapped, found.record.swapped, equal_nan=True)
    assert found[1:3].record.swaps.shape == (2, len(PARTS))
    assert found[1:3].record.swapped.shape == (2,)
    together = interleave([found[::2], found[1::2]]).record
    assert np.array_equal(together.swaps, found.record.swaps, equal_nan=True)
    assert np.array_equal(together.swapped, found.record.swapped, equal_nan=True)
    assert np.array_equal(kept.swap_classes, found.record.swap_classes)
    assert found[1:3].record.swap_classes.shape == (2, len(PARTS), 3)
    assert list(kept.swap_parts) == PARTS
    merged = merge([save(found[:1], tmp_path / "a.npz"), save(found[1:], tmp_path / "b.npz")], path)
    assert np.array_equal(lightning_shap.load(merged).record.swapped, kept.swapped, equal_nan=True)


def test_the_survey_says_what_decides_and_what_it_decides_elsewhere():
    random = torch.Generator().manual_seed(0)
    labels = torch.arange(60) % 3
    images = torch.rand(60, 1, SIDE, SIDE, generator=random) / 4
    images[labels == 0, :, 4:8, 4:12] += 0.5
    images[labels == 2, :, 8:12, 4:12] += 0.5
    frame = torch.from_numpy(MASKS[name_border(1)](SIDE, SIDE))
    images[labels == 1] = torch.where(frame, 0.9, images[labels == 1])
    model = Reads(
        lambda x: x[:, :, 4:8, 4:12],
        lambda x: 0.8 * x[:, :, frame],
        lambda x: x[:, :, 8:12, 4:12],
    )
    survey = ClassSummary([measured(model, images, labels)])
    first = survey.suspicions[0]
    assert (first.label, first.part.name) == (1, name_border(1))
    assert survey.lines[1].startswith(f"class 1: swapped between images, {name_border(1)} decides ")
