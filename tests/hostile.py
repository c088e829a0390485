"""Hostile commands and files: each must end, in one sentence at most and without a traceback.

``python tests/hostile.py`` runs all commands, each in a process of its own, and counts how they
end; ``--fuzz SECONDS`` mutates checkpoints, archives and images for so long instead. The tests take
some of both.
"""

import argparse
import collections
import io
import json
import os
import pickle
import random
import shutil
import signal
import struct
import sys
import tempfile
import time
import traceback
import typing
import zipfile
from pathlib import Path

import numpy as np
import torch
from finished_model import ARCHITECTURE, class_folders, load_model, network, picture
from obstacles import KINDS, make_kind
from PIL import Image

HUGE = str(10**23)
NUMBERS = ("zz", "-1", "0", HUGE, "1e5", "nan", "inf", "[]", "{}", "9" * 5000, "''")
UNASKED = ("hostile_raise", "hostile_script")  # would do what they say if a user named them
CALLBACK = "ShapCallback{'tag': 'shap'}"

SCRIPTS = {
    "hostile_syntax": "class Model(:",
    "hostile_exit": "import sys\nsys.exit(0)",
    "hostile_raise": "raise BaseException('no')",
    "hostile_import": "import no_such_module_at_all",
    "hostile_init": "import torch\nclass Model(torch.nn.Module):\n"
    "    def __init__(self): raise SystemExit(0)",
    "hostile_forward": "import torch\nclass Model(torch.nn.Module):\n"
    "    def __init__(self):\n        super().__init__(); self.a = torch.nn.Linear(1, 1)\n"
    "    def forward(self, x): return {'a': x}",
    "hostile_script": "import torch\nfrom pathlib import Path\nPath('it_ran').touch()\n"
    "class Model(torch.nn.Module): pass",
    "hostile_null": "\0",
}

ANYTHING = (
    *(None, True, -1, 0, 10**30, 0.5, float("nan"), float("inf"), "", "x", "\0", "\udcff", b"x"),
    *("../../x", "http://127.0.0.1:9/x", "x" * 100_000, "\x1b[2J\n\n", [], [1], [None], ["a", 3]),
    *([[[[]]]], {}, {"a": 1}, {1: 2}, (), (1, 2, 3), [1e308] * 3, [0.0] * 3, torch.ones(3)),
    *(torch.tensor(3), torch.tensor(float("nan")), torch.ones(2, 3, 4, 4), [3, 10**9, 10**9]),
    *([-1, -1, -1], [0, 0, 0], [3, 1, 1], ["x"] * 50_000, "resnet18", ["/dev/zero"], "/dev"),
)


# --- files ---------------------------------------------------------------------------------------


def itself():
    content = {}
    content["model"] = content
    return content


def nested(depth):
    content = {"a": torch.ones(1)}
    for _ in range(depth):
        content = {"model": content}
    return content


def structures(weights):
    """What a file may hold instead of weights, or beside them."""
    one = torch.ones(1)
    yield from {
        "itself": itself(),
        "nested": nested(400),
        "empty": {},
        "list": [weights],
        "number": 3,
        "text": "weights",
        "none": None,
        "tensor": torch.ones(3),
        "numbers": {"model": {"a": 1}},
        "keys": {1: torch.ones(1), (2, 3): torch.ones(1)},
        "one": {"model": {"conv_stem.weight": torch.ones(1)}},
        "nan": {"model": {k: v * torch.nan for k, v in weights.items()}},
        "complex": {"model": {k: v.to(torch.complex64) for k, v in weights.items()}},
        "int8": {"model": {k: v.to(torch.int8) for k, v in weights.items()}},
        "half": {"model": {k: v.half() for k, v in weights.items()}},
        "sparse": {"model": {k: v.to_sparse() for k, v in weights.items()}},
        "meta": {"model": {k: v.to("meta") for k, v in weights.items()}},
        "expanded": {"model": {k: torch.zeros(1).expand(10**6, 10**6) for k in weights}},
        "head": {"model": weights | {"classifier.weight": torch.zeros(1).expand(10**9, 64)}},
        "no head": {"model": {k: v for k, v in weights.items() if "classifier" not in k}},
        "flat": {"model": {k: v.flatten() for k, v in weights.items()}},
        "zero": {"model": {k: v[:0] for k, v in weights.items() if v.ndim}},
        "scalars": {"model": {k: v.sum() for k, v in weights.items()}},
        "many": {"model": dict.fromkeys((f"{i}.conv_stem.weight" for i in range(60_000)), one)},
        "dots": {"model": {f"{'.' * i}conv_stem.weight": torch.ones(1) for i in range(300)}},
    }.items()


