"""Files and flags from anywhere: nothing runs, nothing is fetched, nothing ends in a traceback."""

import json
import os
import random
import subprocess
import sys
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import hostile
import numpy as np
import pytest
import torch
from finished_model import ARCHITECTURE, class_folders, flags, load_model, network, weights_in

import lightning_shap
from lightning_shap.command.main import main
from lightning_shap.command.model.offline import stay_offline
from lightning_shap.command.untrusted import blame, clean
from lightning_shap.errors import ArgumentError


@pytest.fixture
def server():
    """A server on this machine, and what it was asked for."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"import os")

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, *args):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/sitecustomize.py", asked
    server.shutdown()
    thread.join()
    server.server_close()


# --- nothing is fetched --------------------------------------------------------------------------


def test_a_configuration_fetches_nothing_and_writes_no_file(tmp_path, server):
    url, asked = server
    place, cache = tmp_path / "model", tmp_path / "cache"
    place.mkdir()
    torch.save(network().state_dict(), place / "weights.pth")
    fetching = {"url": url, "file": str(tmp_path / "x"), "custom_load": True, "hf_hub_id": "a/b"}
    hostile_arguments = {
        "pretrained": True,
        "pretrained_cfg": fetching,
        "pretrained_cfg_overlay": fetching,
        "cache_dir": str(cache),
        "checkpoint_path": url,
        "drop_rate": 0.1,
    }
    config = {
        "architecture": ARCHITECTURE,
        "model_args": hostile_arguments,
        "pretrained_cfg": {"mean": [0.1] * 3, **fetching},
    }
    (place / "config.json").write_text(json.dumps(config))
    loaded = load_model(place)
    assert not asked
    assert not cache.exists()
    assert loaded.module.drop_rate == 0.1
    assert "without model_args cache_dir, checkpoint_path" in loaded.source
    assert loaded.module.pretrained_cfg["url"] == ""


FETCHING_CLASS = """
import urllib.request
import torch

class Fetching(torch.nn.Module):
    def __init__(self, url="{url}"):
        super().__init__()
        urllib.request.urlopen(url).read()
