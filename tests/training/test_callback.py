"""What a user of the callback sees: pictures of the right samples, at the right steps and tags."""

import re

import numpy as np
import pytest
import torch
from PIL import Image
from pytorch_lightning import Callback
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tiny_training import (
    CLASSES,
    KeepingLogger,
    TinyClassifier,
    fit,
    ours_raise,
    same,
    session_of,
    streamed,
    tiny_callback,
    tiny_data,
    tiny_loaders,
    tiny_trainer,
)
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy
from torch.utils.data import DataLoader, Subset, TensorDataset
from torchvision.transforms.v2 import Normalize

from lightning_shap import ShapCallback
from lightning_shap.engine.regions import image_tree

pytestmark = ours_raise


def steps(trainer, tag="shap"):
    return sorted(step for key, step in trainer.logger.pictures if key == f"{tag}/attributions")


def images_of(explanation):
    return torch.from_numpy(explanation.data).movedim(-1, 1)


def same_rows(images, others):
    """Whether both hold the same images, in whatever order."""
    return same(images.flatten(1).sort(0).values, others.flatten(1).sort(0).values)


# When


def test_the_untrained_model_every_epoch_and_the_final_one_are_explained(tmp_path):
    trainer = fit(tmp_path, tiny_callback())
    assert steps(trainer) == [-1, 4, 9]
    assert steps(trainer, "shap_final") == [9]


def test_a_fit_that_trains_nothing_is_left_alone(tmp_path):
    """Of no epochs, and of a run that had ended when it is resumed."""
    fit(tmp_path, ours := tiny_callback(), max_epochs=0)
    assert ours.explanation is None
    trainer = fit(tmp_path, tiny_callback(), max_epochs=1)
    trainer.save_checkpoint(tmp_path / "ended.ckpt")
    again = tiny_trainer(tmp_path, ours := tiny_callback(), max_epochs=1)
    again.fit(TinyClassifier(), *tiny_loaders(), ckpt_path=tmp_path / "ended.ckpt")
    assert ours.explanation is None


def test_every_nth_epoch_is_explained(tmp_path):
    trainer = fit(tmp_path, tiny_callback(every_n_epochs=2, explain_untrained=False), max_epochs=5)
    assert steps(trainer) == [9, 19]
    assert steps(trainer, "shap_final") == [24]


def test_every_nth_step_is_explained_and_the_end_of_an_epoch_no_second_time(tmp_path):
    by_steps = tiny_callback(every_n_steps=3, every_n_epochs=0)
    assert steps(fit(tmp_path, by_steps, max_epochs=3)) == [-1, 2, 5, 8, 11, 14]
    by_both = tiny_callback(every_n_steps=5)
    assert steps(fit(tmp_path, by_both, max_epochs=3)) == [-1, 4, 9, 14]
    assert by_both.explanation.training.titles == ("step 4", "step 9", "step 14")


def test_steps_are_counted_in_a_stream_without_epochs_too(tmp_path):
    loaders = streamed(40)
    ours = tiny_callback(every_n_steps=4, every_n_epochs=0, explain_untrained=False)
    trainer = fit(tmp_path, ours, loaders=loaders, max_epochs=-1, max_steps=9)
    assert steps(trainer) == [3, 7]
    assert steps(trainer, "shap_final") == [8]


def test_every_0_epochs_leaves_the_untrained_and_the_final_model(tmp_path):
    trainer = fit(tmp_path, tiny_callback(every_n_epochs=0))
    assert steps(trainer) == [-1]
    assert steps(trainer, "shap_final") == [9]


def test_without_validation_the_control_waits_for_the_first_batch(tmp_path):
    trainer = fit(tmp_path, tiny_callback(), loaders=tiny_loaders()[:1])
    assert steps(trainer) == [-1, 4, 9]


def test_the_control_is_explained_once_however_late_the_first_step(tmp_path):
    class LateSteps(TinyClassifier):
        """Steps by hand, first in its second epoch."""

        def __init__(self):
            super().__init__()
            self.automatic_optimization = False

        def training_step(self, batch, batch_idx):
            self.manual_backward(self.loss(batch))
            if self.current_epoch == 1:
                self.optimizers().step()

    trainer = fit(tmp_path, tiny_callback(), module=LateSteps(), loaders=tiny_loaders()[:1])
    assert steps(trainer) == [-1, 4, 9]
    assert len(trainer.logger.metrics) == len(set(map(repr, trainer.logger.metrics)))


