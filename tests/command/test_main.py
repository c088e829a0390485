import inspect
import json
import os
import resource
import subprocess
import sys
import types
import typing
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from finished_model import ARCHITECTURE, class_folders, flags, network, picture, weights_in
from PIL import Image

import lightning_shap
from lightning_shap import load
from lightning_shap.command.explanation_json import write_json
from lightning_shap.command.main import main
from lightning_shap.command.options import Explanation
from lightning_shap.command.parser import parse
from lightning_shap.command.results import Results
from lightning_shap.command.run import _print_summary
from lightning_shap.engine.explain import explain
from lightning_shap.engine.methods.registry import REMOVED
from lightning_shap.explanation.archive import save

FILES = ["explanation.json", "explanation.npz", "explanation.png"]


@pytest.fixture(scope="module")
def layout(tmp_path_factory):
    """A directory and a data set below a folder whose name has a space and an umlaut."""
    root = tmp_path_factory.mktemp("new üser")
    class_folders(root / "weather data" / "test")
    return weights_in(root / "nano", network()), root / "weather data"


@pytest.fixture
def run(layout, tmp_path, capsys):
    def command(*more, directory=layout[0], dataset=layout[1]):
        main(flags(directory, dataset, "--output_dir", tmp_path / "out", *more))
        return json.loads((tmp_path / "out" / "explanation.json").read_text(encoding="utf-8"))

    return command


@pytest.fixture
def refused(layout, capsys):
    """The one line that a command ends with."""

    def command(*more, directory=layout[0], dataset=layout[1]):
        with pytest.raises(SystemExit) as end:
            main(flags(directory, dataset, *more))
        assert end.value.code == 2
        *notes, last = capsys.readouterr().err.strip().splitlines()
        assert all(line.startswith("lightning-shap: note: ") for line in notes)
        return last.removeprefix("lightning-shap: error: ")

    return command


def test_a_region_is_measured_in_each_image(run, tmp_path):
    content = run("--method", "kernel", "--max_evals", "20", "--region", "0", "0", "9", "9")
    found = load(tmp_path / "out").region((0, 0, 9, 9))
    for row, image in enumerate(content["images"]):
        for name in ("value", "error", "of_change", "error_of_change", "of_magnitude"):
            assert image["region"][name] == getattr(found, name)[row].tolist()


def test_absent_regions_can_show_the_first_images_whatever_images_are_read_together(
    run, tmp_path, monkeypatch
):
    how = ("--masker", "samples", "--max_evals", "40", "--topk", "1")
    run(*how)
    together = load(tmp_path / "out")
    monkeypatch.setattr("lightning_shap.command.shards.SHARD_IMAGES", 1)
    run(*how)
    alone = load(tmp_path / "out")
    assert together.record.masker == "samples"
    assert len(together) > 2
    np.testing.assert_allclose(alone.base_values, together.base_values, rtol=1e-4, atol=1e-5)
    assert together.record.additivity_gap.max() < 1e-4


# --- flags ---------------------------------------------------------------------------------------


def typed(annotation):
    """What of a type can be typed on a command line."""
    origin, parts = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        return set().union(*map(typed, parts))
    if origin is Sequence:
        return {list[parts]}
    if origin in (typing.Literal, list, tuple):
        return {annotation}
    return {annotation} & {int, float, str, bool, types.NoneType}


def test_the_flags_are_the_arguments_of_explain():
    taken = inspect.signature(explain).parameters
    shown = {field.name: field for field in fields(Explanation)}
    assert [*shown] == [name for name in taken if name not in ("model", "images", "labels")]
    for name, field in shown.items():
        if name != "against":  # a command has no list of its images to compare by
            assert typed(field.type) == typed(taken[name].annotation), name
        if name != "progress":  # a command is watched, a function is called
            assert field.default == taken[name].default, name


def parsed(*more):
    return parse(["--model_output_dir", "m", "--dataset", "d", *more])


def test_flags_are_written_as_people_write_them():
    options = parsed(
        *["--targets", "1", "2", "--masker", "0.5", "--grayscale", "--n_samples", "all"],
        *["--class_names", "1", "zwei", "--mean", "0.5", "--no-progress"],
    )
    assert options.explanation.targets == [1, 2]
    assert options.explanation.masker == 0.5
    assert options.explanation.class_names == ["1", "zwei"]
    assert options.data.grayscale is True
    assert options.data.n_samples == "all"
    assert options.data.mean == [0.5]
    assert options.explanation.progress is False
    assert parsed("--masker", "blur(8,9)").explanation.masker == "blur(8,9)"


