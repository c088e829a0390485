import os
import subprocess
import sys
import threading

import numpy as np
import pytest
from obstacles import KINDS, everything_below, make_kind

from lightning_shap.explanation import atomic
from lightning_shap.explanation.atomic import (
    MARK,
    check_writable,
    open_regular,
    publish,
    replace_whole,
    work_folder,
)
from lightning_shap.pictures.saving import save

FILES = ["explanation.json", "explanation.npz", "explanation.png"]
FIRST = FILES[1]


def write_set(directory, text):
    with publish(directory, FIRST, FILES) as folder:
        for name in FILES:
            (folder / name).write_text(text)


def contents(directory):
    return {path.name: path.read_text() for path in directory.iterdir() if path.is_file()}


def test_a_set_appears_together_and_leaves_nothing_else(tmp_path):
    write_set(tmp_path / "new folder", "1")
    write_set(tmp_path / "new folder", "2")
    assert contents(tmp_path / "new folder") == dict.fromkeys(FILES, "2")
    assert len(os.listdir(tmp_path / "new folder")) == 3


def test_other_files_are_left_alone(tmp_path):
    (tmp_path / "best_model.pth").write_text("weights")
    write_set(tmp_path, "1")
    assert contents(tmp_path) == {"best_model.pth": "weights", **dict.fromkeys(FILES, "1")}


def test_a_failure_while_writing_leaves_the_older_set(tmp_path):
    write_set(tmp_path, "1")
    with pytest.raises(TypeError):
        write_set(tmp_path, None)
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


@pytest.mark.parametrize("step", range(3))
@pytest.mark.parametrize("error", [Killed(), PermissionError()])
def test_a_cut_off_replacement_leaves_no_mixture_and_always_the_first_file(
    tmp_path, monkeypatch, step, error
):
    write_set(tmp_path, "1")
    with monkeypatch.context() as patch:
        failing_at(step, error, patch)
        with pytest.raises(type(error)):
            write_set(tmp_path, "2")
    now = contents(tmp_path)
    assert now[FIRST] == ("2" if step else "1")
    assert len({*now.values()}) == 1
    write_set(tmp_path, "3")
    assert contents(tmp_path) == dict.fromkeys(FILES, "3")
    assert sorted(os.listdir(tmp_path)) == FILES


def test_a_file_that_the_new_set_lacks_goes(tmp_path):
    write_set(tmp_path, "1")
    with publish(tmp_path, FIRST, FILES) as folder:
        (folder / FIRST).write_text("2")
    assert contents(tmp_path) == {FIRST: "2"}


def test_two_publishers_at_once_never_leave_a_mixture(tmp_path):
    mixtures, start = [], threading.Barrier(2)

    def publisher(name):
        start.wait()
        for number in range(40):
            write_set(tmp_path, f"{name} {number}")

    threads = [threading.Thread(target=publisher, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        with atomic._hold_lock(tmp_path):  # between two replacements
            texts = set(contents(tmp_path).values())
        mixtures += [texts] if len(texts) > 1 else []
    assert not mixtures
    assert len(set(contents(tmp_path).values())) == 1
    assert sorted(os.listdir(tmp_path)) == FILES


def test_leftovers_of_ended_processes_are_cleared_and_work_that_goes_on_is_not(tmp_path):
    for name in ("123.shards", "456.part"):
        (tmp_path / f".explanation.{name}").mkdir()
        (tmp_path / f".explanation.{name}" / MARK).touch()
        (tmp_path / f".explanation.{name}" / "000001.npz").write_text("left over")
    with work_folder(tmp_path, "789.shards") as going_on:
        write_set(tmp_path, "1")
        assert going_on.is_dir()
        assert sorted(os.listdir(tmp_path)) == [going_on.name, *FILES]


@pytest.mark.integration
def test_a_killed_process_leaves_a_file_that_the_next_one_clears(tmp_path):
    code = """
import os, signal, sys
from lightning_shap.explanation.atomic import replace_whole
with replace_whole(sys.argv[1] + "/x.png") as partial:
    partial.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert [path.suffix for path in tmp_path.iterdir()] == [".part"]
    atomic._cleared.clear()  # as in another process
    with replace_whole(tmp_path / "y.png") as partial:
        partial.write_text("whole")
        atomic._cleared.clear()
        with replace_whole(tmp_path / "z.png") as other:  # whose process leaves ours alone
            other.write_text("whole")
    assert contents(tmp_path) == {"y.png": "whole", "z.png": "whole"}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", FILES)
def test_only_regular_files_are_replaced(tmp_path, kind, name):
    place = tmp_path / "place"
    place.mkdir()
    make_kind(kind, place / name, tmp_path)
    before = everything_below(tmp_path)
    what = f"is a {kind.split()[0]} and no file; move it away, or give another"
    with pytest.raises(OSError, match=what):
        write_set(place, "1")
    with pytest.raises(OSError, match=what), replace_whole(place / name):
        pass
    with pytest.raises(OSError, match=what):
        check_writable(place, FILES)
    assert everything_below(tmp_path) == before


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["old", "x.shards", f"{'0' * 32}.part"])
def test_names_of_unfinished_work_prove_nothing(tmp_path, kind, name):
    place = tmp_path / "place"
    place.mkdir()
    make_kind(kind, place / f".explanation.{name}", tmp_path)
    before = everything_below(tmp_path)
    write_set(place, "1")
    after = everything_below(tmp_path)
    assert {path: after[path] for path in before} == before
    assert {path.name for path in {*after} - {*before}} == {*FILES}
    with (
        pytest.raises(OSError, match="is not of lightning-shap's making; move it away"),
        work_folder(place, name),
    ):
        pass
    assert everything_below(tmp_path) == after


def test_a_folder_of_ours_is_emptied_of_files_alone(tmp_path):
    ours = tmp_path / ".explanation.x.shards"
    (ours / "a folder").mkdir(parents=True)
    (ours / "a folder" / "key").write_text("secret")
    (ours / "a link").symlink_to(tmp_path)
    (ours / "000001.npz").write_text("left over")
    (ours / MARK).touch()
    write_set(tmp_path, "1")
    assert sorted(path.name for path in ours.iterdir()) == ["a folder", "a link"]
    assert (ours / "a folder" / "key").read_text() == "secret"


@pytest.mark.parametrize(
    "kind", ["folder", "pipe", "socket", "link to a folder", "link to a device"]
)
def test_only_regular_files_are_opened(tmp_path, kind):
    make_kind(kind, tmp_path / "x", tmp_path)
    with pytest.raises(OSError, match="and no file; move it away"):
        open_regular(tmp_path / "x")
    (tmp_path / "link").symlink_to(tmp_path / "treasure" / "key")
    with open_regular(tmp_path / "link") as file:  # a user's own, as of a data set or a model hub
        assert file.read() == b"secret"


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
        with replace_whole(path) as partial:
            partial.write_text("2")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    assert contents(tmp_path) == {"x": "1"}


def test_processes_that_say_so_share_a_work_folder(tmp_path):
    with work_folder(tmp_path, "x", shared=True) as one:
        with work_folder(tmp_path, "x", shared=True) as other:
            assert one == other
        with pytest.raises(BlockingIOError), work_folder(tmp_path, "x"):
            pass
