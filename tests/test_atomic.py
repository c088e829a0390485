import os
import threading

import numpy as np
import pytest

from lightning_shap import atomic
from lightning_shap.atomic import published, replacing, standing, work_folder
from lightning_shap.pictures.grid import save

FILES = ["explanation.json", "explanation.npz", "explanation.png"]


def publish(directory, text):
    with published(directory) as folder:
        for name in FILES:
            (folder / name).write_text(text)


def contents(directory):
    return {path.name: path.read_text() for path in directory.iterdir() if path.is_file()}


def test_a_set_appears_together_and_leaves_nothing_else(tmp_path):
    publish(tmp_path / "new folder", "1")
    publish(tmp_path / "new folder", "2")
    assert contents(tmp_path / "new folder") == dict.fromkeys(FILES, "2")
    assert len(os.listdir(tmp_path / "new folder")) == 3


def test_other_files_are_left_alone(tmp_path):
    (tmp_path / "best_model.pth").write_text("weights")
    publish(tmp_path, "1")
    assert contents(tmp_path) == {"best_model.pth": "weights", **dict.fromkeys(FILES, "1")}


def test_a_failure_while_writing_leaves_the_older_set(tmp_path):
    publish(tmp_path, "1")
    with pytest.raises(TypeError):
        publish(tmp_path, None)
    assert contents(tmp_path) == dict.fromkeys(FILES, "1")


class Killed(BaseException):
    """As if the process had ended: nothing is put in order."""


def failing_at(step, error, monkeypatch):
    replace, done = os.replace, []

    def limited(*paths):
        if len(done) == step:
            raise error
        done.append(paths)
        replace(*paths)

    monkeypatch.setattr(atomic.os, "replace", limited)


@pytest.mark.parametrize("older", [True, False])
@pytest.mark.parametrize("step", range(7))
def test_a_failure_while_replacing_brings_the_older_set_back(tmp_path, monkeypatch, step, older):
    if older:
        publish(tmp_path, "1")
    with monkeypatch.context() as patch:
        replace, done = os.replace, []

        def once(*paths):
            done.append(paths)
            if len(done) == step + 1:
                raise PermissionError
            replace(*paths)

        patch.setattr(atomic.os, "replace", once)
        try:
            publish(tmp_path, "2")
            failed = False
        except PermissionError:
            failed = True
    now = contents(tmp_path)
    if failed:
        assert now == (dict.fromkeys(FILES, "1") if older else {})
    else:
        assert now == dict.fromkeys(FILES, "2")
    assert not any(path.is_dir() for path in tmp_path.iterdir())


@pytest.mark.parametrize("step", range(7))
def test_a_kill_while_replacing_never_leaves_a_mixture(tmp_path, monkeypatch, step):
    publish(tmp_path, "1")
    with monkeypatch.context() as patch:
        failing_at(step, Killed(), patch)
        patch.setattr(atomic, "_put_back", lambda *_: None)
        patch.setattr(atomic.Path, "unlink", lambda *_, **__: None)
        with pytest.raises(Killed):
            publish(tmp_path, "2")
    assert len(set(contents(tmp_path).values())) <= 1
    assert {standing(tmp_path / name).read_text() for name in FILES} == {"1"}
    publish(tmp_path, "3")
    assert contents(tmp_path) == dict.fromkeys(FILES, "3")
    assert len(os.listdir(tmp_path)) == 3


def test_a_file_that_the_new_set_lacks_goes(tmp_path):
    publish(tmp_path, "1")
    with published(tmp_path, FILES) as folder:
        (folder / FILES[0]).write_text("2")
    assert contents(tmp_path) == {FILES[0]: "2"}


def test_two_publishers_at_once_never_leave_a_mixture(tmp_path):
    mixtures, start = [], threading.Barrier(2)

    def publisher(name):
        start.wait()
        for number in range(40):
            publish(tmp_path, f"{name} {number}")

    threads = [threading.Thread(target=publisher, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        with atomic._locked(tmp_path):  # between two replacements
            texts = set(contents(tmp_path).values())
        mixtures += [texts] if len(texts) > 1 else []
    assert not mixtures
    assert len(set(contents(tmp_path).values())) == 1
    assert sorted(os.listdir(tmp_path)) == FILES


def test_leftovers_of_ended_processes_are_cleared_and_work_that_goes_on_is_not(tmp_path):
    for name in ("123.shards", "456.part"):
        (tmp_path / f".explanation.{name}").mkdir()
        (tmp_path / f".explanation.{name}" / "000001.npz").write_text("left over")
    with work_folder(tmp_path, "789.shards") as going_on:
        publish(tmp_path, "1")
        assert going_on.is_dir()
        assert sorted(os.listdir(tmp_path)) == [going_on.name, *FILES]


def test_a_work_folder_belongs_to_one_process_at_a_time(tmp_path):
    with (
        work_folder(tmp_path, "x"),
        pytest.raises(BlockingIOError),
        work_folder(tmp_path, "x"),
    ):
        pass
    with work_folder(tmp_path, "x"):
        pass


def test_the_longest_names_can_be_written(tmp_path):
    name = "é" * 125 + ".png"  # 254 bytes of the 255 that file systems allow
    save(np.zeros((2, 2, 3), np.uint8), tmp_path / name)
    assert os.listdir(tmp_path) == [name]


def test_a_file_that_is_not_finished_leaves_the_older_one(tmp_path):
    path = tmp_path / "x"
    path.write_text("1")

    def fails():
        with replacing(path) as partial:
            partial.write_text("2")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    assert contents(tmp_path) == {"x": "1"}
