"""Mistakes first: samples that the model's predictions choose, once and for good."""

from functools import partial

import numpy as np
import pytest
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from tiny_training import (
    CLASSES,
    NO_STORY,
    Stream,
    TinyClassifier,
    fit,
    lightning_warns,
    same,
    session_of,
    tiny_callback,
    tiny_loaders,
    tiny_trainer,
)
from torch.utils.data import DataLoader, TensorDataset

from lightning_shap import ShapCallback
from lightning_shap.training.samples import mistakes
from lightning_shap.training.session import Session

pytestmark = [
    *lightning_warns,
    pytest.mark.filterwarnings("ignore:.*samples are of one class"),
    pytest.mark.filterwarnings(
        "error:ShapCallback(?!. all .* samples are of one class|. the final maps still)"
    ),
]


class BySecondPixel(TinyClassifier):
    """Says what the second pixel of an image says, as surely as the third one does."""

    def __init__(self):
        super().__init__()
        self.factor = torch.nn.Parameter(torch.ones(()))

    def forward(self, images):
        answers = torch.nn.functional.one_hot(images[:, 0, 0, 1].long(), CLASSES)
        return answers * images[:, 0, 0, 2:3] * (1 + 0 * self.factor) + 0 * self.net(images)


def answered_data(answers, sureness):
    """Rows whose first pixels are their number, what a model says and how surely; label 0."""
    images = torch.zeros(len(answers), 1, 8, 8)
    images[:, 0, 0, 0] = torch.arange(len(answers))
    images[:, 0, 0, 1] = torch.tensor(answers)
    images[:, 0, 0, 2] = torch.tensor(sureness)
    return TensorDataset(images, torch.zeros(len(answers), dtype=torch.long))


# Rows 3 and 9 are taken for class 2, 5 and 6 for class 1; of the others 10 is the least sure.
ANSWERS = [0, 0, 0, 2, 0, 1, 1, 0, 0, 2, 0, 0]
SURENESS = [4.0, 5, 5, 3, 5, 2, 4, 5, 5, 9, 1, 3]


# Eight samples unless a test says otherwise, as a callback of a user's.
callback = partial(tiny_callback, samples="mistakes", n_samples=8, **NO_STORY)


def fit_answered(tmp_path, *callbacks, module=None, data=None, loader=None, epochs=1, **options):
    """Trains what answers as its validation rows say, or what is given."""
    data = answered_data(ANSWERS, SURENESS) if data is None else data
    loaders = tiny_loaders()[0], DataLoader(data, 5) if loader is None else loader
    module = BySecondPixel() if module is None else module
    return fit(tmp_path, *callbacks, module=module, loaders=loaders, max_epochs=epochs, **options)


def rows_of(ours):
    return ours.explanation.data[:, 0, 0, 0].astype(int).tolist()


def test_each_confusion_has_its_turn_and_then_comes_what_is_least_sure(tmp_path):
    for wanted, expected in {
        2: [9, 6],
        3: [9, 6, 3],
        4: [9, 6, 3, 5],
        6: [9, 6, 3, 5, 10, 11],
    }.items():
        ours = callback(n_samples=wanted)
        fit_answered(tmp_path, ours)
        assert rows_of(ours) == expected
        assert ours.state_dict()["samples"]["indices"] == expected
        mistakes = min(wanted, 4)
        assert ours.explanation.record.right == [False] * mistakes + [True] * (wanted - mistakes)


def test_mixed_keeps_the_classes_in_turn_and_adds_what_is_least_sure(tmp_path):
    usual, ours = callback(samples=None), callback(samples="mixed")
    fit_answered(tmp_path, usual)
    fit_answered(tmp_path, ours)
    assert rows_of(ours) == [*rows_of(usual)[:6], 10, 5]


class CallsAPart(TinyClassifier):
    """Validates by a part of it."""

    def validation_step(self, batch, batch_idx):
        self.net(batch[0])


class CallsNoClassifier(TinyClassifier):
    """What it validates gives rows of numbers too, which are not scores of classes."""

    def __init__(self):
        super().__init__()
        self.body, self.head = self.net[:5], self.net[5]
        del self.net

    def forward(self, images):
        return self.head(self.body(images))

    def validation_step(self, batch, batch_idx):
        self.head(self.body(batch[0]))


