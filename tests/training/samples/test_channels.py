"""Which channels of many a callback shows, everywhere that it shows images."""

import pytest
import torch
from tiny_training import TinyClassifier, ours_raise, pl, session_of, tiny_trainer
from torch.utils.data import DataLoader, Subset, TensorDataset

from lightning_shap import ShapCallback
from lightning_shap.pictures import photographs

pytestmark = [pytest.mark.draws, *ours_raise]


class OnFiveChannels(TinyClassifier):
    def forward(self, images):
        return super().forward(images[:, :1])


def test_every_picture_shows_the_channels_that_were_asked_for(tmp_path, monkeypatch):
    asked = []
    original = photographs.Photographs.__init__

    def note(self, data, **look):
        asked.append(look["channels"])
        original(self, data, **look)

    monkeypatch.setattr(photographs.Photographs, "__init__", note)
    data = TensorDataset(torch.rand(40, 5, 8, 8), torch.arange(40) % 3)
    ours = ShapCallback(
        3,
        channels=[3, 2, 1],
        max_evals=12,
        on_error="raise",
        summary=32,
        report=True,
        save_dir=str(tmp_path / "pictures"),
        evolution="animated",
    )
    trainer = tiny_trainer(tmp_path, ours, max_epochs=2)
    trainer.fit(OnFiveChannels(), DataLoader(data, 4), DataLoader(data, 4))
    assert asked
    assert all(channels == [3, 2, 1] for channels in asked)


class Bands(TensorDataset):
    """Five bands, as torchgeo's data sets name them."""

    rgb_bands = ("B04", "B03", "B02")
    all_bands = ("B02", "B03", "B04", "B08", "B11")


ORDERED = ["B11", "B04", "B02", "B03", "B08"]


@pytest.mark.parametrize(
    ("attributes", "shown"),
    [
        ({}, [2, 1, 0]),
        ({"bands": list(Bands.all_bands)}, [2, 1, 0]),
        ({"bands": ORDERED}, None),  # which of both orders is it?
        ({"bands": ORDERED, "all_bands": (*ORDERED, "B12")}, [1, 3, 2]),
        ({"bands": ORDERED, "all_bands": None}, [1, 3, 2]),
        ({"all_bands": ("B02", "B03", "B04")}, None),  # the images have more
        ({"rgb_bands": ("red", "green", "blue")}, None),
        ({"rgb_bands": "RGB"}, None),
    ],
)
def test_a_data_sets_own_bands_are_shown(tmp_path, attributes, shown):
    data = Bands(torch.rand(8, 5, 8, 8), torch.arange(8) % 3)
    vars(data).update(attributes)
    ours = ShapCallback(3, max_evals=12, on_error="raise")
    trainer = tiny_trainer(tmp_path, ours, max_epochs=1)
    trainer.fit(OnFiveChannels(), DataLoader(data, 4), DataLoader(Subset(data, range(8)), 4))
    assert session_of(ours).look["channels"] == shown
    assert session_of(ours).card.shown_channels == shown


class BandsModule(pl.LightningDataModule):
    def __init__(self, data):
        super().__init__()
        self.data = data
        self.rgb_bands, self.bands = ["B04", "B03", "B02"], ORDERED

    def train_dataloader(self):
        return DataLoader(self.data, 4)

    val_dataloader = train_dataloader


@pytest.mark.parametrize(("kind", "shown"), [(TensorDataset, [1, 3, 2]), (Bands, None)])
def test_a_data_modules_own_bands_are_shown_if_its_data_sets_agree(tmp_path, kind, shown):
    data = kind(torch.rand(8, 5, 8, 8), torch.arange(8) % 3)
    ours = ShapCallback(3, max_evals=12, on_error="raise")
    trainer = tiny_trainer(tmp_path, ours, max_epochs=1)
    trainer.fit(OnFiveChannels(), datamodule=BandsModule(data))
    assert session_of(ours).card.shown_channels == shown


def test_what_the_user_gives_is_shown_and_goes_into_the_card(tmp_path):
    data = Bands(torch.rand(8, 5, 8, 8), torch.arange(8) % 3)
    ours = ShapCallback(3, max_evals=12, channels=4, on_error="raise")
    trainer = tiny_trainer(tmp_path, ours, max_epochs=1)
    trainer.fit(OnFiveChannels(), DataLoader(data, 4), DataLoader(data, 4))
    assert session_of(ours).look["channels"] == [4]
    assert session_of(ours).card.shown_channels == [4]


@pytest.mark.parametrize("channels", [[0, 1], [], -1, [0, 1, -2]])
def test_channels_that_no_picture_can_show_are_refused_at_once(channels):
    with pytest.raises(ValueError, match="channels: got"):
        ShapCallback(channels=channels)
