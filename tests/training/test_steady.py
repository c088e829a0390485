"""Pictures of a run can be compared: the same classes in the same columns, on one scale."""

import numpy as np
import pytest
import torch
from tiny_training import TinyClassifier, ours_raise, tiny_data, tiny_trainer
from torch.utils.data import DataLoader

from lightning_shap import ShapCallback
from lightning_shap.training.steady import Steady

pytestmark = ours_raise


class Collecting(ShapCallback):
    """Keeps what each picture was of, and on which scale."""

    def __init__(self, **arguments):
        super().__init__(
            n_samples=3, max_evals=12, on_error="raise", metrics=[], evolution=None, **arguments
        )
        self.seen = []

    def _log(self, trainer, explanation, tag, *more):
        super()._log(trainer, explanation, tag, *more)
        self.seen.append((tag, explanation, self.steady.limit.value))


def loaders():
    rows = [(row[0], number % 7) for number, row in enumerate(tiny_data(20))]
    return DataLoader(rows, batch_size=4), DataLoader(rows[:8], batch_size=4)


def fit(tmp_path, ours, **options):
    module = TinyClassifier(classes=7, learning_rate=0.3)  # whose ranking changes
    trainer = tiny_trainer(tmp_path, ours, max_epochs=3, **options)
    trainer.fit(module, *loaders())
    return trainer


def epochs(ours):
    return [explanation for tag, explanation, _ in ours.seen if tag == ours.tag]


@pytest.mark.parametrize("options", [{}, {"topk": 2}, {"against": "runner-up"}])
def test_every_epoch_shows_the_same_classes_in_the_same_columns(tmp_path, options):
    torch.manual_seed(0)
    ours = Collecting(**options)
    fit(tmp_path, ours)
    control, *others = epochs(ours)
    assert len(others) == 3
    for epoch in others:
        np.testing.assert_array_equal(epoch.output_indexes, control.output_indexes)
        assert (epoch.record.against is None) == ("against" not in options)
        if "against" in options:
            np.testing.assert_array_equal(epoch.record.against, control.record.against)


def test_the_final_model_is_explained_for_its_own_ranking(tmp_path):
    torch.manual_seed(0)
    ours = Collecting()
    fit(tmp_path, ours)
    final = ours.seen[-1][1]
    highest = np.argmax(final.record.outputs, axis=1)
    assert (final.output_indexes == highest[:, None]).any(axis=1).all()


def test_the_scale_of_a_run_never_shrinks_and_the_control_has_its_own(tmp_path):
    ours = Collecting()
    fit(tmp_path, ours)
    limits = [limit for _, _, limit in ours.seen]
    assert limits[0] == 0, "the control widened nothing"
    assert limits[1] > 0
    assert limits == sorted(limits)


def test_a_resumed_run_goes_on_with_its_classes_and_its_scale(tmp_path):
    torch.manual_seed(0)
    first, second = Collecting(), Collecting()
    trainer = fit(tmp_path, first)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    trainer = tiny_trainer(tmp_path, second, max_epochs=4)
    trainer.fit(
        TinyClassifier(classes=7, learning_rate=0.3),
        *loaders(),
        ckpt_path=tmp_path / "last.ckpt",
    )
    np.testing.assert_array_equal(
        epochs(second)[-1].output_indexes, epochs(first)[0].output_indexes
    )
    assert second.seen[0][2] >= first.seen[-1][2]


def test_fewer_samples_are_asked_anew():
    steady = Steady()
    steady.load_state_dict({"classes": [[1, 2], [0, 1]], "against": None, "limit": 2.0})
    question = ShapCallback(topk=2).question
    assert steady.question(question, 3) == question
    assert steady.question(question, 2).targets.tolist() == [[1, 2], [0, 1]]
    assert steady.state_dict() == {"classes": [[1, 2], [0, 1]], "against": None, "limit": 2.0}


def test_a_callback_draws_in_the_style_that_it_is_given(tmp_path):
    tiles, contour = (Collecting(style=style) for style in ("tiles", "contour"))
    loggers = [fit(tmp_path, ours).logger for ours in (tiles, contour)]
    first, second = (next(iter(logger.pictures.values())) for logger in loggers)
    assert not np.array_equal(first, second)
    with pytest.raises(ValueError, match="style: unknown 'heat'"):
        ShapCallback(style="heat")