class Compiled(TinyClassifier):
    def __init__(self):
        super().__init__()
        self.step = torch.compile(self.forward, backend="eager")

    def validation_step(self, batch, batch_idx):
        self.step(batch[0])


class Keywords(TinyClassifier):
    """Takes and gives dictionaries, as Hugging Face's do."""

    def forward(self, pixels):
        return {"logits": self.net(pixels)}

    def validation_step(self, batch, batch_idx):
        self(pixels=batch[0])
        self(pixels=batch[0].flip(-1))  # as an augmentation at test time

    def training_step(self, batch, batch_idx):
        return torch.nn.functional.cross_entropy(self(batch[0])["logits"], batch[1])


@pytest.mark.parametrize(
    "kind", [TinyClassifier, CallsAPart, Keywords, CallsNoClassifier, Compiled]
)
def test_mistakes_are_those_of_the_classifier_however_it_is_validated(kind, tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr("lightning_shap.training.samples.mistakes.inform", said.append)
    torch.manual_seed(0)
    module, ours = kind(), callback(n_samples=4)
    data = tiny_loaders(val=30)[1].dataset
    fit_answered(tmp_path, ours, module=module, data=data, limit_train_batches=1)
    with torch.no_grad():
        scores = module.eval()(data.tensors[0])
    scores = scores["logits"] if isinstance(scores, dict) else scores
    wrong = (scores.argmax(1) != data.tensors[1]).nonzero()[:, 0].tolist()
    assert len(wrong) >= 4
    assert set(session_of(ours).batch.pick.rows) <= set(wrong)
    assert ours.explanation.record.right == [False] * 4
    assert "explains, from now on, 4 mistakes among 30 images" in said[-1]


class Faultless(BySecondPixel):
    """Always right, of row 3 least surely."""

    def forward(self, images):
        sure = 5 - (images[:, 0, 0, 0:1] == 3).float()
        return super().forward(images) * 0 + torch.tensor([1.0, 0, 0]) * sure


def test_where_there_are_no_mistakes_it_explains_what_is_least_sure(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr("lightning_shap.training.samples.mistakes.inform", said.append)
    ours = callback(n_samples=3)
    fit_answered(tmp_path, ours, module=Faultless(), epochs=2)
    assert rows_of(ours) == [3, 0, 1]
    assert len(said) == 1
    assert "3 images that the model is least sure of among 12 images" in said[0]


def test_no_more_rows_are_predicted_than_the_guide_says(tmp_path, monkeypatch):
    monkeypatch.setattr(mistakes, "MOST_ROWS", 6)
    monkeypatch.setattr(mistakes, "AT_ONCE", 4)
    said = []
    monkeypatch.setattr(mistakes, "inform", said.append)
    ours = callback(n_samples=2)
    fit_answered(tmp_path, ours)
    assert "among 6 images" in said[0]
    assert {*rows_of(ours)} <= {1, 3, 5, 7, 9, 11}


def test_a_stream_has_no_rows_to_choose_and_is_explained_as_it_comes(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(mistakes, "inform", said.append)
    ours = callback(n_samples=4)
    loader = DataLoader(Stream(answered_data(ANSWERS, SURENESS)), 5)
    fit_answered(tmp_path, ours, loader=loader)
    assert rows_of(ours) == [0, 1, 2, 3]
    assert "rows of a stream have no numbers" in said[-1]


def test_mistakes_have_a_control_and_a_story_of_their_own(tmp_path):
    ours = ShapCallback(n_samples=4, max_evals=12, samples="mistakes", on_error="raise")
    trainer = fit_answered(tmp_path, ours, epochs=3)
    steps = [step for step, row in trainer.logger.metrics if "shap/seconds" in row]
    assert steps == [-1, 4, 9, 14]
    chapters = session_of(ours).logbook.history.snapshots
    assert [one.title for one in chapters] == ["before training", "epoch 0", "epoch 1", "epoch 2"]
    assert all(one.right == (False,) * 4 for one in chapters[1:])


@pytest.mark.parametrize("method", ["partition", "kernel", "gradient"])
def test_mistakes_are_explained_for_what_they_were_taken_for(tmp_path, method):
    ours = callback(n_samples=4, topk=2, method=method)
    trainer = fit_answered(tmp_path, ours, epochs=2)
    assert session_of(ours).classes.classes.tolist() == [[0, 2], [0, 1], [0, 2], [0, 1]]
    assert trainer.logger.pictures


def test_the_control_of_mistakes_is_of_the_weights_before_training(tmp_path, monkeypatch):
    torch.manual_seed(0)
    module = TinyClassifier(dropout=0.0, learning_rate=0.002)
    before = {name: one.clone() for name, one in module.state_dict().items()}
    ours, outputs = callback(n_samples=3), []
    ask = Session._ask

    def keep(*given):
        outputs.append(ask(*given))
        return outputs[-1]

    monkeypatch.setattr(Session, "_ask", keep)
    fit_answered(tmp_path, ours, module=module, data=tiny_loaders(val=30)[1].dataset)
    control = outputs[0]
    module.load_state_dict(before)
    images = torch.from_numpy(control[0].data).movedim(-1, 1).float()
    with torch.no_grad():
        expected = module.eval()(images).numpy()
    np.testing.assert_allclose(control[0].record.outputs, expected, atol=1e-5)


def test_a_resume_goes_on_with_the_same_mistakes(tmp_path):
    loader = DataLoader(answered_data(ANSWERS, SURENESS), 5)
    keeper = ModelCheckpoint(tmp_path, filename="kept")
    begun = callback(n_samples=4)
    fit_answered(tmp_path, begun, keeper, loader=loader, enable_checkpointing=True)
    assert rows_of(begun) == [9, 6, 3, 5]
    kept = torch.load(tmp_path / "kept.ckpt", weights_only=True)["callbacks"][begun.state_key]
    assert "images" not in kept["samples"]

    for ours, expected in {
        callback(n_samples=4): [9, 6, 3, 5],
        callback(n_samples=3): [3, 0, 1],  # other samples are asked for, and there are no mistakes
        callback(n_samples=4, samples=None): [1, 4, 7, 10],
    }.items():
        trainer = tiny_trainer(tmp_path, ours, max_epochs=2)
        trainer.fit(
            Faultless(),
            tiny_loaders()[0],
            loader,
            ckpt_path=tmp_path / "kept.ckpt",
            weights_only=True,
        )
        assert rows_of(ours) == expected


def test_images_of_a_shuffled_validation_are_found_and_kept(tmp_path):
    loader = DataLoader(answered_data(ANSWERS, SURENESS), 5, shuffle=True)
    ours = callback(n_samples=4)
    fit_answered(tmp_path, ours, loader=loader)
    assert rows_of(ours) == [9, 6, 3, 5]
    assert ours.explanation.record.right == [False] * 4


def test_without_a_validation_rows_of_the_training_set_are_predicted(tmp_path):
    ours = callback(n_samples=4)
    trainer = tiny_trainer(tmp_path, ours, max_epochs=1)
    trainer.fit(BySecondPixel(), DataLoader(answered_data(ANSWERS, SURENESS), 5, shuffle=True))
    assert rows_of(ours) == [9, 6, 3, 5]


def test_with_no_epoch_to_explain_the_last_validation_chooses(tmp_path):
    ours = callback(n_samples=4, every_n_epochs=0)
    fit_answered(tmp_path, ours, epochs=2)
    assert rows_of(ours) == [9, 6, 3, 5]


def test_a_sparse_validation_is_waited_for(tmp_path):
    ours = callback(n_samples=4)
    fit_answered(tmp_path, ours, epochs=3, check_val_every_n_epoch=2, num_sanity_val_steps=0)
    assert rows_of(ours) == [9, 6, 3, 5]


def test_an_unknown_choice_is_named():
    with pytest.raises(TypeError, match=r"samples: got 'misses'.*'mistakes' or 'mixed'"):
        ShapCallback(samples="misses")


def test_a_regression_has_no_mistakes(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr("lightning_shap.training.samples.mistakes.inform", said.append)
    ours = callback(n_samples=3, output="value")
    fit_answered(tmp_path, ours)
    assert len(ours.explanation) == 3
    assert "cannot choose samples by predictions of classes: there are none" in said[-1]
    assert same(rows_of(ours), [2, 6, 10])