def test_nothing_is_explained_by_validate_and_test(tmp_path):
    class Testing(TinyClassifier):
        def test_step(self, batch, batch_idx):
            self.log("test/loss", self.loss(batch))

    ours = tiny_callback()
    trainer = tiny_trainer(tmp_path, ours)
    trainer.validate(Testing(), tiny_loaders()[1], verbose=False)
    trainer.test(Testing(), tiny_loaders()[1], verbose=False)
    assert ours.explanation is None


def test_epochs_before_the_first_batch_of_a_stream_are_logged_and_not_failures(tmp_path):
    trainer = tiny_trainer(
        tmp_path,
        ours := tiny_callback(on_error="warn"),
        max_epochs=6,
        num_sanity_val_steps=0,
        check_val_every_n_epoch=5,
    )
    with pytest.warns(UserWarning, match="no samples yet for 'epoch 0 · step 4'") as messages:
        trainer.fit(TinyClassifier(), *streamed())
    assert sum("ShapCallback" in str(one.message) for one in messages) == 1
    assert steps(trainer) == [24, 29]
    assert len(ours.explanation) == 3


# Which samples


def test_samples_of_a_stream_are_its_first_images_with_their_labels(tmp_path):
    fit(tmp_path, ours := tiny_callback(n_samples=6), loaders=streamed())
    images, labels = tiny_data(8, seed=1).tensors
    assert same(images_of(ours.explanation).float(), images[:6])
    assert ours.explanation.record.labels.tolist() == labels[:6].tolist()


def test_more_samples_than_the_sanity_check_sees_come_from_the_first_validation(tmp_path):
    class Counting(Callback):
        def __init__(self):
            self.counts = []

        def on_train_epoch_end(self, trainer, pl_module):
            self.counts.append(len(ours.explanation))

        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            if trainer.global_step == 0:
                self.counts.append(len(ours.explanation))

    ours, counting = tiny_callback(n_samples=7), Counting()
    fit(tmp_path, ours, counting, loaders=streamed(), num_sanity_val_steps=1)
    assert counting.counts == [4, 7, 7]
    assert same(images_of(ours.explanation).float(), tiny_data(8, seed=1).tensors[0][:7])


def test_samples_are_the_same_through_all_epochs_of_a_shuffled_loader(tmp_path):
    class Collecting(Callback):
        def __init__(self):
            self.images = []

        def on_train_epoch_end(self, trainer, pl_module):
            self.images.append(ours.explanation.data)

    def loaders():
        return tiny_loaders()[0], DataLoader(tiny_data(20, seed=1), 4, shuffle=True)

    ours, collecting = tiny_callback(), Collecting()
    fit(tmp_path, ours, collecting, loaders=loaders(), max_epochs=3)
    assert len(collecting.images) == 3
    assert all(np.array_equal(images, collecting.images[0]) for images in collecting.images)


def test_regions_of_the_samples_are_found_once_for_all_epochs(tmp_path, monkeypatch):
    found = []
    original = image_tree.grow_tree
    monkeypatch.setattr(image_tree, "grow_tree", lambda image: found.append(1) or original(image))
    ours = tiny_callback(regions="image")
    trainer = fit(tmp_path, ours, max_epochs=3)
    assert len(steps(trainer)) == 4
    assert len(found) == 3  # samples
    assert ours.explanation.record.follows_image
    fit(tmp_path, ours)  # of another fit they may be others
    assert len(found) == 6


def test_few_validation_rows_are_enough(tmp_path):
    fit(tmp_path, ours := tiny_callback(n_samples=50))
    assert len(ours.explanation) == 8


@pytest.mark.parametrize("wrap", [lambda pair: pair, lambda pair: pair[0]])
def test_given_tensors_are_explained_as_they_are(tmp_path, wrap):
    given = tiny_data(2, seed=5).tensors
    fit(tmp_path, ours := tiny_callback(samples=wrap(given)))
    assert same(images_of(ours.explanation).float(), given[0])


def test_a_given_data_set_brings_its_first_rows(tmp_path):
    fit(tmp_path, ours := tiny_callback(samples=tiny_data(9, seed=5)))
    assert same(images_of(ours.explanation).float(), tiny_data(9, seed=5).tensors[0][:3])


def test_indices_pick_from_the_validation_set(tmp_path):
    fit(tmp_path, ours := tiny_callback(samples=[6, 1]))
    images, labels = tiny_data(8, seed=1).tensors
    assert same(images_of(ours.explanation).float(), images[[6, 1]])
    assert ours.explanation.record.labels.tolist() == labels[[6, 1]].tolist()


