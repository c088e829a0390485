"""``--report``: the page of what the command explained, and of an archive that is there."""

import json
import os
import re

import pytest
from finished_model import class_folders, flags, network, weights_in
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

from lightning_shap.command.main import main


@pytest.fixture(scope="module")
def layout(tmp_path_factory):
    root = tmp_path_factory.mktemp("model")
    return weights_in(root, network()), class_folders(root / "data")


def carried(path):
    """What a page carries."""
    text = path.read_text(encoding="utf-8")
    return json.loads(re.search(r'id="explanations">(.*?)</script>', text, re.DOTALL)[1])


def facts_in(path):
    (tags,) = carried(path)["runs"].values()
    (steps,) = tags.values()
    return [step["facts"] for step in steps]


def test_the_page_is_written_beside_the_archive(layout, tmp_path, capsys):
    main(flags(*layout, "--output_dir", tmp_path, "--n_samples", 3, "--report"))
    names = [f"explanation.{kind}" for kind in ("html", "json", "npz", "png")]
    assert sorted(name for name in os.listdir(tmp_path) if not name.startswith(".")) == names
    assert str(tmp_path / "explanation.html") in capsys.readouterr().out
    (facts,) = facts_in(tmp_path / "explanation.html")
    assert len(facts["rows"]) == 3
    assert facts["notes"] == []  # mean and std are known, and nothing was stretched

    main(flags(*layout, "--output_dir", tmp_path, "--n_samples", 3))
    assert not (tmp_path / "explanation.html").exists(), "it was of another explanation"


def test_an_archive_that_is_there_opens_in_the_page(layout, tmp_path, capsys):
    main(flags(*layout, "--output_dir", tmp_path, "--n_samples", 3))
    capsys.readouterr()
    main([str(tmp_path / "explanation.npz"), "--report"])
    assert capsys.readouterr().out.strip() == str(tmp_path / "explanation.html")
    (facts,) = facts_in(tmp_path / "explanation.html")
    assert [row["explained"] for row in facts["rows"]] == [[0, 1, 2]] * 3
    assert facts["max_evals"] == 6


def test_an_archive_is_no_model(layout, tmp_path, capsys):
    main(flags(*layout, "--output_dir", tmp_path, "--n_samples", 1))
    with pytest.raises(SystemExit) as end:
        main([str(tmp_path / "explanation.npz")])
    assert end.value.code == 2
    assert "add --report" in capsys.readouterr().err


def test_the_event_holds_the_explanation_too(layout, tmp_path):
    logs = tmp_path / "logs"
    main(flags(*layout, "--output_dir", tmp_path, "--n_samples", 2, "--logdir", logs))
    (file,) = logs.glob("events.*")
    values = [value for event in EventFileLoader(str(file)).Load() for value in event.summary.value]
    ours = {v.tag: v for v in values if v.metadata.plugin_data.plugin_name == "shap"}
    assert {*ours} == {"shap_final/facts", "shap_final/explanation"}
    (facts,) = ours["shap_final/facts"].tensor.string_val
    assert len(json.loads(facts)["rows"]) == 2


@pytest.mark.parametrize("content", [b"", b"noise" * 1000, b"PK\x05\x06" + bytes(18), None])
def test_what_is_no_archive_is_refused(tmp_path, capsys, content):
    path = tmp_path / "explanation.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SystemExit) as end:
        main([str(path), "--report"])
    assert end.value.code == 2
    assert capsys.readouterr().err.startswith("lightning-shap: error: model_output_dir: ")
    assert os.listdir(tmp_path) == ([] if content is None else [path.name])
