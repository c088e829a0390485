import json
import os
import subprocess
import sys
from contextlib import ExitStack

import numpy as np
import pytest
import torch
from finished_model import class_folders, flags, network, weights_in
from PIL import Image

import lightning_shap
from lightning_shap.command import job, shards
from lightning_shap.command.claims import Claims
from lightning_shap.command.main import main
from lightning_shap.explanation.atomic import work_folder

FILES = ["explanation.json", "explanation.npz", "explanation.png"]


@pytest.fixture
def everything(tmp_path, monkeypatch):
    """Explain all of nine images, four a shard."""
    monkeypatch.setattr(shards, "SHARD_IMAGES", 4)
    dataset = class_folders(tmp_path / "data")
    directory = weights_in(tmp_path, network())

    def command(output, *more):
        cpu = ["--accelerator", "cpu", "--topk", "2"]
        main(flags(directory, dataset, "--output_dir", tmp_path / output, *cpu, *more))
        return lightning_shap.load(tmp_path / output)

    return command


def test_all_images_are_explained_in_their_order_as_at_once(everything, tmp_path, monkeypatch):
    together = everything("out", "--n_samples", "all")
    written = json.loads((tmp_path / "out" / "explanation.json").read_text(encoding="utf-8"))
    files = [image["file"] for image in written["images"]]
    assert files == sorted(files)
    assert len(together) == 9
    monkeypatch.setattr(shards, "SHARD_IMAGES", 9)
    at_once = everything("at once", "--n_samples", "all")
    assert np.array_equal(together.output_indexes, at_once.output_indexes)
    scale = np.abs(at_once.values).max()
    assert np.abs(together.values - at_once.values).max() < 1e-5 * scale
    assert sorted(os.listdir(tmp_path / "out")) == FILES


def test_a_run_resumes_at_the_shard_where_it_stopped(everything, tmp_path, monkeypatch):
    explained = []
    answer = job.answer

    def stops(model, images, *asked):
        explained.append(len(images))
        if len(explained) == 2:
            raise KeyboardInterrupt
        return answer(model, images, *asked)

    monkeypatch.setattr(job, "answer", stops)
    with pytest.raises(SystemExit):
        everything("out", "--n_samples", "all")
    assert explained == [4, 4]
    assert not any(name in os.listdir(tmp_path / "out") for name in FILES)
    resumed = everything("out", "--n_samples", "all")
    assert explained == [4, 4, 4, 1]
    monkeypatch.setattr(job, "answer", answer)
    assert np.array_equal(resumed.values, everything("whole", "--n_samples", "all").values)


def test_other_settings_begin_anew(everything, monkeypatch):
    explained = []
    answer = job.answer

    def stops(model, images, *asked):
        explained.append(asked[0].seed)
        if len(explained) == 2:
            raise KeyboardInterrupt
        return answer(model, images, *asked)

    monkeypatch.setattr(job, "answer", stops)
    with pytest.raises(SystemExit):
        everything("out", "--n_samples", "all")
    everything("out", "--n_samples", "all", "--seed", "1")
    assert explained == [0, 0, 1, 1, 1]


def test_shards_keep_within_their_bytes(everything, monkeypatch):
    monkeypatch.setattr(shards, "SHARD_BYTES", 2 * 8 * 32 * 32 * 3 * 2)
    explained = []
    answer = job.answer
    monkeypatch.setattr(
        job, "answer", lambda m, x, *q: explained.append(len(x)) or answer(m, x, *q)
    )
    everything("out", "--n_samples", "5")
    assert explained == [2, 2, 1]


def test_unreadable_images_are_left_out_of_their_shard(everything, tmp_path):
    for broken in (tmp_path / "data" / "cat").iterdir():
        broken.write_bytes(b"no image")
    explanation = everything("out", "--n_samples", "all")
    written = json.loads((tmp_path / "out" / "explanation.json").read_text(encoding="utf-8"))
    assert len(explanation) == len(written["images"]) == 6
    assert len(written["skipped"]) == 3


@pytest.mark.parametrize(
    ("rank", "count", "local"),
    [
        ("RANK", "WORLD_SIZE", "LOCAL_RANK"),
        ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID"),
    ],
)
def test_the_last_of_several_processes_writes_the_file_of_one(
    everything, tmp_path, monkeypatch, capsys, rank, count, local
):
    one = everything("one", "--n_samples", "all")
    monkeypatch.setenv(count, "2")
    monkeypatch.setenv(local, "0")
    monkeypatch.setenv(rank, "0")
    with pytest.raises(FileNotFoundError):
        everything("two", "--n_samples", "all")
    assert "the last one writes the results" in capsys.readouterr().err
    monkeypatch.setenv(rank, "1")
    two = everything("two", "--n_samples", "all")
    assert np.array_equal(one.output_indexes, two.output_indexes)
    assert np.abs(one.values - two.values).max() <= 1e-5 * np.abs(one.values).max()
    assert sorted(os.listdir(tmp_path / "two")) == FILES


class Claimed:
    """Claims of three processes, of which this is the first and the last has not begun."""

    def __init__(self, *of_others):
        self.of_others = of_others

    def is_at_work(self, rank):
        return rank == 1

    def take(self, piece):
        return piece not in self.of_others


def test_a_free_process_takes_what_is_left_to_those_that_are_at_work(tmp_path, monkeypatch):
    for name, value in {"RANK": "0", "WORLD_SIZE": "3", "LOCAL_RANK": "0"}.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "000006.json").touch()  # explained
    taken = [*shards._take(Claimed(1, 7), tmp_path, 11)]
    assert taken == [0, 3, 9, 10, 4]