def test_indices_pick_from_the_training_set_where_there_is_no_other(tmp_path):
    fit(tmp_path, ours := tiny_callback(samples=[6, 1]), loaders=tiny_loaders()[:1])
    assert same(images_of(ours.explanation).float(), tiny_data(20).tensors[0][[6, 1]])


def test_an_index_outside_the_data_set_is_named(tmp_path):
    with pytest.raises(ValueError, match=re.escape("[3, 8] for a data set of 8; give some of 0")):
        fit(tmp_path, tiny_callback(samples=[3, 8]))


def test_batches_may_be_dictionaries(tmp_path):
    class OfDictionaries(TinyClassifier):
        def loss(self, batch):
            return super().loss((batch["pixels"], batch["target"]))

    def loaders():
        rows = [{"pixels": image, "target": label} for image, label in tiny_data(12)]
        return DataLoader(rows, 4), DataLoader(rows, 4)

    fit(
        tmp_path,
        ours := tiny_callback(samples=[0, 1, 2]),
        module=OfDictionaries(),
        loaders=loaders(),
    )
    assert ours.explanation.record.labels.tolist() == tiny_data(12).tensors[1][:3].tolist()


def test_of_several_validation_loaders_the_first_is_explained(tmp_path):
    class Two(TinyClassifier):
        def validation_step(self, batch, batch_idx, dataloader_idx=0):
            super().validation_step(batch, batch_idx)

    def loaders():
        train, validation = tiny_loaders()
        return train, [validation, DataLoader(tiny_data(8, seed=9), 4)]

    fit(tmp_path, ours := tiny_callback(n_samples=8), module=Two(), loaders=loaders())
    assert same_rows(images_of(ours.explanation).float(), tiny_data(8, seed=1).tensors[0])


def test_a_second_fit_explains_its_own_samples(tmp_path):
    def of(seed):
        return tiny_loaders()[0], DataLoader(tiny_data(8, seed=seed), 4)

    ours = tiny_callback(n_samples=8)
    for seed in (3, 4):
        fit(tmp_path, ours, loaders=of(seed))
        assert same_rows(images_of(ours.explanation).float(), tiny_data(8, seed=seed).tensors[0])


def test_ignored_labels_and_those_of_another_task_are_unknown(tmp_path):
    class Ignoring(TinyClassifier):
        def loss(self, batch):
            images, labels = batch
            return cross_entropy(self(images), labels.where(labels < CLASSES, -1), ignore_index=-1)

    images, labels = tiny_data(12).tensors
    labels = labels.index_fill(0, torch.tensor([1, 5]), 255)
    data = TensorDataset(images, labels)
    ours = tiny_callback(samples=[0, 1, 2])
    fit(tmp_path, ours, module=Ignoring(), loaders=[DataLoader(data, 4)] * 2)
    assert ours.explanation.record.labels.tolist() == [labels[0], -1, labels[2]]


# What is explained


def test_the_true_class_comes_first(tmp_path):
    fit(tmp_path, ours := tiny_callback(n_samples=8))
    record, indexes = ours.explanation.record, ours.explanation.output_indexes
    assert indexes.shape == (8, CLASSES)
    assert indexes[:, 0].tolist() == record.labels.tolist()


def test_targets_and_topk_are_obeyed(tmp_path):
    fit(tmp_path, ours := tiny_callback(targets=[2, 0]))
    assert ours.explanation.output_indexes.tolist() == [[2, 0]] * 3
    fit(tmp_path, ours := tiny_callback(topk=2))
    assert ours.explanation.output_indexes.shape == (3, 2)


def test_a_binary_model_of_one_output(tmp_path):
    class Binary(TinyClassifier):
        def __init__(self):
            super().__init__(classes=1)

        def loss(self, batch):
            images, labels = batch
            return binary_cross_entropy_with_logits(self(images)[:, 0], labels.float())

    def loaders():
        images, labels = tiny_data(12).tensors
        data = TensorDataset(images, (labels > 0).long())
        return DataLoader(data, 4), DataLoader(data, 4)

    ours = tiny_callback(output="probability", class_names=["dim", "bright"])
    fit(tmp_path, ours, module=Binary(), loaders=loaders())
    record = ours.explanation.record
    assert record.outputs.shape == (3, 1)
    assert (record.probabilities > 0).all()
    assert (record.probabilities < 1).all()
    assert record.class_names.tolist() == ["dim", "bright"]