def test_one_number_is_no_list():
    assert parsed("--targets", "1").explanation.targets == 1
    assert parsed("--against", "0").explanation.against == 0
    assert parsed("--against", "runner-up").explanation.against == "runner-up"
    assert parsed("--against", "0", "2").explanation.against == [0, 2]
    assert parsed("--grid", "7").explanation.grid == 7
    assert parsed("--grid", "7", "8").explanation.grid == [7, 8]
    assert parsed("--class_names", "a").explanation.class_names == ["a"]


@pytest.mark.parametrize(
    ("more", "line"),
    [
        (["--max_evals", "many"], "max_evals: got 'many'; give a whole number"),
        (["--topk", "1.5"], "topk: got '1.5'; give a whole number"),
        (["--method", "fog"], "method: got 'fog'; give 'partition', 'kernel' or 'gradient'"),
        (["--method", "deep"], f"method: 'deep' {REMOVED['deep']}"),
        (["--n_samples", "most"], "n_samples: got 'most'; give a whole number or 'all'"),
        (["--grid", "1,2"], "grid: got '1,2'; give a whole number"),
        (["--region", "1", "2"], "region: got 2 numbers; give left, top, right and bottom"),
        (["--mean", "0.1", "dark"], "mean: got 'dark'; give a number"),
        (["--against", "zz"], "against: got 'zz'; give a whole number or 'runner-up'"),
    ],
)
def test_a_value_of_another_kind_is_answered_with_what_would_do(more, line, capsys):
    with pytest.raises(SystemExit) as end:
        parsed(*more)
    assert end.value.code == 2
    assert capsys.readouterr().err == f"lightning-shap: error: {line}\n"


@pytest.mark.parametrize("wrong", [["--unknown", "1"], ["--max_evals", "many"], ["--topk", "1.5"]])
def test_flags_that_do_not_exist_or_fit_are_refused(wrong, capsys):
    with pytest.raises(SystemExit) as end:
        parsed(*wrong)
    assert end.value.code == 2
    assert wrong[0].removeprefix("--") in capsys.readouterr().err


def process(*arguments, **kwargs):
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONIOENCODING": "utf-8"},
        **kwargs,
    )


@pytest.mark.integration
def test_help_answers_in_under_a_second_of_cpu_time():
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = process("-m", "lightning_shap", "--help")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0
    assert all(f"--{field.name} " in done.stdout for field in fields(Explanation))
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1


@pytest.mark.integration
def test_flags_are_read_before_anything_heavy_is_imported():
    code = "import sys, lightning_shap.command.main; print([*sys.modules])"
    heavy = {"torch", "shap", "timm", "pytorch_lightning", "lightning", "numpy"}
    assert not heavy & set(eval(process("-c", code).stdout))


@pytest.mark.integration
def test_the_script_explains_from_another_directory_with_relative_paths(layout):
    root = layout[1].parent
    script = Path(__file__).parents[2] / "examples" / "explain.py"
    arguments = flags(Path("nano") / ARCHITECTURE, "weather data", "--n_samples", "1")
    done = process(script, *arguments, cwd=root)
    assert done.returncode == 0, done.stderr
    written = [layout[0] / file for file in FILES]
    assert all(path.exists() for path in written)
    assert all(f"nano/{ARCHITECTURE}/{path.name}" in done.stdout for path in written)
    for path in written:
        path.unlink()


# --- what is written -----------------------------------------------------------------------------


def test_values_are_those_of_explain(run, layout, tmp_path):
    from timm.data import create_transform, resolve_model_data_config

    written = run("--n_samples", "3", "--topk", "2")
    model = network()
    config = resolve_model_data_config(model) | {"input_size": (3, 32, 32)}
    transform = create_transform(**config, is_training=False)
    opened = [Image.open(image["file"]).convert("RGB") for image in written["images"]]
    images = torch.stack([transform(image) for image in opened])
    expected = explain(model, images, topk=2, labels=[0, 1, 2], max_evals=6)
    loaded = lightning_shap.load(tmp_path / "out")
    assert np.array_equal(loaded.values, expected.values)
    assert np.array_equal(loaded.data, expected.data)
    assert loaded.record.class_names.tolist() == ["bébé ours", "cat", "dög"]


