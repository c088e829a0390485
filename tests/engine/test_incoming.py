"""What comes in: tensors of any class count as their numbers, and what is no images is named."""

import numpy as np
import pytest
import torch
from generic_model import Generic, generic_images
from lightning_fabric import Fabric
from tiny_training import (
    NO_STORY,
    TinyClassifier,
    ours_raise,
    session_of,
    tiny_loaders,
    tiny_trainer,
)
from torch.utils.data import DataLoader, Dataset
from torchvision import tv_tensors
from torchvision.ops import Permute

from lightning_shap import AttributionShare, InsertionAUC, ShapCallback, explain
from lightning_shap.errors import ArgumentTypeError
from lightning_shap.training.samples.samples import find_samples

pytestmark = ours_raise
SHAPE = (3, 9, 8)


class Unusable(torch.Tensor):
    """Every function of torch's fails on it, as some fail on other subclasses."""

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        raise RuntimeError(f"{function} was called")


class OwnSignature(torch.Tensor):
    """One of MONAI's ways: ``new_empty`` takes the size as one argument."""

    def new_empty(self, size, dtype=None, device=None, requires_grad=False):
        return super().new_empty(size, dtype=dtype, device=device, requires_grad=requires_grad)


def of_monai(tensor):
    return pytest.importorskip("monai.data").MetaTensor(tensor)


disguises = pytest.mark.parametrize(
    "disguise",
    [
        lambda tensor: tensor.as_subclass(Unusable),
        lambda tensor: tensor.as_subclass(OwnSignature),
        lambda tensor: tensor.as_subclass(tv_tensors.Image),
        pytest.param(of_monai, marks=pytest.mark.filterwarnings("ignore")),
    ],
    ids=["unusable", "own signature", "torchvision", "MONAI"],
)


@disguises
@pytest.mark.parametrize("method", ["partition", "kernel", "gradient"])
def test_an_explanation_is_that_of_plain_tensors(disguise, method):
    model, images = Generic(SHAPE), generic_images(2, *SHAPE)
    labels, targets = torch.tensor([0, 1]), torch.tensor([[0, 1], [1, 2]])
    given = {"background": generic_images(1, *SHAPE, seed=1), "labels": labels, "targets": targets}
    found = []
    for of in (disguise, lambda tensor: tensor):
        more = {"backgrounds": of(given["background"])} if method == "gradient" else {}
        found.append(
            explain(
                model,
                of(images),
                method=method,
                max_evals=20,
                labels=of(labels),
                targets=of(targets),
                masker=of(given["background"][0]),
                **more,
            )
        )
    assert found[0].values.tobytes() == found[1].values.tobytes()
    assert np.array_equal(found[0].record.labels, found[1].record.labels)


@disguises
def test_metrics_of_them_are_those_of_plain_tensors(disguise):
    model, images = Generic(SHAPE), generic_images(2, *SHAPE)
    maps, targets = torch.rand(2, 9, 8), torch.tensor([0, 1])
    masks, boxes = torch.rand(2, 9, 8) > 0.5, torch.tensor([[0, 0, 4, 4], [1, 1, 5, 5]])
    numbers = []
    for of in (disguise, lambda tensor: tensor):
        curve, shares = InsertionAUC(steps=4, masker=0.0), [AttributionShare(), AttributionShare()]
        curve.update(model, of(maps), images=of(images), targets=of(targets))
        shares[0].update(of(maps), masks=of(masks))
        shares[1].update(of(maps), boxes=[of(box) for box in boxes])
        numbers.append([metric.compute().item() for metric in (curve, *shares)])
    assert numbers[0] == numbers[1]


@disguises
def test_a_batch_of_them_is_one_of_plain_tensors(disguise):
    images, labels = torch.rand(4, 1, 8, 8), torch.tensor([[0.0], [1], [2], [1]])
    found = find_samples({"image": disguise(images), "label": disguise(labels)})
    assert type(found.images) is type(found.labels) is torch.Tensor
    assert torch.equal(found.images, images)
    assert found.labels.tolist() == [0, 1, 2, 1]


class OfMonai(Dataset):
    def __len__(self):
        return 12

    def __getitem__(self, row):
        image = torch.rand(1, 8, 8, generator=torch.Generator().manual_seed(row))
        return {"image": of_monai(image), "label": row % 3}


class ReadsDictionaries(TinyClassifier):
    def training_step(self, batch, batch_idx):
        return super().training_step((batch["image"], batch["label"]), batch_idx)

    def validation_step(self, batch, batch_idx):
        return super().validation_step((batch["image"], batch["label"]), batch_idx)


@pytest.mark.filterwarnings("ignore:.*:DeprecationWarning", "ignore:.*:FutureWarning")
@pytest.mark.parametrize("samples", [None, [0, 1, 2], "mistakes"])
def test_a_training_with_monais_tensors_is_explained(samples, tmp_path):
    data = pytest.importorskip("monai.data")
    loaders = [DataLoader(OfMonai(), 4, collate_fn=data.list_data_collate) for _ in range(2)]
    ours = ShapCallback(3, samples=samples, max_evals=12, on_error="raise", **NO_STORY)
    tiny_trainer(tmp_path, ours, max_epochs=1).fit(ReadsDictionaries(), *loaders)
    assert type(session_of(ours).batch.pick.samples.images) is torch.Tensor
    assert ours.explanation.record.labels.shape == (3,)


labels = torch.zeros(2, dtype=torch.int64)