"""


def test_a_class_that_fetches_something_is_refused(tmp_path, server, monkeypatch):
    url, asked = server
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "fetching_module.py").write_text(FETCHING_CLASS.format(url=url))
    torch.save({"a": torch.ones(1)}, tmp_path / "x.pth")
    with pytest.raises(ArgumentError, match=r"model_class: .*nothing is ever downloaded"):
        load_model(tmp_path / "x.pth", model_class="fetching_module.Fetching")
    assert not asked


def test_connections_are_refused_only_meanwhile(server):
    from urllib.request import urlopen

    url, asked = server
    with stay_offline(), pytest.raises(OSError, match="nothing is ever downloaded"):
        urlopen(url)
    assert not asked
    urlopen(url).close()
    assert asked


# --- stated sizes come first ---------------------------------------------------------------------


def archive_of(path, shape):
    """A small archive whose values unpack to any size."""
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".encode()
    header += b" " * (63 - (len(header) + 10) % 64) + b"\n"
    start = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("values", "base_values", "data"):
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                file.write(start + bytes(2**20))
    return path


def test_an_archive_that_unpacks_to_gigabytes_is_refused_by_its_stated_shapes(tmp_path):
    path = archive_of(tmp_path / "explanation.npz", (1024, 1024, 1024))
    assert path.stat().st_size < 2**20
    with pytest.raises(ArgumentError, match=r"path: .*unpacks to 24\.0 GiB, and max_bytes"):
        lightning_shap.load(path)
    with pytest.raises(ArgumentError, match="damaged"):
        lightning_shap.load(path, max_bytes=2**50)


def test_shapes_too_large_for_any_number_are_refused(tmp_path):
    path = archive_of(tmp_path / "explanation.npz", (2**62, 2**62, 4))
    with pytest.raises(ArgumentError, match="path: "):
        lightning_shap.load(path)


def test_weights_that_unpack_to_many_times_their_size_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("lightning_shap.command.model.checkpoints.MOST_UNPACKED", 2**20)
    path = tmp_path / "best_model.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(2**27))
    with pytest.raises(ArgumentError, match=r"unpacks to 0\.1 GiB.*nothing was unpacked"):
        load_model(path, model_name=ARCHITECTURE)


def test_weights_that_state_more_than_the_file_holds_are_refused(tmp_path):
    weights = network().state_dict() | {"classifier.weight": torch.zeros(1).expand(10**9, 256)}
    torch.save(weights, tmp_path / "best_model.pth")
    with pytest.raises(ArgumentError, match=r"no plain tensors \(classifier\.weight\)"):
        load_model(tmp_path, model_name=ARCHITECTURE)


# --- nothing hangs -------------------------------------------------------------------------------


def test_a_state_dict_that_holds_itself_is_an_error(tmp_path):
    torch.save(hostile.itself(), tmp_path / "best_model.pth")
    with pytest.raises(ArgumentError, match=r"holds no weights but a dict \(model\)"):
        load_model(tmp_path)


def test_links_to_folders_inside_a_class_are_not_followed(tmp_path):
    from lightning_shap.command.data.folders import find_images

    data = class_folders(tmp_path / "data", ["a", "b"], each=2)
    for name in ("one", "two"):
        (data / "a" / name).symlink_to(data)
        (data / "b" / name).symlink_to(data / "a")
    (data / "a" / "self").symlink_to(data / "a" / "self")
    images = find_images(data)
    assert np.bincount(images.labels).tolist() == [2, 2]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--max_evals", 10**23], "max_evals: got 100000000000000000000000; give at most"),
        (["--seed", 10**23], "seed: got 100000000000000000000000; give at most"),
        (["--crop_size", 10**6], "crop_size: got 1000000; give at most"),
        (["--num_workers", 10**6], "num_workers: got 1000000; give at most"),
        (["--n_samples", 10**23], "n_samples: got 100000000000000000000000; give at most"),
        (["--method", "kernel", "--grid", 300], "grid: has 90000 patches"),
        (["--accelerator", "meta"], "accelerator: cannot use 'meta' here"),
        (["--model_name", ""], "model_name: got ''"),
        (["--model_class", ".a.B"], "model_class: cannot import '.a.B'"),
        (["--model_class", "torch.nn.Identity"], "model_class: torch.nn.Identity has no weights"),
        (["--masker", "blur(999999999,999999999)"], "masker: unknown 'blur(999999999,999999999)'"),
        (["--masker", f"blur({'9' * 5000},1)"], "masker: unknown"),
        (["--output_dir", "x" * 5000], "output_dir: cannot write into"),
        (["--dataset", "x" * 5000], "dataset: there is no"),
    ],
)
def test_limits_at_the_door(tmp_path, capsys, more, message):
    dataset = class_folders(tmp_path / "data", each=1)
    with pytest.raises(SystemExit) as end:
        main(flags(weights_in(tmp_path, network()), dataset, "--accelerator", "cpu", *more))
    assert end.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith(f"lightning-shap: error: {message}")


@pytest.mark.integration
def test_numbers_beyond_their_limits_are_refused_before_anything_is_loaded():
    """That there is no such model would be the first thing to be found."""
    code = """
import sys
from lightning_shap.command.main import main
for flag in ("max_evals", "seed", "n_samples", "crop_size", "num_workers", "grid"):
    try:
        main(["nowhere", f"--{flag}", str(10**23)])
    except SystemExit as end:
        assert end.code == 2
for words in ([], ["nowhere", "--targets", "1", "-1"], ["nowhere", "--model_name="]):
    try:
        main(words)
    except SystemExit as end:
        assert end.code == 2
assert not {"torch", "numpy"} & {*sys.modules}
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = [line.removeprefix("lightning-shap: error: ") for line in done.stderr.splitlines()]
    assert all("give at most" in line for line in lines[:6])
    assert lines[6:] == [
        "give the directory of a trained model, or its file of weights",
        "targets: got -1; give at least 0",
        "model_name: got ''; give a value, or leave it out",
    ]