def test_the_report_has_every_image(run):
    written = run("--n_samples", "4", "--topk", "2", "--seed", "3")
    assert [image["class"] for image in written["images"]] == [
        "bébé ours",
        "cat",
        "dög",
        "bébé ours",
    ]
    for image in written["images"]:
        assert Path(image["file"]).parent.name == image["class"]
        assert sum(row["probability"] for row in image["predictions"]) == pytest.approx(1)
        assert image["explained"][0] == image["label"]
        assert max(image["additivity_gap"]) < 1e-6
        assert image["evaluations"] <= 6
    assert written["settings"]["explanation"]["seed"] == 3
    assert "torch" in written["versions"]
    assert written["evaluations"] == sum(image["evaluations"] for image in written["images"])


def test_the_same_command_writes_the_same_values(run, tmp_path):
    run("--n_samples", "2")
    first = lightning_shap.load(tmp_path / "out").values
    run("--n_samples", "2")
    assert np.array_equal(lightning_shap.load(tmp_path / "out").values, first)


def test_an_explanation_that_fails_leaves_the_older_one(run, tmp_path, monkeypatch):
    run("--n_samples", "1")
    before = {name: (tmp_path / "out" / name).read_bytes() for name in FILES}
    monkeypatch.setattr("lightning_shap.command.job.answer", lambda *_, **__: 1 / 0)
    with pytest.raises(SystemExit):
        run("--n_samples", "2")
    assert {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir()} == before


def test_of_many_classes_the_highest_few_are_explained(tmp_path, run):
    picture(0).save(tmp_path / "a.png")
    directory = weights_in(tmp_path, network(classes=20))
    written = run(directory=directory, dataset=tmp_path / "a.png")
    assert len(written["images"][0]["explained"]) == 4
    assert written["accuracy"] is None


@pytest.mark.parametrize(("channels", "more"), [(1, []), (4, []), (3, ["--grayscale"])])
def test_models_of_any_number_of_channels_are_explained(tmp_path, run, channels, more):
    for name in ("a", "b"):
        (tmp_path / "data" / name).mkdir(parents=True)
        mode = {1: "L", 3: "RGB", 4: "RGBA"}[channels]
        picture(0, mode).save(tmp_path / "data" / name / "1.png")
    directory = weights_in(tmp_path, network(classes=2, in_chans=channels))
    written = run(*more, directory=directory, dataset=tmp_path / "data")
    assert written["model"]["channels"] == channels
    assert lightning_shap.load(tmp_path / "out").shape == (2, 32, 32, channels, 2)


def test_imagenets_classes_have_their_names(tmp_path, run):
    picture(0).save(tmp_path / "a.png")
    directory = weights_in(tmp_path, network(classes=1000))
    run("--targets", "207", directory=directory, dataset=tmp_path / "a.png")
    assert lightning_shap.load(tmp_path / "out").output_names == ["golden retriever"]


def test_a_model_of_one_output_knows_its_two_classes(tmp_path, run):
    class_folders(tmp_path / "data", ["no", "yes"], each=1)
    written = run(directory=weights_in(tmp_path, network(classes=1)), dataset=tmp_path / "data")
    assert [image["class"] for image in written["images"]] == ["no", "yes"]
    assert written["accuracy"] is not None


@pytest.mark.parametrize(("outputs", "more"), [(1, []), (3, ["--targets", "2", "0"])])
def test_values_are_reported_as_values(tmp_path, run, outputs, more):
    class_folders(tmp_path / "data", ["young", "old"], each=1)
    directory = weights_in(tmp_path, network(classes=outputs))
    written = run("--output", "value", *more, directory=directory, dataset=tmp_path / "data")
    assert written["accuracy"] is None
    record = lightning_shap.load(tmp_path / "out").record
    assert (record.output, record.labels, record.probabilities) == ("value", None, None)
    for row, image in enumerate(written["images"]):
        assert not {"label", "class"} & image.keys()
        assert image["predictions"] == [
            {"index": index, "output": record.outputs[row, index], "name": f"output {index}"}
            for index in range(outputs)
        ]


