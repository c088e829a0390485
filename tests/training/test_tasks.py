"""Trainings in which an image has not one class of many: values, several classes, booleans."""

import re
import warnings
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np
import pytest
import torch
from pytorch_lightning.cli import LightningCLI
from tiny_training import (
    CLASSES,
    TinyClassifier,
    fit,
    ours_raise,
    session_of,
    tiny_callback,
    tiny_data,
    tiny_trainer,
)
from torch.nn.functional import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    cross_entropy,
    mse_loss,
)
from torch.utils.data import DataLoader, Dataset, TensorDataset

from lightning_shap import ShapCallback
from lightning_shap.engine.regions.image_tree import ImageTrees
from lightning_shap.pictures.captions import Captions
from lightning_shap.training.ranks import Ranks
from lightning_shap.training.samples.samples import Samples
from lightning_shap.training.session import Session
from lightning_shap.training.shared_explainer import SharedExplainer

pytestmark = [pytest.mark.draws, *ours_raise]


def fitted(tmp_path, module, labels, **arguments):
    """The explanation that a fit on some labels leaves behind, and which rows it is of."""
    loader = DataLoader(TensorDataset(tiny_data(12).tensors[0], labels), 4)
    ours = tiny_callback(**arguments)
    fit(tmp_path, ours, module=module, loaders=[loader] * 2, max_epochs=1)
    return ours.explanation, session_of(ours).batch.pick.rows


class Regression(TinyClassifier):
    def loss(self, batch):
        images, values = batch
        return mse_loss(self(images), values.float().reshape(len(images), -1))


class MultiLabel(TinyClassifier):
    def loss(self, batch):
        images, labels = batch
        return binary_cross_entropy_with_logits(
            self(images), labels.float().reshape(len(images), -1)
        )


ages = torch.linspace(18, 80, 12)


@pytest.mark.parametrize(
    "labels", [ages, ages[:, None], ages.round(), ages.long(), (ages - 50) / 100], ids=repr
)
def test_a_single_output_learning_numbers_is_shown_with_its_value(tmp_path, labels):
    explanation, rows = fitted(tmp_path, Regression(classes=1), labels)
    record = explanation.record
    assert (record.output, record.probabilities) == ("value", None)
    assert explanation.output_names == ["output 0"]
    np.testing.assert_allclose(record.labels[:, 0], labels.flatten()[rows], rtol=1e-6)
    captions = Captions(explanation)
    assert captions.image(0).name == "image 0"
    detail = captions.output(0, 0).detail.replace("\N{MINUS SIGN}", "-")
    assert re.fullmatch(r"[-\d.e]+ → [-\d.e]+ · true [-\d.]+", detail)


def test_several_values_are_shown_as_values_when_asked_for(tmp_path):
    points = torch.rand(12, 5) * 30
    explanation, rows = fitted(tmp_path, Regression(classes=5), points, output="value")
    assert explanation.output_names == ["output 0", "output 1", "output 2"]
    np.testing.assert_allclose(explanation.record.labels, points[rows], rtol=1e-6)
    named, _ = fitted(
        tmp_path,
        Regression(classes=5),
        points,
        output="value",
        targets=[4],
        class_names=["a", "b", "c", "d", "e"],
    )
    assert named.output_names == ["e"]


def test_class_numbers_are_not_the_true_values_of_several_outputs(tmp_path):
    labels = tiny_data(12).tensors[1]
    explanation, _ = fitted(tmp_path, TinyClassifier(), labels, output="value")
    assert explanation.record.labels is None


def test_booleans_are_two_classes(tmp_path):
    labels = tiny_data(12).tensors[1] > 0
    explanation, rows = fitted(tmp_path, MultiLabel(classes=1), labels)
    assert explanation.record.output == "logit"
    assert explanation.record.labels.tolist() == labels[rows].int().tolist()


