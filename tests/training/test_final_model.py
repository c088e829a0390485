"""The last explanation is of the weights that ``fit`` leaves behind, and of no others."""

from datetime import timedelta
from functools import partial

import numpy as np
import pytest
import torch
from pytorch_lightning import Callback
from pytorch_lightning.callbacks import (
    EarlyStopping,
    EMAWeightAveraging,
    ModelCheckpoint,
    StochasticWeightAveraging,
    WeightAveraging,
)
from tiny_training import (
    TinyClassifier,
    lightning_warns,
    same,
    tiny_callback,
    tiny_data,
    tiny_loaders,
    tiny_trainer,
)

pytestmark = lightning_warns

GIVEN = tiny_data(3).tensors


callback = partial(tiny_callback, samples=GIVEN, max_evals=8, explain_untrained=False)


def outputs_of(module):
    module.eval()
    with torch.no_grad():
        return module(GIVEN[0]).double().numpy()


def check_explained_what_is_left(trainer, module, ours):
    explained = ours.explanation.record.outputs
    np.testing.assert_allclose(explained, outputs_of(module), rtol=0, atol=1e-5)
    keys = {key for key, _ in trainer.logger.pictures}
    assert "shap_final/attributions" in keys


AVERAGING = {
    "exponential": lambda: EMAWeightAveraging(decay=0.5),
    "plain": WeightAveraging,
    "stochastic": lambda: StochasticWeightAveraging(swa_lrs=0.05, swa_epoch_start=1),
}


@pytest.mark.parametrize("place", ["before", "after"])
@pytest.mark.parametrize("kind", AVERAGING)
def test_averaged_weights_are_explained(tmp_path, kind, place):
    ours, averaging = callback(), AVERAGING[kind]()
    both = [averaging, ours] if place == "before" else [ours, averaging]
    trainer, module = tiny_trainer(tmp_path, *both, max_epochs=3), TinyClassifier()
    trainer.fit(module, *tiny_loaders())
    check_explained_what_is_left(trainer, module, ours)


class Stopping(Callback):
    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        trainer.should_stop = trainer.global_step >= 7


ENDS = {
    "early stopping": ([lambda: EarlyStopping("val/loss", stopping_threshold=9.0)], {}),
    "a stop in mid-epoch": ([Stopping], {}),
    "max_steps in mid-epoch": ([], {"max_steps": 7}),
    "max_time": ([], {"max_time": timedelta(seconds=0.3), "max_epochs": 10_000}),
}


@pytest.mark.parametrize("end", ENDS)
def test_the_model_is_explained_however_training_ends(tmp_path, end):
    others, options = ENDS[end]
    ours = callback(every_n_epochs=0)
    trainer = tiny_trainer(tmp_path, ours, *[make() for make in others], **options)
    module = TinyClassifier()
    trainer.fit(module, *tiny_loaders())
    check_explained_what_is_left(trainer, module, ours)
    assert {step for key, step in trainer.logger.pictures if "_final" in key} == {
        trainer.global_step - 1
    }


@pytest.mark.parametrize("method_of", [TinyClassifier, None])
def test_the_best_checkpoint_is_explained_without_touching_the_module(tmp_path, method_of):
    class Worsening(TinyClassifier):
        """Its first epoch is its best."""

        def validation_step(self, batch, batch_idx):
            self.log("val/loss", float(self.current_epoch))

    class Compiled(Worsening):
        def __init__(self):
            super().__init__()
            self.net = torch.compile(self.net, backend="eager")

    kind = Worsening if method_of is TinyClassifier else Compiled
    keeper = ModelCheckpoint(tmp_path, monitor="val/loss")
    seen = {}

    class Witness(Callback):
        def on_train_end(self, trainer, pl_module):
            seen.update({k: v.clone() for k, v in pl_module.state_dict().items()})

    ours = callback(explain_checkpoint="best", every_n_epochs=0)
    trainer = tiny_trainer(tmp_path, ours, keeper, Witness(), enable_checkpointing=True)
    module = kind()
    trainer.fit(module, *tiny_loaders())

    assert same(dict(module.state_dict()), seen)
    steps = [step for key, step in trainer.logger.pictures if key == "shap_best/attributions"]
    assert steps == [trainer.global_step - 1]
    best = kind()
    best.load_state_dict(torch.load(keeper.best_model_path, weights_only=True)["state_dict"])
    explained = ours.explanation.record.outputs
    np.testing.assert_allclose(explained, outputs_of(best), rtol=0, atol=1e-5)
    assert np.abs(explained - outputs_of(module)).max() > 1e-3


class Schedule:
    """A hyper-parameter that no reader of weights alone would load."""


def test_the_best_checkpoint_may_hold_hyper_parameters_of_any_kind(tmp_path):
    class Configured(TinyClassifier):
        def __init__(self, schedule):
            super().__init__()
            self.save_hyperparameters()

    keeper = ModelCheckpoint(tmp_path, monitor="val/loss")
    ours = callback(explain_checkpoint="best", every_n_epochs=0)
    trainer = tiny_trainer(tmp_path, ours, keeper, enable_checkpointing=True)
    trainer.fit(Configured(Schedule()), *tiny_loaders())
    assert any(key == "shap_best/attributions" for key, _ in trainer.logger.pictures)


def test_no_best_checkpoint_is_a_warning_that_says_what_would_do(tmp_path):
    ours = callback(explain_checkpoint="best", on_error="warn", every_n_epochs=0)
    trainer = tiny_trainer(tmp_path, ours)
    with pytest.warns(UserWarning, match="give it a ModelCheckpoint"):
        trainer.fit(TinyClassifier(), *tiny_loaders())


class Ending(Callback):
    def __init__(self, error):
        self.error = error

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if trainer.global_step == 7:
            raise self.error


def test_after_an_error_nothing_is_explained_and_the_error_reaches_the_user(tmp_path):
    trainer = tiny_trainer(tmp_path, callback(every_n_epochs=0), Ending(LookupError("of its own")))
    with pytest.raises(LookupError, match="of its own"):
        trainer.fit(TinyClassifier(), *tiny_loaders())
    assert not trainer.logger.pictures


def test_after_an_interrupt_nothing_is_explained(tmp_path):
    trainer = tiny_trainer(tmp_path, callback(every_n_epochs=0), Ending(KeyboardInterrupt()))
    with pytest.raises(SystemExit):
        trainer.fit(TinyClassifier(), *tiny_loaders())
    assert not trainer.logger.pictures


def test_an_interrupt_while_explaining_is_an_interrupt(tmp_path):
    class Interrupted(TinyClassifier):
        def forward(self, images):
            if not self.training and self.trainer.state.stage == "train":
                raise KeyboardInterrupt
            return super().forward(images)

    trainer, module = tiny_trainer(tmp_path, callback()), Interrupted()
    with pytest.raises(SystemExit):
        trainer.fit(module, *tiny_loaders())
    assert module.training
