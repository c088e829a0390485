"""How images were normalised, found in real transforms and models and in what looks like them."""

from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import timm
import torch
from torch import nn
from torch.utils.data import DataLoader, Subset
from torchvision.datasets import FakeData
from torchvision.models import ResNet18_Weights
from torchvision.transforms import v2

from lightning_shap.training.samples.normalisation import find_normalisation, find_steps

MEAN, STD = [0.5, 0.4, 0.3], [0.3, 0.2, 0.1]

pixels = torch.rand(6, 3, 12, 12, generator=torch.Generator().manual_seed(0))
normalise = v2.Normalize(MEAN, STD)
prepared = normalise(pixels)


class Rows:
    """A data set that prepares its images by what it keeps under a name of its own."""

    def __init__(self, prepare):
        self.prepare = prepare
        self.files = ["a file"] * 10_000
        self.cache = dict.fromkeys(range(6), pixels[0])

    def __len__(self):
        return len(pixels)

    def __getitem__(self, row):
        return self.prepare(pixels[row])


def closure(transform):
    def prepare(image):
        parts = [transform(part) for part in [image]]
        return parts[0]

    return prepare


def by_global(image):
    parts = [normalise(part) for part in [image]]
    return parts[0]


def by_another(image):
    return by_global(image)


class Wrapped:
    def __init__(self, transform):
        self.inner = {"eval": [transform]}

    def __call__(self, image):
        return self.inner["eval"][0](image)

    def method(self, image):
        return self(image)


@pytest.mark.parametrize(
    "prepare",
    [
        normalise,
        v2.Compose([v2.Identity(), normalise]),
        nn.Sequential(v2.Identity(), nn.Sequential(v2.Compose([normalise]))),
        v2.Compose([v2.RandomApply([v2.Compose([nn.Sequential(normalise)])], p=1.0)]),
        v2.Lambda(lambda image: normalise(image)),
        closure(normalise),
        closure(closure(nn.Sequential(normalise))),
        by_global,
        by_another,
        partial(lambda transform, image: transform(image), normalise),
        partial(lambda image, transform: transform(image), transform=normalise),
        lambda image, transform=normalise: transform(image),
        Wrapped(normalise),
        Wrapped(normalise).method,
        normalise.forward,
    ],
)
@pytest.mark.parametrize("wrap", [lambda rows: rows, lambda rows: DataLoader(Subset(rows, [0]))])
def test_a_normalize_is_found_wherever_a_data_set_calls_it(prepare, wrap):
    rows = Rows(prepare)
    images = torch.stack([rows[row] for row in range(6)])
    assert find_normalisation([wrap(rows)], nn.Identity(), images) == (MEAN, STD)


half = v2.Normalize([0.5] * 3, [0.5] * 3)


class OfItsClass:
    transform = v2.Compose([normalise])
    unused = half

    def __getitem__(self, row):
        return self.transform(pixels[row])


class ByAMethod:
    scale = half
    train = False

    def __getitem__(self, row):
        return self.prepare(pixels[row])

    def prepare(self, image):
        (scaled,) = [self.scale(part) for part in [image]]
        return scaled


class OfItsModule:
    def __getitem__(self, row):
        return normalise(pixels[row])


class OfEither:
    train = False

    def __getitem__(self, row):
        return (half if self.train else normalise)(pixels[row])


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        (OfItsClass(), (MEAN, STD)),
        (ByAMethod(), ([0.5] * 3, [0.5] * 3)),
        (OfItsModule(), (MEAN, STD)),
        (OfEither(), (MEAN, STD)),  # the other leads beyond photographs
    ],
)
def test_what_getitem_takes_by_name_is_found(rows, found):
    images = torch.stack([rows[row] for row in range(6)])
    assert find_normalisation([Subset(rows, [0])], nn.Identity(), images) == found


def test_what_a_data_set_holds_is_found_beside_what_its_getitem_takes_by_name():
    rows = OfItsModule()
    rows.transform = half
    assert find_normalisation([rows], nn.Identity(), pixels * 2 - 1) == ([0.5] * 3, [0.5] * 3)


def test_what_a_loader_collates_with_is_asked_too():
    loader = DataLoader(pixels, 6, collate_fn=lambda rows: normalise(torch.stack(rows)))
    assert find_normalisation([loader], nn.Identity(), next(iter(loader))) == (MEAN, STD)


@pytest.mark.parametrize(
    ("transform", "mean"),
    [
        (ResNet18_Weights.DEFAULT.transforms(), [0.485, 0.456, 0.406]),
        (timm.data.create_transform(16, mean=(0.5,) * 3, std=(0.25,) * 3), [0.5] * 3),
    ],
    ids=["torchvision's preset", "timm's"],
)
def test_the_transforms_of_libraries_are_read(transform, mean):
    rows = FakeData(4, (3, 20, 20), transform=transform)
    images = torch.stack([rows[row][0] for row in range(4)])
    found = find_normalisation([rows], nn.Identity(), images)
    np.testing.assert_allclose(found[0], mean, atol=1e-6)


def test_other_things_with_a_mean_are_not_believed():
    noise = SimpleNamespace(mean=0.0, std=0.1)
    noise_too = type("Noise", (), {"mean": 0.0, "std": 0.1, "__call__": lambda _, image: image})()
    for prepare in (noise_too, v2.Compose([lambda image: noise_too(image)]), lambda _: noise):
        assert find_normalisation([Rows(prepare)], nn.Identity(), pixels) is None