@pytest.mark.integration
def test_a_wrong_path_is_refused_before_anything_heavy_is_imported(tmp_path):
    """The sentence comes at once, and not after the seconds that torch takes to be imported."""
    model, data = weights_in(tmp_path, network()), class_folders(tmp_path / "data", each=1)
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    commands = {
        "model_output_dir: there is no": flags(tmp_path / "nowhere", data),
        "holds no weights": flags(tmp_path / "empty", data),
        "dataset: there is no": flags(model, tmp_path / "nowhere"),
        "holds no images": flags(model, tmp_path / "empty"),
        "output_dir: cannot write": flags(model, data, "--output_dir", tmp_path / "file"),
        "summary: explains each": flags(model, data, "--summary", "--topk", 3),
        "max_evals: got": flags(model, data, "--max_evals", "many"),
    }
    code = """
import json, sys
from lightning_shap.command.main import main
for words in json.loads(sys.argv[1]):
    try:
        main(words)
    except SystemExit as end:
        assert end.code == 2
assert not {"torch", "timm", "shap", "matplotlib", "pandas", "scipy"} & {*sys.modules}
"""
    arguments = [sys.executable, "-c", code, json.dumps([*commands.values()])]
    done = subprocess.run(arguments, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for message, line in zip(commands, done.stderr.splitlines(), strict=True):
        assert message in line


# --- what a file says that cannot be -------------------------------------------------------------


@pytest.mark.parametrize(
    "config",
    [
        {"model_args": {"drop_rate": "x", "depths": ["x"]}},
        {"pretrained_cfg": {"interpolation": "x", "crop_mode": "x", "crop_pct": "x"}},
    ],
)
def test_a_configuration_that_says_what_cannot_be_is_not_heard(tmp_path, config):
    torch.save(network().state_dict(), tmp_path / "weights.pth")
    config = {"architecture": ARCHITECTURE, **config}
    (tmp_path / "config.json").write_text(json.dumps(config))
    dataset = class_folders(tmp_path / "data", each=1)
    main(flags(tmp_path, dataset, "--output_dir", tmp_path / "out"))
    plain = weights_in(tmp_path, network())
    main(flags(plain, dataset))
    ours, expected = lightning_shap.load(tmp_path / "out"), lightning_shap.load(plain)
    assert np.array_equal(ours.values, expected.values)
    assert np.array_equal(ours.data, expected.data)


@pytest.mark.parametrize(
    "arguments",
    [{"no_such_thing": 1}, {"features_only": True}, {"act_layer": "os.system"}],
)
def test_an_architecture_that_cannot_be_built_so_is_refused(tmp_path, arguments):
    torch.save(network().state_dict(), tmp_path / "weights.pth")
    config = {"architecture": ARCHITECTURE, "model_args": arguments}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ArgumentError, match=r"model_name: .* cannot be built|keys differ"):
        load_model(tmp_path)


@pytest.mark.parametrize("change", [torch.flatten, torch.sum, torch.Tensor.item])
@pytest.mark.parametrize("layer", ["classifier.weight", "conv_stem.weight"])
def test_weights_of_no_layers_shape_are_refused(tmp_path, layer, change):
    weights = network().state_dict()
    one = weights[layer].flatten()[:1]
    torch.save(weights | {layer: change(one)}, tmp_path / "best_model.pth")
    with pytest.raises(ArgumentError, match=r"model_output_dir: best_model\.pth"):
        load_model(tmp_path, model_name=ARCHITECTURE)


# --- modules of others ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["hostile_syntax", "hostile_exit", "hostile_init", "hostile_null"])
def test_a_module_that_cannot_be_used_is_one_sentence(tmp_path, monkeypatch, capsys, name):
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / f"{name}.py").write_text(hostile.SCRIPTS[name])
    dataset = class_folders(tmp_path / "data", each=1)
    with pytest.raises(SystemExit) as end:
        main(flags(weights_in(tmp_path, network()), dataset, "--model_class", f"{name}.Model"))
    assert end.value.code == 2
    assert "model_class: " in capsys.readouterr().err
    sys.modules.pop(name, None)


# --- text ----------------------------------------------------------------------------------------


def test_names_that_are_not_utf8_come_through(tmp_path, capsys):
    data = class_folders(tmp_path / "data", ["a", "b", "c"], each=1)
    os.rename(data / "a" / "0 é.png", os.fsencode(data / "a") + b"/\xff\x1b[2J.png")
    (data / "b" / "1.png").write_bytes(b"no image")
    os.rename(data / "b" / "1.png", os.fsencode(data / "b") + b"/\xfe.png")
    out = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xfd out"))
    main(flags(weights_in(tmp_path, network()), data, "--output_dir", out, "--n_samples", 9))
    written = json.loads((out / "explanation.json").read_text(encoding="utf-8"))
    assert len(written["images"]) == 3
    assert all(Path(image["file"]).exists() for image in written["images"])
    printed = capsys.readouterr()
    assert "\x1b" not in printed.err
    assert "skipped" in printed.err


