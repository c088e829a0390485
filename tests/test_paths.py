"""Links, folders, pipes, sockets and devices under every name that is read or written.

The names are found by a run that nothing stands in the way of. Whatever stands there afterwards is
as it was, nothing waits for it, and it is one sentence at most.
"""

import os
import signal

import pytest
import torch
from finished_model import class_folders, flags, network, weights_in
from obstacles import KINDS, everything_below, make_kind
from pytorch_lightning.loggers import CSVLogger
from tiny_training import (
    fit,
    hear_warnings,
    lightning_warns,
    tiny_data,
    tiny_loaders,
)

import lightning_shap
from lightning_shap import ShapCallback
from lightning_shap.command.main import main
from lightning_shap.command.paths import FILES

pytestmark = lightning_warns


@pytest.fixture(autouse=True)
def nothing_waits():
    """Ends what waits for the other end of a pipe."""

    def ends(*_):
        raise AssertionError("it waits")

    before = signal.signal(signal.SIGALRM, ends)
    signal.alarm(120)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def model(tmp_path):
    return weights_in(tmp_path, network()), class_folders(tmp_path / "images", each=2)


def sentence(capsys, *arguments):
    """What a refused command says."""
    with pytest.raises(SystemExit) as end:
        main([*map(str, arguments)])
    assert end.value.code == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert "Traceback" not in last
    return last


SUMMARY = ["--summary", "--report", "--n_samples", "6"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_command_replaces_nothing_but_files(tmp_path, model, capsys, kind):
    out = tmp_path / "out"
    out.mkdir()
    for name in FILES:
        make_kind(kind, out / name, tmp_path)
        before = everything_below(tmp_path)
        said = sentence(capsys, *flags(*model, *SUMMARY, "--output_dir", out))
        assert f"is a {kind.split()[0]} and no file" in said
        assert "give another as --output_dir" in said
        assert everything_below(tmp_path) == before
        if kind == "folder":
            (out / name / "key").unlink()
            (out / name).rmdir()
        else:
            (out / name).unlink()
        (out / name).touch()
    main(flags(*model, *SUMMARY, "--output_dir", out))  # files of any content are replaced
    written = [name for name in FILES if name not in FILES[-2:]]  # nothing needs a cure
    assert sorted(os.listdir(out)) == sorted(written)
    assert all((out / name).stat().st_size for name in written)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "link to a file"])
def test_the_command_opens_nothing_but_files(tmp_path, model, capsys, kind):
    directory, images = model
    for place, arguments in {
        "weights.pth": lambda path: flags(path, images),
        "picture.png": lambda path: flags(directory, path),
    }.items():
        path = tmp_path / place
        make_kind(kind, path, tmp_path)
        before = everything_below(tmp_path)
        sentence(capsys, *arguments(path))
        assert everything_below(tmp_path) == before


@pytest.mark.parametrize("kind", ["pipe", "socket", "folder", "link to a device"])
def test_what_is_no_file_in_a_folder_of_images_is_no_image(tmp_path, model, kind):
    directory, images = model
    first = sorted(path for path in images.iterdir() if path.is_dir())[0]
    make_kind(kind, first / "0000.png", tmp_path)
    make_kind(kind, first / "0000.tif", tmp_path)
    main(flags(directory, images, "--output_dir", tmp_path / "out", "--n_samples", "all"))
    assert len(lightning_shap.load(tmp_path / "out")) == 6


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["page.html", "one.npz", "one.png"])
def test_functions_replace_nothing_but_files(tmp_path, kind, name):
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 3))
    explanation = lightning_shap.explain(model, torch.rand(2, 1, 8, 8), topk=1, max_evals=6)
    write = lightning_shap.report if name == "page.html" else lightning_shap.save
    make_kind(kind, tmp_path / name, tmp_path)
    before = everything_below(tmp_path)
    with pytest.raises(OSError, match=f"is a {kind.split()[0]} and no file"):
        write(explanation, tmp_path / name)
    assert everything_below(tmp_path) == before


def fit_and_hear(folder, logger):
    """A training whose callback writes all that it can; what it warned of."""
    ours = ShapCallback(
        samples=tiny_data(2).tensors,
        max_evals=8,
        save_dir=str(folder / "pictures"),
        evolution="animated",
        per_sample=True,
        report=True,
        summary=32,
    )
    with hear_warnings() as words:
        torch.manual_seed(0)
        fit(folder, ours, logger=logger, loaders=tiny_loaders(val=32))
    return words


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """What a training writes into a clean folder, by its place there."""
    clean = tmp_path_factory.mktemp("clean")
    fit_and_hear(clean, CSVLogger(clean, name="logs", version="0"))
    found = [path.relative_to(clean) for path in clean.rglob("*") if path.is_file()]
    found = [path for path in found if path.name not in ("metrics.csv", "hparams.yaml")]
    assert {path.suffix for path in found} == {".png", ".json", ".webp", ".html"}
    return found


@pytest.mark.integration
@pytest.mark.parametrize("kind", KINDS)
def test_the_callback_replaces_nothing_but_files(tmp_path, kind, written):
    place = tmp_path / "place"
    for path in written:
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        make_kind(kind, place / path, tmp_path)
    before = everything_below(tmp_path)
    said = fit_and_hear(place, CSVLogger(place, name="logs", version="0"))
    after = everything_below(tmp_path)
    assert {path: after[path] for path in before} == before
    assert any(f"is a {kind.split()[0]} and no file" in line for line in said)
    new = {path.name for path in {*after} - {*before}}
    assert new <= {"metrics.csv", "hparams.yaml", "shap-v1.html"}