def test_values_are_named_as_asked_for(tmp_path, run):
    picture(0).save(tmp_path / "a.png")
    directory = weights_in(tmp_path, network(classes=1))
    more = ["--output", "value", "--class_names", "age"]
    written = run(*more, directory=directory, dataset=tmp_path / "a.png")
    assert written["images"][0]["predictions"][0]["name"] == "age"


def write_and_read(archive, folder):
    about = write_json(archive, folder / "written.json")
    text = (folder / "written.json").read_text(encoding="utf-8")
    written = json.loads(text)
    assert about == {name: part for name, part in written.items() if name != "images"} | {
        "count": len(written["images"]),
        "right": [image["right"] for image in written["images"]],
    }
    lines = [line.rstrip(",") for line in text.splitlines() if line.startswith('    {"file"')]
    assert [*map(json.loads, lines)] == written["images"]
    return written


def test_several_true_classes_are_reported_as_lists(tmp_path):
    images, several = torch.rand(3, 3, 32, 32), [[1, 0, 1], [0, 0, 0], [0, 1, 0]]
    settings = {"multi_label": True, "class_names": ["a", "b", "c"], "max_evals": 4, "topk": 1}
    explanation = explain(network(), images, labels=several, **settings)
    path = save(explanation, tmp_path / "explanation.npz", files=np.array(["1", "2", "3"]))
    written = write_and_read(path, tmp_path)
    assert [image["label"] for image in written["images"]] == [[0, 2], [], [1]]
    assert [image["class"] for image in written["images"]] == [["a", "c"], [], ["b"]]
    exact = ((explanation.record.probabilities > 0.5) == np.array(several)).all(1)
    assert written["accuracy"] == exact.mean()


def test_skipped_images_are_named_on_stderr(tmp_path, run, capsys):
    class_folders(tmp_path / "data", each=1)
    (tmp_path / "data" / "cat" / "broken.png").write_bytes(b"no image")
    written = run("--n_samples", "9", dataset=tmp_path / "data")
    assert len(written["images"]) == 3
    assert "skipped" in capsys.readouterr().err
    assert [*written["skipped"]] == [str(tmp_path / "data" / "cat" / "broken.png")]


# --- bad input -----------------------------------------------------------------------------------


def test_no_such_directory(refused, tmp_path):
    line = refused(directory=tmp_path / "nowhere")
    assert line.startswith("model_output_dir: there is no")
    assert not (tmp_path / "nowhere").exists()


def test_no_weights(refused, tmp_path):
    assert "holds no weights" in refused(directory=tmp_path)


def test_an_unknown_architecture(refused, tmp_path):
    directory = weights_in(tmp_path, network(), name="test_eficientnet")
    assert "nearest: test_efficientnet" in refused(directory=directory)


def test_weights_of_another_architecture(refused):
    assert "keys differ" in refused("--model_name", "test_vit")


def test_a_size_that_the_model_does_not_take(refused, tmp_path):
    directory = weights_in(tmp_path, network(name="test_vit", img_size=32), name="test_vit")
    assert "crop_size" in refused("--crop_size", "48", directory=directory)
    assert "crop_size" in refused("--crop_size", "33", directory=directory)


def test_no_images(refused, tmp_path):
    assert "dataset: " in refused(dataset=tmp_path / "nowhere")
    assert "holds no images" in refused(dataset=tmp_path)


def test_corrupt_images_only(refused, tmp_path):
    (tmp_path / "a.png").write_bytes(b"no image")
    assert "none of 1 images can be read" in refused(dataset=tmp_path)
    assert "none of 1 images can be read" in refused("--n_samples", "all", dataset=tmp_path)


def test_classes_that_disagree(refused, tmp_path):
    class_folders(tmp_path / "data", ["a", "b"], each=1)
    assert "dataset: has 2 classes" in refused(dataset=tmp_path / "data")


def test_an_output_directory_that_cannot_be_written(refused, tmp_path):
    (tmp_path / "file").write_text("")
    assert "output_dir: cannot write" in refused("--output_dir", tmp_path / "file")
    assert "output_dir: cannot write" in refused("--output_dir", tmp_path / "file" / "below")