def described(weights):
    """Checkpoints whose descriptions hold anything."""
    fields = (
        *("architecture", "module_class", "module", "class_names", "mean", "std", "input_size"),
        *("crop_pct", "interpolation", "transform", "dataset", "files", "labels"),
    )
    plain = {"architecture": ARCHITECTURE, "input_size": [3, 32, 32], "mean": [0.5], "std": [0.5]}
    chooser = random.Random(0)
    for field in fields:
        for value in chooser.sample(ANYTHING, 4):
            card = {**plain, field: value}
            state = {"version": 2, "samples": {}, "classifier": card}
            yield (
                f"card {field} {str(value)[:20]!r}",
                {
                    "state_dict": weights,
                    "callbacks": {CALLBACK: state},
                },
            )
    for name in ("hyper_parameters", "datamodule_hyper_parameters", "callbacks", "global_step"):
        for value in chooser.sample(ANYTHING, 4):
            yield f"{name} {str(value)[:20]!r}", {"state_dict": weights, name: value}
    for key in ("img_size", "mean", "std", "backbone", "class_names", "data_dir", "in_chans"):
        for value in chooser.sample(ANYTHING, 3):
            yield (
                f"hyper {key} {str(value)[:20]!r}",
                {
                    "state_dict": weights,
                    "hyper_parameters": {key: value},
                },
            )
    for path in ("os.system", "antigravity.X", "hostile_script.Model", "__main__.X", "torch.X"):
        card = {"module_class": path}
        yield (
            f"class {path}",
            {
                "state_dict": {f"{k}x": v for k, v in weights.items()},
                "callbacks": {CALLBACK: {"classifier": card}},
            },
        )
    huge = {"images": torch.zeros(1).expand(10**6, 3, 32, 32), "labels": None}
    yield (
        "expanded samples",
        {
            "state_dict": weights,
            "callbacks": {CALLBACK: {"samples": huge, "classifier": plain}},
        },
    )
    yield (
        "samples",
        {
            "state_dict": weights,
            "callbacks": {
                CALLBACK: {
                    "samples": {
                        "images": torch.rand(2, 3, 32, 32),
                        "labels": torch.tensor([7, -3]),
                    },
                    "classifier": plain,
                }
            },
        },
    )