def test_a_multi_label_model(tmp_path):
    class MultiLabel(TinyClassifier):
        def loss(self, batch):
            return binary_cross_entropy_with_logits(self(batch[0]), batch[1])

    def loaders():
        images, labels = tiny_data(12).tensors
        several = torch.eye(CLASSES)[labels]
        several[:, 0] = 1.0
        data = TensorDataset(images, several)
        return DataLoader(data, 4), DataLoader(data, 4)

    fit(tmp_path, ours := tiny_callback(multi_label=True), module=MultiLabel(), loaders=loaders())
    record = ours.explanation.record
    sigmoids = 1 / (1 + np.exp(-record.outputs))
    np.testing.assert_allclose(record.probabilities, sigmoids, atol=1e-6)


def test_the_classifier_may_be_a_part_of_the_module(tmp_path):
    class Wrapped(TinyClassifier):
        def forward(self, batch):
            raise AssertionError("takes something else")

        def loss(self, batch):
            return nn.functional.cross_entropy(self.net(batch[0]), batch[1])

    fit(tmp_path, ours := tiny_callback(module="net"), module=Wrapped())
    assert ours.explanation is not None
    with pytest.raises(ValueError, match=re.escape("has no 'nets'; give one of ['net']")):
        fit(tmp_path, tiny_callback(module="nets"), module=Wrapped())


class Named(TensorDataset):
    """Knows its classes and how it was normalised, as torchvision's data sets do."""

    def __init__(self, rows):
        images, labels = tiny_data(rows, seed=1).tensors
        super().__init__((images - 0.5) / 0.25, labels)
        self.classes = ["left", "middle", "right"]
        self.transform = Normalize([0.5], [0.25])


def test_names_and_normalisation_are_found_behind_a_subset(tmp_path, monkeypatch):
    drawn = {}
    import lightning_shap.training.logs.logbook as module

    def spy(explanation, **arguments):
        drawn.update(arguments)
        return np.zeros((4, 4, 3), np.uint8)

    monkeypatch.setattr(module, "plot", spy)

    def loaders():
        return DataLoader(Named(12), 4), DataLoader(Subset(Named(12), range(8)), 4)

    fit(tmp_path, ours := tiny_callback(), loaders=loaders())
    assert ours.explanation.record.class_names.tolist() == ["left", "middle", "right"]
    assert (drawn["mean"], drawn["std"]) == ([0.5], [0.25])
    fit(tmp_path, ours := tiny_callback(class_names=["a", "b", "c"], mean=[0.1], std=[0.2]))
    assert ours.explanation.record.class_names.tolist() == ["a", "b", "c"]
    assert (drawn["mean"], drawn["std"]) == ([0.1], [0.2])
    assert drawn["title"] == "final model · epoch 1 · step 9"


def test_found_names_of_another_task_are_left_out(tmp_path):
    class Renamed(Named):
        def __init__(self, rows):
            super().__init__(rows)
            self.classes = ["one", "of", "four", "names"]

    with pytest.warns(UserWarning, match="knows 4, the model has 3 outputs; they are left out"):
        fit(tmp_path, ours := tiny_callback(), loaders=[DataLoader(Renamed(12), 4)] * 2)
    assert ours.explanation.record.class_names.tolist() == ["class 0", "class 1", "class 2"]


# Where it goes


@pytest.mark.draws
def test_tensorboard_reads_pictures_numbers_and_settings_back(tmp_path):
    trainer = fit(tmp_path, tiny_callback(), logger=TensorBoardLogger(tmp_path))
    trainer.logger.experiment.flush()
    events = EventAccumulator(trainer.logger.log_dir, size_guidance={"images": 0, "tensors": 0})
    events.Reload()
    pictures = events.Images("shap/attributions")
    assert [event.step for event in pictures] == [-1, 4, 9]
    assert [event.step for event in events.Images("shap_final/attributions")] == [9]
    assert len({event.encoded_image_string for event in pictures}) == 3
    assert pictures[0].width > 200
    for name in ("shap_more/seconds", "shap/regions", "shap/where_border"):
        assert [event.step for event in events.Scalars(name)] == [-1, 4, 9]
    assert 0 < events.Scalars("shap/regions")[0].value <= 12
    (settings,) = events.Tensors("shap/settings/text_summary")
    text = settings.tensor_proto.string_val[0].decode()
    assert "| max_evals | 12 |" in text
    assert "| method | partition |" in text


@pytest.mark.draws
def test_pictures_are_written_below_save_dir(tmp_path):
    fit(tmp_path, tiny_callback(save_dir=str(tmp_path / "pictures")))
    paths = sorted(str(path.relative_to(tmp_path)) for path in (tmp_path / "pictures").rglob("*.*"))
    assert paths == [
        "pictures/shap/attributions-step=-1.png",
        "pictures/shap/attributions-step=4.png",
        "pictures/shap/attributions-step=9.png",
        "pictures/shap/evolution-step=9.png",
        "pictures/shap_final/attributions-step=9.png",
    ]
    with Image.open(tmp_path / paths[0]) as picture:
        assert picture.mode == "RGB"


