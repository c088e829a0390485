"""Pictures of a run can be compared, on one scale, and show what each epoch predicts."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_training import TinyClassifier, fit, ours_raise, session_of, tiny_data, tiny_trainer
from torch.utils.data import DataLoader

from lightning_shap import ShapCallback
from lightning_shap.engine.answer import answer
from lightning_shap.training.fixed_classes import FixedClasses

pytestmark = ours_raise


class Collecting(ShapCallback):
    """Keeps what each picture was of, and on which scale."""

    def __init__(self, **arguments):
        super().__init__(
            n_samples=3, max_evals=12, on_error="raise", metrics=[], evolution=None, **arguments
        )
        self.seen = []

    def setup(self, trainer, pl_module, stage):
        super().setup(trainer, pl_module, stage)
        session = self._session
        log = session.logbook.log

        def keep(explanation, tag, *more):
            log(explanation, tag, *more)
            self.trained = pl_module
            self.seen.append((tag, explanation, session.classes.limit.value))

        session.logbook.log = keep


def loaders():
    rows = [(row[0], number % 7) for number, row in enumerate(tiny_data(20))]
    return DataLoader(rows, batch_size=4), DataLoader(rows[:8], batch_size=4)


def fit_changing(tmp_path, ours, **options):
    """Trains a module whose ranking of seven classes changes."""
    module = TinyClassifier(classes=7, learning_rate=0.3)
    return fit(tmp_path, ours, module=module, loaders=loaders(), max_epochs=3, **options)


def epochs(ours):
    return [explanation for tag, explanation, _ in ours.seen if tag == ours.tag]


@pytest.mark.parametrize("options", [{}, {"topk": 2}, {"topk": 4}])
@pytest.mark.parametrize("method", ["partition", "kernel", "gradient"])
def test_every_epoch_maps_the_true_class_first_and_what_it_predicts(tmp_path, options, method):
    torch.manual_seed(0)
    ours = Collecting(method=method, **options)
    fit_changing(tmp_path, ours)
    wrong = 0
    for _, explanation, _ in ours.seen:  # the control, the epochs, and the final model
        indexes, record = explanation.output_indexes, explanation.record
        assert indexes.shape[1] == options.get("topk", 3)
        assert all(len(set(row)) == len(row) for row in indexes.tolist())
        assert indexes[:, 0].tolist() == record.labels.tolist()
        highest = record.outputs.argmax(axis=1)
        assert (indexes == highest[:, None]).any(axis=1).all()
        wrong += int((highest != record.labels).sum())
    assert wrong > 4, "or nothing was tested"


@pytest.mark.parametrize("is_labelled", [True, False])
def test_classes_that_are_kept_stay_and_are_those_of_the_first_epoch(tmp_path, is_labelled):
    torch.manual_seed(0)
    ours = Collecting(samples=None if is_labelled else tiny_data(20)[:3][0])
    fit_changing(tmp_path, ours)
    control, first, *later = [explanation for _, explanation, _ in ours.seen]
    ranking = first.record.outputs.argsort(axis=1)[:, ::-1]
    if not is_labelled:
        np.testing.assert_array_equal(first.output_indexes, ranking[:, :3])
    own = [explanation.output_indexes[:, 2].tolist() for explanation in (first, *later)]
    assert len({tuple(column) for column in own}) > 1, "or nothing else was there to be seen"
    for explanation in later:
        kept = [one.output_indexes[:, :2].tolist() for one in (first, explanation)]
        assert kept[0] == kept[1]
        assert explanation.record.kept.tolist() == [[True, True, False]] * 3
    assert first.record.kept.tolist() == [[True, True, False]] * 3
    assert control.record.kept is None, "an untrained model ranks classes at random"


def test_the_true_class_has_the_same_map_whichever_others_stand_beside_it(tmp_path):
    torch.manual_seed(0)
    ours = Collecting()
    fit_changing(tmp_path, ours)
    final, images = ours.explanation, session_of(ours).batch.pick.samples.images
    alone = answer(ours.trained, images, replace(ours.question, topk=1, labels=final.record.labels))
    assert np.array_equal(alone.values[..., 0], final.values[..., 0])


def test_what_is_asked_for_by_name_stays(tmp_path):
    for options in ({"targets": [5, 1]}, {"against": "runner-up"}):
        ours = Collecting(**options)
        fit_changing(tmp_path, ours)
        control, *others = epochs(ours)
        for epoch in others:
            np.testing.assert_array_equal(epoch.output_indexes, control.output_indexes)
            assert epoch.record.kept is None
            if "against" in options:
                np.testing.assert_array_equal(epoch.record.against, control.record.against)


def test_no_row_is_evaluated_for_the_sake_of_an_epochs_own_classes(tmp_path):
    ours = Collecting()
    fit_changing(tmp_path, ours)
    assert {tuple(e.record.evaluations) for _, e, _ in ours.seen} == {(12, 12, 12)}


@pytest.mark.draws
def test_the_scale_of_a_run_never_shrinks_and_the_control_has_its_own(tmp_path):
    torch.manual_seed(0)  # or the network may be dead after an epoch, with maps of zeros
    ours = Collecting()
    fit_changing(tmp_path, ours)
    limits = [limit for _, _, limit in ours.seen]
    assert limits[0] == 0, "the control widened nothing"
    assert limits[1] > 0
    assert limits == sorted(limits)


def test_a_resumed_run_goes_on_with_its_classes_and_its_scale(tmp_path):
    torch.manual_seed(0)
    first, second = Collecting(), Collecting()
    trainer = fit_changing(tmp_path, first)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    trainer = tiny_trainer(tmp_path, second, max_epochs=4)
    trainer.fit(
        TinyClassifier(classes=7, learning_rate=0.3),
        *loaders(),
        ckpt_path=tmp_path / "last.ckpt",
    )
    kept = epochs(first)[1].output_indexes[:, :2]
    np.testing.assert_array_equal(epochs(second)[-1].output_indexes[:, :2], kept)
    assert second.seen[0][2] >= first.seen[-1][2]


def test_fewer_samples_are_asked_anew():
    steady = FixedClasses()
    steady.load_state_dict({"classes": [[1, 2], [0, 1]], "against": None, "limit": 2.0})
    question = ShapCallback(topk=2).question
    assert steady.narrow(question, 3) == question
    assert steady.narrow(question, 2).first.tolist() == [[1], [0]]
    assert steady.state_dict() == {"classes": [[1, 2], [0, 1]], "against": None, "limit": 2.0}


def test_a_checkpoint_that_pinned_three_classes_leaves_room_for_what_is_predicted():
    steady = FixedClasses()
    steady.load_state_dict({"classes": [[4, 2, 6], [0, 1, 5]], "against": None, "limit": 2.0})
    assert steady.narrow(ShapCallback().question, 2).first.tolist() == [[4, 2], [0, 1]]


@pytest.mark.draws
def test_a_callback_draws_in_the_style_that_it_is_given(tmp_path):
    tiles, contour = (Collecting(style=style) for style in ("tiles", "contour"))
    loggers = [fit_changing(tmp_path, ours).logger for ours in (tiles, contour)]
    first, second = (next(iter(logger.pictures.values())) for logger in loggers)
    assert not np.array_equal(first, second)
    with pytest.raises(ValueError, match="style: unknown 'heat'"):
        ShapCallback(style="heat")