def raw_checkpoints(weights):
    """Files that torch did not write so."""

    class Malicious:
        def __reduce__(self):
            return os.mkdir, ("it_ran",)

    buffer = io.BytesIO()
    torch.save({"model": weights}, buffer)
    whole = buffer.getvalue()
    legacy = io.BytesIO()
    torch.save({"model": weights}, legacy, _use_new_zipfile_serialization=False)
    evil = io.BytesIO()
    torch.save({"model": weights, "x": Malicious()}, evil)
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02" + b"]" * (2**28))
        archive.writestr("archive/version", b"3\n")
    header = json.dumps({"a": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 4]}}).encode()
    shifted = json.dumps({"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]}}).encode()
    yield from {
        "empty.pth": b"",
        "noise.pth": random.Random(0).randbytes(5000),
        "half.pth": whole[: len(whole) // 2],
        "tail.pth": whole[-5000:],
        "legacy half.pth": legacy.getvalue()[: len(legacy.getvalue()) // 2],
        "evil.pth": evil.getvalue(),
        "pickle.pth": pickle.dumps(Malicious(), 2),
        "deep.pth": b"\x80\x02" + b"]" * 100_000 + b"." + b"a" * 100_000,
        "long.pth": b"\x80\x02\x8b\xff\xff\xff\x7f",
        "bytes.pth": b"\x80\x02c__builtin__\nbytearray\n\x8a\x08" + b"\xff" * 7 + b"\x7f\x85R.",
        "bomb.pth": bomb.getvalue(),
        "zip.pth": b"PK\x05\x06" + b"\0" * 18,
        "tar.tar": b"\0" * 10_240,
        "empty.safetensors": b"",
        "length.safetensors": struct.pack("<Q", 2**62) + b"{}",
        "huge.safetensors": struct.pack("<Q", len(header)) + header + b"\0" * 4,
        "shifted.safetensors": struct.pack("<Q", len(shifted)) + shifted + b"\0" * 4,
        "text.safetensors": struct.pack("<Q", 4) + b"null",
    }.items()


def configs():
    """Hostile ``config.json`` files beside timm's weights."""
    yield from (b"", b"{", b"[]", b"3", b"null", b"\xff\xfe", b"[" * 100_000, b'{"a":' * 100_000)
    plain = {"architecture": ARCHITECTURE, "num_classes": 3}
    yield b'{"architecture": NaN}'
    chooser = random.Random(1)
    values = (None, True, -1, 10**30, 0.5, "", "x", [], {}, [1], {"a": 1}, "x" * 10_000, [[]])
    for field in ("architecture", "model_args", "global_pool", "pretrained_cfg", "label_names"):
        for value in chooser.sample(values, 5):
            yield json.dumps({**plain, field: value}).encode()
    for arguments in (
        {"pretrained": True},
        {"checkpoint_path": "/etc/passwd"},
        {"cache_dir": "/", "pretrained": True},
        {"pretrained_cfg": {"url": "http://127.0.0.1:9/x", "custom_load": True}},
        {"features_only": True},
        {"num_classes": 10**12},
        {"drop_rate": "x"},
        {"act_layer": "os.system"},
        {"norm_layer": [1]},
        {"embed_dim": 10**9, "depth": 10**9},
        {"block_args": [[]]},
        {"in_chans": -1},
    ):
        yield json.dumps({**plain, "model_args": arguments}).encode()
    for name, value in (
        ("mean", [1, 2]),
        ("mean", ["a"] * 3),
        ("std", [0, 0, 0]),
        ("std", [1e400] * 3),
        ("input_size", [3, 10**9, 10**9]),
        ("input_size", [3, 0, 0]),
        ("input_size", "x"),
        ("crop_pct", 0),
        ("crop_pct", 1e-9),
        ("interpolation", "x"),
        ("crop_mode", "x"),
        ("url", "http://127.0.0.1:9/x"),
    ):
        yield json.dumps({**plain, "pretrained_cfg": {name: value}}).encode()


def archives():
    """Files that pass for explanations by their names."""
    yield "nothing", b""
    yield "noise", random.Random(0).randbytes(5000)
    yield "an empty zip", b"PK\x05\x06" + b"\0" * 18
    for name, array in {
        "objects": np.array([{}], dtype=object),
        "numbers": np.zeros(3),
        "texts": np.array("{}"),
        "nesting": np.array("[" * 100_000),
    }.items():
        buffer = io.BytesIO()
        np.savez(buffer, values=array, about=array, data=array, base_values=array)
        yield name, buffer.getvalue()


def images(folder):
    """Files that pass for images by their names, each a folder's only bad one."""
    for kind in ("png", "jpg", "webp", "bmp", "ppm", "tiff"):
        buffer = io.BytesIO()
        picture(0).save(buffer, format={"jpg": "JPEG"}.get(kind, kind.upper()))
        whole = buffer.getvalue()
        yield f"half.{kind}", whole[: len(whole) // 2]
        yield f"head.{kind}", whole[:30]
        yield f"noise.{kind}", whole[:60] + random.Random(0).randbytes(500)
    yield "empty.png", b""
    for name, pixels in {
        "sliver": np.zeros((1, 60_000, 3), np.uint8),
        "deep": np.zeros((8, 8), np.uint16),
    }.items():
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, format="PNG")
        yield f"{name}.png", buffer.getvalue()
    yield "postscript.png", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n"
    yield "header.png", b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + b"\xff" * 17


# --- commands ------------------------------------------------------------------------------------


def commands(folder):
    """Names of hostile commands, their arguments and the directory that they run in."""
    folder.mkdir(parents=True, exist_ok=True)
    model, data = folder / ARCHITECTURE, class_folders(folder / "data", each=1)
    model.mkdir()
    weights = network().state_dict()
    torch.save({"model": weights}, model / "best_model.pth")
    for name, text in SCRIPTS.items():
        (folder / f"{name}.py").write_text(text)
    out = ["--output_dir", str(folder / "out")]
    quick = ["--max_evals", "4", "--topk", "1", "--no-progress", "--accelerator", "cpu"]
    size = ["--crop_size", "32"]

    def command(*more, place=model, images=data, sized=True):
        given = [] if images is None else ["--dataset", str(images)]
        return [str(place), *given, *out, *quick, *(size if sized else []), *map(str, more)]

    yield from _flags(command, folder)
    yield from _checkpoints(command, folder, weights)
    yield from _data(command, folder)
    yield from _places(model, data, folder)


def _flags(command, folder):
    numbers = (
        *("max_evals", "topk", "n_samples", "crop_size", "batch_size", "seed", "num_workers"),
        *("grid", "targets", "against", "mean", "std"),
    )
    for flag in numbers:
        more = ["--method", "kernel"] if flag == "grid" else []
        if flag == "targets":
            more = ["--topk", "null"]
        for value in NUMBERS:
            yield f"{flag} {value[:9]}", command(*more, f"--{flag}", value)
    texts = {
        "model_name": ["''", " ", "x" * 9999, "../../x", "hf-hub:timm/resnet18", "r\x1b[2J", "é"],
        "model_class": [
            *("''", ".a.B", "a..B", "a", "torch.nn.Identity", "torch.nn.Linear", "os.system"),
            *("x" * 9999 + ".A", *(f"{name}.Model" for name in SCRIPTS if name not in UNASKED)),
        ],
        "module": ["''", "..", "conv_stem", "no.such", "__class__"],
        "accelerator": ["meta", "vulkan", "cuda:99", "''", "xla", "cpu:7", "zz", "mkldnn"],
        "masker": ["blur(999999999,999999999)", f"blur({'9' * 5000},1)", "blur", "nan", "''", "x"],
        "class_names": ["a", "['a','a']", "\x1b[2J"],
        "method": ["deep", "zz"],
        "output": ["zz", "custom"],
        "regions": ["zz", "''", "image", "[image]"],
        "against": ["zz", "runner-up", "[1,2,0,1,2,0]", "0.5"],
        "backgrounds": ["zz", "samples"],
        "dataset": [
            *("''", " ", "/dev/null", "/dev/zero", "/proc/self/mem", "x" * 5000, "\udcff", "a\0b"),
            *("no/where", "hf-hub:x", "http://127.0.0.1:9/x", str(folder / "hostile_exit.py")),
        ],
        "output_dir": ["/dev/null/x", "/proc/x", "x" * 5000, "a\0b", str(folder / "\udcff out")],
    }
    for flag, values in texts.items():
        for value in values:
            yield f"{flag} {value[:12]!r}", command(f"--{flag}", value)
    yield "grid 300", command("--method", "kernel", "--grid", "300")
    yield "grid list", command("--method", "kernel", "--grid", "[0,1,2]")
    yield "no arguments", []
    yield "two models", ["a", "b"]
    yield "unknown", command("--unknown", "1")


def _checkpoints(command, folder, weights):
    for number, (name, content) in enumerate([*structures(weights), *described(weights)]):
        place = folder / f"checkpoint{number}" / ARCHITECTURE
        place.mkdir(parents=True)
        path = place / "x.ckpt"
        try:
            torch.save(content, path)
        except (RecursionError, NotImplementedError):
            continue
        knows = "card" in name or "samples" in name
        yield f"checkpoint {name}", command(place=path, images=None if knows else folder / "data")
    for name, content in raw_checkpoints(weights):
        place = folder / f"raw {name}" / ARCHITECTURE
        place.mkdir(parents=True)
        (place / name).write_bytes(content)
        yield f"file {name}", command(place=place)
    for name, content in archives():
        path = folder / f"archive {name}" / "explanation.npz"
        path.parent.mkdir()
        path.write_bytes(content)
        yield f"page of {name}", [str(path), "--report"]
    loop = folder / "loop.pth"
    loop.symlink_to(loop)
    yield "a link to itself", command(place=loop)
    for place in ("/dev/zero", "/dev/null", "x" * 5000, "a\0b", "\udcff", "/", "/proc", "''", ""):
        yield f"model {place[:9]!r}", command(place=place)
    os.mkfifo(folder / "fifo.pth")
    yield "a fifo", command(place=folder / "fifo.pth")
    for number, content in enumerate(configs()):
        place = folder / f"config{number}"
        place.mkdir()
        torch.save(weights, place / "weights.pth")
        (place / "config.json").write_bytes(content)
        yield f"config.json {content[:60]!r}", command(place=place, sized=number % 2)


def _data(command, folder):
    for name, content in images(folder):
        data = class_folders(folder / f"data {name}", each=1)
        (data / "cat" / f"0 {name}").write_bytes(content)
        yield f"image {name}", command("--n_samples", "4", images=data)
        alone = folder / f"alone {name}"
        alone.mkdir()
        (alone / name).write_bytes(content)
        yield f"only image {name}", command(images=alone)
    data = class_folders(folder / "links", each=1)
    for name in ("one", "two"):
        (data / "cat" / name).symlink_to(data)
    (data / "cat" / "self").symlink_to(data / "cat" / "self")
    yield "links back", command(images=data)
    data = class_folders(folder / "names", each=1)
    picture(5).save(data / "cat" / "plain.png")
    os.rename(data / "cat" / "plain.png", os.fsencode(data / "cat") + b"/\xff\xfe\x1b[2J.png")
    yield "names that are not UTF-8", command("--n_samples", "9", images=data)
    data = class_folders(folder / "classes", ["a", "b"], each=1)
    os.mkdir(os.fsencode(data) + b"/\xff\x1b[2J")
    picture(5).save(data / "c.png")
    os.rename(data / "c.png", os.fsencode(data) + b"/\xff\x1b[2J/c.png")
    yield "classes that are not UTF-8", command("--n_samples", "3", images=data)
    deep = folder / "deep"
    place = deep / "cat"
    for _ in range(900):
        place = place / "d"
    os.makedirs(place)
    picture(0).save(deep / "cat" / "a.png")
    yield "a deep folder", command(images=deep)
    data = class_folders(folder / "odd", each=1)
    os.mkfifo(data / "cat" / "0fifo.png")
    (data / "cat" / "0folder.png").mkdir()
    (data / "cat" / "0gone.png").symlink_to("/nowhere.png")
    yield "what is no file", command("--n_samples", "3", images=data)
    yield "an empty folder", command(images=folder / "hostile_empty")


def _places(model, data, folder):
    """What is no file of ours, under each name that is written or worked in."""
    from lightning_shap.command.paths import FILES

    all_files = [str(model), "--dataset", str(data), "--summary", "--report", "--n_samples", "all"]
    all_files += ["--max_evals", "4", "--crop_size", "32", "--no-progress"]
    for kind in KINDS:
        for name in (*FILES, *WORKED_IN):
            output = folder / f"{kind} as {name}"
            output.mkdir()
            make_kind(kind, output / name, folder)
            yield output.name, [*all_files, "--output_dir", str(output)]
        output = folder / f"{kind} as a directory"
        make_kind(kind, output, folder)
        yield output.name, [*all_files, "--output_dir", str(output)]


# --- how a command ends --------------------------------------------------------------------------


GRACE = 5  # seconds in which processes end that were started by one that ended
RESULTS = ["explanation.json", "explanation.npz", "explanation.png"]
WORKED_IN = (".explanation.old", f".explanation.{'a' * 32}.part")


class End(typing.NamedTuple):
    """How a command ends.

    Attributes:
        code: Its exit code, None for one that had to be ended.
        text: What it wrote to stderr.
        processes: Those it left behind.
        files: What it wrote, None where that is not known.
    """

    code: int | None
    text: str
    processes: typing.Sequence[int] = ()
    files: typing.Sequence[str] | None = None


def run(arguments, directory, seconds):
    """Run a command in a process of its own and see how it ends."""
    output = _output(arguments, directory)
    if output is not None:
        shutil.rmtree(output, ignore_errors=True)
    errors = tempfile.TemporaryFile()
    child = os.fork()
    if child == 0:  # a copy of this process, in which everything heavy is imported already
        _become(arguments, directory, errors)
    ends = time.monotonic() + seconds
    status = None
    while status is None and time.monotonic() < ends:
        finished, found = os.waitpid(child, os.WNOHANG)
        status = found if finished else None
        time.sleep(0.01)
    if status is None:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    ends = time.monotonic() + GRACE
    while (left := _session(child)) and time.monotonic() < ends:
        time.sleep(0.1)
    for process in left:
        os.kill(process, signal.SIGKILL)
    errors.seek(0)
    text = errors.read().decode("utf-8", "replace")
    files = None
    if output is not None:
        files = sorted(os.listdir(output)) if output.is_dir() else []
    code = None if status is None else os.waitstatus_to_exitcode(status)
    return End(code, text, left, files)


def _become(arguments, directory, errors):
    """Be a command, to the end of the process."""
    os.setsid()
    os.chdir(directory)
    os.dup2(errors.fileno(), 2)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.stderr = open(2, "w", closefd=False)
    sys.stdout = open(1, "w", closefd=False)
    sys.stdin = open(os.devnull)
    code = 0
    try:
        from lightning_shap.command.main import main

        main(arguments)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stderr.flush()
    os._exit(code)


def _output(arguments, directory):
    """Where a command writes, if that is the directory that all share."""
    flags = [number for number, word in enumerate(arguments) if word == "--output_dir"]
    place = None if not flags else Path(directory, arguments[flags[-1] + 1])
    return place if place == Path(directory, "out") else None


def _session(leader):
    """The processes that belong to a session, by Linux's word."""
    found = []
    for entry in os.listdir("/proc"):
        try:
            status = Path("/proc", entry, "stat").read_text() if entry.isdigit() else ""
        except OSError:  # it has ended
            continue
        fields = status.rpartition(")")[2].split()
        if fields and int(fields[3]) == leader and fields[0] != "Z":
            found.append(int(entry))
    return found


def verdict(end):
    """What is wrong with the end of a command, empty where nothing is."""
    lines = [line for line in end.text.splitlines() if line.startswith("lightning-shap: error:")]
    if end.code is None:
        return "hang"
    if "Traceback" in end.text or "Exception ignored" in end.text:
        return "traceback"
    if end.code not in (0, 1, 2):
        return f"exit code {end.code}"
    if end.code and not end.text.strip():
        return "no sentence"
    if len(lines) > 1 or "\x1b" in end.text:
        return "not one sentence"
    if end.processes:
        return f"{len(end.processes)} processes left"
    if end.files is not None and list(end.files) != ([] if end.code else RESULTS):
        return f"wrote {', '.join(end.files) or 'nothing'}"
    return ""


def marks_of(folder):
    """What shows that something was touched: kinds, sizes, times of the last change."""
    marks = {}
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = os.path.join(place, name)
            found = os.lstat(path)
            held = found.st_size, found.st_mtime_ns
            marks[path] = found.st_mode, found.st_ino, *(() if os.path.isdir(path) else held)
    return marks


def touched_by(arguments, before, after):
    """What a command changed beside its own files and those that folders are made of."""
    from lightning_shap.command.paths import FILES

    flags = [number for number, word in enumerate(arguments) if word == "--output_dir"]
    output = arguments[flags[-1] + 1] if flags else None
    changed = {path for path in {*before, *after} if before.get(path) != after.get(path)}
    kept = {path for path in changed if os.path.isfile(path) and not os.path.islink(path)}
    # It may be given by a link, and hold what no path can.
    place = os.path.realpath((output or "/").partition("\0")[0])
    own = {os.path.join(place, name) for name in FILES} & (kept | {*before} - {*after})
    return sorted(changed - own - {place})[:3]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fuzz", type=float, help="seconds to mutate files for")
    parser.add_argument("--limit", type=float, default=90, help="seconds that a command may take")
    parser.add_argument("--only", default="", help="commands whose names hold this text")
    parser.add_argument("--every", type=int, default=1, help="each n-th command")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    import lightning_shap.command.run
    import lightning_shap.command.shards  # noqa: F401

    with tempfile.TemporaryDirectory() as folder:
        if asked.fuzz:
            fuzz(Path(folder), asked.fuzz)
            return
        found = commands(Path(folder) / "hostile")
        chosen = [
            one for n, one in enumerate(found) if asked.only in one[0] and not n % asked.every
        ]
        ends, bad = collections.Counter(), 0
        slowest = []
        before = marks_of(Path(folder))
        for name, arguments in chosen:
            started = time.monotonic()
            end = run(arguments, Path(folder) / "hostile", asked.limit)
            slowest.append((time.monotonic() - started, name))
            wrong = verdict(end)
            before, earlier = marks_of(Path(folder)), before
            if touched := touched_by(arguments, earlier, before):
                wrong = wrong or f"touched {touched}"
            ends[wrong or f"exit {end.code}"] += 1
            bad += bool(wrong)
            if wrong or asked.only or end.code == 1:
                print(f"{wrong or end.code}: {name}\n    {end.text.strip()[-600:]}", flush=True)
        print(f"{len(chosen)} commands: {dict(ends)}; slowest: {sorted(slowest)[-3:]}")
        print("it ran!" if list(Path(folder).rglob("it_ran")) else "no code of a file ran")
        sys.exit(bad > 0)


# --- mutations -----------------------------------------------------------------------------------


def mutated(content, chooser):
    """Some bytes of a file changed, lost, doubled or moved."""
    content = bytearray(content)
    for _ in range(chooser.choice((1, 1, 2, 4, 16))):
        if not content:
            break
        place = chooser.randrange(len(content))
        length = min(len(content) - place, chooser.choice((1, 2, 4, 64, 1024)))
        kind = chooser.randrange(5)
        if kind == 0:
            content[place] ^= 1 << chooser.randrange(8)
        elif kind == 1:
            content[place : place + length] = chooser.randbytes(length)
        elif kind == 2:
            del content[place : place + length]
        elif kind == 3:
            content[place:place] = content[place : place + length]
        else:
            value = chooser.choice((0, 0xFF, 0x7F, 0x80))
            content[place : place + length] = bytes([value]) * length
    return bytes(content)


def specimens(folder):
    """A whole file of each kind that is read, and what reads it."""
    from lightning_shap import explain, load
    from lightning_shap.command.data.folders import ImageSet
    from lightning_shap.command.data.preprocessing import Preprocessing
    from lightning_shap.command.data.reading import read_samples
    from lightning_shap.explanation.archive import save

    prepare = Preprocessing(3, (16, 16))

    def read_image(path):
        read = read_samples(ImageSet([str(path)]), [0], prepare)
        assert len(read.indices) + len(read.skipped) == 1

    def read_model(path):
        load_model(path, model_name=ARCHITECTURE)

    small = {"model": network().state_dict(), "hyper_parameters": {"img_size": 32, "mean": [0.5]}}
    for name in ("a.pth", "legacy.pth"):
        torch.save(small, folder / name, _use_new_zipfile_serialization=name == "a.pth")
        yield folder / name, read_model
    from safetensors.torch import save_file

    save_file(small["model"], folder / "a.safetensors")
    yield folder / "a.safetensors", read_model
    tiny = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 3))
    images = torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    save(explain(tiny, images, max_evals=6, topk=1), folder / "explanation.npz")
    yield folder / "explanation.npz", load
    for kind in ("png", "jpg", "webp", "bmp", "ppm", "tiff"):
        picture(0).save(folder / f"a.{kind}")
        yield folder / f"a.{kind}", read_image


def attempt(path, read, content):
    """Whether a mutated file was read; one that will not do must be refused in the right way."""
    other = path.with_name(f"mutated{path.suffix}")
    other.write_bytes(content)
    try:
        read(other)
    except (ValueError, FileNotFoundError) as error:
        name = str(error).partition(": ")[0]
        assert name in ("model_output_dir", "path", "model_name"), error
        return False
    return True


def fuzz(folder, seconds):
    """Mutate files of all kinds for some time, and count."""
    counts = collections.Counter()
    chooser = random.Random(0)
    files = [(path, read, path.read_bytes()) for path, read in specimens(folder)]
    ends = time.monotonic() + seconds
    slowest = (0.0, "")
    while time.monotonic() < ends:
        for path, read, whole in files:
            content = mutated(whole, chooser)
            started = time.monotonic()
            try:
                counts[path.suffix, "read" if attempt(path, read, content) else "refused"] += 1
            except Exception:
                counts[path.suffix, "FAULT"] += 1
                Path(f"fault{sum(counts.values())}{path.suffix}").write_bytes(content)
                traceback.print_exc()
            slowest = max(slowest, (time.monotonic() - started, path.suffix))
    for (suffix, how), count in sorted(counts.items()):
        print(f"{suffix:14}{how:10}{count}")
    print(f"{sum(counts.values())} files; the slowest took {slowest}")


if __name__ == "__main__":
    main()