@pytest.mark.draws
def test_each_sample_has_pictures_of_its_own_if_asked_for(tmp_path):
    trainer = fit(tmp_path, ours := tiny_callback(per_sample=True))
    keys = {key for key, _ in trainer.logger.pictures}
    own = [f"shap/sample_{number}" for number in range(3)]
    assert {*own, "shap_final/sample_2"} <= keys
    assert "shap/sample_3" not in keys
    sizes = {trainer.logger.pictures[key, 9].shape for key in own}
    assert len(sizes) == 1
    assert sizes.pop()[0] < trainer.logger.pictures["shap/attributions", 9].shape[0]
    assert session_of(ours).classes.limit.widens


def test_a_csv_logger_gets_files_beside_its_numbers(tmp_path):
    trainer = fit(tmp_path, tiny_callback(), logger=CSVLogger(tmp_path))
    folder = tmp_path / "lightning_logs" / "version_0"
    assert len(list((folder / "shap").glob("attributions-*.png"))) == 3
    assert "shap/where_border" in (folder / "metrics.csv").read_text()
    assert trainer.current_epoch == 2


def test_files_of_a_tag_that_has_no_picture_yet_are_written_too(tmp_path):
    """The first words are settings, and the first picture is the final model's."""
    ours = tiny_callback(explain_untrained=False, every_n_epochs=0, metrics=[], evolution=None)
    fit(tmp_path, ours, logger=CSVLogger(tmp_path))
    assert (tmp_path / "lightning_logs" / "version_0" / "shap" / "settings.json").exists()


def test_two_tags_stand_side_by_side(tmp_path):
    second = tiny_callback(tag="probability", output="probability", n_samples=2)
    trainer = fit(tmp_path, tiny_callback(), second)
    assert steps(trainer) == steps(trainer, "probability") == [-1, 4, 9]
    assert set(trainer.logger.texts) == {
        f"{tag}/{text}" for tag in ("shap", "probability") for text in ("settings", "summary")
    }
    assert len(second.explanation) == 2


def test_the_same_tag_twice_is_refused_by_lightning(tmp_path):
    with pytest.raises(RuntimeError, match="state"):
        tiny_trainer(tmp_path, tiny_callback(), tiny_callback())


@pytest.mark.draws
def test_every_logger_gets_the_picture(tmp_path):
    loggers = [KeepingLogger(), KeepingLogger()]
    fit(tmp_path, tiny_callback(), logger=loggers)
    assert same(loggers[0].pictures, loggers[1].pictures)


# Arguments


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"n_samples": 0}, "n_samples: got 0; give at least 1"),
        ({"every_n_epochs": -1}, "every_n_epochs: got -1"),
        ({"every_n_steps": None}, "every_n_steps: got None"),
        ({"max_evals": 1}, "max_evals: got 1; give at least 2"),
        ({"targets": 1, "topk": 2}, "targets, topk: both"),
        ({"mean": [0.5]}, "mean, std: only one"),
        ({"on_error": "ignore"}, "on_error: unknown 'ignore'; give one of 'warn', 'raise'"),
        ({"tag": "/"}, "tag: got '/'"),
        ({"output": "odds"}, "output: got 'odds'"),
        ({"output": "value", "topk": 2}, "topk: got 2, but values have no highest one"),
        ({"method": "lime"}, "method: unknown 'lime'; give one of 'partition', 'kernel'"),
        ({"masker": "blurred"}, "masker: unknown 'blurred'; give 'blur'"),
        ({"grid": 4}, "grid: 'partition' has none"),
        ({"method": "kernel", "grid": [4]}, "grid: got [4]; give patches a side, or (rows,"),
        ({"method": "kernel", "grid": 99, "max_evals": 8}, "grid: has 9801 patches for 8"),
        ({"explain_checkpoint": "last"}, "explain_checkpoint: unknown 'last'; give one of 'best'"),
        ({"time_budget": "ten"}, "time_budget: got 'ten'; give a share of the time such as '10%'"),
        ({"time_budget": "120%"}, "time_budget: got '120%'"),
        ({"time_budget": 0}, "time_budget: got 0"),
    ],
)
def test_a_wrong_argument_is_named_with_what_would_do(arguments, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        ShapCallback(**arguments)
