"""Whatever fails inside an explanation, the training does not."""

import os
import re
import signal
import subprocess
import sys
import textwrap
import warnings
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from pytorch_lightning import Callback
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger
from pytorch_lightning.utilities.exceptions import SIGTERMException
from tiny_training import (
    NO_STORY,
    FaultyClassifier,
    KeepingLogger,
    TinyClassifier,
    fit,
    hear_warnings,
    lightning_warns,
    same,
    session_of,
    tiny_callback,
    tiny_data,
    tiny_loaders,
    tiny_trainer,
)
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, Dataset

pytestmark = lightning_warns


callback = partial(
    tiny_callback, explain_untrained=False, batch_size=8, on_error="warn", **NO_STORY
)


def fit_and_hear(tmp_path, module, *callbacks, **options):
    """A training and the warnings of ours that it brought."""
    with hear_warnings() as words:
        trainer = fit(tmp_path, *callbacks, module=module, **options)
    return trainer, words


def raises(number, scores):
    raise ZeroDivisionError("of the model's own")


def never(number, scores):
    raise AssertionError("not to be called")


def nan_in_the_end(number, scores):
    return scores if number < 2 else scores * float("nan")


def out_of_memory(number, scores):
    raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")


def too_few_rows(number, scores):
    return scores[:-1]