def test_shown_text_is_short_printable_and_on_one_line():
    assert clean("a\n\tb  c") == "a b c"
    assert clean("\x1b[2J\udcff\u202e") == r"\x1b[2J\udcff\u202e"
    assert len(clean("x" * 10**6)) == 300


def test_errors_of_others_get_the_name_of_their_argument():
    for error in (ValueError("x"), KeyError("x"), SystemExit(0), RecursionError(), MemoryError()):
        with (
            pytest.raises(ArgumentError, match="dataset: it broke") as raised,
            blame("dataset", "it broke"),
        ):
            raise error
        assert raised.value.__cause__ is error
    with pytest.raises(KeyboardInterrupt), blame("dataset", "it broke"):
        raise KeyboardInterrupt


# --- many commands, many files -------------------------------------------------------------------


def test_hostile_commands_end_in_one_sentence_at_most(tmp_path, monkeypatch, capfd):
    place = tmp_path / "hostile"
    wrong = []
    for number, (name, arguments) in enumerate(hostile.commands(place)):
        if number % 40 == 3:
            monkeypatch.chdir(place)
            code = 0
            try:
                main(arguments)
            except SystemExit as end:
                code = end.code
            verdict = hostile.verdict(hostile.End(code, capfd.readouterr().err))
            wrong += [(name, verdict)] if verdict else []
    assert not wrong
    assert not list(tmp_path.rglob("it_ran"))


def test_damaged_files_are_read_or_refused(tmp_path):
    chooser = random.Random(1)
    for path, read in list(hostile.specimens(tmp_path)):
        whole = path.read_bytes()
        outcomes = [hostile.attempt(path, read, hostile.mutated(whole, chooser)) for _ in range(12)]
        assert hostile.attempt(path, read, whole)
        assert len(outcomes) == 12


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [[], ["--fuzz", "300"]])
def test_all_hostile_commands_and_many_damaged_files(arguments, tmp_path):
    script = Path(hostile.__file__)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", script, *arguments], cwd=tmp_path, timeout=3600
    )
    assert done.returncode == 0
    assert not list(tmp_path.glob("fault*"))


# --- how a command ends --------------------------------------------------------------------------


def test_a_picture_that_fails_leaves_the_archive(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("lightning_shap.command.results.plot", lambda *_, **__: 1 / 0)
    dataset = class_folders(tmp_path / "data", each=1)
    out = tmp_path / "out"
    out.mkdir()
    (out / "explanation.png").write_bytes(b"of an older run")
    with pytest.raises(SystemExit) as end:
        main(flags(weights_in(tmp_path, network()), dataset, "--output_dir", out))
    assert end.value.code == 1
    assert sorted(os.listdir(out)) == ["explanation.json", "explanation.npz"]
    assert len(lightning_shap.load(out)) == 3
    assert "not all that is made of it (division by zero)" in capsys.readouterr().err


@pytest.mark.parametrize("shards", [[], ["--n_samples", "all", "--accelerator", "cpu"]])
def test_an_interrupt_is_130(tmp_path, monkeypatch, shards):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("lightning_shap.command.job.answer", interrupted)
    dataset = class_folders(tmp_path / "data", each=1)
    with pytest.raises(SystemExit) as end:
        main(flags(weights_in(tmp_path, network()), dataset, *shards))
    assert end.value.code == 130


def test_a_reader_that_stops_listening_is_no_error(tmp_path, monkeypatch, capsys):
    read, write = os.pipe()
    os.close(read)
    monkeypatch.setattr(sys, "stdout", os.fdopen(write, "w"))
    dataset = class_folders(tmp_path / "data", each=1)
    with pytest.raises(SystemExit) as end:
        main(flags(weights_in(tmp_path, network()), dataset))
    sys.stdout.close()  # writes what is left, as the end of a process does
    assert end.value.code == 0
    assert "error" not in capsys.readouterr().err
    assert (tmp_path / ARCHITECTURE / "explanation.png").exists()


def test_the_version_is_printed(capsys):
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out.strip() == f"lightning-shap {lightning_shap.__version__}"