@pytest.mark.parametrize(
    ("batch", "words"),
    [
        ((torch.rand(2, 3, 16, 32, 32), labels), "videos, volumes"),
        ((torch.rand(2, 1, 16000), labels), "waveforms"),
        ((torch.rand(2, 16000), labels), "waveforms"),
        ((torch.rand(2, 28, 28), labels), r"give images\[:, None\] where the axis of channels"),
        (([torch.rand(3, 9, 8)] * 2, [{"boxes": torch.rand(1, 4)}] * 2), "for detection"),
        ([{"image": torch.rand(3, 9, 8)}, {"image": torch.rand(3, 9, 8)}], "for detection"),
        ((torch.zeros(2, 3, 9, 8, dtype=torch.uint8), labels), r"\(images.float\(\), labels\)"),
        ({"names": ["a", "b"], "label": labels}, "no images in a batch of dict"),
    ],
)
def test_a_batch_without_images_is_said_in_one_sentence(batch, words):
    with pytest.raises(ValueError, match=f"^samples: found .*{words}") as raised:
        find_samples(batch)
    assert len(str(raised.value)) < 300


@pytest.mark.parametrize(
    ("shape", "words"),
    [((2, 3, 16, 32, 32), "videos"), ((2, 1, 16000), "waveforms"), ((3, 9, 8), "None")],
)
def test_images_of_another_kind_are_named(shape, words):
    with pytest.raises(ValueError, match=words):
        explain(Generic(SHAPE), torch.rand(shape))


class OnBytes(TinyClassifier):
    def forward(self, images):
        return super().forward(images.float() / 255)


def test_the_cure_of_a_training_on_bytes_cures(tmp_path):
    train, validation = tiny_loaders()
    for loader in (train, validation):
        images, labels = loader.dataset.tensors
        loader.dataset.tensors = (255 * images.sigmoid()).byte(), labels
    images, labels = validation.dataset.tensors
    for samples in (None, (images, labels)):
        ours = ShapCallback(3, samples=samples, max_evals=12, on_error="raise", **NO_STORY)
        with pytest.raises(ValueError, match=r"samples=\(images.float\(\), labels\)"):
            tiny_trainer(tmp_path, ours, max_epochs=1).fit(OnBytes(), train, validation)
    cured = (images[:3].float(), labels[:3])
    ours = ShapCallback(3, samples=cured, max_evals=12, on_error="raise", **NO_STORY)
    model = OnBytes()
    tiny_trainer(tmp_path, ours, max_epochs=1).fit(model, train, validation)
    with torch.no_grad():
        expected = model.eval()(images[:3])
    np.testing.assert_allclose(ours.explanation.record.outputs, expected, atol=1e-5)


class ChannelsLast(torch.nn.Module):
    def __init__(self):
        super().__init__()
        same = torch.nn.Conv2d(3, 3, 1, bias=False, dtype=torch.float64)
        torch.nn.init.dirac_(same.weight)
        self.network = torch.nn.Sequential(same, Generic(SHAPE))

    def forward(self, images):
        return self.network(images.movedim(-1, 1))


def test_the_cure_of_channels_last_cures():
    images = generic_images(2, *SHAPE)
    with pytest.raises(ValueError, match=r"Permute\(\[0, 2, 3, 1\]\), model\)"):
        explain(ChannelsLast(), images.permute(0, 2, 3, 1).contiguous())
    wrapped = torch.nn.Sequential(Permute([0, 2, 3, 1]), ChannelsLast())
    found = explain(wrapped, images, max_evals=20)
    assert found.values.tobytes() == explain(Generic(SHAPE), images, max_evals=20).values.tobytes()


def test_an_ensembles_rows_are_named_and_explained_as_their_mean():
    members = [Generic(SHAPE, seed=seed) for seed in range(4)]

    def ensemble(images):
        return torch.cat([member(images) for member in members])

    images = generic_images(2, *SHAPE)
    with pytest.raises(
        ValueError, match=r"returned 16 rows for 4 images; .* an ensemble's members"
    ):
        explain(ensemble, images, max_evals=4)
    found = explain(ensemble, images, max_evals=20, output=lambda o: o.view(4, -1, 3).mean(0))
    mean = torch.stack([member(images) for member in members]).mean(0).detach()
    np.testing.assert_allclose(found.record.outputs, mean, rtol=1e-9)


@pytest.mark.parametrize("method", ["partition", "gradient"])
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "bf16-true"])
def test_what_fabric_has_set_up_is_explained_in_its_precision(method, precision):
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3), torch.nn.Flatten(), torch.nn.LazyLinear(3)
    )
    images = torch.rand(2, *SHAPE)
    network(images)
    ours = Fabric(accelerator="cpu", devices=1, precision=precision).setup(network)
    found = explain(ours, images, method=method, max_evals=20, topk=1)
    with torch.no_grad():
        expected = ours(images).double().numpy()
    # But for the rounding of another layout; that of bfloat16 is a thousand times as large.
    np.testing.assert_allclose(found.record.outputs, expected, rtol=0, atol=1e-6)
    assert torch.get_default_dtype() == torch.float32
    assert not torch.is_autocast_enabled("cpu")
    assert all(parameter.grad is None for parameter in ours.parameters())


def test_a_detectors_output_is_named_as_one():
    def detect(images):
        return [{"boxes": torch.rand(1, 4), "scores": torch.rand(1)} for _ in images]

    with pytest.raises(
        ArgumentTypeError, match="model: returned list, in which no logits were found"
    ):
        explain(detect, torch.rand(2, 3, 9, 8), max_evals=8)