FAULTS = {
    "it raises": (raises, "ZeroDivisionError: of the model's own"),
    "it returns NaN": (nan_in_the_end, "NaN or infinite"),
    "memory runs out": (out_of_memory, "not even one row fits"),
    "rows are missing": (too_few_rows, "rows"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_failing_model_is_one_warning_an_epoch_and_three_at_most(tmp_path, fault):
    failing, cause = FAULTS[fault]
    module = FaultyClassifier(failing)
    trainer, messages = fit_and_hear(tmp_path, module, callback(), max_epochs=5)
    assert trainer.current_epoch == 5
    assert len(messages) == 3
    assert all(cause in words for words in messages)
    assert "a retry" in messages[0]
    assert "stops trying" in messages[2]
    assert not trainer.logger.pictures
    assert module.net.training


@pytest.mark.parametrize("fault", FAULTS)
def test_on_error_raise_raises_the_error_itself(tmp_path, fault):
    failing, cause = FAULTS[fault]
    kinds = {"it raises": ZeroDivisionError, "memory runs out": MemoryError}
    with pytest.raises(kinds.get(fault, ValueError), match=cause.split(": ")[-1]):
        fit_and_hear(tmp_path, FaultyClassifier(failing), callback(on_error="raise"))


def test_a_module_whose_forward_is_no_classifier_is_told_of_module(tmp_path):
    class OfBatches(TinyClassifier):
        def forward(self, batch):
            return self.net(batch.pixels)

        def loss(self, batch):
            return cross_entropy(self(SimpleNamespace(pixels=batch[0])), batch[1])

    hint = re.escape("if OfBatches.forward does not take images (N, C, H, W), name the attribute")
    with pytest.warns(UserWarning, match=rf"{hint}.* that does with module=, one of \['net'\]"):
        tiny_trainer(tmp_path, callback()).fit(OfBatches(), *tiny_loaders())
    with pytest.raises(AttributeError, match="pixels") as caught:
        tiny_trainer(tmp_path, callback(on_error="raise")).fit(OfBatches(), *tiny_loaders())
    assert "module=" in caught.value.__notes__[0]
    tiny_trainer(tmp_path, ours := callback(module="net")).fit(OfBatches(), *tiny_loaders())
    assert ours.explanation is not None


def test_two_failures_and_a_success_begin_the_count_anew(tmp_path):
    def every_third_works(number, scores):
        # A failure ends an explanation at its first call; a success takes several.
        works = module.trainer.current_epoch % 3 == 2
        if not works:
            raise RuntimeError("this time")

    module = FaultyClassifier(every_third_works)
    trainer, messages = fit_and_hear(tmp_path, module, callback(), max_epochs=9)
    steps = sorted(step for key, step in trainer.logger.pictures if key == "shap/attributions")
    assert steps == [14, 29, 44]
    assert len(messages) == 7  # six, and the final model at epoch 9


def test_a_new_fit_tries_again(tmp_path):
    module, ours = FaultyClassifier(raises), callback()
    fit_and_hear(tmp_path, module, ours, max_epochs=4)
    module.fault = lambda number, scores: None
    trainer, messages = fit_and_hear(tmp_path, module, ours, max_epochs=1)
    assert not messages
    assert len(trainer.logger.pictures) == 2


def test_memory_that_runs_out_halves_the_batch_and_goes_on(tmp_path):
    rows = []

    def little_memory(number, scores):
        rows.append(len(scores))
        if len(scores) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")

    trainer, messages = fit_and_hear(
        tmp_path, FaultyClassifier(little_memory), callback(), max_epochs=1
    )
    assert not messages
    assert max(rows) > 3
    assert len(trainer.logger.pictures) == 2


class BrokenLogger(KeepingLogger):
    """Takes numbers, but no pictures."""

    def log_image(self, key, images, step=None):
        raise ConnectionError("no route to the server")


def test_a_logger_that_raises_keeps_no_other_from_its_picture(tmp_path):
    loggers = [BrokenLogger(), KeepingLogger()]
    ours = callback(save_dir=str(tmp_path / "pictures"))
    _, messages = fit_and_hear(tmp_path, TinyClassifier(), ours, logger=loggers, max_epochs=1)
    assert len(messages) == 1  # for the epoch and the final model
    assert "could not log to BrokenLogger: ConnectionError: no route to the server" in messages[0]
    assert len(loggers[1].pictures) == 2
    assert len(list((tmp_path / "pictures").rglob("*.png"))) == 2
    assert loggers[1].texts


def test_a_folder_that_cannot_be_written_is_a_warning(tmp_path):
    (tmp_path / "taken").write_text("a file")
    ours = callback(save_dir=str(tmp_path / "taken"))
    trainer, messages = fit_and_hear(tmp_path, TinyClassifier(), ours, max_epochs=1)
    assert len(messages) == 1
    assert "could not log to save_dir" in messages[0]
    assert "taken" in messages[0]
    assert len(trainer.logger.pictures) == 2
    assert (tmp_path / "taken").read_text() == "a file"


def test_a_full_disk_is_a_warning_and_leaves_no_half_picture(tmp_path, monkeypatch):
    from PIL import Image

    def write_some(self, file, *args, **kwargs):
        if hasattr(file, "write"):
            file.write(b"half a pict")
        else:
            Path(file).write_bytes(b"half a pict")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", write_some)
    ours = callback(save_dir=str(tmp_path / "pictures"))
    _, messages = fit_and_hear(tmp_path, TinyClassifier(), ours, max_epochs=1)
    assert len(messages) == 1
    assert "No space left" in messages[0]
    assert [path for path in (tmp_path / "pictures").rglob("*") if path.is_file()] == []


def test_a_csv_logger_whose_folder_is_full_goes_on(tmp_path):
    logger = CSVLogger(tmp_path)
    (Path(logger.log_dir)).mkdir(parents=True)
    (Path(logger.log_dir) / "shap").symlink_to("/dev/full")
    trainer, messages = fit_and_hear(
        tmp_path, TinyClassifier(), callback(), logger=logger, max_epochs=1
    )
    assert len(messages) == 1  # the final model has a folder of its own
    assert trainer.current_epoch == 1


class ClosesTheWriter(Callback):
    """As a user's callback may, which thinks that the run is over."""

    def on_train_epoch_start(self, trainer, pl_module):
        trainer.logger.experiment.close()


def test_an_event_writer_closed_early_opens_again(tmp_path):
    logger = TensorBoardLogger(tmp_path)
    trainer, messages = fit_and_hear(
        tmp_path, TinyClassifier(), ClosesTheWriter(), callback(), logger=logger, max_epochs=2
    )
    assert not messages
    assert trainer.current_epoch == 2


class Killed(Dataset):
    """Kills the process that asks for its last item."""

    def __init__(self):
        self.data = tiny_data(12)

    def __len__(self):
        return len(self.data)

    def __getitem__(self, index):
        if index == 11 and torch.utils.data.get_worker_info() is not None:
            os.kill(os.getpid(), signal.SIGKILL)
        return self.data[index]


def test_a_killed_worker_is_the_error_that_the_user_sees(tmp_path):
    def loaders():
        return DataLoader(Killed(), 4, num_workers=1), tiny_loaders()[1]

    trainer = tiny_trainer(tmp_path, callback())
    # Which of torch's errors it is depends on where the worker was killed.
    with pytest.raises((RuntimeError, ConnectionResetError, EOFError)):
        trainer.fit(TinyClassifier(), *loaders())
    assert not trainer.logger.pictures


class Broken(Dataset):
    """Fails at each item that is asked for beside the loader's."""

    def __init__(self):
        self.data = tiny_data(8)

    def __len__(self):
        return len(self.data)

    def __getitem__(self, index):
        if index == 7:
            raise OSError("image file is truncated")
        return self.data[index]


def test_a_broken_sample_is_a_warning(tmp_path):
    ours = callback(samples=Broken(), n_samples=8)
    trainer, messages = fit_and_hear(tmp_path, TinyClassifier(), ours)
    assert len(messages) == 3
    assert "image file is truncated" in messages[0]
    assert trainer.current_epoch == 2


def test_batches_without_images_are_a_warning_that_says_what_would_do(tmp_path):
    class Flat(TinyClassifier):
        def loss(self, batch):
            images, labels = batch
            return super().loss((images.unflatten(1, (1, 8, 8)), labels))

    def loaders():
        images, labels = tiny_data(12).tensors
        data = torch.utils.data.TensorDataset(images.flatten(1), labels)
        return DataLoader(data, 4), DataLoader(data, 4)

    trainer, messages = fit_and_hear(tmp_path, Flat(), callback(), loaders=loaders())
    assert "found (4, 64) in the batch, no images" in messages[0]
    assert "explain a module that takes a frame" in messages[0]
    assert trainer.current_epoch == 2


def test_sigterm_ends_the_explanation_at_once_and_the_training_by_its_own_rules(tmp_path):
    def terminated(number, scores):
        assert number <= 2, "the explanation went on"
        if number == 2:
            os.kill(os.getpid(), signal.SIGTERM)

    module, ours = FaultyClassifier(terminated), callback(max_evals=400, batch_size=2)
    trainer = tiny_trainer(tmp_path, ours, max_epochs=3)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="ShapCallback")
        with pytest.raises(SIGTERMException):
            trainer.fit(module, *tiny_loaders())
    assert trainer.global_step == 5
    assert not trainer.logger.pictures
    assert module.net.training


def test_sharded_strategies_are_declined_in_one_sentence(tmp_path):
    ours = callback()
    trainer = tiny_trainer(tmp_path, ours)
    trainer.strategy.__class__ = type("FSDPStrategy", (type(trainer.strategy),), {})
    with pytest.warns(
        UserWarning, match="explains nothing under FSDPStrategy: it needs the whole model"
    ):
        trainer.fit(FaultyClassifier(never), *tiny_loaders())
    assert trainer.current_epoch == 2


@pytest.mark.integration
def test_the_picture_of_a_run_killed_while_writing_is_whole_or_missing(tmp_path):
    script = textwrap.dedent(
        """
        import os, sys
        import numpy as np
        from lightning_shap.pictures.saving import save
        os.replace = lambda *paths: os._exit(9)
        save(np.zeros((8, 8, 3), np.uint8), sys.argv[1])
        """
    )
    path = tmp_path / "picture.png"
    done = subprocess.run([sys.executable, "-c", script, str(path)], timeout=60, check=False)
    assert done.returncode == 9
    assert not path.exists()


def by_class(explanation):
    order = np.argsort(explanation.output_indexes, axis=1)
    return np.take_along_axis(explanation.values, order[:, None, None, None], axis=-1)


def test_explanations_with_a_fault_in_between_are_those_without(tmp_path):
    def once(number, scores):
        if number == 1:
            raise ValueError("the first time")

    arguments = {"samples": tiny_data(2).tensors}
    torch.manual_seed(0)
    module = FaultyClassifier(once)
    start = {key: value.clone() for key, value in module.state_dict().items()}
    torch.manual_seed(1)
    faulty, messages = fit_and_hear(tmp_path, module, ours := callback(**arguments))
    again = FaultyClassifier(lambda number, scores: None)
    again.load_state_dict(start)
    torch.manual_seed(1)
    sound, nothing = fit_and_hear(tmp_path, again, others := callback(**arguments))
    assert len(messages) == 1
    assert not nothing
    # Their pictures may have another scale, and their columns another order: both are those of the
    # epochs explained so far.
    assert same(by_class(ours.explanation), by_class(others.explanation))
    assert len(faulty.logger.pictures) == len(sound.logger.pictures) - 1


class DeadlineError(Exception):
    """A user's own, raised by a handler of theirs."""


def test_an_error_that_a_users_signal_handler_raises_is_the_trainings(tmp_path):
    def expire(number, frame):
        raise DeadlineError

    def interrupted(number, scores):
        if number == 2:
            os.kill(os.getpid(), signal.SIGUSR2)

    before = signal.signal(signal.SIGUSR2, expire)
    try:
        with pytest.raises(DeadlineError):
            fit_and_hear(tmp_path, FaultyClassifier(interrupted), callback(batch_size=2))
    finally:
        signal.signal(signal.SIGUSR2, before)


def test_a_good_explanation_counts_as_one_even_if_logging_fails(tmp_path):
    class Broken(KeepingLogger):
        def log_image(self, key, images, step=None):
            raise ConnectionError("no route to the server")

    ours = callback()
    fit_and_hear(tmp_path, TinyClassifier(), ours, logger=Broken(), max_epochs=5)
    assert ours.explanation is not None
    assert not session_of(ours).failures.gave_up


def test_the_hooks_of_one_epoch_are_one_failure(tmp_path):
    def at_first(number, scores):
        if number <= 2:
            raise ZeroDivisionError("of the model's own")

    ours = callback(explain_untrained=True, every_n_epochs=1)
    _, messages = fit_and_hear(tmp_path, FaultyClassifier(at_first), ours, max_epochs=2)
    assert len(messages) == 1, "the control and the end of the same epoch"
    assert ours.explanation is not None