def test_channels_last_are_recognised_and_can_be_given_first(tmp_path):
    class ChannelsLast(TinyClassifier):
        def loss(self, batch):
            return super().loss((batch[0].permute(0, 3, 1, 2), batch[1]))

    images, labels = tiny_data(12).tensors
    last = TensorDataset(images.permute(0, 2, 3, 1).contiguous(), labels)

    def explain_last(**arguments):
        ours = tiny_callback(**arguments)
        loaders = [DataLoader(last, 4)] * 2
        fit(tmp_path, ours, module=ChannelsLast(), loaders=loaders, max_epochs=1)
        return ours.explanation

    with pytest.raises(ValueError, match=r"with the channels last; .*samples=\(images"):
        explain_last()
    found = explain_last(samples=(images[:2], labels[:2]))
    assert found.record.labels.tolist() == labels[:2].tolist()


def several_classes():
    several = torch.eye(CLASSES)[tiny_data(12).tensors[1]]
    several[::2, 0] = 1.0
    return several


def test_every_true_class_is_explained_first_and_marked(tmp_path):
    several = several_classes()
    explanation, rows = fitted(tmp_path, MultiLabel(), several, multi_label=True)
    assert explanation.record.labels.tolist() == several[rows].bool().tolist()
    captions = Captions(explanation)
    for row, true in enumerate(several[rows].int().tolist()):
        marks = [captions.output(row, column).true for column in range(CLASSES)]
        assert marks == [True] * sum(true) + [False] * (CLASSES - sum(true))


def test_several_classes_without_multi_label_are_hinted_at_once(tmp_path):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        fitted(tmp_path, MultiLabel(), several_classes())
    hints = [str(warning.message) for warning in caught if "multi_label" in str(warning.message)]
    assert len(hints) == 1
    assert "give multi_label=True" in hints[0]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # between jsonargparse and Lightning
def test_a_configuration_file_can_say_that_outputs_are_values(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["fit.py"])
    config = tmp_path / "config.yaml"
    config.write_text(
        "trainer: {callbacks: [{class_path: lightning_shap.ShapCallback,"
        " init_args: {output: value}}]}"
    )
    cli = LightningCLI(
        Regression,
        run=False,
        args=["--config", str(config)],
        save_config_callback=None,
        seed_everything_default=False,
    )
    (ours,) = [one for one in cli.trainer.callbacks if isinstance(one, ShapCallback)]
    assert ours.question.output == "value"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_hugging_face_model_and_data_set_need_no_further_word(tmp_path, monkeypatch):
    transformers, datasets = map(pytest.importorskip, ("transformers", "datasets"))
    config = transformers.ViTConfig(
        image_size=8,
        patch_size=4,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=8,
        id2label={0: "cat", 1: "dog"},
    )
    processor = transformers.ViTImageProcessor(do_resize=False)
    drawn = {}

    class ByKeyword(TinyClassifier):
        def __init__(self):
            super().__init__()
            self.net = transformers.ViTForImageClassification(config)

        def forward(self, **batch):
            return self.net(**batch)

        def loss(self, batch):
            return self(**batch).loss

    pixels = np.random.default_rng(0).integers(0, 256, (12, 8, 8, 3), np.uint8)
    rows = datasets.Dataset.from_dict({"image": pixels.tolist(), "label": [0, 1] * 6})

    def prepare(batch):
        images = processor([np.uint8(image) for image in batch["image"]], return_tensors="pt")
        return {"pixel_values": images["pixel_values"], "labels": batch["label"]}

    def spy(explanation, **arguments):
        drawn.update(arguments)
        return np.zeros((4, 4, 3), np.uint8)

    monkeypatch.setattr("lightning_shap.training.logs.logbook.plot", spy)
    rows = rows.with_transform(prepare)
    ours = ShapCallback(n_samples=3, max_evals=12, on_error="raise")
    trainer = tiny_trainer(tmp_path, ours, max_epochs=1)
    trainer.fit(ByKeyword(), DataLoader(rows, 4), DataLoader(rows, 4))
    assert ours.explanation.record.class_names.tolist() == ["cat", "dog"]
    assert set(ours.explanation.record.labels.tolist()) <= {0, 1}
    assert (drawn["mean"], drawn["std"]) == ([0.5] * 3, [0.5] * 3)
    shown = ours.explanation.data * 0.5 + 0.5
    np.testing.assert_allclose(shown * 255, (shown * 255).round(), atol=1e-3)