KEEPER = """
import sys
from pathlib import Path
from lightning_shap.command.claims import Claims

with Claims(Path(sys.argv[1]), rank=1, processes=2) as claims:
    print(claims.take(5), flush=True)
    sys.stdin.read()
"""


@pytest.mark.integration
def test_what_another_process_has_claimed_is_free_once_it_ends(tmp_path):
    with Claims(tmp_path / "claims", rank=0, processes=2) as claims:
        assert not claims.is_at_work(1)
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        with subprocess.Popen(
            [sys.executable, "-c", KEEPER, tmp_path / "claims"], **pipes
        ) as other:
            assert other.stdout.readline() == b"True\n"
            assert claims.is_at_work(1)
            assert not claims.take(5)
            assert claims.take(4)
            other.kill()
        assert not claims.is_at_work(1)
        assert claims.take(5)


def test_a_rank_that_is_no_number_is_said_in_one_sentence(everything, monkeypatch, capsys):
    for name, value in {"RANK": "first", "WORLD_SIZE": "2", "LOCAL_RANK": "0"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit):
        everything("out")
    assert capsys.readouterr().err.splitlines()[-1] == (
        "lightning-shap: error: RANK, WORLD_SIZE, LOCAL_RANK: got 'first', '2', '0'; torchrun and "
        "srun set whole numbers"
    )


def test_while_another_process_is_at_work_nobody_joins_the_shards(everything, monkeypatch):
    place = []
    answer = job.answer

    def note_folder(*arguments, **more):
        place.append((more, arguments))
        return work_folder(*arguments, **more)

    monkeypatch.setattr(shards, "work_folder", note_folder)
    monkeypatch.setattr(
        job,
        "answer",
        lambda *a: held.enter_context(work_folder(*place[0][1], shared=True)) and answer(*a),
    )
    with ExitStack() as held, pytest.raises(FileNotFoundError):
        everything("out")
    assert len(everything("out")) == 8


@pytest.mark.parametrize("processes", [1, 2])
def test_a_process_that_begins_late_waits_for_those_of_its_own_job(
    everything, tmp_path, monkeypatch, capsys, processes
):
    for name, value in {"RANK": "0", "WORLD_SIZE": processes, "LOCAL_RANK": "0"}.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.setattr(shards, "_fingerprint", lambda *asked: "job")
    (tmp_path / "out").mkdir()
    held = work_folder(tmp_path / "out", "job.shards")
    held.__enter__()
    waited = []

    def wait(seconds):
        waited.append(seconds)
        held.__exit__(None, None, None)

    monkeypatch.setattr(shards.time, "sleep", wait)
    if processes == 1:
        with pytest.raises(SystemExit):
            everything("out", "--n_samples", "all")
        assert "another lightning-shap writes the same results" in capsys.readouterr().err
        wait(0)
    else:
        with pytest.raises(FileNotFoundError):  # the other's share is missing
            everything("out", "--n_samples", "all")
        assert waited == [shards.WAIT]


@pytest.mark.integration
def test_torchrun_shares_the_images_out(everything, tmp_path):
    one = everything("one", "--n_samples", "all")
    given = flags(next(tmp_path.glob("test_*")), tmp_path / "data", "--accelerator", "cpu")
    more = ["--topk", "2", "--n_samples", "all", "--output_dir", str(tmp_path / "two")]
    run = [sys.executable, "-W", "ignore", "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*run, "--standalone", "-m", "lightning_shap", *given, *more],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    two = lightning_shap.load(tmp_path / "two")
    assert np.abs(one.values - two.values).max() <= 1e-5 * np.abs(one.values).max()
    assert sorted(os.listdir(tmp_path / "two")) == FILES


SIGMOID = """
import torch

class Handmade(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(1))

    def forward(self, images):
        return 1 / (1 + torch.exp(-5 * self.scale * (images.mean((1, 2, 3)) - 0.5)))[:, None]
"""


def test_shards_that_take_outputs_for_different_things_are_refused(tmp_path, monkeypatch, capsys):
    """Grey images in the first shard, black and white ones as well in the second."""
    (tmp_path / "handmade.py").write_text(SIGMOID)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "model").mkdir()
    torch.save({"model": {"scale": torch.ones(1)}}, tmp_path / "model" / "best_model.pth")
    for number in range(32):
        grey = 120 if number < 16 else 255 * (number % 2)
        (tmp_path / "data" / "some").mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (32, 32), (grey,) * 3).save(tmp_path / "data/some" / f"{number:02}.png")
        (tmp_path / "data" / "none").mkdir(exist_ok=True)
    asked = ["--model_class", "handmade.Handmade", "--n_samples", "all", "--accelerator", "cpu"]
    asked += ["--mean", "0", "0", "0", "--std", "1", "1", "1", "--output_dir", tmp_path / "out"]
    with pytest.raises(SystemExit):
        main(flags(tmp_path / "model", tmp_path / "data", *asked))
    assert "returns: outputs of some images look like logits and others like probabilities" in (
        capsys.readouterr().err
    )
    assert [*(tmp_path / "out").iterdir()] == []
    main(flags(tmp_path / "model", tmp_path / "data", *asked, "--returns", "probabilities"))
    record = lightning_shap.load(tmp_path / "out").record
    assert np.array_equal(record.probabilities, record.outputs)
