"""The exported augmentation takes from a class what gives it away, and leaves all else."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis.extra.numpy import arrays

from lightning_shap.analysis.class_summary.cure import (
    Cure,
    find_boxes,
    make_cure,
    mark_places,
    write_code,
)
from lightning_shap.analysis.class_summary.parts import FINE, list_parts
from lightning_shap.errors import ArgumentError

PARTS = {part.name: part for part in list_parts()}
PLACES = [name for name, part in PARTS.items() if part.mask is not None]
SIDE = 32


def some_images():
    torch.manual_seed(0)
    return torch.rand(6, 3, SIDE, SIDE)


@given(arrays(bool, (FINE, FINE)))
def test_boxes_are_the_cells_and_no_two_overlap(cells):
    drawn = np.zeros((FINE, FINE), int)
    for left, top, right, bottom in find_boxes(cells):
        rows, columns = slice(int(top * FINE), int(bottom * FINE)), (left, right)
        drawn[rows, int(columns[0] * FINE) : int(columns[1] * FINE)] += 1
    assert np.array_equal(drawn, cells)


@pytest.mark.parametrize("name", PLACES)
@pytest.mark.parametrize("how", ["exchange", "blur", "cover"])
def test_only_the_place_changes(name, how):
    images, mask = some_images(), torch.from_numpy(PARTS[name].mask(SIDE, SIDE))
    cured = make_cure([PARTS[name]], how=how, p=1.0)(images)
    assert torch.equal(cured[:, :, ~mask], images[:, :, ~mask])
    assert not torch.isclose(cured[:, :, mask], images[:, :, mask]).all(dim=(1, 2)).any()


def test_what_is_exchanged_is_another_image_s_of_the_batch():
    images = torch.arange(5.0).view(5, 1, 1, 1).expand(5, 1, SIDE, SIDE).clone()
    for seed in range(20):
        torch.manual_seed(seed)
        found = Cure([(0, 0, 1, 1)], p=1.0)(images)[:, 0, 0, 0].tolist()
        assert sorted(found) == [0, 1, 2, 3, 4]
        assert all(own != other for own, other in enumerate(found))


def test_properties_are_exchanged_and_only_these():
    images = some_images() * torch.linspace(0.2, 1, 6).view(6, 1, 1, 1)
    cured = make_cure([PARTS["tint and brightness"]], p=1.0)(images)
    for measure in (torch.mean, torch.std):  # each image has another's, of each colour
        given, taken = (measure(some, (2, 3)).sort(dim=0).values for some in (images, cured))
        assert torch.allclose(taken, given, atol=1e-5)
    patterns = [
        (some - some.mean((2, 3), keepdim=True)) / some.std((2, 3), keepdim=True)
        for some in (images, cured)
    ]
    assert torch.allclose(*patterns, atol=1e-3)
    assert Cure(detail=True, how="cover", p=1.0)(images).var() < images.var() / 2
    assert make_cure([PARTS["fine detail"]]).detail
    assert make_cure([PARTS["sharpness"]]).detail


@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
def test_so_many_images_are_changed(p):
    torch.manual_seed(0)
    images = torch.rand(2000, 1, 4, 4)
    changed = (Cure([(0, 0, 1, 1)], p=p)(images) != images).flatten(1).any(1).float().mean()
    assert changed == pytest.approx(p, abs=0.04)


def test_labels_pass_and_a_single_image_can_be_covered():
    images, labels = some_images(), torch.arange(6)
    cured, same = Cure([(0, 0, 0.5, 1)], how="cover", p=1.0)(images, labels)
    assert torch.equal(same, labels)
    single = Cure([(0, 0, 0.5, 1)], how="cover", p=1.0)(images[0])
    assert torch.equal(single, cured[0])


def test_the_code_stands_alone_and_does_the_same():
    cure = make_cure([PARTS["the lower edge"], PARTS["fine detail"]], p=0.7)
    code = write_code(cure)
    assert "lightning_shap" not in code
    written = {}
    exec(compile(code, "classes_cure.py", "exec"), written)
    torch.manual_seed(1)
    expected = cure(some_images())
    torch.manual_seed(1)
    assert torch.equal(written["cure"](some_images()), expected)


def test_what_will_not_do_is_refused_by_name():
    with pytest.raises(ArgumentError, match="cure: there is nothing to cure"):
        make_cure([])
    with pytest.raises(ArgumentError, match="a tint can only be exchanged"):
        make_cure([PARTS["tint and brightness"]], how="blur")
    with pytest.raises(ArgumentError, match="give 'exchange', 'blur' or 'cover'"):
        make_cure([PARTS["the lower edge"]], how="burn")
    with pytest.raises(ValueError, match="give a batch"):
        Cure([(0, 0, 1, 1)])(some_images()[0])


def test_masks_are_of_the_classes_that_have_a_place(found):
    names = np.array(["a", "b"])
    masks = mark_places(found, names, (SIDE, SIDE))
    assert [*masks] == ["b"]
    assert np.array_equal(masks["b"], PARTS["the upper edge"].mask(SIDE, SIDE))


@pytest.fixture
def found():
    from swap_noise import plant

    from lightning_shap.analysis.class_summary.suspicions import find_suspicions

    return find_suspicions(plant({"the upper edge": 0.9}))


@pytest.mark.parametrize("name", PLACES)
@pytest.mark.parametrize("size", [(8, 8), (10, 28), (36, 44), (225, 227)])
def test_the_place_that_was_found_is_the_place_that_is_cured(name, size):
    images = torch.stack([torch.zeros(1, *size), torch.ones(1, *size)])
    cured = make_cure([PARTS[name]])(images)
    assert np.array_equal(cured[0, 0].numpy() == 1, PARTS[name].mask(*size))