class Sigmoid(MultiLabel):
    """Ends in a sigmoid, as a model that BCELoss trains."""

    def forward(self, images):
        return self.net(images).sigmoid()

    def loss(self, batch):
        images, labels = batch
        return binary_cross_entropy(self(images), labels.float().reshape(len(images), -1))


def test_a_model_that_ends_in_a_sigmoid_keeps_its_probabilities(tmp_path):
    labels = (tiny_data(12).tensors[1] > 0).float()
    explanation, rows = fitted(tmp_path, Sigmoid(classes=1, dropout=0.0), labels)
    record = explanation.record
    assert (record.returns, record.returns_guessed) == ("probabilities", False)
    assert record.labels.tolist() == labels[rows].tolist()
    assert np.array_equal(record.probabilities, record.outputs)
    assert np.array_equal(record.predicted[:, 1], record.outputs[:, 0] > 0.5)


def test_what_outputs_are_taken_for_is_logged_and_kept(tmp_path):
    ours = ShapCallback(n_samples=3, max_evals=6, on_error="raise")
    data = TensorDataset(tiny_data(12).tensors[0], tiny_data(12).tensors[1] > 0)
    trainer = tiny_trainer(tmp_path, ours, max_epochs=1)
    trainer.fit(Sigmoid(classes=1), DataLoader(data, 4), DataLoader(data, 4))
    assert "| returns | probabilities |" in trainer.logger.texts["shap/settings"]
    resumed = Session(ShapCallback(n_samples=3), trainer, trainer.lightning_module)
    resumed.load_state_dict(ours.state_dict())
    assert resumed.explainer.returned.judge(multi_label=False) == ("probabilities", False)


