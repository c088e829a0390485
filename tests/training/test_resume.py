"""A resumed run explains the same samples to the same bytes as one that never stopped."""

import pytest
import torch
from pytorch_lightning import seed_everything
from pytorch_lightning.callbacks import ModelCheckpoint
from tiny_training import (
    TinyClassifier,
    lightning_warns,
    same,
    tiny_data,
    tiny_loaders,
    tiny_trainer,
)
from torch.utils.data import DataLoader

from lightning_shap import ShapCallback

pytestmark = lightning_warns


class SeededByStep(TinyClassifier):
    """Draws what it draws by the step's number, so that a resumed run can repeat it."""

    def on_train_batch_start(self, batch, batch_idx):
        torch.manual_seed(self.global_step)


def fit(tmp_path, epochs, ckpt_path=None, shuffled=False, seed=0, arguments=(), **options):
    seed_everything(seed, verbose=False)
    ours = ShapCallback(**{"n_samples": 3, "max_evals": 20, "on_error": "raise", **dict(arguments)})
    keeper = ModelCheckpoint(tmp_path, filename="{epoch}", save_top_k=-1)
    trainer = tiny_trainer(
        tmp_path, ours, keeper, max_epochs=epochs, enable_checkpointing=True, **options
    )
    train = DataLoader(tiny_data(20), 4)
    validation = DataLoader(tiny_data(12, seed=1), 4, shuffle=shuffled)
    trainer.fit(SeededByStep(), train, validation, ckpt_path=ckpt_path, weights_only=True)
    return trainer.logger.pictures, ours


SITUATIONS = {
    "sanity check": {},
    "shuffled validation": {"shuffled": True},
    "shuffled validation, no sanity check": {"shuffled": True, "num_sanity_val_steps": 0},
    "samples by index": {"arguments": {"samples": [7, 2]}},
    "samples given": {"arguments": {"samples": tiny_data(2, seed=3).tensors}},
}


@pytest.mark.parametrize("name", SITUATIONS)
def test_pictures_after_a_resume_are_the_same_bytes(tmp_path, name):
    options = SITUATIONS[name]
    whole, _ = fit(tmp_path / "whole", 4, **options)
    begun, _ = fit(tmp_path / "parts", 2, **options)
    checkpoint = tmp_path / "parts" / "epoch=1.ckpt"
    resumed, _ = fit(tmp_path / "parts", 4, ckpt_path=checkpoint, seed=5, **options)

    steps = {step for _, step in resumed}
    assert steps == {15, 20}, "epochs 3 and 4, and no control"
    assert len(resumed) == 3  # with the final model
    assert all(same(picture, whole[key]) for key, picture in resumed.items())
    assert not any(same(whole["shap/attributions", 15], picture) for picture in begun.values())


@pytest.mark.parametrize("options", [{}, {"num_sanity_val_steps": 0}])
def test_every_checkpoint_holds_the_samples_and_little_else(tmp_path, options):
    _, ours = fit(tmp_path, 1, **options)
    checkpoint = torch.load(tmp_path / "epoch=0.ckpt", weights_only=True)
    state = checkpoint["callbacks"][ours.state_key]
    images = state["images"]
    assert images.shape == (3, 1, 8, 8)
    torch.save(state, tmp_path / "state")
    assert (tmp_path / "state").stat().st_size < images.nbytes + 2500
    # A view into a batch would have taken the whole batch along.
    assert images.untyped_storage().nbytes() == images.nbytes


def test_samples_that_the_user_gives_again_are_not_kept(tmp_path):
    _, ours = fit(tmp_path, 1, arguments={"samples": [0, 1]})
    assert ours.state_dict() == {}


def test_two_tags_keep_their_own_samples(tmp_path):
    first = ShapCallback(n_samples=2, max_evals=8, on_error="raise")
    second = ShapCallback(n_samples=4, max_evals=8, on_error="raise", tag="second")
    keeper = ModelCheckpoint(tmp_path, filename="kept")
    trainer = tiny_trainer(tmp_path, first, second, keeper, enable_checkpointing=True)
    trainer.fit(TinyClassifier(), *tiny_loaders())
    callbacks = torch.load(tmp_path / "kept.ckpt", weights_only=True)["callbacks"]
    assert len(callbacks[first.state_key]["images"]) == 2
    assert len(callbacks[second.state_key]["images"]) == 4