def test_a_decompression_bomb(refused, tmp_path, monkeypatch):
    picture(0).save(tmp_path / "a.png")
    monkeypatch.setattr("lightning_shap.command.data.files.MOST_PIXELS", 100)
    assert "decompression bomb" in refused(dataset=tmp_path)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--topk", 9], "topk: got 9"),
        (["--targets", 9], "targets: hold 9"),
        (["--targets", 1, "--topk", 1], "targets, topk: both"),
        (["--masker", "fog"], "masker: unknown 'fog'"),
        (["--n_samples", 0], "n_samples: got 0"),
        (["--batch_size", 0], "batch_size: got 0"),
        (["--accelerator", "abacus"], "accelerator: cannot use 'abacus'"),
        (["--class_names", "a", "b"], "class_names: got 2 names"),
        (["--mean", 0.1, 0.2], "mean: has 2 numbers"),
        (["--model_class", "no.such.Class"], "model_class: cannot import"),
    ],
)
def test_arguments_that_will_not_do(refused, tmp_path, more, message):
    assert message in refused("--output_dir", tmp_path, *more)
    assert not any(tmp_path.iterdir())


def test_a_fault_is_one_sentence_and_its_traceback_can_be_had(
    layout, monkeypatch, tmp_path, capsys
):
    monkeypatch.setattr("lightning_shap.command.paths.find_images", lambda _: int("not a number"))
    with pytest.raises(SystemExit) as end:
        main(flags(*layout, "--output_dir", tmp_path))
    assert end.value.code == 1
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "ValueError: invalid literal" in line
    with pytest.raises(ValueError, match="invalid literal"):
        main([*flags(*layout, "--output_dir", tmp_path), "--traceback"])


def test_a_summary_is_written_beside_the_explanation(layout, tmp_path, capsys):
    out = tmp_path / "out"
    main(["summary", *flags(layout[0], layout[1], "--max_evals", "8", "--output_dir", out)])
    content = json.loads((out / "classes.json").read_text(encoding="utf-8"))
    assert content["images"] == len(content["files"]) == 9
    assert {one["class"] for one in content["classes"]} == {"bébé ours", "cat", "dög"}
    assert (out / "classes.png").exists()
    assert "\nclasses  " in capsys.readouterr().out
    written = write_and_read(out / "explanation.npz", tmp_path)
    assert written["settings"]["explanation"]["max_evals"] == 8
    record = load(out / "explanation.npz").record
    assert record.follows_image
    assert record.swaps is not None


@pytest.mark.parametrize(
    ("more", "follows"),
    [
        (["--regions", "boxes"], False),
        (["--method", "gradient"], False),
        (["--method", "kernel"], True),
    ],
)
def test_a_summary_has_regions_of_the_image_where_nothing_else_is_asked(
    layout, tmp_path, more, follows
):
    out = tmp_path / "out"
    main(["summary", *flags(layout[0], layout[1], "--max_evals", "8", *more, "--output_dir", out)])
    assert load(out / "explanation.npz").record.follows_image == follows


def test_a_summary_has_more_images_and_fewer_evaluations_unless_asked_otherwise():
    options = parse(["summary", "runs/one", "--dataset", "photographs"])
    assert options.model.model_output_dir == "runs/one"
    assert (options.data.n_samples, options.explanation.max_evals) == (256, 100)
    assert parse(["summary", "runs/one", "--n_samples", "40"]).data.n_samples == 40
    assert not parse(["./summary"]).results.summary


@pytest.mark.parametrize("more", [["--topk", "3"], ["--output", "value"], ["--multi_label"]])
def test_a_summary_of_other_things_than_classes_is_refused(refused, more):
    assert refused("--summary", *more).startswith("summary: ")


def test_no_name_moves_the_cursor_of_a_terminal(layout, tmp_path, capsys):
    out = tmp_path / "a\x1b[2Jfolder"
    main(flags(*layout, "--output_dir", out, "--report"))
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert "a\\x1b[2Jfolder/explanation.html" in shown


def test_images_without_a_label_are_not_counted_as_right(tmp_path, capsys):
    job = SimpleNamespace(
        places=SimpleNamespace(output=tmp_path),
        images=SimpleNamespace(names=["a"] * 4),
        model=SimpleNamespace(name="net", source="file"),
    )
    right = [True, None, True, False]
    content = {"count": 4, "right": right, "accuracy": 2 / 3, "seconds": 1.0, "model_seconds": 0.5}
    _print_summary(job, Results(content))
    assert "Explained 4 of 4 images, 2 of 3 with a label classified rightly," in (
        capsys.readouterr().out
    )