def test_one_that_was_not_applied_is_passed_over():
    other = v2.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    for applied in (other, half):
        rows = SimpleNamespace(train=other, transform=half)
        found = find_normalisation([rows], nn.Identity(), applied(pixels))
        assert found == (applied.mean, applied.std)


@pytest.mark.parametrize("width", [1, 2])
def test_numbers_must_fit_the_channels(width):
    rows = SimpleNamespace(transform=v2.Normalize([0.5] * width, [0.5] * width))
    found = find_normalisation([rows], nn.Identity(), pixels * 2 - 1)
    assert found == (([0.5] * 3, [0.5] * 3) if width == 1 else None)


def test_a_model_among_a_data_sets_attributes_is_not_searched():
    teacher = nn.Sequential(nn.Linear(2, 2), v2.Normalize([0.5] * 3, [0.5] * 3))
    assert list(find_steps(teacher)) == []
    assert find_normalisation([SimpleNamespace(f=teacher)], nn.Identity(), pixels * 2 - 1) is None


def test_cycles_have_an_end():
    first, second = Wrapped(None), Wrapped(normalise)
    first.inner["eval"], second.back = [second], first
    assert normalise in list(find_steps(first))


# Image processors


class Processor:
    """An image processor's attributes, and what Hugging Face's do by them."""

    def __init__(self, **settings):
        usual = {"do_rescale": True, "rescale_factor": 1 / 255, "do_normalize": True}
        vars(self).update({**usual, "image_mean": MEAN, "image_std": tuple(STD), **settings})

    def __call__(self, image):
        image = image * 255
        if self.do_rescale:
            image = image * self.rescale_factor - int(getattr(self, "rescale_offset", False))
        if self.do_normalize:
            image = v2.functional.normalize(image, self.image_mean, self.image_std)
        return image


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"rescale_factor": 1 / 127.5, "rescale_offset": True},
        {"rescale_factor": 1 / 127.5, "rescale_offset": True, "do_normalize": False},
        {"do_rescale": False, "image_mean": [127.5] * 3, "image_std": [100.0] * 3},
        {"do_normalize": False},
    ],
)
def test_image_processors_are_undone(settings):
    rows = Rows(closure(Processor(**settings)))
    images = torch.stack([rows[row] for row in range(6)])
    mean, std = (
        torch.tensor(side)[:, None, None]
        for side in find_normalisation([rows], nn.Identity(), images)
    )
    torch.testing.assert_close(images * std + mean, pixels)


def test_a_transform_that_is_set_on_a_data_set_is_found():
    """As Hugging Face's data sets keep it."""
    rows = SimpleNamespace(
        format={"type": "custom", "format_kwargs": {"transform": closure(Processor())}}
    )
    found = find_normalisation([rows], nn.Identity(), prepared)
    np.testing.assert_allclose(found, (MEAN, STD))


# Models


def with_config(mean, std):
    module = nn.Identity()
    module.pretrained_cfg = {"mean": mean, "std": std}
    return module


def test_the_networks_own_statistics_are_used_only_where_they_lead_back_to_photographs():
    module = with_config((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    images = v2.functional.normalize(pixels, *map(list, module.pretrained_cfg.values()))
    found = find_normalisation([], module, images)
    assert found == ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    assert find_normalisation([], module, pixels * 2 - 1) is None
    assert find_normalisation([], module, pixels) is None


def test_a_normalize_that_a_module_keeps_is_used_only_if_it_was_applied():
    module = nn.Sequential(normalise, nn.Linear(2, 2))
    assert find_normalisation([], module, prepared) == (MEAN, STD)
    assert find_normalisation([], module, pixels) is None


# The real ones


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("ViTImageProcessor", {}),
        ("ViTImageProcessor", {"do_normalize": False}),
        ("CLIPImageProcessor", {}),
        ("EfficientNetImageProcessor", {}),
        ("EfficientNetImageProcessor", {"rescale_factor": 1 / 127.5, "rescale_offset": True}),
    ],
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_real_image_processors_set_on_real_data_sets_are_undone(kind, settings):
    transformers, datasets = map(pytest.importorskip, ("transformers", "datasets"))
    processor = getattr(transformers, kind)(do_resize=False, do_center_crop=False, **settings)
    pictures = (pixels * 255).round().byte().movedim(1, -1).tolist()

    def prepare(batch):
        return dict(processor([np.uint8(p) for p in batch["picture"]], return_tensors="pt"))

    rows = datasets.Dataset.from_dict({"picture": pictures}).with_transform(prepare)
    images = torch.stack([torch.as_tensor(rows[row]["pixel_values"]) for row in range(6)])
    found = find_normalisation([DataLoader(rows)], nn.Identity(), images)
    mean, std = (torch.tensor(side)[:, None, None] for side in found)
    torch.testing.assert_close(images * std + mean, pixels, atol=0.003, rtol=0)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_real_albumentations_are_read():
    albumentations = pytest.importorskip("albumentations")
    for kind, expected in (("standard", (MEAN, STD)), ("image", None)):
        transform = albumentations.Compose(
            [albumentations.Normalize(MEAN, STD, max_pixel_value=1.0, normalization=kind)]
        )

        def prepare(image, transform=transform):
            return torch.from_numpy(transform(image=image.movedim(0, -1).numpy())["image"])

        rows = Rows(prepare)
        images = torch.stack([rows[row].movedim(-1, 0) for row in range(6)])
        assert find_normalisation([rows], nn.Identity(), images) == expected
