"""Which samples a callback explains when nobody chose: the classes in turn, in any training."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from pytorch_lightning import LightningDataModule
from pytorch_lightning.callbacks import ModelCheckpoint
from tiny_training import (
    CLASSES,
    NO_STORY,
    TinyClassifier,
    fit,
    ours_raise,
    same,
    session_of,
    tiny_callback,
    tiny_loaders,
    tiny_trainer,
)
from torch.utils.data import ConcatDataset, DataLoader, Dataset, SubsetRandomSampler, TensorDataset
from torchvision import transforms
from torchvision.datasets import ImageFolder

from lightning_shap.engine.regions.image_tree import ImageTrees
from lightning_shap.training.samples.selection import LOOKS, MOST_LOOKS, look_up_labels

pytestmark = ours_raise


callback = partial(tiny_callback, n_samples=6, **NO_STORY)


def look_up(wanted):
    return look_up_labels(DataLoader(Endless(), 4), range(10**6), wanted, None, 0)


def sorted_data(rows=30, classes=CLASSES, first=0.0):
    """Rows sorted by class; the first pixel of each says which row it is."""
    images = torch.rand(rows, 1, 8, 8, generator=torch.Generator().manual_seed(0)) / 2
    images[:, 0, 0, 0] = first + torch.arange(rows)
    return TensorDataset(images, torch.arange(rows) * classes // rows)


def rows_of(explanation):
    return explanation.data[:, 0, 0, 0].astype(int).tolist()


def explain_rows(tmp_path, ours, validation, *others, train=None, **options):
    """What a training explains of a validation loader."""
    loaders = train or tiny_loaders()[0], validation
    fit(tmp_path, ours, *others, loaders=loaders, **{"max_epochs": 1, **options})
    return ours.explanation


def test_a_class_sorted_validation_set_is_explained_class_by_class(tmp_path):
    explanation = explain_rows(tmp_path, callback(), DataLoader(sorted_data(), 4))
    assert explanation.record.labels.tolist() == [0, 1, 2, 0, 1, 2]
    assert rows_of(explanation) == [2, 12, 22, 7, 17, 27]


@pytest.mark.parametrize(
    "options",
    [
        {"num_sanity_val_steps": 0},
        {"num_sanity_val_steps": 0, "check_val_every_n_epoch": 2, "max_epochs": 2},
        {"limit_val_batches": 1},
    ],
    ids=str,
)
def test_the_samples_do_not_depend_on_when_validation_runs(tmp_path, options):
    explanation = explain_rows(tmp_path, callback(), DataLoader(sorted_data(), 4), **options)
    assert rows_of(explanation) == [2, 12, 22, 7, 17, 27]


def test_a_sparse_validation_of_a_data_module_is_waited_for(tmp_path):
    class Data(LightningDataModule):
        asked = 0

        def train_dataloader(self):
            return tiny_loaders()[0]

        def val_dataloader(self):
            self.asked += 1
            return DataLoader(sorted_data(), 4)

    data, ours = Data(), callback()
    trainer = tiny_trainer(
        tmp_path, ours, max_epochs=2, num_sanity_val_steps=0, check_val_every_n_epoch=2
    )
    with pytest.warns(UserWarning, match="has no samples yet for 'epoch 0"):
        trainer.fit(TinyClassifier(), datamodule=data)
    assert rows_of(ours.explanation) == [2, 12, 22, 7, 17, 27]
    assert data.asked == 1  # by Lightning


def test_indices_are_never_silently_rows_of_the_training_set(tmp_path):
    options = {"num_sanity_val_steps": 0, "check_val_every_n_epoch": 5, "max_epochs": 1}
    explanation = explain_rows(
        tmp_path, callback(samples=[7, 3]), DataLoader(sorted_data(first=100), 4), **options
    )
    assert rows_of(explanation) == [107, 103]


def test_a_resume_explains_the_rows_of_the_validation_set(tmp_path):
    options = {"num_sanity_val_steps": 0, "check_val_every_n_epoch": 2}
    loaders = tiny_loaders()[0], DataLoader(sorted_data(first=100), 4)
    trainer = tiny_trainer(tmp_path, max_epochs=1, **options)
    trainer.fit(TinyClassifier(), *loaders)
    trainer.save_checkpoint(tmp_path / "kept.ckpt")
    ours = callback(samples=[7, 3])
    trainer = tiny_trainer(tmp_path, ours, max_epochs=2, **options)
    trainer.fit(TinyClassifier(), *loaders, ckpt_path=tmp_path / "kept.ckpt", weights_only=True)
    assert rows_of(ours.explanation) == [107, 103]


def test_rows_that_the_validations_sampler_leaves_out_are_not_explained(tmp_path):
    data = sorted_data()
    held_out = list(range(0, 30, 3))
    loader = DataLoader(data, 4, sampler=SubsetRandomSampler(held_out))
    explanation = explain_rows(tmp_path, callback(), loader, train=DataLoader(data, 4))
    assert set(rows_of(explanation)) <= set(held_out)
    assert sorted(explanation.record.labels.tolist()) == [0, 0, 1, 1, 2, 2]


def test_joined_data_sets_are_one(tmp_path):
    data = ConcatDataset([sorted_data(15), sorted_data(15, first=15)])
    explanation = explain_rows(tmp_path, callback(), DataLoader(data, 4))
    assert sorted(explanation.record.labels.tolist()) == [0, 0, 1, 1, 2, 2]


def test_without_validation_the_training_set_is_spread_over(tmp_path):
    ours = callback()
    trainer = tiny_trainer(tmp_path, ours, max_epochs=1)
    trainer.fit(TinyClassifier(), DataLoader(sorted_data(), 4, shuffle=True))
    assert rows_of(ours.explanation) == [2, 12, 22, 7, 17, 27]


def test_samples_of_one_class_are_a_warning(tmp_path):
    with pytest.warns(UserWarning, match="all 6 samples are of one class"):
        explain_rows(tmp_path, callback(), DataLoader(sorted_data(classes=1), 4))


@pytest.mark.parametrize("precision", ["bf16-true", "64-true"])
def test_regions_follow_the_images_as_the_data_has_them_in_every_precision(tmp_path, precision):
    data = sorted_data()
    ours = callback(samples=[2, 12, 22])
    explanation = explain_rows(tmp_path, ours, DataLoader(data, 4), precision=precision)
    images = data.tensors[0][[2, 12, 22]]
    assert not torch.equal(images.bfloat16().float(), images)
    assert torch.equal(session_of(ours).batch.pick.samples.images, images)
    assert np.array_equal(explanation.data, images.movedim(1, -1))
    trees = session_of(ours).batch.trees.grow(images)
    for tree, expected in zip(trees, ImageTrees().grow(images), strict=True):
        assert np.array_equal(tree.children, expected.children)


def test_samples_are_prepared_in_the_validations_stage(tmp_path):
    class Augmenting(TinyClassifier):
        def on_after_batch_transfer(self, batch, dataloader_idx):
            images, labels = batch
            augmented = self.trainer.training or self.training
            return images + 1000 * augmented, labels

    options = {"num_sanity_val_steps": 0, "check_val_every_n_epoch": 2}
    for arguments in ({}, {"samples": [2, 3]}):
        ours = callback(**arguments)
        explanation = explain_rows(
            tmp_path, ours, DataLoader(sorted_data(), 4), module=Augmenting(), **options
        )
        assert max(rows_of(explanation)) < 1000


class Counting(Dataset):
    """Draws and counts at each read, as a data set with a cache or a generator does."""

    def __init__(self):
        self.data = sorted_data()
        self.reads = 0
        self.generator = torch.Generator().manual_seed(0)

    def __len__(self):
        return len(self.data)

    def __getitem__(self, row):
        self.reads += 1
        image, label = self.data[row]
        return image + 0.01 * torch.rand(1, generator=self.generator), label


def test_reading_samples_leaves_no_trace_in_a_data_set(tmp_path):
    def trained(*callbacks):
        torch.manual_seed(0)
        data, module = Counting(), TinyClassifier()
        loader = DataLoader(data, 4)
        trainer = tiny_trainer(tmp_path, *callbacks, max_epochs=1)
        trainer.fit(module, loader, loader)
        return data.reads, data.generator.get_state(), module.state_dict()

    ours = callback()
    assert same(trained(ours), trained())
    assert len(ours.explanation) == 6


class Silent(Counting):
    """Says what its rows are of only when they are read."""

    def __getitem__(self, row):
        image, _ = super().__getitem__(row)
        return image, row % 4


def test_labels_that_only_rows_know_are_looked_up_without_a_trace(tmp_path):
    data, ours = Silent(), callback(n_samples=8)
    data.data = sorted_data(64)
    explanation = explain_rows(
        tmp_path, ours, DataLoader(data, 4), module=TinyClassifier(classes=4)
    )
    assert explanation.record.labels.tolist() == [0, 1, 2, 3] * 2
    plain = Silent()
    plain.data = data.data
    trainer = tiny_trainer(tmp_path, max_epochs=1)
    trainer.fit(TinyClassifier(classes=4), tiny_loaders()[0], DataLoader(plain, 4))
    assert data.reads == plain.reads
    assert torch.equal(data.generator.get_state(), plain.generator.get_state())


READS = []  # a module's, of which no copy has its own


class Endless(Silent):
    """More rows than anybody would read for their labels."""

    def __len__(self):
        return 10**6

    def __getitem__(self, row):
        READS.append(row)
        return self.data[row % 30][0], row % 4


def test_few_rows_are_read_for_their_labels(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "lightning_shap.training.samples.reading_process.sys.platform", "elsewhere"
    )  # no workers
    READS.clear()
    rows = look_up(8)
    assert (rows >= 0).sum() == len(READS) == LOOKS * 8
    assert {*rows[rows >= 0].tolist()} == {0, 1, 2, 3}
    READS.clear()
    look_up(256)
    assert len(READS) == MOST_LOOKS == 512


def test_samples_are_chosen_by_the_labels_that_the_user_names(tmp_path):
    images, kinds = sorted_data(32).tensors
    patients = torch.arange(32) % 2
    loader = DataLoader(TensorDataset(images, patients, kinds), 4)

    class Third(TinyClassifier):
        def loss(self, batch):
            return super().loss((batch[0], batch[-1]))

    found = explain_rows(tmp_path, callback(), loader, module=Third())
    assert found.record.labels.tolist() == [0, 1] * 3
    named = explain_rows(tmp_path, callback(labels=2), loader, module=Third())
    assert named.record.labels.tolist() == [0, 1, 2] * 2


class Hospital(Dataset):
    """Keeps as ``targets`` whose image each is, and knows the classes in its rows alone."""

    targets = tuple(row // 6 for row in range(30))

    def __len__(self):
        return 30

    def __getitem__(self, row):
        return sorted_data().tensors[0][row], int(row % 6 == 5)


def test_labels_that_are_not_those_of_the_rows_choose_no_samples(tmp_path):
    ours = callback()
    explain_rows(tmp_path, ours, DataLoader(Hospital(), 4))
    labels = ours.explanation.record.labels.tolist()
    assert labels == [int(row % 6 == 5) for row in session_of(ours).batch.pick.rows]
    assert {*labels} == {0, 1}


class Strange(Dataset):
    """Its rows have names instead of numbers."""

    def __init__(self):
        self.data = sorted_data()

    def __len__(self):
        return len(self.data)

    def __getitem__(self, name):
        return self.data[int(name.removeprefix("row "))]


class Names:
    def __iter__(self):
        return (f"row {row}" for row in range(30))

    def __len__(self):
        return 30


def test_rows_without_numbers_come_as_the_first_batches(tmp_path):
    with pytest.warns(UserWarning, match="of one class"):
        explanation = explain_rows(tmp_path, callback(), DataLoader(Strange(), 4, sampler=Names()))
    assert rows_of(explanation) == [0, 1, 2, 3, 4, 5]


@pytest.fixture
def folder(tmp_path) -> Path:
    for label, name in enumerate(("ant", "bee", "cat")):
        place = tmp_path / "data" / name
        place.mkdir(parents=True)
        for number in range(5):
            Image.new("L", (16, 12), 40 * label + number).save(place / f"{number}.png")
    return tmp_path / "data"


def test_a_checkpoint_says_how_its_images_were_prepared(tmp_path, folder):
    prepare = transforms.Compose(
        [
            transforms.Grayscale(),
            transforms.Resize(10),
            transforms.CenterCrop(8),
            transforms.ToTensor(),
            transforms.Normalize([0.4], [0.2]),
        ]
    )
    data = ImageFolder(str(folder), prepare)
    ours, keeper = callback(), ModelCheckpoint(tmp_path, filename="kept")
    loader = DataLoader(data, 4)
    explain_rows(tmp_path, ours, loader, keeper, train=loader, enable_checkpointing=True)
    checkpoint = torch.load(tmp_path / "kept.ckpt", weights_only=True)
    card = checkpoint["callbacks"][ours.state_key]["classifier"]
    assert (card["returns"], card["multi_label"]) == (None, False)
    assert card["class_names"] == ["ant", "bee", "cat"]
    assert card["input_size"] == [1, 8, 8]
    assert card["mean"] == pytest.approx([0.4])
    assert card["std"] == pytest.approx([0.2])
    assert card["crop_pct"] == 0.8
    assert card["interpolation"] == "bilinear"
    assert card["module_class"] == "tiny_training.TinyClassifier"
    assert card["dataset"] == str(folder)
    assert [Path(file).parent.name for file in card["files"]] == ["ant", "bee", "cat"] * 2
    assert card["labels"] == [0, 1, 2] * 2


def test_a_checkpoint_says_what_the_user_told_of_the_model(tmp_path, folder):
    prepare = transforms.Compose(
        [transforms.Grayscale(), transforms.Resize((8, 8)), transforms.ToTensor()]
    )
    loader = DataLoader(ImageFolder(str(folder), prepare), 4)
    told = {"class_names": ["c", "b", "a"], "mean": 0.5, "std": 0.25}
    ours, keeper = callback(**told, returns="logits"), ModelCheckpoint(tmp_path, filename="told")
    explain_rows(tmp_path, ours, loader, keeper, train=loader, enable_checkpointing=True)
    checkpoint = torch.load(tmp_path / "told.ckpt", weights_only=True)
    card = checkpoint["callbacks"][ours.state_key]["classifier"]
    assert card["class_names"] == ["c", "b", "a"]
    assert (card["mean"], card["std"], card["returns"]) == ([0.5], [0.25], "logits")