def test_a_guess_is_said_once_and_so_is_what_refutes_it_later(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr("lightning_shap.training.shared_explainer.inform", said.append)

    class Unseen(TinyClassifier):
        epoch = 0

        def forward(self, images):
            scores = self.net(images)
            if self.training or not self.trainer.validating:
                shares = scores.softmax(1) if self.current_epoch == 0 else 9 * scores
                return scores if scores.requires_grad else torch.tensor(shares.tolist())
            return scores

    ours = ShapCallback(n_samples=3, max_evals=6, on_error="raise", explain_untrained=False)
    data = tiny_data(12)
    trainer = tiny_trainer(tmp_path, ours, max_epochs=3)
    trainer.fit(Unseen(), DataLoader(data, 4), DataLoader(data, 4))
    assert ["which is a guess" in words for words in said] == [True, False]
    assert "takes the model's outputs for probabilities, which is a guess; returns=" in said[0]
    assert "takes the model's outputs for logits from now on" in said[1]
    assert "| returns | logits |" in trainer.logger.texts["shap/settings"]


class TwoHeads(TinyClassifier):
    def __init__(self):
        super().__init__(classes=5)

    def forward(self, images):
        scores = self.net(images)
        return {"species": scores[:, :3].clone(), "sex": scores[:, 3:].clone()}

    def loss(self, batch):
        scores = self(batch[0])
        return sum(cross_entropy(scores[name], batch[1][name]) for name in scores)


class Animals(Dataset):
    """Its rows say what species an animal is of, and which sex."""

    def __len__(self):
        return 12

    def __getitem__(self, row):
        return tiny_data(12)[row][0], {"species": row % 3, "sex": row // 3 % 2}


def fitted_to_animals(tmp_path, **arguments):
    ours = ShapCallback(n_samples=4, max_evals=6, on_error="raise", **arguments)
    loader = DataLoader(Animals(), 4)
    tiny_trainer(tmp_path, ours, max_epochs=2).fit(TwoHeads(), loader, loader)
    return ours


def test_one_of_several_heads_is_not_judged_by_labels_that_were_found(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr("lightning_shap.training.shared_explainer.warn", said.append)
    ours = fitted_to_animals(tmp_path, output=lambda raw: raw["sex"])
    assert ours.explanation.record.labels is None
    assert ours.explanation.record.right == [None] * 4
    assert len(said) == 1  # of all epochs
    assert "output= picks one of several heads" in said[0]
    assert "labels=" in said[0]


def test_labels_that_the_user_names_judge_one_of_several_heads(tmp_path):
    for labels in ("sex", lambda batch: batch[1]["sex"]):
        ours = fitted_to_animals(tmp_path, output=lambda raw: raw["sex"], labels=labels)
        record, rows = ours.explanation.record, session_of(ours).batch.pick.rows
        assert record.labels.tolist() == [row // 3 % 2 for row in rows]
        assert record.right == (record.outputs.argmax(1) == record.labels).tolist()
        assert {*record.labels.tolist()} == {0, 1}
        name = labels if isinstance(labels, str) else labels.__name__
        table = session_of(ours).logbook.destinations._places[0].settings
        assert name in table.partition("| labels | ")[2].splitlines()[0]


def test_outputs_that_labels_prove_to_be_no_classes_are_numbers(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr("lightning_shap.training.shared_explainer.warn", said.append)

    class Projection(TinyClassifier):
        def loss(self, batch):
            return self(batch[0]).square().mean()

    labels = torch.arange(12) * 3 + 6
    explanation, _ = fitted(tmp_path, Projection(classes=16), labels)
    record = explanation.record
    assert (record.returns, record.probabilities, record.labels) == ("values", None, None)
    assert Captions(explanation).output(0, 0).name == "output 0"
    assert len(said) == 1
    assert "labels go up to 39, and there are 16 outputs" in said[0]
    given, _ = fitted(tmp_path, Projection(classes=16), labels, returns="logits")
    assert given.record.labels is None  # classes, but others
    assert "there are 16 classes" in said[-1]


@pytest.mark.parametrize("labels", [True, 1.5, "", object()])
def test_what_names_no_labels_is_refused(labels):
    with pytest.raises(TypeError, match=r"labels: got .*give a name, a position"):
        ShapCallback(labels=labels)


def test_processes_that_see_different_outputs_agree_on_what_they_are(tmp_path):
    """What one rank alone would take for probabilities, another has seen to be none."""
    images = torch.rand(4, 1, 2, 2)
    images[1::2] *= 9
    box, barrier = [None, None], Barrier(2, timeout=60)

    class Direct(TinyClassifier):
        def forward(self, pictures):
            shares = pictures.mean((2, 3))
            return torch.tensor(torch.cat([shares, 1 - shares], 1).tolist())

    class InThreads(Ranks):
        def gather(self, work):
            box[self.rank] = work()
            barrier.wait()
            found = list(box)
            barrier.wait()
            return found

    def explained(rank):
        ours, module = ShapCallback(n_samples=4, max_evals=6), Direct()
        trainer = tiny_trainer(tmp_path)
        trainer.strategy.connect(module)
        explainer = SharedExplainer(ours, trainer, module, InThreads(rank, 2))
        samples, trees = Samples(images), ImageTrees()
        return explainer.explain(samples, ours.question, trees=trees)[0]

    with ThreadPoolExecutor(2) as pool:
        for explanation in pool.map(explained, (0, 1)):
            record = explanation.record
            assert record.returns == "logits"
            softmax = torch.from_numpy(record.outputs).softmax(1)
            np.testing.assert_allclose(record.probabilities, softmax)
