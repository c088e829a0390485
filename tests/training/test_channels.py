"""Which channels of many a callback shows, everywhere that it shows images."""

import pytest
import torch
from tiny_training import TinyClassifier, ours_raise, tiny_trainer
from torch.utils.data import DataLoader, TensorDataset

from lightning_shap import ShapCallback
from lightning_shap.pictures import photographs

pytestmark = ours_raise


class OnFiveChannels(TinyClassifier):
    def forward(self, images):
        return super().forward(images[:, :1])


def test_every_picture_shows_the_channels_that_were_asked_for(tmp_path, monkeypatch):
    asked = []
    original = photographs.Photographs.__init__

    def note(self, data, mean=None, std=None, channels=None):
        asked.append(channels)
        original(self, data, mean, std, channels)

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


@pytest.mark.parametrize("channels", [[0, 1], [], -1, [0, 1, -2]])
def test_channels_that_no_picture_can_show_are_refused_at_once(channels):
    with pytest.raises(ValueError, match="channels: got"):
        ShapCallback(channels=channels)
